//! Bytes to values and back, for every file the store writes. Pure: no files, no time, no threads.
//!
//! `docs/format.md` says in prose what is said here in code; nothing outside this module knows an offset. All numbers
//! are little-endian, all checksums CRC-32/ISO-HDLC.

pub(crate) mod control;
pub(crate) mod event;
mod field;
pub(crate) mod frame;
pub(crate) mod index;
pub(crate) mod removed;
pub(crate) mod segment;
pub(crate) mod state;
#[cfg(test)]
mod tests;
mod varint;

pub(crate) use frame::{FrameFault, FrameHeader, FrameKind};
pub(crate) use segment::SegmentHeader;

/// The version of segments that this code writes, and the highest it reads. Version 1 has no REMOVED frames, no rewritten
/// segments, and OPEN says nothing of settings.
pub(crate) const FORMAT_VERSION: u32 = 2;

/// The largest position, version, epoch or sequence number. No store comes near it, and what is found below it can be
/// counted on from without overflow.
pub(crate) const NUMBER_MAX: u64 = 1 << 62;

/// The id of one store, made when the store is. Files of another store are never mixed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StoreId(pub(crate) [u8; 16]);

/// The number of a segment: 1, 2, 3 …
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct SegmentNumber(pub(crate) u64);

impl SegmentNumber {
    pub(crate) const FIRST: SegmentNumber = SegmentNumber(1);

    pub(crate) fn next(self) -> SegmentNumber {
        SegmentNumber(self.0 + 1)
    }
}

impl std::fmt::Display for SegmentNumber {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(out)
    }
}

/// Why a header of a file cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HeaderFault {
    #[error("it does not begin with {wanted:?}")]
    Magic { wanted: &'static str },
    #[error("header checksum {found:#010x}, wanted {wanted:#010x}")]
    Checksum { wanted: u32, found: u32 },
    #[error("format version {found}, this version of annals reads versions 1 to {FORMAT_VERSION}")]
    Version { found: u32 },
    #[error("index version {found}, this version of annals reads version {}", index::INDEX_VERSION)]
    IndexVersion { found: u32 },
    #[error("the incompatible features {found:#x}")]
    Features { found: u32 },
}

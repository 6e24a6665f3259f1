//! One segment file, readable: its constants, its map, its frames by offset.
//!
//! Invariant: bytes below the committed offset never change, so readers take no lock.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use super::names::segment_path;
use super::scan::Frame;
use crate::error::{Error, OpenError};
use crate::format::control::{CLOSE_LEN, SEAL_LEN};
use crate::format::segment::{FRAMES_AT, HEADER_COPY_AT, HEADER_LEN};
use crate::format::{FrameFault, FrameHeader, HeaderFault, SegmentHeader, SegmentNumber, event, frame};
use crate::vfs::{Disk, DiskFile, Map, OpenMode};

/// The least space that is worth giving back, in bytes.
const RELEASED_BYTES_MIN: u64 = 1 << 20;

/// How much is fetched ahead of the reading of a record, in bytes: its lengths and names, and all of a small one.
const EXPECTED_BYTES: usize = 384;

/// A segment that can be read.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) header: SegmentHeader,
    pub(crate) path: PathBuf,
    /// None once it is let go.
    file: Mutex<Option<Arc<dyn DiskFile>>>,
    map: Map,
}

impl Segment {
    /// Takes a file whose header is known.
    pub(crate) fn new(
        header: SegmentHeader,
        path: PathBuf,
        file: Arc<dyn DiskFile>,
    ) -> Result<Segment, Error> {
        let map = file.map(header.capacity).map_err(|error| Error::io("map", &path, error))?;
        Ok(Segment { header, path, file: Mutex::new(Some(file)), map })
    }

    /// Takes a file with a header and bytes that may be wrong.
    pub(super) fn over(header: SegmentHeader, path: PathBuf, file: Arc<dyn DiskFile>, map: Map) -> Segment {
        Segment { header, path, file: Mutex::new(Some(file)), map }
    }

    /// Opens a segment file and checks its header.
    pub(crate) fn open(
        disk: &dyn Disk,
        log_dir: &Path,
        number: SegmentNumber,
        mode: OpenMode,
    ) -> Result<Segment, OpenError> {
        let path = segment_path(log_dir, number);
        let file = disk.open(&path, mode).map_err(|error| Error::io("open", &path, error))?;
        let header = read_header(&path, file.as_ref())?;
        if header.number != number {
            let what = format!("it is segment {}, wanted segment {number}", header.number);
            return Err(Error::damaged(&path, 0, what).into());
        }
        let len = file.len().map_err(|error| Error::io("measure", &path, error))?;
        if len < header.capacity {
            let what = format!("the file has {len} bytes, wanted {}", header.capacity);
            return Err(Error::damaged(&path, len, what).into());
        }
        Ok(Segment::new(header, path, file)?)
    }

    fn held_file(&self) -> MutexGuard<'_, Option<Arc<dyn DiskFile>>> {
        // It is there or not at every moment.
        self.file.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The file, for writing and syncing, which only a segment without SEAL is for.
    pub(crate) fn file(&self) -> Result<Arc<dyn DiskFile>, Error> {
        let held = self.held_file().clone();
        held.ok_or_else(|| Error::invalid(format!("{} is sealed and takes no more", self.path.display())))
    }

    /// Closes the file of a sealed segment. The map outlives it, so that a store of any size keeps few files open.
    pub(crate) fn let_go_of_file(&self) {
        *self.held_file() = None;
    }

    /// Gives back the space behind its SEAL, where nothing was ever written.
    pub(crate) fn release_rest(&self, disk: &dyn Disk, seal_at: u64) -> Result<(), Error> {
        let end = (seal_at + (SEAL_LEN + CLOSE_LEN) as u64).next_multiple_of(4096);
        let is_worth_it = end + RELEASED_BYTES_MIN <= self.header.capacity;
        if !is_worth_it || self.end_of_bytes(end)?.is_some() {
            return Ok(());
        }
        let file =
            disk.open(&self.path, OpenMode::Write).map_err(|error| Error::io("open", &self.path, error))?;
        // A scavenge may have put another file in its place, whose bytes may reach further.
        if !read_header(&self.path, file.as_ref()).is_ok_and(|header| header == self.header) {
            return Ok(());
        }
        file.release(end).map_err(|error| Error::io("release space of", &self.path, error))
    }

    pub(crate) fn number(&self) -> SegmentNumber {
        self.header.number
    }

    /// Bytes of the file, as they are.
    #[inline]
    pub(crate) fn slice(&self, offset: u64, len: usize) -> Result<Bytes, Error> {
        self.map.slice(offset, len).map_err(|error| self.unread(offset, len, error))
    }

    /// Bytes of the file, copied.
    #[inline]
    pub(crate) fn array<const N: usize>(&self, offset: u64) -> Result<[u8; N], Error> {
        self.map.array(offset).map_err(|error| self.unread(offset, N, error))
    }

    /// Says that a record is about to be read.
    #[inline]
    pub(crate) fn will_read_record(&self, offset: u64) {
        self.map.will_read(offset, EXPECTED_BYTES);
    }

    /// Says that the header of a record's frame is about to be read. The record itself is looked at.
    #[inline]
    pub(crate) fn will_read_frame_of(&self, offset: u64) {
        if let Ok(record) = self.map.array::<{ event::HEADER_LEN }>(offset) {
            let frame_at = offset.saturating_sub(event::frame_back(&record).into());
            self.map.will_read(frame_at, frame::HEADER_LEN);
        }
    }

    /// Why bytes cannot be read. What leads beyond the end is a wrong number in the file; the rest is the system's.
    fn unread(&self, offset: u64, len: usize, error: std::io::Error) -> Error {
        match offset.checked_add(len as u64) {
            Some(end) if end <= self.map.len() => Error::io("read", &self.path, error),
            _ => self.damaged(offset, "what begins here reaches beyond the end of the segment"),
        }
    }

    /// The header of the frame at `offset`, checked, with its checksum; the inner error says why there is none.
    pub(crate) fn frame_header(&self, offset: u64) -> Result<Result<(FrameHeader, u32), FrameFault>, Error> {
        if offset > self.header.capacity.saturating_sub(frame::HEADER_LEN as u64) {
            return Ok(Err(FrameFault::Zero));
        }
        let header = self.array::<{ frame::HEADER_LEN }>(offset)?;
        Ok(FrameHeader::decode(&header, self.header.salt, offset))
    }

    /// The whole frame at `offset`, checked to its last byte; the inner error says why there is none.
    pub(crate) fn frame(&self, offset: u64) -> Result<Result<Frame, FrameFault>, Error> {
        let (header, header_crc) = match self.frame_header(offset)? {
            Ok(found) => found,
            Err(fault) => return Ok(Err(fault)),
        };
        if offset + u64::from(header.len) > self.header.capacity {
            return Ok(Err(FrameFault::Beyond));
        }
        let bytes = self.slice(offset, header.len as usize)?;
        Ok(frame::check_frame(&bytes, &header, header_crc).map(|()| Frame {
            offset,
            header,
            header_crc,
            bytes,
        }))
    }

    /// The damage that a fault at `offset` means.
    pub(crate) fn damaged(&self, offset: u64, what: impl ToString) -> Error {
        Error::damaged(&self.path, offset, what.to_string())
    }

    /// Where the last byte that is not zero ends, at or after `from`; none when there are only zeros.
    pub(crate) fn end_of_bytes(&self, from: u64) -> Result<Option<u64>, Error> {
        self.end_of_bytes_before(self.header.capacity, from)
    }

    /// The same of a file that was just synced: what the file system knows that nobody has written is not read.
    pub(crate) fn end_of_bytes_written(&self, from: u64) -> Result<Option<u64>, Error> {
        let file = self.file()?;
        let end = file.end_of_data().map_err(|error| Error::io("look for data in", &self.path, error))?;
        self.end_of_bytes_before(end.min(self.header.capacity), from)
    }

    fn end_of_bytes_before(&self, mut end: u64, from: u64) -> Result<Option<u64>, Error> {
        const STEP: usize = 1 << 16;
        const PART: usize = 64;
        // Comparing blocks is many times faster than looking at each byte, and most of a young segment is zeros.
        let zeros = [0; STEP];
        while end > from {
            let start = end.saturating_sub(STEP as u64).max(from);
            let bytes = self.slice(start, (end - start) as usize)?;
            if bytes[..] != zeros[..bytes.len()] {
                let zero_parts = bytes.rchunks(PART).take_while(|part| **part == zeros[..part.len()]).count();
                let rest = &bytes[..bytes.len() - zero_parts * PART];
                let last = rest.iter().rposition(|byte| *byte != 0).expect("the block is not all zeros");
                return Ok(Some(start + last as u64 + 1));
            }
            end = start;
        }
        Ok(None)
    }
}

/// Reads the header from whichever of its two places is whole.
fn read_header(path: &Path, file: &dyn DiskFile) -> Result<SegmentHeader, OpenError> {
    let mut first_fault = None;
    for offset in [0, HEADER_COPY_AT] {
        let mut bytes = [0; HEADER_LEN];
        match file.read_exact_at(&mut bytes, offset) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                return Err(Error::damaged(path, offset, "the file ends within its header").into());
            }
            Err(error) => return Err(Error::io("read", path, error).into()),
        }
        match SegmentHeader::decode(&bytes) {
            Ok(header) if header.capacity >= FRAMES_AT => return Ok(header),
            Ok(header) => {
                first_fault.get_or_insert(format!("a capacity of {}, which cannot be", header.capacity))
            }
            // A whole copy of a later version tells more than a damaged one beside it.
            Err(fault @ (HeaderFault::Version { .. } | HeaderFault::Features { .. })) => {
                return Err(OpenError::Version { path: path.to_owned(), found: fault.to_string() });
            }
            Err(fault) => first_fault.get_or_insert(fault.to_string()),
        };
    }
    let what = first_fault.unwrap_or_default();
    Err(Error::damaged(path, 0, format!("neither copy of the header is whole: {what}")).into())
}

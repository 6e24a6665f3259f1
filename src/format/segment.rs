//! The header of a segment: constants, written once, twice in the file.
//!
//! It says nothing that is only known when the segment comes into use, so a segment can be made ahead of need.

use super::field::{bytes, put, u32_at, u64_at};
use super::{FORMAT_VERSION, HeaderFault, SegmentNumber, StoreId};

/// Segment header: 128 bytes, at offset 0 and again at [`HEADER_COPY_AT`].
///
/// | offset | size | field          | meaning                                                      |
/// |-------:|-----:|----------------|--------------------------------------------------------------|
/// |      0 |    8 | `magic`        | `ANNALSEG`                                                   |
/// |      8 |    4 | `version`      | format version                                               |
/// |     12 |    4 | `incompatible` | features a reader must know                                  |
/// |     16 |    4 | `ro_compatible`| features a writer must know                                  |
/// |     20 |    4 | `compatible`   | features that may be ignored                                 |
/// |     24 |   16 | `store`        | id of the store                                              |
/// |     40 |    8 | `number`       | number of the segment                                        |
/// |     48 |    8 | `salt`         | random; part of every frame checksum                         |
/// |     56 |    8 | `capacity`     | length of the file                                           |
/// |     64 |   16 | `term_key`     | key of the term hash, one per store                          |
/// |     80 |    4 | `generation`   | how often the segment was rewritten                          |
/// |     84 |    4 | `old_seal_crc` | rewritten: `header_crc` of the SEAL that it had at first     |
/// |     88 |    8 | `old_seal_at`  | rewritten: where that SEAL stood                             |
/// |     96 |    8 | `seal_at`      | rewritten: where its SEAL stands                             |
/// |    104 |   20 |                | zero                                                         |
/// |    124 |    4 | `crc`          | of the bytes before                                          |
pub(crate) const HEADER_LEN: usize = 128;

/// Where the second copy stands: one bad sector, even of 4 KiB, leaves one copy whole.
pub(crate) const HEADER_COPY_AT: u64 = 4096;

/// Where the first frame begins.
pub(crate) const FRAMES_AT: u64 = 8192;

/// What such a file begins with.
pub(crate) const MAGIC: [u8; 8] = *b"ANNALSEG";

/// The constants of one segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    pub(crate) store: StoreId,
    pub(crate) number: SegmentNumber,
    pub(crate) salt: u64,
    pub(crate) capacity: u64,
    pub(crate) term_key: [u8; 16],
    pub(crate) rewritten: Rewritten,
}

/// What a segment says of itself once retention has rewritten it; all 0 in one that has never been.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Rewritten {
    /// How often.
    pub(crate) generation: u32,
    /// The `header_crc` of the SEAL that the segment had at first, which the OPEN after it names.
    pub(crate) old_seal_crc: u32,
    /// Where that SEAL stood.
    pub(crate) old_seal_at: u64,
    /// Where its SEAL stands.
    pub(crate) seal_at: u64,
}

impl SegmentHeader {
    /// Whether retention has rewritten the segment: its events may have gaps between them.
    pub(crate) fn is_rewritten(&self) -> bool {
        self.rewritten.generation > 0
    }

    pub(crate) fn encode(&self) -> [u8; HEADER_LEN] {
        let mut out = [0; HEADER_LEN];
        put(&mut out, 0, MAGIC);
        put(&mut out, 8, FORMAT_VERSION.to_le_bytes());
        put(&mut out, 24, self.store.0);
        put(&mut out, 40, self.number.0.to_le_bytes());
        put(&mut out, 48, self.salt.to_le_bytes());
        put(&mut out, 56, self.capacity.to_le_bytes());
        put(&mut out, 64, self.term_key);
        put(&mut out, 80, self.rewritten.generation.to_le_bytes());
        put(&mut out, 84, self.rewritten.old_seal_crc.to_le_bytes());
        put(&mut out, 88, self.rewritten.old_seal_at.to_le_bytes());
        put(&mut out, 96, self.rewritten.seal_at.to_le_bytes());
        let crc = crc32fast::hash(&out[..124]);
        put(&mut out, 124, crc.to_le_bytes());
        out
    }

    pub(crate) fn decode(from: &[u8; HEADER_LEN]) -> Result<SegmentHeader, HeaderFault> {
        if from[..8] != MAGIC {
            return Err(HeaderFault::Magic { wanted: "ANNALSEG" });
        }
        let (found, wanted) = (crc32fast::hash(&from[..124]), u32_at(from, 124));
        if found != wanted {
            return Err(HeaderFault::Checksum { wanted, found });
        }
        if !(1..=FORMAT_VERSION).contains(&u32_at(from, 8)) {
            return Err(HeaderFault::Version { found: u32_at(from, 8) });
        }
        // These versions know no features: one that only writers must know is refused too, until readers are told apart.
        if u32_at(from, 12) != 0 || u32_at(from, 16) != 0 {
            return Err(HeaderFault::Features { found: u32_at(from, 12) | u32_at(from, 16) });
        }
        Ok(SegmentHeader {
            store: StoreId(bytes(from, 24)),
            number: SegmentNumber(u64_at(from, 40)),
            salt: u64_at(from, 48),
            capacity: u64_at(from, 56),
            term_key: bytes(from, 64),
            rewritten: Rewritten {
                generation: u32_at(from, 80),
                old_seal_crc: u32_at(from, 84),
                old_seal_at: u64_at(from, 88),
                seal_at: u64_at(from, 96),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> SegmentHeader {
        SegmentHeader {
            store: StoreId([7; 16]),
            number: SegmentNumber(3),
            salt: 0x0102_0304_0506_0708,
            capacity: 1 << 20,
            term_key: [9; 16],
            rewritten: Rewritten { generation: 2, old_seal_crc: 5, old_seal_at: 1 << 40, seal_at: 8288 },
        }
    }

    #[test]
    fn a_header_comes_back_as_it_was() {
        assert_eq!(SegmentHeader::decode(&header().encode()), Ok(header()));
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let whole = header().encode();
        for bit in 0..whole.len() * 8 {
            let mut broken = whole;
            broken[bit / 8] ^= 1 << (bit % 8);
            assert!(SegmentHeader::decode(&broken).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn a_later_version_is_told_apart_from_damage() {
        let mut later = header().encode();
        put(&mut later, 8, 3_u32.to_le_bytes());
        let crc = crc32fast::hash(&later[..124]);
        put(&mut later, 124, crc.to_le_bytes());
        assert_eq!(SegmentHeader::decode(&later), Err(HeaderFault::Version { found: 3 }));
    }
}

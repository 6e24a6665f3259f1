//! The index file of a sealed segment: where each event lies, which events each term has, which ids there are.
//!
//! The file is a header block and eight sections, each at a multiple of [`BLOCK`]. Every block has a checksum of its
//! own, so that a lookup checks only what it touches. A directory over the first bits of a hash leads to the few entries
//! that can match. An event is named by its ordinal: how many events of the segment come before it.

pub(crate) mod filter;
pub(crate) mod postings;
pub(crate) mod row;

use super::field::{bytes, put, u32_at, u64_at};
use super::{HeaderFault, SegmentNumber, StoreId};
use crate::model::Position;

/// The version of index files that this code writes and reads. One of another version is built again.
pub(crate) const INDEX_VERSION: u32 = 2;

/// Unit of checking, and alignment of sections, in bytes.
pub(crate) const BLOCK: usize = 4096;

/// Events between two entries of [`Section::Times`].
pub(crate) const TIME_STEP: u32 = 256;

/// Header: 112 bytes at offset 0, in a block of its own.
///
/// | offset | size | field           | meaning                                                        |
/// |-------:|-----:|-----------------|----------------------------------------------------------------|
/// |      0 |    8 | `magic`         | `ANNALIDX`                                                     |
/// |      8 |    4 | `version`       | of the index file: 2                                           |
/// |     12 |    4 | `generation`    | of the segment                                                 |
/// |     16 |   16 | `store`         | id of the store                                                |
/// |     32 |    8 | `number`        | of the segment                                                 |
/// |     40 |    8 | `salt`          | of the segment                                                 |
/// |     48 |    8 | `first`         | position of the first event                                    |
/// |     56 |    4 | `seal_crc`      | header checksum of the segment's SEAL frame                    |
/// |     60 |    4 | `events`        | count of events                                                |
/// |     64 |    4 | `terms`         | count of terms                                                 |
/// |     68 |    4 | `streams`       | count of streams among them                                    |
/// |     72 |    4 | `begun`         | count of streams whose first event is in this segment          |
/// |     76 |    4 | `term_bits`     | bits of a term hash that the directory resolves                |
/// |     80 |    4 | `id_bits`       | bits of an id hash that the directory resolves                 |
/// |     84 |    4 | `filter_blocks` | count of blocks of the filter                                  |
/// |     88 |    4 | `rows_len`      | bytes of the term table                                        |
/// |     92 |    4 | `postings_len`  | bytes of the postings                                          |
/// |     96 |    4 | `removed`       | count of events that have been removed                         |
/// |    100 |    4 |                 | zero                                                           |
/// |    104 |    4 | `blocks_crc`    | of the section of block checksums                              |
/// |    108 |    4 | `crc`           | of the bytes before                                            |
pub(crate) const HEADER_LEN: usize = 112;

/// Entry of the id table: 8 bytes, sorted by hash within the range of a directory entry: the low 32 bits of the id hash,
/// then the ordinal of the event. A match is confirmed by the record itself.
pub(crate) const ID_LEN: usize = 8;

/// What such a file begins with.
pub(crate) const MAGIC: [u8; 8] = *b"ANNALIDX";

/// The sections, in their order in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Section {
    /// The offset of each record, by ordinal; 4 bytes each.
    Offsets = 0,
    /// For each value of the first `term_bits` bits, where its rows begin in the term table; and the end. 4 bytes each.
    TermDirectory = 1,
    /// The term table: [rows](row), sorted by hash.
    Terms = 2,
    /// The [postings] of terms that have several events.
    Postings = 3,
    /// For each value of the first `id_bits` bits, its first entry in the id table; and the end. 4 bytes each.
    IdDirectory = 4,
    /// The id table.
    Ids = 5,
    /// The [filter] over the hashes of all terms.
    Filter = 6,
    /// The commit time of every [`TIME_STEP`]th event, beginning with the first; 8 bytes each.
    Times = 7,
}

/// How many sections there are.
pub(crate) const SECTIONS: usize = 8;

/// What the header says. The block checksums, 4 bytes for each block from the first section on, end the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct IndexHeader {
    pub(crate) store: StoreId,
    pub(crate) number: SegmentNumber,
    pub(crate) salt: u64,
    pub(crate) generation: u32,
    pub(crate) seal_crc: u32,
    pub(crate) first: Position,
    pub(crate) events: u32,
    pub(crate) terms: u32,
    pub(crate) streams: u32,
    pub(crate) begun: u32,
    pub(crate) term_bits: u32,
    pub(crate) id_bits: u32,
    pub(crate) filter_blocks: u32,
    pub(crate) rows_len: u32,
    pub(crate) postings_len: u32,
    pub(crate) removed: u32,
    pub(crate) blocks_crc: u32,
}

/// Entry of the id table.
pub(crate) fn encode_id(hash: u32, ordinal: u32) -> [u8; ID_LEN] {
    let mut out = [0; ID_LEN];
    put(&mut out, 0, hash.to_le_bytes());
    put(&mut out, 4, ordinal.to_le_bytes());
    out
}

pub(crate) fn decode_id(from: &[u8; ID_LEN]) -> (u32, u32) {
    (u32_at(from, 0), u32_at(from, 4))
}

/// How many bits a directory over `entries` entries resolves: about eight entries a slot.
pub(crate) fn directory_bits(entries: usize) -> u32 {
    (entries / 8).next_power_of_two().ilog2()
}

/// The entry of a directory over `bits` bits that stands for a hash, of which `high` is the high half.
pub(crate) fn slot(high: u64, bits: u32) -> u64 {
    high.checked_shr(64 - bits).unwrap_or(0)
}

impl IndexHeader {
    /// The length of each section in bytes, before padding.
    fn lens(&self) -> [u64; SECTIONS] {
        let events = u64::from(self.events);
        let directory = |bits: u32| ((1_u64 << bits.min(32)) + 1) * 4;
        [
            events * 4,
            directory(self.term_bits),
            u64::from(self.rows_len),
            u64::from(self.postings_len),
            directory(self.id_bits),
            events.saturating_sub(self.removed.into()) * ID_LEN as u64,
            u64::from(self.filter_blocks) * filter::BLOCK_LEN as u64,
            events.div_ceil(TIME_STEP.into()) * 8,
        ]
    }

    /// The offset of each section, and the end of the last, where the block checksums begin.
    pub(crate) fn layout(&self) -> [u64; SECTIONS + 1] {
        let mut at = BLOCK as u64;
        let mut out = [0; SECTIONS + 1];
        for (slot, len) in out.iter_mut().zip(self.lens()) {
            *slot = at;
            at = (at + len).next_multiple_of(BLOCK as u64);
        }
        out[SECTIONS] = at;
        out
    }

    /// Where the block checksums begin.
    pub(crate) fn checksums_at(&self) -> u64 {
        self.layout()[SECTIONS]
    }

    /// How many blocks have a checksum: all but the header's.
    pub(crate) fn blocks(&self) -> usize {
        (self.checksums_at() / BLOCK as u64) as usize - 1
    }

    /// The length of the whole file.
    pub(crate) fn file_len(&self) -> u64 {
        self.checksums_at() + self.blocks() as u64 * 4
    }

    /// Whether both are about one segment.
    pub(crate) fn is_about(&self, other: &IndexHeader) -> bool {
        self.store == other.store
            && self.number == other.number
            && self.salt == other.salt
            && self.generation == other.generation
            && self.seal_crc == other.seal_crc
            && self.first == other.first
            && self.events == other.events
    }

    pub(crate) fn encode(&self) -> [u8; HEADER_LEN] {
        let mut out = [0; HEADER_LEN];
        put(&mut out, 0, MAGIC);
        put(&mut out, 8, INDEX_VERSION.to_le_bytes());
        put(&mut out, 12, self.generation.to_le_bytes());
        put(&mut out, 16, self.store.0);
        put(&mut out, 32, self.number.0.to_le_bytes());
        put(&mut out, 40, self.salt.to_le_bytes());
        put(&mut out, 48, self.first.get().to_le_bytes());
        put(&mut out, 56, self.seal_crc.to_le_bytes());
        put(&mut out, 60, self.events.to_le_bytes());
        put(&mut out, 64, self.terms.to_le_bytes());
        put(&mut out, 68, self.streams.to_le_bytes());
        put(&mut out, 72, self.begun.to_le_bytes());
        put(&mut out, 76, self.term_bits.to_le_bytes());
        put(&mut out, 80, self.id_bits.to_le_bytes());
        put(&mut out, 84, self.filter_blocks.to_le_bytes());
        put(&mut out, 88, self.rows_len.to_le_bytes());
        put(&mut out, 92, self.postings_len.to_le_bytes());
        put(&mut out, 96, self.removed.to_le_bytes());
        put(&mut out, 104, self.blocks_crc.to_le_bytes());
        let crc = crc32fast::hash(&out[..108]);
        put(&mut out, 108, crc.to_le_bytes());
        out
    }

    pub(crate) fn decode(from: &[u8; HEADER_LEN]) -> Result<IndexHeader, HeaderFault> {
        if from[..8] != MAGIC {
            return Err(HeaderFault::Magic { wanted: "ANNALIDX" });
        }
        // Before the checksum, which lies elsewhere in other versions.
        if u32_at(from, 8) != INDEX_VERSION {
            return Err(HeaderFault::IndexVersion { found: u32_at(from, 8) });
        }
        let (found, wanted) = (crc32fast::hash(&from[..108]), u32_at(from, 108));
        if found != wanted {
            return Err(HeaderFault::Checksum { wanted, found });
        }
        Ok(IndexHeader {
            store: StoreId(bytes(from, 16)),
            number: SegmentNumber(u64_at(from, 32)),
            salt: u64_at(from, 40),
            generation: u32_at(from, 12),
            seal_crc: u32_at(from, 56),
            first: Position::new(u64_at(from, 48)),
            events: u32_at(from, 60),
            terms: u32_at(from, 64),
            streams: u32_at(from, 68),
            begun: u32_at(from, 72),
            term_bits: u32_at(from, 76),
            id_bits: u32_at(from, 80),
            filter_blocks: u32_at(from, 84),
            rows_len: u32_at(from, 88),
            postings_len: u32_at(from, 92),
            removed: u32_at(from, 96),
            blocks_crc: u32_at(from, 104),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> IndexHeader {
        IndexHeader {
            store: StoreId([1; 16]),
            number: SegmentNumber(2),
            salt: 3,
            generation: 0,
            seal_crc: 4,
            first: Position::new(5),
            events: 3000,
            terms: 120,
            streams: 100,
            begun: 90,
            term_bits: directory_bits(120),
            id_bits: directory_bits(3000),
            filter_blocks: 6,
            rows_len: 5000,
            postings_len: 9000,
            removed: 17,
            blocks_crc: 6,
        }
    }

    #[test]
    fn a_header_comes_back_as_it_was_and_every_flipped_bit_is_noticed() {
        let whole = header().encode();
        assert_eq!(IndexHeader::decode(&whole), Ok(header()));
        for bit in 0..whole.len() * 8 {
            let mut broken = whole;
            broken[bit / 8] ^= 1 << (bit % 8);
            assert!(IndexHeader::decode(&broken).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn sections_are_aligned_and_do_not_overlap() {
        let layout = header().layout();
        assert!(layout.iter().all(|at| at.is_multiple_of(BLOCK as u64)));
        assert!(layout.windows(2).zip(header().lens()).all(|(pair, len)| pair[1] - pair[0] >= len));
    }

    #[test]
    fn a_slot_is_made_of_the_first_bits() {
        assert_eq!((slot(u64::MAX, 0), slot(u64::MAX, 3), slot(5 << 60, 4)), (0, 7, 5));
    }
}

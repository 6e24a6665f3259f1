//! The index file of a sealed segment: where each event lies, which streams the segment holds, which ids.
//!
//! The file is a header block and six sections, each at a multiple of [`BLOCK`]. Every block has a checksum of its
//! own, so that a lookup checks only what it touches. The tables are sorted by hash; a directory over the first bits
//! of the hash leads to the few entries that can match.

use super::field::{bytes, put, u32_at, u64_at};
use super::{FORMAT_VERSION, HeaderFault, SegmentNumber, StoreId};
use crate::model::{Position, StreamVersion};

/// Unit of checking, and alignment of sections, in bytes.
pub(crate) const BLOCK: usize = 4096;

/// Header: 136 bytes at offset 0, in a block of its own.
///
/// | offset | size | field          | meaning                                                         |
/// |-------:|-----:|----------------|-----------------------------------------------------------------|
/// |      0 |    8 | `magic`        | `ANNALIDX`                                                      |
/// |      8 |    4 | `version`      | format version                                                  |
/// |     12 |    4 | `generation`   | of the segment                                                  |
/// |     16 |   16 | `store`        | id of the store                                                 |
/// |     32 |    8 | `number`       | of the segment                                                  |
/// |     40 |    8 | `salt`         | of the segment                                                  |
/// |     48 |    8 | `first`        | position of the first event                                     |
/// |     56 |    4 | `seal_crc`     | header checksum of the segment's SEAL frame                     |
/// |     60 |    4 | `events`       | count of events                                                 |
/// |     64 |    4 | `streams`      | count of streams                                                |
/// |     68 |    4 | `stream_bits`  | bits of a stream hash that the directory resolves               |
/// |     72 |    4 | `id_bits`      | bits of an id hash that the directory resolves                  |
/// |     76 |    4 |                | zero                                                            |
/// |     80 |   48 | `sections`     | offset of each section, in the order of [`Section`]; 8 bytes each|
/// |    128 |    4 | `blocks_crc`   | of the section of block checksums                               |
/// |    132 |    4 | `crc`          | of the bytes before                                             |
pub(crate) const HEADER_LEN: usize = 136;

/// Entry of the stream table: 48 bytes, sorted by `hash`.
///
/// | offset | size | field      | meaning                                                             |
/// |-------:|-----:|------------|---------------------------------------------------------------------|
/// |      0 |   16 | `hash`     | term hash of the stream's name, big-endian                          |
/// |     16 |    8 | `first`    | version of the stream's first event in this segment                 |
/// |     24 |    8 | `bytes`    | sum of the lengths of the stream's records in this segment          |
/// |     32 |    8 | `previous` | number of the segment before this one that holds the stream; 0: none|
/// |     40 |    4 | `postings` | index of the stream's first entry in the postings                   |
/// |     44 |    4 | `count`    | count of the stream's events in this segment                        |
pub(crate) const STREAM_LEN: usize = 48;

/// Entry of the id table: 12 bytes, sorted by `hash`, then `offset`: 8 bytes of the term hash of the event's id,
/// big-endian, and the 4-byte offset of the record. A match is confirmed by the record itself.
pub(crate) const ID_LEN: usize = 12;

const MAGIC: [u8; 8] = *b"ANNALIDX";

/// The sections, in their order in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Section {
    /// The offset of each record, by position; 4 bytes each.
    Offsets = 0,
    /// For each value of the first `stream_bits` bits, the first entry of the stream table; and the end. 4 bytes each.
    StreamDirectory = 1,
    /// The stream table.
    Streams = 2,
    /// The offsets of each stream's records, in order, stream by stream as in the table; 4 bytes each.
    Postings = 3,
    /// The directory of the id table, like that of the streams.
    IdDirectory = 4,
    /// The id table.
    Ids = 5,
}

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
    pub(crate) streams: u32,
    pub(crate) stream_bits: u32,
    pub(crate) id_bits: u32,
    pub(crate) blocks_crc: u32,
}

/// One entry of the stream table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StreamRow {
    pub(crate) hash: u128,
    pub(crate) first: StreamVersion,
    pub(crate) bytes: u64,
    pub(crate) previous: u64,
    pub(crate) postings: u32,
    pub(crate) count: u32,
}

impl StreamRow {
    pub(crate) fn encode(&self) -> [u8; STREAM_LEN] {
        let mut out = [0; STREAM_LEN];
        put(&mut out, 0, self.hash.to_be_bytes());
        put(&mut out, 16, self.first.get().to_le_bytes());
        put(&mut out, 24, self.bytes.to_le_bytes());
        put(&mut out, 32, self.previous.to_le_bytes());
        put(&mut out, 40, self.postings.to_le_bytes());
        put(&mut out, 44, self.count.to_le_bytes());
        out
    }

    pub(crate) fn decode(from: &[u8; STREAM_LEN]) -> StreamRow {
        StreamRow {
            hash: u128::from_be_bytes(bytes(from, 0)),
            first: StreamVersion::new(u64_at(from, 16)),
            bytes: u64_at(from, 24),
            previous: u64_at(from, 32),
            postings: u32_at(from, 40),
            count: u32_at(from, 44),
        }
    }
}

/// Entry of the id table: the hash and the record's offset.
pub(crate) fn encode_id(hash: u64, offset: u32) -> [u8; ID_LEN] {
    let mut out = [0; ID_LEN];
    put(&mut out, 0, hash.to_be_bytes());
    put(&mut out, 8, offset.to_le_bytes());
    out
}

pub(crate) fn decode_id(from: &[u8; ID_LEN]) -> (u64, u32) {
    (u64::from_be_bytes(bytes(from, 0)), u32_at(from, 8))
}

/// How many bits a directory over `entries` entries resolves: about eight entries a slot.
pub(crate) fn directory_bits(entries: usize) -> u32 {
    (entries / 8).next_power_of_two().ilog2()
}

impl IndexHeader {
    /// The length of each section in bytes, before padding.
    fn lens(&self) -> [u64; 6] {
        let (events, streams) = (u64::from(self.events), u64::from(self.streams));
        let directory = |bits: u32| ((1_u64 << bits.min(32)) + 1) * 4;
        [
            events * 4,
            directory(self.stream_bits),
            streams * STREAM_LEN as u64,
            events * 4,
            directory(self.id_bits),
            events * ID_LEN as u64,
        ]
    }

    /// The offset of each section, and the end of the last, where the block checksums begin.
    pub(crate) fn layout(&self) -> [u64; 7] {
        let mut at = BLOCK as u64;
        let mut out = [0; 7];
        for (slot, len) in out.iter_mut().zip(self.lens()) {
            *slot = at;
            at = (at + len).next_multiple_of(BLOCK as u64);
        }
        out[6] = at;
        out
    }

    /// Where the block checksums begin.
    pub(crate) fn checksums_at(&self) -> u64 {
        self.layout()[6]
    }

    /// How many blocks have a checksum: all but the header's.
    pub(crate) fn blocks(&self) -> usize {
        (self.checksums_at() / BLOCK as u64) as usize - 1
    }

    /// The length of the whole file.
    pub(crate) fn file_len(&self) -> u64 {
        self.checksums_at() + self.blocks() as u64 * 4
    }

    pub(crate) fn encode(&self) -> [u8; HEADER_LEN] {
        let mut out = [0; HEADER_LEN];
        put(&mut out, 0, MAGIC);
        put(&mut out, 8, FORMAT_VERSION.to_le_bytes());
        put(&mut out, 12, self.generation.to_le_bytes());
        put(&mut out, 16, self.store.0);
        put(&mut out, 32, self.number.0.to_le_bytes());
        put(&mut out, 40, self.salt.to_le_bytes());
        put(&mut out, 48, self.first.get().to_le_bytes());
        put(&mut out, 56, self.seal_crc.to_le_bytes());
        put(&mut out, 60, self.events.to_le_bytes());
        put(&mut out, 64, self.streams.to_le_bytes());
        put(&mut out, 68, self.stream_bits.to_le_bytes());
        put(&mut out, 72, self.id_bits.to_le_bytes());
        for (section, at) in self.layout()[..6].iter().enumerate() {
            put(&mut out, 80 + section * 8, at.to_le_bytes());
        }
        put(&mut out, 128, self.blocks_crc.to_le_bytes());
        let crc = crc32fast::hash(&out[..132]);
        put(&mut out, 132, crc.to_le_bytes());
        out
    }

    pub(crate) fn decode(from: &[u8; HEADER_LEN]) -> Result<IndexHeader, HeaderFault> {
        if from[..8] != MAGIC {
            return Err(HeaderFault::Magic { wanted: "ANNALIDX" });
        }
        let (found, wanted) = (crc32fast::hash(&from[..132]), u32_at(from, 132));
        if found != wanted {
            return Err(HeaderFault::Checksum { wanted, found });
        }
        if u32_at(from, 8) != FORMAT_VERSION {
            return Err(HeaderFault::Version { found: u32_at(from, 8) });
        }
        Ok(IndexHeader {
            store: StoreId(bytes(from, 16)),
            number: SegmentNumber(u64_at(from, 32)),
            salt: u64_at(from, 40),
            generation: u32_at(from, 12),
            seal_crc: u32_at(from, 56),
            first: Position::new(u64_at(from, 48)),
            events: u32_at(from, 60),
            streams: u32_at(from, 64),
            stream_bits: u32_at(from, 68),
            id_bits: u32_at(from, 72),
            blocks_crc: u32_at(from, 128),
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
            streams: 100,
            stream_bits: directory_bits(100),
            id_bits: directory_bits(3000),
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
    fn a_stream_row_comes_back_as_it_was() {
        let row = StreamRow {
            hash: 1 << 100 | 7,
            first: StreamVersion::new(2),
            bytes: 3,
            previous: 4,
            postings: 5,
            count: 6,
        };
        assert_eq!(StreamRow::decode(&row.encode()), row);
    }
}

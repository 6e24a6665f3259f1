//! The index file of a sealed segment, mapped: a lookup touches a few blocks, each checked before its first use.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::format::index::{
    BLOCK, HEADER_LEN, ID_LEN, IndexHeader, STREAM_LEN, Section, StreamRow, decode_id,
};
use crate::vfs::{Disk, Map, OpenMode};

/// The index is not usable: it must be built again. Why does not matter, the log has everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unusable;

impl From<std::io::Error> for Unusable {
    fn from(_: std::io::Error) -> Unusable {
        Unusable
    }
}

/// An open index file.
#[derive(Debug)]
pub(super) struct FileIndex {
    header: IndexHeader,
    sections: [u64; 7],
    map: Map,
    /// One bit a block: it has been checked.
    checked: Box<[AtomicU64]>,
}

impl FileIndex {
    /// Opens the file if it is whole where it was looked at, and about the segment that `wanted` describes.
    pub(super) fn open(disk: &dyn Disk, path: &Path, wanted: &IndexHeader) -> Result<FileIndex, Unusable> {
        let file = disk.open(path, OpenMode::Read)?;
        let mut bytes = [0; HEADER_LEN];
        file.read_exact_at(&mut bytes, 0)?;
        let header = IndexHeader::decode(&bytes).map_err(|_| Unusable)?;
        let same = header.store == wanted.store
            && header.number == wanted.number
            && header.salt == wanted.salt
            && header.generation == wanted.generation
            && header.seal_crc == wanted.seal_crc
            && header.first == wanted.first
            && header.events == wanted.events;
        if !same || file.len()? != header.file_len() {
            return Err(Unusable);
        }
        let map = file.map(header.file_len())?;
        let checksums = map.slice(header.checksums_at(), header.blocks() * 4)?;
        if crc32fast::hash(&checksums) != header.blocks_crc {
            return Err(Unusable);
        }
        let checked = (0..header.blocks().div_ceil(64)).map(|_| AtomicU64::new(0)).collect();
        Ok(FileIndex { sections: header.layout(), header, map, checked })
    }

    pub(super) fn file_len(&self) -> u64 {
        self.header.file_len()
    }

    /// Copies `buffer.len()` bytes at `at` of a section, whose blocks are checked first.
    fn read(&self, section: Section, at: u64, buffer: &mut [u8]) -> Result<(), Unusable> {
        let start = self.sections[section as usize].checked_add(at).ok_or(Unusable)?;
        let end = start.checked_add(buffer.len() as u64).ok_or(Unusable)?;
        if end > self.sections[section as usize + 1] {
            return Err(Unusable);
        }
        for block in start / BLOCK as u64..end.div_ceil(BLOCK as u64) {
            self.check(block)?;
        }
        Ok(self.map.read(buffer, start)?)
    }

    /// Checks a block, counted from the header's, unless it has been.
    fn check(&self, block: u64) -> Result<(), Unusable> {
        let number = block as usize - 1;
        let (word, bit) = (&self.checked[number / 64], 1 << (number % 64));
        if word.load(Ordering::Relaxed) & bit != 0 {
            return Ok(());
        }
        let mut wanted = [0; 4];
        self.map.read(&mut wanted, self.header.checksums_at() + number as u64 * 4)?;
        let bytes = self.map.slice(block * BLOCK as u64, BLOCK)?;
        if crc32fast::hash(&bytes) != u32::from_le_bytes(wanted) {
            return Err(Unusable);
        }
        word.fetch_or(bit, Ordering::Relaxed);
        Ok(())
    }

    /// Checks every block.
    pub(super) fn check_all(&self) -> Result<(), Unusable> {
        (1..=self.header.blocks() as u64).try_for_each(|block| self.check(block))
    }

    fn number(&self, section: Section, at: u64) -> Result<u32, Unusable> {
        let mut bytes = [0; 4];
        self.read(section, at * 4, &mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    /// Appends to `out` the numbers `from` to `to`, exclusive, of a section of numbers.
    fn numbers(&self, section: Section, from: u64, to: u64, out: &mut Vec<u32>) -> Result<(), Unusable> {
        let mut bytes = vec![0; (to - from) as usize * 4];
        self.read(section, from * 4, &mut bytes)?;
        out.extend(
            bytes.chunks_exact(4).map(|four| u32::from_le_bytes([four[0], four[1], four[2], four[3]])),
        );
        Ok(())
    }

    pub(super) fn offset(&self, ordinal: u32) -> Result<u32, Unusable> {
        self.number(Section::Offsets, u64::from(ordinal))
    }

    pub(super) fn offsets(&self, from: u32, to: u32, out: &mut Vec<u32>) -> Result<(), Unusable> {
        self.numbers(Section::Offsets, from.into(), to.into(), out)
    }

    pub(super) fn postings(&self, from: u32, to: u32, out: &mut Vec<u32>) -> Result<(), Unusable> {
        self.numbers(Section::Postings, from.into(), to.into(), out)
    }

    /// The entries of a table that share the first bits of a hash.
    fn candidates(&self, directory: Section, bits: u32, hash_high: u64) -> Result<(u32, u32), Unusable> {
        let slot = if bits == 0 { 0 } else { hash_high >> (64 - bits) };
        let (from, to) = (self.number(directory, slot)?, self.number(directory, slot + 1)?);
        if from <= to { Ok((from, to)) } else { Err(Unusable) }
    }

    /// The row of a stream, if the segment holds it.
    pub(super) fn stream(&self, hash: u128) -> Result<Option<StreamRow>, Unusable> {
        let bits = self.header.stream_bits;
        let (mut low, mut high) = self.candidates(Section::StreamDirectory, bits, (hash >> 64) as u64)?;
        while low < high {
            let middle = low + (high - low) / 2;
            let row = self.row(middle)?;
            match row.hash.cmp(&hash) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
                std::cmp::Ordering::Equal => return Ok(Some(row)),
            }
        }
        Ok(None)
    }

    pub(super) fn streams(&self) -> u32 {
        self.header.streams
    }

    pub(super) fn row(&self, number: u32) -> Result<StreamRow, Unusable> {
        let mut bytes = [0; STREAM_LEN];
        self.read(Section::Streams, u64::from(number) * STREAM_LEN as u64, &mut bytes)?;
        Ok(StreamRow::decode(&bytes))
    }

    /// The offsets of events whose ids may have this hash.
    pub(super) fn ids(&self, hash: u64) -> Result<Vec<u32>, Unusable> {
        let (from, to) = self.candidates(Section::IdDirectory, self.header.id_bits, hash)?;
        let mut found = Vec::new();
        for number in from..to {
            let mut bytes = [0; ID_LEN];
            self.read(Section::Ids, u64::from(number) * ID_LEN as u64, &mut bytes)?;
            match decode_id(&bytes) {
                (other, offset) if other == hash => found.push(offset),
                (other, _) if other > hash => break,
                _ => {}
            }
        }
        Ok(found)
    }
}

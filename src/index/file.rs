//! The index file of a sealed segment, mapped: a lookup touches a few blocks, each checked before its first use.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;

use super::place::Place;
use crate::format::index::filter::{self, BLOCK_LEN};
use crate::format::index::postings::{self, RUN, RUN_BYTES_MAX, RUN_ENTRY_LEN, RunEntry};
use crate::format::index::row::{TermRow, known_bytes};
use crate::format::index::{BLOCK, ID_LEN, IndexHeader, SECTIONS, Section, TIME_STEP, decode_id, slot};
use crate::model::Timestamp;
use crate::vfs::{Disk, Map, OpenMode};

/// The index is not usable: it must be built again. Why does not matter, the log has everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unusable;

impl From<std::io::Error> for Unusable {
    fn from(_: std::io::Error) -> Unusable {
        Unusable
    }
}

/// How many events of a term are few: each may lie in another place of the file.
const FEW: u32 = 16;

/// An open index file.
#[derive(Debug)]
pub(super) struct FileIndex {
    header: IndexHeader,
    sections: [u64; SECTIONS + 1],
    map: Map,
    /// One bit a block: it has been checked.
    checked: Box<[AtomicU64]>,
}

impl FileIndex {
    /// Opens the file if it is whole where it was looked at, and about the segment that `wanted` describes.
    pub(super) fn open(disk: &dyn Disk, path: &Path, wanted: &IndexHeader) -> Result<FileIndex, Unusable> {
        let file = disk.open(path, OpenMode::Read)?;
        let len = file.len()?;
        FileIndex::new(file.map(len)?, wanted)
    }

    /// The same of bytes, wherever they are.
    pub(super) fn new(map: Map, wanted: &IndexHeader) -> Result<FileIndex, Unusable> {
        let header = IndexHeader::decode(&map.array(0)?).map_err(|_| Unusable)?;
        let fits = header.is_about(wanted) && map.len() == header.file_len();
        if !fits || header.filter_blocks == 0 {
            return Err(Unusable);
        }
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

    /// The count of events.
    pub(super) fn events(&self) -> u32 {
        self.header.events
    }

    /// The count of streams that begin here.
    pub(super) fn begun(&self) -> u32 {
        self.header.begun
    }

    /// Checks the blocks of `len` bytes at `at` of a section, and tells where they are in the file.
    fn checked(&self, section: Section, at: u64, len: u64) -> Result<u64, Unusable> {
        let start = self.sections[section as usize].checked_add(at).ok_or(Unusable)?;
        let end = start.checked_add(len).ok_or(Unusable)?;
        if end > self.sections[section as usize + 1] {
            return Err(Unusable);
        }
        for block in start / BLOCK as u64..end.div_ceil(BLOCK as u64) {
            self.check(block)?;
        }
        Ok(start)
    }

    /// A copy of the `N` bytes at `at` of a section.
    #[inline]
    fn array<const N: usize>(&self, section: Section, at: u64) -> Result<[u8; N], Unusable> {
        let start = self.checked(section, at, N as u64)?;
        Ok(self.map.array(start)?)
    }

    /// The `len` bytes at `at` of a section.
    fn slice(&self, section: Section, at: u64, len: usize) -> Result<Bytes, Unusable> {
        let start = self.checked(section, at, len as u64)?;
        Ok(self.map.slice(start, len)?)
    }

    /// Checks a block, counted from the header's, unless it has been.
    fn check(&self, block: u64) -> Result<(), Unusable> {
        let number = block as usize - 1;
        let (word, bit) = (&self.checked[number / 64], 1 << (number % 64));
        if word.load(Ordering::Relaxed) & bit != 0 {
            return Ok(());
        }
        let wanted = self.map.array(self.header.checksums_at() + number as u64 * 4)?;
        let bytes = self.map.slice(block * BLOCK as u64, BLOCK)?;
        if crc32fast::hash(&bytes) != u32::from_le_bytes(wanted) {
            return Err(Unusable);
        }
        word.fetch_or(bit, Ordering::Relaxed);
        Ok(())
    }

    fn number(&self, section: Section, at: u64) -> Result<u32, Unusable> {
        self.array(section, at * 4).map(u32::from_le_bytes)
    }

    pub(super) fn place(&self, ordinal: u32) -> Result<Place, Unusable> {
        self.number(Section::Offsets, u64::from(ordinal)).map(Place::from_number)
    }

    /// Appends to `out` the places of the events `from` to `to`, exclusive.
    pub(super) fn places(&self, from: u32, to: u32, out: &mut Vec<Place>) -> Result<(), Unusable> {
        let bytes = self.slice(Section::Offsets, u64::from(from) * 4, (to - from) as usize * 4)?;
        let (numbers, _) = bytes.as_chunks::<4>();
        out.extend(numbers.iter().map(|number| Place::from_number(u32::from_le_bytes(*number))));
        Ok(())
    }

    /// Where the entries of a table that share the first bits of a hash begin and end, as the table's directory says.
    fn range(&self, directory: Section, bits: u32, hash_high: u64) -> Result<(u32, u32), Unusable> {
        let slot = slot(hash_high, bits);
        let (from, to) = (self.number(directory, slot)?, self.number(directory, slot + 1)?);
        if from <= to { Ok((from, to)) } else { Err(Unusable) }
    }

    /// Whether the segment may have a term: one look at the filter, which nearly always says no if it has not.
    #[inline]
    pub(super) fn may_have(&self, hash: u128) -> Result<bool, Unusable> {
        let at = filter::block_of(hash, self.header.filter_blocks);
        let block = self.array(Section::Filter, u64::from(at) * BLOCK_LEN as u64)?;
        Ok(filter::may_have(&block, hash))
    }

    /// Says that a term is about to be looked up: what the first looks need is fetched from memory meanwhile.
    #[inline]
    pub(super) fn will_look_up(&self, hash: u128) {
        let block = u64::from(filter::block_of(hash, self.header.filter_blocks)) * BLOCK_LEN as u64;
        let entry = slot((hash >> 64) as u64, self.header.term_bits) * 4;
        for (section, at) in [(Section::Filter, block), (Section::TermDirectory, entry)] {
            self.map.will_read(self.sections[section as usize] + at, 8);
        }
    }

    /// Says the same once what the first looks need has come: its row is fetched.
    #[inline]
    pub(super) fn will_read_row(&self, hash: u128) {
        if self.may_have(hash) == Ok(true)
            && let Ok((from, to)) =
                self.range(Section::TermDirectory, self.header.term_bits, (hash >> 64) as u64)
        {
            self.map
                .will_read(self.sections[Section::Terms as usize] + u64::from(from), (to - from) as usize);
        }
    }

    /// Says that a row's events are about to be looked up.
    #[inline]
    pub(super) fn will_read_postings(&self, row: &TermRow) {
        let (section, at) = match row.count {
            1 => (Section::Offsets, u64::from(row.postings) * 4),
            _ => (Section::Postings, row.postings.into()),
        };
        self.map.will_read(self.sections[section as usize] + at, 4);
    }

    /// Says the same once their postings have come, where they are few.
    pub(super) fn will_read_places(&self, row: &TermRow) {
        if !(2..=FEW).contains(&row.count) {
            return;
        }
        let mut ordinals = Vec::with_capacity(FEW as usize);
        if self.ordinals(row, 0, row.count, &mut ordinals).is_ok() {
            let at = self.sections[Section::Offsets as usize];
            ordinals.iter().for_each(|ordinal| self.map.will_read(at + u64::from(*ordinal) * 4, 4));
        }
    }

    /// The row of a term, if the segment has it. Whoever asks has asked the filter before: nearly all answers are known then.
    pub(super) fn term(&self, hash: u128) -> Result<Option<TermRow>, Unusable> {
        let (from, to) = self.range(Section::TermDirectory, self.header.term_bits, (hash >> 64) as u64)?;
        let found = self.rows_between(from, to, hash)?.find(|row| row.is_none_or(|row| row.hash >= hash));
        match found {
            Some(None) => Err(Unusable),
            Some(row) => Ok(row.filter(|row| row.hash == hash)),
            None => Ok(None),
        }
    }

    /// The rows in a range of the term table, all of hashes that begin like `like`; none stands for a broken row.
    fn rows_between(
        &self,
        from: u32,
        to: u32,
        like: u128,
    ) -> Result<impl Iterator<Item = Option<TermRow>> + use<>, Unusable> {
        let bytes = self.slice(Section::Terms, from.into(), (to - from) as usize)?;
        let known = known_bytes(self.header.term_bits);
        let mut at = 0;
        Ok(std::iter::from_fn(move || {
            let mut rest = &bytes[at..];
            if rest.is_empty() {
                return None;
            }
            let row = TermRow::decode(&mut rest, known, like);
            at = if row.is_some() { bytes.len() - rest.len() } else { bytes.len() };
            Some(row)
        }))
    }

    /// Walks over all rows, in the order of their hashes.
    pub(super) fn each_row(&self, mut visit: impl FnMut(TermRow)) -> Result<(), Unusable> {
        let bits = self.header.term_bits;
        for slot in 0..1_u64 << bits {
            let like = slot.checked_shl(64 - bits).unwrap_or(0);
            let (from, to) = self.range(Section::TermDirectory, bits, like)?;
            for row in self.rows_between(from, to, u128::from(like) << 64)? {
                visit(row.ok_or(Unusable)?);
            }
        }
        Ok(())
    }

    /// Appends to `out` the ordinals of a row's events number `from` to `to`, counted from 0, `to` exclusive.
    pub(super) fn ordinals(
        &self,
        row: &TermRow,
        from: u32,
        to: u32,
        out: &mut Vec<u32>,
    ) -> Result<(), Unusable> {
        if from >= to {
            return Ok(());
        }
        if to > row.count {
            return Err(Unusable);
        }
        if row.count == 1 {
            out.push(self.known(row.postings)?);
            return Ok(());
        }
        let (first_run, last_run) = (from / RUN, (to - 1) / RUN);
        let start = out.len();
        for run in first_run..=last_run {
            self.run(row, run, out)?;
        }
        out.truncate(start + (to - first_run * RUN) as usize);
        out.drain(start..start + (from - first_run * RUN) as usize);
        Ok(())
    }

    /// Appends to `out` one run of a row's ordinals.
    fn run(&self, row: &TermRow, run: u32, out: &mut Vec<u32>) -> Result<(), Unusable> {
        let (mut at, mut first) = (row.postings, None);
        if postings::has_table(row.count) {
            let entry = self.run_entry(row, run)?;
            at = at.checked_add(entry.at).ok_or(Unusable)?;
            first = Some(entry.first);
        }
        let left = u64::from(self.header.postings_len).checked_sub(at.into()).ok_or(Unusable)?;
        let bytes = self.slice(Section::Postings, at.into(), left.min(RUN_BYTES_MAX as u64) as usize)?;
        let count = (row.count - run * RUN).min(RUN);
        let start = out.len();
        postings::decode_run(&bytes, first, count, out).ok_or(Unusable)?;
        out[start..].last().map_or(Ok(()), |last| self.known(*last).map(drop))
    }

    /// An ordinal, if there is such an event: readers go by it to an offset.
    fn known(&self, ordinal: u32) -> Result<u32, Unusable> {
        if ordinal < self.header.events { Ok(ordinal) } else { Err(Unusable) }
    }

    fn run_entry(&self, row: &TermRow, run: u32) -> Result<RunEntry, Unusable> {
        let at = u64::from(row.postings) + u64::from(run) * RUN_ENTRY_LEN as u64;
        Ok(RunEntry::decode(&self.array(Section::Postings, at)?))
    }

    /// How many of a row's events have ordinals below `ordinal`.
    pub(super) fn rank(&self, row: &TermRow, ordinal: u32) -> Result<u32, Unusable> {
        if row.count == 0 {
            return Ok(0);
        }
        if row.count == 1 {
            return Ok(u32::from(row.postings < ordinal));
        }
        // The last run that begins below the ordinal has the last event below it.
        let (mut low, mut high) = (0, row.count.div_ceil(RUN));
        while postings::has_table(row.count) && low < high {
            let middle = low + (high - low) / 2;
            if self.run_entry(row, middle)?.first < ordinal {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        let run = low.saturating_sub(1);
        let mut ordinals = Vec::with_capacity(RUN as usize);
        self.run(row, run, &mut ordinals)?;
        Ok(run * RUN + ordinals.partition_point(|found| *found < ordinal) as u32)
    }

    /// The ordinals of events whose ids may have this hash.
    pub(super) fn ids(&self, hash: u64) -> Result<Vec<u32>, Unusable> {
        let (from, to) = self.range(Section::IdDirectory, self.header.id_bits, hash)?;
        let bytes =
            self.slice(Section::Ids, u64::from(from) * ID_LEN as u64, (to - from) as usize * ID_LEN)?;
        let (entries, _) = bytes.as_chunks::<ID_LEN>();
        let same = entries.iter().map(decode_id).filter(|(low, _)| *low == hash as u32);
        same.map(|(_, ordinal)| self.known(ordinal)).collect()
    }

    /// A range of ordinals that has the first event committed at `time` or later, if any is; `to` may be it, too.
    pub(super) fn around(&self, time: Timestamp) -> Result<(u32, u32), Unusable> {
        let (mut low, mut high) = (0, self.header.events.div_ceil(TIME_STEP));
        while low < high {
            let middle = low + (high - low) / 2;
            let nanos = self.array(Section::Times, u64::from(middle) * 8)?;
            if Timestamp::from_nanos(i64::from_le_bytes(nanos)) < time {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok((low.saturating_sub(1) * TIME_STEP, (low * TIME_STEP).min(self.header.events)))
    }
}

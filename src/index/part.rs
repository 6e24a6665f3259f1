//! One segment with its index: the unit in which events are found.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use arc_swap::ArcSwapOption;

use super::build::{add_frame, build_file, check_whole, wanted};
use super::file::{FileIndex, Unusable};
use super::memory::{MemoryIndex, Previous, StreamNodes};
use super::term::TermHasher;
use crate::error::Error;
use crate::log::{Segment, scan};
use crate::model::{Position, StreamVersion};
use crate::vfs::Disk;

/// How the parts of a store build and open their indexes.
#[derive(Debug)]
pub(crate) struct Indexing {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) hasher: TermHasher,
    /// Then a missing index is built in memory, and no file is written.
    pub(crate) read_only: bool,
}

/// A segment with its index.
pub(crate) struct Part {
    pub(crate) segment: Arc<Segment>,
    /// The position of its first event.
    pub(crate) first: Position,
    sealed: OnceLock<Sealed>,
    index: ArcSwapOption<Index>,
    /// Its index file turned out to be unusable: it must be built again, however whole its header looks.
    file_is_unusable: AtomicBool,
    building: Mutex<()>,
    indexing: Arc<Indexing>,
}

/// Where a segment ends, by its SEAL.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sealed {
    /// The offset of the SEAL frame.
    pub(crate) at: u64,
    /// Its header checksum.
    pub(crate) crc: u32,
    /// The position after its last event.
    pub(crate) next: Position,
}

enum Index {
    Memory(Arc<MemoryIndex>),
    File(FileIndex),
}

/// The events of one stream in one part.
pub(crate) struct StreamHere {
    pub(crate) first: StreamVersion,
    pub(crate) count: u32,
    pub(crate) bytes: u64,
    pub(crate) previous: Previous,
    place: Place,
}

enum Place {
    Memory(Arc<Index>, StreamNodes),
    /// The hash, and where the offsets begin in the postings.
    File(u128, u32),
}

impl StreamHere {
    /// The version of the stream's last event here.
    pub(crate) fn last(&self) -> StreamVersion {
        self.first.advanced(u64::from(self.count)).previous()
    }
}

impl Part {
    /// The part of a segment that is written to, with the index that grows with it.
    pub(crate) fn active(
        segment: Arc<Segment>,
        first: Position,
        memory: Arc<MemoryIndex>,
        indexing: Arc<Indexing>,
    ) -> Part {
        Part {
            segment,
            first,
            sealed: OnceLock::new(),
            index: ArcSwapOption::from_pointee(Index::Memory(memory)),
            file_is_unusable: AtomicBool::new(false),
            building: Mutex::new(()),
            indexing,
        }
    }

    /// The part of a segment that is sealed; its index is opened or built when it is first asked for.
    pub(crate) fn sealed(
        segment: Arc<Segment>,
        first: Position,
        sealed: Sealed,
        indexing: Arc<Indexing>,
    ) -> Part {
        Part {
            segment,
            first,
            sealed: OnceLock::from(sealed),
            index: ArcSwapOption::empty(),
            file_is_unusable: AtomicBool::new(false),
            building: Mutex::new(()),
            indexing,
        }
    }

    /// Notes that the segment is sealed.
    pub(crate) fn seal(&self, sealed: Sealed) {
        // A second seal of one segment would say the same.
        let _ = self.sealed.set(sealed);
    }

    /// Where it ends; none while it is written to.
    pub(crate) fn seal_place(&self) -> Option<Sealed> {
        self.sealed.get().copied()
    }

    pub(crate) fn number(&self) -> u64 {
        self.segment.number().0
    }

    /// How many of its events readers may see.
    pub(crate) fn events(&self, visible: Position) -> u32 {
        let end = visible.next();
        let end = self.sealed.get().map_or(end, |sealed| sealed.next.min(end));
        count_between(self.first, end)
    }

    fn idx_path(&self) -> PathBuf {
        self.segment.path.with_extension("idx")
    }

    /// The size of its index file; 0 while it has none.
    pub(crate) fn index_bytes(&self) -> u64 {
        match self.index.load().as_deref() {
            Some(Index::File(file)) => file.file_len(),
            _ => 0,
        }
    }

    /// Asks the index. One that turns out to be unusable is built again, and asked again.
    fn ask<T>(
        &self,
        parts: &[Arc<Part>],
        question: impl Fn(&Arc<Index>) -> Result<T, Unusable>,
    ) -> Result<T, Error> {
        for _ in 0..2 {
            let index = match self.index.load_full() {
                Some(index) => index,
                None => self.open_or_build(parts)?,
            };
            match question(&index) {
                Ok(answer) => return Ok(answer),
                Err(Unusable) => self.forget(&index),
            }
        }
        Err(Error::damaged(
            self.idx_path(),
            0,
            "the index was built again and still does not fit its segment",
        ))
    }

    fn building(&self) -> MutexGuard<'_, ()> {
        // The lock guards no data: a panic while building leaves nothing half done but a temporary file.
        self.building.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives up an index that is unusable. Its file is built again, or passed over by a store that is only read.
    fn forget(&self, index: &Arc<Index>) {
        let _guard = self.building();
        if self.index.load().as_ref().is_some_and(|current| Arc::ptr_eq(current, index)) {
            self.file_is_unusable.store(true, Ordering::Relaxed);
            self.index.store(None);
        }
    }

    /// Opens the index file, or builds it; in memory, when it may not or cannot be written. `parts` are all parts of the
    /// store, to find streams in those before this one.
    fn open_or_build(&self, parts: &[Arc<Part>]) -> Result<Arc<Index>, Error> {
        let _guard = self.building();
        if let Some(index) = self.index.load_full() {
            return Ok(index);
        }
        let index = match self.open_or_build_file(parts) {
            Ok(Some(file)) => Index::File(file),
            // A full disk must not keep anyone from reading.
            Ok(None) | Err(Error::Io { .. }) => Index::Memory(Arc::new(self.build_in_memory()?)),
            Err(error) => return Err(error),
        };
        let index = Arc::new(index);
        self.index.store(Some(index.clone()));
        Ok(index)
    }

    /// Opens the index file, or builds it. None when there is none and a store that is only read may not build it.
    fn open_or_build_file(&self, parts: &[Arc<Part>]) -> Result<Option<FileIndex>, Error> {
        let Some(sealed) = self.sealed.get() else {
            return Err(Error::invalid("a segment without SEAL has its index in memory"));
        };
        let events = sealed.next.since(self.first) as u32;
        let wanted = wanted(&self.segment, self.segment.header.store, self.first, sealed.crc, events);
        let disk = self.indexing.disk.as_ref();
        let path = self.idx_path();
        if !self.file_is_unusable.load(Ordering::Relaxed)
            && let Ok(file) = FileIndex::open(disk, &path, &wanted)
        {
            return Ok(Some(file));
        }
        if self.indexing.read_only {
            return Ok(None);
        }
        build_file(disk, &path, &self.segment, wanted.clone(), &self.indexing.hasher, |hash| {
            Ok(newest_before(parts, self.number(), hash)?.map_or(0, |(part, _)| part.number()))
        })?;
        let built = FileIndex::open(disk, &path, &wanted);
        built
            .map(Some)
            .map_err(|Unusable| Error::damaged(&path, 0, "what was just written reads back otherwise"))
    }

    fn build_in_memory(&self) -> Result<MemoryIndex, Error> {
        let index = MemoryIndex::new(self.segment.header.capacity);
        let scanned = scan(&self.segment, |frame| {
            add_frame(&index, frame, &self.indexing.hasher);
            Ok(())
        })?;
        check_whole(&self.segment, scanned)?;
        Ok(index)
    }

    /// Puts the index of a sealed segment on disk, and gives up the one in memory.
    pub(crate) fn move_index_to_disk(&self, parts: &[Arc<Part>]) -> Result<(), Error> {
        let in_memory = matches!(self.index.load().as_deref(), Some(Index::Memory(_)) | None);
        if !in_memory || self.indexing.read_only {
            return Ok(());
        }
        // Readers go on with the index in memory until the file is there.
        let Some(sealed) = self.sealed.get() else { return Ok(()) };
        let part = Part::sealed(self.segment.clone(), self.first, *sealed, self.indexing.clone());
        let _guard = self.building();
        if let Some(file) = part.open_or_build_file(parts)? {
            self.index.store(Some(Arc::new(Index::File(file))));
        }
        Ok(())
    }

    /// Checks every byte of its index file; true when there is none to check.
    pub(crate) fn index_is_whole(&self) -> bool {
        let Some(sealed) = self.sealed.get() else { return true };
        let path = self.idx_path();
        if !self.indexing.disk.exists(&path).unwrap_or(false) {
            return true;
        }
        let events = sealed.next.since(self.first) as u32;
        let wanted = wanted(&self.segment, self.segment.header.store, self.first, sealed.crc, events);
        FileIndex::open(self.indexing.disk.as_ref(), &path, &wanted)
            .and_then(|index| index.check_all())
            .is_ok()
    }

    /// Appends to `out` the offsets of its events number `from` to `to`, counted from 0, `to` exclusive.
    pub(crate) fn offsets(
        &self,
        parts: &[Arc<Part>],
        from: u32,
        to: u32,
        out: &mut Vec<u32>,
    ) -> Result<(), Error> {
        let found = self.ask(parts, |index| match index.as_ref() {
            Index::Memory(memory) => Ok((from..to).map(|ordinal| memory.offset(ordinal)).collect()),
            Index::File(file) => {
                let mut found = Vec::new();
                file.offsets(from, to, &mut found).map(|()| found)
            }
        })?;
        out.extend(found);
        Ok(())
    }

    /// The offset of one event.
    pub(crate) fn offset(&self, parts: &[Arc<Part>], ordinal: u32) -> Result<u32, Error> {
        self.ask(parts, |index| match index.as_ref() {
            Index::Memory(memory) => Ok(memory.offset(ordinal)),
            Index::File(file) => file.offset(ordinal),
        })
    }

    /// What it holds of a stream among the events that readers may see.
    pub(crate) fn stream(
        &self,
        parts: &[Arc<Part>],
        hash: u128,
        visible: Position,
    ) -> Result<Option<StreamHere>, Error> {
        let events = self.events(visible);
        self.ask(parts, |index| match index.as_ref() {
            Index::Memory(memory) => Ok(memory.stream(hash, events).map(|nodes| StreamHere {
                first: nodes.first,
                count: nodes.count,
                bytes: nodes.bytes,
                previous: nodes.previous,
                place: Place::Memory(index.clone(), nodes),
            })),
            Index::File(file) => Ok(file.stream(hash)?.map(|row| StreamHere {
                first: row.first,
                count: row.count,
                bytes: row.bytes,
                previous: Previous::from_number(row.previous),
                place: Place::File(hash, row.postings),
            })),
        })
    }

    /// Appends to `out` the offsets of a stream's events number `from` to `to` here, counted from 0, `to` exclusive.
    pub(crate) fn stream_offsets(
        &self,
        parts: &[Arc<Part>],
        here: &StreamHere,
        from: u32,
        to: u32,
        out: &mut Vec<u32>,
    ) -> Result<(), Error> {
        if from >= to {
            return Ok(());
        }
        let (hash, postings) = match &here.place {
            Place::Memory(index, nodes) => {
                if let Index::Memory(memory) = index.as_ref() {
                    memory.offsets_of(nodes, from, to, out);
                }
                return Ok(());
            }
            Place::File(hash, postings) => (*hash, *postings),
        };
        let found = self.ask(parts, |index| match index.as_ref() {
            Index::File(file) => {
                let mut found = Vec::new();
                file.postings(postings.saturating_add(from), postings.saturating_add(to), &mut found)
                    .map(|()| found)
            }
            // A store that is only read has found its file unusable meanwhile, and built in memory.
            Index::Memory(memory) => {
                let mut found = Vec::new();
                let nodes = memory.stream(hash, u32::MAX).ok_or(Unusable)?;
                memory.offsets_of(&nodes, from, to, &mut found);
                Ok(found)
            }
        })?;
        out.extend(found);
        Ok(())
    }

    /// The offsets of events whose ids may have this hash.
    pub(crate) fn ids(&self, parts: &[Arc<Part>], hash: u64) -> Result<Vec<u32>, Error> {
        self.ask(parts, |index| match index.as_ref() {
            Index::Memory(memory) => Ok(memory.ids(hash)),
            Index::File(file) => file.ids(hash),
        })
    }

    /// The offsets of the first events of streams that begin here, in order.
    pub(crate) fn beginnings(&self, parts: &[Arc<Part>], visible: Position) -> Result<Vec<u32>, Error> {
        let events = self.events(visible);
        self.ask(parts, |index| match index.as_ref() {
            Index::Memory(memory) => Ok(memory.beginnings(events)),
            Index::File(file) => {
                let mut offsets = Vec::new();
                for number in 0..file.streams() {
                    let row = file.row(number)?;
                    if row.first == StreamVersion::new(1) {
                        file.postings(row.postings, row.postings.saturating_add(1), &mut offsets)?;
                    }
                }
                offsets.sort_unstable();
                Ok(offsets)
            }
        })
    }
}

/// How many events lie from `first` to before `end`, which may be a bound far beyond all events.
fn count_between(first: Position, end: Position) -> u32 {
    u32::try_from(end.since(first)).unwrap_or(u32::MAX)
}

/// The newest part before segment `number` that holds a stream.
pub(super) fn newest_before(
    parts: &[Arc<Part>],
    number: u64,
    hash: u128,
) -> Result<Option<(&Arc<Part>, StreamHere)>, Error> {
    let all = Position::new(u64::MAX - 1);
    for part in parts.iter().rev().filter(|part| part.number() < number) {
        if let Some(here) = part.stream(parts, hash, all)? {
            return Ok(Some((part, here)));
        }
    }
    Ok(None)
}

impl std::fmt::Debug for Part {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Part")
            .field("segment", &self.segment.path)
            .field("first", &self.first)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_beyond_all_events_counts_all_whatever_the_first_position_is() {
        let beyond = Position::new(u64::MAX);
        for first in [1, (1 << 32) - 2, (1 << 32) - 1, 1 << 32, (5 << 32) - 1] {
            assert_eq!(count_between(Position::new(first), beyond), u32::MAX, "{first}");
        }
        assert_eq!(count_between(Position::new(5), Position::new(7)), 2);
        assert_eq!(count_between(Position::new(5), Position::new(3)), 0);
    }
}

//! One segment with its index: the unit in which events are found.

mod answers;

pub(crate) use answers::{Postings, StreamHere};

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

use arc_swap::ArcSwapOption;
use bytes::Bytes;

use super::backlog::Backlog;
use super::build::{commit_time, encode, read_segment, wanted};
use super::catalog::older;
use super::file::{FileIndex, Unusable};
use super::kept::{Cell, Kept};
use super::memory::{MemoryIndex, Previous};
use super::place::Place;
use super::term::TermHasher;
use super::walk::Walk;
use crate::error::Error;
use crate::format::event;
use crate::format::index::IndexHeader;
use crate::log::Segment;
use crate::model::{Position, RecordedEvent, Timestamp};
use crate::vfs::{Disk, Map, write_whole};

/// How the parts of a store build and open their indexes.
#[derive(Debug)]
pub(crate) struct Indexing {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) hasher: TermHasher,
    /// Then an index that is missing is built, but not written to a file.
    pub(crate) read_only: bool,
    pub(crate) backlog: Backlog,
    kept: Kept<Index>,
    /// A file is being written. A segment that is rewritten has two parts for a while, whose files have one name.
    writing: Mutex<()>,
}

impl Indexing {
    /// `kept_bytes_max` bounds the indexes that are in memory because no file could be written.
    pub(crate) fn new(
        disk: Arc<dyn Disk>,
        hasher: TermHasher,
        read_only: bool,
        backlog: Backlog,
        kept_bytes_max: u64,
    ) -> Indexing {
        let (kept, writing) = (Kept::new(kept_bytes_max), Mutex::default());
        Indexing { disk, hasher, read_only, backlog, kept, writing }
    }
}

/// A segment with its index.
pub(crate) struct Part {
    pub(crate) segment: Arc<Segment>,
    /// The position of its first event.
    pub(crate) first: Position,
    sealed: OnceLock<Sealed>,
    index: Cell<Index>,
    /// Where events lie while the index is missing.
    walk: Walk,
    /// Its index file turned out to be unusable: it must be built again, however whole its header looks.
    file_is_unusable: AtomicBool,
    building: Mutex<()>,
    indexing: Arc<Indexing>,
}

/// Where an index is kept that was just built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Keep {
    /// In its file, if that can be written and read.
    InAFile,
    InMemory,
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

#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "each is behind an `Arc`, and a look-up would follow one pointer more"
)]
enum Index {
    /// Of the segment that is written to, or was until a moment ago.
    Memory(Arc<MemoryIndex>),
    File(FileIndex),
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
            index: Arc::new(ArcSwapOption::from_pointee(Index::Memory(memory))),
            walk: Walk::default(),
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
        segment.let_go_of_file();
        Part {
            segment,
            first,
            sealed: OnceLock::from(sealed),
            index: Cell::default(),
            walk: Walk::default(),
            file_is_unusable: AtomicBool::new(false),
            building: Mutex::new(()),
            indexing,
        }
    }

    /// Notes that the segment is sealed.
    pub(crate) fn seal(&self, sealed: Sealed) {
        self.segment.let_go_of_file();
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

    /// The record that begins at `offset`, checked.
    pub(crate) fn record(&self, offset: u32) -> Result<Bytes, Error> {
        let at = u64::from(offset);
        let damaged = |fault: event::EventFault| self.segment.damaged(at, fault);
        let len = event::record_len(&self.segment.array(at)?).map_err(damaged)?;
        let record = self.segment.slice(at, len)?;
        event::check(&record).map_err(damaged)?;
        Ok(record)
    }

    /// When what is at a place was committed: its frame says it. Of events that have been removed, a time between those of
    /// their neighbours.
    pub(crate) fn commit_time(&self, place: Place) -> Result<Timestamp, Error> {
        commit_time(&self.segment, place)
    }

    /// The event whose record begins at `offset`, checked. Its commit time, which its frame has, is left out.
    pub(crate) fn event(&self, offset: u32) -> Result<RecordedEvent, Error> {
        let record = self.record(offset)?;
        event::decode(record, Timestamp::default())
            .map_err(|fault| self.segment.damaged(offset.into(), fault))
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

    /// Asks the index. One that is missing is built, if that is worth waiting for. One that turns out to be unusable is
    /// built again, and asked again; if that is of no use either, as when the disk fails to read, one is built in memory.
    fn ask<T>(
        &self,
        parts: &[Arc<Part>],
        question: impl Fn(&Arc<Index>) -> Result<T, Unusable>,
    ) -> Result<T, Error> {
        for _ in 0..2 {
            let index = match self.index_that_is_there() {
                Some(index) => index,
                None => {
                    self.indexing.backlog.check()?;
                    self.open_or_build(parts)?
                }
            };
            match question(&index) {
                Ok(answer) => return Ok(answer),
                Err(Unusable) => self.forget(&index),
            }
        }
        let _guard = self.building();
        if let Some(sealed) = self.sealed.get()
            && let Ok(answer) = question(&self.build(sealed, parts, Keep::InMemory)?)
        {
            return Ok(answer);
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

    /// Opens the index file, or builds it. `parts` are all parts of the store, to find streams in those before this one.
    fn open_or_build(&self, parts: &[Arc<Part>]) -> Result<Arc<Index>, Error> {
        let _guard = self.building();
        if let Some(index) = self.index.load_full() {
            return Ok(index);
        }
        let Some(sealed) = self.sealed.get() else {
            return Err(Error::invalid("a segment without SEAL has its index in memory"));
        };
        if let Some(index) = self.open_file(sealed) {
            return Ok(index);
        }
        self.build(sealed, parts, Keep::InAFile)
    }

    /// Reads the segment, and builds the index of what it holds.
    fn build(&self, sealed: &Sealed, parts: &[Arc<Part>], keep: Keep) -> Result<Arc<Index>, Error> {
        let begun = Instant::now();
        let memory = read_segment(&self.segment, &self.indexing.hasher);
        let built = memory.and_then(|memory| self.build_from(&memory, sealed, parts, keep));
        self.indexing.backlog.settle(self.number(), built.is_ok().then(|| begun.elapsed()));
        built
    }

    /// Opens the index file, if there is one that can be used.
    fn open_file(&self, sealed: &Sealed) -> Option<Arc<Index>> {
        if self.file_is_unusable.load(Ordering::Relaxed) {
            return None;
        }
        let wanted = self.wanted(sealed);
        let file = FileIndex::open(self.indexing.disk.as_ref(), &self.idx_path(), &wanted).ok()?;
        Some(self.use_index(Index::File(file)))
    }

    /// The index, unless it would have to be built, or is being built.
    fn index_that_is_there(&self) -> Option<Arc<Index>> {
        self.index.load_full().or_else(|| {
            let _guard = self.building.try_lock().ok()?;
            self.open_file(self.sealed.get()?)
        })
    }

    /// Writes the index file out of what is in memory, and uses it. A full disk, or a store that may only be read, must
    /// not keep anyone from reading: then the bytes stay in memory.
    fn build_from(
        &self,
        memory: &MemoryIndex,
        sealed: &Sealed,
        parts: &[Arc<Part>],
        keep: Keep,
    ) -> Result<Arc<Index>, Error> {
        let wanted = self.wanted(sealed);
        let previous = |hash| known_before(parts, self.number(), hash);
        let bytes = encode(memory, &self.segment, wanted.clone(), previous)?;
        let (disk, path) = (self.indexing.disk.as_ref(), self.idx_path());
        let written = if self.indexing.read_only || keep == Keep::InMemory {
            None
        } else {
            // It guards no data. What a panic leaves half written is removed by whoever writes next.
            let _writing = self.indexing.writing.lock().unwrap_or_else(PoisonError::into_inner);
            match write_whole(disk, &path, &path.with_extension("idx.tmp"), &bytes) {
                Ok(()) => FileIndex::open(disk, &path, &wanted).ok(),
                Err(_) => None,
            }
        };
        if let Some(file) = written {
            return Ok(self.use_index(Index::File(file)));
        }
        let len = bytes.len() as u64;
        let file = FileIndex::new(Map::from_bytes(bytes.into()), &wanted).map_err(|Unusable| {
            Error::damaged(path, 0, "an index was built that does not fit its segment")
        })?;
        let index = self.use_index(Index::File(file));
        self.indexing.kept.keep(&self.index, &index, len);
        Ok(index)
    }

    fn use_index(&self, index: Index) -> Arc<Index> {
        let index = Arc::new(index);
        self.index.store(Some(index.clone()));
        index
    }

    /// Whether the index is there, or in a file that can be used.
    pub(crate) fn has_index(&self) -> bool {
        self.index_that_is_there().is_some()
    }

    /// What its index file must say.
    fn wanted(&self, sealed: &Sealed) -> IndexHeader {
        let events = sealed.next.since(self.first) as u32;
        wanted(&self.segment, self.first, sealed.crc, events)
    }

    /// Puts the index of a sealed segment on disk, and gives up the one in memory.
    pub(crate) fn move_index_to_disk(&self, parts: &[Arc<Part>]) -> Result<(), Error> {
        let (Some(sealed), false) = (self.sealed.get(), self.indexing.read_only) else { return Ok(()) };
        match self.index.load_full().as_deref() {
            Some(Index::File(_)) => Ok(()),
            None => self.open_or_build(parts).map(drop),
            // Readers go on with the index in memory until the file is there.
            Some(Index::Memory(memory)) => {
                let _guard = self.building();
                self.build_from(memory, sealed, parts, Keep::InAFile).map(drop)
            }
        }
    }
}

/// How many events lie from `first` to before `end`, which may be a bound far beyond all events.
fn count_between(first: Position, end: Position) -> u32 {
    u32::try_from(end.since(first)).unwrap_or(u32::MAX)
}

/// Where the stream lay before segment `number`, as far as indexes that are there can tell. None is made for it: making
/// one would ask for the one before, and so on through all of the log.
fn known_before(parts: &[Arc<Part>], number: u64, hash: u128) -> Previous {
    for part in older(parts, number).iter().rev() {
        let Some(index) = part.index_that_is_there() else { return Previous::Unknown };
        if !part.may_have(hash) {
            continue;
        }
        match part.term(&index, hash, u32::MAX) {
            Ok(None) => {}
            Ok(Some(_)) => return Previous::Segment(part.number()),
            Err(Unusable) => return Previous::Unknown,
        }
    }
    Previous::Unknown
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

//! The index of a segment, made again from its frames.
//!
//! Events wait until there are some dozens of them: what adding them will touch is then fetched from memory at one time.

use super::memory::{MemoryIndex, NewEntry, Previous};
use super::term::{RecentTerm, RecordTerms, Term, TermHasher};
use crate::format::{FrameKind, event, removed};
use crate::log::Frame;
use crate::model::StreamVersion;

/// How many events wait.
const WAITING_MAX: usize = 64;

/// An index that is filled frame by frame.
pub(crate) struct Refill {
    index: MemoryIndex,
    hasher: TermHasher,
    category: RecentTerm,
    event_type: RecentTerm,
    waiting: Vec<Waiting>,
}

struct Waiting {
    offset: u32,
    bytes: u32,
    version: StreamVersion,
    terms: RecordTerms,
}

impl Refill {
    /// Of an index without events.
    pub(crate) fn new(index: MemoryIndex, hasher: TermHasher) -> Refill {
        let (category, event_type) = (RecentTerm::new(Term::Category), RecentTerm::new(Term::Type));
        Refill { index, hasher, category, event_type, waiting: Vec::with_capacity(WAITING_MAX) }
    }

    /// Adds the events of the next frame.
    pub(crate) fn add(&mut self, frame: &Frame) {
        if frame.header.kind == FrameKind::Removed {
            self.insert_waiting();
            self.index.insert_removed(frame.offset as u32, frame.header.count);
            for last in removed::streams(frame.body()) {
                self.index.insert_past(self.hasher.stream(last.stream), last.version);
            }
        }
        for (offset, record) in frame.records() {
            let Some(terms) = self.hasher.record(record, &mut self.category, &mut self.event_type) else {
                continue;
            };
            let (bytes, version) = (record.len() as u32, event::version(record));
            self.index.will_insert(&terms);
            self.waiting.push(Waiting { offset, bytes, version, terms });
            if self.waiting.len() == WAITING_MAX {
                self.insert_waiting();
            }
        }
    }

    /// The index with all that was added.
    pub(crate) fn finish(mut self) -> MemoryIndex {
        self.insert_waiting();
        self.index
    }

    fn insert_waiting(&mut self) {
        for Waiting { offset, bytes, version, terms } in self.waiting.drain(..) {
            let previous = if version == StreamVersion::new(1) { Previous::None } else { Previous::Unknown };
            self.index.insert(NewEntry { offset, bytes, version, terms: &terms, previous });
        }
    }
}

//! What a part answers: where its events lie, and which of them a term has.

use std::ops::Range;
use std::sync::Arc;

use super::{Index, Part};
use crate::error::Error;
use crate::format::index::row::TermRow;
use crate::index::file::Unusable;
use crate::index::memory::{Previous, StreamFacts, TermHere};
use crate::model::{Position, StreamVersion, Timestamp};

/// The events of one term in one part.
pub(crate) struct Postings {
    /// How many there are, as far as readers may see.
    pub(crate) count: u32,
    place: Place,
}

enum Place {
    Memory(Arc<Index>, TermHere),
    File(TermRow),
}

/// A stream in one part.
pub(crate) struct StreamHere {
    /// The version of its first event here.
    pub(crate) first: StreamVersion,
    /// The sum of the lengths of its records here.
    pub(crate) bytes: u64,
    pub(crate) previous: Previous,
    pub(crate) postings: Postings,
}

impl StreamHere {
    /// How many of its events are here, as far as readers may see.
    pub(crate) fn count(&self) -> u32 {
        self.postings.count
    }

    /// The version of its last event here.
    pub(crate) fn last(&self) -> StreamVersion {
        self.first.advanced(u64::from(self.count())).previous()
    }
}

impl Part {
    /// Appends to `out` the offsets of its events with these numbers, counted from 0, or nothing on an error. Needs no
    /// index.
    pub(crate) fn offsets(&self, wanted: Range<u32>, out: &mut Vec<u32>) -> Result<(), Error> {
        let kept = out.len();
        if let Some(index) = self.index_that_is_there() {
            let found = match index.as_ref() {
                Index::Memory(memory) => {
                    out.extend(wanted.clone().map(|ordinal| memory.offset(ordinal)));
                    Ok(())
                }
                Index::File(file) => file.offsets(wanted.start, wanted.end, out),
            };
            if found.is_ok() {
                return Ok(());
            }
            out.truncate(kept);
            self.forget(&index);
        }
        let found = self.walk.offsets(&self.segment, self.first, wanted, out);
        found.inspect_err(|_| out.truncate(kept))
    }

    /// The offset of one event. Needs no index.
    pub(crate) fn offset(&self, ordinal: u32) -> Result<u32, Error> {
        let index = self.index.load();
        let found = match index.as_deref() {
            Some(Index::Memory(memory)) => Some(memory.offset(ordinal)),
            Some(Index::File(file)) => file.offset(ordinal).ok(),
            None => None,
        };
        if let Some(offset) = found {
            return Ok(offset);
        }
        let mut offset = Vec::with_capacity(1);
        self.offsets(ordinal..ordinal + 1, &mut offset)?;
        offset.pop().ok_or_else(|| self.segment.damaged(0, format!("it has no event number {ordinal}")))
    }

    /// Whether it may have a term. Most parts that do not have it are passed over by this alone.
    #[inline]
    fn may_have(&self, hash: u128) -> bool {
        match self.index.load().as_deref() {
            Some(Index::File(file)) => file.may_have(hash) != Ok(false),
            _ => true,
        }
    }

    /// The events of a term among those that readers may see; none when there are none.
    pub(crate) fn postings(
        &self,
        parts: &[Arc<Part>],
        hash: u128,
        visible: Position,
    ) -> Result<Option<Postings>, Error> {
        if !self.may_have(hash) {
            return Ok(None);
        }
        let events = self.events(visible);
        let found = self.ask(parts, |index| self.term(index, hash, events))?;
        Ok(found.map(|(postings, _)| postings))
    }

    /// A stream's events among those that readers may see.
    pub(crate) fn stream(
        &self,
        parts: &[Arc<Part>],
        hash: u128,
        visible: Position,
    ) -> Result<Option<StreamHere>, Error> {
        if !self.may_have(hash) {
            return Ok(None);
        }
        let events = self.events(visible);
        self.ask(parts, |index| match self.term(index, hash, events)? {
            None => Ok(None),
            Some((postings, Some(StreamFacts { first, bytes, previous }))) => {
                Ok(Some(StreamHere { first, bytes, previous, postings }))
            }
            Some((_, None)) => Err(Unusable),
        })
    }

    /// A term's first `events` events, and what is known of it when it is a stream.
    pub(super) fn term(
        &self,
        index: &Arc<Index>,
        hash: u128,
        events: u32,
    ) -> Result<Option<(Postings, Option<StreamFacts>)>, Unusable> {
        match index.as_ref() {
            Index::Memory(memory) => Ok(memory.term(hash, events).map(|here| {
                let postings = Postings { count: here.count, place: Place::Memory(index.clone(), here) };
                (postings, memory.stream_facts(&here))
            })),
            Index::File(file) => {
                let Some(row) = file.term(hash)? else { return Ok(None) };
                // A reader that looked before the segment was full sees less than there is.
                let count = if events < file.events() { file.rank(&row, events)? } else { row.count };
                let facts = row.stream.map(|stream| StreamFacts {
                    first: stream.first,
                    bytes: stream.bytes,
                    previous: match self.number().checked_sub(stream.back) {
                        Some(number) if stream.back > 0 => Previous::Segment(number),
                        _ => Previous::Unknown,
                    },
                });
                Ok((count > 0).then_some((Postings { count, place: Place::File(row) }, facts)))
            }
        }
    }

    /// Appends to `out` the ordinals of events number `from` to `to` of a term, counted from 0, `to` exclusive.
    pub(crate) fn ordinals(
        &self,
        parts: &[Arc<Part>],
        postings: &Postings,
        from: u32,
        to: u32,
        out: &mut Vec<u32>,
    ) -> Result<(), Error> {
        if from >= to {
            return Ok(());
        }
        let row = match &postings.place {
            Place::Memory(index, here) => {
                if let Index::Memory(memory) = index.as_ref() {
                    memory.ordinals(here, from, to, out);
                }
                return Ok(());
            }
            Place::File(row) => row,
        };
        let found = self.ask(parts, |index| {
            let mut found = Vec::with_capacity((to - from) as usize);
            let Index::File(file) = index.as_ref() else { return Err(Unusable) };
            file.ordinals(row, from, to, &mut found).map(|()| found)
        })?;
        out.extend(found);
        Ok(())
    }

    /// How many events of a term have ordinals below `ordinal`.
    pub(crate) fn rank(&self, parts: &[Arc<Part>], postings: &Postings, ordinal: u32) -> Result<u32, Error> {
        let rank = match &postings.place {
            Place::Memory(index, here) => match index.as_ref() {
                Index::Memory(memory) => memory.rank(here, ordinal),
                Index::File(_) => 0,
            },
            Place::File(row) => self.ask(parts, |index| match index.as_ref() {
                Index::File(file) => file.rank(row, ordinal),
                Index::Memory(_) => Err(Unusable),
            })?,
        };
        Ok(rank.min(postings.count))
    }

    /// The ordinals of events whose ids may have this hash.
    pub(crate) fn ids(&self, parts: &[Arc<Part>], hash: u64) -> Result<Vec<u32>, Error> {
        self.ask(parts, |index| match index.as_ref() {
            Index::Memory(memory) => Ok(memory.ids(hash)),
            Index::File(file) => file.ids(hash),
        })
    }

    /// A range of ordinals, all of them at worst, that has the first event committed at `time` or later, if any is.
    pub(crate) fn around(&self, time: Timestamp, visible: Position) -> (u32, u32) {
        let events = self.events(visible);
        if let Some(index) = self.index_that_is_there()
            && let Index::File(file) = index.as_ref()
        {
            match file.around(time) {
                Ok((from, to)) => return (from.min(events), to.min(events)),
                Err(Unusable) => self.forget(&index),
            }
        }
        (0, events)
    }

    /// How many streams begin here, as far as readers may see.
    pub(crate) fn begun(&self, parts: &[Arc<Part>], visible: Position) -> Result<u64, Error> {
        let file = self.ask(parts, |index| match index.as_ref() {
            Index::Memory(_) => Ok(None),
            Index::File(file) => Ok(Some(file.begun())),
        })?;
        match file {
            Some(begun) => Ok(begun.into()),
            None => Ok(self.beginnings(parts, visible)?.len() as u64),
        }
    }

    /// The ordinals of the first events of streams that begin here, rising.
    pub(crate) fn beginnings(&self, parts: &[Arc<Part>], visible: Position) -> Result<Vec<u32>, Error> {
        let events = self.events(visible);
        self.ask(parts, |index| {
            let mut ordinals = Vec::new();
            match index.as_ref() {
                Index::Memory(memory) => {
                    for number in 0..memory.terms() {
                        let Some(here) = memory.term_of(number, events) else { continue };
                        let first = memory.stream_facts(&here).map(|facts| facts.first);
                        if first == Some(StreamVersion::new(1)) {
                            memory.ordinals(&here, 0, 1, &mut ordinals);
                        }
                    }
                }
                Index::File(file) => {
                    let mut begun = Vec::with_capacity(file.begun() as usize);
                    file.each_row(|row| {
                        let begins = row.stream.is_some_and(|stream| stream.first == StreamVersion::new(1));
                        begun.extend(begins.then_some(row));
                    })?;
                    for row in &begun {
                        file.ordinals(row, 0, 1, &mut ordinals)?;
                    }
                    ordinals.retain(|ordinal| *ordinal < events);
                }
            }
            ordinals.sort_unstable();
            Ok(ordinals)
        })
    }
}

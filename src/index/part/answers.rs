//! What a part answers: where its events lie, and which of them a term has.

use std::ops::Range;
use std::sync::Arc;

use super::{Index, Part};
use crate::error::Error;
use crate::format::index::row::TermRow;
use crate::index::catalog::{ALL, older};
use crate::index::file::Unusable;
use crate::index::memory::{Previous, StreamFacts, TermHere};
use crate::index::place::Place;
use crate::model::{Position, StreamVersion, Timestamp};

/// The events of one term in one part.
pub(crate) struct Postings {
    /// How many there are, as far as readers may see.
    pub(crate) count: u32,
    held: Held,
}

enum Held {
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
    /// Appends to `out` the places of its events with these numbers, counted from 0, or nothing on an error. Needs no
    /// index.
    pub(crate) fn places(&self, wanted: Range<u32>, out: &mut Vec<Place>) -> Result<(), Error> {
        let kept = out.len();
        if let Some(index) = self.index_that_is_there() {
            let found = match index.as_ref() {
                Index::Memory(memory) => {
                    out.extend(wanted.clone().map(|ordinal| memory.place(ordinal)));
                    Ok(())
                }
                Index::File(file) => file.places(wanted.start, wanted.end, out),
            };
            if found.is_ok() {
                return Ok(());
            }
            out.truncate(kept);
            self.forget(&index);
        }
        let found = self.walk.places(&self.segment, self.first, wanted, out);
        found.inspect_err(|_| out.truncate(kept))
    }

    /// The place of one event. Needs no index.
    pub(crate) fn place(&self, ordinal: u32) -> Result<Place, Error> {
        let index = self.index.load();
        let found = match index.as_deref() {
            Some(Index::Memory(memory)) => Some(memory.place(ordinal)),
            Some(Index::File(file)) => file.place(ordinal).ok(),
            None => None,
        };
        if let Some(place) = found {
            return Ok(place);
        }
        let mut place = Vec::with_capacity(1);
        self.places(ordinal..ordinal + 1, &mut place)?;
        place.pop().ok_or_else(|| self.segment.damaged(0, format!("it has no event number {ordinal}")))
    }

    /// The offset of the record of one event that is held.
    pub(crate) fn offset(&self, ordinal: u32) -> Result<u32, Error> {
        let place = self.place(ordinal)?;
        match place.is_removed() {
            false => Ok(place.offset()),
            true => {
                let what = format!("event number {ordinal} has been removed, but a term leads to it");
                Err(self.segment.damaged(place.offset().into(), what))
            }
        }
    }

    /// Says that a term is about to be looked up here.
    #[inline]
    pub(crate) fn will_look_up(&self, hash: u128) {
        match self.index.load().as_deref() {
            Some(Index::Memory(memory)) => memory.will_look_up(hash),
            Some(Index::File(file)) => file.will_look_up(hash),
            None => {}
        }
    }

    /// Says the same once more: what the first looks need has come, and its row is fetched.
    #[inline]
    pub(crate) fn will_read_row(&self, hash: u128) {
        if let Some(Index::File(file)) = self.index.load().as_deref() {
            file.will_read_row(hash);
        }
    }

    /// Says that a term's events are about to be looked up: where they stand is fetched from memory.
    #[inline]
    pub(crate) fn will_read_postings(&self, postings: &Postings) {
        if let (Held::File(row), Some(Index::File(file))) = (&postings.held, self.index.load().as_deref()) {
            file.will_read_postings(row);
        }
    }

    /// Says the same once more: where they stand has come, and if they are few, their places are fetched.
    pub(crate) fn will_read_places(&self, postings: &Postings) {
        if let (Held::File(row), Some(Index::File(file))) = (&postings.held, self.index.load().as_deref()) {
            file.will_read_places(row);
        }
    }

    /// Says that these terms are about to be looked up here, one after the other.
    pub(crate) fn will_look_up_all<T: Iterator<Item = u128>>(&self, hashes: impl Fn() -> T) {
        match self.index.load().as_deref() {
            Some(Index::Memory(memory)) => hashes().for_each(|hash| memory.will_look_up(hash)),
            Some(Index::File(file)) => {
                hashes().for_each(|hash| file.will_look_up(hash));
                hashes().for_each(|hash| file.will_read_row(hash));
            }
            None => {}
        }
    }

    /// Whether it may have a term. Most parts that do not have it are passed over by this alone.
    #[inline]
    pub(super) fn may_have(&self, hash: u128) -> bool {
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
        Ok(found.map(|(postings, _)| postings).filter(|postings| postings.count > 0))
    }

    /// A stream's events among those that readers may see. There are none, but a version, where all have been removed.
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

    /// A term's first `events` events, and what is known of it when it is a stream. What may not have it need not be asked.
    pub(super) fn term(
        &self,
        index: &Arc<Index>,
        hash: u128,
        events: u32,
    ) -> Result<Option<(Postings, Option<StreamFacts>)>, Unusable> {
        match index.as_ref() {
            Index::Memory(memory) => Ok(memory.term(hash, events).map(|here| {
                let postings = Postings { count: here.count, held: Held::Memory(index.clone(), here) };
                (postings, memory.stream_facts(&here))
            })),
            Index::File(file) => {
                let Some(row) = file.term(hash)? else { return Ok(None) };
                // A reader that looked before the segment was full sees less than there is.
                let count = if events < file.events() { file.rank(&row, events)? } else { row.count };
                let facts = row.stream.map(|stream| StreamFacts {
                    first: stream.first,
                    bytes: stream.bytes,
                    previous: self.previous(stream.back),
                });
                let is_known = count > 0 || row.count == 0;
                Ok(is_known.then_some((Postings { count, held: Held::File(row) }, facts)))
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
        let row = match &postings.held {
            Held::Memory(index, here) => {
                if let Index::Memory(memory) = index.as_ref() {
                    memory.ordinals(here, from, to, out);
                }
                return Ok(());
            }
            Held::File(row) => row,
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
        let rank = match &postings.held {
            Held::Memory(index, here) => match index.as_ref() {
                Index::Memory(memory) => memory.rank(here, ordinal),
                Index::File(_) => 0,
            },
            Held::File(row) => self.ask(parts, |index| match index.as_ref() {
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
        if parts.iter().any(|part| part.segment.header.is_rewritten()) {
            return Ok(self.beginnings(parts, visible)?.len() as u64);
        }
        let file = self.ask(parts, |index| match index.as_ref() {
            Index::Memory(_) => Ok(None),
            Index::File(file) => Ok(Some(file.begun())),
        })?;
        match file {
            Some(begun) => Ok(begun.into()),
            None => Ok(self.beginnings(parts, visible)?.len() as u64),
        }
    }

    /// The ordinals of the first events of streams that begin here, rising: of those whose first event that is held is
    /// here.
    pub(crate) fn beginnings(&self, parts: &[Arc<Part>], visible: Position) -> Result<Vec<u32>, Error> {
        let events = self.events(visible);
        let mut found = self.ask(parts, |index| {
            let mut found = Vec::new();
            match index.as_ref() {
                Index::Memory(memory) => {
                    for number in 0..memory.terms() {
                        let Some(here) = memory.term_of(number, events).filter(|here| here.count > 0) else {
                            continue;
                        };
                        let Some(StreamFacts { first, previous, .. }) = memory.stream_facts(&here) else {
                            continue;
                        };
                        if self.may_begin(first, previous, parts) {
                            let mut ordinal = Vec::with_capacity(1);
                            memory.ordinals(&here, 0, 1, &mut ordinal);
                            found.push((ordinal[0], memory.hash_of(number), first));
                        }
                    }
                }
                Index::File(file) => {
                    let mut begun = Vec::with_capacity(file.begun() as usize);
                    file.each_row(|row| {
                        let Some(stream) = row.stream.filter(|_| row.count > 0) else { return };
                        if self.may_begin(stream.first, self.previous(stream.back), parts) {
                            begun.push((row, stream.first));
                        }
                    })?;
                    for (row, first) in begun {
                        let mut ordinal = Vec::with_capacity(1);
                        file.ordinals(&row, 0, 1, &mut ordinal)?;
                        found.push((ordinal[0], row.hash, first));
                    }
                }
            }
            Ok(found)
        })?;
        found.retain(|(ordinal, ..)| *ordinal < events);
        found.sort_unstable();
        let mut ordinals = Vec::with_capacity(found.len());
        for (ordinal, hash, first) in found {
            let is_first = first == StreamVersion::new(1) || !held_in(older(parts, self.number()), hash)?;
            ordinals.extend(is_first.then_some(ordinal));
        }
        Ok(ordinals)
    }

    /// Whether no part before this one may hold events of a stream: it begins here, or what came before may have been
    /// removed.
    fn may_begin(&self, first: StreamVersion, previous: Previous, parts: &[Arc<Part>]) -> bool {
        first == StreamVersion::new(1)
            || match previous {
                Previous::None | Previous::Unknown => true,
                Previous::Segment(number) => parts
                    .binary_search_by_key(&number, |part| part.number())
                    .is_ok_and(|at| parts[at].segment.header.is_rewritten()),
            }
    }

    fn previous(&self, back: u64) -> Previous {
        match self.number().checked_sub(back) {
            Some(number) if back > 0 => Previous::Segment(number),
            _ => Previous::Unknown,
        }
    }
}

/// Whether any of some parts holds an event of a stream.
fn held_in(parts: &[Arc<Part>], hash: u128) -> Result<bool, Error> {
    for part in parts.iter().rev() {
        if part.stream(parts, hash, ALL)?.is_some_and(|here| here.count() > 0) {
            return Ok(true);
        }
    }
    Ok(false)
}

//! The cursor: yields the places of events in order, a handful at a time; all events, one stream's, or those that a plan
//! selects, either way round.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use super::reader::{PartList, Reader};
use super::request::Direction;
use super::selected::Selected;
use crate::error::Error;
use crate::index::{Part, Place, StreamHere, catalog};
use crate::model::{Position, StreamVersion};

/// Places that are looked up at once.
const HANDFUL: u64 = 256;

/// Places of a stream that are looked up first.
const FIRST_HANDFUL: u64 = 16;

/// Of how many parts what a stream has there is fetched from memory at one time.
const FIRST_PARTS: usize = 8;

/// Where a read stands.
pub(super) enum Cursor {
    All {
        next: Position,
        last: Position,
    },
    AllBackward {
        next: Position,
        last: Position,
    },
    Selected(Selected),
    Stream(Upward),
    StreamBackward {
        hash: u128,
        at: Option<(Arc<Part>, StreamHere)>,
        next: StreamVersion,
        last: StreamVersion,
    },
}

/// A read of one stream upwards.
pub(super) struct Upward {
    /// Newest first; `next` lies in the last of them or in one before it.
    parts: Vec<(Arc<Part>, StreamHere)>,
    next: StreamVersion,
    last: StreamVersion,
    /// Places before `next` that were looked up, part by part.
    found: VecDeque<PartPlaces>,
    /// How many places are looked up the next time. It grows with each, because many reads want few events.
    ahead: u64,
}

/// Places in one part.
type PartPlaces = (Arc<Part>, Vec<Place>);

/// The bounds of a read of one stream.
pub(super) struct StreamBounds {
    pub(super) from: StreamVersion,
    pub(super) to: StreamVersion,
    pub(super) after: Position,
    /// How many events are wanted.
    pub(super) limit: u64,
}

impl Cursor {
    /// Over the positions `first` to `last`.
    pub(super) fn all(direction: Direction, first: Position, last: Position) -> Cursor {
        match direction {
            Direction::Forward => Cursor::All { next: first, last },
            Direction::Backward => Cursor::AllBackward { next: last, last: first },
        }
    }

    /// Over the versions of a stream within bounds.
    pub(super) fn stream(
        reader: &Reader,
        all: &PartList,
        visible: Position,
        hash: u128,
        direction: Direction,
        bounds: &StreamBounds,
    ) -> Result<Cursor, Error> {
        let from = bounds.from.max(StreamVersion::new(1));
        match direction {
            Direction::Forward => {
                catalog::will_read_stream(all, hash);
                let parts = reader.parts_of_stream(all, visible, hash, |part, here| {
                    here.first <= from || part.first <= bounds.after.next()
                })?;
                // The first places come from the last of them.
                let first = || parts.iter().rev().take(FIRST_PARTS);
                first().for_each(|(part, here)| part.will_read_postings(&here.postings));
                first().for_each(|(part, here)| part.will_read_places(&here.postings));
                let mut next = from;
                if let Some((part, here)) = parts.last() {
                    // What lies at or before the position is not even looked at.
                    let ordinal = bounds.after.next().since(part.first);
                    let before =
                        part.rank(all, &here.postings, u32::try_from(ordinal).unwrap_or(u32::MAX))?;
                    next = here.first.advanced(before.into()).max(from);
                }
                let ahead = bounds.limit.clamp(1, FIRST_HANDFUL);
                Ok(Cursor::Stream(Upward { parts, next, last: bounds.to, found: VecDeque::new(), ahead }))
            }
            Direction::Backward => {
                let at = catalog::newest(all, hash, visible)?;
                let next = at.as_ref().map_or(StreamVersion::START, |(_, here)| here.last().min(bounds.to));
                Ok(Cursor::StreamBackward { hash, at, next, last: from })
            }
        }
    }

    /// Puts the next places into `out`, in order, and tells in which part they are; none at the end.
    pub(super) fn refill(
        &mut self,
        all: &PartList,
        out: &mut Vec<Place>,
    ) -> Result<Option<Arc<Part>>, Error> {
        match self {
            Cursor::All { next, last } => {
                if *next > *last {
                    return Ok(None);
                }
                let part = part_of(all, *next)?;
                let from = next.since(part.first);
                let to = (from + HANDFUL).min(part.events(*last).into());
                let found = places(&part, Direction::Forward, from as u32..to as u32, out)?;
                *next = part.first.advanced(found.end.into());
                Ok(Some(part))
            }
            Cursor::AllBackward { next, last } => {
                if *next < *last || *next == Position::START {
                    return Ok(None);
                }
                let part = part_of(all, *next)?;
                let to = next.since(part.first) + 1;
                let from = to.saturating_sub(HANDFUL).max(last.since(part.first));
                let found = places(&part, Direction::Backward, from as u32..to as u32, out)?;
                out.reverse();
                *next = part.first.advanced(found.start.into()).previous();
                Ok(Some(part))
            }
            Cursor::Selected(selected) => selected.refill(all, HANDFUL, out),
            Cursor::Stream(upward) => upward.refill(all, out),
            Cursor::StreamBackward { hash, at, next, last } => {
                stream_backward(all, *hash, at, next, *last, out)
            }
        }
    }
}

/// The places of a part's events, or, if damage lies among them, of some that come first on the way; tells of which.
fn places(
    part: &Part,
    way: Direction,
    wanted: Range<u32>,
    out: &mut Vec<Place>,
) -> Result<Range<u32>, Error> {
    match part.places(wanted.clone(), out) {
        Ok(()) => Ok(wanted),
        Err(error) if wanted.len() <= 1 => Err(error),
        Err(_) => {
            let half = wanted.len() as u32 / 2;
            let nearer = match way {
                Direction::Forward => wanted.start..wanted.start + half,
                Direction::Backward => wanted.end - half..wanted.end,
            };
            places(part, way, nearer, out)
        }
    }
}

fn part_of(parts: &PartList, position: Position) -> Result<Arc<Part>, Error> {
    let part = catalog::part_of(parts, position).cloned();
    part.ok_or_else(|| Error::invalid(format!("position {position} is not held")))
}

impl Upward {
    fn refill(&mut self, all: &PartList, out: &mut Vec<Place>) -> Result<Option<Arc<Part>>, Error> {
        if self.found.is_empty() {
            self.look_ahead(all)?;
        }
        let Some((part, places)) = self.found.pop_front() else { return Ok(None) };
        *out = places;
        Ok(Some(part))
    }

    /// Looks up some places, in several parts if need be: all of them are then fetched from memory at one time.
    fn look_ahead(&mut self, all: &PartList) -> Result<(), Error> {
        let mut room = self.ahead;
        self.ahead = (2 * self.ahead).min(HANDFUL);
        while room > 0 {
            match self.places_of_next_part(all, room) {
                Ok(Some((part, places))) => {
                    room -= places.len() as u64;
                    self.found.push_back((part, places));
                }
                // What comes before it is told first.
                Err(error) if self.found.is_empty() => return Err(error),
                Ok(None) | Err(_) => break,
            }
        }
        for (part, places) in &self.found {
            places.iter().for_each(|place| part.segment.will_read_frame_of(place.offset().into()));
        }
        Ok(())
    }

    fn places_of_next_part(&mut self, all: &PartList, room: u64) -> Result<Option<PartPlaces>, Error> {
        while self.parts.last().is_some_and(|(_, here)| here.last() < self.next) {
            self.parts.pop();
        }
        let Some((part, here)) = self.parts.last() else { return Ok(None) };
        // Retention may have removed those before.
        let next = here.first.max(self.next);
        if next > self.last {
            return Ok(None);
        }
        let from = next.since(here.first);
        let wanted = self.last.since(here.first).saturating_add(1);
        let to = (from + room).min(u64::from(here.count())).min(wanted);
        let mut places = Vec::with_capacity((to - from) as usize);
        places_of(all, part, here, from as u32, to as u32, &mut places)?;
        self.next = here.first.advanced(to);
        Ok(Some((part.clone(), places)))
    }
}

fn stream_backward(
    all: &PartList,
    hash: u128,
    at: &mut Option<(Arc<Part>, StreamHere)>,
    next: &mut StreamVersion,
    last: StreamVersion,
    out: &mut Vec<Place>,
) -> Result<Option<Arc<Part>>, Error> {
    if *next < last {
        return Ok(None);
    }
    // A part of which only the version is known ends before it begins.
    while let Some((part, here)) = at.take_if(|(_, here)| here.last().min(*next) < here.first) {
        *next = here.last().min(*next);
        *at = catalog::before(all, &part, &here, hash)?;
    }
    let Some((part, here)) = at else { return Ok(None) };
    *next = here.last().min(*next);
    if *next < last {
        return Ok(None);
    }
    let to = next.since(here.first) + 1;
    let from = to.saturating_sub(HANDFUL).max(last.since(here.first));
    places_of(all, part, here, from as u32, to as u32, out)?;
    out.reverse();
    *next = here.first.advanced(from).previous();
    Ok(Some(part.clone()))
}

/// Appends to `out` the places of a stream's events number `from` to `to` in a part, counted from 0, `to` exclusive.
pub(super) fn places_of(
    all: &PartList,
    part: &Part,
    here: &StreamHere,
    from: u32,
    to: u32,
    out: &mut Vec<Place>,
) -> Result<(), Error> {
    let mut ordinals = Vec::with_capacity(to.saturating_sub(from) as usize);
    part.ordinals(all, &here.postings, from, to, &mut ordinals)?;
    ordinals.into_iter().try_for_each(|ordinal| {
        let offset = part.offset(ordinal)?;
        part.segment.will_read_record(offset.into());
        out.push(Place::record(offset));
        Ok(())
    })
}

//! The reader: finds events and hands them out as slices of the mapped log, checked.
//!
//! It takes no lock that the writer holds: the list of parts, the indexes and the visible position are read as they are.

use std::sync::Arc;

use bytes::Bytes;

use super::cursor::places_of;
use crate::commit::Visible;
use crate::error::Error;
use crate::format::{FrameHeader, FrameKind, event};
use crate::index::{Catalog, Part, Place, Plan, StreamHere, TermHasher, catalog};
use crate::lifecycle::{Hidden, Lifecycles};
use crate::model::{
    EventId, Lifecycle, Position, Query, RecordedEvent, StreamName, StreamVersion, Timestamp,
};

/// Reads the events of one store. A clone is cheap.
#[derive(Debug, Clone)]
pub(crate) struct Reader(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    catalog: Arc<Catalog>,
    visible: Arc<Visible>,
    hasher: TermHasher,
    lifecycles: Arc<Lifecycles>,
    verify: bool,
    lost: Option<Error>,
}

/// The parts of a store with a bound, as one read sees them.
pub(crate) type PartList = Arc<Vec<Arc<Part>>>;

/// The frame that was looked at last: its neighbours in the log often share it.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct LastFrame {
    segment: u64,
    offset: u64,
    time: Timestamp,
}

/// A record that has been checked, and when it was committed.
#[derive(Clone)]
pub(super) struct Checked {
    pub(super) record: Bytes,
    time: Timestamp,
}

impl Checked {
    #[inline]
    pub(super) fn position(&self) -> Position {
        event::position(&self.record)
    }

    #[inline(always)]
    pub(super) fn into_event(self) -> RecordedEvent {
        event::recorded(self.record, self.time)
    }
}

impl Reader {
    /// `verify` checks the checksum of every event. `lost` tells of acknowledged events beyond the visible position that
    /// cannot be read: a read that would reach them ends with it.
    pub(crate) fn new(
        catalog: Arc<Catalog>,
        visible: Arc<Visible>,
        hasher: TermHasher,
        lifecycles: Arc<Lifecycles>,
        verify: bool,
        lost: Option<Error>,
    ) -> Reader {
        Reader(Arc::new(Inner { catalog, visible, hasher, lifecycles, verify, lost }))
    }

    /// What is not shown of the events up to `visible`; none when everything is.
    pub(crate) fn hidden(&self, parts: &PartList, visible: Position) -> Option<Hidden> {
        Hidden::new(&self.0.lifecycles, parts, visible)
    }

    /// How it is with a stream.
    pub(crate) fn lifecycle(&self, stream: &str) -> Result<Lifecycle, Error> {
        self.0.lifecycles.of(stream)
    }

    /// Why acknowledged events beyond the visible position cannot be read, if there are any.
    pub(crate) fn lost(&self) -> Option<&Error> {
        self.0.lost.as_ref()
    }

    pub(crate) fn visible(&self) -> &Visible {
        &self.0.visible
    }

    /// The visible position, and the parts that hold everything up to it.
    pub(crate) fn snapshot(&self) -> (Position, PartList) {
        // In this order: parts that come later hold only what lies beyond the bound.
        let visible = self.0.visible.get();
        (visible, self.0.catalog.parts())
    }

    /// The plan for the events of a query; see [`Plan::of`].
    pub(crate) fn plan(&self, query: &Query, stream: Option<&StreamName>) -> Option<Plan> {
        Plan::of(query, stream, &self.0.hasher)
    }

    pub(crate) fn stream_hash(&self, name: &str) -> u128 {
        self.0.hasher.stream(name.as_bytes())
    }

    pub(super) fn id_hash(&self, id: &EventId) -> u64 {
        self.0.hasher.id(id.as_bytes())
    }

    /// The version of a stream, as far as it is visible.
    pub(crate) fn stream_version(&self, hash: u128) -> Result<StreamVersion, Error> {
        let (visible, parts) = self.snapshot();
        version_at(&parts, hash, visible)
    }

    /// The version that a stream had when the event at `position` was its or another's newest.
    pub(crate) fn stream_version_at(&self, hash: u128, position: Position) -> Result<StreamVersion, Error> {
        version_at(&self.snapshot().1, hash, position)
    }

    /// Whether a stream has visible events after a position. Looks only into the parts that reach beyond it.
    pub(crate) fn stream_has_events_after(&self, hash: u128, after: Position) -> Result<bool, Error> {
        let (visible, parts) = self.snapshot();
        for part in parts.iter().rev() {
            if part.stream(&parts, hash, visible)?.is_some() {
                return Ok(true);
            }
            if part.first <= after.next() {
                break;
            }
        }
        Ok(false)
    }

    /// The event at a version of a stream; none when the stream does not reach it.
    pub(crate) fn event_of_stream(
        &self,
        hash: u128,
        version: StreamVersion,
    ) -> Result<Option<RecordedEvent>, Error> {
        let (visible, parts) = self.snapshot();
        self.event_of_stream_in(&parts, visible, hash, version)
    }

    fn event_of_stream_in(
        &self,
        parts: &PartList,
        visible: Position,
        hash: u128,
        version: StreamVersion,
    ) -> Result<Option<RecordedEvent>, Error> {
        let Some((mut part, mut here)) = catalog::newest(parts, hash, visible)? else { return Ok(None) };
        if version > here.last() || version == StreamVersion::START {
            return Ok(None);
        }
        while version < here.first {
            match catalog::before(parts, &part, &here, hash)? {
                Some(older) => (part, here) = older,
                None => return Ok(None),
            }
        }
        if version > here.last() {
            // It was removed, and an older segment that still holds events before it was not looked at yet.
            return Ok(None);
        }
        let local = version.since(here.first) as u32;
        let mut places = Vec::with_capacity(1);
        places_of(parts, &part, &here, local, local + 1, &mut places)?;
        self.decode(&part, places[0].offset(), &mut LastFrame::default()).map(Some)
    }

    /// The positions of a stream's versions `from` and `to`, as far as it has them; bounds that hold all of its events
    /// between them.
    pub(super) fn positions_of(
        &self,
        parts: &PartList,
        visible: Position,
        hash: u128,
        from: StreamVersion,
        to: StreamVersion,
    ) -> Result<(Position, Position), Error> {
        let position = |version| {
            let event = self.event_of_stream_in(parts, visible, hash, version)?;
            Ok::<_, Error>(event.map(|event| event.position()))
        };
        let first = if from <= StreamVersion::new(1) { None } else { position(from)? };
        let last = if to == StreamVersion::new(u64::MAX) { None } else { position(to)? };
        Ok((first.unwrap_or(Position::new(1)), last.unwrap_or(visible)))
    }

    /// The visible event of a stream that has this id and was not deleted; the newest if there are several.
    pub(crate) fn event_with_id(&self, stream: &str, id: &EventId) -> Result<Option<RecordedEvent>, Error> {
        let (visible, parts) = self.snapshot();
        let deleted_through = self.lifecycle(stream)?.deleted_through;
        let hash = self.id_hash(id);
        for part in parts.iter().rev() {
            for ordinal in part.ids(&parts, hash)? {
                let offset = part.offset(ordinal)?;
                let event = self.decode(part, offset, &mut LastFrame::default())?;
                let is_there = event.position() <= visible && event.stream_version() > deleted_through;
                if is_there && event.stream() == stream && event.id() == *id {
                    return Ok(Some(event));
                }
            }
        }
        Ok(None)
    }

    /// The first position up to `visible` whose event was committed at `time` or later; the one after `visible` if
    /// there is none. Commit times never decrease, so that halving finds it: first the part, then the place in it.
    pub(crate) fn position_at(
        &self,
        parts: &PartList,
        visible: Position,
        time: Timestamp,
    ) -> Result<Position, Error> {
        let (mut low, mut high) = (0, parts.partition_point(|part| part.first <= visible));
        while low < high {
            let middle = low + (high - low) / 2;
            if catalog::time_at(parts, parts[middle].first)? < time {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        // Every part from `low` on begins at that time or later, so the position lies in the one before, or behind it.
        let Some(part) = low.checked_sub(1).map(|before| &parts[before]) else { return Ok(Position::new(1)) };
        let (mut low, mut high) = part.around(time, visible);
        while low < high {
            let middle = low + (high - low) / 2;
            if catalog::time_at(parts, part.first.advanced(middle.into()))? < time {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok(part.first.advanced(low.into()))
    }

    /// Every part that holds a stream, newest first, down to the one that `enough` says is the last needed.
    pub(super) fn parts_of_stream(
        &self,
        parts: &PartList,
        visible: Position,
        hash: u128,
        enough: impl Fn(&Part, &StreamHere) -> bool,
    ) -> Result<Vec<(Arc<Part>, StreamHere)>, Error> {
        let mut found: Vec<(Arc<Part>, StreamHere)> = Vec::new();
        let mut next = catalog::newest(parts, hash, visible)?;
        while let Some((part, here)) = next {
            let last = enough(&part, &here);
            next = if last { None } else { catalog::before(parts, &part, &here, hash)? };
            found.push((part, here));
        }
        Ok(found)
    }

    /// The event whose record begins at `offset` of a part.
    pub(super) fn decode(
        &self,
        part: &Part,
        offset: u32,
        last: &mut LastFrame,
    ) -> Result<RecordedEvent, Error> {
        self.record(part, offset, last).map(Checked::into_event)
    }

    /// The record that begins at `offset` of a part.
    #[inline(always)]
    pub(super) fn record(&self, part: &Part, offset: u32, last: &mut LastFrame) -> Result<Checked, Error> {
        let (segment, at) = (&part.segment, u64::from(offset));
        let damaged = |fault: event::EventFault| segment.damaged(at, fault);
        let len = event::record_len(&segment.array(at)?).map_err(damaged)?;
        let record = segment.slice(at, len)?;
        if self.0.verify {
            event::check(&record).map_err(damaged)?;
        }
        let frame_at = at
            .checked_sub(u64::from(event::frame_back(&record)))
            .ok_or_else(|| segment.damaged(at, "the record names a frame before the file"))?;
        if last.segment != part.number() || last.offset != frame_at {
            *last = frame_of(part, frame_at)?;
        }
        event::check_parts(&record).map_err(damaged)?;
        Ok(Checked { record, time: last.time })
    }
}

fn frame_of(part: &Part, at: u64) -> Result<LastFrame, Error> {
    let (frame, _) = part.segment.frame_header(at)?.map_err(|fault| part.segment.damaged(at, fault))?;
    Ok(LastFrame { segment: part.number(), offset: at, time: frame.commit_time })
}

/// The version of a stream, as far as it is visible at a position.
pub(super) fn version_at(parts: &PartList, hash: u128, position: Position) -> Result<StreamVersion, Error> {
    let held = parts.partition_point(|part| part.first <= position);
    let newest = catalog::newest(&parts[..held], hash, position)?;
    Ok(newest.map_or(StreamVersion::START, |(_, here)| here.last()))
}

/// The header of the REMOVED frame at a place.
pub(super) fn removed_frame(part: &Part, place: Place) -> Result<FrameHeader, Error> {
    let (segment, at) = (&part.segment, u64::from(place.offset()));
    let (header, _) = segment.frame_header(at)?.map_err(|fault| segment.damaged(at, fault))?;
    match header.kind {
        FrameKind::Removed => Ok(header),
        _ => Err(segment.damaged(at, "no REMOVED frame stands where the index says")),
    }
}

/// The first and the last of the events from `first` to `last` that have been removed; none if none has.
pub(super) fn removed_among(
    parts: &PartList,
    first: Position,
    last: Position,
) -> Result<Option<(Position, Position)>, Error> {
    let from = parts.partition_point(|part| part.first <= first).saturating_sub(1);
    let reached = parts[from..].iter().take_while(|part| part.first <= last);
    let mut found: Option<(Position, Position)> = None;
    for part in reached.filter(|part| part.segment.header.is_rewritten()) {
        let end = part.first.advanced(part.events(last).into());
        let mut at = first.max(part.first);
        while at < end {
            let place = part.place(at.since(part.first) as u32)?;
            if !place.is_removed() {
                at = at.next();
                continue;
            }
            let next = removed_frame(part, place)?.next_position().min(last.next());
            found = Some((found.map_or(at, |(first, _)| first), next.previous()));
            at = next;
        }
    }
    Ok(found)
}

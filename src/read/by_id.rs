//! The events that have one id. An id is unique in its stream, so there may be as many of them as there are streams.

use super::reader::{LastFrame, PartList, Reader};
use crate::error::Error;
use crate::lifecycle::Hidden;
use crate::model::{EventId, Position, RecordedEvent};

/// The events with an id, in the order of their positions, up to what was visible when they were asked for. After an error
/// it ends.
///
/// A segment is looked at when the events before it have been taken; what is held are the places in one segment.
pub struct EventsWithId {
    reader: Reader,
    id: EventId,
    hash: u64,
    after: Position,
    visible: Position,
    parts: PartList,
    /// What is not shown; none when everything is.
    hidden: Option<Hidden>,
    /// The next part to be looked at, and the last one that was.
    next: usize,
    /// Where the events may be that are left of the last one, in turned order.
    places: Vec<u32>,
    /// What is told instead of the end: events beyond it are damaged.
    lost: Option<Error>,
}

impl EventsWithId {
    pub(crate) fn new(reader: &Reader, id: EventId, after: Position) -> EventsWithId {
        let (visible, parts) = reader.snapshot();
        let next = parts.partition_point(|part| part.first <= after.next()).saturating_sub(1);
        EventsWithId {
            hash: reader.id_hash(&id),
            lost: reader.lost().cloned(),
            hidden: reader.hidden(&parts, visible),
            reader: reader.clone(),
            id,
            after,
            visible,
            parts,
            next,
            places: Vec::new(),
        }
    }

    fn step(&mut self) -> Result<Option<RecordedEvent>, Error> {
        loop {
            while let Some(ordinal) = self.places.pop() {
                let part = &self.parts[self.next - 1];
                let event = self.reader.decode(part, part.offset(ordinal)?, &mut LastFrame::default())?;
                let is_in_bounds = event.position() > self.after && event.position() <= self.visible;
                if !is_in_bounds || event.is_system() || event.id() != self.id {
                    continue;
                }
                let is_hidden = Hidden::hides(&mut self.hidden, &event)?;
                if !is_hidden {
                    return Ok(Some(event));
                }
            }
            let Some(part) = self.parts.get(self.next) else { return Ok(None) };
            self.places = part.ids(&self.parts, self.hash)?;
            self.places.sort_unstable_by(|one, other| other.cmp(one));
            self.next += 1;
        }
    }

    fn end(&mut self) {
        self.places.clear();
        self.next = self.parts.len();
    }
}

impl Iterator for EventsWithId {
    type Item = Result<RecordedEvent, Error>;

    fn next(&mut self) -> Option<Result<RecordedEvent, Error>> {
        match self.step() {
            Ok(Some(event)) => Some(Ok(event)),
            Ok(None) => self.lost.take().map(Err),
            Err(error) => {
                self.end();
                self.lost = None;
                Some(Err(error))
            }
        }
    }
}

impl std::fmt::Debug for EventsWithId {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("EventsWithId").field("id", &self.id).finish_non_exhaustive()
    }
}

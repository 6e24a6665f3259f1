//! The records of a frame that may be damaged: each that can be proved, and between them what is lost.
//!
//! A record is proved by its own checksum, by the position that it has and by the place that it names as the beginning
//! of its frame. Behind a damaged one, the next that passes all three is looked for, so that nothing depends on a
//! length that may be wrong.

use bytes::Bytes;

use crate::format::event::{self, EventFault};
use crate::format::frame::{self, HEADER_LEN, TRAILER_LEN};
use crate::model::{Position, Timestamp};

/// A record, or where some are missing.
#[derive(Debug, Clone)]
pub(crate) enum Record {
    Whole {
        offset: u64,
        bytes: Bytes,
    },
    Lost {
        offset: u64,
        first: Position,
        last: Position,
        fault: EventFault,
        /// What the damaged bytes say of themselves. Nothing proves it.
        hint: Option<String>,
    },
}

/// A walk over the records of one frame, or of the frames in bytes where headers are damaged.
#[derive(Debug)]
pub(crate) struct Records {
    bytes: Bytes,
    /// Where `bytes` stand in the segment.
    offset: u64,
    /// Where the frame begins, and where the next record is looked for; in `bytes`.
    frame_at: usize,
    at: usize,
    next: Position,
    /// The position behind the last; none when nothing tells.
    until: Option<Position>,
    checked: bool,
    has_header: bool,
}

impl Records {
    /// The records of a control frame.
    pub(super) fn none() -> Records {
        Records::of_frame(Bytes::new(), 0, (Position::START, Some(Position::START)), false)
    }

    /// The records of a frame with a whole header, with these positions; `bytes` end where its trailer begins.
    pub(super) fn of_frame(
        bytes: Bytes,
        offset: u64,
        (next, until): (Position, Option<Position>),
        checked: bool,
    ) -> Records {
        Records { bytes, offset, frame_at: 0, at: HEADER_LEN, next, until, checked, has_header: true }
    }

    /// The records of frames without a header, the first of which begins with `bytes`.
    pub(super) fn without_header(
        bytes: Bytes,
        offset: u64,
        (next, until): (Position, Option<Position>),
    ) -> Records {
        let (frame_at, at) = (0, HEADER_LEN);
        Records { bytes, offset, frame_at, at, next, until, checked: true, has_header: false }
    }

    /// The record at a place, if it is one of this frame and its position is `wanted`.
    fn whole_at(&self, at: usize, wanted: impl Fn(Position) -> bool) -> Result<Bytes, EventFault> {
        let record = event::record_at(&self.bytes, at)?;
        if self.checked {
            let (back, position) = (event::frame_back(record) as usize, event::position(record));
            if back != at - self.frame_at || !wanted(position) {
                return Err(EventFault::Place { back: back as u32, position });
            }
            event::check(record).and_then(|()| event::check_terms(record))?;
        }
        Ok(self.bytes.slice_ref(record))
    }

    fn is_before_end(&self, position: Position) -> bool {
        self.until.is_none_or(|until| position < until)
    }

    /// The next record behind a damaged one. At least one position is missing before it.
    fn behind_damage(&self) -> Option<(usize, Position)> {
        (self.at + 8..self.bytes.len()).step_by(8).find_map(|at| {
            let wanted = |position| position > self.next && self.is_before_end(position);
            let record = self.whole_at(at, wanted).ok()?;
            Some((at, event::position(&record)))
        })
    }

    /// Goes over to the frame behind, if its predecessor's trailer stands here. Only where headers are damaged.
    fn enter_next_frame(&mut self) -> bool {
        let len = self.bytes.get(self.at..).and_then(frame::trailer_len);
        let behind = self.at + TRAILER_LEN;
        let ends = !self.has_header && len.is_some_and(|len| len as usize == behind - self.frame_at);
        if ends {
            (self.frame_at, self.at) = (behind, behind + HEADER_LEN);
        }
        ends
    }
}

impl Iterator for Records {
    type Item = Record;

    fn next(&mut self) -> Option<Record> {
        loop {
            if !self.is_before_end(self.next) || self.at >= self.bytes.len() && self.until.is_none() {
                return None;
            }
            let offset = self.offset + self.at as u64;
            let fault = match self.whole_at(self.at, |position| position == self.next) {
                Ok(bytes) => {
                    self.at += bytes.len();
                    self.next = self.next.next();
                    return Some(Record::Whole { offset, bytes });
                }
                Err(fault) => fault,
            };
            if self.enter_next_frame() {
                continue;
            }
            let (first, hint) = (self.next, hint(&self.bytes, self.at));
            let found = self.behind_damage();
            let last = match (found, self.until) {
                (Some((at, position)), _) => {
                    (self.at, self.next) = (at, position);
                    position.previous()
                }
                (None, Some(until)) => {
                    (self.at, self.next) = (self.bytes.len(), until);
                    until.previous()
                }
                (None, None) => {
                    self.at = self.bytes.len();
                    return None;
                }
            };
            return Some(Record::Lost { offset, first, last, fault, hint });
        }
    }
}

/// The names in a damaged record, if they can be read: for people, who may know the event by them.
fn hint(bytes: &Bytes, at: usize) -> Option<String> {
    let record = bytes.slice_ref(event::record_at(bytes, at).ok()?);
    let event = event::decode(record, Timestamp::default()).ok()?;
    let is_name = |text: &str| !text.is_empty() && !text.chars().any(char::is_control);
    let id = event.id().to_string();
    let (stream, event_type) = (event.stream(), event.event_type());
    let named = is_name(stream) && is_name(event_type) && is_name(&id);
    named.then(|| format!("what is left of it, unproved, says stream {stream}, type {event_type}, id {id}"))
}

/// What is wrong with a record that is lost, for people.
pub(crate) fn told(fault: EventFault, hint: Option<&str>) -> String {
    hint.map_or_else(|| fault.to_string(), |hint| format!("{fault}; {hint}"))
}

//! Where events lie in a sealed segment whose index is missing: found by going from frame to frame.
//!
//! That serves reads by position at once, and takes little memory; of terms it knows nothing. What it tells is confirmed
//! by whoever reads the event: a record holds its position, under its checksum.

use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use super::place::Place;
use crate::error::Error;
use crate::format::frame::{HEADER_LEN, TRAILER_LEN};
use crate::format::{FrameHeader, FrameKind, event, segment::FRAMES_AT};
use crate::log::Segment;
use crate::model::Position;

/// How far apart frames are remembered, in bytes of the segment.
const MILESTONE_BYTES: u64 = 1 << 20;

/// What is remembered of a segment.
#[derive(Debug, Default)]
pub(super) struct Walk(Mutex<Known>);

/// Frames from which one can go on.
#[derive(Debug, Default)]
struct Known {
    /// Rising, a milestone apart.
    milestones: Vec<At>,
    /// Where the last walk ended: the next one often goes on there.
    last: At,
}

/// A frame: the ordinal of its first event, and its offset.
#[derive(Debug, Clone, Copy)]
struct At {
    ordinal: u32,
    offset: u64,
}

impl Default for At {
    fn default() -> At {
        At { ordinal: 0, offset: FRAMES_AT }
    }
}

impl Walk {
    /// Appends to `out` the places of the events with these numbers, counted from 0, of a segment that begins at position
    /// `first`.
    pub(super) fn places(
        &self,
        segment: &Segment,
        first: Position,
        wanted: Range<u32>,
        out: &mut Vec<Place>,
    ) -> Result<(), Error> {
        // What is known is whole at every moment.
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut at = known.nearest(wanted.start);
        while at.ordinal < wanted.end {
            known.note(at);
            let (header, _) =
                segment.frame_header(at.offset)?.map_err(|fault| segment.damaged(at.offset, fault))?;
            if header.first != first.advanced(at.ordinal.into()) {
                let expected = first.advanced(at.ordinal.into());
                let what = format!("the frame begins at position {}, wanted {expected}", header.first);
                return Err(segment.damaged(at.offset, what));
            }
            let events = match header.kind {
                FrameKind::Data | FrameKind::Removed => header.count,
                FrameKind::Seal => {
                    let what =
                        format!("the segment ends before position {}", first.advanced(wanted.start.into()));
                    return Err(segment.damaged(at.offset, what));
                }
                FrameKind::Open | FrameKind::Close => 0,
            };
            if at.ordinal + events > wanted.start {
                match header.kind {
                    FrameKind::Removed => {
                        let here = wanted.start.max(at.ordinal)..wanted.end.min(at.ordinal + events);
                        out.extend(here.map(|_| Place::removed(at.offset as u32)));
                    }
                    _ => records(segment, at, &header, &wanted, out)?,
                }
            }
            at = At { ordinal: at.ordinal + events, offset: at.offset + u64::from(header.len) };
        }
        Ok(())
    }
}

impl Known {
    /// The last known frame at or before an event.
    fn nearest(&self, ordinal: u32) -> At {
        let after = self.milestones.partition_point(|at| at.ordinal <= ordinal);
        let milestone = after.checked_sub(1).map_or(At::default(), |at| self.milestones[at]);
        if (milestone.ordinal..=ordinal).contains(&self.last.ordinal) { self.last } else { milestone }
    }

    fn note(&mut self, at: At) {
        self.last = at;
        let reached = self.milestones.last().map_or(FRAMES_AT, |milestone| milestone.offset);
        if at.offset >= reached + MILESTONE_BYTES {
            self.milestones.push(at);
        }
    }
}

/// The places of those of a frame's records that are wanted.
fn records(
    segment: &Segment,
    at: At,
    frame: &FrameHeader,
    wanted: &Range<u32>,
    out: &mut Vec<Place>,
) -> Result<(), Error> {
    let end = at.offset + u64::from(frame.len) - TRAILER_LEN as u64;
    let mut offset = at.offset + HEADER_LEN as u64;
    for ordinal in at.ordinal..wanted.end.min(at.ordinal + frame.count) {
        let header = segment.array(offset)?;
        let len = event::record_len(&header).map_err(|fault| segment.damaged(offset, fault))? as u64;
        if offset + len > end {
            return Err(segment.damaged(offset, "the record reaches beyond its frame"));
        }
        // A wrong length leads astray, and the damage would be told at a place where there is none.
        event::check(&segment.slice(offset, len as usize)?)
            .map_err(|fault| segment.damaged(offset, fault))?;
        if ordinal >= wanted.start {
            out.push(Place::record(offset as u32));
        }
        offset += len;
    }
    Ok(())
}

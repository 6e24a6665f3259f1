//! What a scavenge keeps of one segment, found by reading it.

use std::collections::HashMap;
use std::sync::Arc;

use crate::error::Error;
use crate::format::control::SEAL_LEN;
use crate::format::frame::{HEADER_LEN, TRAILER_LEN};
use crate::format::segment::FRAMES_AT;
use crate::format::{FrameKind, event, removed};
use crate::index::{Part, Place, TermHasher};
use crate::lifecycle::{Hidden, Lifecycles, holds_settings};
use crate::log::{Frame, scan};
use crate::model::{Position, StreamVersion};

/// What is to become of the events of one segment.
pub(super) struct Plan {
    /// One for each event, by ordinal.
    pub(super) keeps: Vec<bool>,
    /// How many events go that are there.
    pub(super) removed: u64,
    /// Where the segment's last frame ends, and where it would end.
    pub(super) bytes: u64,
    pub(super) bytes_then: u64,
    /// The streams that are known only by their versions from then on.
    pub(super) last_versions: Vec<(Box<[u8]>, StreamVersion)>,
}

/// What is asked about the events of a segment.
pub(super) struct Question<'a> {
    pub(super) lifecycles: &'a Arc<Lifecycles>,
    pub(super) hasher: &'a TermHasher,
    pub(super) parts: &'a Arc<Vec<Arc<Part>>>,
    pub(super) visible: Position,
    /// The retention of the store drops every event of the segment that is not the store's own.
    pub(super) drops_all: bool,
}

/// A stream of which something is removed.
struct Seen {
    version: StreamVersion,
    name: Box<[u8]>,
    is_kept: bool,
}

/// The plan while the segment is read.
struct Draft<'q, 'a> {
    question: &'q Question<'a>,
    hidden: Option<Hidden>,
    part: &'q Part,
    plan: Plan,
    streams: HashMap<u128, Seen>,
}

impl Plan {
    /// Reads a segment and decides about each of its events.
    pub(super) fn of(part: &Part, question: &Question<'_>) -> Result<Plan, Error> {
        let mut draft = Draft {
            question,
            hidden: Hidden::new(question.lifecycles, question.parts, question.visible),
            part,
            plan: Plan {
                keeps: Vec::new(),
                removed: 0,
                bytes: 0,
                bytes_then: FRAMES_AT,
                last_versions: Vec::new(),
            },
            streams: HashMap::new(),
        };
        let scanned = scan(&part.segment, |frame| draft.frame(frame))?;
        match scanned {
            Some(scanned) if scanned.sealed.is_some() => draft.plan.bytes = scanned.end,
            _ => return Err(part.segment.damaged(FRAMES_AT, "the segment is not whole up to its SEAL")),
        }
        Ok(draft.finish())
    }
}

impl Draft<'_, '_> {
    fn frame(&mut self, frame: &Frame) -> Result<(), Error> {
        match frame.header.kind {
            FrameKind::Open | FrameKind::Seal => self.plan.bytes_then += u64::from(frame.header.len),
            FrameKind::Close => {}
            FrameKind::Removed => {
                self.plan.keeps.resize(self.plan.keeps.len() + frame.header.count as usize, false);
                for last in removed::streams(frame.body()) {
                    self.gone(last.stream, last.version);
                }
            }
            FrameKind::Data => {
                let mut was_kept = false;
                for (offset, record) in frame.records() {
                    let keeps = self.keeps(offset, record)?;
                    if keeps {
                        let around = if was_kept { 0 } else { HEADER_LEN + TRAILER_LEN };
                        self.plan.bytes_then += (record.len() + around) as u64;
                    }
                    was_kept = keeps;
                }
            }
        }
        Ok(())
    }

    /// Decides about one event.
    fn keeps(&mut self, offset: u32, record: &[u8]) -> Result<bool, Error> {
        let Some(found) = event::found_by(record) else { return Ok(true) };
        let version = event::version(record);
        let goes = match found.stream.first() {
            Some(b'$') => holds_settings(found.stream) && self.is_outdated(offset, record)?,
            _ if self.question.drops_all => true,
            _ => self.is_hidden(offset, found.stream, version)?,
        };
        self.plan.keeps.push(!goes);
        if goes {
            self.plan.removed += 1;
            self.gone(found.stream, version);
        } else if let Some(seen) = self.streams.get_mut(&self.question.hasher.stream(found.stream)) {
            seen.is_kept = true;
        }
        Ok(!goes)
    }

    fn is_hidden(&mut self, offset: u32, stream: &[u8], version: StreamVersion) -> Result<bool, Error> {
        let Some(hidden) = &mut self.hidden else { return Ok(false) };
        let stream = std::str::from_utf8(stream)
            .map_err(|_| self.part.segment.damaged(offset.into(), event::EventFault::Utf8))?;
        hidden.has(stream, version, || self.part.commit_time(Place::record(offset)))
    }

    fn is_outdated(&self, offset: u32, record: &[u8]) -> Result<bool, Error> {
        let data = self.part.event(offset)?;
        self.question.lifecycles.is_outdated(data.stream(), data.data(), event::position(record))
    }

    /// Notes that a stream loses its event of a version.
    fn gone(&mut self, stream: &[u8], version: StreamVersion) {
        let seen = self.streams.entry(self.question.hasher.stream(stream)).or_insert_with(|| Seen {
            version,
            name: stream.into(),
            is_kept: false,
        });
        seen.version = seen.version.max(version);
    }

    fn finish(mut self) -> Plan {
        // Whether a later segment has the stream or not: a backup, or a restore, may end before that one.
        let gone = self.streams.into_values().filter(|seen| !seen.is_kept);
        self.plan.last_versions.extend(gone.map(|seen| (seen.name, seen.version)));
        self.plan.last_versions.sort_unstable();
        let rows: usize = self.plan.last_versions.iter().map(|(name, _)| name.len() + 9).sum();
        let runs = self.plan.keeps.chunk_by(|one, other| one == other).filter(|run| !run[0]).count();
        let removed_bytes = rows.next_multiple_of(8) + runs * (HEADER_LEN + TRAILER_LEN);
        self.plan.bytes_then += removed_bytes as u64;
        debug_assert!(self.plan.bytes_then >= FRAMES_AT + SEAL_LEN as u64);
        self.plan
    }
}

//! A walk over all that stands in a segment, which damage does not end: where no frame begins, the next one is looked
//! for, and what stands between is told.
//!
//! A frame is believed by its header alone: salt, place and checksum make a header that stands where it does not
//! belong as good as impossible. What the frame holds may still be damaged; `records` tells which of it is whole.

use bytes::Bytes;

use super::records::Records;
use super::wreck::Wreck;
use crate::error::Error;
use crate::format::frame::{self, HEADER_LEN};
use crate::format::{FrameFault, FrameHeader, FrameKind};
use crate::model::{Position, Timestamp};

/// What the walk knows of what came before.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Before {
    /// The header checksum of the frame before; none when it is not known.
    pub(crate) chain: Option<u32>,
    /// The position that the next event has, if nothing is missing.
    pub(crate) next: Position,
    pub(crate) epoch: u64,
    /// The commit time of the frame before.
    pub(crate) time: Timestamp,
}

impl Before {
    /// Somewhere in a log.
    pub(crate) const UNKNOWN: Before = Before { chain: None, next: Position::START, ..Before::FIRST };

    /// Before the first frame of a store.
    pub(crate) const FIRST: Before =
        Before { chain: Some(0), next: Position::new(1), epoch: 0, time: Timestamp::from_nanos(i64::MIN) };
}

/// A frame, or bytes that are none.
#[derive(Debug, Clone)]
pub(crate) struct Met {
    pub(crate) offset: u64,
    /// Where the next frame is looked for.
    pub(crate) end: u64,
    pub(crate) what: What,
    bytes: Bytes,
    /// The position that the next event has, if nothing is missing before this.
    next: Position,
}

#[derive(Debug, Clone)]
pub(crate) enum What {
    /// A frame with a whole header.
    Frame {
        header: FrameHeader,
        header_crc: u32,
        /// Why it is not whole, or does not continue the one before it.
        fault: Option<FrameFault>,
    },
    /// No frame, but one behind.
    Hole {
        fault: FrameFault,
        /// The first position of the frame behind.
        next: Position,
    },
    /// No frame, and none behind, but bytes that are not zero.
    Tail { fault: FrameFault },
}

/// The walk.
pub(crate) struct Survey<'a> {
    wreck: &'a Wreck,
    at: u64,
    before: Before,
    ended: bool,
}

impl<'a> Survey<'a> {
    /// Over what stands in a segment from `at` on.
    pub(crate) fn new(wreck: &'a Wreck, at: u64, before: Before) -> Survey<'a> {
        Survey { wreck, at, before, ended: false }
    }

    /// What is known before the place it has come to.
    pub(crate) fn before(&self) -> Before {
        self.before
    }

    /// What is known before the segment that follows. It names the SEAL that this one had at first.
    pub(crate) fn before_next_segment(&self) -> Before {
        let header = &self.wreck.segment.header;
        let old_seal = header.is_rewritten().then_some(header.rewritten.old_seal_crc);
        Before { chain: self.before.chain.map(|seal| old_seal.unwrap_or(seal)), ..self.before }
    }

    /// Whether there is nothing more to come.
    pub(crate) fn has_ended(&self) -> bool {
        self.ended
    }

    /// The place it has come to.
    pub(crate) fn at(&self) -> u64 {
        self.at
    }

    /// What comes next; none behind a SEAL, and where only zeros follow.
    pub(crate) fn step(&mut self) -> Result<Option<Met>, Error> {
        if self.ended {
            return Ok(None);
        }
        match self.wreck.segment.frame_header(self.at)? {
            Ok((header, crc)) => self.frame(header, crc).map(Some),
            Err(fault) => self.no_frame(fault),
        }
    }

    fn frame(&mut self, header: FrameHeader, header_crc: u32) -> Result<Met, Error> {
        let segment = &self.wreck.segment;
        let len = u64::from(header.len).min(segment.header.capacity - self.at);
        let bytes = segment.slice(self.at, len as usize)?;
        let whole = match len == u64::from(header.len) {
            true => frame::check_frame(&bytes, &header, header_crc),
            false => Err(FrameFault::Beyond),
        };
        let fault = whole.and_then(|()| self.continues(&header)).err();
        let next = self.before.next;
        let (offset, end) = (self.at, self.at + len);
        self.before = Before {
            chain: Some(header_crc),
            next: next.max(header.next_position()),
            epoch: self.before.epoch.max(header.epoch),
            time: self.before.time.max(header.commit_time),
        };
        self.at = end;
        self.ended = header.kind == FrameKind::Seal;
        Ok(Met { offset, end, what: What::Frame { header, header_crc, fault }, bytes, next })
    }

    fn continues(&self, header: &FrameHeader) -> Result<(), FrameFault> {
        let Before { chain, next, epoch, time } = self.before;
        if let Some(wanted) = chain.filter(|chain| *chain != header.chain) {
            return Err(FrameFault::Chain { wanted, found: header.chain });
        }
        // Behind a hole the position tells what is missing, and is as good as the header.
        if header.first < next || (chain.is_some() && header.first != next) {
            return Err(FrameFault::Position { wanted: next, found: header.first });
        }
        if header.epoch < epoch || header.commit_time < time {
            return Err(FrameFault::Stale { epoch: header.epoch });
        }
        Ok(())
    }

    fn no_frame(&mut self, fault: FrameFault) -> Result<Option<Met>, Error> {
        let segment = &self.wreck.segment;
        let end = segment.end_of_bytes(self.at)?;
        let Some(end) = end else {
            self.ended = true;
            return Ok(None);
        };
        let found = self.search(end)?;
        // A writer at work has perhaps finished the frame since it was looked at.
        self.wreck.refresh();
        if let Ok((header, crc)) = segment.frame_header(self.at)? {
            return self.frame(header, crc).map(Some);
        }
        let (offset, next) = (self.at, self.before.next);
        let (end, what) = match found {
            Some((at, behind)) => (at, What::Hole { fault, next: behind.first }),
            None => (end.next_multiple_of(8).min(segment.header.capacity), What::Tail { fault }),
        };
        let bytes = segment.slice(offset, (end - offset) as usize)?;
        if let What::Hole { next, .. } = what {
            self.before.next = next;
        }
        self.before.chain = None;
        self.at = end;
        self.ended = matches!(what, What::Tail { .. });
        Ok(Some(Met { offset, end, what, bytes, next }))
    }

    /// The next whole header of a frame that can follow what came before.
    fn search(&self, end: u64) -> Result<Option<(u64, FrameHeader)>, Error> {
        let segment = &self.wreck.segment;
        for offset in (self.at + 8..end.min(segment.header.capacity.saturating_sub(3))).step_by(8) {
            if !frame::begins_like_a_frame(segment.array(offset)?) {
                continue;
            }
            if let Ok((header, _)) = segment.frame_header(offset)?
                && header.first >= self.before.next
                && header.epoch >= self.before.epoch
            {
                return Ok(Some((offset, header)));
            }
        }
        Ok(None)
    }
}

impl Met {
    /// The header of a frame.
    pub(crate) fn header(&self) -> Option<&FrameHeader> {
        match &self.what {
            What::Frame { header, .. } => Some(header),
            What::Hole { .. } | What::Tail { .. } => None,
        }
    }

    /// What is wrong with it.
    pub(crate) fn fault(&self) -> Option<FrameFault> {
        match self.what {
            What::Frame { fault, .. } => fault,
            What::Hole { fault, .. } | What::Tail { fault } => Some(fault),
        }
    }

    /// The position that was to come next when it was met.
    pub(crate) fn next_wanted(&self) -> Position {
        self.next
    }

    /// Its body, as far as it is there.
    pub(crate) fn body(&self) -> &[u8] {
        let end = self.bytes.len().saturating_sub(frame::TRAILER_LEN);
        self.bytes.get(HEADER_LEN..end).unwrap_or_default()
    }

    /// The records in it, and the gaps between them. A frame whose header is damaged has them too, if it begins here.
    pub(crate) fn records(&self) -> Records {
        let bytes = self.bytes.clone();
        match &self.what {
            What::Frame { header, .. } if header.kind != FrameKind::Data => Records::none(),
            What::Frame { header, fault, .. } => {
                let cut = matches!(fault, Some(FrameFault::Beyond));
                let end = if cut { bytes.len() } else { bytes.len() - frame::TRAILER_LEN };
                let bounds = (header.first, Some(header.next_position()));
                Records::of_frame(bytes.slice(..end), self.offset, bounds, checks_events(*fault))
            }
            What::Hole { next, .. } => Records::without_header(bytes, self.offset, (self.next, Some(*next))),
            What::Tail { .. } => Records::without_header(bytes, self.offset, (self.next, None)),
        }
    }
}

/// Whether the events of a frame with this fault still have to be checked.
fn checks_events(fault: Option<FrameFault>) -> bool {
    !matches!(fault, None | Some(FrameFault::Chain { .. } | FrameFault::Stale { .. }))
}

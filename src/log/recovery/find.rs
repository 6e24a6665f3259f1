//! Finding the segments: which is the last one in use, what stands above it, and whether those below lead up to it.

use std::path::Path;
use std::sync::Arc;

use super::FoundSegment;
use crate::error::{Error, OpenError};
use crate::format::control::decode_seal;
use crate::format::frame::HEADER_LEN;
use crate::format::segment::FRAMES_AT;
use crate::format::{FrameFault, FrameKind, SegmentNumber};
use crate::log::names::segment_path;
use crate::log::scan::{Scanned, open_of};
use crate::log::segment::Segment;
use crate::model::Position;
use crate::vfs::{Disk, OpenMode};

/// The numbers of the segments, which must have no hole.
pub(super) fn dense(log_dir: &Path, numbers: Vec<SegmentNumber>) -> Result<Vec<SegmentNumber>, OpenError> {
    let expected = (1..).map(SegmentNumber);
    match numbers.iter().copied().zip(expected).find(|(found, wanted)| found != wanted) {
        Some((found, wanted)) => {
            let path = segment_path(log_dir, wanted);
            Err(Error::damaged(path, 0, format!("the segment is missing, but segment {found} is there"))
                .into())
        }
        None => Ok(numbers),
    }
}

/// The last segment in use, and those above it.
pub(super) struct Last {
    /// None when no segment begins with a valid OPEN.
    pub(super) active: Option<Segment>,
    /// Highest first.
    pub(super) above: Vec<Above>,
}

/// A segment without a valid OPEN: made ahead of need, or its first write was torn, or it is damaged.
pub(super) struct Above {
    pub(super) segment: Segment,
    /// Why there is no OPEN.
    pub(super) fault: FrameFault,
    /// The largest durable position that a frame in it names.
    pub(super) durable: Position,
}

impl Above {
    /// Whether a writer beside us has written OPEN since it was looked for.
    pub(super) fn has_begun(&self) -> Result<bool, Error> {
        Ok(self.segment.frame(FRAMES_AT)?.is_ok_and(|frame| open_of(&frame).is_some()))
    }
}

/// The highest segment with a valid OPEN.
pub(super) fn find_last(
    disk: &dyn Disk,
    log_dir: &Path,
    numbers: &[SegmentNumber],
    mode: OpenMode,
) -> Result<Last, OpenError> {
    let mut above = Vec::new();
    for number in numbers.iter().rev() {
        let segment = Segment::open(disk, log_dir, *number, mode)?;
        let fault = match segment.frame(FRAMES_AT)? {
            Ok(frame) if open_of(&frame).is_some() => return Ok(Last { active: Some(segment), above }),
            found => found.err().unwrap_or(FrameFault::Magic),
        };
        let durable = durable_beyond(&segment, FRAMES_AT)?;
        above.push(Above { segment, fault, durable });
    }
    Ok(Last { active: None, above })
}

/// The largest durable position that a valid frame header behind `from` names. It was true when the frame was built,
/// whatever became of the frame.
pub(in crate::log) fn durable_beyond(segment: &Segment, from: u64) -> Result<Position, Error> {
    match segment.end_of_bytes(from)? {
        Some(end) => durable_between(segment, from, end),
        None => Ok(Position::START),
    }
}

/// The same when it is known that there are only zeros behind `end`.
pub(super) fn durable_between(segment: &Segment, from: u64, end: u64) -> Result<Position, Error> {
    let mut durable = Position::START;
    let magic = *b"ANFR";
    let has_room = |offset: &u64| offset + HEADER_LEN as u64 <= segment.header.capacity;
    for offset in (from..end).step_by(8).take_while(has_room) {
        // What cannot be read may be what names the acknowledged events: no reading, no verdict.
        if segment.array(offset)? != magic {
            continue;
        }
        if let Ok((header, _)) = segment.frame_header(offset)? {
            durable = durable.max(header.durable);
        }
    }
    Ok(durable)
}

/// Opens the segments before the active one, from it backwards: each OPEN tells where the SEAL before it is.
pub(super) fn chain_back(
    disk: &dyn Disk,
    log_dir: &Path,
    numbers: &[SegmentNumber],
    active: &Arc<Segment>,
    scanned: &Scanned,
    mode: OpenMode,
) -> Result<Vec<FoundSegment>, OpenError> {
    let mut found =
        vec![FoundSegment { segment: active.clone(), first: scanned.first, sealed: scanned.sealed }];
    let (mut open, mut chain) = (scanned.open, scanned.first_chain);
    for number in numbers.iter().rev().filter(|number| **number < active.number()) {
        let segment = Arc::new(Segment::open(disk, log_dir, *number, mode)?);
        if segment.header.store != active.header.store {
            return Err(segment.damaged(0, "the segment belongs to another store").into());
        }
        let sealed = read_seal(&segment, open.seal_at, chain, found[0].first)?;
        let first = match segment.frame(FRAMES_AT)? {
            Ok(frame) if frame.header.kind == FrameKind::Open => frame,
            other => {
                let what = other.err().unwrap_or(FrameFault::Magic).to_string();
                return Err(segment.damaged(FRAMES_AT, what).into());
            }
        };
        open = open_of(&first).ok_or_else(|| segment.damaged(FRAMES_AT, "the OPEN has no body"))?;
        chain = first.header.chain;
        found.insert(0, FoundSegment { segment, first: first.header.first, sealed: Some(sealed) });
    }
    Ok(found)
}

/// Checks that a segment ends in the SEAL that the segment after it names. In a segment that was rewritten another SEAL
/// stands for that one.
fn read_seal(
    segment: &Segment,
    mut seal_at: u64,
    chain: u32,
    next: Position,
) -> Result<(u64, u32), OpenError> {
    let mut wanted = Some(chain);
    let rewritten = segment.header.rewritten;
    if segment.header.is_rewritten() && (rewritten.old_seal_at, rewritten.old_seal_crc) == (seal_at, chain) {
        (seal_at, wanted) = (rewritten.seal_at, None);
    }
    let what = match segment.frame(seal_at)? {
        Ok(frame) if frame.header.kind == FrameKind::Seal => {
            let is_named = wanted.is_none_or(|crc| crc == frame.header_crc);
            if is_named && frame.header.first == next && decode_seal(frame.body()).is_some() {
                return Ok((seal_at, frame.header_crc));
            }
            "its SEAL does not match the segment after it".to_owned()
        }
        Ok(_) => "another frame stands where its SEAL should be".to_owned(),
        Err(fault) => format!("its SEAL is damaged: {fault}"),
    };
    Err(segment.damaged(seal_at, what).into())
}

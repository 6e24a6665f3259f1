//! Walking over the frames of a segment, from its OPEN to the first byte that does not continue it.

use bytes::Bytes;

use super::segment::Segment;
use crate::error::Error;
use crate::format::control::{self, Open, Seal};
use crate::format::frame::{HEADER_LEN, TRAILER_LEN};
use crate::format::segment::FRAMES_AT;
use crate::format::{FrameFault, FrameHeader, FrameKind};
use crate::model::{Position, Timestamp};

/// A whole frame, checked.
#[derive(Debug, Clone)]
pub(crate) struct Frame {
    pub(crate) offset: u64,
    pub(crate) header: FrameHeader,
    pub(crate) header_crc: u32,
    pub(crate) bytes: Bytes,
}

impl Frame {
    /// Where the next frame begins.
    pub(crate) fn end(&self) -> u64 {
        self.offset + u64::from(self.header.len)
    }

    /// What stands between header and trailer.
    pub(crate) fn body(&self) -> &[u8] {
        &self.bytes[HEADER_LEN..self.bytes.len() - TRAILER_LEN]
    }

    /// The records of a data frame, each with its offset in the segment. The frame has been checked, so the walk ends
    /// with its last record.
    pub(crate) fn records(&self) -> impl Iterator<Item = (u32, &[u8])> {
        let body = self.body();
        let mut at = 0;
        let count = if self.header.kind == FrameKind::Data { self.header.count } else { 0 };
        (0..count).map_while(move |_| {
            let record = crate::format::event::record_at(body, at).ok()?;
            let offset = self.offset as u32 + HEADER_LEN as u32 + at as u32;
            at += record.len();
            Some((offset, record))
        })
    }
}

/// What a walk over a segment found.
#[derive(Debug, Clone)]
pub(crate) struct Scanned {
    /// What the OPEN frame says.
    pub(crate) open: Open,
    /// The position of the first event the segment can hold.
    pub(crate) first: Position,
    /// What the OPEN frame names as the frame before it.
    pub(crate) first_chain: u32,
    /// Where the valid prefix ends.
    pub(crate) end: u64,
    /// Why it ends there; none after a SEAL.
    pub(crate) fault: Option<FrameFault>,
    /// The position that the next event gets.
    pub(crate) next: Position,
    /// The largest durable position that a frame of the prefix names.
    pub(crate) durable: Position,
    /// The header checksum of the last frame.
    pub(crate) chain: u32,
    /// The epoch of the last frame; it never falls.
    pub(crate) epoch: u64,
    /// The commit time of the last frame.
    pub(crate) last_time: Timestamp,
    /// Counts and times so far, as a SEAL would say them.
    pub(crate) so_far: Seal,
    /// The SEAL frame's offset and header checksum, if the segment is sealed.
    pub(crate) sealed: Option<(u64, u32)>,
    /// Whether the last frame is a CLOSE.
    pub(crate) closed: bool,
}

/// Walks over the frames of `segment` and hands each to `visit`. None when there is no valid OPEN to begin with.
pub(crate) fn scan(
    segment: &Segment,
    mut visit: impl FnMut(&Frame) -> Result<(), Error>,
) -> Result<Option<Scanned>, Error> {
    let Ok(open) = segment.frame(FRAMES_AT)? else { return Ok(None) };
    let Some(mut scanned) = Scanned::begin(&open) else { return Ok(None) };
    visit(&open)?;
    loop {
        let fault = match segment.frame(scanned.end)? {
            Ok(frame) => match scanned.take(&frame) {
                Ok(()) => {
                    visit(&frame)?;
                    if scanned.sealed.is_some() {
                        break;
                    }
                    continue;
                }
                Err(fault) => fault,
            },
            Err(fault) => fault,
        };
        scanned.fault = Some(fault);
        break;
    }
    Ok(Some(scanned))
}

/// What an OPEN frame says beside its header; none when it is no OPEN frame.
pub(super) fn open_of(frame: &Frame) -> Option<Open> {
    let is_open = frame.header.kind == FrameKind::Open && frame.header.count == 0;
    control::decode_open(frame.body()).filter(|_| is_open)
}

impl Scanned {
    fn begin(open: &Frame) -> Option<Scanned> {
        Some(Scanned {
            open: open_of(open)?,
            first: open.header.first,
            first_chain: open.header.chain,
            end: open.end(),
            fault: None,
            next: open.header.first,
            durable: open.header.durable,
            chain: open.header_crc,
            epoch: open.header.epoch,
            last_time: open.header.commit_time,
            so_far: Seal::default(),
            sealed: None,
            closed: false,
        })
    }

    /// Goes on over `frame`, if it continues what was there.
    pub(super) fn take(&mut self, frame: &Frame) -> Result<(), FrameFault> {
        let header = &frame.header;
        if header.chain != self.chain {
            return Err(FrameFault::Chain { wanted: self.chain, found: header.chain });
        }
        if header.first != self.next {
            return Err(FrameFault::Position { wanted: self.next, found: header.first });
        }
        if header.epoch < self.epoch || header.commit_time < self.last_time {
            return Err(FrameFault::Stale { epoch: header.epoch });
        }
        let shape = FrameFault::Shape { kind: header.kind as u8, len: header.len };
        match header.kind {
            FrameKind::Data if header.count > 0 => {
                self.so_far.add(header.count, header.commit_time);
            }
            FrameKind::Seal if control::decode_seal(frame.body()) == Some(self.so_far) => {
                self.sealed = Some((frame.offset, frame.header_crc));
            }
            FrameKind::Close if frame.body().is_empty() => {}
            FrameKind::Removed if header.count > 0 => {}
            _ => return Err(shape),
        }
        self.closed = header.kind == FrameKind::Close;
        self.end = frame.end();
        self.next = header.next_position();
        self.durable = self.durable.max(header.durable);
        self.chain = frame.header_crc;
        self.epoch = header.epoch;
        self.last_time = header.commit_time;
        Ok(())
    }
}

//! A segment or a tail file: headers, frames, events, and where it stops making sense.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;

use super::Finding;
use crate::error::{Error, OpenError};
use crate::format::control::{self, Open, Seal};
use crate::format::event;
use crate::format::segment::FRAMES_AT;
use crate::format::{FrameHeader, FrameKind, SegmentNumber, removed};
use crate::log::{Before, Met, Record, Records, Survey, What, Wreck, segment_path, told};
use crate::model::{Position, Timestamp};
use crate::vfs::{Disk, DiskFile};

/// The walk; `next_finding` takes one step of it at a time.
pub(super) struct SegmentWalk {
    wreck: Wreck,
    made: VecDeque<Finding>,
    at: u64,
    before: Before,
    ended: bool,
    parts: bool,
    records: Option<(Records, Timestamp)>,
    /// How many entries of the list of unreadable bytes were shown.
    unreadable_shown: usize,
}

impl SegmentWalk {
    pub(super) fn of_segment(
        disk: &dyn Disk,
        path: &Path,
        number: SegmentNumber,
        from: u64,
        parts: bool,
    ) -> Result<SegmentWalk, OpenError> {
        let wreck = Wreck::open(disk, path, number)?;
        let first = wreck.segment.number() == SegmentNumber::FIRST && wreck.has_header;
        let (at, before) = match from > FRAMES_AT {
            true => (from.next_multiple_of(8), Before::UNKNOWN),
            false if first => (FRAMES_AT, Before::FIRST),
            false => (FRAMES_AT, Before::UNKNOWN),
        };
        let header = if from > FRAMES_AT { VecDeque::new() } else { headers(&wreck) };
        Ok(SegmentWalk::new(wreck, header, (at, before), parts))
    }

    pub(super) fn of_tail(
        disk: &dyn Disk,
        path: &Path,
        file: Arc<dyn DiskFile>,
        (number, base): (SegmentNumber, u64),
        from: u64,
        parts: bool,
    ) -> Result<SegmentWalk, OpenError> {
        let beside = segment_path(path.parent().unwrap_or(Path::new("")), number);
        let segment = match disk.exists(&beside) {
            Ok(true) => Some(Wreck::open(disk, &beside, number)?).filter(|segment| segment.has_header),
            _ => None,
        };
        let is_beside = segment.is_some();
        let wreck = Wreck::of_copy(path, file, base, segment.map(|segment| segment.segment.header.clone()))?;
        let salt = match (is_beside, wreck.has_header) {
            (true, _) => "of the segment that lies beside it",
            (false, true) => "taken from its own frames",
            (false, false) => "not known: put the file beside its segment, or no frame can be checked",
        };
        let intro = Finding::new(base, "a copy of what stood behind the last whole frame")
            .with("segment", number)
            .with("bytes", wreck.segment.header.capacity - base)
            .with("salt", salt);
        let at = from.max(base).next_multiple_of(8);
        Ok(SegmentWalk::new(wreck, VecDeque::from([intro]), (at, Before::UNKNOWN), parts))
    }

    fn new(wreck: Wreck, made: VecDeque<Finding>, (at, before): (u64, Before), parts: bool) -> SegmentWalk {
        let ended = at >= wreck.segment.header.capacity;
        SegmentWalk { wreck, made, at, before, ended, parts, records: None, unreadable_shown: 0 }
    }

    pub(super) fn next_finding(&mut self) -> Result<Option<Finding>, Error> {
        loop {
            if let Some(made) = self.made.pop_front() {
                return Ok(Some(made));
            }
            if let Some((records, time)) = &mut self.records {
                if let Some(record) = records.next() {
                    return Ok(Some(of_record(record, *time)));
                }
                self.records = None;
            }
            if self.ended {
                return Ok(None);
            }
            self.step()?;
        }
    }

    fn step(&mut self) -> Result<(), Error> {
        let mut survey = Survey::new(&self.wreck, self.at, self.before);
        let is_placed = self.before.next > Position::START;
        let met = survey.step()?;
        (self.at, self.before, self.ended) = (survey.at(), survey.before(), survey.has_ended());
        match met {
            Some(met) => {
                let time = met.header().map_or(self.before.time, |header| header.commit_time);
                let can_have = self.parts && (met.header().is_some() || is_placed);
                self.records = can_have.then(|| (met.records(), time));
                self.made.push_back(of_met(&met));
            }
            None => self.ended = true,
        }
        let unreadable = self.wreck.unreadable();
        for bytes in unreadable.iter().skip(self.unreadable_shown) {
            let what = Finding::new(bytes.offset, "bytes that the disk does not give").with("end", bytes.end);
            self.made.push_back(what.wrong(Some(&bytes.why)));
        }
        self.unreadable_shown = unreadable.len();
        if self.ended {
            let end = self.wreck.segment.header.capacity;
            self.made.push_back(Finding::new(self.at, "the end of what is used").with("file_end", end));
        }
        Ok(())
    }
}

fn headers(wreck: &Wreck) -> VecDeque<Finding> {
    let header = &wreck.segment.header;
    let mut found = VecDeque::new();
    if wreck.has_header {
        found.push_back(
            Finding::new(0, "segment header")
                .with("number", header.number)
                .with("store", uuid::Uuid::from_bytes(header.store.0))
                .with("salt", format_args!("{:#018x}", header.salt))
                .with("capacity", header.capacity)
                .with("generation", header.rewritten.generation),
        );
    }
    for (offset, what) in &wreck.faults {
        found.push_back(Finding::new(*offset, "segment header").wrong(Some(what)));
    }
    found
}

fn of_met(met: &Met) -> Finding {
    let finding = match &met.what {
        What::Frame { header, header_crc, .. } => of_frame(met, header, *header_crc),
        What::Hole { next, .. } => {
            Finding::new(met.offset, "no frame").with("end", met.end).with("next_position", next)
        }
        What::Tail { .. } => Finding::new(met.offset, "no frame, here or behind").with("end", met.end),
    };
    finding.wrong(met.fault())
}

fn of_frame(met: &Met, header: &FrameHeader, crc: u32) -> Finding {
    let what = match header.kind {
        FrameKind::Open => "OPEN frame",
        FrameKind::Data => "DATA frame",
        FrameKind::Seal => "SEAL frame",
        FrameKind::Close => "CLOSE frame",
        FrameKind::Removed => "REMOVED frame",
    };
    let finding = Finding::new(met.offset, what).with("len", header.len);
    let finding = match header.kind {
        FrameKind::Data | FrameKind::Removed => finding
            .with("positions", format_args!("{}-{}", header.first, header.next_position().previous()))
            .with("count", header.count),
        _ => finding.with("next_position", header.first),
    };
    let finding = finding
        .with("durable", header.durable)
        .with("time", shown(header.commit_time))
        .with("epoch", header.epoch)
        .with("chain", format_args!("{:#010x}", header.chain))
        .with("crc", format_args!("{crc:#010x}"));
    match header.kind {
        FrameKind::Open => with_open(finding, control::decode_open(met.body())),
        FrameKind::Seal => with_seal(finding, control::decode_seal(met.body())),
        FrameKind::Removed => finding.with("last_versions", removed::streams(met.body()).count()),
        FrameKind::Data | FrameKind::Close => finding,
    }
}

fn with_open(finding: Finding, open: Option<Open>) -> Finding {
    match open {
        Some(Open { history, seal_at, settings }) => {
            finding.with("history", history).with("seal_at", seal_at).with("settings", settings)
        }
        None => finding,
    }
}

fn with_seal(finding: Finding, seal: Option<Seal>) -> Finding {
    match seal {
        Some(seal) => finding
            .with("events", seal.events)
            .with("frames", seal.frames)
            .with("first_time", shown(seal.first_time))
            .with("last_time", shown(seal.last_time)),
        None => finding,
    }
}

/// A time; before the first commit of a store there is none.
fn shown(time: Timestamp) -> String {
    if time.as_nanos() == i64::MIN { "none".to_owned() } else { time.to_string() }
}

fn of_record(record: Record, time: Timestamp) -> Finding {
    let (offset, bytes) = match record {
        Record::Whole { offset, bytes } => (offset, bytes),
        Record::Lost { offset, first, last, fault, hint } => {
            let lost =
                Finding::new(offset, "damaged event").with("positions", format_args!("{first}-{last}"));
            return Finding { is_part: true, ..lost.wrong(Some(told(fault, hint.as_deref()))) };
        }
    };
    let finding = match event::decode(bytes, time) {
        Ok(event) => Finding::new(offset, "event")
            .with("position", event.position())
            .with("stream", event.stream())
            .with("version", event.stream_version())
            .with("type", event.event_type())
            .with("id", event.id())
            .with("timestamp", event.timestamp())
            .with("data_bytes", event.data().len())
            .with("metadata_bytes", event.metadata().map_or(0, str::len))
            .with("len", event.record_bytes()),
        Err(fault) => Finding::new(offset, "event").wrong(Some(fault)),
    };
    Finding { is_part: true, ..finding }
}

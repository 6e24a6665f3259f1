//! The way through the damaged log: segment by segment, frame by frame, event by event, into the new store.

use std::path::PathBuf;

use bytes::Bytes;

use super::Salvage;
use super::account::Account;
use super::report::{ReportFile, SalvageReport};
use super::target::{Moved, Target};
use crate::error::{Error, OpenError};
use crate::format::control;
use crate::format::event::{self, Given};
use crate::format::segment::FRAMES_AT;
use crate::format::{FrameFault, FrameKind, SegmentNumber, removed};
use crate::index::TermHasher;
use crate::lifecycle::{holds_settings, translated};
use crate::log::{Before, Evidence, Met, Record, Survey, What, Wreck, log_dir, segment_path, told};
use crate::model::{Position, RecordedEvent, StreamName, Timestamp};

pub(super) struct Copy<'a> {
    salvage: &'a Salvage,
    evidence: Evidence,
    target: Target,
    account: Account,
    before: Before,
    /// Where the segment before this one ends, if it does so without SEAL.
    unsealed: Option<(PathBuf, u64)>,
}

/// A segment file, in the order in which it is to be read.
struct Found {
    /// What its header says, or else its name.
    number: SegmentNumber,
    path: PathBuf,
    wreck: Wreck,
}

impl<'a> Copy<'a> {
    pub(super) fn new(
        salvage: &'a Salvage,
        evidence: Evidence,
        target: Target,
        report: ReportFile,
    ) -> Copy<'a> {
        let hasher = TermHasher::new(&evidence.term_key);
        let account = Account::new(report, evidence.durable, hasher);
        Copy { salvage, evidence, target, account, before: Before::FIRST, unsealed: None }
    }

    pub(super) fn run(mut self) -> Result<SalvageReport, OpenError> {
        let mut wanted = SegmentNumber::FIRST;
        for (number, name) in self.in_order()? {
            let found = self.open(name)?;
            if !found.wreck.is_of(self.evidence.store) {
                self.account.blame(&found.path, 0, "the segment belongs to another store")?;
                continue;
            }
            if number < wanted {
                self.account.fault(&found.path, 0, &format!("another file is segment {number} too"))?;
                continue;
            }
            if wanted < number {
                let path = segment_path(&log_dir(&self.salvage.options.dir), wanted);
                let what = format!("the segment is missing, but segment {number} is there");
                self.account.blame(&path, 0, &what)?;
                self.before.chain = None;
            }
            self.segment(&found)?;
            wanted = number.next();
        }
        // What is missing at the end, whole headers and STATE can still name.
        let end = self.before.next.max(self.account.durable().next());
        self.account.lose_before(end)?;
        let events = self.target.finish()?;
        Ok(self.account.finish(events)?)
    }

    /// The segments by the numbers that they have, each with the number of its name. A file may have been renamed.
    fn in_order(&self) -> Result<Vec<(SegmentNumber, SegmentNumber)>, OpenError> {
        let mut order = Vec::new();
        for name in &self.evidence.numbers {
            order.push((self.open(*name)?.number, *name));
        }
        order.sort_by_key(|(number, name)| (*number, number != name));
        Ok(order)
    }

    fn open(&self, name: SegmentNumber) -> Result<Found, OpenError> {
        let path = segment_path(&log_dir(&self.salvage.options.dir), name);
        let wreck = Wreck::open(self.salvage.options.disk.as_ref(), &path, name)?;
        Ok(Found { number: wreck.segment.number(), path, wreck })
    }

    fn segment(&mut self, found: &Found) -> Result<(), Error> {
        for (offset, what) in &found.wreck.faults {
            self.account.fault(&found.path, *offset, what)?;
        }
        self.account.begin_segment();
        let header = &found.wreck.segment.header;
        if header.is_rewritten() {
            // Which removed events the first REMOVED frame names can be told as long as the frames stay together.
            let bytes = header.rewritten.seal_at.min(header.capacity).saturating_sub(FRAMES_AT);
            self.target.make_room(bytes as usize)?;
        }
        let mut survey = Survey::new(&found.wreck, FRAMES_AT, self.before);
        let mut is_explained = false;
        while let Some(met) = survey.step()? {
            if let Some((path, offset)) = self.unsealed.take() {
                self.account.blame(&path, offset, "the segment ends without SEAL, but segments follow")?;
            }
            let is_seal = met.header().is_some_and(|header| header.kind == FrameKind::Seal);
            is_explained = is_seal || matches!(met.what, What::Tail { .. });
            if let Some(fault) = met.fault() {
                self.account.blame(&found.path, met.offset, &fault.to_string())?;
            }
            match met.what {
                What::Frame { .. } => self.frame(found, &met)?,
                What::Hole { .. } => {
                    self.without_header(found, &met, survey.before().time, Position::new(u64::MAX))?
                }
                // Nothing behind it says that it was ever finished: only what was acknowledged counts.
                What::Tail { .. } => {
                    self.without_header(found, &met, survey.before().time, self.account.durable())?;
                }
            }
        }
        self.before = survey.before_next_segment();
        if !is_explained {
            // What the next segment names as the frame before it is not here any more, and no fault of that segment.
            self.before.chain = None;
            self.unsealed.get_or_insert((found.path.clone(), survey.at()));
        }
        for unreadable in found.wreck.unreadable() {
            let what = format!("bytes up to {} cannot be read: {}", unreadable.end, unreadable.why);
            self.account.fault(&found.path, unreadable.offset, &what)?;
        }
        Ok(())
    }

    /// A frame whose header is whole.
    fn frame(&mut self, found: &Found, met: &Met) -> Result<(), Error> {
        let Some(header) = met.header().copied() else { return Ok(()) };
        if header.kind == FrameKind::Open && met.fault().is_none() {
            self.account.old_history = control::decode_open(met.body()).map(|open| open.history);
        }
        if !matches!(header.kind, FrameKind::Data | FrameKind::Removed) || header.count == 0 {
            return Ok(());
        }
        let (first, last) = (header.first, header.next_position().previous());
        if last < self.account.next() {
            let what = format!("positions {first} to {last} have been read already");
            return self.account.fault(&found.path, met.offset, &what);
        }
        if header.kind == FrameKind::Removed {
            let streams = removed::streams(met.body()).filter(|_| met.fault().is_none_or(is_of_its_place));
            let body = self.account.removed(first, header.count, streams)?;
            return self.target.append_removed(header.count, &body, header.commit_time);
        }
        let records: Vec<Record> = met.records().map(|record| checked(record, header.commit_time)).collect();
        let is_whole = |record: &&Record| matches!(record, Record::Whole { .. });
        let whole = records.iter().filter(is_whole).count() as u64;
        if whole < u64::from(header.count) && whole > 0 {
            let kept = !self.salvage.whole_appends;
            self.account.incomplete(&found.path, met.offset, (first, last), whole, kept)?;
            if !kept {
                let what = "left out, because other events of its append are lost".to_owned();
                self.account.because(&found.path, met.offset, what);
                return Ok(());
            }
        }
        self.keep(found, records, header.commit_time)
    }

    /// Events of frames whose headers are damaged, up to a position. Where one append ends is not known, and when it was
    /// committed only as "not before the frame before it".
    fn without_header(
        &mut self,
        found: &Found,
        met: &Met,
        time: Timestamp,
        last: Position,
    ) -> Result<(), Error> {
        for record in met.records() {
            if matches!(&record, Record::Whole { bytes, .. } if event::position(bytes) > last) {
                return Ok(());
            }
            if let Record::Whole { offset, bytes } = &record {
                let what = format!(
                    "the time of commit of the event at position {} is lost with its frame's header; {time} is taken",
                    event::position(bytes)
                );
                self.account.note(&found.path, *offset, &what)?;
            }
            self.keep(found, vec![checked(record, time)], time)?;
        }
        Ok(())
    }

    /// Puts records into the new store, in one frame.
    fn keep(&mut self, found: &Found, records: Vec<Record>, time: Timestamp) -> Result<(), Error> {
        let mut moved = Vec::with_capacity(records.len());
        for record in records {
            let (offset, bytes) = match record {
                Record::Whole { offset, bytes } => (offset, bytes),
                Record::Lost { offset, fault, hint, .. } => {
                    self.account.because(&found.path, offset, told(fault, hint.as_deref()));
                    continue;
                }
            };
            let Some(event) = decoded(&bytes, time) else { continue };
            if event.position() < self.account.next() {
                self.account.fault(&found.path, offset, "an event that was read already")?;
                continue;
            }
            let now = self.target.next().advanced(moved.len() as u64);
            let version = self.account.keep(event.position(), event.stream(), event.stream_version(), now)?;
            let record = match self.settings_of(&event) {
                Some(record) => {
                    let what = "settings of a stream that lost events were made to fit its new versions";
                    self.account.note(&found.path, offset, what)?;
                    record
                }
                None => bytes,
            };
            moved.push(Moved { record, version });
        }
        if moved.is_empty() { Ok(()) } else { self.target.append(&moved, time) }
    }
}

/// Whether a fault is about where a frame stands, and not about what is in it.
fn is_of_its_place(fault: FrameFault) -> bool {
    matches!(fault, FrameFault::Chain { .. } | FrameFault::Position { .. } | FrameFault::Stale { .. })
}

impl Copy<'_> {
    /// The record of an event that is a stream's settings, if the stream has other versions in the new store.
    fn settings_of(&self, event: &RecordedEvent) -> Option<Bytes> {
        if !holds_settings(event.stream().as_bytes()) {
            return None;
        }
        let new = translated(event, |stream| self.account.stands(stream))?;
        let (stream, id) = (StreamName::parse(event.stream()).ok()?, event.id());
        let given = Given { stream: &stream, id: &id, labels: &[] };
        let mut record = Vec::new();
        let (_, crc) = event::encode(&mut record, &new, given, event.timestamp());
        event::seal(&mut record, crc, event.position(), event.stream_version());
        Some(record.into())
    }
}

fn decoded(bytes: &Bytes, time: Timestamp) -> Option<RecordedEvent> {
    event::decode(bytes.clone(), time).ok()
}

/// A record that fits its checksum and cannot be read is as good as lost.
fn checked(record: Record, time: Timestamp) -> Record {
    let Record::Whole { offset, bytes } = &record else { return record };
    match event::decode(bytes.clone(), time) {
        Ok(_) => record,
        Err(fault) => {
            let position = event::position(bytes);
            Record::Lost { offset: *offset, first: position, last: position, fault, hint: None }
        }
    }
}

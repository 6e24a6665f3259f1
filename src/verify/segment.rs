//! One segment: its frames in order, each fault in them, its SEAL and its index.

use std::path::Path;

use super::Verifier;
use crate::error::Error;
use crate::format::control::{self, Seal};
use crate::format::segment::{FRAMES_AT, HEADER_COPY_AT, HEADER_LEN};
use crate::format::{FrameFault, FrameHeader, FrameKind, SegmentNumber, removed};
use crate::index::{IndexCheck, Sealed};
use crate::log::{Met, Record, Survey, What, Wreck, told};
use crate::model::Position;

/// The check of one segment that is in use.
pub(super) struct SegmentCheck<'v, 'a, 'w> {
    verifier: &'v mut Verifier<'a>,
    wreck: &'w Wreck,
    number: SegmentNumber,
    /// How many faults there were before.
    faults_before: usize,
    so_far: Seal,
    first: Option<Position>,
    sealed: Option<Sealed>,
}

impl<'v, 'a, 'w> SegmentCheck<'v, 'a, 'w> {
    pub(super) fn new(verifier: &'v mut Verifier<'a>, wreck: &'w Wreck, number: SegmentNumber) -> Self {
        let faults_before = verifier.report.faults.len();
        SegmentCheck {
            verifier,
            wreck,
            number,
            faults_before,
            so_far: Seal::default(),
            first: None,
            sealed: None,
        }
    }

    fn path(&self) -> &'w Path {
        &self.wreck.segment.path
    }

    fn is_last(&self) -> bool {
        self.verifier.evidence.last_used == Some(self.number)
    }

    fn is_whole(&self) -> bool {
        self.verifier.report.faults.len() == self.faults_before
    }

    pub(super) fn run(mut self) -> Result<(), Error> {
        self.check_zeros(HEADER_LEN as u64, HEADER_COPY_AT)?;
        self.check_zeros(HEADER_COPY_AT + HEADER_LEN as u64, FRAMES_AT)?;
        if let Some(deep) = &mut self.verifier.deep {
            deep.begin_segment();
        }
        let mut survey = Survey::new(self.wreck, FRAMES_AT, self.verifier.before);
        let mut tail = None;
        while let Some(met) = survey.step()? {
            match met.what {
                What::Frame { fault: None, .. } => self.frame(&met)?,
                What::Frame { fault: Some(fault), .. } => self.broken(&met, fault),
                What::Hole { fault, next } => self.hole(&met, fault, next),
                What::Tail { fault } => tail = Some((met.offset, fault.to_string())),
            }
        }
        self.verifier.before = survey.before_next_segment();
        if self.sealed.is_some() {
            self.check_zeros(survey.at(), self.wreck.segment.header.capacity)?;
        } else {
            self.ends_without_seal(tail.unwrap_or((survey.at(), FrameFault::Zero.to_string())));
        }
        self.check_index()
    }

    /// Notes a fault, unless all that it concerns lies beyond what is known to be acknowledged: then it is a torn tail,
    /// or an append under way.
    fn fault(&mut self, offset: u64, what: String, first: Position, last: Position) {
        let path = self.path();
        if self.is_last() && first > self.verifier.evidence.durable {
            let what =
                format!("at offset {offset}: {what}; never acknowledged: under way, or torn by a crash");
            self.verifier.report.note(path, what);
            return;
        }
        self.verifier.report.fault(path, offset, what).of_positions(first, last);
    }

    fn frame(&mut self, met: &Met) -> Result<(), Error> {
        let Some(header) = met.header().copied() else { return Ok(()) };
        self.begins_with(met, &header);
        self.verifier.report.frames += 1;
        self.verifier.report.bytes += met.end - met.offset;
        if let Some(what) = self.shape(met, &header) {
            self.fault(met.offset, what, header.first, header.first.previous());
        }
        if header.kind == FrameKind::Data {
            self.verifier.report.events += u64::from(header.count);
            self.so_far.add(header.count, header.commit_time);
            self.look_into(met);
        }
        if header.kind == FrameKind::Removed {
            self.verifier.report.removed += u64::from(header.count);
            if let Some(deep) = &mut self.verifier.deep {
                deep.removed(header.count.into(), removed::streams(met.body()), self.number);
            }
        }
        Ok(())
    }

    /// What a frame says of its place, beside what its header says.
    fn shape(&mut self, met: &Met, header: &FrameHeader) -> Option<String> {
        let at_start = met.offset == FRAMES_AT;
        match header.kind {
            FrameKind::Open if at_start && control::decode_open(met.body()).is_some() => None,
            FrameKind::Open => Some("an OPEN frame that cannot be".to_owned()),
            _ if at_start => Some("the first frame of the segment is no OPEN".to_owned()),
            FrameKind::Data if header.count > 0 => None,
            FrameKind::Data => Some("a frame without an event".to_owned()),
            FrameKind::Removed if header.count > 0 => None,
            FrameKind::Removed => Some("a REMOVED frame that stands for no event".to_owned()),
            FrameKind::Close if met.body().is_empty() => None,
            FrameKind::Close => Some("a CLOSE frame with a body".to_owned()),
            FrameKind::Seal => {
                let What::Frame { header_crc, .. } = met.what else { return None };
                self.sealed = Some(Sealed { at: met.offset, crc: header_crc, next: header.first });
                let says = control::decode_seal(met.body());
                let header = &self.wreck.segment.header;
                match says != Some(self.so_far) && self.is_whole() {
                    true => Some(format!("SEAL says {says:?}, found {:?}", self.so_far)),
                    false if header.is_rewritten() && header.rewritten.seal_at != met.offset => {
                        Some(format!("the header says that SEAL is at offset {}", header.rewritten.seal_at))
                    }
                    false => None,
                }
            }
        }
    }

    /// The first frame of a segment: what is missing before it is missing between the segments.
    fn begins_with(&mut self, met: &Met, header: &FrameHeader) {
        if self.first.replace(self.first.unwrap_or(header.first)).is_some() {
            return;
        }
        let (wanted, path) = (self.verifier.before.next, self.path());
        let explained = self.verifier.gap.take();
        if wanted >= header.first {
            return;
        }
        let report = &mut self.verifier.report;
        match explained.and_then(|place| report.faults.get_mut(place)) {
            Some(fault) => fault.of_positions(wanted, header.first.previous()),
            None => {
                let what = format!("the segment begins at position {}, wanted {wanted}", header.first);
                report.fault(path, met.offset, what).of_positions(wanted, header.first.previous());
            }
        }
    }

    /// A frame whose header is whole.
    fn broken(&mut self, met: &Met, fault: FrameFault) {
        let Some(header) = met.header().copied() else { return };
        self.begins_with(met, &header);
        self.verifier.report.bytes += met.end - met.offset;
        if header.kind == FrameKind::Seal {
            let What::Frame { header_crc, .. } = met.what else { return };
            self.sealed = Some(Sealed { at: met.offset, crc: header_crc, next: header.first });
        }
        let is_data = header.kind == FrameKind::Data && header.count > 0;
        let mut lost = false;
        for record in met.records() {
            match record {
                Record::Whole { .. } => self.verifier.report.events += 1,
                Record::Lost { offset, first, last, fault, hint } => {
                    lost = true;
                    let fault = told(fault, hint.as_deref());
                    let what = format!("{} in the frame at {}: {fault}", events(first, last), met.offset);
                    self.fault(offset, what, first, last);
                }
            }
        }
        self.look_into(met);
        let last = header.next_position().previous();
        if !lost {
            let suffix = if is_data { "; its events are whole" } else { "" };
            self.fault(met.offset, format!("{fault}{suffix}"), header.first, last);
        }
    }

    /// Bytes where a frame should be, between two frames.
    fn hole(&mut self, met: &Met, fault: FrameFault, next: Position) {
        let first = met.next_wanted().min(next);
        let wanted = next.since(first);
        let whole = met.records().filter(|record| matches!(record, Record::Whole { .. })).count() as u64;
        self.verifier.report.events += whole;
        let of_events = match wanted {
            0 => String::new(),
            _ => format!("; {whole} of {wanted} events are whole"),
        };
        let what = format!("{fault}; the next frame begins at {}{of_events}", met.end);
        self.fault(met.offset, what, first, next.previous());
        self.look_into(met);
        self.first.get_or_insert(first);
        self.verifier.gap = None;
    }

    fn look_into(&mut self, met: &Met) {
        let Some(deep) = &mut self.verifier.deep else { return };
        let time = met.header().map(|header| header.commit_time).unwrap_or_default();
        for record in met.records() {
            let Record::Whole { offset, bytes } = record else { continue };
            if let Some((what, stream)) = deep.take(bytes, time, self.number) {
                let report = &mut self.verifier.report;
                report.fault(&self.wreck.segment.path, offset, what).stream = stream;
            }
        }
    }

    fn ends_without_seal(&mut self, (offset, what): (u64, String)) {
        let path = self.path();
        if self.is_last() {
            if what != FrameFault::Zero.to_string()
                && self.verifier.before.next > self.verifier.evidence.durable
            {
                let what = format!(
                    "bytes at offset {offset} behind the last whole frame: under way, or torn by a crash"
                );
                self.verifier.report.note(path, what);
            }
            self.verifier.end = Some((path.to_owned(), offset, what));
            return;
        }
        let what = format!("the segment ends without SEAL, but segments follow: {what}");
        self.verifier.gap = Some(self.verifier.report.faults.len());
        self.verifier.report.fault(path, offset, what);
        // What the next segment names as the frame before it is not here any more, and no fault of that segment.
        self.verifier.before.chain = None;
    }

    /// Bytes that nobody writes are zero.
    fn check_zeros(&mut self, from: u64, to: u64) -> Result<(), Error> {
        const STEP: u64 = 1 << 16;
        let (segment, path) = (&self.wreck.segment, self.path());
        let to = to.min(segment.header.capacity);
        for at in (from..to).step_by(STEP as usize) {
            let bytes = segment.slice(at, STEP.min(to - at) as usize)?;
            if let Some(place) = bytes.iter().position(|byte| *byte != 0) {
                let what = "a byte that should be zero is not; nothing is stored there";
                self.verifier.report.fault(path, at + place as u64, what);
                return Ok(());
            }
        }
        Ok(())
    }

    fn check_index(&mut self) -> Result<(), Error> {
        let (Some(first), Some(sealed), true) = (self.first, self.sealed, self.wreck.has_header) else {
            return Ok(());
        };
        let segment = &self.wreck.segment;
        let disk = self.verifier.options.disk.clone();
        let check = IndexCheck::new(disk.as_ref(), segment, first, sealed);
        let mut faults = check.blocks()?;
        let comparable = faults.is_empty() && self.is_whole();
        if let Some(deep) = self.verifier.deep.as_ref().filter(|_| comparable) {
            let number = self.number;
            let previous = |hash| deep.previous(hash, number);
            let all_known = self.verifier.report.faults.is_empty();
            faults.extend(check.entries(deep.hasher(), all_known.then_some(&previous))?);
        }
        for fault in faults {
            let what = format!("{}; the index is built again when it is used, or delete it", fault.what);
            self.verifier.report.fault(&check.path, fault.offset, what);
        }
        Ok(())
    }
}

fn events(first: Position, last: Position) -> String {
    match first == last {
        true => format!("the event at position {first}"),
        false => format!("the events at positions {first} to {last}"),
    }
}

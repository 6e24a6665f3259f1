//! Scavenge: gives back the space of events that are no longer shown, by writing sealed segments anew without them.
//!
//! Positions and versions stay; where events were, a REMOVED frame stands for them. The oldest segment goes first, each is
//! replaced as a whole, and between two of them the work can end. What readers hold stays readable for them.
//!
//! Promise: what was shown before is shown after, and a crash at any moment leaves one that is whole of each segment.

mod plan;
mod report;

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, TryLockError};

use self::plan::{Plan, Question};
use crate::commit::Visible;
use crate::error::Error;
use crate::format::FrameKind;
use crate::format::removed::LastVersion;
use crate::index::{Catalog, Indexing, Part, Sealed, catalog};
use crate::lifecycle::Lifecycles;
use crate::log::{Frame, Rewrite, Segment, scan};
use crate::model::{Position, Timestamp};
use crate::options::Retention;

pub use self::report::{Scavenge, ScavengeReport};

/// A segment is written anew if that gives back at least this share of its bytes.
const GAIN_PERCENT_MIN: u64 = 10;

/// Rewrites the segments of one store.
#[derive(Debug)]
pub(crate) struct Scavenger {
    catalog: Arc<Catalog>,
    visible: Arc<Visible>,
    indexing: Arc<Indexing>,
    lifecycles: Arc<Lifecycles>,
    retention: Retention,
    /// Held while segments are rewritten: one scavenge at a time.
    under_way: Mutex<()>,
    /// The store is being closed.
    is_ending: AtomicBool,
}

/// Which segments a scavenge looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scope {
    /// Only those that the retention of the store drops.
    Dropped,
    All,
}

impl Scavenger {
    pub(crate) fn new(
        catalog: Arc<Catalog>,
        visible: Arc<Visible>,
        indexing: Arc<Indexing>,
        lifecycles: Arc<Lifecycles>,
        retention: Retention,
    ) -> Scavenger {
        let (under_way, is_ending) = (Mutex::new(()), AtomicBool::new(false));
        Scavenger { catalog, visible, indexing, lifecycles, retention, under_way, is_ending }
    }

    /// Looks at every sealed segment, and writes those anew where that gives space back. `go_on` is asked after each.
    pub(crate) fn run(
        &self,
        scavenge: &Scavenge,
        go_on: impl FnMut(&ScavengeReport) -> ControlFlow<()>,
    ) -> Result<ScavengeReport, Error> {
        self.walk(scavenge, Scope::All, go_on)
    }

    /// Drops the segments that the retention of the store does not keep any more.
    pub(crate) fn drop_old(&self) -> Result<(), Error> {
        let scavenge = Scavenge::new().everything(true);
        self.walk(&scavenge, Scope::Dropped, |_| ControlFlow::Continue(())).map(drop)
    }

    /// Ends what is under way, between two segments.
    pub(crate) fn end(&self) {
        self.is_ending.store(true, Ordering::Release);
    }

    fn walk(
        &self,
        scavenge: &Scavenge,
        scope: Scope,
        mut go_on: impl FnMut(&ScavengeReport) -> ControlFlow<()>,
    ) -> Result<ScavengeReport, Error> {
        let _guard = match self.under_way.try_lock() {
            Err(TryLockError::WouldBlock) => {
                return Err(Error::invalid("a scavenge is under way already; wait for it to end"));
            }
            // The lock guards no data.
            Err(TryLockError::Poisoned(guard)) => guard.into_inner(),
            Ok(guard) => guard,
        };
        let mut report = ScavengeReport::default();
        let parts = self.catalog.parts();
        let horizon = self.horizon(&parts)?;
        let sealed = parts.len().saturating_sub(1);
        for part in &parts[..sealed] {
            let drops_all = part.first < horizon;
            if scope == Scope::Dropped && !drops_all {
                break;
            }
            match self.part(part, scavenge, drops_all, &mut report) {
                // What is damaged stays as it is, for `verify` and `salvage`.
                Err(Error::Damaged { path, offset, what }) => {
                    report.damaged.push(Error::Damaged { path, offset, what });
                }
                done => done?,
            }
            report.segments += 1;
            if go_on(&report).is_break() || self.is_ending.load(Ordering::Acquire) {
                report.is_finished = false;
                return Ok(report);
            }
        }
        Ok(report)
    }

    /// The position of the first event that the retention of the store keeps: it drops whole segments.
    fn horizon(&self, parts: &[Arc<Part>]) -> Result<Position, Error> {
        let visible = self.visible.get();
        // The one that has the newest event stays, whether it is sealed or not.
        let last = parts.partition_point(|part| part.first <= visible).saturating_sub(1);
        let (sealed, kept) = parts.split_at(last.min(parts.len().saturating_sub(1)));
        let mut dropped = 0;
        if let Some(max) = self.retention.max_bytes {
            let bytes_of =
                |part: &Arc<Part>| part.seal_place().map_or(part.segment.header.capacity, |sealed| sealed.at);
            let mut bytes: u64 = kept.iter().map(bytes_of).sum();
            let kept = sealed.iter().rev().take_while(|part| {
                bytes += bytes_of(part);
                bytes <= max
            });
            dropped = sealed.len() - kept.count();
        }
        if let (Some(age), true) = (self.retention.max_age, visible > Position::START) {
            let newest = catalog::time_at(parts, visible)?;
            let nanos = i64::try_from(age.as_nanos()).unwrap_or(i64::MAX);
            let since = Timestamp::from_nanos(newest.as_nanos().saturating_sub(nanos));
            let mut old = 0;
            for part in sealed {
                let last = part.seal_place().map_or(part.first, |sealed| sealed.next.previous());
                if last >= part.first && catalog::time_at(parts, last)? >= since {
                    break;
                }
                old += 1;
            }
            dropped = dropped.max(old);
        }
        Ok(parts.get(dropped).map_or(Position::START, |part| part.first))
    }

    fn part(
        &self,
        part: &Arc<Part>,
        scavenge: &Scavenge,
        drops_all: bool,
        report: &mut ScavengeReport,
    ) -> Result<(), Error> {
        let Some(sealed) = part.seal_place() else { return Ok(()) };
        let plan = Plan::of(
            part,
            &Question {
                lifecycles: &self.lifecycles,
                hasher: &self.indexing.hasher,
                parts: &self.catalog.parts(),
                visible: self.visible.get(),
                drops_all,
            },
        )?;
        report.bytes_before += plan.bytes;
        let gain = plan.bytes.saturating_sub(plan.bytes_then);
        let is_worth_it = scavenge.everything || gain * 100 >= plan.bytes * GAIN_PERCENT_MIN;
        if plan.removed == 0 || !is_worth_it {
            report.bytes_after += plan.bytes;
            return Ok(());
        }
        report.rewritten += 1;
        report.removed += plan.removed;
        report.bytes_after += plan.bytes_then;
        if scavenge.dry_run {
            return Ok(());
        }
        let (segment, (at, crc)) = rewrite(self, &part.segment, &plan, (sealed.at, sealed.crc))?;
        let sealed = Sealed { at, crc, next: sealed.next };
        let new = Part::sealed(Arc::new(segment), part.first, sealed, self.indexing.clone());
        // Before anyone asks for it. If it fails, whoever asks builds it.
        let _ = new.move_index_to_disk(&self.catalog.parts());
        self.catalog.replace(Arc::new(new));
        Ok(())
    }
}

/// Writes a segment anew, as the plan says.
fn rewrite(
    scavenger: &Scavenger,
    old: &Segment,
    plan: &Plan,
    old_seal: (u64, u32),
) -> Result<(Segment, (u64, u32)), Error> {
    let disk = scavenger.indexing.disk.as_ref();
    let (mut rewrite, mut ordinal, mut seal) = (None, 0, None);
    let copied = scan(old, |frame| match (&mut rewrite, frame.header.kind) {
        (None, _) => {
            let last = plan.last_versions.iter();
            let last = last.map(|(stream, version)| LastVersion { stream, version: *version });
            rewrite = Some(Rewrite::begin(disk, old, frame, last)?);
            Ok(())
        }
        (Some(_), FrameKind::Seal) => {
            seal = Some(frame.clone());
            Ok(())
        }
        (Some(rewrite), _) => {
            let keeps = &plan.keeps[ordinal..][..frame.header.count as usize];
            ordinal += keeps.len();
            copy(rewrite, frame, keeps)
        }
    });
    let damaged = || old.damaged(old_seal.0, "the segment changed while it was read");
    match (copied, rewrite, seal) {
        (Ok(_), Some(rewrite), Some(seal)) => rewrite.finish(&seal, old_seal),
        (copied, rewrite, _) => {
            if let Some(rewrite) = rewrite {
                rewrite.abandon();
            }
            Err(copied.err().unwrap_or_else(damaged))
        }
    }
}

/// Copies what is kept of a frame, and leaves out the rest.
fn copy(rewrite: &mut Rewrite<'_>, frame: &Frame, keeps: &[bool]) -> Result<(), Error> {
    let records: Vec<&[u8]> = frame.records().map(|(_, record)| record).collect();
    let mut at = 0;
    for run in keeps.chunk_by(|one, other| one == other) {
        let first = frame.header.first.advanced(at as u64);
        match run[0] {
            true => rewrite.keep(&frame.header, first, &records[at..at + run.len()])?,
            false => rewrite.remove(&frame.header, first, run.len() as u32)?,
        }
        at += run.len();
    }
    Ok(())
}

//! Whole lives of a store, drawn from a seed: work, failures, crashes, crashes while it recovers, and damage.
//!
//! A life is a row of processes on one disk. Each opens the store, works on it, and ends: the power goes out at some
//! operation, the process is killed, or it closes the store; in between, files that can be made again are lost. Each
//! time the store is opened, everything in it is held against the history of the whole life.
//!
//! Invariant: what happens is decided by the seed alone. No thread, no clock and no random bytes but the seed's have a
//! say, so that a finding comes again with its seed.

mod align;
mod damage;
mod process;
mod shape;
#[cfg(test)]
mod tests;

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

use self::process::Process;
use self::shape::{Ending, Shape};
use super::disk::SimDisk;
use super::history::History;
use super::model::{Attempt, Placed, Workload};
use super::rng::Rng;
use crate::clock::{Clock, ManualClock};
use crate::model::{Position, Timestamp};
use crate::vfs::Disk;

/// How much simulations went through.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Figures {
    /// Lives.
    pub seeds: u64,
    /// Times that a store was opened.
    pub opened: u64,
    /// Power cuts and killed processes.
    pub crashes: u64,
    /// Crashes before an opening was done.
    pub crashes_in_recovery: u64,
    /// Operations and reads that failed.
    pub failures: u64,
    /// Damaged copies of a store that were opened.
    pub damages: u64,
    /// Those of them that were opened without acknowledged events, because nothing was left that told of these.
    pub untold: u64,
    /// Acknowledged appends.
    pub acknowledged: u64,
    /// Operations of the disk that change it.
    pub operations: u64,
}

impl std::ops::AddAssign for Figures {
    fn add_assign(&mut self, other: Figures) {
        self.seeds += other.seeds;
        self.opened += other.opened;
        self.crashes += other.crashes;
        self.crashes_in_recovery += other.crashes_in_recovery;
        self.failures += other.failures;
        self.damages += other.damages;
        self.untold += other.untold;
        self.acknowledged += other.acknowledged;
        self.operations += other.operations;
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Figures { seeds, opened, crashes, crashes_in_recovery, .. } = self;
        let Figures { failures, damages, untold, acknowledged, operations, .. } = self;
        write!(
            out,
            "{seeds} seeds, {opened} openings, {crashes} crashes ({crashes_in_recovery} during recovery), \
             {failures} failed calls, {damages} damaged copies ({untold} with an untold loss), {acknowledged} appends acknowledged, \
             {operations} operations"
        )
    }
}

/// Lives one life. The error is the first thing in it that must not be.
///
/// ```
/// let figures = annals::testkit::simulate(1)?;
/// assert_eq!(figures.seeds, 1);
/// # Ok::<(), String>(())
/// ```
pub fn simulate(seed: u64) -> Result<Figures, String> {
    let lived = catch_unwind(AssertUnwindSafe(|| Life::new(seed).live()));
    lived.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("of unknown reason");
        Err(format!("a panic: {text}"))
    })
}

/// What one process leaves to the next, and to whoever checks.
struct Life {
    rng: Rng,
    shape: Shape,
    disk: SimDisk,
    clock: ManualClock,
    workload: Workload,
    history: History,
    /// Counts what happens, for the history.
    time: u64,
    /// What the store is known to hold: it was read, or acknowledged.
    known: Vec<Placed>,
    /// Attempts whose outcome the last process did not learn.
    unsure: Vec<Attempt>,
    /// Up to where the subscriber has come.
    cursor: Position,
    figures: Figures,
}

impl Life {
    fn new(seed: u64) -> Life {
        let mut rng = Rng::new(seed);
        let shape = Shape::draw(&mut rng);
        Life {
            disk: SimDisk::new(rng.next_u64()),
            clock: ManualClock::new(Timestamp::from_nanos(1_700_000_000_000_000_000)),
            workload: Workload::new(rng.next_u64(), shape.streams, shape.event_bytes_max),
            history: History::default(),
            time: 0,
            known: Vec::new(),
            unsure: Vec::new(),
            cursor: Position::START,
            figures: Figures { seeds: 1, ..Figures::default() },
            rng,
            shape,
        }
    }

    fn live(mut self) -> Result<Figures, String> {
        for n in 1..=self.shape.processes {
            let ending = self.shape.ending(&mut self.rng);
            let closed = self.process(ending).map_err(|what| format!("process {n}, {ending:?}: {what}"))?;
            self.lose_files(closed);
        }
        let last = Process::last(&mut self).and_then(Process::end);
        last.map_err(|what| format!("the last process: {what}"))?;
        self.figures.acknowledged = self.history.acknowledged() as u64;
        Ok(self.figures)
    }

    /// One process from its start to its end, and damage to a copy of what it leaves. Tells whether it closed the store.
    fn process(&mut self, ending: Ending) -> Result<bool, String> {
        self.arm(ending);
        let mut closed = false;
        let store = match Process::start(self)? {
            Some(mut process) => {
                process.work()?;
                closed = ending == Ending::Close && process.close()?;
                Some(process.leave())
            }
            None => None,
        };
        self.figures.crashes_in_recovery += u64::from(store.is_none());
        self.count(&self.disk.clone());
        let seed = self.rng.next_u64();
        let after = match ending {
            Ending::Close => self.disk.clone(),
            Ending::Kill => self.disk.crash_keeping_all(),
            Ending::PowerCut { .. } if self.rng.chance(1, 8) => self.disk.crash_keeping_nothing(),
            Ending::PowerCut { .. } => self.disk.crash(seed),
        };
        // The store marks its log as closed when it is dropped: too late, its disk is no longer the one that goes on.
        drop(store);
        self.disk = if ending == Ending::Close { after.crash_keeping_all() } else { after };
        self.disk.set_capacity(u64::MAX);
        self.figures.crashes += u64::from(ending != Ending::Close);
        if ending != Ending::Kill && self.rng.chance(1, self.shape.damage_one_in) {
            self.damage(closed)?;
        }
        Ok(closed)
    }

    /// Sets what is to fail while the next process runs, and when its power goes out.
    fn arm(&mut self, ending: Ending) {
        if let Ending::PowerCut { after } = ending {
            self.disk.cut_power_after(after);
        }
        for (n, fault) in self.shape.faults(&mut self.rng) {
            self.disk.fail_operation(n, fault);
        }
        for (n, fault) in self.shape.read_faults(&mut self.rng) {
            self.disk.fail_read(n, fault);
        }
        if self.rng.chance(1, 24) {
            self.disk.set_capacity(self.rng.below(6) * 40_000);
        }
    }

    fn count(&mut self, disk: &SimDisk) {
        self.figures.operations += disk.operations();
        self.figures.failures += disk.failures();
    }

    /// Deletes some of the files that can be made again.
    fn lose_files(&mut self, closed: bool) {
        if !self.rng.chance(1, 4) {
            return;
        }
        let one_in = 1 + self.rng.below(3);
        let is_derived = |path: &PathBuf| path.extension().is_none_or(|extension| extension != "seg");
        let mut derived: Vec<PathBuf> = self.disk.paths().into_iter().filter(is_derived).collect();
        derived.retain(|_| self.rng.chance(1, one_in));
        for path in derived {
            // Whoever deletes a file does not sync its directory: a power cut can bring it back.
            self.disk.remove(&path).expect("it was just listed");
        }
        // A store that rests is carried to another day, or to a machine whose clock is behind.
        if closed {
            self.turn_clock();
        }
    }

    fn turn_clock(&mut self) {
        let nanos = self.rng.below(2_000_000_000) as i64 - 500_000_000;
        self.clock.set(Timestamp::from_nanos(self.clock.now().as_nanos() + nanos));
    }

    fn now(&mut self) -> u64 {
        self.time += 1;
        self.time
    }
}

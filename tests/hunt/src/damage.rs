//! `damage`: every bit of every file of a small store is flipped, and every file cut at every length, one at a time.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use annals::testkit::SimDisk;
use annals::testkit::damage::{Spot, Variant, Verdict, Whole, used};
use clap::Args;

/// Bits behind the last used byte of a segment that are all flipped; of those beyond, one in each so many bytes.
const TAIL_BYTES: u64 = 8192;
const TAIL_STEP: u64 = 1024;

/// How often the run says how far it is.
const TOLD_EVERY: Duration = Duration::from_secs(60);

/// Findings after which the run ends.
const FINDINGS_MAX: usize = 20;

/// Flip every bit of every file of a small store, and cut every file at every length.
#[derive(Debug, Args)]
pub(crate) struct Damage {
    /// Only one damage of so many.
    #[arg(long, default_value_t = 1)]
    every: usize,
    /// The first one that is done, counted from 0.
    #[arg(long, default_value_t = 0)]
    first: usize,
    /// Which store is made.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Also without STATE, and without indexes: three times as long.
    #[arg(long)]
    variants: bool,
}

/// One damage.
#[derive(Debug, Clone)]
enum Done {
    Flip(PathBuf, u64),
    Cut(PathBuf, u64),
}

impl Done {
    /// Which bytes it touches.
    fn spot(&self) -> Spot {
        match self {
            Done::Flip(path, bit) => Spot { path: path.clone(), from: bit / 8, to: bit / 8 + 1 },
            Done::Cut(path, len) => Spot { path: path.clone(), from: *len, to: u64::MAX },
        }
    }

    fn to(&self, disk: &SimDisk) -> bool {
        match self {
            Done::Flip(path, bit) => disk.flip_bit(path, *bit).is_ok(),
            Done::Cut(path, len) => disk.truncate(path, *len).is_ok(),
        }
    }
}

/// All that is done to a store, file by file.
fn all(whole: &Whole) -> Vec<Done> {
    let mut all = Vec::new();
    for (path, bytes) in whole.files() {
        let (len, used) = (bytes.len() as u64, used(&bytes));
        let near = (used + TAIL_BYTES).min(len);
        let far = (near..len).step_by(TAIL_STEP as usize).map(|byte| byte * 8 + byte / TAIL_STEP % 8);
        all.extend((0..near * 8).chain(far).map(|bit| Done::Flip(path.clone(), bit)));
        all.extend((0..len).map(|len| Done::Cut(path.clone(), len)));
    }
    all
}

/// What came of all of it.
#[derive(Default)]
struct Tally {
    harmless: AtomicU64,
    told: AtomicU64,
    findings: Mutex<Vec<String>>,
}

impl Tally {
    fn count(&self, verdict: Result<Verdict, String>, damage: impl FnOnce() -> String) {
        match verdict {
            Ok(Verdict::Harmless) => drop(self.harmless.fetch_add(1, Ordering::Relaxed)),
            Ok(Verdict::Told) => drop(self.told.fetch_add(1, Ordering::Relaxed)),
            Err(fault) => {
                let finding = format!("{}: {fault}", damage());
                self.findings.lock().unwrap_or_else(PoisonError::into_inner).push(finding);
            }
        }
    }

    fn findings(&self) -> Vec<String> {
        self.findings.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[expect(clippy::print_stdout, reason = "the figures of a run are its result")]
impl Damage {
    pub(crate) fn run(self) -> ExitCode {
        let whole = match Whole::new(self.seed) {
            Ok(whole) => whole,
            Err(fault) => {
                println!("the store could not be made: {fault}");
                return ExitCode::FAILURE;
            }
        };
        for (path, bytes) in whole.files() {
            println!("{}: {} bytes, of which {} are used", path.display(), bytes.len(), used(&bytes));
        }
        let every = all(&whole);
        println!("{} events, {} damages", whole.events.len(), every.len());
        let variants = [Variant::Complete, Variant::WithoutState, Variant::WithoutIndexes];
        let tally = Tally::default();
        for variant in &variants[..if self.variants { 3 } else { 1 }] {
            self.search(&whole, *variant, &every, &tally);
        }
        let (harmless, told) = (tally.harmless.into_inner(), tally.told.into_inner());
        let findings = tally.findings.into_inner().unwrap_or_else(PoisonError::into_inner);
        println!("{harmless} were harmless, {told} were told, {} are findings", findings.len());
        findings.iter().for_each(|finding| println!("{finding}"));
        if findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }

    fn search(&self, whole: &Whole, variant: Variant, every: &[Done], tally: &Tally) {
        let (base, next) = (whole.copy(variant), AtomicUsize::new(self.first));
        let begun = Instant::now();
        let threads = std::thread::available_parallelism().map_or(1, |count| count.get());
        std::thread::scope(|scope| {
            for thread in 0..threads {
                let (base, next) = (&base, &next);
                scope.spawn(move || {
                    let mut told = Instant::now();
                    while let number = next.fetch_add(self.every.max(1), Ordering::Relaxed)
                        && let Some(done) = every.get(number)
                        && tally.findings().len() < FINDINGS_MAX
                    {
                        let (spot, disk) = (done.spot(), base.crash_keeping_all());
                        if whole.is_residue(variant, &spot) || !done.to(&disk) {
                            continue;
                        }
                        let verdict = whole.judge_file(&disk, &spot);
                        let seed = self.seed;
                        tally.count(verdict, || {
                            format!(
                                "--seed {seed} --first {number} --every {}, {variant:?}, {done:?}",
                                every.len()
                            )
                        });
                        if thread == 0 && told.elapsed() > TOLD_EVERY {
                            told = Instant::now();
                            println!(
                                "{variant:?}: {number} of {} after {:.0?}",
                                every.len(),
                                begun.elapsed()
                            );
                        }
                    }
                });
            }
        });
    }
}

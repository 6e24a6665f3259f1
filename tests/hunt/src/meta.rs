//! `meta`: sled's files, damaged in every way that a seed draws, one directory for each seed.
//!
//! sled may loop, take any memory, or end the process. So the seeds are tried in processes of their own, some dozens in
//! each, with a watchdog; what a process said last before it died is the finding.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use annals::testkit::damage::{Kept, Snapshotted};
use clap::Args;

use crate::watchdog::{self, Watched};

/// Samples of one process.
const BATCH: u64 = 50;

/// How long one sample may take, and how much memory a process may have: what the store needs is far below.
const TIME_MAX: Duration = Duration::from_secs(60);
const MEMORY_BYTES_MAX: u64 = 1 << 30;

/// Findings after which the run ends.
const FINDINGS_MAX: usize = 20;

/// How often the run says how far it is.
const TOLD_EVERY: Duration = Duration::from_secs(60);

/// Damage the files of snapshots: each is as it was put or absent, and the store works on.
#[derive(Debug, Args)]
pub(crate) struct Meta {
    /// How many directories are damaged.
    #[arg(long, default_value_t = 10_000)]
    samples: u64,
    /// The seed of the first; the others follow it.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Where a directory is put that is a finding.
    #[arg(long, default_value = "target/findings/meta")]
    findings: PathBuf,
    /// Only ask this directory, which an earlier run has put there, once more. It is not changed.
    #[arg(long)]
    again: Option<PathBuf>,
    /// Try them in this process.
    #[arg(long, hide = true)]
    here: bool,
}

/// What the threads share.
struct Run {
    next: AtomicU64,
    kept: Mutex<(Kept, u64)>,
    findings: Mutex<Vec<String>>,
}

impl Meta {
    #[expect(clippy::print_stdout, reason = "the figures of a run are its result")]
    pub(crate) fn run(self) -> ExitCode {
        if self.here || self.again.is_some() {
            return self.run_here();
        }
        let begun = Instant::now();
        let run = Run { next: AtomicU64::new(0), kept: Mutex::default(), findings: Mutex::default() };
        std::thread::scope(|scope| {
            for thread in 0..std::thread::available_parallelism().map_or(1, usize::from) {
                let (run, wanted) = (&run, &self);
                scope.spawn(move || run.work(wanted, thread == 0));
            }
        });
        let findings = run.findings.into_inner().unwrap_or_else(PoisonError::into_inner);
        let (kept, samples) = run.kept.into_inner().unwrap_or_else(PoisonError::into_inner);
        let seconds = begun.elapsed().as_secs_f64();
        println!("{samples} samples in {seconds:.1} s; {kept}; {} findings", findings.len());
        findings.iter().for_each(|finding| println!("{finding}"));
        if findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }

    /// Tries samples one after the other, and says what came of each.
    #[expect(clippy::print_stdout, reason = "the process that began this one reads it")]
    fn run_here(self) -> ExitCode {
        // sled panics over damaged files, and the panics are caught.
        std::panic::set_hook(Box::new(|_| {}));
        let dir = dir_of(std::process::id());
        let watched = watchdog::watch(TIME_MAX, MEMORY_BYTES_MAX);
        let whole = match Snapshotted::new(&dir.join("whole")) {
            Ok(whole) => whole,
            Err(fault) => {
                println!("finding the store could not be made: {fault}");
                return ExitCode::FAILURE;
            }
        };
        if let Some(again) = &self.again {
            watched.begin("finding again".to_owned());
            println!("{:?}", whole.ask_copy(again, &dir.join("again")));
        } else {
            (self.seed..self.seed + self.samples).for_each(|seed| self.sample(seed, &whole, &dir, &watched));
        }
        watched.rest();
        remove(&dir);
        ExitCode::SUCCESS
    }
}

impl Meta {
    #[expect(clippy::print_stdout, reason = "the process that began this one reads it")]
    fn sample(&self, seed: u64, whole: &Snapshotted, dir: &Path, watched: &Watched) {
        println!("seed {seed}");
        let (sample, kept_in) = (dir.join(seed.to_string()), self.findings.join(format!("seed-{seed}")));
        // Before it is asked: whoever loops or dies over it does not come to put it there.
        remove(&kept_in);
        let damaged = whole.put_damaged(seed, &kept_in);
        let told = format!("finding {}, {}", kept_in.display(), damaged.unwrap_or_else(|error| error));
        watched.begin(told.clone());
        match whole.ask_copy(&kept_in, &sample) {
            Ok(Kept { newest, older, none, aside, tables }) => {
                println!("kept {newest} {older} {none} {aside} {tables}");
                remove(&kept_in);
            }
            Err(fault) => println!("{told}: {fault}"),
        }
        remove(&sample);
    }
}

impl Run {
    /// Takes batch after batch, until they are used up or enough was found.
    #[expect(clippy::print_stdout, reason = "whoever waits wants to see that it goes on")]
    fn work(&self, wanted: &Meta, tells: bool) {
        let mut told = Instant::now();
        loop {
            let mut first = self.next.fetch_add(BATCH, Ordering::Relaxed);
            let end = (first + BATCH).min(wanted.samples);
            // A process that died has left the rest of its batch untried.
            while first < end && self.findings().len() < FINDINGS_MAX {
                first += self.batch(wanted, wanted.seed + first, end - first).max(1);
            }
            if end == wanted.samples || first >= wanted.samples || self.findings().len() >= FINDINGS_MAX {
                return;
            }
            if tells && told.elapsed() > TOLD_EVERY {
                told = Instant::now();
                println!("{end} samples, {} findings", self.findings().len());
            }
        }
    }

    /// Lets a process try `samples` seeds, and tells how many it began with.
    fn batch(&self, wanted: &Meta, seed: u64, samples: u64) -> u64 {
        let mut tried = 0;
        let mut last = "the process did not begin".to_owned();
        let mut found = Vec::new();
        let ended = child(wanted, seed, samples).and_then(|mut child| {
            let lines = child.stdout.take().into_iter().flat_map(|out| BufReader::new(out).lines());
            for line in lines.map_while(Result::ok) {
                if line.starts_with("seed ") {
                    tried += 1;
                    last = line;
                } else if let Some(finding) = line.strip_prefix("finding ") {
                    found.push(finding.to_owned());
                } else if let Some(kept) = kept_in(&line) {
                    let mut sum = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
                    sum.0 += kept;
                    sum.1 += 1;
                }
            }
            let status = child.wait();
            // One that died has left its files.
            remove(&dir_of(child.id()));
            status
        });
        match ended {
            Ok(status) if status.success() || !found.is_empty() => {}
            Ok(status) => found.push(format!("{last}: the process ended: {status}")),
            Err(error) => found.push(format!("{last}: {error}")),
        }
        self.findings.lock().unwrap_or_else(PoisonError::into_inner).extend(found);
        tried
    }

    fn findings(&self) -> Vec<String> {
        self.findings.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn child(wanted: &Meta, seed: u64, samples: u64) -> std::io::Result<std::process::Child> {
    let (seed, samples) = (seed.to_string(), samples.to_string());
    Command::new(std::env::current_exe()?)
        .args(["meta", "--here", "--seed", &seed, "--samples", &samples, "--findings"])
        .arg(&wanted.findings)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
}

/// The figures in a line that says what was kept.
fn kept_in(line: &str) -> Option<Kept> {
    let mut numbers = line.strip_prefix("kept ")?.split(' ').map(|number| number.parse().ok());
    let mut number = || numbers.next().flatten();
    let mut kept = Kept::default();
    (kept.newest, kept.older, kept.none) = (number()?, number()?, number()?);
    (kept.aside, kept.tables) = (number()?, number()?);
    Some(kept)
}

fn dir_of(process: u32) -> PathBuf {
    std::env::temp_dir().join(format!("annals-hunt-{process}"))
}

fn remove(dir: &Path) {
    // What stays is in the system's directory for such things.
    let _ = std::fs::remove_dir_all(dir);
}

//! `simulate`: lives of a store on a simulated disk, one for each seed, until a check fails.
//!
//! `cargo hunt simulate --seeds 100000` takes a few minutes on two processors. A finding names its seed and the command
//! that lives that life again, step by step the same.

use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use annals::testkit::{Figures, simulate};
use clap::Args;

/// How often a long run says how far it is.
const PROGRESS: Duration = Duration::from_secs(10);

/// Live lives of a store: work, failing calls, power cuts at any operation and during recovery, rot.
#[derive(Debug, Args)]
pub(crate) struct Simulate {
    /// How many lives.
    #[arg(long, default_value_t = 10_000)]
    seeds: u64,
    /// The seed of the first; the others follow it.
    #[arg(long, default_value_t = 1)]
    first: u64,
}

/// What the threads share.
struct Run {
    begun: Instant,
    next: AtomicU64,
    done: Mutex<Done>,
}

struct Done {
    figures: Figures,
    told: Instant,
    /// The seeds with a finding, and what it is.
    findings: Vec<(u64, String)>,
}

impl Simulate {
    #[expect(clippy::print_stdout, reason = "the figures of a run are its result")]
    pub(crate) fn run(self) -> ExitCode {
        let begun = Instant::now();
        let done = Done { figures: Figures::default(), told: begun, findings: Vec::new() };
        let run = Run { begun, next: AtomicU64::new(0), done: Mutex::new(done) };
        let threads = std::thread::available_parallelism().map_or(1, |count| count.get());
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| run.live(&self));
            }
        });
        let Done { figures, mut findings, .. } =
            run.done.into_inner().unwrap_or_else(|done| done.into_inner());
        println!("{figures}, in {:.1} s", begun.elapsed().as_secs_f64());
        findings.sort();
        for (seed, what) in &findings {
            println!("\nseed {seed}: {what}\nagain: cargo hunt simulate --first {seed} --seeds 1");
        }
        if findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}

impl Run {
    /// Takes seed after seed, until they are used up or somebody has found something.
    #[expect(clippy::print_stdout, reason = "whoever waits wants to see that it goes on")]
    fn live(&self, wanted: &Simulate) {
        loop {
            let n = self.next.fetch_add(1, Ordering::Relaxed);
            if n >= wanted.seeds {
                return;
            }
            let seed = wanted.first + n;
            let lived = simulate(seed);
            let mut done = self.done.lock().unwrap_or_else(|done| done.into_inner());
            match lived {
                Ok(figures) => done.figures += figures,
                Err(what) => done.findings.push((seed, what)),
            }
            if done.told.elapsed() >= PROGRESS {
                done.told = Instant::now();
                println!("{} s: {}", self.begun.elapsed().as_secs(), done.figures);
            }
            if !done.findings.is_empty() {
                return;
            }
        }
    }
}

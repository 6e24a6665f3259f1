//! `fuzz`: every target, for so many executions each.

use std::process::ExitCode;
use std::time::Instant;

use annals::testkit::fuzz::{TARGETS, run};
use clap::Args;

/// Give mutations of valid inputs to every decoder, to whole directories and to the store itself.
#[derive(Debug, Args)]
pub(crate) struct Fuzz {
    /// How many executions each target gets.
    #[arg(long, default_value_t = 1_000_000)]
    executions: u64,
    /// Which mutations are drawn.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Only these targets.
    #[arg(long)]
    target: Vec<String>,
}

impl Fuzz {
    #[expect(clippy::print_stdout, reason = "the figures of a run are its result")]
    pub(crate) fn run(self) -> ExitCode {
        let wanted = |name: &str| self.target.is_empty() || self.target.iter().any(|target| target == name);
        for (name, _) in TARGETS.iter().filter(|(name, _)| wanted(name)) {
            let begun = Instant::now();
            run(name, self.seed, self.executions);
            println!("{name}: {} executions in {:.1} s", self.executions, begun.elapsed().as_secs_f64());
        }
        ExitCode::SUCCESS
    }
}

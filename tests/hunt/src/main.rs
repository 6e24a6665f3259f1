//! Long searches for what would break a promise: each command does for hours what a test of the suite does for seconds.
//!
//! `cargo hunt --help` lists them. Every run prints its seed and its figures, and ends with an error at the first finding.

mod damage;
mod fuzz;
mod meta;
mod mutants;
mod simulate;
mod watchdog;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Long searches for what would break a promise of annals.
#[derive(Debug, Parser)]
#[command(name = "cargo hunt")]
struct Hunt {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Damage(damage::Damage),
    Fuzz(fuzz::Fuzz),
    Meta(meta::Meta),
    Mutants(mutants::Mutants),
    Simulate(simulate::Simulate),
}

fn main() -> ExitCode {
    match Hunt::parse().command {
        Command::Damage(damage) => damage.run(),
        Command::Fuzz(fuzz) => fuzz.run(),
        Command::Meta(meta) => meta.run(),
        Command::Mutants(mutants) => mutants.run(),
        Command::Simulate(simulate) => simulate.run(),
    }
}

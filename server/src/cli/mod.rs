//! The command line: `annals COMMAND`, one file a command.
//!
//! A command reads its flags, asks the library or a server, and writes what comes. Results go to standard output,
//! messages to standard error; [`failure`] is the one map to exit codes.

mod append;
mod backup;
mod bench;
mod client;
mod delete;
mod duration;
mod effective;
mod events;
mod export;
mod failure;
mod file;
#[cfg(feature = "testkit")]
pub(crate) mod fuzz;
mod health;
mod import;
mod incoming;
mod inspect;
mod keeping;
mod lines;
mod log;
mod output;
mod query;
mod read;
mod restore;
mod roots;
mod salvage;
mod scavenge;
mod serve;
mod set;
mod settings;
mod stats;
mod streams;
mod tail;
mod token;
mod upload;
mod verify;

use std::collections::BTreeMap;
use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _, Parser};

use failure::Failure;
use file::Origin;
use settings::{GlobalArgs, Settings};

/// A persistent event store: an HTTP server, and commands that work on its directory or through it.
///
/// Without a command it serves. Exit codes: 0 done, 1 the request failed, 2 wrong usage, 3 the store or the server
/// cannot be used. Flags come before the environment, and the environment before annals.toml.
#[derive(Debug, Parser)]
#[command(name = "annals", version)]
struct Cli {
    #[command(flatten)]
    global: GlobalArgs,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Serve(serve::ServeArgs),
    Append(append::AppendArgs),
    Import(import::ImportArgs),
    Export(export::ExportArgs),
    Read(read::ReadArgs),
    Tail(tail::TailArgs),
    Streams(streams::StreamsArgs),
    Stats(stats::StatsArgs),
    Set(set::SetArgs),
    Delete(delete::DeleteArgs),
    Scavenge(scavenge::ScavengeArgs),
    Backup(backup::BackupArgs),
    Restore(restore::RestoreArgs),
    Verify(verify::VerifyArgs),
    Inspect(inspect::InspectArgs),
    Salvage(salvage::SalvageArgs),
    Health(health::HealthArgs),
    Bench(bench::BenchArgs),
    Token(token::TokenArgs),
}

/// Runs the command that the process was started with.
pub(crate) fn run() -> ExitCode {
    let (cli, given) = parse(std::env::args_os().collect());
    match dispatch(cli, given) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if !matches!(failure, Failure::OutputClosed) {
                output::note(&failure);
            }
            failure.exit_code()
        }
    }
}

/// Reads the arguments, and of those of a server where each stood; without a command they are those of `serve`, its part of the
/// environment included.
fn parse(mut args: Vec<std::ffi::OsString>) -> ((GlobalArgs, Command), BTreeMap<String, Origin>) {
    let matches = Cli::command().get_matches_from(&args);
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    let Some(command) = cli.command else {
        args.push("serve".into());
        return parse(args);
    };
    let given = match matches.subcommand() {
        Some(("serve", matches)) => effective::given(matches),
        _ => BTreeMap::new(),
    };
    ((cli.global, command), given)
}

fn dispatch(
    (global, command): (GlobalArgs, Command),
    given: BTreeMap<String, Origin>,
) -> Result<(), Failure> {
    let settings = Settings::resolve(global, given)?;
    match command {
        Command::Serve(args) => serve::run(&args, &settings),
        Command::Append(args) => append::run(&args, &settings),
        Command::Import(args) => import::run(&args, &settings),
        Command::Export(args) => export::run(&args, &settings),
        Command::Read(args) => read::run(&args, &settings),
        Command::Tail(args) => tail::run(&args, &settings),
        Command::Streams(args) => streams::run(&args, &settings),
        Command::Stats(args) => stats::run(&args, &settings),
        Command::Set(args) => set::run(&args, &settings),
        Command::Delete(args) => delete::run(&args, &settings),
        Command::Scavenge(args) => scavenge::run(&args, &settings),
        Command::Backup(args) => backup::run(&args, &settings),
        Command::Restore(args) => restore::run(&args, &settings),
        Command::Verify(args) => verify::run(&args, &settings),
        Command::Inspect(args) => inspect::run(&args, &settings),
        Command::Salvage(args) => salvage::run(&args, &settings),
        Command::Health(args) => health::run(&args, &settings),
        Command::Bench(args) => bench::run(&args, &settings),
        Command::Token(args) => token::run(&args),
    }
}

//! `annals restore`: a store out of a backup, or out of the part of it up to a position.

use std::path::PathBuf;

use annals::{OpenError, Position, Restore, RestoreReport};
use serde::Serialize;

use super::failure::{Failure, making};
use super::output::Output;
use super::settings::Settings;

/// Makes a store in the directory of --data out of a backup; the directory must not exist, or be empty
///
/// Every event is checked on the way. The store has a history of its own, so that cursors of the old one are refused
/// instead of skipping events. The backup is only read.
#[derive(Debug, clap::Args)]
pub(crate) struct RestoreArgs {
    /// The directory of the backup
    #[arg(long, value_name = "DIR")]
    from: PathBuf,
    /// Only up to this position; an append that reaches beyond it is left out as a whole [default: everything]
    #[arg(long, value_name = "POSITION")]
    until: Option<u64>,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    position: u64,
    old_history: String,
    history: String,
}

/// Runs the command.
pub(crate) fn run(args: &RestoreArgs, settings: &Settings) -> Result<(), Failure> {
    let directory = settings.only_directory("restore")?;
    let restore = Restore::from(&args.from);
    let restore = match args.until {
        Some(position) => restore.until(Position::new(position)),
        None => restore,
    };
    let report = Report::from(&restore.to(directory.path()).map_err(refused)?);
    let mut out = Output::stdout();
    if args.json {
        out.json(&report)?;
    } else {
        let Report { position, old_history, history } = &report;
        let dir = directory.path().display();
        out.line(format_args!(
            "{dir} holds everything up to position {position}; its history is {history}, that of the backup was \
             {old_history}"
        ))?;
    }
    out.flush()
}

fn refused(error: OpenError) -> Failure {
    match error {
        OpenError::NotFound { path } => Failure::Unusable(format!(
            "there is no backup in {}; `annals backup --out DIR` makes one",
            path.display()
        )),
        error => making(error),
    }
}

impl From<&RestoreReport> for Report {
    fn from(report: &RestoreReport) -> Report {
        Report {
            position: report.position.get(),
            old_history: report.old_history.to_string(),
            history: report.history.to_string(),
        }
    }
}

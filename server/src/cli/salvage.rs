//! `annals salvage`: what can be proved of a damaged store, in a new one.

use std::path::PathBuf;

use annals::{Loss, Salvage, SalvageReport};
use serde::Serialize;

use super::failure::{Failure, making};
use super::output::Output;
use super::settings::Settings;

/// Losses that are printed one by one; the report beside the new log has all.
const LOSSES_SHOWN_MAX: usize = 20;

/// Copies every event that can be proved out of a damaged directory into a new store, and reports the rest
///
/// The damaged directory is only read. In the new store positions and versions count without holes, and its history
/// is a new one. DIR/salvage-report.ndjson says what was lost and which positions became which. Exits with 1 when an
/// event was lost.
#[derive(Debug, clap::Args)]
pub(crate) struct SalvageArgs {
    /// The directory of the new store; it must not exist, or be empty
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Leave out events whose append lost others
    #[arg(long)]
    whole_appends: bool,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Outcome {
    events: u64,
    lost: u64,
    lost_acknowledged: u64,
    incomplete_appends: u64,
    streams_changed: u64,
    faults: u64,
    old_history: Option<String>,
    history: String,
    report: String,
    losses: Vec<LossLine>,
}

#[derive(Serialize)]
struct LossLine {
    positions: [u64; 2],
    acknowledged: bool,
    file: String,
    offset: u64,
    what: String,
}

/// Runs the command. A loss makes it fail after the new store is made.
pub(crate) fn run(args: &SalvageArgs, settings: &Settings) -> Result<(), Failure> {
    let options = settings.only_directory("salvage")?.to_salvage();
    let made = Salvage::of(&options).whole_appends(args.whole_appends).copy_to(&args.out);
    let report = made.map_err(making)?;
    let outcome = Outcome::new(&report);
    let mut out = Output::stdout();
    if args.json {
        out.json(&outcome)?;
    } else {
        outcome.print(&mut out, &args.out)?;
    }
    out.flush()?;
    match report.lost {
        0 => Ok(()),
        1 => Err(Failure::Request("1 event could not be kept".to_owned())),
        lost => Err(Failure::Request(format!("{lost} events could not be kept"))),
    }
}

impl Outcome {
    fn new(report: &SalvageReport) -> Outcome {
        let loss = |loss: &Loss| LossLine {
            positions: [loss.positions.start().get(), loss.positions.end().get()],
            acknowledged: loss.acknowledged,
            file: loss.path.display().to_string(),
            offset: loss.offset,
            what: loss.what.clone(),
        };
        Outcome {
            events: report.events,
            lost: report.lost,
            lost_acknowledged: report.lost_acknowledged,
            incomplete_appends: report.incomplete_appends,
            streams_changed: report.streams_changed,
            faults: report.faults,
            old_history: report.old_history.map(|history| history.to_string()),
            history: report.history.to_string(),
            report: report.path.display().to_string(),
            losses: report.losses.iter().map(loss).collect(),
        }
    }

    fn print(&self, out: &mut Output, dir: &std::path::Path) -> Result<(), Failure> {
        for loss in self.losses.iter().take(LOSSES_SHOWN_MAX) {
            let [first, last] = loss.positions;
            let positions = if first == last {
                format!("position {first}")
            } else {
                format!("positions {first} to {last}")
            };
            let known = if loss.acknowledged { "" } else { "perhaps never acknowledged; " };
            let LossLine { file, offset, what, .. } = loss;
            let place = if file.is_empty() { String::new() } else { format!("{file} at offset {offset}: ") };
            out.line(format_args!("lost {positions}: {known}{place}{what}"))?;
        }
        if self.losses.len() > LOSSES_SHOWN_MAX {
            out.line(format_args!("and {} more ranges", self.losses.len() - LOSSES_SHOWN_MAX))?;
        }
        out.line(format_args!(
            "kept {} events, lost {} ({} of them known to have been acknowledged)",
            self.events, self.lost, self.lost_acknowledged
        ))?;
        out.line(format_args!(
            "appends that lost some of their events: {}; streams whose versions changed: {}; damaged places: {}",
            self.incomplete_appends, self.streams_changed, self.faults
        ))?;
        out.line(format_args!("new store: {}, history {}", dir.display(), self.history))?;
        out.line(format_args!("report: {}", self.report))
    }
}

//! `annals scavenge`: gives back the space of events that are no longer shown.

use std::ops::ControlFlow;

use annals::{EventStore, Scavenge, ScavengeReport};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::failure::Failure;
use super::output::{Output, Progress, note};
use super::settings::{Directory, Place, Settings};

/// Rewrites the segments of a directory without the events that are no longer shown
///
/// Those are the events that a stream's settings hide, that went with a deletion, or that --retention-age and
/// --retention-bytes do not keep. Positions and versions stay as they are. Interrupted at any point, the next one does the
/// rest. Exits with 1 when a damaged segment was left as it is.
#[derive(Debug, clap::Args)]
pub(crate) struct ScavengeArgs {
    /// Only say what could be won
    #[arg(long)]
    dry_run: bool,
    /// Also where it gives back little: when bytes have to be gone
    #[arg(long)]
    everything: bool,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    dry_run: bool,
    segments: u64,
    rewritten: u64,
    removed: u64,
    bytes_before: u64,
    bytes_after: u64,
    damaged: Vec<String>,
}

/// Runs the command. A damaged segment makes it fail after everything else is done.
pub(crate) fn run(args: &ScavengeArgs, settings: &Settings) -> Result<(), Failure> {
    let report: Report = match settings.place() {
        Place::Directory(directory) => of_directory(args, directory)?,
        Place::Server(server) => {
            let wanted = json!({"dryRun": args.dry_run, "everything": args.everything});
            server.post("/admin/scavenge", Some(&wanted))?
        }
    };
    let mut out = Output::stdout();
    if args.json {
        out.json(&report)?;
    } else {
        report.print(&mut out)?;
    }
    out.flush()?;
    report.damaged.iter().for_each(note);
    match report.damaged.len() {
        0 => Ok(()),
        1 => Err(Failure::Request("1 damaged segment was left as it is; run `annals verify`".to_owned())),
        left => Err(Failure::Request(format!(
            "{left} damaged segments were left as they are; run `annals verify`"
        ))),
    }
}

fn of_directory(args: &ScavengeArgs, directory: Directory<'_>) -> Result<Report, Failure> {
    // With nobody in the background, this is the only scavenge.
    let store = EventStore::open(directory.to_write().create(false).background(false).prewrite(false))?;
    let mut progress = Progress::new();
    let scavenge = Scavenge::new().dry_run(args.dry_run).everything(args.everything);
    let report = store.scavenge_while(&scavenge, |report| {
        progress.show(format_args!("{} segments, {} events removed", report.segments, report.removed));
        ControlFlow::Continue(())
    })?;
    progress.clear();
    store.close()?;
    Ok(Report::new(&report, args.dry_run))
}

impl Report {
    fn new(report: &ScavengeReport, dry_run: bool) -> Report {
        Report {
            dry_run,
            segments: report.segments,
            rewritten: report.rewritten,
            removed: report.removed,
            bytes_before: report.bytes_before,
            bytes_after: report.bytes_after,
            damaged: report.damaged.iter().map(ToString::to_string).collect(),
        }
    }

    fn print(&self, out: &mut Output) -> Result<(), Failure> {
        let Report { segments, rewritten, removed, bytes_before, bytes_after, .. } = self;
        let won = bytes_before.saturating_sub(*bytes_after);
        let (has, is) =
            if self.dry_run { ("would rewrite", "could be won") } else { ("rewrote", "are free again") };
        out.line(format_args!(
            "{has} {rewritten} of {segments} sealed segments without {removed} events: {won} of {bytes_before} bytes {is}"
        ))
    }
}

//! `annals verify`: reads every byte and says what is wrong.

use annals::{Fault, VerifyReport};
use serde::Serialize;

use super::failure::Failure;
use super::output::Output;
use super::settings::Settings;

/// Reads every byte of the store in a directory and reports what is damaged
#[derive(Debug, clap::Args)]
pub(crate) struct VerifyArgs {
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report {
    segments: u64,
    frames: u64,
    events: u64,
    bytes: u64,
    faults: Vec<FaultLine>,
}

#[derive(Serialize)]
struct FaultLine {
    file: String,
    offset: u64,
    what: String,
}

/// Runs the command. Damage makes it fail after everything that was found is told.
pub(crate) fn run(args: &VerifyArgs, settings: &Settings) -> Result<(), Failure> {
    let report = VerifyReport::of(&settings.only_directory("verify")?.to_read())?;
    let report = Report::new(&report);
    let mut out = Output::stdout();
    if args.json {
        out.json(&report)?;
    } else {
        report.print(&mut out)?;
    }
    out.flush()?;
    match report.faults.len() {
        0 => Ok(()),
        1 => Err(Failure::Request("1 fault was found".to_owned())),
        faults => Err(Failure::Request(format!("{faults} faults were found"))),
    }
}

impl Report {
    fn new(report: &VerifyReport) -> Report {
        let line = |fault: &Fault| FaultLine {
            file: fault.path.display().to_string(),
            offset: fault.offset,
            what: fault.what.clone(),
        };
        Report {
            segments: report.segments,
            frames: report.frames,
            events: report.events,
            bytes: report.bytes,
            faults: report.faults.iter().map(line).collect(),
        }
    }

    fn print(&self, out: &mut Output) -> Result<(), Failure> {
        for FaultLine { file, offset, what } in &self.faults {
            out.line(format_args!("{file} at offset {offset}: {what}"))?;
        }
        out.line(format_args!(
            "read {} bytes: {} segments, {} frames, {} events, {} faults",
            self.bytes,
            self.segments,
            self.frames,
            self.events,
            self.faults.len()
        ))
    }
}

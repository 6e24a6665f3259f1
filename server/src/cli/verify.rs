//! `annals verify`: reads every byte and says what is wrong.

use annals::{Fault, Note, VerifyReport};
use serde::Serialize;

use super::failure::Failure;
use super::output::Output;
use super::settings::Settings;

/// Reads every byte of the store in a directory and reports everything that is damaged
///
/// Checks every checksum, the order of all frames and the counts of every segment; beside a server, too. Exits with 1
/// when there is a fault.
#[derive(Debug, clap::Args)]
pub(crate) struct VerifyArgs {
    /// Also check what events say, and compare each index with the log; takes memory for each stream
    #[arg(long)]
    deep: bool,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report<'a> {
    segments: u64,
    frames: u64,
    events: u64,
    /// Events that retention or a scavenge took out of the log.
    removed: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    streams: Option<u64>,
    bytes: u64,
    faults: Vec<FaultLine<'a>>,
    faults_left_out: u64,
    notes: Vec<NoteLine<'a>>,
}

#[derive(Serialize)]
struct FaultLine<'a> {
    file: String,
    offset: u64,
    what: &'a str,
    /// The first and the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    positions: Option<[u64; 2]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream: Option<&'a str>,
}

#[derive(Serialize)]
struct NoteLine<'a> {
    file: String,
    what: &'a str,
}

/// Runs the command. Damage makes it fail after everything that was found is told.
pub(crate) fn run(args: &VerifyArgs, settings: &Settings) -> Result<(), Failure> {
    let options = settings.only_directory("verify")?.to_read();
    let found = if args.deep { VerifyReport::deep(&options)? } else { VerifyReport::of(&options)? };
    let report = Report::new(&found, args.deep);
    let mut out = Output::stdout();
    if args.json {
        out.json(&report)?;
    } else {
        report.print(&mut out)?;
    }
    out.flush()?;
    match report.faults.len() as u64 + report.faults_left_out {
        0 => Ok(()),
        1 => Err(Failure::Request("1 fault was found".to_owned())),
        faults => Err(Failure::Request(format!("{faults} faults were found"))),
    }
}

impl<'a> Report<'a> {
    fn new(report: &'a VerifyReport, deep: bool) -> Report<'a> {
        let fault = |fault: &'a Fault| FaultLine {
            file: fault.path.display().to_string(),
            offset: fault.offset,
            what: &fault.what,
            positions: fault.positions.as_ref().map(|range| [range.start().get(), range.end().get()]),
            stream: fault.stream.as_deref(),
        };
        let note = |note: &'a Note| NoteLine { file: note.path.display().to_string(), what: &note.what };
        Report {
            segments: report.segments,
            frames: report.frames,
            events: report.events,
            removed: report.removed,
            streams: deep.then_some(report.streams),
            bytes: report.bytes,
            faults: report.faults.iter().map(fault).collect(),
            faults_left_out: report.faults_left_out,
            notes: report.notes.iter().map(note).collect(),
        }
    }

    fn print(&self, out: &mut Output) -> Result<(), Failure> {
        for FaultLine { file, offset, what, positions, .. } in &self.faults {
            let of_positions = match positions {
                Some([first, last]) if first == last => format!(" (position {first})"),
                Some([first, last]) => format!(" (positions {first} to {last})"),
                None => String::new(),
            };
            out.line(format_args!("{file} at offset {offset}: {what}{of_positions}"))?;
        }
        if self.faults_left_out > 0 {
            out.line(format_args!("and {} more faults of single streams", self.faults_left_out))?;
        }
        for NoteLine { file, what } in &self.notes {
            out.line(format_args!("note: {file}: {what}"))?;
        }
        let of_streams = self.streams.map_or_else(String::new, |streams| format!(" of {streams} streams"));
        let of_removed = if self.removed > 0 { format!(", {} removed", self.removed) } else { String::new() };
        out.line(format_args!(
            "read {} bytes: {} segments, {} frames, {} events{of_streams}{of_removed}, {} faults",
            self.bytes,
            self.segments,
            self.frames,
            self.events,
            self.faults.len() as u64 + self.faults_left_out
        ))
    }
}

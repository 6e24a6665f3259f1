//! `annals verify`: reads every byte and says what is wrong.

use std::ops::ControlFlow;

use annals::VerifyReport;

use super::client::{Line, Server};
use super::failure::Failure;
use super::output::{Output, Progress};
use super::settings::{Directory, Place, Settings};
use crate::wire::{FaultLine, NoteLine, Progress as VerifyProgress, Verified, VerifyLine};

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

/// Runs the command. Damage makes it fail after everything that was found is told.
pub(crate) fn run(args: &VerifyArgs, settings: &Settings) -> Result<(), Failure> {
    let report = match settings.place() {
        Place::Directory(directory) => of_directory(args.deep, directory)?,
        Place::Server(server) => of_server(args.deep, server)?,
    };
    let mut out = Output::stdout();
    if args.json {
        out.json(&report)?;
    } else {
        print(&report, &mut out)?;
    }
    out.flush()?;
    match report.fault_count() {
        0 => Ok(()),
        1 => Err(Failure::Request("1 fault was found".to_owned())),
        faults => Err(Failure::Request(format!("{faults} faults were found"))),
    }
}

fn of_directory(deep: bool, directory: Directory<'_>) -> Result<Verified, Failure> {
    let options = directory.to_read();
    let mut shown = Progress::new();
    let report = VerifyReport::watched(&options, deep, |progress| {
        shown.show(VerifyProgress::from(progress));
        ControlFlow::Continue(())
    })?;
    let report = report.expect("only a break ends it");
    Ok(Verified::new(&report, deep, |path| path.display().to_string()))
}

fn of_server(deep: bool, server: &Server) -> Result<Verified, Failure> {
    let mut answer = server.post_for_lines(&format!("/admin/verify?deep={deep}"))?;
    let mut shown = Progress::new();
    let broken = |what: String| Failure::Unusable(format!("the server answered without a summary{what}"));
    while let Some(line) = answer.next_line()? {
        let Line::Result(line) = line else { continue };
        match serde_json::from_slice(line).map_err(|error| broken(format!(": {error}")))? {
            VerifyLine::Progress(progress) => shown.show(progress),
            VerifyLine::Summary(verified) => return Ok(verified),
        }
    }
    Err(broken(String::new()))
}

fn print(report: &Verified, out: &mut Output) -> Result<(), Failure> {
    for FaultLine { file, offset, what, positions, .. } in &report.faults {
        let of_positions = match positions {
            Some([first, last]) if first == last => format!(" (position {first})"),
            Some([first, last]) => format!(" (positions {first} to {last})"),
            None => String::new(),
        };
        out.line(format_args!("{file} at offset {offset}: {what}{of_positions}"))?;
    }
    if report.faults_left_out > 0 {
        out.line(format_args!("and {} more faults of single streams", report.faults_left_out))?;
    }
    for NoteLine { file, what } in &report.notes {
        out.line(format_args!("note: {file}: {what}"))?;
    }
    let of_streams = report.streams.map_or_else(String::new, |streams| format!(" of {streams} streams"));
    let of_removed = if report.removed > 0 { format!(", {} removed", report.removed) } else { String::new() };
    out.line(format_args!(
        "read {} bytes: {} segments, {} frames, {} events{of_streams}{of_removed}, {} faults",
        report.bytes,
        report.segments,
        report.frames,
        report.events,
        report.fault_count()
    ))
}

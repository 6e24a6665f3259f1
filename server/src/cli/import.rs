//! `annals import`: many events, in order, in atomic batches, and again without harm.
//!
//! The file is read line by line, so memory stays that of one batch. A line that is no event ends the import by its
//! number: its batch is not committed, all before it is, and running the import again repeats nothing.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use annals::{EventStore, ImportReport, Limits};
use serde::{Deserialize, Serialize};

use super::client::{Line, Server};
use super::failure::Failure;
use super::incoming::Incoming;
use super::output::{Output, Progress};
use super::settings::{Directory, Place, Settings};
use super::upload::Upload;

/// A line holds an event with its quoting; more than twice an event is none.
const LINE_BYTES_PER_EVENT_BYTE: u64 = 2;

/// What to do after an import stopped.
const GO_ON: &str = "everything before this batch is committed; mend it and run the import again: nothing is imported \
                     twice";

/// Imports events, one a line, each naming its `stream`; what is there already is not repeated
#[derive(Debug, clap::Args)]
pub(crate) struct ImportArgs {
    /// The file; `-` reads standard input
    file: PathBuf,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
}

/// What an import did, in the form of the server.
#[derive(Debug, Serialize, Deserialize)]
struct Imported {
    lines: u64,
    appended: u64,
    repeated: u64,
    position: u64,
}

/// The last line of a server's answer.
#[derive(Deserialize)]
struct Summary {
    summary: Imported,
}

/// Runs the command.
pub(crate) fn run(args: &ImportArgs, settings: &Settings) -> Result<(), Failure> {
    let line_bytes_max = Limits::default().event_bytes_max * LINE_BYTES_PER_EVENT_BYTE;
    let incoming = Incoming::new(open(&args.file)?, line_bytes_max);
    let imported = match settings.place() {
        Place::Directory(directory) => into_directory(incoming, directory)?,
        Place::Server(server) => into_server(incoming, server)?,
    };
    let mut out = Output::stdout();
    if args.json {
        out.json(&imported)?;
    } else {
        let Imported { appended, repeated, .. } = imported;
        out.line(format_args!("imported {appended} events, {repeated} were there already"))?;
    }
    out.flush()
}

fn open(path: &Path) -> Result<Box<dyn BufRead>, Failure> {
    if path == Path::new("-") {
        return Ok(Box::new(io::stdin().lock()));
    }
    match File::open(path) {
        Ok(file) => Ok(Box::new(BufReader::with_capacity(256 * 1024, file))),
        Err(error) => Err(Failure::Usage(format!("cannot read {}: {error}", path.display()))),
    }
}

fn into_directory(mut incoming: Incoming, directory: Directory<'_>) -> Result<Imported, Failure> {
    let store = EventStore::open(directory.to_write())?;
    let imported = push_all(&store, &mut incoming).map_err(|failure| failure.told_as(go_on))?;
    store.close()?;
    Ok(imported)
}

fn push_all(store: &EventStore, incoming: &mut Incoming) -> Result<Imported, Failure> {
    let mut importer = store.import();
    let mut progress = Progress::new();
    let mut last = 0;
    while let Some(line) = incoming.next_event()? {
        last = line.number;
        let batch = importer.push(line.stream, line.event).map_err(|error| refused(last, error.into()))?;
        if let Some(batch) = batch {
            progress.show(format_args!(
                "{} lines, {} events imported",
                batch.lines,
                importer.report().appended
            ));
        }
    }
    let (_, report) = importer.finish().map_err(|error| refused(last, error.into()))?;
    Ok(Imported::from(&report))
}

/// A batch is refused when its last line is pushed: the culprit is that line or one of the batch before it.
fn refused(line: u64, failure: Failure) -> Failure {
    failure.told_as(|text| format!("line {line} or one shortly before it: {text}"))
}

fn go_on(text: String) -> String {
    format!("{text}\n{GO_ON}")
}

fn into_server(incoming: Incoming, server: &Server) -> Result<Imported, Failure> {
    let mut upload = Upload::new(incoming);
    let answer = server.post_lines("/import", &mut upload);
    // The file's own fault tells more than the request that broke off because of it.
    if let Some(failure) = upload.failure() {
        return Err(failure.told_as(go_on));
    }
    let mut answer = answer.map_err(|failure| failure.told_as(go_on))?;
    let mut summary = None;
    while let Some(line) = answer.next_line().map_err(|failure| failure.told_as(go_on))? {
        // The lines before the last tell of batches.
        if let Line::Result(line) = line {
            summary = serde_json::from_slice(line).ok();
        }
    }
    let missing = || Failure::Unusable(go_on("the server answered without a summary".to_owned()));
    summary.map(|Summary { summary }| summary).ok_or_else(missing)
}

impl From<&ImportReport> for Imported {
    fn from(report: &ImportReport) -> Imported {
        Imported {
            lines: report.lines,
            appended: report.appended,
            repeated: report.repeated,
            position: report.position.get(),
        }
    }
}

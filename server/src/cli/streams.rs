//! `annals streams`: which streams there are.

use annals::{EventStore, Position, StreamInfo};
use serde::{Deserialize, Serialize};

use super::client::Server;
use super::failure::Failure;
use super::output::Output;
use super::settings::{Directory, Place, Settings};
use crate::wire::Params;

/// How many streams to ask a server for at one time.
const PAGE_STREAMS: u64 = 1_000;

/// Prints the names of the streams, one a line, in the order of their first events
#[derive(Debug, clap::Args)]
pub(crate) struct StreamsArgs {
    /// Only streams whose name begins with this
    #[arg(long, default_value = "")]
    prefix: String,
    /// Print what is known of each as JSON
    #[arg(long)]
    json: bool,
}

/// What is known of a stream, in the form of the server.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct StreamLine {
    stream: String,
    category: String,
    version: u64,
    first_version: u64,
    first_position: u64,
    last_position: u64,
    first_recorded_at: String,
    last_recorded_at: String,
    bytes: u64,
}

/// One page of a server's list.
#[derive(Deserialize)]
struct Page {
    streams: Vec<StreamLine>,
    /// Where the next page is, if there is one.
    next: Option<String>,
}

/// Runs the command.
pub(crate) fn run(args: &StreamsArgs, settings: &Settings) -> Result<(), Failure> {
    let mut out = Output::stdout();
    match settings.place() {
        Place::Directory(directory) => from_directory(args, directory, &mut out)?,
        Place::Server(server) => from_server(args, server, &mut out)?,
    }
    out.flush()
}

fn from_directory(args: &StreamsArgs, directory: Directory<'_>, out: &mut Output) -> Result<(), Failure> {
    let store = EventStore::open(directory.to_read())?;
    for info in store.streams(Position::START)? {
        let info = info?;
        if !info.name.as_str().starts_with(&args.prefix) {
            continue;
        }
        print(&StreamLine::from(&info), args, out)?;
    }
    Ok(())
}

fn from_server(args: &StreamsArgs, server: &Server, out: &mut Output) -> Result<(), Failure> {
    let params = Params::default().with("prefix", &args.prefix).with("limit", PAGE_STREAMS.to_string());
    let mut next = Some(format!("/streams?{}", params.encode()));
    while let Some(path) = next {
        let page: Page = server.get_json(&path)?;
        for stream in &page.streams {
            print(stream, args, out)?;
        }
        next = page.next;
    }
    Ok(())
}

fn print(stream: &StreamLine, args: &StreamsArgs, out: &mut Output) -> Result<(), Failure> {
    if args.json { out.json(stream) } else { out.line(&stream.stream) }
}

impl From<&StreamInfo> for StreamLine {
    fn from(info: &StreamInfo) -> StreamLine {
        StreamLine {
            stream: info.name.to_string(),
            category: info.name.category().to_owned(),
            version: info.version.get(),
            first_version: info.first_version.get(),
            first_position: info.first_position.get(),
            last_position: info.last_position.get(),
            first_recorded_at: info.first_recorded_at.to_string(),
            last_recorded_at: info.last_recorded_at.to_string(),
            bytes: info.bytes,
        }
    }
}

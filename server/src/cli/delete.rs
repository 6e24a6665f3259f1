//! `annals delete`: deletes a stream.

use annals::{EventStore, ExpectedVersion, StreamName};
use serde::{Deserialize, Serialize};

use super::client::{Server, path_segment};
use super::failure::Failure;
use super::output::Output;
use super::settings::{Directory, Place, Settings};
use crate::wire::Params;

/// Deletes a stream and prints the version that it stands at; an append makes it again, and its versions go on
///
/// Its events are gone for every reader at once; `annals scavenge` gives their space back. Nothing is asked: --expected is
/// the way to be sure.
#[derive(Debug, clap::Args)]
pub(crate) struct DeleteArgs {
    /// The stream
    stream: StreamName,
    /// Let it take no event again
    #[arg(long)]
    for_ever: bool,
    /// What the stream must be for it to be deleted: exists, any, or its exact version
    #[arg(long, value_name = "N|exists|any", default_value_t = ExpectedVersion::Any)]
    expected: ExpectedVersion,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Deleted<'a> {
    stream: &'a str,
    version: u64,
    for_ever: bool,
}

/// Runs the command.
pub(crate) fn run(args: &DeleteArgs, settings: &Settings) -> Result<(), Failure> {
    let version = match settings.place() {
        Place::Directory(directory) => from_directory(args, directory)?,
        Place::Server(server) => from_server(args, server)?,
    };
    let mut out = Output::stdout();
    if args.json {
        let (stream, for_ever) = (args.stream.as_str(), args.for_ever);
        out.json(&Deleted { stream, version, for_ever })?;
    } else {
        let for_ever = if args.for_ever { " for ever" } else { "" };
        out.line(format_args!("{} is deleted{for_ever} at version {version}", args.stream))?;
    }
    out.flush()
}

fn from_directory(args: &DeleteArgs, directory: Directory<'_>) -> Result<u64, Failure> {
    let store = EventStore::open(directory.to_write().create(false).background(false).prewrite(false))?;
    let version = match args.for_ever {
        true => store.delete_stream_for_ever(&args.stream, args.expected)?,
        false => store.delete_stream(&args.stream, args.expected)?,
    };
    store.close()?;
    Ok(version.get())
}

fn from_server(args: &DeleteArgs, server: &Server) -> Result<u64, Failure> {
    #[derive(Deserialize)]
    struct Answer {
        version: u64,
    }

    let path = format!("/streams/{}", path_segment(args.stream.as_str()));
    let params = Params::default()
        .with("hard", args.for_ever.to_string())
        .with("expectedVersion", args.expected.to_string());
    server.delete(&path, &params).map(|Answer { version }| version)
}

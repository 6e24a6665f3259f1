//! `annals delete`: deletes a stream.

use annals::{EventStore, ExpectedVersion, StreamName};
use serde::Serialize;

use super::failure::Failure;
use super::output::Output;
use super::settings::Settings;

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
    let options = settings.only_directory("delete")?.to_write();
    let store = EventStore::open(options.create(false).background(false).prewrite(false))?;
    let version = match args.for_ever {
        true => store.delete_stream_for_ever(&args.stream, args.expected)?,
        false => store.delete_stream(&args.stream, args.expected)?,
    };
    store.close()?;
    let mut out = Output::stdout();
    if args.json {
        let (stream, for_ever) = (args.stream.as_str(), args.for_ever);
        out.json(&Deleted { stream, version: version.get(), for_ever })?;
    } else {
        let for_ever = if args.for_ever { " for ever" } else { "" };
        out.line(format_args!("{} is deleted{for_ever} at version {version}", args.stream))?;
    }
    out.flush()
}

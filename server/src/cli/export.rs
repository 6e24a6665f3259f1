//! `annals export`: the events held, in the form that `annals import` takes.

use annals::EventStore;

use super::events;
use super::failure::Failure;
use super::output::Output;
use super::query::QueryArgs;
use super::settings::{Place, Settings};
use crate::wire::parse_read;

/// Prints all events, or those that the flags ask for, one a line and in order
#[derive(Debug, clap::Args)]
pub(crate) struct ExportArgs {
    #[command(flatten)]
    query: QueryArgs,
    /// Only events after this position
    #[arg(long, value_name = "POSITION", default_value_t = 0)]
    after: u64,
}

/// Runs the command.
pub(crate) fn run(args: &ExportArgs, settings: &Settings) -> Result<(), Failure> {
    let params = args.query.params().with("after", args.after.to_string());
    let mut out = Output::stdout();
    match settings.place() {
        Place::Directory(directory) => {
            let store = EventStore::open(directory.to_read())?;
            events::print(store.read(parse_read(&params, None, || store.head())?)?, &mut out)?;
        }
        Place::Server(server) => events::copy(server.get("/events", &params)?, &mut out)?,
    }
    out.flush()
}

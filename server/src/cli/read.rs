//! `annals read`: one stream.

use annals::{EventStore, StreamName, Timestamp};

use super::client::path_segment;
use super::events;
use super::failure::Failure;
use super::output::Output;
use super::settings::{Directory, Place, Settings};
use crate::wire::{Params, parse_read};

/// Prints the events of one stream, one a line
#[derive(Debug, clap::Args)]
pub(crate) struct ReadArgs {
    /// The stream
    stream: StreamName,
    /// The first version, inclusive
    #[arg(long, value_name = "VERSION")]
    from: Option<u64>,
    /// The last version, inclusive
    #[arg(long, value_name = "VERSION")]
    to: Option<u64>,
    /// Newest first
    #[arg(long)]
    backward: bool,
    /// At most this many events
    #[arg(long, value_name = "COUNT")]
    limit: Option<u64>,
    /// Only what was committed at this time, in RFC 3339, or earlier
    #[arg(long, value_name = "TIME", value_parser = Timestamp::parse)]
    as_of: Option<Timestamp>,
}

/// Runs the command.
pub(crate) fn run(args: &ReadArgs, settings: &Settings) -> Result<(), Failure> {
    let mut out = Output::stdout();
    match settings.place() {
        Place::Directory(directory) => from_directory(args, directory, &mut out)?,
        Place::Server(server) => {
            let path = format!("/events/{}", path_segment(args.stream.as_str()));
            events::copy(server.get(&path, &args.params())?, &mut out)?;
        }
    }
    out.flush()
}

fn from_directory(args: &ReadArgs, directory: Directory<'_>, out: &mut Output) -> Result<(), Failure> {
    let store = EventStore::open(directory.to_read())?;
    if store.stream(&args.stream)?.is_none() {
        let dir = directory.path().display();
        return Err(Failure::Request(format!("there is no stream {} in {dir}", args.stream)));
    }
    let read = parse_read(&args.params(), Some(args.stream.clone()), || store.head())?;
    events::print(store.read(read)?, out)
}

impl ReadArgs {
    fn params(&self) -> Params {
        let numbers = [("from", self.from), ("to", self.to), ("limit", self.limit)];
        let numbers = numbers.into_iter().filter_map(|(name, number)| Some((name, number?.to_string())));
        let direction = self.backward.then(|| ("direction", "backward".to_owned()));
        let until = self.as_of.map(|time| ("until", time.to_string()));
        numbers
            .chain(direction)
            .chain(until)
            .fold(Params::default(), |params, (name, value)| params.with(name, value))
    }
}

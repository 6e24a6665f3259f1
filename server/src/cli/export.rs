//! `annals export`: the events held, in the form that `annals import` takes.

use annals::{EventStore, Position, Subscribe};

use super::events::{self, Skipped};
use super::failure::Failure;
use super::output::{Output, note};
use super::query::QueryArgs;
use super::settings::{Place, Settings};
use crate::wire::parse_query;

/// Prints all events, or those that the flags ask for, one a line and in order
#[derive(Debug, clap::Args)]
pub(crate) struct ExportArgs {
    #[command(flatten)]
    query: QueryArgs,
    /// Only events after this position
    #[arg(long, value_name = "POSITION", default_value_t = 0)]
    after: u64,
}

/// What an export has to leave out: told once, because the lines are those of an import.
#[derive(Default)]
struct LeftOut {
    ranges: u64,
    first: u64,
    last: u64,
}

impl LeftOut {
    fn add(&mut self, skipped: Skipped) {
        if self.ranges == 0 {
            self.first = skipped.from;
        }
        self.ranges += 1;
        self.last = skipped.to;
    }

    fn tell(&self) {
        let LeftOut { ranges, first, last } = self;
        match ranges {
            0 => {}
            1 => note(format_args!("events between positions {first} and {last} are not shown any more")),
            _ => note(format_args!(
                "in {ranges} ranges between positions {first} and {last}, events are not shown any more"
            )),
        }
    }
}

/// Runs the command.
pub(crate) fn run(args: &ExportArgs, settings: &Settings) -> Result<(), Failure> {
    let params = args.query.params();
    let mut out = Output::stdout();
    match settings.place() {
        Place::Directory(directory) => {
            let store = EventStore::open(directory.to_read())?;
            let after = Position::new(args.after).min(store.head());
            let subscribe = Subscribe::all().after(after).query(parse_query(&params)?);
            let mut left_out = LeftOut::default();
            let told = events::print_held(store.subscribe(subscribe)?, &mut out, |skipped, _| {
                left_out.add(skipped);
                Ok(())
            });
            left_out.tell();
            told?;
        }
        Place::Server(server) => {
            let params = params.with("after", args.after.to_string());
            events::copy(server.get("/events", &params)?, &mut out)?;
        }
    }
    out.flush()
}

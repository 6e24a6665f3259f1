//! `annals tail`: what is there, then what comes.
//!
//! A store that is open for reading only stands still, so a directory is followed by opening it again and again,
//! each time after the last position seen. Nothing is skipped and nothing is told twice: a pass ends at the head
//! that its store was opened with, and the next begins there.

use std::time::Duration;

use annals::{EventStore, Position, Subscribe};

use super::client::{Line, Server};
use super::events::{self, Skipped};
use super::failure::Failure;
use super::output::{Output, note};
use super::query::{After, QueryArgs};
use super::settings::{Directory, Place, Settings};
use crate::wire::parse_query;

/// How long an event of another process may wait until it is seen in the directory.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Prints events as they come, one a line, after those that are there
///
/// Where events are not shown any more, a line {"skipped":{"from","to","reason"}} names the positions between which they
/// stood.
#[derive(Debug, clap::Args)]
pub(crate) struct TailArgs {
    #[command(flatten)]
    query: QueryArgs,
    /// Only events after this position; `head`: only what comes
    #[arg(long, value_name = "POSITION|head", default_value = "0")]
    after: After,
}

/// Runs the command. It ends when it is told to, or when its reader or its server leaves.
pub(crate) fn run(args: &TailArgs, settings: &Settings) -> Result<(), Failure> {
    let mut out = Output::stdout();
    match settings.place() {
        Place::Directory(directory) => follow_directory(args, directory, &mut out),
        Place::Server(server) => follow_server(args, server, &mut out),
    }
}

fn follow_directory(args: &TailArgs, directory: Directory<'_>, out: &mut Output) -> Result<(), Failure> {
    let mut seen = first_position(args.after, EventStore::open(directory.to_read())?.head())?;
    loop {
        let store = EventStore::open(directory.to_read())?;
        let head = store.head();
        if head > seen {
            let subscribe = Subscribe::all().after(seen).query(parse_query(&args.query.params())?);
            events::print_held(store.subscribe(subscribe)?, out, Skipped::print)?;
            out.flush()?;
            seen = head;
        }
        drop(store);
        std::thread::sleep(LOOK_EVERY);
    }
}

/// Where to start. A position that the store has not reached was taken from another one.
fn first_position(after: After, head: Position) -> Result<Position, Failure> {
    match after {
        After::Head => Ok(head),
        After::Position(position) if position <= head => Ok(position),
        After::Position(position) => {
            Err(Failure::Request(format!("position {position} lies beyond the last event, {head}")))
        }
    }
}

fn follow_server(args: &TailArgs, server: &Server, out: &mut Output) -> Result<(), Failure> {
    let params = args.query.params().with("after", args.after.param());
    let mut answer = server.get("/events/stream", &params)?;
    let mut is_live = false;
    while let Some(line) = answer.next_line()? {
        match line {
            Line::Result(line) | Line::Skipped(line) => out.bytes(line)?,
            Line::CaughtUp => is_live = true,
            Line::Checkpoint => {}
        }
        if is_live {
            out.flush()?;
        }
    }
    out.flush()?;
    note("the server ended the stream");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_that_the_store_has_not_reached_is_refused() {
        let head = Position::new(5);
        assert_eq!(first_position(After::Position(head), head).ok(), Some(head));
        assert_eq!(first_position(After::Head, head).ok(), Some(head));
        assert!(first_position(After::Position(head.next()), head).is_err());
    }
}

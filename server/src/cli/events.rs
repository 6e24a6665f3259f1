//! Events on standard output, one a line, from a store or from a server.

use annals::{Delivery, Events, Position, RecordedEvent, Subscription};
use serde::Serialize;

use super::client::{Answer, Line};
use super::failure::Failure;
use super::output::{Output, note};
use crate::wire::{EventWriter, Form};

/// Positions between which events are not shown any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct Skipped {
    pub(crate) from: u64,
    pub(crate) to: u64,
    reason: &'static str,
}

/// The line that tells of it, in the form of the server.
#[derive(Serialize)]
struct SkippedLine {
    skipped: Skipped,
}

impl Skipped {
    fn new(from: Position, to: Position) -> Skipped {
        Skipped { from: from.get(), to: to.get(), reason: "retention" }
    }

    /// Prints the line that tells of it among events.
    pub(crate) fn print(self, out: &mut Output) -> Result<(), Failure> {
        out.json(&SkippedLine { skipped: self })
    }
}

/// Prints the events of a read.
pub(crate) fn print(events: Events, out: &mut Output) -> Result<(), Failure> {
    let mut line = Vec::new();
    for event in events {
        print_one(&event?, &mut line, out)?;
    }
    Ok(())
}

/// Prints the events that a subscription finds in a store that stands still, and hands over what it had to pass over.
pub(crate) fn print_held(
    mut subscription: Subscription,
    out: &mut Output,
    mut skipped: impl FnMut(Skipped, &mut Output) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut line = Vec::new();
    while let Some(delivery) = subscription.try_next() {
        match delivery? {
            Delivery::Event(event) => print_one(&event, &mut line, out)?,
            Delivery::Skipped { from, to } => skipped(Skipped::new(from, to), out)?,
            _ => {}
        }
    }
    Ok(())
}

fn print_one(event: &RecordedEvent, line: &mut Vec<u8>, out: &mut Output) -> Result<(), Failure> {
    line.clear();
    EventWriter::default().write(line, event, Form::Line);
    line.push(b'\n');
    out.bytes(line)
}

/// Prints the events of an answer, as the server wrote them.
pub(crate) fn copy(mut answer: Answer, out: &mut Output) -> Result<(), Failure> {
    while let Some(line) = answer.next_line()? {
        match line {
            Line::Result(event) => out.bytes(event)?,
            Line::Skipped(line) => {
                let line = String::from_utf8_lossy(line);
                note(format_args!("events are not held any more: {}", line.trim_end()));
            }
            Line::CaughtUp | Line::Checkpoint => {}
        }
    }
    Ok(())
}

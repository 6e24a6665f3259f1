//! Events on standard output, one a line, from a store or from a server.

use annals::Events;

use super::client::{Answer, Line};
use super::failure::Failure;
use super::output::{Output, note};
use crate::wire::{Form, write_event};

/// Prints the events of a read.
pub(crate) fn print(events: Events, out: &mut Output) -> Result<(), Failure> {
    let mut line = Vec::new();
    for event in events {
        line.clear();
        write_event(&mut line, &event?, Form::Line);
        line.push(b'\n');
        out.bytes(&line)?;
    }
    Ok(())
}

/// Prints the events of an answer, as the server wrote them.
pub(crate) fn copy(mut answer: Answer, out: &mut Output) -> Result<(), Failure> {
    while let Some(line) = answer.next_line()? {
        match line {
            Line::Result(event) => out.bytes(event)?,
            Line::Skipped(range) => note(format_args!("events are not held any more: {range}")),
            Line::CaughtUp | Line::Checkpoint => {}
        }
    }
    Ok(())
}

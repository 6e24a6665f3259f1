//! The lines of an import as events: each checked as it is read, each error naming its line.

use std::io::BufRead;

use annals::{NewEvent, StreamName};

use super::failure::Failure;
use super::lines::Lines;
use crate::wire::{Purpose, WireError, parse_event};

/// Events that come in, one a line.
pub(crate) struct Incoming(Lines<Box<dyn BufRead>>);

/// One line of an import.
pub(crate) struct IncomingLine<'a> {
    /// Which line, counted from 1.
    pub(crate) number: u64,
    /// As it was read, with its line end.
    pub(crate) text: &'a [u8],
    /// The stream that it names.
    pub(crate) stream: StreamName,
    /// The event.
    pub(crate) event: NewEvent,
}

impl Incoming {
    /// The events in `input`.
    pub(crate) fn new(input: Box<dyn BufRead>, line_bytes_max: u64) -> Incoming {
        Incoming(Lines::new(input, line_bytes_max))
    }

    /// The next event; none at the end.
    pub(crate) fn next_event(&mut self) -> Result<Option<IncomingLine<'_>>, Failure> {
        let line = self.0.next_line().map_err(|error| Failure::Request(error.to_string()))?;
        let Some((number, text)) = line else { return Ok(None) };
        let wrong = |error: WireError| Failure::Request(error.at_line(number).to_string());
        let parsed = parse_event(text, Purpose::Import).map_err(wrong)?;
        let missing =
            || wrong(WireError::field("stream", "is missing; an import names the stream in every line"));
        let stream = parsed.stream.ok_or_else(missing)?;
        Ok(Some(IncomingLine { number, text, stream, event: parsed.event }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(lines: &'static str) -> String {
        let mut incoming = Incoming::new(Box::new(lines.as_bytes()), 1000);
        loop {
            match incoming.next_event() {
                Ok(line) => assert!(line.is_some(), "{lines} was accepted"),
                Err(failure) => return failure.to_string(),
            }
        }
    }

    #[test]
    fn a_line_that_is_no_event_is_named() {
        assert!(
            refusal("{\"stream\":\"a-1\",\"type\":\"b\",\"data\":1}\n\nnonsense\n").starts_with("line 3: ")
        );
    }

    #[test]
    fn a_line_without_a_stream_is_refused() {
        assert!(refusal("{\"type\":\"b\",\"data\":1}").starts_with("line 1: `stream`: is missing"));
    }
}

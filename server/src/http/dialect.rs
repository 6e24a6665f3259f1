//! How one who follows is told of deliveries: as server-sent events or as lines, with what of each event it asked for.

use annals::{Delivery, Position, RecordedEvent};

use super::app::App;
use super::problem::Problem;
use crate::wire::{EventWriter, Form, Params, write_cloud_event, write_data, write_number};

/// How deliveries are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Dialect {
    /// Server-sent events.
    Blocks,
    /// One event a line.
    Lines,
}

/// What is written of an event.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Shape {
    /// Its data.
    Data,
    /// The whole event.
    Envelope,
    /// The whole event as a CloudEvent, with this source if it has none.
    Cloud(String),
}

impl Shape {
    /// What `envelope` asks for. A line without its event would not say where the reader is.
    pub(super) fn parse(params: &Params, dialect: Dialect, app: &App) -> Result<Shape, Problem> {
        match (params.one("envelope")?, dialect) {
            (Some("cloudevents"), _) => Ok(Shape::Cloud(app.no_source().to_owned())),
            (Some("true"), _) | (Some("false") | None, Dialect::Lines) => Ok(Shape::Envelope),
            (Some("false") | None, Dialect::Blocks) => Ok(Shape::Data),
            (Some(_), _) => {
                Err(Problem::invalid("`envelope` is true, false or cloudevents").with("field", "envelope"))
            }
        }
    }

    fn write(&self, out: &mut Vec<u8>, event: &RecordedEvent, envelopes: &mut EventWriter) {
        match self {
            Shape::Data => write_data(out, event),
            Shape::Envelope => envelopes.write(out, event, Form::Line),
            Shape::Cloud(no_source) => write_cloud_event(out, event, no_source),
        }
    }
}

/// What the client has been told, and what it is told next.
pub(super) struct Writer {
    dialect: Dialect,
    shape: Shape,
    /// Whether a block says its event's type, which decides who gets it in a browser.
    named: bool,
    /// The position up to which the client knows that it has everything.
    pub(super) told: Position,
    /// Where the answer ends, when it does.
    end: Option<Position>,
    /// Whether the client was told that it has caught up.
    caught_up: bool,
    envelopes: EventWriter,
}

impl Writer {
    /// For a client that has everything up to `after`.
    pub(super) fn new(
        dialect: Dialect,
        shape: Shape,
        named: bool,
        after: Position,
        end: Option<Position>,
    ) -> Writer {
        Writer {
            dialect,
            shape,
            named,
            told: after,
            end,
            caught_up: false,
            envelopes: EventWriter::default(),
        }
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.end.is_some_and(|end| self.told >= end)
    }

    pub(super) fn write(&mut self, out: &mut Vec<u8>, delivery: &Delivery) {
        match delivery {
            // What was appended since the request belongs to another answer.
            Delivery::Event(event) if self.end.is_some_and(|end| event.position() > end) => {
                self.told = event.position();
            }
            Delivery::Event(event) => self.write_event(out, event),
            Delivery::Checkpoint(position) => self.write_progress(out, "checkpoint", *position),
            Delivery::CaughtUp(position) => {
                self.write_progress(out, "caughtUp", *position);
                self.caught_up = true;
            }
            Delivery::Skipped { from, to } => self.write_skipped(out, *from, *to),
            // A delivery of a later version says nothing that this one could pass on.
            _ => {}
        }
    }

    fn write_event(&mut self, out: &mut Vec<u8>, event: &RecordedEvent) {
        self.told = event.position();
        if self.dialect == Dialect::Lines {
            self.shape.write(out, event, &mut self.envelopes);
            out.push(b'\n');
            return;
        }
        out.extend_from_slice(b"id: ");
        write_number(out, event.position().get());
        if self.named {
            out.extend_from_slice(b"\nevent: ");
            out.extend_from_slice(event.event_type().as_bytes());
        }
        out.extend_from_slice(b"\ndata: ");
        self.shape.write(out, event, &mut self.envelopes);
        out.extend_from_slice(b"\n\n");
    }

    /// Tells of events that the client does not get because retention took them.
    fn write_skipped(&mut self, out: &mut Vec<u8>, from: Position, to: Position) {
        let range = format!("{{\"from\":{from},\"to\":{to},\"reason\":\"retention\"}}");
        match self.dialect {
            Dialect::Lines => out.extend_from_slice(format!("{{\"skipped\":{range}}}\n").as_bytes()),
            Dialect::Blocks => {
                let block = format!("id: {to}\nevent: annals-skipped\ndata: {range}\n\n");
                out.extend_from_slice(block.as_bytes());
            }
        }
        self.told = self.told.max(to);
    }

    fn write_progress(&mut self, out: &mut Vec<u8>, mark: &str, position: Position) {
        if self.dialect == Dialect::Lines {
            write_mark(out, mark, position);
        } else if position > self.told {
            // A block without data moves the client's last id, and is no event to it.
            out.extend_from_slice(b"id: ");
            write_number(out, position.get());
            out.extend_from_slice(b"\n\n");
        }
        self.told = self.told.max(position);
    }

    /// Tells a reader of lines an end from a cut.
    pub(super) fn write_end(&self, out: &mut Vec<u8>) {
        if self.dialect == Dialect::Lines && !self.caught_up {
            write_mark(out, "caughtUp", self.told);
        }
    }

    /// Breaks a silence: with how far the client has come, or if it knows that, with a comment.
    pub(super) fn heartbeat(&mut self, position: Position) -> Vec<u8> {
        let mut out = Vec::new();
        self.write_progress(&mut out, "checkpoint", self.told.max(position));
        if out.is_empty() {
            out.extend_from_slice(b": alive\n\n");
        }
        out
    }

    pub(super) fn write_error(&self, out: &mut Vec<u8>, problem: &Problem) {
        if self.dialect == Dialect::Lines {
            out.extend_from_slice(&problem.to_line());
            return;
        }
        out.extend_from_slice(b"event: annals-error\ndata: ");
        out.extend_from_slice(&problem.to_json());
        out.extend_from_slice(b"\n\n");
    }
}

fn write_mark(out: &mut Vec<u8>, mark: &str, position: Position) {
    out.extend_from_slice(b"{\"");
    out.extend_from_slice(mark.as_bytes());
    out.extend_from_slice(b"\":");
    write_number(out, position.get());
    out.extend_from_slice(b"}\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn writer(dialect: Dialect, after: u64, end: Option<u64>) -> Writer {
        Writer::new(dialect, Shape::Envelope, true, Position::new(after), end.map(Position::new))
    }

    fn told(writer: &mut Writer, delivery: Delivery) -> String {
        let mut out = Vec::new();
        writer.write(&mut out, &delivery);
        String::from_utf8(out).expect("UTF-8")
    }

    #[test]
    fn a_checkpoint_moves_the_clients_last_id_only_forward() {
        let mut writer = writer(Dialect::Blocks, 5, None);
        assert_eq!(told(&mut writer, Delivery::Checkpoint(Position::new(7))), "id: 7\n\n");
        assert_eq!(told(&mut writer, Delivery::CaughtUp(Position::new(7))), "");
    }

    #[test]
    fn lines_tell_every_mark() {
        let mut writer = writer(Dialect::Lines, 5, None);
        assert_eq!(told(&mut writer, Delivery::Checkpoint(Position::new(7))), "{\"checkpoint\":7}\n");
        assert_eq!(told(&mut writer, Delivery::CaughtUp(Position::new(7))), "{\"caughtUp\":7}\n");
    }

    #[test]
    fn what_retention_took_is_told_with_its_positions() {
        let skipped = || Delivery::Skipped { from: Position::new(6), to: Position::new(9) };
        let range = r#"{"from":6,"to":9,"reason":"retention"}"#;
        assert_eq!(
            told(&mut writer(Dialect::Lines, 5, None), skipped()),
            format!("{{\"skipped\":{range}}}\n")
        );
        let mut blocks = writer(Dialect::Blocks, 5, None);
        assert_eq!(told(&mut blocks, skipped()), format!("id: 9\nevent: annals-skipped\ndata: {range}\n\n"));
        assert_eq!(blocks.told, Position::new(9));
    }

    #[test]
    fn an_answer_that_is_not_live_ends_where_the_head_was() {
        let mut writer = writer(Dialect::Blocks, 5, Some(10));
        assert!(!writer.is_at_end());
        told(&mut writer, Delivery::Checkpoint(Position::new(9)));
        assert!(!writer.is_at_end());
        told(&mut writer, Delivery::CaughtUp(Position::new(11)));
        assert!(writer.is_at_end());
    }

    #[test]
    fn lines_that_are_not_live_end_with_the_mark_that_they_are_whole() {
        let mut out = Vec::new();
        let mut whole = writer(Dialect::Lines, 10, Some(10));
        whole.write_end(&mut out);
        assert_eq!(out, b"{\"caughtUp\":10}\n");
        told(&mut whole, Delivery::CaughtUp(Position::new(10)));
        whole.write_end(&mut out);
        assert_eq!(out, b"{\"caughtUp\":10}\n", "told once");
    }

    #[test]
    fn silence_is_broken_by_a_checkpoint_or_by_a_comment_where_that_says_nothing_new() {
        let beat = |dialect, position| {
            let out = writer(dialect, 5, None).heartbeat(Position::new(position));
            String::from_utf8(out).expect("UTF-8")
        };
        assert_eq!(beat(Dialect::Blocks, 5), ": alive\n\n");
        assert_eq!(beat(Dialect::Blocks, 8), "id: 8\n\n");
        assert_eq!(beat(Dialect::Lines, 5), "{\"checkpoint\":5}\n");
        assert_eq!(beat(Dialect::Lines, 8), "{\"checkpoint\":8}\n");
    }

    #[test]
    fn a_failure_is_told_before_the_end() {
        let mut out = Vec::new();
        writer(Dialect::Blocks, 5, None).write_error(&mut out, &Problem::invalid("x"));
        assert!(out.starts_with(b"event: annals-error\ndata: {\"type\""));
        assert!(out.ends_with(b"}\n\n"));
    }
}

//! Events as text. Stored JSON is spliced in as it is: nothing that was written is parsed again.

use std::fmt::Display;
use std::io::Write as _;

use annals::{RecordedEvent, StreamVersion, Timestamp};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::value::RawValue;

/// How an event is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// One JSON object whose `data` and `metadata` have the bytes they were stored with.
    Exact,
    /// The same on one line: a line break inside stored JSON, which can only stand between tokens, becomes a space.
    Line,
    /// One line that begins with `event`, which is the type, and `data`.
    Replay,
}

/// What an event says, apart from the log that holds it.
struct Parts<'a> {
    id: &'a dyn Display,
    event_type: &'a str,
    stream: &'a str,
    stream_version: u64,
    position: u64,
    timestamp: &'a dyn Display,
    recorded_at: &'a dyn Display,
    source: Option<&'a str>,
    traceparent: Option<&'a str>,
    content_type: Option<&'a str>,
    data: &'a [u8],
    metadata: Option<&'a str>,
}

/// Writes an event as a JSON object, without a line break after it.
pub(crate) fn write_event(out: &mut Vec<u8>, event: &RecordedEvent, form: Form) {
    let parts = Parts {
        id: &event.id(),
        event_type: event.event_type(),
        stream: event.stream(),
        stream_version: event.stream_version().get(),
        position: event.position().get(),
        timestamp: &event.timestamp(),
        recorded_at: &event.recorded_at(),
        source: event.source(),
        traceparent: event.traceparent(),
        content_type: event.content_type(),
        data: event.data(),
        metadata: event.metadata(),
    };
    parts.write(out, form);
}

/// Writes only the data, on one line. Data that is not JSON becomes an object that holds it as base64.
pub(crate) fn write_data(out: &mut Vec<u8>, event: &RecordedEvent) {
    match event.content_type() {
        None => write_one_line(out, event.data()),
        Some(content_type) => {
            out.push(b'{');
            write_base64(out, content_type, event.data());
            out.push(b'}');
        }
    }
}

/// Writes a snapshot as the fields of a JSON object, on one line. A state that is not JSON, which a program that
/// embeds the store may have saved, becomes base64.
pub(crate) fn write_snapshot_fields(
    out: &mut Vec<u8>,
    version: StreamVersion,
    saved_at: Timestamp,
    state: &[u8],
) {
    out.extend_from_slice(b"\"version\":");
    write_number(out, version.get());
    out.extend_from_slice(b",\"savedAt\":");
    write_time(out, &saved_at);
    if serde_json::from_slice::<&RawValue>(state).is_ok() {
        out.extend_from_slice(b",\"state\":");
        write_one_line(out, state);
    } else {
        out.extend_from_slice(b",\"stateBase64\":\"");
        out.extend_from_slice(STANDARD.encode(state).as_bytes());
        out.push(b'"');
    }
}

impl Parts<'_> {
    fn write(&self, out: &mut Vec<u8>, form: Form) {
        if form == Form::Replay {
            out.extend_from_slice(b"{\"event\":");
            write_text(out, self.event_type);
            out.push(b',');
            self.write_data(out, form);
            out.extend_from_slice(b",\"id\":");
            write_shown(out, self.id);
        } else {
            out.extend_from_slice(b"{\"id\":");
            write_shown(out, self.id);
            out.extend_from_slice(b",\"type\":");
            write_text(out, self.event_type);
        }
        out.extend_from_slice(b",\"stream\":");
        write_text(out, self.stream);
        out.extend_from_slice(b",\"streamVersion\":");
        write_number(out, self.stream_version);
        out.extend_from_slice(b",\"position\":");
        write_number(out, self.position);
        out.extend_from_slice(b",\"timestamp\":");
        write_time(out, self.timestamp);
        out.extend_from_slice(b",\"recordedAt\":");
        write_time(out, self.recorded_at);
        if let Some(source) = self.source {
            out.extend_from_slice(b",\"source\":");
            write_text(out, source);
        }
        if let Some(traceparent) = self.traceparent {
            out.extend_from_slice(b",\"traceparent\":");
            write_text(out, traceparent);
        }
        if form != Form::Replay {
            out.push(b',');
            self.write_data(out, form);
        }
        if let Some(metadata) = self.metadata {
            out.extend_from_slice(b",\"metadata\":");
            write_stored(out, metadata.as_bytes(), form);
        }
        out.push(b'}');
    }

    fn write_data(&self, out: &mut Vec<u8>, form: Form) {
        match self.content_type {
            None => {
                out.extend_from_slice(b"\"data\":");
                write_stored(out, self.data, form);
            }
            Some(content_type) => write_base64(out, content_type, self.data),
        }
    }
}

fn write_stored(out: &mut Vec<u8>, json: &[u8], form: Form) {
    match form {
        Form::Exact => out.extend_from_slice(json),
        Form::Line | Form::Replay => write_one_line(out, json),
    }
}

/// Writes JSON with each raw line break as a space. Inside a JSON text a line break is always escaped.
pub(crate) fn write_one_line(out: &mut Vec<u8>, json: &[u8]) {
    let start = out.len();
    out.extend_from_slice(json);
    for byte in &mut out[start..] {
        if matches!(*byte, b'\n' | b'\r') {
            *byte = b' ';
        }
    }
}

/// Writes `text` as a JSON text.
pub(crate) fn write_text(out: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(out, text).expect("writing a text to memory does not fail");
}

/// Writes `number` in decimal.
pub(crate) fn write_number(out: &mut Vec<u8>, number: u64) {
    const DIGITS_MAX: usize = 20;
    let (mut digits, mut begin, mut rest) = ([0; DIGITS_MAX], DIGITS_MAX, number);
    loop {
        begin -= 1;
        digits[begin] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            return out.extend_from_slice(&digits[begin..]);
        }
    }
}

/// Writes a time, in which nothing has to be escaped, as a JSON text.
fn write_time(out: &mut Vec<u8>, time: &dyn Display) {
    write!(out, "\"{time}\"").expect("writing to memory does not fail");
}

/// Writes what `value` shows as a JSON text.
fn write_shown(out: &mut Vec<u8>, value: &dyn Display) {
    serde_json::to_writer(out, &format_args!("{value}")).expect("writing a text to memory does not fail");
}

fn write_base64(out: &mut Vec<u8>, content_type: &str, data: &[u8]) {
    out.extend_from_slice(b"\"dataBase64\":\"");
    out.extend_from_slice(STANDARD.encode(data).as_bytes());
    out.extend_from_slice(b"\",\"dataContentType\":");
    write_text(out, content_type);
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARTS: Parts<'_> = Parts {
        id: &"evt-\"1\"",
        event_type: "order.created",
        stream: "order-1",
        stream_version: 1,
        position: 42,
        timestamp: &"2024-07-15T14:32:22Z",
        recorded_at: &"2026-03-01T08:00:00Z",
        source: None,
        traceparent: None,
        content_type: None,
        data: b"{\r\n \"a\" : \"\\n\"}",
        metadata: None,
    };

    fn written(parts: &Parts<'_>, form: Form) -> String {
        let mut out = Vec::new();
        parts.write(&mut out, form);
        String::from_utf8(out).expect("JSON is UTF-8")
    }

    #[test]
    fn numbers_are_written_with_all_their_digits() {
        for number in [0, 1, 9, 10, 99, 100, u64::MAX / 10, u64::MAX] {
            let mut out = Vec::new();
            write_number(&mut out, number);
            assert_eq!(String::from_utf8(out), Ok(number.to_string()));
        }
    }

    #[test]
    fn a_line_has_the_fields_in_their_order_and_no_line_break() {
        assert_eq!(
            written(&PARTS, Form::Line),
            "{\"id\":\"evt-\\\"1\\\"\",\"type\":\"order.created\",\"stream\":\"order-1\",\"streamVersion\":1,\
             \"position\":42,\"timestamp\":\"2024-07-15T14:32:22Z\",\"recordedAt\":\"2026-03-01T08:00:00Z\",\
             \"data\":{   \"a\" : \"\\n\"}}"
        );
    }

    #[test]
    fn the_exact_form_keeps_every_byte_of_the_data_and_the_metadata() {
        let parts = Parts { metadata: Some("{\n}"), source: Some("s"), ..PARTS };
        let text = written(&parts, Form::Exact);
        assert!(
            text.ends_with(",\"source\":\"s\",\"data\":{\r\n \"a\" : \"\\n\"},\"metadata\":{\n}}"),
            "{text}"
        );
    }

    #[test]
    fn a_replay_line_begins_with_the_type_and_the_data() {
        let text = written(&PARTS, Form::Replay);
        assert!(
            text.starts_with("{\"event\":\"order.created\",\"data\":{   \"a\" : \"\\n\"},\"id\":"),
            "{text}"
        );
        assert_eq!(text.matches("\"data\"").count(), 1);
    }

    #[test]
    fn data_that_is_not_json_is_written_as_base64() {
        let parts = Parts { content_type: Some("image/png"), data: &[0x00, 0xff], ..PARTS };
        let text = written(&parts, Form::Line);
        assert!(text.ends_with("\"dataBase64\":\"AP8=\",\"dataContentType\":\"image/png\"}"), "{text}");
    }

    #[test]
    fn a_state_that_is_not_json_is_written_as_base64() {
        let fields = |state: &[u8]| {
            let mut out = Vec::new();
            write_snapshot_fields(&mut out, StreamVersion::new(5), Timestamp::from_nanos(0), state);
            String::from_utf8(out).expect("JSON is UTF-8")
        };
        let head = "\"version\":5,\"savedAt\":\"1970-01-01T00:00:00Z\"";
        assert_eq!(fields(b"{\n}"), format!("{head},\"state\":{{ }}"));
        assert_eq!(fields(&[0x00, 0xff]), format!("{head},\"stateBase64\":\"AP8=\""));
    }
}

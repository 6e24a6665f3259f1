//! Events as text. Stored JSON is spliced in as it is: nothing that was written is parsed again.

use annals::{RecordedEvent, Stored, StoredId, StreamVersion, Timestamp, TimestampWriter};
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

/// Writes events one after the other.
#[derive(Debug, Clone, Default)]
pub(crate) struct EventWriter {
    timestamps: TimestampWriter,
    recorded_at: TimestampWriter,
}

/// What an event says, apart from the log that holds it.
#[derive(Clone, Copy)]
struct Parts<'a> {
    stored: Stored<'a>,
    stream_version: u64,
    position: u64,
    timestamp: Timestamp,
    recorded_at: Timestamp,
    traceparent: Option<&'a str>,
}

impl EventWriter {
    /// Writes an event as a JSON object, without a line break after it.
    pub(crate) fn write(&mut self, out: &mut Vec<u8>, event: &RecordedEvent, form: Form) {
        let parts = Parts {
            stored: event.stored(),
            stream_version: event.stream_version().get(),
            position: event.position().get(),
            timestamp: event.timestamp(),
            recorded_at: event.recorded_at(),
            traceparent: event.traceparent(),
        };
        self.write_parts(out, &parts, form);
    }

    fn write_parts(&mut self, out: &mut Vec<u8>, parts: &Parts<'_>, form: Form) {
        let stored = &parts.stored;
        if form == Form::Replay {
            out.extend_from_slice(b"{\"event\":");
            write_stored_text(out, stored.event_type);
            out.push(b',');
            write_stored_data(out, stored, form);
            out.extend_from_slice(b",\"id\":");
            write_id(out, stored.id);
        } else {
            out.extend_from_slice(b"{\"id\":");
            write_id(out, stored.id);
            out.extend_from_slice(b",\"type\":");
            write_stored_text(out, stored.event_type);
        }
        out.extend_from_slice(b",\"stream\":");
        write_stored_text(out, stored.stream);
        out.extend_from_slice(b",\"streamVersion\":");
        write_number(out, parts.stream_version);
        out.extend_from_slice(b",\"position\":");
        write_number(out, parts.position);
        out.extend_from_slice(b",\"timestamp\":");
        write_time(out, &mut self.timestamps, parts.timestamp);
        out.extend_from_slice(b",\"recordedAt\":");
        write_time(out, &mut self.recorded_at, parts.recorded_at);
        if let Some(source) = stored.source {
            out.extend_from_slice(b",\"source\":");
            write_stored_text(out, source);
        }
        if let Some(traceparent) = parts.traceparent {
            out.extend_from_slice(b",\"traceparent\":");
            write_text(out, traceparent);
        }
        if form != Form::Replay {
            out.push(b',');
            write_stored_data(out, stored, form);
        }
        if let Some(metadata) = stored.metadata {
            out.extend_from_slice(b",\"metadata\":");
            write_stored(out, metadata, form);
        }
        out.push(b'}');
    }
}

/// Writes only the data, on one line. Data that is not JSON becomes an object that holds it as base64.
pub(crate) fn write_data(out: &mut Vec<u8>, event: &RecordedEvent) {
    match event.content_type() {
        None => write_one_line(out, event.data()),
        Some(content_type) => {
            out.push(b'{');
            write_base64(out, content_type.as_bytes(), event.data());
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
    write_time(out, &mut TimestampWriter::default(), saved_at);
    if serde_json::from_slice::<&RawValue>(state).is_ok() {
        out.extend_from_slice(b",\"state\":");
        write_one_line(out, state);
    } else {
        out.extend_from_slice(b",\"stateBase64\":\"");
        out.extend_from_slice(STANDARD.encode(state).as_bytes());
        out.push(b'"');
    }
}

fn write_stored_data(out: &mut Vec<u8>, stored: &Stored<'_>, form: Form) {
    match stored.content_type {
        None => {
            out.extend_from_slice(b"\"data\":");
            write_stored(out, stored.data, form);
        }
        Some(content_type) => write_base64(out, content_type, stored.data),
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
        // Each byte is written, whatever it is: a compiler makes of that a step for many at a time.
        *byte = if matches!(*byte, b'\n' | b'\r') { b' ' } else { *byte };
    }
}

/// Writes `text` as a JSON text.
pub(crate) fn write_text(out: &mut Vec<u8>, text: &str) {
    write_stored_text(out, text.as_bytes());
}

/// Writes a text that is stored as a JSON text.
fn write_stored_text(out: &mut Vec<u8>, text: &[u8]) {
    let is_escaped = |byte| byte < b' ' || matches!(byte, b'"' | b'\\');
    // All bytes are looked at, which is faster than to stop at one that is hardly ever there.
    if text.iter().fold(false, |found, byte| found | is_escaped(*byte)) {
        serde_json::to_writer(out, &String::from_utf8_lossy(text))
            .expect("writing a text to memory does not fail");
    } else {
        out.push(b'"');
        out.extend_from_slice(text);
        out.push(b'"');
    }
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
fn write_time(out: &mut Vec<u8>, times: &mut TimestampWriter, time: Timestamp) {
    out.push(b'"');
    let begin = out.len();
    let len = times.write(time, room(out));
    out.truncate(begin + len);
    out.push(b'"');
}

/// Writes an id as a JSON text.
fn write_id(out: &mut Vec<u8>, id: StoredId<'_>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    /// Where the two digits of each byte of a UUID stand, between quotes.
    const PLACES: [usize; 16] = [1, 3, 5, 7, 10, 12, 15, 17, 20, 22, 25, 27, 29, 31, 33, 35];
    match id {
        StoredId::Text(text) => write_stored_text(out, text),
        StoredId::Uuid(uuid) => {
            let text = room::<38>(out);
            *text = *b"\"00000000-0000-0000-0000-000000000000\"";
            for (byte, at) in uuid.iter().zip(PLACES) {
                text[at] = DIGITS[usize::from(byte >> 4)];
                text[at + 1] = DIGITS[usize::from(byte & 15)];
            }
        }
    }
}

/// So many bytes behind what is written, to be written in place: copying what was just put together byte by byte waits for it.
fn room<const LEN: usize>(out: &mut Vec<u8>) -> &mut [u8; LEN] {
    let begin = out.len();
    out.extend_from_slice(&[0; LEN]);
    out[begin..].first_chunk_mut().expect("it was just made that long")
}

fn write_base64(out: &mut Vec<u8>, content_type: &[u8], data: &[u8]) {
    out.extend_from_slice(b"\"dataBase64\":\"");
    out.extend_from_slice(STANDARD.encode(data).as_bytes());
    out.extend_from_slice(b"\",\"dataContentType\":");
    write_stored_text(out, content_type);
}

#[cfg(test)]
mod tests {
    use annals::EventId;

    use super::*;

    const STORED: Stored<'_> = Stored {
        id: StoredId::Text(b"evt-\"1\""),
        event_type: b"order.created",
        stream: b"order-1",
        source: None,
        content_type: None,
        metadata: None,
        data: b"{\r\n \"a\" : \"\\n\"}",
    };

    fn written(stored: Stored<'_>, form: Form) -> String {
        let parts = Parts {
            stored,
            stream_version: 1,
            position: 42,
            timestamp: Timestamp::from_nanos(1_721_053_942_000_000_000),
            recorded_at: Timestamp::from_nanos(1_772_352_000_000_000_000),
            traceparent: None,
        };
        let mut out = Vec::new();
        EventWriter::default().write_parts(&mut out, &parts, form);
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
    fn a_text_is_escaped_where_json_asks_for_it_and_only_there() {
        let json_of = |text: &str| {
            let mut out = Vec::new();
            write_text(&mut out, text);
            String::from_utf8(out).expect("JSON is UTF-8")
        };
        for letter in (0..=0x7f_u8).map(char::from).chain(['ä', '\u{2028}', '\u{1f600}']) {
            let text = format!("before {letter}");
            let json = json_of(&text);
            assert_eq!(serde_json::from_str::<String>(&json).expect("a JSON text"), text);
            let stays = !letter.is_ascii_control() && !matches!(letter, '"' | '\\') || letter == '\u{7f}';
            assert_eq!(json == format!("\"{text}\""), stays, "{json}");
        }
    }

    #[test]
    fn an_id_is_written_as_it_is_shown() {
        for id in ["ffdf0100-fe83-5375-bf2d-5a90a4819869", "01234567-89ab-cdef-fedc-ba9876543210"] {
            let id = EventId::parse(id).expect("legal");
            let mut out = Vec::new();
            write_id(&mut out, StoredId::Uuid(id.as_uuid().expect("a UUID")));
            assert_eq!(String::from_utf8(out).expect("ASCII"), format!("\"{id}\""));
        }
    }

    #[test]
    fn each_line_break_of_stored_json_becomes_a_space_wherever_it_stands() {
        for len in 1..70 {
            for at in 0..len {
                let mut json = vec![b'x'; len];
                json[at] = if at % 2 == 0 { b'\n' } else { b'\r' };
                let mut out = b"\n".to_vec();
                write_one_line(&mut out, &json);
                json[at] = b' ';
                assert_eq!((out[0], &out[1..]), (b'\n', &json[..]), "what stood there before is left alone");
            }
        }
    }

    #[test]
    fn a_line_has_the_fields_in_their_order_and_no_line_break() {
        assert_eq!(
            written(STORED, Form::Line),
            "{\"id\":\"evt-\\\"1\\\"\",\"type\":\"order.created\",\"stream\":\"order-1\",\"streamVersion\":1,\
             \"position\":42,\"timestamp\":\"2024-07-15T14:32:22Z\",\"recordedAt\":\"2026-03-01T08:00:00Z\",\
             \"data\":{   \"a\" : \"\\n\"}}"
        );
    }

    #[test]
    fn the_exact_form_keeps_every_byte_of_the_data_and_the_metadata() {
        let stored = Stored { metadata: Some(b"{\n}"), source: Some(b"s"), ..STORED };
        let text = written(stored, Form::Exact);
        assert!(
            text.ends_with(",\"source\":\"s\",\"data\":{\r\n \"a\" : \"\\n\"},\"metadata\":{\n}}"),
            "{text}"
        );
    }

    #[test]
    fn a_replay_line_begins_with_the_type_and_the_data() {
        let text = written(STORED, Form::Replay);
        assert!(
            text.starts_with("{\"event\":\"order.created\",\"data\":{   \"a\" : \"\\n\"},\"id\":"),
            "{text}"
        );
        assert_eq!(text.matches("\"data\"").count(), 1);
    }

    #[test]
    fn data_that_is_not_json_is_written_as_base64() {
        let stored = Stored { content_type: Some(b"image/png"), data: &[0x00, 0xff], ..STORED };
        let text = written(stored, Form::Line);
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

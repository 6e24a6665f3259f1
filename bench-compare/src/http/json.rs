//! What the floor says: the same JSON as annals, field by field and in the same order. What was sent is spliced in.
//!
//! Names go out as they came in: a parser has found nothing in them that is escaped.

use annals::{Timestamp, TimestampWriter};
use itoa::Integer;
use uuid::Uuid;

use super::frame::{Id, Parts};

/// What is told of an event that was appended.
#[derive(Clone, Copy)]
pub struct Told<'a> {
    pub id: &'a Id,
    pub stream: &'a str,
    pub version: u64,
    pub position: u64,
}

/// Writes an event as a line. Times are written as annals writes them: those of one second begin alike.
pub fn write_line(out: &mut Vec<u8>, times: &mut TimestampWriter, parts: &Parts<'_>, position: u64) {
    write_id(out, b"{\"id\":\"", parts.id);
    for part in [b"\",\"type\":\"", parts.event_type, b"\",\"stream\":\"", parts.stream] {
        out.extend_from_slice(part);
    }
    write_number(out, b"\",\"streamVersion\":", parts.version);
    write_number(out, b",\"position\":", position);
    // One time is both: an event occurs when it is recorded.
    let mut time = [0; TimestampWriter::LEN_MAX];
    let len = times.write(Timestamp::from_nanos(parts.time), &mut time);
    for part in [b",\"timestamp\":\"", &time[..len], b"\",\"recordedAt\":\"", &time[..len]] {
        out.extend_from_slice(part);
    }
    for part in [b"\",\"data\":", parts.data] {
        out.extend_from_slice(part);
    }
    if !parts.metadata.is_empty() {
        out.extend_from_slice(b",\"metadata\":");
        out.extend_from_slice(parts.metadata);
    }
    out.extend_from_slice(b"}\n");
}

/// Writes an event as a block of server-sent events.
pub fn write_block(out: &mut Vec<u8>, parts: &Parts<'_>, position: u64) {
    write_number(out, b"id: ", position);
    for part in [b"\nevent: ", parts.event_type, b"\ndata: ", parts.data, b"\n\n"] {
        out.extend_from_slice(part);
    }
}

/// Writes the answer to an append to one stream.
pub fn write_appended(out: &mut Vec<u8>, stream: &str, events: &[Told<'_>]) {
    let last = events.last().map_or((0, 0), |last| (last.version, last.position));
    for part in [b"{\"stream\":\"", stream.as_bytes()] {
        out.extend_from_slice(part);
    }
    write_number(out, b"\",\"streamVersion\":", last.0);
    write_number(out, b",\"position\":", last.1);
    out.extend_from_slice(b",\"events\":");
    write_list(out, events, |out, event| {
        write_id(out, b"{\"eventId\":\"", event.id);
        write_number(out, b"\",\"streamVersion\":", event.version);
        write_number(out, b",\"position\":", event.position);
    });
    out.extend_from_slice(b",\"durability\":\"sync\"}");
}

/// Writes the answer to publishing a list of events.
pub fn write_published(out: &mut Vec<u8>, events: &[Told<'_>]) {
    write_list(out, events, |out, event| {
        write_id(out, b"{\"eventId\":\"", event.id);
        for part in [b"\",\"status\":\"PUBLISHED\",\"stream\":\"", event.stream.as_bytes()] {
            out.extend_from_slice(part);
        }
        write_number(out, b"\",\"streamVersion\":", event.version);
        write_number(out, b",\"position\":", event.position);
        out.extend_from_slice(b",\"subscribers\":[]");
    });
}

/// Writes a list of objects, each but for its end by `write`.
fn write_list(out: &mut Vec<u8>, events: &[Told<'_>], write: impl Fn(&mut Vec<u8>, &Told<'_>)) {
    for (number, event) in events.iter().enumerate() {
        out.push(if number == 0 { b'[' } else { b',' });
        write(out, event);
        out.push(b'}');
    }
    out.push(b']');
}

fn write_id(out: &mut Vec<u8>, before: &[u8], id: &Id) {
    let mut text = Uuid::encode_buffer();
    let text = Uuid::from_bytes(*id).hyphenated().encode_lower(&mut text);
    out.extend_from_slice(before);
    out.extend_from_slice(text.as_bytes());
}

fn write_number(out: &mut Vec<u8>, before: &[u8], number: impl Integer) {
    out.extend_from_slice(before);
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

//! Bodies that hold several events: a JSON array, NDJSON lines, a transaction.
//!
//! Elements are read one by one and counted, so that a body of a million tiny elements costs no more than the limit
//! allows.

use std::fmt;

use bytes::Bytes;
use serde::de::{Deserializer, Error as _, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::cloud::{parse_cloud_event, parse_cloud_headers};
use super::event::{Fields, parse_event_of};
use super::{Purpose, WireError, WireEvent};

/// About as long is an event in a body of many, so that there is room for them before they are counted.
const USUAL_EVENT_BYTES: usize = 256;

/// For how many there is room then at most.
const ROOM_EVENTS_MAX: usize = 1024;

/// How a body holds its events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum BodyKind {
    /// One JSON value: an event, or an array of events.
    Json,
    /// One event a line; blank lines mean nothing.
    Lines,
    /// One CloudEvent as a JSON object.
    Cloud,
    /// CloudEvents as a JSON array.
    CloudBatch,
    /// The data of one CloudEvent, whose attributes were in headers.
    CloudData {
        /// The attributes, by their names.
        attributes: Vec<(String, String)>,
        /// What the data is.
        content_type: Option<String>,
    },
}

/// The events of a body, and whether they were sent as a list.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Sent {
    /// At least one.
    pub(crate) events: Vec<WireEvent>,
    /// Whether they stand in an array, also if that has one element.
    pub(crate) is_list: bool,
}

/// Reads the events of a body: at least one, at most `events_max`. A CloudEvent from `no_source` has no source.
///
/// The events share the body where they can, which is let go of with the last of them.
pub(crate) fn parse_events(
    body: &Bytes,
    kind: &BodyKind,
    events_max: u64,
    no_source: &str,
) -> Result<Sent, WireError> {
    let begins_list = body.iter().find(|byte| !byte.is_ascii_whitespace()).map(|first| *first == b'[');
    if begins_list.is_none() && !matches!(kind, BodyKind::CloudData { .. }) {
        return Err(WireError::new("the body is empty; send an event"));
    }
    let is_list = match kind {
        BodyKind::Json => begins_list == Some(true),
        kind => *kind == BodyKind::CloudBatch,
    };
    let native = |json: &[u8]| parse_event_of(json, Purpose::Append, body);
    let cloud = |json: &[u8]| parse_cloud_event(json, no_source);
    let events = match kind {
        BodyKind::Lines => parse_lines(body, events_max, native)?,
        BodyKind::Json if is_list => parse_event_array(body, body, events_max)?,
        BodyKind::Json => vec![native(body)?],
        BodyKind::CloudBatch => parse_array(body, events_max, cloud)?,
        BodyKind::Cloud => vec![cloud(body)?],
        BodyKind::CloudData { attributes, content_type } => {
            vec![parse_cloud_headers(attributes, content_type.as_deref(), body, no_source)?]
        }
    };
    if events.is_empty() {
        return Err(WireError::new("the body holds no event; send at least one"));
    }
    Ok(Sent { events, is_list })
}

fn parse_lines(
    body: &[u8],
    events_max: u64,
    parse: impl Fn(&[u8]) -> Result<WireEvent, WireError>,
) -> Result<Vec<WireEvent>, WireError> {
    let mut events = Vec::new();
    for (line, number) in body.split(|byte| *byte == b'\n').zip(1..) {
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        check_count(events.len(), events_max).map_err(|error| error.at_line(number))?;
        events.push(parse(line).map_err(|error| error.at_line(number))?);
    }
    Ok(events)
}

/// Reads a JSON array of new events, whose parts are kept as parts of `body` where they lie in it.
///
/// It is read in one go. Only what is wrong somewhere is read once more, element by element, to find out where.
pub(super) fn parse_event_array(
    json: &[u8],
    body: &Bytes,
    events_max: u64,
) -> Result<Vec<WireEvent>, WireError> {
    match in_one_go(json, body, events_max) {
        Some(events) => Ok(events),
        None => parse_array(json, events_max, |element| parse_event_of(element, Purpose::Append, body)),
    }
}

/// The events of an array that has no fault.
pub(super) fn in_one_go(json: &[u8], body: &Bytes, events_max: u64) -> Option<Vec<WireEvent>> {
    // A text is known to be one in all its parts.
    let mut deserializer = serde_json::Deserializer::from_str(std::str::from_utf8(json).ok()?);
    let room = (json.len() / USUAL_EVENT_BYTES).min(ROOM_EVENTS_MAX);
    let events = deserializer.deserialize_seq(EventList { body, events_max, room }).ok()?;
    deserializer.end().ok().map(|()| events)
}

/// Reads elements as events, and refuses them without a reason.
struct EventList<'b> {
    body: &'b Bytes,
    events_max: u64,
    /// For how many there is room before the first.
    room: usize,
}

impl<'de> Visitor<'de> for EventList<'_> {
    type Value = Vec<WireEvent>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("an array of events")
    }

    fn visit_seq<S: SeqAccess<'de>>(self, mut seq: S) -> Result<Vec<WireEvent>, S::Error> {
        let mut events = Vec::with_capacity(self.room);
        while let Some(fields) = seq.next_element::<Fields<'de>>()? {
            let event = check_count(events.len(), self.events_max)
                .and_then(|()| fields.into_event(Purpose::Append, self.body));
            events.push(event.map_err(S::Error::custom)?);
        }
        Ok(events)
    }
}

/// Reads a JSON array, each element by `parse`. The line of an error is told when the array as such is wrong.
pub(super) fn parse_array(
    json: &[u8],
    events_max: u64,
    parse: impl Fn(&[u8]) -> Result<WireEvent, WireError>,
) -> Result<Vec<WireEvent>, WireError> {
    let mut refused = None;
    let elements = Elements { events_max, parse, refused: &mut refused };
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    let parsed =
        deserializer.deserialize_seq(elements).and_then(|events| deserializer.end().map(|()| events));
    match (refused, parsed) {
        (Some(error), _) => Err(error),
        (None, Err(error)) => Err(WireError::json(&error)),
        (None, Ok(events)) => Ok(events),
    }
}

/// Reads elements as events. What it refuses is kept beside the parser's error, which has no room for a field.
struct Elements<'r, P> {
    events_max: u64,
    parse: P,
    refused: &'r mut Option<WireError>,
}

impl<'de, P: Fn(&[u8]) -> Result<WireEvent, WireError>> Visitor<'de> for Elements<'_, P> {
    type Value = Vec<WireEvent>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("an array of events")
    }

    fn visit_seq<S: SeqAccess<'de>>(self, mut seq: S) -> Result<Vec<WireEvent>, S::Error> {
        let mut events = Vec::new();
        while let Some(json) = seq.next_element::<&RawValue>()? {
            let parsed =
                check_count(events.len(), self.events_max).and_then(|()| (self.parse)(json.get().as_bytes()));
            match parsed {
                Ok(event) => events.push(event),
                Err(mut error) => {
                    // Counted from the element's first line, which would mislead.
                    error.line = None;
                    *self.refused = Some(error.within(&format!("[{}]", events.len())));
                    return Err(S::Error::custom("an element is not an event"));
                }
            }
        }
        Ok(events)
    }
}

fn check_count(count: usize, events_max: u64) -> Result<(), WireError> {
    if (count as u64) < events_max {
        return Ok(());
    }
    Err(WireError::too_many(
        format!("the body has more than {events_max} events, the most that one append may have"),
        "appendEventsMax",
        events_max,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVENT: &str = r#"{"type":"a","data":1}"#;

    fn count(body: &str, kind: BodyKind) -> Result<usize, WireError> {
        parse_events(&Bytes::copy_from_slice(body.as_bytes()), &kind, 3, "").map(|sent| sent.events.len())
    }

    #[test]
    fn one_object_an_array_and_lines_are_all_read() {
        assert_eq!(count(EVENT, BodyKind::Json), Ok(1));
        assert_eq!(count(&format!(" [{EVENT},\n{EVENT}]\n"), BodyKind::Json), Ok(2));
        assert_eq!(count(&format!("\n{EVENT}\r\n  \n{EVENT}"), BodyKind::Lines), Ok(2));
    }

    #[test]
    fn a_bad_line_is_named_by_its_number_in_the_body() {
        let error = count(&format!("{EVENT}\n\n{{\"type\":5}}\n"), BodyKind::Lines).expect_err("a bad line");
        assert_eq!((error.line, error.field.as_deref()), (Some(3), Some("type")));
        let error = count(&format!("{EVENT}\nx"), BodyKind::Lines).expect_err("no JSON");
        assert_eq!(error.line, Some(2));
    }

    #[test]
    fn a_bad_element_is_named_by_its_place_in_the_array() {
        let error = count(&format!("[{EVENT},{{\"type\":\"a\"}}]"), BodyKind::Json).expect_err("no data");
        assert_eq!(error.field.as_deref(), Some("[1].data"));
    }

    #[test]
    fn an_array_that_is_read_in_one_go_has_the_events_that_its_elements_have() {
        let whole =
            r#"[ {"type":"a", "data" : [1, "\u0041" ],"metadata":{"k":1}} , {"data":null,"t\u0079pe":"ü"}]"#;
        let cut = (0..=whole.len()).filter_map(|at| whole.get(..at));
        let broken =
            ["[1]", "[{}]", "[]", "{}", "[null]", "[[{}]]", "[{\"type\":\"a\",\"data\":1,}]"].into_iter();
        for json in cut.chain(broken) {
            let body = Bytes::copy_from_slice(json.as_bytes());
            let one_by_one = parse_array(&body, 3, |json| parse_event_of(json, Purpose::Append, &body));
            assert_eq!(in_one_go(&body, &body, 3), one_by_one.ok(), "{json}");
        }
        let three = Bytes::from(format!("[{EVENT},{EVENT},{EVENT}]"));
        assert_eq!(in_one_go(&three, &three, 3).map(|events| events.len()), Some(3));
        assert_eq!(in_one_go(&three, &three, 2), None);
    }

    #[test]
    fn a_broken_array_is_named_by_its_line() {
        let error = count(&format!("[{EVENT},\n{EVENT}"), BodyKind::Json).expect_err("cut off");
        assert_eq!(error.line, Some(2));
        assert!(count(&format!("[{EVENT}] x"), BodyKind::Json).is_err());
    }

    #[test]
    fn a_body_without_events_is_refused() {
        for body in ["", " \n ", "[]"] {
            assert!(count(body, BodyKind::Json).is_err(), "{body}");
        }
        assert!(count("\n\n", BodyKind::Lines).is_err());
    }

    #[test]
    fn more_events_than_allowed_are_refused_without_reading_them_all() {
        let error = count(&format!("[{EVENT},{EVENT},{EVENT},{EVENT}"), BodyKind::Json).expect_err("four");
        assert_eq!(error.limit.map(|limit| limit.max), Some(3));
        let lines = format!("{EVENT}\n").repeat(4);
        assert_eq!(count(&lines, BodyKind::Lines).expect_err("four").line, Some(4));
    }
}

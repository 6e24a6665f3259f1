//! A transaction: events for several streams, and the conditions on which all of them are written.

use std::str::FromStr;

use annals::{ExpectedVersion, Position, Query, QueryItem, StreamName};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::body::parse_event_array;
use super::query::check_item;
use super::{WireError, WireEvent};

/// What is to be written at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Transaction {
    /// At least one, each to another stream.
    pub(crate) writes: Vec<Write>,
    /// All of them have to hold.
    pub(crate) conditions: Vec<Condition>,
}

/// One stream's part of a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Write {
    /// The stream.
    pub(crate) stream: StreamName,
    /// What its writer believes about it.
    pub(crate) expected: ExpectedVersion,
    /// The events, at least one.
    pub(crate) events: Vec<WireEvent>,
}

/// What has to hold beside the expected versions of the streams that are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Condition {
    /// A stream stands so.
    Version {
        /// The stream.
        stream: StreamName,
        /// How.
        expected: ExpectedVersion,
    },
    /// No event behind a position matches.
    NoEvents {
        /// What none may match.
        query: Query,
        /// Behind which position.
        after: Position,
    },
}

/// Reads the body of a transaction: `{"writes":[{"stream","expectedVersion","events"}],"conditions":[…]}`.
///
/// The events share the body where they can.
pub(crate) fn parse_transaction(json: &Bytes, events_max: u64) -> Result<Transaction, WireError> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Body<'a> {
        #[serde(borrow)]
        writes: Vec<&'a RawValue>,
        #[serde(borrow, default)]
        conditions: Vec<&'a RawValue>,
    }

    if json.iter().all(u8::is_ascii_whitespace) {
        return Err(WireError::new("the body is empty; send {\"writes\":[…]}"));
    }
    let body: Body<'_> = parse_object(json)?;
    if body.writes.is_empty() {
        return Err(WireError::field("writes", "is empty; write to at least one stream"));
    }
    let mut writes: Vec<Write> = Vec::new();
    let mut left = events_max;
    for (element, at) in body.writes.into_iter().zip(0..) {
        let path = format!("writes[{at}]");
        let write = parse_write(element, json, left).map_err(|error| error.within(&path))?;
        if writes.iter().any(|earlier| earlier.stream == write.stream) {
            return Err(WireError::field("stream", "has another write already; put its events into one")
                .within(&path));
        }
        left -= write.events.len() as u64;
        writes.push(write);
    }
    let conditions = body.conditions.into_iter().zip(0..).map(|(json, at)| {
        parse_condition(json).map_err(|error: WireError| error.within(&format!("conditions[{at}]")))
    });
    Ok(Transaction { writes, conditions: conditions.collect::<Result<_, _>>()? })
}

/// Reads an object. A list would do for a struct, too, and mean its fields in their order.
fn parse_object<'a, T: Deserialize<'a>>(json: &'a [u8]) -> Result<T, WireError> {
    match json.trim_ascii_start().first() {
        Some(b'[') => Err(WireError::new("not the JSON that is wanted: a list instead of an object")),
        _ => serde_json::from_slice(json).map_err(|error| WireError::json(&error)),
    }
}

/// Lines are counted from the element's first, which would mislead.
fn without_line(mut error: WireError) -> WireError {
    error.line = None;
    error
}

fn parse_write(json: &RawValue, shared: &Bytes, events_max: u64) -> Result<Write, WireError> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields, rename_all = "camelCase")]
    struct Body<'a> {
        stream: String,
        #[serde(borrow, default)]
        expected_version: Option<&'a RawValue>,
        #[serde(borrow)]
        events: &'a RawValue,
    }

    let body: Body<'_> = parse_object(json.get().as_bytes()).map_err(without_line)?;
    let stream = StreamName::parse(&body.stream).map_err(|error| WireError::field("stream", error))?;
    let expected = match body.expected_version {
        Some(json) => parse_expected(json)?,
        None => ExpectedVersion::Any,
    };
    let events = parse_event_array(body.events.get().as_bytes(), shared, events_max)
        .map_err(|error| without_line(error).within("events"))?;
    if events.is_empty() {
        return Err(WireError::field("events", "is empty; write at least one event"));
    }
    if let Some(at) =
        events.iter().position(|event| event.stream.as_ref().is_some_and(|named| *named != stream))
    {
        return Err(WireError::field(
            format!("events[{at}].stream"),
            "is another stream than that of the write",
        ));
    }
    Ok(Write { stream, expected, events })
}

/// Reads an expected version, which is a text or a number.
fn parse_expected(json: &RawValue) -> Result<ExpectedVersion, WireError> {
    let text = json.get().trim_matches('"');
    ExpectedVersion::from_str(text).map_err(|error| WireError::field("expectedVersion", error))
}

/// Reads a condition: `{"stream","expectedVersion"}` or `{"failIfEventsMatch":{query},"after":P}`.
fn parse_condition(json: &RawValue) -> Result<Condition, WireError> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields, rename_all = "camelCase")]
    struct Body<'a> {
        stream: Option<String>,
        #[serde(borrow, default)]
        expected_version: Option<&'a RawValue>,
        #[serde(borrow, default)]
        fail_if_events_match: Option<&'a RawValue>,
        after: Option<u64>,
    }

    let body: Body<'_> = parse_object(json.get().as_bytes()).map_err(without_line)?;
    match (body.stream, body.expected_version, body.fail_if_events_match, body.after) {
        (Some(stream), Some(expected), None, None) => {
            let stream = StreamName::parse(&stream).map_err(|error| WireError::field("stream", error))?;
            Ok(Condition::Version { stream, expected: parse_expected(expected)? })
        }
        (None, None, Some(query), after) => {
            let query = parse_json_query(query).map_err(|error| error.within("failIfEventsMatch"))?;
            Ok(Condition::NoEvents { query, after: Position::new(after.unwrap_or(0)) })
        }
        _ => Err(WireError::new(
            "a condition is either {\"stream\",\"expectedVersion\"} or {\"failIfEventsMatch\":{query},\"after\":position}",
        )),
    }
}

/// Reads a query: `{"items":[{"types","tags","streams","prefix","categories","correlationId","tenantId"}]}`.
fn parse_json_query(json: &RawValue) -> Result<Query, WireError> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Body<'a> {
        #[serde(borrow, default)]
        items: Vec<&'a RawValue>,
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields, rename_all = "camelCase", default)]
    #[derive(Default)]
    struct Item {
        types: Vec<String>,
        tags: Vec<String>,
        streams: Vec<String>,
        prefix: Option<String>,
        categories: Vec<String>,
        correlation_id: Option<String>,
        tenant_id: Option<String>,
    }

    let body: Body<'_> = parse_object(json.get().as_bytes()).map_err(without_line)?;
    let items = body.items.into_iter().map(|json| {
        let item: Item = parse_object(json.get().as_bytes()).map_err(without_line)?;
        let item = QueryItem {
            types: item.types,
            tags: item.tags,
            streams: item.streams,
            prefix: item.prefix,
            categories: item.categories,
            correlation_id: item.correlation_id,
            tenant_id: item.tenant_id,
            // Conditions have none.
            criteria: Vec::new(),
        };
        check_item(&item).map(|()| item)
    });
    let items = items
        .enumerate()
        .map(|(at, item)| item.map_err(|error: WireError| error.within(&format!("[{at}]")).within("items")));
    Ok(Query { items: items.collect::<Result<_, WireError>>()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVENT: &str = r#"{"type":"a","data":1}"#;

    fn refusal(json: &str) -> Option<String> {
        parse_transaction(&Bytes::copy_from_slice(json.as_bytes()), 10).expect_err(json).field
    }

    #[test]
    fn a_transaction_takes_its_expected_version_as_text_or_number() {
        for (version, expected) in [
            ("5", ExpectedVersion::Exactly(5.into())),
            ("\"5\"", ExpectedVersion::Exactly(5.into())),
            ("\"none\"", ExpectedVersion::None),
        ] {
            let json =
                format!(r#"{{"writes":[{{"stream":"s","expectedVersion":{version},"events":[{EVENT}]}}]}}"#);
            let transaction = parse_transaction(&Bytes::copy_from_slice(json.as_bytes()), 10).expect("legal");
            assert_eq!(transaction.writes.iter().map(|write| write.expected).collect::<Vec<_>>(), [expected]);
        }
    }

    fn conditions(json: &str) -> Result<Vec<Condition>, WireError> {
        let json = format!(r#"{{"writes":[{{"stream":"s","events":[{EVENT}]}}],"conditions":[{json}]}}"#);
        parse_transaction(&Bytes::copy_from_slice(json.as_bytes()), 10)
            .map(|transaction| transaction.conditions)
    }

    #[test]
    fn a_condition_is_on_a_stream_or_on_all_events() {
        let stream = StreamName::parse("b").expect("legal");
        let expected = ExpectedVersion::Exactly(3.into());
        assert_eq!(
            conditions(r#"{"stream":"b","expectedVersion":3}"#),
            Ok(vec![Condition::Version { stream, expected }])
        );
        let item =
            QueryItem { tags: vec!["email:a".into()], prefix: Some("user-".into()), ..QueryItem::default() };
        assert_eq!(
            conditions(
                r#"{"failIfEventsMatch":{"items":[{"tags":["email:a"],"prefix":"user-"}]},"after":7}"#
            ),
            Ok(vec![Condition::NoEvents { query: item.into(), after: Position::new(7) }])
        );
        assert_eq!(
            conditions(r#"{"failIfEventsMatch":{}}"#),
            Ok(vec![Condition::NoEvents { query: Query::all(), after: Position::START }])
        );
    }

    #[test]
    fn a_condition_that_no_event_can_break_is_refused_by_its_place() {
        for (item, field) in [
            (r#"{"tags":["a:b","plain"]}"#, "tags"),
            (r#"{"types":[""]}"#, "types"),
            (r#"{"streams":["s",""]}"#, "streams"),
        ] {
            let json = format!(r#"{{"failIfEventsMatch":{{"items":[{{}},{item}]}}}}"#);
            let error = conditions(&json).expect_err(&json);
            let wanted = format!("conditions[0].failIfEventsMatch.items[1].{field}");
            assert_eq!(error.field, Some(wanted));
        }
    }

    #[test]
    fn half_a_condition_and_a_mixed_one_are_refused() {
        for json in [
            "{}",
            r#"{"after":5}"#,
            r#"{"stream":"b"}"#,
            r#"{"expectedVersion":1}"#,
            r#"{"stream":"b","expectedVersion":1,"after":5}"#,
            r#"{"stream":"b","expectedVersion":1,"failIfEventsMatch":{}}"#,
            r#"{"failIfEventsMatch":{"items":[{"type":["a"]}]}}"#,
            r#"{"failIfEventsMatch":{},"after":-1}"#,
        ] {
            let error = conditions(json).expect_err(json);
            assert!(error.field.is_some_and(|field| field.starts_with("conditions[0]")), "{json}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_transaction_is_named_by_its_path() {
        let write = |body: &str| format!(r#"{{"writes":[{body}]}}"#);
        let one = format!(r#"{{"stream":"s","events":[{EVENT}]}}"#);
        assert_eq!(refusal(&write("")).as_deref(), Some("writes"));
        assert_eq!(refusal(&write(&format!("{one},{one}"))).as_deref(), Some("writes[1].stream"));
        assert_eq!(refusal(&write(r#"{"stream":"","events":[]}"#)).as_deref(), Some("writes[0].stream"));
        assert_eq!(refusal(&write(r#"{"stream":"s","events":[]}"#)).as_deref(), Some("writes[0].events"));
        assert_eq!(
            refusal(&write(r#"{"stream":"s","events":[{"type":"a"}]}"#)).as_deref(),
            Some("writes[0].events[0].data")
        );
        assert_eq!(
            refusal(&write(r#"{"stream":"s","expectedVersion":-1,"events":[]}"#)).as_deref(),
            Some("writes[0].expectedVersion")
        );
    }
}

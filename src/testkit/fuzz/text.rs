//! Targets for texts: names, times, JSON data and metadata.

use std::str::FromStr;

use serde_json::value::RawValue;

use super::input::Input;
use crate::model::{
    ContentType, Data, EventId, EventType, ExpectedVersion, Metadata, NameError, Source, StreamName,
    Timestamp,
};

/// Bytes as a name of each kind, as an event id, and as an expected version.
pub fn names(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let legal = (1..=255).contains(&text.len()) && !text.chars().any(char::is_control);
    let taken = |parsed: Result<String, NameError>| {
        assert_eq!(parsed.is_ok(), legal);
        if let Ok(kept) = parsed {
            assert_eq!(kept, text);
        }
    };
    taken(EventType::parse(text).map(|name| name.to_string()));
    taken(Source::parse(text).map(|name| name.to_string()));
    taken(ContentType::parse(text).map(|name| name.to_string()));
    taken(EventId::parse(text).map(|id| id.to_string()));
    if let Ok(name) = StreamName::parse(text) {
        assert!(legal && name.as_str() == text && text.starts_with(name.category()));
    }
    if let Ok(id) = EventId::parse(text)
        && let Some(uuid) = id.as_uuid()
    {
        assert_eq!(EventId::from_uuid(*uuid), id);
    }
    if let Ok(expected) = ExpectedVersion::from_str(text) {
        assert_eq!(ExpectedVersion::from_str(&expected.to_string()), Ok(expected));
    }
}

pub(super) fn name_seeds() -> Vec<Vec<u8>> {
    let texts = [
        "order-6789",
        "$system",
        "größe",
        "..",
        "ffdf0100-fe83-5375-bf2d-5a90a4819869",
        "any",
        "exists",
        "18446744073709551615",
        &"n".repeat(255),
    ];
    texts.map(|text| text.as_bytes().to_vec()).to_vec()
}

/// Bytes as a time in RFC 3339, and as a count of nanoseconds.
pub fn timestamp(bytes: &[u8]) {
    let nanos = Timestamp::from_nanos(Input::new(bytes).u64() as i64);
    assert_eq!(Timestamp::parse(&nanos.to_string()), Ok(nanos));
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(time) = Timestamp::parse(text) {
        let written = time.to_string();
        let again = Timestamp::parse(&written);
        assert_eq!(again, Ok(time), "written as {written}");
        assert_eq!(again.map(|again| again.to_string()), Ok(written));
    }
}

pub(super) fn timestamp_seeds() -> Vec<Vec<u8>> {
    let texts = [
        "2024-07-15T14:32:22Z",
        "2024-07-15T16:32:22.5+02:00",
        "2024-07-15t14:32:22,123456789z",
        "2024-07-15 14:32:22.1-00:30",
        "1677-09-21T00:12:43.145224192Z",
        "2262-04-11T23:47:16.854775807Z",
        "2024-06-30T23:59:60Z",
        "2024-07-15T14:32:22.25+01:00[Europe/Berlin]",
        "20240715T143222Z",
    ];
    texts.map(|text| text.as_bytes().to_vec()).to_vec()
}

/// Bytes as the data of an event.
pub fn data(bytes: &[u8]) {
    if let Ok(data) = Data::from_json_bytes(bytes.to_vec()) {
        assert_eq!(data.bytes().as_ref(), bytes);
        let raw: &RawValue = serde_json::from_slice(bytes).expect("what was taken is JSON");
        let trimmed = Data::from_raw(raw);
        assert_eq!(Data::from_json_bytes(trimmed.bytes().clone()), Ok(trimmed));
    }
}

pub(super) fn data_seeds() -> Vec<Vec<u8>> {
    let texts = [
        r#" { "a" : [ 1.0, -2e-7, null, true ], "b\u0041": "\ud83d\ude00\n" } "#,
        "12345678901234567890123",
        "\"größe\"",
        "[[[[[[{}]]]]]]",
    ];
    texts.map(|text| text.as_bytes().to_vec()).to_vec()
}

/// Bytes as metadata, and behind a zero as the value of one more field.
pub fn metadata(bytes: &[u8]) {
    let mut halves = bytes.splitn(2, |byte| *byte == 0);
    let json = halves.next().unwrap_or_default();
    let Ok(metadata) = Metadata::parse(json.to_vec()) else { return };
    assert_eq!(metadata.as_json().as_bytes(), json);
    assert_eq!(Metadata::parse(metadata.bytes().clone()), Ok(metadata.clone()));
    let value: Option<&RawValue> = halves.next().and_then(|value| serde_json::from_slice(value).ok());
    if let Some(value) = value
        && let Ok(more) = metadata.with("extra", &value)
    {
        let kept = more.field("extra").expect("the field was set");
        let same = kept.get() == value.get() || numbers_and_all(kept) == numbers_and_all(value);
        assert!(same, "{kept} was kept for {value}");
    }
}

/// The value, as far as it can be compared by meaning.
fn numbers_and_all(json: &RawValue) -> Result<serde_json::Value, String> {
    // The text in the error keeps values that cannot be read apart.
    serde_json::from_str(json.get()).map_err(|_| json.get().to_owned())
}

pub(super) fn metadata_seeds() -> Vec<Vec<u8>> {
    let known =
        r#"{ "correlationId":"c", "causationId":"d", "tenantId":null, "routingKey":"a.b", "tags":["k:v"] }"#;
    let deep = format!("{{\"extra\":{}1{}}}", "[".repeat(140), "]".repeat(140));
    let other = format!("{}2{}", "[".repeat(140), "]".repeat(140));
    let pair = |json: &str, value: &str| [json.as_bytes(), &[0], value.as_bytes()].concat();
    vec![
        pair(known, "1"),
        pair("{}", "\"x\""),
        pair(r#"{"extra":1.0}"#, "1.00"),
        pair(r#"{"ex\u0074ra":1e400}"#, "2e400"),
        pair(&deep, &other),
    ]
}

//! CloudEvents against the words of the specification, and against the store: what goes out comes back as it was.

use std::sync::Arc;

use annals::testkit::SimDisk;
use annals::{
    Append, ContentType, Data, EventId, EventStore, EventType, ExpectedVersion, Metadata, NewEvent, Options,
    Read, RecordedEvent, Source, StreamName, Timestamp,
};
use serde_json::{Value, json};

use super::*;
use crate::wire::{WireError, WireEvent};

const NO_SOURCE: &str = "urn:annals:no-source";

fn parse(json: &Value) -> Result<WireEvent, WireError> {
    parse_cloud_event(json.to_string().as_bytes(), NO_SOURCE)
}

fn refused(json: Value) -> String {
    parse(&json).expect_err(&json.to_string()).field.unwrap_or_default()
}

/// A CloudEvent with the required attributes and these members.
fn with(members: Value) -> Value {
    let mut event = json!({"specversion": "1.0", "id": "e-1", "source": "/shop", "type": "order.created"});
    for (name, value) in members.as_object().expect("an object") {
        event[name] = value.clone();
    }
    event
}

/// What the required attributes alone say.
fn bare(data: Data) -> NewEvent {
    NewEvent::new(EventType::parse("order.created").expect("legal"), data)
        .id(EventId::parse("e-1").expect("legal"))
        .source(Source::parse("/shop").expect("legal"))
}

fn event() -> NewEvent {
    let id = EventId::parse("e-1").expect("legal");
    let event_type = EventType::parse("order.created").expect("legal");
    let time = Timestamp::parse("2024-07-15T14:32:22.50Z").expect("legal");
    NewEvent::new(event_type, json_data("{\"a\": 1.0}")).id(id).timestamp(time)
}

fn json_data(text: &str) -> Data {
    Data::from_json_bytes(text.to_owned()).expect("JSON")
}

fn binary(content_type: &str, bytes: &[u8]) -> Data {
    Data::binary(ContentType::parse(content_type).expect("legal"), bytes.to_vec())
}

fn metadata(json: &str) -> Metadata {
    Metadata::parse(json.to_owned()).expect("legal")
}

/// The event as a store has it, in the stream `order-1`.
fn recorded(event: &NewEvent) -> RecordedEvent {
    let options = Options::new("store").disk(Arc::new(SimDisk::new(0))).background(false).prewrite(false);
    let store = EventStore::open(options).expect("an empty disk takes a store");
    let stream = StreamName::parse("order-1").expect("legal");
    store.append(Append::to(stream, ExpectedVersion::Any, [event.clone()])).expect("legal");
    store.read(Read::all()).expect("legal").next().expect("it was appended").expect("whole")
}

fn structured(event: &NewEvent) -> String {
    let mut out = Vec::new();
    write_cloud_event(&mut out, &recorded(event), NO_SOURCE);
    String::from_utf8(out).expect("UTF-8")
}

#[test]
fn an_event_has_the_attributes_of_the_specification() {
    let metadata = metadata(r#"{"correlationId":"c","causationId":"d","attempt":3,"tags":["k:v"]}"#);
    let event = event().source(Source::parse("/shop").expect("legal")).metadata(metadata);
    let written: Value = serde_json::from_str(&structured(&event)).expect("JSON");
    let recorded_at = written["recordedtime"].as_str().map(Timestamp::parse);
    assert!(matches!(recorded_at, Some(Ok(_))), "{written}");
    for (name, value) in [
        ("specversion", json!("1.0")),
        ("id", json!("e-1")),
        ("source", json!("/shop")),
        ("type", json!("order.created")),
        ("subject", json!("order-1")),
        ("time", json!("2024-07-15T14:32:22.50Z")),
        ("sequence", json!("00000000000000000001")),
        ("correlationid", json!("c")),
        ("causationid", json!("d")),
        ("attempt", json!(3)),
        ("annalsmetadata", json!(r#"{"correlationId":"c","causationId":"d","attempt":3,"tags":["k:v"]}"#)),
        ("datacontenttype", json!("application/json")),
        ("data", json!({"a": 1.0})),
    ] {
        assert_eq!(written[name], value, "{name}");
    }
}

#[test]
fn metadata_that_attributes_say_whole_is_not_said_twice() {
    let plain = event().metadata(metadata(r#"{"correlationId":"c","version":"1.0"}"#));
    assert!(!structured(&plain).contains("annalsmetadata"));
    // In another order or spelling it would not come back as it was.
    for json in [r#"{"version":"1.0","correlationId":"c"}"#, r#"{ "correlationId":"c"}"#, r#"{"n":1}"#, "{}"]
    {
        assert!(structured(&event().metadata(metadata(json))).contains("annalsmetadata"), "{json}");
    }
}

#[test]
fn every_event_comes_back_as_it_was_in_every_mode() {
    let meta = |json: &str| event().metadata(metadata(json));
    let data = |data: Data| NewEvent::new(EventType::parse("größe 1%").expect("legal"), data);
    let events = [
        event(),
        event().source(Source::parse("a source, \"quoted\"").expect("legal")),
        meta("{}"),
        meta(r#"{"correlationId":"c","version":"1.0"}"#),
        meta(r#"{ "tags":["k:v"], "sequence":"7","x":{"y":[1,2]},"n":3,"z":-0,"t":true,"s":"", "f":1.0 }"#),
        meta(r#"{"n":2147483648,"correlationid":"small","data":"d","c\u0061se":"x","control":"\u0001"}"#),
        meta(r#"{"a":"first","a":"second"}"#),
        data(json_data("null")),
        data(json_data("\"text \\n\"")),
        data(binary("image/png", &[0, 255])),
        data(binary("image/png", b"")),
        data(binary("text/plain; charset=utf-8", b"plain")),
        data(binary("application/vnd.shop+json", b"{\"a\": 1}")),
        data(binary("application/vnd.shop+json", b" {\"a\":\n1}")),
        data(binary("application/vnd.shop+json", b"null")),
        data(binary("application/vnd.shop+json", b"no JSON")),
    ];
    for event in events {
        let recorded = recorded(&event);
        let wanted = event.id(recorded.id()).timestamp(recorded.timestamp());
        let mut json = Vec::new();
        write_cloud_event(&mut json, &recorded, NO_SOURCE);
        let text = String::from_utf8_lossy(&json).into_owned();
        assert!(!text.contains('\n'), "{text}");
        let structured = parse_cloud_event(&json, NO_SOURCE).expect(&text);
        assert_eq!(structured.event, wanted, "{text}");
        assert_eq!(structured.stream.as_ref().map(StreamName::as_str), Some("order-1"));

        let attributes: Vec<(String, String)> = cloud_attributes(&recorded, NO_SOURCE)
            .into_iter()
            .map(|(name, value)| {
                let value = decode_value(&name, encode_value(&value).as_bytes()).expect("is UTF-8");
                (name, value)
            })
            .collect();
        let (content_type, body) = cloud_body(&recorded);
        let in_headers = parse_cloud_headers(&attributes, Some(content_type), body, NO_SOURCE);
        assert_eq!(in_headers.expect(&text), structured);
    }
}

#[test]
fn extensions_of_others_become_metadata() {
    let event =
        parse(&with(json!({"traceparent": "00-1", "partitionkey": "p", "retries": 2, "causationid": "b"})));
    let wanted = r#"{"causationId":"b","partitionkey":"p","retries":2,"traceparent":"00-1"}"#;
    assert_eq!(event.map(|wire| wire.event), Ok(bare(json_data("null")).metadata(metadata(wanted))));
}

#[test]
fn an_extension_is_added_to_stored_metadata_or_has_to_agree_with_it() {
    let added = with(json!({"annalsmetadata": "{ \"n\":3 }", "n": "3", "traceparent": "00-1"}));
    let parsed = parse(&added).expect("they agree");
    let stored = recorded(&parsed.event);
    assert_eq!(stored.metadata(), Some("{ \"n\":3 ,\"traceparent\":\"00-1\"}"));
    assert_eq!(refused(with(json!({"annalsmetadata": "{\"n\":3}", "n": 4}))), "n");
    assert_eq!(refused(with(json!({"annalsmetadata": "[]"}))), "annalsmetadata");
    assert_eq!(refused(with(json!({"annalsmetadata": {}}))), "annalsmetadata");
}

#[test]
fn what_only_the_store_sets_is_dropped_and_must_be_a_text_all_the_same() {
    let own = with(json!({"sequence": "00000000000000000007", "recordedtime": "then", "data": 1}));
    assert_eq!(parse(&own).map(|wire| wire.event), Ok(bare(json_data("1"))));
    assert_eq!(refused(with(json!({"sequence": 7}))), "sequence");
    assert_eq!(refused(with(json!({"recordedtime": true}))), "recordedtime");
}

#[test]
fn the_data_is_what_its_content_type_says() {
    let same = |members: Value, wanted: Data| {
        assert_eq!(parse(&with(members)).map(|wire| wire.event), Ok(bare(wanted)));
    };
    same(json!({"data": {"a": 1}}), json_data("{\"a\":1}"));
    same(json!({"data": null}), json_data("null"));
    same(json!({"datacontenttype": "application/json; charset=utf-8", "data": [1]}), json_data("[1]"));
    same(json!({"datacontenttype": "text/xml", "data": "<a/>"}), binary("text/xml", b"<a/>"));
    same(json!({"datacontenttype": "image/png", "data_base64": "AP8="}), binary("image/png", &[0, 255]));
    same(json!({"data_base64": "AP8="}), binary("application/octet-stream", &[0, 255]));
    same(json!({"datacontenttype": "application/json", "data_base64": "eyB9"}), json_data("{ }"));
    assert_eq!(refused(with(json!({"data": 1, "data_base64": "AA=="}))), "data_base64");
    assert_eq!(refused(with(json!({"data_base64": "A"}))), "data_base64");
    assert_eq!(refused(with(json!({"datacontenttype": "text/xml", "data": {}}))), "data");
    assert_eq!(
        refused(with(json!({"datacontenttype": "application/json", "data_base64": "AP8="}))),
        "data_base64"
    );
}

#[test]
fn what_is_no_cloud_event_is_refused_by_its_attribute() {
    for name in ["specversion", "id", "source", "type"] {
        let mut event = with(json!({}));
        event[name] = Value::Null;
        assert_eq!(refused(event), name);
    }
    assert_eq!(refused(with(json!({"specversion": "0.3"}))), "specversion");
    assert_eq!(refused(with(json!({"time": "yesterday"}))), "time");
    assert_eq!(refused(with(json!({"subject": ""}))), "subject");
    assert_eq!(refused(with(json!({"Big": "x"}))), "Big");
    assert_eq!(refused(with(json!({"object": {}}))), "object");
    assert_eq!(refused(with(json!({"fraction": 1.5}))), "fraction");
    assert_eq!(refused(with(json!({"tags": "k:v"}))), "annalsmetadata");
    let twice = br#"{"specversion":"1.0","id":"e","source":"s","type":"t","x":"1","x":"2"}"#;
    assert_eq!(parse_cloud_event(twice, NO_SOURCE).expect_err("twice").field.as_deref(), Some("x"));
}

//! Targets for bodies and parameters: none panics, and what can be read is the same after a store has had it.

use std::cell::RefCell;
use std::sync::Arc;

use annals::testkit::SimDisk;
use annals::{
    Append, EventStore, ExpectedVersion, NewEvent, Options, Position, Read, RecordedEvent, StreamName,
};

use bytes::Bytes;

use super::body::{in_one_go, parse_array};
use super::cloud::{parse_cloud_event, parse_cloud_headers};
use super::*;

/// The most events of one body.
const EVENTS_MAX: u64 = 4;

/// Events that one store in memory takes before another one is made.
const STORE_EVENTS_MAX: u64 = 1000;

const EVENTS: [&str; 4] = [
    r#"{"type":"order.created","data":{"total": 99.950,"text":"\u00e9\n"}}"#,
    r#"{"id":"evt-1","type":"größe","timestamp":"2024-07-15T16:32:22.50+02:00","source":"shop","stream":"order-1","data":[ 1e400 ]}"#,
    r#"{"type":"t","data":null,"version":"1.0","routingKey":"a.b","metadata":{ "version":"1.0","tags":["k:v"],"x":{"y":[1,2]} }}"#,
    r#"{"type":"t","dataBase64":"AP8=","dataContentType":"image/png","metadata":null,"cacheInvalidation":["k"]}"#,
];

/// The source of CloudEvents that have none.
const NO_SOURCE: &str = "urn:annals:no-source";

const CLOUD_EVENTS: [&str; 3] = [
    r#"{"specversion":"1.0","id":"evt-1","source":"/shop","type":"order.created","subject":"order-1","data":{"total":1.50}}"#,
    r#"{"specversion":"1.0","id":"a","source":"urn:annals:no-source","type":"t","time":"2024-07-15T16:32:22.50+02:00","n":-3,"yes":true,"correlationid":"c","annalsmetadata":"{ \"correlationId\":\"c\",\"tags\":[\"k:v\"] }","datacontenttype":"image/png","data_base64":"AP8="}"#,
    r#"{"specversion":"1.0","id":"b","source":"s","type":"t","sequence":"00000000000000000007","recordedtime":"2024-07-15T14:32:22Z","traceparent":"00-1","datacontenttype":"text/xml","data":"<a\u0041/>"}"#,
];

/// Bytes as one event: what is read says the same once a store has taken it and it was written out.
pub fn wire_event(json: &[u8]) {
    drop(parse_event(json, Purpose::Import));
    let Ok(wire) = parse_event(json, Purpose::Append) else { return };
    let stream = StreamName::parse("s").expect("is legal");
    let recorded = recorded(&stream, &wire);

    // What its writer left out, the store has set.
    let wanted = wire.event.id(recorded.id()).timestamp(recorded.timestamp());
    let mut written = Vec::new();
    EventWriter::default().write(&mut written, &recorded, Form::Exact);
    let again = parse_event(&written, Purpose::Import).expect("what is written can be read");
    assert_eq!((again.stream, again.event_type), (Some(stream), wire.event_type));
    assert_eq!(again.event, wanted);

    check_cloud(&recorded, &wanted);
    for form in [Form::Line, Form::Replay] {
        let mut line = Vec::new();
        EventWriter::default().write(&mut line, &recorded, form);
        assert!(!line.contains(&b'\n') && !line.contains(&b'\r'));
        assert!(serde_json::from_slice::<serde::de::IgnoredAny>(&line).is_ok());
    }
}

/// Bytes as a CloudEvent: what is read says the same once a store has taken it and it was written out in either mode.
pub fn wire_cloud_event(json: &[u8]) {
    let Ok(wire) = parse_cloud_event(json, NO_SOURCE) else { return };
    let recorded = recorded(&StreamName::parse("s").expect("is legal"), &wire);
    let wanted = wire.event.id(recorded.id()).timestamp(recorded.timestamp());
    check_cloud(&recorded, &wanted);
}

/// Checks that an event comes back from the modes of CloudEvents as it was.
fn check_cloud(recorded: &RecordedEvent, wanted: &NewEvent) {
    let is_changed = recorded.source() == Some(NO_SOURCE)
        || recorded.content_type().is_some_and(|given| {
            given.split(';').next().is_some_and(|media| media.trim().eq_ignore_ascii_case("application/json"))
        });
    if is_changed {
        return;
    }
    let mut json = Vec::new();
    write_cloud_event(&mut json, recorded, NO_SOURCE);
    assert!(!json.contains(&b'\n') && !json.contains(&b'\r'));
    let structured = parse_cloud_event(&json, NO_SOURCE).expect("what is written can be read");
    assert_eq!(structured.stream.as_ref().map(StreamName::as_str), Some(recorded.stream()));

    let decoded = |(name, value): (String, String)| {
        let value = decode_value(&name, encode_value(&value).as_bytes()).expect("is UTF-8");
        (name, value)
    };
    let attributes: Vec<_> = cloud_attributes(recorded, NO_SOURCE).into_iter().map(decoded).collect();
    let (content_type, body) = cloud_body(recorded);
    let in_headers = parse_cloud_headers(&attributes, Some(content_type), body, NO_SOURCE);
    assert_eq!(in_headers.expect("what is written can be read").event, *wanted);
    // Between tokens a line break becomes a space.
    if !recorded.data().iter().any(|byte| matches!(byte, b'\n' | b'\r')) {
        assert_eq!(structured.event, *wanted);
    }
}

pub(crate) fn cloud_seeds() -> Vec<String> {
    CLOUD_EVENTS.map(str::to_owned).to_vec()
}

/// The event as a store has it.
fn recorded(stream: &StreamName, wire: &WireEvent) -> RecordedEvent {
    thread_local! {
        static STORE: RefCell<Option<EventStore>> = const { RefCell::new(None) };
    }
    STORE.with_borrow_mut(|kept| {
        let store = match kept.take().filter(|store| store.head() < Position::new(STORE_EVENTS_MAX)) {
            Some(store) => store,
            None => store(),
        };
        let receipt = store.append(Append::to(stream.clone(), ExpectedVersion::Any, [wire.event.clone()]));
        let receipt = receipt.expect("an event of legal parts can be appended");
        let mut events = store.read(Read::stream(stream.clone()).backward().limit(1)).expect("a legal read");
        let recorded = events.next().expect("it was appended").expect("it is whole");
        assert_eq!(recorded.id(), receipt.streams[0].events[0].id);
        *kept = Some(store);
        recorded
    })
}

fn store() -> EventStore {
    let disk = Arc::new(SimDisk::new(0));
    let options = Options::new("store")
        .disk(disk)
        .background(false)
        .prewrite(false)
        .segment_bytes(annals::SEGMENT_BYTES_MIN);
    // The same id comes again and again.
    EventStore::open(options.repeat_window(0)).expect("an empty disk takes a store")
}

pub(crate) fn event_seeds() -> Vec<String> {
    EVENTS.map(str::to_owned).to_vec()
}

/// Bytes as a body of events, in all forms; an array says the same in whichever way it is read.
pub fn wire_events(body: &[u8]) {
    let attributes = ["specversion", "id", "source", "type"].map(|name| (name.to_owned(), "1.0".to_owned()));
    let cloud_data = |content_type: &str| BodyKind::CloudData {
        attributes: attributes.to_vec(),
        content_type: Some(content_type.to_owned()),
    };
    let kinds = [BodyKind::Json, BodyKind::Lines, BodyKind::Cloud, BodyKind::CloudBatch];
    let body = &Bytes::copy_from_slice(body);
    let one_by_one = parse_array(body, EVENTS_MAX, |json| parse_event(json, Purpose::Append));
    assert_eq!(in_one_go(body, body, EVENTS_MAX), one_by_one.ok(), "in one go, and element by element");
    for kind in kinds.into_iter().chain([cloud_data("application/json"), cloud_data("a/b")]) {
        match parse_events(body, &kind, EVENTS_MAX, NO_SOURCE) {
            Ok(sent) => assert!((1..=EVENTS_MAX).contains(&(sent.events.len() as u64))),
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
}

pub(crate) fn events_seeds() -> Vec<String> {
    let [one, two, three, four] = EVENTS;
    vec![
        format!("[{one},\n{two}]"),
        format!("{one}\n\r\n{two}\n{three}"),
        four.to_owned(),
        format!(" [ {three} , {four} ] "),
        CLOUD_EVENTS[0].to_owned(),
        format!("[{},{}]", CLOUD_EVENTS[1], CLOUD_EVENTS[2]),
    ]
}

/// Bytes as the body of a transaction.
pub fn wire_transaction(body: &[u8]) {
    match parse_transaction(&Bytes::copy_from_slice(body), EVENTS_MAX) {
        Ok(transaction) => {
            let writes = &transaction.writes;
            let events: usize = writes.iter().map(|write| write.events.len()).sum();
            assert!((writes.len()..=EVENTS_MAX as usize).contains(&events) && !writes.is_empty());
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

pub(crate) fn transaction_seeds() -> Vec<String> {
    let [one, two, three, four] = EVENTS;
    vec![
        format!(r#"{{"writes":[{{"stream":"a","expectedVersion":"none","events":[{one},{four}]}}]}}"#),
        format!(
            r#"{{"writes":[{{"stream":"order-1","expectedVersion":5,"events":[{two}]}},
               {{"stream":"b","events":[{three}]}}],"conditions":[]}}"#
        ),
        format!(
            r#"{{"writes":[{{"stream":"a","events":[{one}]}}],"conditions":[{{"stream":"b","expectedVersion":"none"}},
               {{"failIfEventsMatch":{{"items":[{{"types":["t"],"tags":["k:v"],"prefix":"a"}}]}},"after":3}}]}}"#
        ),
    ]
}

/// Bytes as a query string: what is read says the same when it is written and read again.
pub fn wire_params(query: &[u8]) {
    let Ok(query) = std::str::from_utf8(query) else { return };
    let known = &[QUERY_PARAMS, EVENT_PARAMS, STREAM_PARAMS];
    let Ok(params) = Params::parse(query, known) else { return };
    assert_eq!(Params::parse(&params.encode(), known).as_ref(), Ok(&params));
    drop(parse_read(&params, None, || Position::new(7)));
    drop(parse_read(&params, StreamName::parse("s").ok(), || Position::new(7)));
    drop(parse_query(&params));
}

pub(crate) fn params_seeds() -> Vec<String> {
    let seeds = [
        "types=a%20b,c&tags=k:v&tags=x%2Cy:z&prefix=order-&limit=5&direction=backward",
        "after=head&before=18446744073709551615&since=2024-07-15T14:32:22%2B02:00&system=true",
        "from=1&to=9&categories=order&correlationId=%C3%A9&tenantId=&streams=a",
    ];
    seeds.map(str::to_owned).to_vec()
}

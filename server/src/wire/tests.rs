//! Bodies and parameters that nobody meant: none panics, and what can be read is the same after a store has had it.

use std::sync::Arc;

use annals::testkit::SimDisk;
use annals::testkit::fuzz::run_on;
use annals::{Append, EventStore, ExpectedVersion, Options, Position, Read, StreamName};

use super::*;

/// Comes to a second or two together. `ANNALS_FUZZ_EXECUTIONS` says another number for each.
const EXECUTIONS: u64 = 10_000;

const EVENTS_MAX: u64 = 4;

const EVENTS: [&str; 4] = [
    r#"{"type":"order.created","data":{"total": 99.950,"text":"\u00e9\n"}}"#,
    r#"{"id":"evt-1","type":"größe","timestamp":"2024-07-15T16:32:22.50+02:00","source":"shop","stream":"order-1","data":[ 1e400 ]}"#,
    r#"{"type":"t","data":null,"version":"1.0","routingKey":"a.b","metadata":{ "version":"1.0","tags":["k:v"],"x":{"y":[1,2]} }}"#,
    r#"{"type":"t","dataBase64":"AP8=","dataContentType":"image/png","metadata":null,"cacheInvalidation":["k"]}"#,
];

fn run(name: &str, seeds: &[String], function: impl Fn(&[u8])) {
    let wanted = std::env::var("ANNALS_FUZZ_EXECUTIONS").ok();
    let executions = wanted.map_or(EXECUTIONS, |number| number.parse().expect("is a number"));
    let seeds: Vec<Vec<u8>> = seeds.iter().map(|seed| seed.clone().into_bytes()).collect();
    run_on(name, &seeds, 1, executions, function);
}

fn store() -> EventStore {
    let disk = Arc::new(SimDisk::new(0));
    EventStore::open(Options::new("store").disk(disk).background(false)).expect("an empty disk takes a store")
}

#[test]
fn any_event_that_can_be_read_says_the_same_when_it_is_written_out_and_read_again() {
    let store = store();
    run("wire_event", &EVENTS.map(str::to_owned), |json| {
        drop(parse_event(json, Purpose::Import));
        let Ok(wire) = parse_event(json, Purpose::Append) else { return };
        let stream = StreamName::parse("s").expect("legal");
        let receipt = store.append(Append::to(stream.clone(), ExpectedVersion::Any, [wire.event.clone()]));
        let receipt = receipt.expect("an event of legal parts can be appended");
        let mut events = store.read(Read::stream(stream.clone()).backward().limit(1)).expect("a legal read");
        let recorded = events.next().expect("it was appended").expect("it is whole");
        assert_eq!(recorded.id(), receipt.streams[0].events[0].id);

        // What its writer left out, the store has set.
        let wanted = wire.event.id(recorded.id()).timestamp(recorded.timestamp());
        let mut written = Vec::new();
        write_event(&mut written, &recorded, Form::Exact);
        let again = parse_event(&written, Purpose::Import).expect("what is written can be read");
        assert_eq!((again.stream, again.event_type), (Some(stream), wire.event_type));
        assert_eq!(again.event, wanted);

        for form in [Form::Line, Form::Replay] {
            let mut line = Vec::new();
            write_event(&mut line, &recorded, form);
            assert!(!line.contains(&b'\n') && !line.contains(&b'\r'));
            assert!(serde_json::from_slice::<serde::de::IgnoredAny>(&line).is_ok());
        }
    });
}

#[test]
fn any_body_of_events_is_read_or_refused() {
    let [one, two, three, four] = EVENTS;
    let seeds = [
        format!("[{one},\n{two}]"),
        format!("{one}\n\r\n{two}\n{three}"),
        four.to_owned(),
        format!(" [ {three} , {four} ] "),
    ];
    run("wire_events", &seeds, |body| {
        for kind in [BodyKind::Json, BodyKind::Lines] {
            match parse_events(body, kind, EVENTS_MAX) {
                Ok(events) => assert!((1..=EVENTS_MAX).contains(&(events.len() as u64))),
                Err(error) => assert!(!error.to_string().is_empty()),
            }
        }
    });
}

#[test]
fn any_transaction_is_read_or_refused() {
    let [one, two, three, four] = EVENTS;
    let seeds = [
        format!(r#"{{"writes":[{{"stream":"a","expectedVersion":"none","events":[{one},{four}]}}]}}"#),
        format!(
            r#"{{"writes":[{{"stream":"order-1","expectedVersion":5,"events":[{two}]}},
               {{"stream":"b","events":[{three}]}}],"conditions":[]}}"#
        ),
    ];
    run("wire_transaction", &seeds, |body| match parse_transaction(body, EVENTS_MAX) {
        Ok(writes) => {
            let events: usize = writes.iter().map(|write| write.events.len()).sum();
            assert!((writes.len()..=EVENTS_MAX as usize).contains(&events) && !writes.is_empty());
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    });
}

#[test]
fn any_query_string_is_read_or_refused_and_says_the_same_when_it_is_written_again() {
    let seeds = [
        "types=a%20b,c&tags=k:v&tags=x%2Cy:z&prefix=order-&limit=5&direction=backward",
        "after=head&before=18446744073709551615&since=2024-07-15T14:32:22%2B02:00&system=true",
        "from=1&to=9&categories=order&correlationId=%C3%A9&tenantId=&streams=a",
    ];
    run("wire_params", &seeds.map(str::to_owned), |query| {
        let Ok(query) = std::str::from_utf8(query) else { return };
        let known = &[QUERY_PARAMS, EVENT_PARAMS, STREAM_PARAMS];
        let Ok(params) = Params::parse(query, known) else { return };
        assert_eq!(Params::parse(&params.encode(), known).as_ref(), Ok(&params));
        drop(parse_read(&params, None, || Position::new(7)));
        drop(parse_read(&params, StreamName::parse("s").ok(), || Position::new(7)));
        drop(parse_query(&params));
    });
}

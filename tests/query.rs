//! Queries: what postings find is what a look at every event finds, wherever the events are.

use annals::testkit::{Rng, SimDisk};
use annals::{
    Append, Criterion, Data, Direction, EventStore, EventType, ExpectedVersion, Metadata, NewEvent, Position,
    Query, QueryItem, Read, RecordedEvent, StreamVersion,
};

use crate::support::*;

/// Names that share beginnings, categories and parts.
const STREAMS: [&str; 8] =
    ["order-1", "order-2", "order-10", "orders", "cart-1", "cart", "-1", "invoice-1-2"];
const TYPES: [&str; 5] = ["created", "changed", "closed", "order", "order-1"];
const TAGS: [&str; 5] = ["customer:1", "customer:2", "region:eu", "region:us", "order:1"];
const IDS: [&str; 3] = ["c-1", "c-2", "order-1"];

fn one<'a>(rng: &mut Rng, from: &[&'a str]) -> &'a str {
    from[rng.below(from.len() as u64) as usize]
}

fn some(rng: &mut Rng, from: &[&str], most: u64) -> Vec<String> {
    (0..rng.below(most + 1)).map(|_| one(rng, from).to_owned()).collect()
}

fn any_event(rng: &mut Rng, n: u64) -> NewEvent {
    let tags = some(rng, &TAGS, 3);
    let mut metadata = Metadata::default().with("tags", &tags).expect("legal");
    for field in ["correlationId", "tenantId"] {
        if rng.chance(1, 2) {
            metadata = metadata.with(field, &one(rng, &IDS)).expect("legal");
        }
    }
    let data = Data::json(&serde_json::json!({ "n": n, "filler": "x".repeat(rng.below(300) as usize) }));
    let event_type = EventType::parse(one(rng, &TYPES)).expect("legal");
    NewEvent::new(event_type, data.expect("is JSON")).metadata(metadata)
}

fn any_item(rng: &mut Rng) -> QueryItem {
    let mut item = QueryItem::default();
    let wanted = |rng: &mut Rng| rng.chance(1, 3);
    if wanted(rng) {
        item.types = some(rng, &TYPES, 3);
    }
    if wanted(rng) {
        item.tags = some(rng, &TAGS, 2);
    }
    if wanted(rng) {
        item.streams = some(rng, &STREAMS, 3);
    }
    if wanted(rng) {
        item.prefix = Some(one(rng, &["order", "order-", "order-1", "", "-", "cart-1"]).to_owned());
    }
    if wanted(rng) {
        item.categories = some(rng, &["order", "cart", "", "absent"], 2);
    }
    if wanted(rng) {
        item.correlation_id = Some(one(rng, &IDS).to_owned());
    }
    if wanted(rng) {
        item.tenant_id = Some(one(rng, &IDS).to_owned());
    }
    if rng.chance(1, 8) {
        let (key, value) = one(rng, &["customer:1", "region:eu", "tenantId:c-1", "absent:1"])
            .split_once(':')
            .expect("a pair");
        item.criteria = vec![Criterion { key: key.to_owned(), value: value.to_owned() }];
    }
    item
}

fn any_query(rng: &mut Rng) -> Query {
    Query { items: (0..rng.below(4)).map(|_| any_item(rng)).collect() }
}

#[test]
fn a_criterion_is_satisfied_by_a_tag_or_by_a_field_of_the_metadata() {
    let disk = SimDisk::new(1);
    let store = open(on(&disk));
    let metadata = |json: &str| Metadata::parse(json.to_owned()).expect("legal");
    let events = [
        event(1).metadata(metadata(r#"{"tags":["region:eu"]}"#)),
        event(2).metadata(metadata(r#"{"region":"eu","attempt":3}"#)),
        event(3).metadata(metadata(r#"{"region":["eu"],"attempt":"3"}"#)),
        event(4),
    ];
    append(&store, "s", events);
    let find = |criteria: &[(&str, &str)]| -> Vec<u64> {
        let criterion =
            |(key, value): &(&str, &str)| Criterion { key: (*key).into(), value: (*value).into() };
        let item = QueryItem { criteria: criteria.iter().map(criterion).collect(), ..QueryItem::default() };
        let found = read(&store, Read::all().query(Query::from(item)));
        found.iter().map(|event| event.position().get()).collect()
    };
    assert_eq!(find(&[("region", "eu")]), [1, 2]);
    assert_eq!(find(&[("attempt", "3")]), [2, 3]);
    assert_eq!(find(&[("region", "eu"), ("attempt", "3")]), [2]);
    assert_eq!(find(&[("region", "us")]), [] as [u64; 0]);
}

/// A read, and the same as a test of one event.
type Wanted = Box<dyn Fn(&RecordedEvent) -> bool>;

fn any_read(rng: &mut Rng, head: u64) -> (Read, Wanted, Direction) {
    let query = any_query(rng);
    let in_stream = rng.chance(1, 3).then(|| one(rng, &STREAMS));
    let mut read = in_stream.map_or_else(Read::all, |name| Read::stream(stream(name))).query(query.clone());
    let (mut after, mut before) = (0, u64::MAX);
    let (mut from, mut to) = (0, u64::MAX);
    if rng.chance(1, 3) {
        after = rng.below(head + 2);
        read = read.after(Position::new(after));
    }
    if rng.chance(1, 3) {
        before = rng.below(head + 2) + 1;
        read = read.before(Position::new(before));
    }
    if in_stream.is_some() && rng.chance(1, 3) {
        from = rng.below(head / 4) + 1;
        read = read.from(StreamVersion::new(from));
    }
    if in_stream.is_some() && rng.chance(1, 3) {
        to = from + rng.below(head / 4) + 1;
        read = read.to(StreamVersion::new(to));
    }
    let direction = if rng.chance(1, 2) { Direction::Forward } else { Direction::Backward };
    let wanted = move |event: &RecordedEvent| {
        let (position, at) = (event.position().get(), event.stream_version().get());
        position > after
            && position < before
            && (from..=to).contains(&at)
            && in_stream.is_none_or(|name| event.stream() == name)
            && query.matches(event)
    };
    (read.direction(direction), Box::new(wanted), direction)
}

/// Compares many reads with a look at every event.
fn compare(store: &EventStore, rng: &mut Rng, reads: u64, state: &str) {
    let every = read(store, Read::all());
    for n in 0..reads {
        let (request, wanted, direction) = any_read(rng, every.len() as u64);
        let mut expected: Vec<u64> =
            every.iter().filter(|event| wanted(event)).map(|event| event.position().get()).collect();
        if direction == Direction::Backward {
            expected.reverse();
        }
        let found: Vec<u64> =
            read(store, request.clone()).iter().map(|event| event.position().get()).collect();
        assert_eq!(found, expected, "{state}, read {n}: {request:?}");
    }
}

fn remove_indexes(disk: &SimDisk) {
    for path in disk.paths().iter().filter(|path| path.to_string_lossy().ends_with(".idx")) {
        disk.remove_file(path).expect("the file is there");
    }
}

#[test]
fn every_query_finds_what_a_look_at_every_event_finds() {
    for seed in 0..setting("ANNALS_QUERY_SEEDS", 4) {
        let mut rng = Rng::new(seed);
        let disk = SimDisk::new(seed);
        // In one of four, terms have so many events in a segment that their postings come in runs.
        let large = seed % 4 == 3;
        let options = || on(&disk).segment_bytes(if large { 1 << 20 } else { SMALL });
        let mut store = open(options());
        let events = if large { 5000 } else { 200 + rng.below(1200) };
        let mut n = 0;
        while n < events {
            let writes = (0..1 + rng.below(4)).map(|_| {
                n += 1;
                (stream(one(&mut rng, &STREAMS)), any_event(&mut rng, n))
            });
            let append: Append = writes.collect::<Vec<_>>().into_iter().collect();
            store.append(append).expect("appended");
            if rng.chance(1, 40) {
                compare(&store, &mut rng, 2, &format!("seed {seed}, after {n} events"));
            }
        }
        compare(&store, &mut rng, 60, &format!("seed {seed}, as written"));
        store.close().expect("closed");
        store = open(options());
        compare(&store, &mut rng, 60, &format!("seed {seed}, opened again"));
        store.close().expect("closed");
        remove_indexes(&disk);
        compare(
            &open(on(&disk).read_only(true)),
            &mut rng,
            30,
            &format!("seed {seed}, read only, without indexes"),
        );
        store = open(options());
        compare(&store, &mut rng, 60, &format!("seed {seed}, without indexes"));
    }
}

#[test]
fn a_term_that_an_event_has_twice_finds_it_once() {
    let store = open(on(&SimDisk::new(1)));
    let metadata = Metadata::parse(r#"{"tags":["a:b","a:b"]}"#).expect("legal");
    append(&store, "s", [event(1).metadata(metadata)]);
    let item = QueryItem { tags: vec!["a:b".to_owned()], ..QueryItem::default() };
    assert_eq!(read(&store, Read::all().query(item.into())).len(), 1);
}

#[test]
fn a_query_does_not_see_what_was_appended_after_it_was_asked() {
    let store = open(on(&SimDisk::new(1)));
    append(&store, "s", [event(1)]);
    let item = QueryItem { types: vec!["counted".to_owned()], ..QueryItem::default() };
    let events = store.read(Read::all().query(item.into())).expect("a legal read");
    for n in 0..2000 {
        store.append_to(&stream("s"), ExpectedVersion::Any, [large_event(n, 100)]).expect("appended");
    }
    assert!(store.stats().expect("readable").segments > 1);
    assert_eq!(events.count(), 1);
}

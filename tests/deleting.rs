//! Settings and deletions of streams: what is shown, what an append may expect, and that every way to read agrees.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use annals::testkit::{Rng, SimDisk};
use annals::{
    Append, AppendError, Deletion, Delivery, Disk, Error, EventStore, ExpectedVersion, ManualClock, Options,
    Position, Query, QueryItem, Read, StreamSettings, Subscribe, Timestamp,
};

use crate::support::*;

fn count(count: u64) -> StreamSettings {
    StreamSettings { max_count: Some(count), ..StreamSettings::default() }
}

fn age(seconds: u64) -> StreamSettings {
    StreamSettings { max_age: Some(Duration::from_secs(seconds)), ..StreamSettings::default() }
}

fn truncate(before: u64) -> StreamSettings {
    StreamSettings { truncate_before: Some(version(before)), ..StreamSettings::default() }
}

fn versions(store: &EventStore, name: &str) -> Vec<u64> {
    let events = read(store, Read::stream(stream(name)));
    events.iter().map(|event| event.stream_version().get()).collect()
}

fn clocked(disk: &SimDisk, clock: &Arc<ManualClock>) -> Options {
    on(disk).clock(clock.clone())
}

fn second(n: i64) -> Timestamp {
    Timestamp::from_nanos(n * 1_000_000_000)
}

/// What each way to read shows, which must be the same: stream and version of each event.
fn shown(store: &EventStore, names: &[&str]) -> Vec<(String, u64)> {
    let of = |events: Vec<annals::RecordedEvent>| -> Vec<(u64, String, u64)> {
        let place = |event: &annals::RecordedEvent| {
            (event.position().get(), event.stream().to_owned(), event.stream_version().get())
        };
        events.iter().map(place).collect()
    };
    let all = of(read(store, Read::all()));
    let mut backward = of(read(store, Read::all().backward()));
    backward.reverse();
    assert_eq!(all, backward, "backward");

    let query =
        Query { items: vec![QueryItem { types: vec!["counted".to_owned()], ..QueryItem::default() }] };
    assert_eq!(all, of(read(store, Read::all().query(query))), "by type");

    let mut of_streams = Vec::new();
    for name in names {
        let follow = |backward: bool| {
            let wanted = Read::stream(stream(name));
            let wanted = if backward { wanted.backward() } else { wanted };
            match store.read(wanted) {
                Err(Error::Gone { .. }) => Vec::new(),
                events => of(events.expect("legal").collect::<Result<_, _>>().expect("whole")),
            }
        };
        let (forward, mut backward) = (follow(false), follow(true));
        backward.reverse();
        assert_eq!(forward, backward, "{name} backward");
        of_streams.extend(forward);
    }
    of_streams.sort_unstable();
    assert_eq!(all, of_streams, "stream by stream");

    let mut delivered = Vec::new();
    let mut subscription = store.subscribe(Subscribe::all()).expect("subscribes");
    while let Some(delivery) = subscription.try_next() {
        if let Delivery::Event(event) = delivery.expect("whole") {
            delivered.push(event);
        }
    }
    assert_eq!(all, of(delivered), "subscribed");
    all.into_iter().map(|(_, name, version)| (name, version)).collect()
}

#[test]
fn only_what_the_settings_of_a_stream_allow_is_shown_and_its_version_stays() {
    let disk = SimDisk::new(1);
    let store = open(on(&disk));
    append(&store, "s", (1..=10).map(event));
    append(&store, "other", [event(11)]);
    store.set_stream(&stream("s"), count(3)).expect("set");
    assert_eq!(versions(&store, "s"), [8, 9, 10]);
    store.set_stream(&stream("s"), truncate(10)).expect("set");
    assert_eq!(versions(&store, "s"), [10]);
    store.set_stream(&stream("s"), truncate(11)).expect("set");
    assert_eq!(versions(&store, "s"), [0_u64; 0], "all are truncated, and the stream is there");
    let info = store.stream(&stream("s")).expect("known").expect("exists");
    assert_eq!((info.version, info.first_version, info.deletion), (version(10), version(11), None));
    assert_eq!(shown(&store, &["s", "other"]), [("other".to_owned(), 1)]);

    let receipt = append(&store, "s", [event(12)]);
    assert_eq!(receipt.streams[0].version, version(11), "versions go on");
    assert_eq!(versions(&store, "s"), [11]);
    store.set_stream(&stream("s"), StreamSettings::default()).expect("set");
    assert_eq!(versions(&store, "s").len(), 11, "nothing is gone for good before a scavenge");
}

#[test]
fn age_is_counted_in_the_time_of_the_log() {
    let (disk, clock) = (SimDisk::new(1), Arc::new(ManualClock::new(second(1000))));
    let store = open(clocked(&disk, &clock));
    for n in 1..=5 {
        clock.set(second(1000 + n * 10));
        append(&store, "s", [event(n as u64)]);
    }
    store.set_stream(&stream("s"), age(20)).expect("set");
    assert_eq!(versions(&store, "s"), [3, 4, 5], "20 s before the newest event at 1050");
    clock.set(second(5000));
    assert_eq!(versions(&store, "s"), [3, 4, 5], "the clock alone hides nothing");
    append(&store, "other", [event(6)]);
    assert_eq!(versions(&store, "s"), [0_u64; 0], "an event of any stream moves the time of the log");
    assert_eq!(shown(&store, &["s", "other"]), [("other".to_owned(), 1)]);
}

#[test]
fn a_deleted_stream_is_gone_until_an_append_makes_it_again() {
    let disk = SimDisk::new(1);
    let store = open(on(&disk));
    append(&store, "s", (1..=3).map(event));
    store.put_snapshot(&stream("s"), version(3), b"three".as_slice().into()).expect("put");
    assert_eq!(store.delete_stream(&stream("s"), ExpectedVersion::Any).expect("deleted"), version(3));
    assert_eq!(store.delete_stream(&stream("s"), ExpectedVersion::Any).expect("is deleted"), version(3));

    let check = |store: &EventStore| {
        let info = store.stream(&stream("s")).expect("known").expect("exists");
        assert_eq!((info.version, info.deletion), (version(3), Some(Deletion::Soft)));
        let gone = store.read(Read::stream(stream("s"))).expect_err("it is gone");
        assert!(
            matches!(gone, Error::Gone { version: at, deletion: Deletion::Soft, .. } if at == version(3))
        );
        assert_eq!(shown(store, &["s"]), []);
        assert_eq!(store.latest_snapshot(&stream("s")).expect("asked"), None);
        assert!(store.streams(Position::START).expect("listed").next().is_none());
    };
    check(&store);
    store.close().expect("closed");
    let store = open(on(&disk));
    check(&store);
    let refused = store.append_to(&stream("s"), ExpectedVersion::Exists, [event(4)]);
    assert!(matches!(refused, Err(AppendError::Conflict { actual, .. }) if actual == version(3)));
    let receipt = store.append_to(&stream("s"), ExpectedVersion::None, [event(4)]).expect("makes it again");
    assert_eq!(receipt.streams[0].version, version(4));
    assert_eq!(versions(&store, "s"), [4]);
    assert_eq!(store.stream(&stream("s")).expect("known").expect("exists").deletion, None);
    let refused = store.append_to(&stream("s"), ExpectedVersion::None, [event(5)]);
    assert!(matches!(refused, Err(AppendError::Conflict { .. })), "it has an event now");
}

#[test]
fn a_stream_that_was_deleted_for_ever_takes_no_event_again() {
    let disk = SimDisk::new(1);
    let store = open(on(&disk));
    append(&store, "s", [event(1)]);
    store.delete_stream_for_ever(&stream("s"), version(1).into()).expect("deleted");
    let check = |store: &EventStore| {
        for expected in [ExpectedVersion::Any, ExpectedVersion::None, version(1).into()] {
            let refused = store.append_to(&stream("s"), expected, [event(2)]);
            assert!(matches!(refused, Err(AppendError::Gone { version: at, .. }) if at == version(1)));
        }
        let beside = Append::to(stream("other"), ExpectedVersion::Any, [event(3)])
            .expecting(stream("s"), ExpectedVersion::Any);
        assert!(matches!(store.append(beside), Err(AppendError::Gone { .. })));
        assert!(matches!(store.set_stream(&stream("s"), count(1)), Err(AppendError::Gone { .. })));
        let again = store.delete_stream(&stream("s"), ExpectedVersion::Any);
        assert!(matches!(again, Err(AppendError::Gone { .. })));
        assert!(matches!(
            store.read(Read::stream(stream("s"))),
            Err(Error::Gone { deletion: Deletion::Hard, .. })
        ));
    };
    check(&store);
    store.close().expect("closed");
    check(&open(on(&disk)));
}

#[test]
fn settings_are_found_again_however_long_ago_they_were_made() {
    let disk = SimDisk::new(1);
    let mut store = open(on(&disk));
    append(&store, "s", (1..=5).map(event));
    store.set_stream(&stream("s"), count(2)).expect("set");
    for segment in 1..5 {
        append(&store, "other", (0..30).map(|n| large_event(n, 2000)));
        store.close().expect("closed");
        store = open(on(&disk));
        assert!(store.stats().expect("counted").segments > segment);
        assert_eq!(versions(&store, "s"), [4, 5]);
        let all = read(&store, Read::all());
        assert!(all[0].stream() == "s" && all[0].stream_version() == version(4));
    }
}

#[test]
fn settings_that_cannot_be_meant_are_refused_with_what_would_be_right() {
    let disk = SimDisk::new(1);
    let store = open(on(&disk));
    append(&store, "s", [event(1)]);
    let refusal = |name: &str, settings| match store.set_stream(&stream(name), settings) {
        Err(AppendError::Invalid { what }) => what,
        other => panic!("{other:?}"),
    };
    assert!(refusal("s", count(0)).contains("delete"));
    assert!(refusal("s", truncate(3)).contains("version 1"));
    let half = StreamSettings { max_age: Some(Duration::from_millis(1500)), ..StreamSettings::default() };
    assert!(refusal("s", half).contains("seconds"));
    assert!(refusal("$settings-s", count(1)).contains("belongs to the store"));
    let missing = store.delete_stream(&stream("never"), ExpectedVersion::Any);
    assert!(matches!(missing, Err(AppendError::Conflict { actual, .. }) if actual == version(0)));
    let stale = store.delete_stream(&stream("s"), version(7).into());
    assert!(matches!(stale, Err(AppendError::Conflict { actual, .. }) if actual == version(1)));
    assert_eq!(store.head(), Position::new(1), "nothing was written");
}

#[test]
fn what_is_not_shown_breaks_no_condition() {
    let disk = SimDisk::new(1);
    let store = open(on(&disk));
    append(&store, "s", (1..=3).map(event));
    let unless = |query: Query| {
        let append = Append::to(stream("t"), ExpectedVersion::Any, [event(9)]);
        store.append(append.fail_if_events_match(query, Position::START))
    };
    let in_s = || Query::from(QueryItem { streams: vec!["s".to_owned()], ..QueryItem::default() });
    assert!(matches!(unless(in_s()), Err(AppendError::Matched { position, .. }) if position.get() == 1));
    store.set_stream(&stream("s"), count(1)).expect("set");
    assert!(matches!(unless(in_s()), Err(AppendError::Matched { position, .. }) if position.get() == 3));
    store.delete_stream(&stream("s"), ExpectedVersion::Any).expect("deleted");
    unless(in_s()).expect("nothing matches any more");
}

#[test]
fn a_subscriber_is_told_of_what_it_does_not_get() {
    let disk = SimDisk::new(1);
    let store = open(on(&disk));
    append(&store, "s", (1..=5).map(event));
    append(&store, "t", (6..=7).map(event));
    store.set_stream(&stream("s"), count(2)).expect("set");
    let deliveries = |subscribe: Subscribe| {
        let mut subscription = store.subscribe(subscribe).expect("subscribes");
        let mut told = Vec::new();
        while let Some(delivery) = subscription.try_next() {
            told.push(match delivery.expect("whole") {
                Delivery::Event(event) => format!("{}", event.position()),
                Delivery::Skipped { from, to } => format!("skipped {from}-{to}"),
                Delivery::CaughtUp(at) => format!("caught up {at}"),
                other => format!("{other:?}"),
            });
        }
        told
    };
    assert_eq!(deliveries(Subscribe::all()), ["skipped 1-3", "4", "5", "6", "7", "caught up 8"]);
    assert_eq!(deliveries(Subscribe::stream(stream("s"))), ["skipped 1-3", "4", "5", "caught up 8"]);
    let from_two = Subscribe::stream(stream("s")).after(Position::new(2));
    assert_eq!(deliveries(from_two), ["skipped 3-3", "4", "5", "caught up 8"]);
    assert_eq!(
        deliveries(Subscribe::stream(stream("s")).after_version(version(3))),
        ["4", "5", "caught up 8"]
    );
    store.delete_stream(&stream("s"), ExpectedVersion::Any).expect("deleted");
    assert_eq!(deliveries(Subscribe::stream(stream("s"))), ["skipped 1-9", "caught up 9"]);
    let mut follower = store.subscribe(Subscribe::stream(stream("s"))).expect("subscribes");
    while follower.try_next().is_some() {}
    append(&store, "s", [event(8)]);
    assert!(
        matches!(follower.try_next(), Some(Ok(Delivery::Event(event))) if event.stream_version() == version(6))
    );
}

/// What a stream is, as a model that knows every event says it.
#[derive(Default)]
struct Modelled {
    times: Vec<i64>,
    settings: StreamSettings,
    deleted_through: u64,
}

impl Modelled {
    fn shown(&self, newest: i64) -> Vec<u64> {
        let head = self.times.len() as u64;
        let first = self.settings.truncate_before.map_or(1, |version| version.get());
        let first = first.max(self.deleted_through + 1);
        let first =
            self.settings.max_count.map_or(first, |count| first.max((head + 1).saturating_sub(count)));
        let since = self.settings.max_age.map_or(i64::MIN, |age| newest - age.as_secs() as i64);
        (first..=head).filter(|version| self.times[*version as usize - 1] >= since).collect()
    }
}

#[test]
fn every_way_to_read_shows_what_a_model_shows_before_and_after_reopening() {
    let names = ["a", "b-1", "b-2", "c"];
    for seed in 1..=setting("ANNALS_DELETING_SEEDS", 30) {
        let (disk, clock) = (SimDisk::new(seed), Arc::new(ManualClock::new(second(1000))));
        let mut store = open(clocked(&disk, &clock));
        let mut rng = Rng::new(seed);
        let mut model: BTreeMap<&str, Modelled> = BTreeMap::new();
        let mut newest = 1000;
        for step in 0..60_u64 {
            let name = names[rng.below(names.len() as u64) as usize];
            newest += rng.below(5) as i64;
            clock.set(second(newest));
            let of = model.entry(name).or_default();
            let head = of.times.len() as u64;
            match rng.below(10) {
                0..=5 => {
                    let events = 1 + rng.below(6);
                    append(&store, name, (0..events).map(|n| large_event(step * 10 + n, 2000)));
                    of.times.extend((0..events).map(|_| newest));
                }
                6 | 7 => {
                    let settings = match rng.below(4) {
                        0 => count(1 + rng.below(5)),
                        1 => age(1 + rng.below(60)),
                        2 => truncate(rng.below(head + 2)),
                        _ => StreamSettings::default(),
                    };
                    store.set_stream(&stream(name), settings).expect("set");
                    of.settings = settings;
                }
                8 if head > 0 => {
                    store.delete_stream(&stream(name), ExpectedVersion::Any).expect("deleted");
                    of.deleted_through = head;
                }
                _ => {
                    store.close().expect("closed");
                    if rng.below(2) == 0 {
                        for path in
                            disk.paths().iter().filter(|path| path.extension().is_some_and(|of| of == "idx"))
                        {
                            disk.remove(path).expect("is there");
                        }
                    }
                    store = open(clocked(&disk, &clock));
                }
            }
            // The time of the log is that of its newest event, whichever it is.
            let last = read(&store, Read::all().system(true).backward().limit(1));
            let now = last.first().map_or(0, |event| event.recorded_at().as_nanos() / 1_000_000_000);
            let mut wanted: Vec<(String, u64)> = Vec::new();
            for (name, of) in &model {
                wanted.extend(of.shown(now).into_iter().map(|version| ((*name).to_owned(), version)));
            }
            let mut found = shown(&store, &names);
            found.sort();
            assert_eq!(found, wanted, "seed {seed}, step {step}");
        }
    }
}

#[test]
fn what_is_imported_again_after_a_deletion_is_there_again() {
    let disk = SimDisk::new(1);
    let store = open(on(&disk));
    let import = || {
        let mut importer = store.import();
        for n in 1..=3 {
            let id = annals::EventId::parse(&format!("e-{n}")).expect("legal");
            importer.push(stream("s"), event(n).id(id)).expect("taken");
        }
        importer.finish().expect("imported")
    };
    import();
    import();
    assert_eq!(versions(&store, "s"), [1, 2, 3], "once");
    store.delete_stream(&stream("s"), ExpectedVersion::Any).expect("deleted");
    import();
    assert_eq!(versions(&store, "s"), [4, 5, 6]);
    import();
    assert_eq!(versions(&store, "s"), [4, 5, 6], "once");
    store.set_stream(&stream("s"), count(1)).expect("set");
    import();
    assert_eq!(
        store.stream(&stream("s")).expect("asked").expect("exists").version,
        version(6),
        "what is hidden is there"
    );
}

#[test]
fn an_append_that_makes_a_stream_again_is_known_when_it_is_repeated() {
    let disk = SimDisk::new(1);
    let store = open(on(&disk));
    let named = |id: &str, n| event(n).id(annals::EventId::parse(id).expect("legal"));
    let make = |expected| store.append_to(&stream("s"), expected, [named("a", 1)]).expect("made");
    assert_eq!(make(ExpectedVersion::None).streams[0].version, version(1));
    store.delete_stream(&stream("s"), ExpectedVersion::Any).expect("deleted");
    let again = make(ExpectedVersion::None);
    assert_eq!(
        (again.streams[0].version, again.repeated),
        (version(2), false),
        "another life, another event"
    );
    for expected in [ExpectedVersion::None, ExpectedVersion::Any] {
        let repeat = make(expected);
        assert_eq!((repeat.streams[0].version, repeat.repeated), (version(2), true));
    }
}

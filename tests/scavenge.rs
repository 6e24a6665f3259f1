//! Scavenging: what is shown stays as it was, versions never begin again, space comes back, and a crash at any moment leaves
//! a whole store.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use annals::testkit::{Rng, SimDisk};
use annals::{
    Cursor, Delivery, Disk, Error, EventStore, ExpectedVersion, ManualClock, Options, Position, Query,
    QueryItem, Read, Retention, Salvage, Scavenge, StreamSettings, Subscribe, Timestamp, VerifyReport,
};

use crate::support::*;

const NAMES: [&str; 6] = ["a", "b-1", "b-2", "c", "d", "kept"];

/// Everything that every kind of read shows, and where every stream stands.
#[derive(Debug, PartialEq)]
struct Seen {
    events: Vec<(u64, String, u64, u64)>,
    versions: Vec<(&'static str, Option<u64>)>,
    subscribed: Vec<String>,
}

fn seen(store: &EventStore) -> Seen {
    let of = |events: &[annals::RecordedEvent]| -> Vec<(u64, String, u64, u64)> {
        let of = |event: &annals::RecordedEvent| {
            let place = (event.position().get(), event.stream_version().get());
            (place.0, event.stream().to_owned(), place.1, n_of(event))
        };
        events.iter().map(of).collect()
    };
    let events = of(&read(store, Read::all()));
    let mut backward = of(&read(store, Read::all().backward()));
    backward.reverse();
    assert_eq!(events, backward, "backward");
    let query = Query::from(QueryItem { types: vec!["counted".to_owned()], ..QueryItem::default() });
    assert_eq!(events, of(&read(store, Read::all().query(query))), "by type");
    for name in NAMES {
        let wanted: Vec<_> = events.iter().filter(|event| event.1 == name).cloned().collect();
        for backward in [false, true] {
            let request = Read::stream(stream(name));
            let request = if backward { request.backward() } else { request };
            let mut found = match store.read(request) {
                Err(Error::Gone { .. }) => Vec::new(),
                found => of(&found.expect("legal").collect::<Result<Vec<_>, _>>().expect("whole")),
            };
            if backward {
                found.reverse();
            }
            assert_eq!(found, wanted, "{name}");
        }
        for (_, _, version_, _) in &wanted {
            let one = Read::stream(stream(name)).from(version(*version_)).limit(1);
            assert_eq!(read(store, one)[0].stream_version().get(), *version_);
        }
    }
    let mut subscribed = Vec::new();
    let mut subscription = store.subscribe(Subscribe::all()).expect("subscribes");
    let mut expected = 1;
    while let Some(delivery) = subscription.try_next() {
        match delivery.expect("whole") {
            Delivery::Event(event) if event.is_system() => expected = event.position().get() + 1,
            Delivery::Event(event) => {
                subscribed.push(format!("event {}", event.position()));
                expected = event.position().get() + 1;
            }
            Delivery::Skipped { from, to } => {
                assert!(from.get() >= expected && to >= from, "skipped {from} to {to}, expected {expected}");
                expected = to.get() + 1;
            }
            _ => {}
        }
    }
    assert_eq!(subscribed.len(), events.len());
    let version_of = |name: &&'static str| {
        let info = store.stream(&stream(name)).expect("can be asked");
        (*name, info.map(|info| info.version.get()))
    };
    Seen { events, versions: NAMES.iter().map(version_of).collect(), subscribed }
}

fn second(n: i64) -> Timestamp {
    Timestamp::from_nanos(n * 1_000_000_000)
}

/// A store of several segments in which much is no longer shown.
fn worn(disk: &SimDisk, clock: &Arc<ManualClock>, seed: u64) -> EventStore {
    let store = open(on(disk).clock(clock.clone()));
    let mut rng = Rng::new(seed);
    for n in 0..90_u64 {
        clock.set(second(1000 + n as i64));
        let name = NAMES[rng.below(NAMES.len() as u64) as usize];
        append(&store, name, (0..1 + rng.below(4)).map(|more| large_event(n * 10 + more, 1500)));
    }
    let settings = StreamSettings::default();
    store.set_stream(&stream("a"), StreamSettings { max_count: Some(2), ..settings }).expect("set");
    let age = Some(Duration::from_secs(20));
    store.set_stream(&stream("b-1"), StreamSettings { max_age: age, ..settings }).expect("set");
    let head = store.stream(&stream("b-2")).expect("asked").expect("exists").version;
    store
        .set_stream(&stream("b-2"), StreamSettings { truncate_before: Some(head.next()), ..settings })
        .expect("set");
    store.delete_stream(&stream("c"), ExpectedVersion::Any).expect("deleted");
    store.delete_stream_for_ever(&stream("d"), ExpectedVersion::Any).expect("deleted");
    // The last segment is never rewritten: go on into another.
    append(&store, "kept", (900..940).map(|n| large_event(n, 2000)));
    store
}

fn remove_indexes(disk: &SimDisk) {
    for path in disk.paths().iter().filter(|path| path.extension().is_some_and(|of| of == "idx")) {
        disk.remove(path).expect("is there");
    }
}

/// The bytes of all segment files.
fn log_bytes(disk: &SimDisk) -> usize {
    let paths = disk.paths();
    let segments = paths.iter().filter(|path| path.extension().is_some_and(|of| of == "seg"));
    segments.map(|path| disk.read(path).expect("is there").len()).sum()
}

fn check_verified(options: &Options) {
    let report = VerifyReport::deep(options).expect("can be read");
    assert!(report.faults.is_empty(), "{:?}", report.faults);
}

#[test]
fn what_is_shown_is_the_same_after_a_scavenge_and_versions_go_on() {
    for seed in 1..=setting("ANNALS_SCAVENGE_SEEDS", 10) {
        let (disk, clock) = (SimDisk::new(seed), Arc::new(ManualClock::new(second(1000))));
        let store = worn(&disk, &clock, seed);
        let before = seen(&store);
        let old_reader = store.read(Read::all()).expect("legal");

        let tried = store.scavenge(&Scavenge::new().everything(true).dry_run(true)).expect("can be read");
        assert_eq!(seen(&store), before, "a dry run changes nothing");
        let done = store.scavenge(&Scavenge::new().everything(true)).expect("done");
        assert_eq!(
            (tried.removed, tried.bytes_before, tried.bytes_after),
            (done.removed, done.bytes_before, done.bytes_after)
        );
        assert!(done.rewritten > 0 && done.removed > 0 && done.is_finished, "{done:?}");
        assert_eq!(seen(&store), before, "seed {seed}");
        let old: Vec<_> = old_reader.collect::<Result<_, _>>().expect("is still readable");
        assert_eq!(old.len(), before.events.len());
        let again = store.scavenge(&Scavenge::new().everything(true)).expect("done");
        assert_eq!((again.removed, again.rewritten), (0, 0), "nothing is left to do");
        assert_eq!(again.bytes_before, done.bytes_after, "it had said what would be left");

        store.close().expect("closed");
        check_verified(&on(&disk));
        let store = open(on(&disk).clock(clock.clone()));
        assert_eq!(seen(&store), before, "reopened");
        store.close().expect("closed");
        remove_indexes(&disk);
        let store = open(on(&disk).clock(clock.clone()));
        assert_eq!(seen(&store), before, "without indexes");
        check_verified(&on(&disk));
        for (name, stands) in before.versions.iter().filter(|(name, _)| *name != "d") {
            let receipt = append(&store, name, [event(1)]);
            assert_eq!(receipt.streams[0].version.get(), stands.unwrap_or(0) + 1, "{name}");
        }
    }
}

#[test]
fn a_scavenge_of_a_scavenged_store_takes_what_expired_since() {
    let (disk, clock) = (SimDisk::new(3), Arc::new(ManualClock::new(second(1000))));
    let store = worn(&disk, &clock, 3);
    store.scavenge(&Scavenge::new().everything(true)).expect("done");
    let head = store.stream(&stream("kept")).expect("asked").expect("exists").version;
    let newest = StreamSettings { max_count: Some(1), ..StreamSettings::default() };
    store.set_stream(&stream("kept"), newest).expect("set");
    append(&store, "a", (0..40).map(|n| large_event(n, 2000)));
    store.delete_stream(&stream("b-1"), ExpectedVersion::Any).expect("deleted");
    let before = seen(&store);
    let done = store.scavenge(&Scavenge::new().everything(true)).expect("done");
    assert!(done.removed > 30, "{done:?}");
    assert_eq!(seen(&store), before);
    store.close().expect("closed");
    remove_indexes(&disk);
    check_verified(&on(&disk));
    let store = open(on(&disk).clock(clock));
    assert_eq!(seen(&store), before);
    assert_eq!(store.stream(&stream("kept")).expect("asked").expect("exists").version, head);
    assert_eq!(append(&store, "b-2", [event(1)]).streams[0].events.len(), 1);
}

#[test]
fn a_crash_at_any_moment_of_a_scavenge_leaves_a_whole_store() {
    let (disk, clock) = (SimDisk::new(7), Arc::new(ManualClock::new(second(1000))));
    let store = worn(&disk, &clock, 7);
    let before = seen(&store);
    disk.record();
    store.scavenge(&Scavenge::new()).expect("done");
    let moments = disk.moments();
    assert!(moments.len() > 20, "{} moments", moments.len());
    let seeds: Vec<u64> = (1..=setting("ANNALS_SCAVENGE_CRASHES", 4)).collect();
    let checked: Vec<(usize, u64)> =
        (0..moments.len()).flat_map(|at| seeds.iter().map(move |seed| (at, *seed))).collect();
    on_all_processors(&checked, |(at, seed)| {
        let disk = moments[*at].crash(*seed);
        let store = open(on(&disk).clock(clock.clone()));
        assert_eq!(seen(&store), before, "moment {at}, seed {seed}");
        store.scavenge(&Scavenge::new()).expect("goes on");
        assert_eq!(seen(&store), before, "moment {at}, seed {seed}, after another scavenge");
    });
    say(&format!("{} crashes", checked.len()));
}

#[test]
fn a_scavenge_whose_disk_fails_changes_nothing_that_is_shown() {
    let (disk, clock) = (SimDisk::new(9), Arc::new(ManualClock::new(second(1000))));
    let store = worn(&disk, &clock, 9);
    let before = seen(&store);
    store.close().expect("closed");
    let mut failed = 0;
    for operation in 1.. {
        let disk = disk.crash_keeping_all();
        let store = open(on(&disk).clock(clock.clone()));
        let from = disk.operations();
        disk.fail_operation(from + operation, annals::testkit::Fault::Error(std::io::ErrorKind::Other));
        let done = store.scavenge(&Scavenge::new());
        let has_failed = disk.failures() > 0;
        disk.fail_no_more();
        assert_eq!(seen(&store), before, "operation {operation}: {done:?}");
        append(&store, "a", [event(1)]);
        if !has_failed {
            break;
        }
        failed += 1;
    }
    assert!(failed > 10, "{failed} operations failed");
}

#[test]
fn a_scavenge_can_be_interrupted_between_segments_and_goes_on_later() {
    let (disk, clock) = (SimDisk::new(5), Arc::new(ManualClock::new(second(1000))));
    let store = worn(&disk, &clock, 5);
    let before = seen(&store);
    let first = store.scavenge_while(&Scavenge::new(), |_| ControlFlow::Break(())).expect("begun");
    assert!(!first.is_finished && first.segments == 1, "{first:?}");
    assert_eq!(seen(&store), before);
    let rest = store.scavenge(&Scavenge::new()).expect("done");
    assert!(rest.is_finished && rest.rewritten > 0, "{rest:?}");
    assert_eq!(seen(&store), before);
}

#[test]
fn damaged_segments_are_left_as_they_are_and_named() {
    let (disk, clock) = (SimDisk::new(6), Arc::new(ManualClock::new(second(1000))));
    let store = worn(&disk, &clock, 6);
    store.close().expect("closed");
    let path = Path::new("store/log/0000000001.seg");
    disk.flip_bit(path, 20_000 * 8).expect("is there");
    let bytes = disk.read(path).expect("is there");
    let store = open(on(&disk).clock(clock));
    let done = store.scavenge(&Scavenge::new()).expect("goes on behind it");
    assert!(matches!(&done.damaged[..], [Error::Damaged { path: named, .. }] if named == path), "{done:?}");
    assert!(done.rewritten > 0);
    assert_eq!(disk.read(path).expect("is there"), bytes);
}

#[test]
fn old_segments_are_dropped_and_the_store_remembers_where_its_streams_stood() {
    let clock = Arc::new(ManualClock::new(second(1000)));
    for retention in [
        Retention { max_bytes: Some(3 * SMALL), ..Retention::default() },
        Retention { max_age: Some(Duration::from_secs(30)), ..Retention::default() },
    ] {
        let disk = SimDisk::new(2);
        clock.set(second(1000));
        let options = || on(&disk).clock(clock.clone()).retention(retention);
        let store = open(options());
        for n in 0..100 {
            clock.set(second(1000 + n as i64));
            append(&store, &format!("s-{n}"), [large_event(n, 4000)]);
            append(&store, "long", [large_event(n, 1000)]);
        }
        store.delete_stream(&stream("s-1"), ExpectedVersion::Any).expect("deleted");
        let before = log_bytes(&disk);
        let done = store.scavenge(&Scavenge::new()).expect("done");
        let after = log_bytes(&disk);
        assert!(done.removed > 50 && after < before * 2 / 3, "{retention:?}: {done:?}, {before} to {after}");
        let check = |store: &EventStore| {
            let first = read(store, Read::all().limit(1))[0].position();
            assert!(first > Position::new(50), "{first}");
            let gone = store.stream(&stream("s-0")).expect("asked").expect("is remembered");
            assert_eq!((gone.version, gone.first_version), (version(1), version(2)));
            let long = read(store, Read::stream(stream("long")));
            assert_eq!(long.last().expect("has some").stream_version(), version(100));
            let refused = store.append_to(&stream("s-0"), ExpectedVersion::None, [event(1)]);
            assert!(refused.is_err(), "it has been there");
            let mut subscription = store.subscribe(Subscribe::all()).expect("subscribes");
            let told = subscription.next().expect("something").expect("whole");
            assert_eq!(told, Delivery::Skipped { from: Position::new(1), to: first.previous() });
            let deleted = store.stream(&stream("s-1")).expect("asked").expect("is remembered");
            assert!(deleted.deletion.is_some());
        };
        check(&store);
        store.close().expect("closed");
        remove_indexes(&disk);
        check_verified(&options());
        let store = open(options());
        check(&store);
        assert_eq!(append(&store, "s-0", [event(1)]).streams[0].version, version(2));
    }
}

#[test]
fn a_salvage_of_a_scavenged_store_keeps_versions_and_calls_nothing_lost() {
    let (disk, clock) = (SimDisk::new(8), Arc::new(ManualClock::new(second(1000))));
    let store = worn(&disk, &clock, 8);
    store.scavenge(&Scavenge::new().everything(true)).expect("done");
    let before = seen(&store);
    store.close().expect("closed");
    let report = Salvage::of(&on(&disk)).copy_to("new").expect("done");
    assert_eq!((report.lost, report.streams_changed, report.faults), (0, 0, 0), "{report:?}");
    let new = || Options::new("new").disk(Arc::new(disk.clone())).segment_bytes(SMALL).background(false);
    check_verified(&new());
    let store = open(new().clock(clock));
    assert_eq!(seen(&store), before);
}

#[test]
fn cursors_and_snapshots_know_their_events_again_wherever_a_scavenge_puts_them() {
    let disk = SimDisk::new(4);
    let store = open(on(&disk));
    append(&store, "s", (1..=6).map(|n| large_event(n, 1000)));
    let cursor = Cursor::at(&store, Position::new(5)).expect("is there");
    store.put_snapshot(&stream("s"), version(5), b"five".as_slice().into()).expect("put");
    store.put_snapshot(&stream("s"), version(3), b"three".as_slice().into()).expect("put");
    let truncated =
        |before| StreamSettings { truncate_before: Some(version(before)), ..StreamSettings::default() };
    store.set_stream(&stream("s"), truncated(4)).expect("set");
    append(&store, "other", (0..40).map(|n| large_event(n, 2000)));
    let done = store.scavenge(&Scavenge::new().everything(true)).expect("done");
    assert_eq!(done.removed, 3, "half of one append");
    cursor.check(&store).expect("its event has moved within its frame");
    let newest =
        |store: &EventStore| store.latest_snapshot(&stream("s")).expect("asked").map(|found| found.version);
    assert_eq!(newest(&store), Some(version(5)));

    store.set_stream(&stream("s"), truncated(7)).expect("set");
    store.scavenge(&Scavenge::new().everything(true)).expect("done");
    assert_eq!(newest(&store), Some(version(5)), "its event is gone, and the history is the same");
    cursor.check(&store).expect("nothing says otherwise");
}

#[test]
fn a_store_of_which_nine_tenths_expired_gives_back_nearly_as_much() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(Options::new(dir.path()).segment_bytes(1 << 20));
    for n in 0..2000_u64 {
        append(&store, &format!("order-{}", n / 10), [large_event(n, 3000)]);
    }
    let newest = StreamSettings { max_count: Some(1), ..StreamSettings::default() };
    for n in 0..200 {
        store.set_stream(&stream(&format!("order-{n}")), newest).expect("set");
    }
    append(&store, "last", (0..300).map(|n| large_event(n, 3800)));
    let done = store.scavenge(&Scavenge::new()).expect("done");
    let won = (done.bytes_before - done.bytes_after) * 100 / done.bytes_before;
    say(&format!("{} of {} bytes won, {won} %", done.bytes_before - done.bytes_after, done.bytes_before));
    assert!(won >= 85, "{done:?}");
}

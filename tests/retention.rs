//! Retention under attack: names as long as they may be, readers and writers beside it, restores into what it has removed,
//! and streams made again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use annals::testkit::SimDisk;
use annals::{
    Append, Delivery, EventId, EventStore, ExpectedVersion, Options, Position, Query, QueryItem, Read,
    Restore, Retention, Scavenge, StreamSettings, Subscribe, VerifyReport,
};

use crate::support::*;

fn newest(count: u64) -> StreamSettings {
    StreamSettings { max_count: Some(count), ..StreamSettings::default() }
}

fn truncated(before: u64) -> StreamSettings {
    StreamSettings { truncate_before: Some(version(before)), ..StreamSettings::default() }
}

/// Lets the log go on in another segment.
fn roll(store: &EventStore) {
    append(store, "filler", (0..40).map(|n| large_event(n, 2000)));
}

fn scavenge(store: &EventStore) {
    let done = store.scavenge(&Scavenge::new().everything(true)).expect("done");
    assert!(done.damaged.is_empty(), "{done:?}");
}

fn version_of(store: &EventStore, name: &str) -> u64 {
    store.stream(&stream(name)).expect("asked").map_or(0, |info| info.version.get())
}

fn check_verified(options: &Options) {
    let report = VerifyReport::deep(options).expect("can be read");
    assert!(report.faults.is_empty(), "{:?}", report.faults);
}

#[test]
fn streams_that_share_a_stream_of_settings_keep_theirs_apart_after_a_scavenge() {
    // Behind the prefix, the first of them is cut within a character, so that the name is a byte shorter than it may be.
    for common in ["x".repeat(244) + "ü", "x".repeat(245), "x".repeat(243) + "€"] {
        let names = ["a", "b"].map(|end| format!("{common}{end}"));
        let disk = SimDisk::new(1);
        let store = open(on(&disk));
        for name in &names {
            append(&store, name, (1..=9).map(event));
        }
        store.set_stream(&stream(&names[1]), newest(7)).expect("set");
        store.set_stream(&stream(&names[0]), newest(5)).expect("set");
        store.set_stream(&stream(&names[0]), newest(4)).expect("set");
        roll(&store);
        scavenge(&store);
        store.set_stream(&stream(&names[1]), newest(3)).expect("set again");
        store.set_stream(&stream(&names[0]), newest(2)).expect("set again");
        for (name, count) in names.iter().zip([2, 3]) {
            assert_eq!(read(&store, Read::stream(stream(name))).len(), count);
        }
        roll(&store);
        scavenge(&store);
        store.close().expect("closed");
        check_verified(&on(&disk));
        let store = open(on(&disk));
        for (name, count) in names.iter().zip([2, 3]) {
            assert_eq!(read(&store, Read::stream(stream(name))).len(), count);
        }
    }
}

#[test]
fn a_store_restored_to_before_the_event_that_outlived_the_others_does_not_begin_versions_again() {
    let disk = SimDisk::new(2);
    let store = open(on(&disk));
    append(&store, "s", (1..=5).map(event));
    roll(&store);
    let before = store.head();
    append(&store, "s", [event(6)]);
    store.set_stream(&stream("s"), truncated(6)).expect("set");
    roll(&store);
    scavenge(&store);
    store.back_up("backup").expect("backed up");
    let restore = Restore::from("backup").disk(Arc::new(disk.clone())).until(before);
    assert_eq!(restore.to("restored").expect("restored").position, before);
    let options =
        Options::new("restored").disk(Arc::new(disk.clone())).segment_bytes(SMALL).background(false);
    let restored = open(options);
    assert_eq!(version_of(&restored, "s"), 5);
    assert_eq!(append(&restored, "s", [event(6)]).streams[0].version, version(6));
}

#[test]
fn a_subscriber_to_a_query_is_told_of_what_was_removed() {
    let disk = SimDisk::new(3);
    let store = open(on(&disk).retention(Retention { max_bytes: Some(SMALL), ..Retention::default() }));
    for _ in 0..10 {
        roll(&store);
    }
    scavenge(&store);
    let query = Query::from(QueryItem { types: vec!["counted".to_owned()], ..QueryItem::default() });
    for subscribe in [Subscribe::all(), Subscribe::all().query(query), Subscribe::stream(stream("filler"))] {
        let first = read(&store, Read::all().limit(1))[0].position();
        assert!(first > Position::new(1));
        for after in [0, first.get() / 2] {
            let mut subscription =
                store.subscribe(subscribe.clone().after(Position::new(after))).expect("subscribes");
            let told = subscription.try_next().expect("something").expect("whole");
            let wanted = Delivery::Skipped { from: Position::new(after + 1), to: first.previous() };
            assert_eq!(told, wanted, "{subscribe:?}");
            let next = subscription.try_next().expect("something").expect("whole");
            assert!(matches!(next, Delivery::Event(event) if event.position() == first));
        }
    }
}

#[test]
fn an_append_that_made_a_deleted_stream_again_is_known_again() {
    let disk = SimDisk::new(4);
    let store = open(on(&disk).repeat_window(0));
    append(&store, "s", (1..=3).map(event));
    store.delete_stream(&stream("s"), ExpectedVersion::Any).expect("deleted");
    let with_id = |n| event(n).id(EventId::parse(&format!("id-{n}")).expect("legal"));
    let again = || store.append_to(&stream("s"), ExpectedVersion::None, [with_id(4)]);
    let first = again().expect("appended");
    let second = again().expect("is a repeat");
    assert!(second.repeated);
    assert_eq!((second.position, second.streams[0].version), (first.position, version(4)));
}

#[test]
fn a_read_that_has_begun_goes_on_as_it_began() {
    let disk = SimDisk::new(5);
    let store = open(on(&disk));
    append(&store, "other", [event(0)]);
    store.set_stream(&stream("other"), newest(1)).expect("set");
    append(&store, "s", (1..=600).map(event));
    for request in [
        Read::all(),
        Read::stream(stream("s")),
        Read::all()
            .query(Query::from(QueryItem { types: vec!["counted".to_owned()], ..QueryItem::default() })),
    ] {
        let of_s = |event: &annals::RecordedEvent| event.stream() == "s";
        let mut begun =
            store.read(request.clone()).expect("legal").map(|event| event.expect("whole")).filter(of_s);
        let first = begun.next().expect("has one").stream_version();
        store.set_stream(&stream("s"), newest(1)).expect("set");
        assert_eq!((first.get(), begun.count()), (1, 599), "{request:?}");
        assert_eq!(read(&store, request).into_iter().filter(of_s).count(), 1);
        store.set_stream(&stream("s"), StreamSettings::default()).expect("set");
    }
}

#[test]
fn a_stream_that_shows_its_newest_event_shows_one_while_it_grows() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(Options::new(dir.path()));
    append(&store, "s", [event(0)]);
    store.set_stream(&stream("s"), newest(1)).expect("set");
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for n in 1.. {
                if is_over.load(Ordering::Relaxed) {
                    return;
                }
                append(&store, "s", [event(n)]);
            }
        });
        let check = || {
            for _ in 0..3000 {
                let found = read(&store, Read::stream(stream("s")));
                if found.len() != 1 {
                    return Err(format!("{} events", found.len()));
                }
                let info = store.stream(&stream("s")).expect("asked").expect("exists");
                if info.first_version != info.version {
                    return Err(format!("{} of {}", info.first_version, info.version));
                }
            }
            Ok(())
        };
        let checked = check();
        is_over.store(true, Ordering::Relaxed);
        assert_eq!(checked, Ok(()));
    });
}

#[test]
fn a_reader_beside_a_writer_that_scavenges_opens_and_reads_what_is_shown() {
    let dir = tempfile::tempdir().expect("a directory");
    let options = || Options::new(dir.path()).segment_bytes(SMALL);
    let store = open(options());
    append(&store, "first", [event(1)]);
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for n in 1..60_u64 {
                append(&store, &format!("s-{}", n % 3), (0..20).map(|more| large_event(n * 100 + more, 900)));
                store.set_stream(&stream(&format!("s-{}", n % 3)), newest(1 + n % 5)).expect("set");
                scavenge(&store);
            }
            is_over.store(true, Ordering::Relaxed);
        });
        let mut failed = None;
        while !is_over.load(Ordering::Relaxed) && failed.is_none() {
            let found = EventStore::open(options().read_only(true)).map(|reader| {
                let found: Result<Vec<_>, _> = reader.read(Read::all()).expect("legal").collect();
                found.map(|events| events.len())
            });
            match found {
                Ok(Ok(events)) if events > 0 => {}
                found => failed = Some(format!("{found:?}")),
            }
        }
        assert_eq!(failed, None);
    });
}

#[test]
fn a_stream_that_was_deleted_made_again_and_scavenged_is_salvaged_as_it_stood() {
    let disk = SimDisk::new(6);
    let store = open(on(&disk));
    append(&store, "s", (1..=5).map(event));
    append(&store, "gone", (1..=5).map(event));
    roll(&store);
    store.delete_stream(&stream("s"), ExpectedVersion::Any).expect("deleted");
    store.delete_stream_for_ever(&stream("gone"), ExpectedVersion::Any).expect("deleted");
    append(&store, "s", [event(6)]);
    roll(&store);
    scavenge(&store);
    store.close().expect("closed");
    let report = annals::Salvage::of(&on(&disk)).copy_to("new").expect("done");
    assert_eq!((report.lost, report.streams_changed, report.faults), (0, 0, 0), "{report:?}");
    let store = open(Options::new("new").disk(Arc::new(disk.clone())).segment_bytes(SMALL).background(false));
    let found = read(&store, Read::stream(stream("s")));
    assert_eq!(found.iter().map(|event| event.stream_version().get()).collect::<Vec<_>>(), [6]);
    let refused = store.append(Append::to(stream("gone"), ExpectedVersion::Any, [event(1)]));
    assert!(matches!(refused, Err(annals::AppendError::Gone { version, .. }) if version.get() == 5));
}

#[test]
fn settings_of_a_stream_that_lost_events_hide_no_more_after_a_salvage() {
    let disk = SimDisk::new(7);
    let store = open(on(&disk));
    for n in 1..=6 {
        append(&store, "s", [event(n)]);
    }
    append(&store, "t", (1..=3).map(event));
    store.set_stream(&stream("s"), truncated(5)).expect("set");
    store.delete_stream(&stream("t"), ExpectedVersion::Any).expect("deleted");
    append(&store, "t", [event(4)]);
    append(&store, "s", [event(7)]);
    store.close().expect("closed");
    let path = std::path::Path::new("store/log/0000000001.seg");
    let bytes = disk.read(path).expect("is there");
    for lost in [2, 3] {
        let text = format!("{{\"n\":{lost}}}");
        let at = bytes.windows(text.len()).position(|window| window == text.as_bytes()).expect("is stored");
        disk.flip_bit(path, (at as u64 + 5) * 8).expect("is there");
    }
    let report = annals::Salvage::of(&on(&disk)).copy_to("new").expect("done");
    assert_eq!(report.lost, 2, "{report:?}");
    let options = Options::new("new").disk(Arc::new(disk.clone())).segment_bytes(SMALL).background(false);
    let store = open(options);
    let numbers = |name: &str| -> Vec<String> {
        let events = read(&store, Read::stream(stream(name)));
        events.iter().map(|event| String::from_utf8_lossy(event.data()).into_owned()).collect()
    };
    assert_eq!(numbers("s"), [r#"{"n":5}"#, r#"{"n":6}"#, r#"{"n":7}"#], "as it was shown before");
    assert_eq!(numbers("t"), [r#"{"n":4}"#]);
}

//! Backups: a prefix of the log at every moment, taken under load, brought up to date, restored to any position.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use annals::testkit::SimDisk;
use annals::{
    Error, EventStore, ExpectedVersion, OpenError, Options, Position, Read, RecordedEvent, Restore, Scavenge,
    StreamSettings, Subscribe, VerifyReport,
};

use crate::support::*;

fn at(disk: &SimDisk, dir: &str) -> Options {
    Options::new(dir).disk(Arc::new(disk.clone())).segment_bytes(SMALL).background(false)
}

fn restore(disk: &SimDisk) -> Restore {
    Restore::from("backup").disk(Arc::new(disk.clone()))
}

fn filled(disk: &SimDisk, events: u64) -> EventStore {
    let store = open(on(disk));
    fill(&store, 0..events);
    store
}

fn fill(store: &EventStore, numbers: std::ops::Range<u64>) {
    for n in numbers {
        append(store, &format!("s-{}", n % 7), [large_event(n, 900), large_event(n + 1_000_000, 900)]);
    }
}

/// Events without what a restore may change.
fn said(events: &[RecordedEvent]) -> Vec<(u64, String, u64, String, Vec<u8>, String)> {
    let of = |event: &RecordedEvent| {
        let (position, version) = (event.position().get(), event.stream_version().get());
        let (id, at) = (event.id().to_string(), event.recorded_at().to_string());
        (position, event.stream().to_owned(), version, id, event.data().to_vec(), at)
    };
    events.iter().map(of).collect()
}

fn all(store: &EventStore) -> Vec<(u64, String, u64, String, Vec<u8>, String)> {
    said(&read(store, Read::all().system(true)))
}

#[test]
fn a_restored_store_has_every_event_and_a_history_of_its_own() {
    let disk = SimDisk::new(1);
    let store = filled(&disk, 200);
    store
        .set_stream(&stream("s-1"), StreamSettings { max_count: Some(3), ..StreamSettings::default() })
        .expect("set");
    store.put_snapshot(&stream("s-0"), version(5), b"five".as_slice().into()).expect("put");
    let report = store.back_up("backup").expect("backed up");
    assert_eq!(report.position, store.head());
    assert!(report.segments > 4 && report.copied == report.segments, "{report:?}");

    let made = restore(&disk).to("restored").expect("restored");
    assert_eq!((made.position, made.old_history), (store.head(), store.history()));
    let restored = open(at(&disk, "restored"));
    assert_eq!(restored.history(), made.history);
    assert_ne!(restored.history(), store.history());
    assert_eq!(all(&restored), all(&store));
    assert_eq!(restored.latest_snapshot(&stream("s-0")).expect("asked"), None);
    let receipt = append(&restored, "s-0", [event(1)]);
    assert_eq!(receipt.position, store.head().next());
    restored.close().expect("closed");
    let report = VerifyReport::deep(&at(&disk, "restored")).expect("readable");
    assert_eq!(report.faults, []);
}

#[test]
fn a_second_backup_copies_only_what_is_new() {
    let disk = SimDisk::new(2);
    let store = filled(&disk, 100);
    let first = store.back_up("backup").expect("backed up");
    let idle = store.back_up("backup").expect("backed up");
    assert_eq!(
        (idle.segments, idle.copied),
        (first.segments, 1),
        "only the last segment, which is not sealed"
    );
    fill(&store, 100..200);
    let second = store.back_up("backup").expect("backed up");
    assert_eq!(second.copied, second.segments - first.segments + 1);
    restore(&disk).to("restored").expect("restored");
    assert_eq!(all(&open(at(&disk, "restored"))), all(&store));

    store
        .set_stream(&stream("s-1"), StreamSettings { max_count: Some(1), ..StreamSettings::default() })
        .expect("set");
    let done = store.scavenge(&Scavenge::new().everything(true)).expect("done");
    let third = store.back_up("backup").expect("backed up");
    assert_eq!(third.copied, done.rewritten + 1, "what was rewritten is copied again");
    restore(&disk).to("again").expect("restored");
    let again = open(at(&disk, "again"));
    assert_eq!(all(&again), all(&store));
    let wanted = store.stream(&stream("s-1")).expect("asked").expect("exists");
    assert_eq!(again.stream(&stream("s-1")).expect("asked").expect("exists").version, wanted.version);
}

#[test]
fn a_store_can_be_restored_to_any_position_and_no_append_is_cut_in_two() {
    let disk = SimDisk::new(3);
    let store = filled(&disk, 80);
    store.back_up("backup").expect("backed up");
    let events = all(&store);
    for until in [0_u64, 1, 2, 3, 50, 69, 70, 71, 100, 159, 160, 1000] {
        let out = format!("until-{until}");
        let made = restore(&disk).until(Position::new(until)).to(&out).expect("restored");
        let wanted = until.min(160) / 2 * 2;
        assert_eq!(made.position.get(), wanted, "until {until}: appends have two events");
        let restored = open(at(&disk, &out));
        assert_eq!(all(&restored), events[..wanted as usize], "until {until}");
        append(&restored, "s-0", [event(1)]);
        let beyond = restored.subscribe(Subscribe::all().after(Position::new(161)));
        if wanted < 160 {
            assert!(beyond.is_err(), "a cursor of the old store runs ahead");
        }
    }
}

#[test]
fn an_empty_store_can_be_backed_up_and_restored() {
    let disk = SimDisk::new(4);
    let store = open(on(&disk));
    assert_eq!(store.back_up("backup").expect("backed up").position, Position::START);
    restore(&disk).to("restored").expect("restored");
    let restored = open(at(&disk, "restored"));
    assert_eq!(append(&restored, "s", [event(1)]).position, Position::new(1));
}

#[test]
fn directories_that_hold_something_else_are_refused() {
    let disk = SimDisk::new(5);
    let store = filled(&disk, 10);
    disk.write(Path::new("mine/notes.txt"), b"mine");
    assert!(matches!(store.back_up("mine"), Err(Error::Invalid { .. })));
    store.back_up("backup").expect("backed up");
    assert!(matches!(open_error(at(&disk, "backup")), OpenError::Backup { .. }));
    assert_eq!(all(&open(at(&disk, "backup").read_only(true))), all(&store));
    assert!(restore(&disk).to("mine").is_err());
    let missing = Restore::from("nowhere").disk(Arc::new(disk.clone())).to("new");
    assert!(matches!(missing, Err(OpenError::NotFound { .. })));
    restore(&disk).to("restored").expect("restored");
    let other = open(at(&disk, "restored"));
    let refused = other.back_up("backup").expect_err("it is another history");
    assert!(refused.to_string().contains("another store or history"), "{refused}");
}

fn open_error(options: Options) -> OpenError {
    EventStore::open(options).expect_err("it does not open")
}

#[test]
fn whatever_interrupts_a_backup_leaves_one_that_can_be_restored() {
    let disk = SimDisk::new(6);
    let store = filled(&disk, 60);
    store.back_up("backup").expect("backed up");
    let first = all(&store);
    fill(&store, 60..120);
    let second = all(&store);
    disk.record();
    store.back_up("backup").expect("backed up");
    let moments = disk.moments();
    assert!(moments.len() > 10);
    let cases: Vec<(usize, u64)> =
        (0..moments.len()).flat_map(|at| (1..=3).map(move |seed| (at, seed))).collect();
    on_all_processors(&cases, |(moment, seed)| {
        let disk = moments[*moment].crash(*seed);
        restore(&disk).to("restored").unwrap_or_else(|error| panic!("moment {moment}, seed {seed}: {error}"));
        let found = all(&open(at(&disk, "restored")));
        assert!(found.len() >= first.len() && second.starts_with(&found), "moment {moment}, seed {seed}");
        // The next backup makes it whole.
        let store = open(on(&disk));
        store.back_up("backup").expect("backed up");
        restore(&disk).to("again").expect("restored");
        assert_eq!(all(&open(at(&disk, "again"))), all(&store));
    });
}

#[test]
fn whatever_interrupts_a_restore_leaves_a_whole_store_or_one_that_says_that_it_is_none() {
    let disk = SimDisk::new(7);
    let store = filled(&disk, 60);
    store.back_up("backup").expect("backed up");
    let wanted = all(&store);
    disk.record();
    restore(&disk).to("restored").expect("restored");
    let (mut whole, mut refused) = (0, 0);
    for (moment, disk) in disk.moments().into_iter().enumerate() {
        for seed in 1..=3 {
            let disk = disk.crash(seed);
            match EventStore::open(at(&disk, "restored").create(false)) {
                Ok(store) => {
                    assert_eq!(all(&store), wanted, "moment {moment}, seed {seed}");
                    assert_ne!(store.history(), history_of(&disk));
                    whole += 1;
                }
                Err(OpenError::Unfinished { .. } | OpenError::NotFound { .. }) => refused += 1,
                Err(error) => panic!("moment {moment}, seed {seed}: {error}"),
            }
        }
    }
    assert!(whole > 0 && refused > 10, "{whole} whole, {refused} refused");
}

fn history_of(disk: &SimDisk) -> annals::HistoryId {
    open(at(disk, "backup").read_only(true)).history()
}

#[test]
fn damage_is_told_when_it_is_copied_and_a_whole_copy_is_never_replaced_by_it() {
    let disk = SimDisk::new(8);
    let store = filled(&disk, 60);
    store.back_up("backup").expect("backed up");
    store.close().expect("closed");
    let (log, copy) = (Path::new("store/log/0000000001.seg"), Path::new("backup/log/0000000001.seg"));
    let whole = disk.read(copy).expect("is there");
    disk.flip_bit(log, 20_000 * 8).expect("is there");
    let store = open(on(&disk));
    store.back_up("backup").expect("that segment is there already");
    assert_eq!(disk.read(copy).expect("is there"), whole);
    let refused = store.back_up("new").expect_err("it would copy damage");
    assert!(matches!(&refused, Error::Damaged { path, .. } if path == log), "{refused}");

    disk.flip_bit(copy, 20_000 * 8).expect("is there");
    let refused = restore(&disk).to("restored").expect_err("it would restore damage");
    assert!(matches!(&refused, OpenError::Store(Error::Damaged { path, .. }) if path == copy), "{refused}");
    assert!(matches!(open_error(at(&disk, "restored")), OpenError::Unfinished { .. }));
}

#[test]
fn a_backup_under_full_load_is_an_exact_prefix() {
    let dir = tempfile::tempdir().expect("a directory");
    let (data, backup) = (dir.path().join("data"), dir.path().join("backup"));
    let store = open(Options::new(&data).segment_bytes(256 * 1024));
    let is_over = AtomicBool::new(false);
    let mut reports = Vec::new();
    std::thread::scope(|scope| {
        for writer in 0..4_u64 {
            let (store, is_over) = (&store, &is_over);
            scope.spawn(move || {
                for n in 0.. {
                    if is_over.load(Ordering::Relaxed) {
                        return;
                    }
                    let events = [large_event(n, 500), large_event(n, 500)];
                    store
                        .append_to(&stream(&format!("w-{writer}")), ExpectedVersion::Any, events)
                        .expect("appended");
                }
            });
        }
        for round in 0..6 {
            reports.push(store.back_up(&backup).expect("backed up"));
            let restored = dir.path().join(format!("restored-{round}"));
            Restore::from(&backup).to(&restored).expect("restored");
        }
        is_over.store(true, Ordering::Relaxed);
    });
    let events = all(&store);
    for (round, report) in reports.iter().enumerate() {
        let restored = open(Options::new(dir.path().join(format!("restored-{round}"))));
        let found = all(&restored);
        assert_eq!(found.len() as u64, report.position.get());
        assert!(events.starts_with(&found), "round {round}");
    }
    assert!(reports.last().expect("some").position > reports[0].position, "{reports:?}");
}

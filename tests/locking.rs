//! Who may open a directory, what a reader beside a writer sees, and which clock is believed.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use annals::testkit::{Fault, SimDisk};
use annals::{
    AppendError, Error, EventStore, ExpectedVersion, ManualClock, OpenError, Options, Read, Timestamp,
    VerifyReport,
};

use crate::support::*;

#[test]
fn a_second_writer_is_refused_and_told_who_the_first_is() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(Options::new(dir.path()));
    let refused = EventStore::open(Options::new(dir.path())).expect_err("the directory is in use");
    assert!(matches!(refused, OpenError::Locked { .. }), "{refused}");
    assert!(refused.to_string().contains(&format!("process {}", std::process::id())), "{refused}");
    append(&store, "s", [event(1)]);
    store.close().expect("closed");
    assert_eq!(
        open(Options::new(dir.path())).head().get(),
        1,
        "closing lets go, also while the handle lives"
    );
}

#[test]
fn a_failed_store_lets_go_of_its_directory_when_it_is_closed() {
    let disk = SimDisk::new(1);
    let store = open(on(&disk));
    disk.fail_operation(1, Fault::ShortWrite);
    let failed = store.append_to(&stream("s"), ExpectedVersion::Any, [event(1)]);
    assert!(matches!(failed, Err(AppendError::Store(Error::Failed { .. }))));
    assert!(matches!(store.close(), Err(Error::Failed { .. })), "it is not closed as if it were whole");
    append(&open(on(&disk)), "s", [event(1)]);
}

#[test]
fn a_reader_beside_a_writer_sees_what_is_durable_and_changes_nothing() {
    let disk = SimDisk::new(1);
    let writer = open(on(&disk));
    for n in 0..200 {
        append(&writer, &format!("s-{}", n % 3), [large_event(n, 1000)]);
        let before = disk.operations();
        let reader = open(on(&disk).read_only(true));
        assert_eq!(reader.head(), writer.head());
        assert_eq!(everything(&reader).len() as u64, n + 1);
        assert_eq!(read(&reader, Read::stream(stream("s-0"))).len() as u64, n / 3 + 1);
        assert!(matches!(
            reader.append_to(&stream("s-0"), ExpectedVersion::Any, [event(1)]),
            Err(AppendError::Store(Error::ReadOnly))
        ));
        drop(reader);
        assert_eq!(disk.operations(), before, "a reader changes nothing");
    }
}

#[test]
fn a_reader_does_not_see_what_was_written_and_not_synced() {
    let disk = SimDisk::new(1);
    let writer = open(on(&disk));
    append(&writer, "s", [event(1)]);
    disk.fail_operation(2, Fault::SyncLies);
    assert!(writer.append_to(&stream("s"), ExpectedVersion::Any, [event(2)]).is_err());
    assert_eq!(everything(&open(on(&disk).read_only(true))).len(), 1);
    assert_eq!(everything(&writer).len(), 1);
}

#[test]
fn readers_and_verify_beside_a_busy_writer_never_take_it_for_damage() {
    // Small segments are rolled often; in a large one the writer gets far ahead while its end is looked at.
    for segment_bytes in [SMALL, 128 * SMALL] {
        read_beside_a_writer(segment_bytes);
    }
}

fn read_beside_a_writer(segment_bytes: u64) {
    let dir = tempfile::tempdir().expect("a directory");
    let options = || Options::new(dir.path()).segment_bytes(segment_bytes);
    let writer = open(options());
    append(&writer, "s", [event(0)]);
    let acknowledged = AtomicU64::new(1);
    std::thread::scope(|scope| {
        let writing = scope.spawn(|| {
            for n in 1..400 {
                let receipt = append(&writer, "s", [large_event(n, 1500)]);
                acknowledged.store(receipt.position.get(), Ordering::SeqCst);
            }
        });
        while !writing.is_finished() {
            let acknowledged = acknowledged.load(Ordering::SeqCst);
            let reader = open(options().read_only(true));
            assert!(reader.head().get() >= acknowledged, "what is acknowledged can be read");
            assert_eq!(everything(&reader).len() as u64, reader.head().get());
            let report = VerifyReport::of(&options()).expect("readable");
            assert_eq!(report.faults, [], "the writer is at work");
        }
    });
}

#[test]
fn where_there_is_no_store_nothing_is_made_unless_it_may() {
    let disk = SimDisk::new(1);
    for options in [on(&disk).read_only(true), on(&disk).create(false)] {
        assert!(matches!(EventStore::open(options), Err(OpenError::NotFound { .. })));
    }
    assert!(disk.paths().is_empty());
    assert!(matches!(VerifyReport::of(&on(&disk)), Err(OpenError::NotFound { .. })));

    let dir = tempfile::tempdir().expect("a directory");
    let deep = dir.path().join("a/b/c");
    assert!(matches!(EventStore::open(Options::new(&deep).create(false)), Err(OpenError::NotFound { .. })));
    assert!(!deep.exists());
    append(&open(Options::new(&deep)), "s", [event(1)]);
}

fn seconds(seconds: i64) -> Timestamp {
    Timestamp::from_nanos(seconds * 1_000_000_000)
}

#[test]
fn commit_times_never_decrease_whatever_the_clock_does() {
    let disk = SimDisk::new(1);
    let clock = ManualClock::new(seconds(1000));
    let options = || on(&disk).clock(Arc::new(clock.clone()));
    let times = [1000, 900, 1100, 5, 1100, 1101];
    for (n, now) in times.into_iter().enumerate() {
        clock.set(seconds(now));
        // Reopened every time: the log remembers the time, not the process.
        let store = open(options());
        let receipt = append(&store, "s", [event(n as u64)]);
        let largest = times[..=n].iter().copied().max().unwrap_or_default();
        assert_eq!(receipt.recorded_at, seconds(largest));
    }
    let store = open(options());
    let recorded: Vec<_> = read(&store, Read::all()).iter().map(|event| event.recorded_at()).collect();
    assert!(recorded.is_sorted());
    assert_eq!(read(&store, Read::all().since(seconds(1100))).len(), 4);
    assert_eq!(read(&store, Read::all().until(seconds(1099))).len(), 2);
}

#[test]
fn a_clock_that_is_years_ahead_is_refused_unless_it_is_allowed() {
    let disk = SimDisk::new(1);
    let clock = ManualClock::new(seconds(0));
    let options = || on(&disk).clock(Arc::new(clock.clone()));
    append(&open(options()), "s", [event(1)]);
    clock.set(seconds(367 * 24 * 3600));
    assert!(matches!(EventStore::open(options()), Err(OpenError::ClockAhead { .. })));
    assert_eq!(open(options().read_only(true)).head().get(), 1, "reading needs no clock");
    append(&open(options().allow_clock_jump(true)), "s", [event(2)]);
    clock.set(seconds(2 * 366 * 24 * 3600));
    assert_eq!(open(options()).head().get(), 2, "less than a year after the last commit");
}

/// A disk whose store holds one event and a torn tail.
fn torn_in_a_write() -> SimDisk {
    let disk = SimDisk::new(1);
    let store = open(on(&disk));
    append(&store, "s", [event(1)]);
    assert_eq!(store.torn_tail(), None);
    // A power cut in the middle of a write leaves some of its sectors.
    disk.record();
    append(&store, "s", [large_event(2, 5000)]);
    let moment = &disk.moments()[1];
    let is_torn = |seed: &u64| open(on(&moment.crash(*seed))).torn_tail().is_some();
    let seed = (0..100).find(is_torn).expect("some seed tears the write");
    moment.crash(seed)
}

#[test]
fn a_torn_tail_opens_on_a_full_disk() {
    let torn = torn_in_a_write();
    torn.set_capacity(torn.paths().iter().map(|path| torn.read(path).expect("a file").len() as u64).sum());
    let store = open(on(&torn));
    let tail = store.torn_tail().expect("a tail was torn").clone();
    assert_eq!(tail.kept_in, None, "there is no space for a copy");
    assert!(!torn.paths().iter().any(|path| path.to_string_lossy().ends_with(".bin")), "half a copy is none");
    append(&store, "s", [event(2)]);
    assert_eq!(everything(&store).len(), 2);
}

#[test]
fn a_second_crash_leaves_the_first_copy_of_a_tail_as_it_is() {
    let torn = torn_in_a_write();
    torn.record();
    let kept_in = open(on(&torn)).torn_tail().and_then(|tail| tail.kept_in.clone()).expect("a copy");
    let whole = torn.read(&kept_in).expect("the copy");
    for moment in torn.moments() {
        let killed = moment.crash_keeping_all();
        let had_whole_copy = killed.read(&kept_in).is_ok_and(|copy| copy == whole);
        drop(open(on(&killed)));
        assert!(!had_whole_copy || killed.read(&kept_in).expect("the copy") == whole);
    }
}

#[test]
fn a_torn_tail_is_kept_and_told() {
    let torn = torn_in_a_write();
    let store = open(on(&torn));
    assert_eq!(everything(&store).len(), 1);
    let tail = store.torn_tail().expect("just found").clone();
    assert_eq!(tail.path, Path::new("store/log/0000000001.seg"));
    let kept = torn.read(&tail.kept_in.expect("there is space for a copy")).expect("a copy is kept");
    assert!(!kept.is_empty() && kept.iter().any(|byte| *byte != 0));
    let log = torn.read(&tail.path).expect("the segment");
    assert!(log[tail.offset as usize..].iter().all(|byte| *byte == 0), "its bytes cannot come back");
    append(&store, "s", [event(3)]);
    store.close().expect("closed");
    assert_eq!(open(on(&torn)).torn_tail(), None);
    assert_eq!(everything(&open(on(&torn))).len(), 2);
}

#[test]
fn a_closed_store_lets_go_of_its_snapshots_while_a_handle_is_left() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let first = open(Options::new(dir.path()));
    append(&first, "s", [event(1)]);
    first.put_snapshot(&stream("s"), version(1), b"state".as_slice().into()).expect("saved");
    first.close().expect("closed");
    let second = open(Options::new(dir.path()));
    let latest = second.latest_snapshot(&stream("s")).expect("the directory is free");
    assert_eq!(latest.map(|snapshot| snapshot.version), Some(version(1)));
}

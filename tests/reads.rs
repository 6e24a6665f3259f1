//! Reads that fail: each call that only looks at the disk fails once, with an error or by stopping short.
//!
//! Whoever asked gets an error or the truth. A read that failed is never taken for bytes that are not there: damage that
//! would be refused is still refused, and nothing acknowledged is given up.

use std::io::ErrorKind;
use std::path::PathBuf;

use annals::testkit::{Fault, Misread, Placed, SimDisk};
use annals::{AppendError, Error, EventStore, ExpectedVersion, OpenError};

use crate::support::*;

const FAULTS: [Fault; 2] = [Fault::Error(ErrorKind::Other), Fault::ShortRead];

fn numbered(number: u64, bytes: usize) -> annals::NewEvent {
    annals::testkit::Numbered { number, bytes }.to_event()
}

/// A closed store of three segments, and its events.
fn whole() -> (SimDisk, Vec<Placed>) {
    let disk = SimDisk::new(1);
    let store = open(on(&disk));
    for n in 0..60 {
        append(&store, &format!("s-{}", n % 3), [numbered(n, 2500)]);
    }
    let events = placed(&store).expect("whole");
    check_reads(&store, &events).expect("whole");
    assert_eq!(store.stats().expect("readable").segments, 3);
    store.close().expect("closed");
    (disk, events)
}

fn remove(disk: &SimDisk, name: &str) {
    for path in disk.paths().iter().filter(|path| path.to_string_lossy().ends_with(name)) {
        disk.remove_file(path).expect("it was just listed");
    }
}

/// Lets one read fail while a store is opened, read, appended to and closed. Tells whether one did.
fn fail_one(whole: &SimDisk, events: &[Placed], n: u64, fault: Fault) -> bool {
    let what = format!("read {n} fails by {fault:?}");
    let disk = whole.crash_keeping_all();
    disk.fail_read(n, fault);
    let store = EventStore::open(on(&disk)).or_else(|error| {
        assert!(!matches!(error, OpenError::AcknowledgedLoss { .. }), "{what}: {error}");
        EventStore::open(on(&disk))
    });
    let store = store.unwrap_or_else(|error| panic!("{what}: it does not open again: {error}"));
    let told = |misread| match misread {
        Misread::Refused(_) => placed(&store).unwrap_or_else(|again| panic!("{what}: {again}")),
        Misread::Wrong(wrong) => panic!("{what}: {wrong}"),
    };
    assert_eq!(placed(&store).unwrap_or_else(told), events, "{what}");
    if let Err(Misread::Wrong(wrong)) = check_reads(&store, events) {
        panic!("{what}: {wrong}");
    }
    if let Err(error) = store.append_to(&stream("s-0"), ExpectedVersion::Any, [numbered(1000, 10)]) {
        assert!(matches!(error, AppendError::Store(Error::Io { .. })), "{what}: {error}");
        append(&store, "s-0", [numbered(1000, 10)]);
    }
    check_reads(&store, &placed(&store).unwrap_or_else(told))
        .unwrap_or_else(|misread| panic!("{what}: {misread}"));
    drop(store);
    let after = open(on(&disk.crash_keeping_nothing()));
    assert_eq!(placed(&after).expect("whole").len(), events.len() + 1, "{what}");
    disk.failures() > 0
}

#[test]
fn whichever_read_fails_the_answer_is_the_truth_or_an_error() {
    let (disk, events) = whole();
    let without_indexes = disk.crash_keeping_all();
    remove(&without_indexes, ".idx");
    for disk in [disk, without_indexes] {
        let one = disk.crash_keeping_all();
        check_reads(&open(on(&one)), &events).expect("whole");
        // Opening and the first reads are tried read by read; later ones are all alike.
        let all = one.reads();
        let step = setting("ANNALS_READ_STEP", 23) as usize;
        let reads: Vec<u64> = (1..300).chain((300..all).step_by(step)).collect();
        on_all_processors(&reads, |n| {
            for fault in FAULTS {
                assert!(fail_one(&disk, &events, *n, fault), "there are more than {n} reads");
            }
        });
        say(&format!("{} of {all} reads failed", reads.len()));
    }
}

/// A store whose last but one append is damaged, which only `witness` tells: the frame behind it, or STATE.
fn damaged(witness: &str) -> SimDisk {
    let disk = SimDisk::new(1);
    let store = open(on(&disk));
    for n in 0..4 {
        append(&store, "s", [numbered(n, 3000)]);
    }
    let path = PathBuf::from("store/log/0000000001.seg");
    let used = |disk: &SimDisk| {
        let bytes = disk.read(&path).expect("it is there");
        bytes.iter().rposition(|byte| *byte != 0).expect("there are frames") as u64
    };
    let disk = disk.crash_keeping_all();
    drop(store);
    match witness {
        "the frame behind it" => {
            remove(&disk, "STATE");
            disk.flip_bit(&path, (used(&disk) - 4000) * 8).expect("it is in the file");
        }
        _ => disk.flip_bit(&path, (used(&disk) - 1000) * 8).expect("it is in the file"),
    }
    disk
}

#[test]
fn a_read_that_fails_never_lets_damage_pass_for_a_torn_tail() {
    for witness in ["the frame behind it", "STATE"] {
        let disk = damaged(witness);
        let refused = EventStore::open(on(&disk)).expect_err("acknowledged events are damaged");
        assert!(matches!(refused, OpenError::AcknowledgedLoss { .. }), "{witness}: {refused}");
        let one = disk.crash_keeping_all();
        drop(EventStore::open(on(&one)));
        let reads: Vec<u64> = (1..=one.reads()).collect();
        on_all_processors(&reads, |n| {
            for fault in FAULTS {
                let disk = disk.crash_keeping_all();
                disk.fail_read(*n, fault);
                let opened = EventStore::open(on(&disk));
                assert!(
                    opened.is_err(),
                    "{witness}: read {n} fails by {fault:?}, and the damage is not told"
                );
            }
        });
        say(&format!("{} reads failed where {witness} tells of the damage", reads.len()));
    }
}

#[test]
fn a_state_that_was_cut_is_as_good_as_none() {
    let (disk, events) = whole();
    disk.truncate(std::path::Path::new("store/STATE"), 100).expect("it is there");
    assert_eq!(placed(&open(on(&disk))).expect("whole"), events);
}

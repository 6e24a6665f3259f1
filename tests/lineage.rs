//! Lineage: bytes that were valid once, of another continuation, another store or another epoch, continue nothing.

use std::path::{Path, PathBuf};

use annals::testkit::SimDisk;
use annals::{Append, Error, EventStore, ExpectedVersion, OpenError, Read};

use crate::groups::{gated, one_group};
use crate::support::*;

/// Where the frames of a segment begin.
const FRAMES_AT: usize = 8192;

fn segment(number: u64) -> PathBuf {
    PathBuf::from(format!("store/log/{number:010}.seg"))
}

/// Where each frame of a segment begins.
fn frames(bytes: &[u8]) -> Vec<usize> {
    let mut found = Vec::new();
    let mut at = FRAMES_AT;
    while bytes[at..].starts_with(b"ANFR") {
        found.push(at);
        at += number::<4>(bytes, at + 4) as usize;
    }
    found
}

/// The little-endian number of `N` bytes at `at`.
fn number<const N: usize>(bytes: &[u8], at: usize) -> u64 {
    bytes[at..at + N].iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// Two continuations of one store, which say other things in frames of the same lengths at the same places.
fn continuations(appends: u64, bytes: usize) -> [SimDisk; 2] {
    let disk = SimDisk::new(1);
    let store = open(on(&disk));
    append(&store, "s", [event(1)]);
    store.close().expect("closed");
    [100, 200].map(|first| {
        let copy = disk.crash_keeping_all();
        let store = open(on(&copy));
        for n in first..first + appends {
            append(&store, "s", [large_event(n, bytes)]);
        }
        store.close().expect("closed");
        copy
    })
}

/// What the events that can be read say, up to an error.
fn numbers(store: &EventStore) -> Vec<u64> {
    store.read(Read::all()).into_iter().flatten().map_while(Result::ok).map(|event| n_of(&event)).collect()
}

#[test]
fn frames_of_two_continuations_are_not_joined() {
    let [ours, theirs] = continuations(2, 10).map(|disk| disk.read(&segment(1)).expect("a segment"));
    let at = frames(&ours);
    assert_eq!(at, frames(&theirs));
    // OPEN, an event, CLOSE, then two events of each continuation, and CLOSE.
    assert_eq!(at.len(), 6);
    let disk = SimDisk::new(2);
    disk.write(&segment(1), &[&ours[..at[4]], &theirs[at[4]..]].concat());
    let refused = EventStore::open(on(&disk)).expect_err("their CLOSE names an event that is not there");
    assert!(matches!(refused, OpenError::AcknowledgedLoss { .. }), "{refused}");
    assert_eq!(numbers(&open(on(&disk).read_only(true))), [1, 100]);
}

#[test]
fn segments_of_two_continuations_are_not_joined() {
    let [ours, theirs] = continuations(12, 8000);
    assert_eq!(ours.paths(), theirs.paths());
    let sealed = |disk: &SimDisk| frames(&disk.read(&segment(1)).expect("a segment"));
    assert_eq!(sealed(&ours), sealed(&theirs));
    ours.write(&segment(2), &theirs.read(&segment(2)).expect("it was rolled"));
    for read_only in [true, false] {
        let refused = EventStore::open(on(&ours).read_only(read_only)).expect_err("they do not fit");
        let found = matches!(&refused, OpenError::Store(Error::Damaged { path, .. }) if *path == segment(1));
        assert!(found, "{refused}");
    }
}

#[test]
fn each_opening_for_writing_raises_the_epoch_of_its_frames() {
    let disk = SimDisk::new(1);
    for n in 1..4 {
        let store = open(on(&disk));
        append(&store, "s", [event(n)]);
        store.close().expect("closed");
        drop(open(on(&disk).read_only(true)));
    }
    let bytes = disk.read(&segment(1)).expect("a segment");
    let epochs: Vec<u64> = frames(&bytes).iter().map(|at| number::<8>(&bytes, at + 40)).collect();
    // OPEN, then for each opening its append and its CLOSE.
    let [open, one, one_close, two, two_close, three, three_close] = epochs[..] else { panic!("{epochs:?}") };
    assert_eq!((open, one, two, three), (1, one_close, two_close, three_close));
    assert!(one == 1 && two > one && three > two, "{epochs:?}");
}

#[test]
fn the_state_of_another_store_is_not_believed() {
    let [ours, theirs] = [1, 9].map(|appends| {
        let disk = SimDisk::new(appends);
        let store = open(on(&disk));
        for n in 1..=appends {
            append(&store, "s", [event(n)]);
        }
        store.close().expect("closed");
        disk
    });
    let state = Path::new("store/STATE");
    ours.write(state, &theirs.read(state).expect("a file"));
    let store = open(on(&ours));
    assert_eq!(numbers(&store), [1]);
    append(&store, "s", [event(2)]);
}

#[test]
fn a_group_that_was_torn_anywhere_opens() {
    let disk = SimDisk::new(1);
    let (store, gate) = gated(&disk);
    disk.record();
    let appends = (1..4).map(|n| Append::to(stream("s"), ExpectedVersion::Any, [large_event(n, 3000)]));
    for ticket in one_group(&store, &gate, appends.collect()) {
        ticket.wait().expect("nothing fails");
    }
    for (operation, moment) in disk.moments().iter().enumerate() {
        for seed in 0..60 {
            let opened = EventStore::open(on(&moment.crash(seed)));
            let store = opened.unwrap_or_else(|error| panic!("operation {operation}, seed {seed}: {error}"));
            let found = numbers(&store);
            assert_eq!(found, [0, 1, 2, 3][..found.len()]);
        }
    }
}

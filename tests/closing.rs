//! The end of a store while appends are under way: whoever handed one over is told what became of it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Wake, Waker};
use std::thread;

use annals::testkit::SimDisk;
use annals::{
    Append, AppendError, Clock, Error, EventStore, ExpectedVersion, OpenError, Options, Retention, Scavenge,
    Ticket, Timestamp,
};

use crate::groups::{Gate, gated};
use crate::support::*;

fn submit(store: &EventStore, n: u64) -> Ticket {
    store.submit(Append::to(stream("s"), ExpectedVersion::Any, [event(n)])).expect("the store is open")
}

/// Opens the store as soon as whoever had it has let go of it.
fn open_when_free(options: Options) -> EventStore {
    loop {
        match EventStore::open(options.clone()) {
            Err(OpenError::Locked { .. }) => thread::yield_now(),
            opened => return opened.expect("the store opens"),
        }
    }
}

#[test]
fn two_who_close_at_once_both_wait_for_what_was_submitted() {
    for seed in 0..200 {
        let disk = SimDisk::new(seed);
        let store = open(on(&disk));
        let start = AtomicBool::new(false);
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    // Not blocked: both have to be there before the commit thread has woken up.
                    while !start.load(Ordering::SeqCst) {
                        std::hint::spin_loop();
                    }
                    store.close().expect("closed");
                    assert_eq!(everything(&open(on(&disk).read_only(true))).len(), 1);
                });
            }
            let ticket = submit(&store, 1);
            start.store(true, Ordering::SeqCst);
            ticket.wait().expect("submitted before the store was closed");
        });
    }
}

#[test]
fn a_waker_that_drops_the_last_handle_takes_nothing_from_others_in_its_group() {
    struct Holds(Mutex<Option<EventStore>>);
    impl Wake for Holds {
        fn wake(self: Arc<Holds>) {
            drop(self.0.lock().expect("no panic").take());
        }
    }

    let disk = SimDisk::new(1);
    let (store, gate) = gated(&disk);
    gate.set(true);
    let first = submit(&store, 1);
    gate.wait_until_somebody_waits();
    let (mut second, third) = (submit(&store, 2), submit(&store, 3));
    let waker = Waker::from(Arc::new(Holds(Mutex::new(Some(store)))));
    assert!(Future::poll(std::pin::Pin::new(&mut second), &mut Context::from_waker(&waker)).is_pending());
    drop(waker);
    gate.set(false);
    for ticket in [first, second, third] {
        ticket.wait().expect("submitted before the store was closed");
    }
    assert_eq!(everything(&open_when_free(on(&disk))).len(), 3);
}

#[test]
fn a_commit_that_panics_leaves_nobody_in_the_queue_without_an_answer() {
    /// A clock that can be set to panic on the commit thread.
    #[derive(Clone, Default)]
    struct Panics(Gate, Arc<AtomicBool>);
    impl Clock for Panics {
        fn now(&self) -> Timestamp {
            let now = self.0.now();
            let commits = thread::current().name() == Some("annals-commit");
            assert!(!(commits && self.1.load(Ordering::SeqCst)), "the panic that the test is about");
            now
        }
    }

    let disk = SimDisk::new(1);
    let clock = Panics::default();
    let store = open(on(&disk).clock(Arc::new(clock.clone())));
    submit(&store, 1).wait().expect("the clock is right");
    clock.1.store(true, Ordering::SeqCst);
    clock.0.set(true);
    let under_way = submit(&store, 2);
    clock.0.wait_until_somebody_waits();
    let queued = submit(&store, 3);
    clock.0.set(false);
    for ticket in [under_way, queued] {
        let answer = ticket.wait();
        assert!(matches!(answer, Err(AppendError::Store(Error::Failed { .. }))), "{answer:?}");
    }
    let refused = store.append_to(&stream("s"), ExpectedVersion::Any, [event(4)]);
    assert!(matches!(refused, Err(AppendError::Store(Error::Failed { .. }))), "{refused:?}");
    assert!(matches!(store.close(), Err(Error::Failed { .. })), "it is not closed as if it were whole");
    assert_eq!(everything(&open(on(&disk))).len(), 1);
}

/// How much a clean close leaves unsealed in these tests.
const SHORT: u64 = 10_000;

/// A store that was closed with so many events of 1,000 bytes in its only segment.
fn closed_with(disk: &SimDisk, events: u64) -> Vec<(String, u64, u64)> {
    let store = open(on(disk).unsealed_bytes_max(SHORT));
    append(&store, "s", (1..=events).map(|n| large_event(n, 1000)));
    let all = everything(&store);
    store.close().expect("closed");
    all
}

fn segments_and_indexes(disk: &SimDisk) -> (usize, usize) {
    let of = |ending| disk.paths().iter().filter(|path| path.to_string_lossy().ends_with(ending)).count();
    (of(".seg"), of(".idx"))
}

#[test]
fn a_clean_close_seals_a_long_segment_so_that_the_next_opening_finds_an_index() {
    let disk = SimDisk::new(1);
    let all = closed_with(&disk, 20);
    assert_eq!(segments_and_indexes(&disk), (2, 1));
    assert_eq!(everything(&open(on(&disk).read_only(true))), all);

    let store = open(on(&disk).unsealed_bytes_max(SHORT));
    assert_eq!(store.torn_tail(), None);
    assert_eq!(everything(&store), all);
    let info = store.stream(&stream("s")).expect("readable").expect("was written");
    assert_eq!(info.version, version(20));
    store.close().expect("closed");
    assert_eq!(segments_and_indexes(&disk), (2, 1), "what has no events is not sealed");

    let store = open(on(&disk));
    assert_eq!(append(&store, "s", [event(21)]).position.get(), 21);
    assert_eq!(everything(&store)[..20], all);
}

#[test]
fn a_clean_close_leaves_a_short_segment_to_be_gone_on_with() {
    let disk = SimDisk::new(1);
    for n in 1..=3 {
        let store = open(on(&disk).unsealed_bytes_max(SHORT));
        append(&store, "s", [large_event(n, 1000)]);
        store.close().expect("closed");
        assert_eq!(segments_and_indexes(&disk), (1, 0));
    }
    assert_eq!(everything(&open(on(&disk))).len(), 3);
}

#[test]
fn a_store_without_space_for_another_segment_is_closed_as_it_is() {
    let disk = SimDisk::new(1);
    let store = open(on(&disk).unsealed_bytes_max(SHORT).background(false));
    append(&store, "s", (1..=20).map(|n| large_event(n, 1000)));
    disk.set_capacity(0);
    store.close().expect("a close needs no space");
    assert_eq!(segments_and_indexes(&disk), (1, 0));
    let store = open(on(&disk));
    assert_eq!((store.torn_tail(), everything(&store).len()), (None, 20));
}

#[test]
fn the_retention_of_the_store_keeps_the_newest_segment_also_when_a_close_has_sealed_it() {
    for retention in [
        Retention { max_bytes: Some(1), ..Retention::default() },
        Retention { max_age: Some(std::time::Duration::ZERO), ..Retention::default() },
    ] {
        let disk = SimDisk::new(1);
        let all = closed_with(&disk, 20);
        let store = open(on(&disk).retention(retention));
        store.scavenge(&Scavenge::new().everything(true)).expect("has nothing to drop");
        assert_eq!(everything(&store), all);
    }
}

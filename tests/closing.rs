//! The end of a store while appends are under way: whoever handed one over is told what became of it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Wake, Waker};
use std::thread;

use annals::testkit::SimDisk;
use annals::{
    Append, AppendError, Clock, Error, EventStore, ExpectedVersion, OpenError, Options, Ticket, Timestamp,
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

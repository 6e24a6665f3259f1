//! Waking: what is true at the very moment when somebody is woken, before anything else can happen.
//!
//! A waker is called by the thread that commits, so what it reads is what the store shows at that moment.

use std::future::Future;
use std::pin::pin;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::task::{Context, Wake, Waker};

use annals::testkit::SimDisk;
use annals::{Append, Delivery, EventStore, ExpectedVersion, Read, Subscribe};
use futures_core::Stream;

use crate::groups::gated;
use crate::support::*;

/// Says, when it is woken, what the store shows.
struct Look {
    store: EventStore,
    seen: Mutex<Sender<Seen>>,
}

/// The head, and the positions of all events and of those of stream `s`, up to an error.
type Seen = (u64, Vec<u64>, Vec<u64>);

impl Wake for Look {
    fn wake(self: Arc<Look>) {
        let positions = |read: Read| {
            let events = self.store.read(read).into_iter().flatten().map_while(Result::ok);
            events.map(|event| event.position().get()).collect()
        };
        let head = self.store.head().get();
        let seen = (head, positions(Read::all()), positions(Read::stream(stream("s"))));
        // The test may have seen enough.
        let _ = self.seen.lock().expect("no panic").send(seen);
    }
}

#[test]
fn whoever_is_woken_by_an_event_can_read_it() {
    let disk = SimDisk::new(1);
    let store = open(on(&disk));
    append(&store, "s", [event(1)]);
    let (seen, told) = channel();
    let waker = Waker::from(Arc::new(Look { store: store.clone(), seen: Mutex::new(seen) }));
    let mut subscription = pin!(store.subscribe(Subscribe::all()).expect("legal").into_stream());
    for n in 2..5 {
        while subscription.as_mut().poll_next(&mut Context::from_waker(&waker)).is_ready() {}
        append(&store, "s", [event(n)]);
        let all: Vec<u64> = (1..=n).collect();
        assert_eq!(told.try_recv(), Ok((n, all.clone(), all)));
    }
}

#[test]
fn whoever_has_a_receipt_can_read_the_event_at_once() {
    let disk = SimDisk::new(1);
    let (store, gate) = gated(&disk);
    gate.set(true);
    let (seen, told) = channel();
    let waker = Waker::from(Arc::new(Look { store: store.clone(), seen: Mutex::new(seen) }));
    let append = Append::to(stream("s"), ExpectedVersion::Any, [event(1)]);
    let mut ticket = pin!(store.submit(append).expect("queued"));
    assert!(ticket.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    gate.set(false);
    assert_eq!(told.recv(), Ok((1, vec![1], vec![1])));
}

#[test]
fn a_subscriber_skips_nothing_that_comes_while_it_reads() {
    let disk = SimDisk::new(1);
    let store = open(on(&disk));
    let mut subscription = store.subscribe(Subscribe::all()).expect("legal");
    let mut delivered = Vec::new();
    for n in 1..20 {
        append(&store, "s", [event(n)]);
        // One delivery for each append, so that most are made while the subscriber is behind.
        match subscription.try_next() {
            Some(Ok(Delivery::Event(event))) => delivered.push(event.position().get()),
            other => assert!(matches!(other, None | Some(Ok(_))), "{other:?}"),
        }
    }
    while let Some(Ok(delivery)) = subscription.try_next() {
        if let Delivery::Event(event) = delivery {
            delivered.push(event.position().get());
        }
    }
    assert!(delivered.iter().copied().eq(1..20), "{delivered:?}");
}

//! Waking: what is true at the very moment when somebody is woken, before anything else can happen.
//!
//! A waker is called by the thread that commits, so what it reads is what the store shows at that moment.

use std::future::Future;
use std::pin::pin;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use annals::testkit::{Fault, SimDisk};
use annals::{
    Append, AppendError, Delivery, Error, EventStore, ExpectedVersion, Metadata, Position, Query, QueryItem,
    Read, Subscribe, SubscriptionStream,
};
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

/// Counts how often it is woken.
#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Wakes>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// A subscriber who has caught up and waits.
struct Waiting {
    subscription: SubscriptionStream,
    wakes: Arc<Wakes>,
}

impl Waiting {
    fn new(store: &EventStore, subscribe: Subscribe) -> Waiting {
        let subscription = store.subscribe(subscribe).expect("legal").into_stream();
        let mut waiting = Waiting { subscription, wakes: Arc::default() };
        waiting.take();
        waiting
    }

    /// Takes what there is and waits again: the positions of the events, and how often it was woken.
    fn take(&mut self) -> (Vec<u64>, usize) {
        let waker = Waker::from(self.wakes.clone());
        let mut context = Context::from_waker(&waker);
        let mut positions = Vec::new();
        while let Poll::Ready(Some(delivery)) = pin!(&mut self.subscription).poll_next(&mut context) {
            if let Delivery::Event(event) = delivery.expect("whole") {
                positions.push(event.position().get());
            }
        }
        (positions, self.wakes.0.swap(0, Ordering::Relaxed))
    }
}

#[test]
fn an_append_wakes_the_subscribers_whom_its_events_concern_and_no_others() {
    let disk = SimDisk::new(1);
    let store = open(on(&disk));
    let texts = |text: &str| vec![text.to_owned()];
    let by = |item: QueryItem| Subscribe::all().query(Query::from(item));
    let subscribes = [
        Subscribe::all(),
        Subscribe::stream(stream("a-1")),
        Subscribe::stream(stream("b-1")),
        by(QueryItem { categories: texts("a"), ..QueryItem::default() }),
        by(QueryItem { tags: texts("k:v"), ..QueryItem::default() }),
        by(QueryItem { prefix: Some("b".to_owned()), ..QueryItem::default() }),
    ];
    let mut waiting = subscribes.map(|subscribe| Waiting::new(&store, subscribe));
    let tagged = || event(1).metadata(Metadata::default().with("tags", &["k:v"]).expect("legal"));

    append(&store, "a-1", [event(1)]);
    let woken = waiting.each_mut().map(Waiting::take);
    let (yes, no) = ((vec![1], 1), (vec![], 0));
    assert_eq!(woken, [yes.clone(), yes.clone(), no.clone(), yes, no.clone(), (vec![], 1)]);

    append(&store, "b-1", [tagged()]);
    let woken = waiting.each_mut().map(Waiting::take);
    let yes = (vec![2], 1);
    assert_eq!(woken, [yes.clone(), no.clone(), yes.clone(), no.clone(), yes.clone(), yes]);

    // Of several events in one append each reaches those who wait for it, who are woken once.
    append(&store, "a-2", [event(1), tagged()]);
    let woken = waiting.each_mut().map(Waiting::take);
    let both = (vec![3, 4], 1);
    assert_eq!(woken, [both.clone(), no.clone(), no, both, (vec![4], 1), (vec![], 1)]);
}

#[test]
fn a_subscriber_who_waits_in_vain_is_told_at_the_deadline_how_far_it_has_come() {
    let disk = SimDisk::new(1);
    let store = open(on(&disk));
    let mut subscription = store.subscribe(Subscribe::stream(stream("a"))).expect("legal");
    assert!(matches!(subscription.try_next(), Some(Ok(Delivery::CaughtUp(Position::START)))));
    std::thread::scope(|scope| {
        scope.spawn(|| (1..=5).for_each(|n| drop(append(&store, "b", [event(n)]))));
        while subscription.position() < Position::new(5) {
            let delivery = subscription.next_timeout(Duration::from_millis(1));
            assert!(delivery.is_none(), "{delivery:?}");
        }
    });
}

/// Appends again when it is woken, and says what became of it.
struct Again {
    store: EventStore,
    answer: Mutex<Sender<AppendError>>,
}

impl Wake for Again {
    fn wake(self: Arc<Again>) {
        let answer = self.store.append_to(&stream("s"), ExpectedVersion::Any, [event(2)]);
        let answer = answer.expect_err("the log has failed");
        self.answer.lock().expect("no panic").send(answer).expect("the test waits");
    }
}

#[test]
fn whoever_is_told_that_the_log_failed_is_told_why_and_finds_it_failed() {
    let disk = SimDisk::new(1);
    let (store, gate) = gated(&disk);
    gate.set(true);
    let (answer, told) = channel();
    let waker = Waker::from(Arc::new(Again { store: store.clone(), answer: Mutex::new(answer) }));
    let append = Append::to(stream("s"), ExpectedVersion::Any, [event(1)]);
    let mut ticket = pin!(store.submit(append).expect("queued"));
    assert!(ticket.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    // The write, then the sync.
    disk.fail_operation(2, Fault::Error(std::io::ErrorKind::Other));
    gate.set(false);
    let again = told.recv_timeout(Duration::from_secs(60)).expect("woken");
    let Poll::Ready(Err(first)) = ticket.as_mut().poll(&mut Context::from_waker(&waker)) else {
        panic!("the append did not fail");
    };
    for error in [first, again] {
        let AppendError::Store(Error::Failed { reason }) = error else { panic!("{error}") };
        assert!(reason.contains("cannot sync") && reason.contains(".seg"), "{reason}");
    }
}

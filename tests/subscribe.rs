//! Subscriptions: each event that matches once, in order, whatever is going on meanwhile, and the end when the store closes.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;

use annals::testkit::SimDisk;
use annals::{
    Data, Delivery, Error, EventStore, EventType, NewEvent, Options, Position, QueryItem, StreamVersion,
    Subscribe, Subscription, SubscriptionStream,
};
use futures_core::Stream;

use crate::support::*;

/// Wakes a thread that waits for a future.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Unpark>) {
        self.0.unpark();
    }
}

/// Waits for a future on this thread: all the executor that a subscription needs.
fn block_on<F: Future + Unpin>(mut future: F) -> F::Output {
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    loop {
        match Pin::new(&mut future).poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => std::thread::park(),
        }
    }
}

/// The next item of a stream.
struct Next<'a>(&'a mut SubscriptionStream);

impl Future for Next<'_> {
    type Output = Option<Result<Delivery, Error>>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut *self.0).poll_next(context)
    }
}

/// What a subscriber was told, as far as it was told events.
fn positions(deliveries: &[Delivery]) -> Vec<u64> {
    let position = |delivery: &Delivery| match delivery {
        Delivery::Event(event) => Some(event.position().get()),
        _ => None,
    };
    deliveries.iter().filter_map(position).collect()
}

/// Checks that what a subscriber is told of its progress is true when it is told.
fn check_progress(deliveries: &[Delivery]) {
    let mut told = Position::START;
    let mut caught_up_at = None;
    for delivery in deliveries {
        let at = match delivery {
            Delivery::Event(event) => event.position(),
            Delivery::CaughtUp(position) | Delivery::Checkpoint(position) => *position,
            other => panic!("an unknown delivery: {other:?}"),
        };
        let is_event = matches!(delivery, Delivery::Event(_));
        assert!(at > told || (!is_event && at == told), "{delivery:?} after {told}");
        if let Delivery::CaughtUp(position) = delivery {
            assert_ne!(caught_up_at, Some(*position), "caught up twice without an event in between");
            caught_up_at = Some(*position);
        }
        told = at;
    }
    assert!(caught_up_at.is_some(), "the end was reached, and nobody said so");
}

fn deliveries(subscription: Subscription) -> Vec<Delivery> {
    subscription.map(|delivery| delivery.expect("readable")).collect()
}

/// Appends from several threads, closes, and gives each subscriber's deliveries; each starts when a part is there.
fn followed(store: &EventStore, follow: impl Fn(Subscription) -> Vec<Delivery> + Sync) -> Vec<Vec<Delivery>> {
    const WRITERS: u64 = 3;
    const EACH: u64 = 120;
    let follow = &follow;
    std::thread::scope(|scope| {
        let mut subscribers = Vec::new();
        let mut writers = Vec::new();
        for writer in 0..WRITERS {
            writers.push(scope.spawn(move || {
                for n in 0..EACH {
                    // Large enough that segments roll while others catch up.
                    append(store, &format!("s-{writer}"), [large_event(n, 1000), event(n)]);
                }
            }));
        }
        for start in [0, 1, 100, 200, 400] {
            while store.head().get() < start {
                std::thread::yield_now();
            }
            let subscription = store.subscribe(Subscribe::all()).expect("from the beginning");
            subscribers.push(scope.spawn(move || follow(subscription)));
        }
        writers.into_iter().for_each(|writer| writer.join().expect("every append succeeds"));
        store.close().expect("closed");
        subscribers.into_iter().map(|subscriber| subscriber.join().expect("no panic")).collect()
    })
}

/// A store of 200 events in several segments, in turn of the streams `s-0` and `s-1`.
fn of_two_streams() -> EventStore {
    let store = open(on(&SimDisk::new(1)));
    for n in 0..200 {
        append(&store, &format!("s-{}", n % 2), [large_event(n, 800)]);
    }
    store
}

#[test]
fn blocking_subscribers_get_every_event_once_while_others_append_and_segments_roll() {
    for background in [false, true] {
        let disk = SimDisk::new(1);
        let store = open(on(&disk).background(background));
        for deliveries in followed(&store, deliveries) {
            assert!(positions(&deliveries).into_iter().eq(1..=720));
            check_progress(&deliveries);
        }
    }
}

#[test]
fn async_subscribers_get_every_event_once_on_any_executor() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(Options::new(dir.path()).segment_bytes(SMALL));
    let follow = |subscription: Subscription| {
        let mut stream = subscription.into_stream();
        let mut found = Vec::new();
        while let Some(delivery) = block_on(Next(&mut stream)) {
            found.push(delivery.expect("readable"));
        }
        found
    };
    for deliveries in followed(&store, follow) {
        assert!(positions(&deliveries).into_iter().eq(1..=720));
        check_progress(&deliveries);
    }
}

#[test]
fn a_subscriber_of_one_stream_gets_its_events_and_no_others() {
    let disk = SimDisk::new(1);
    let store = open(on(&disk));
    std::thread::scope(|scope| {
        let subscription = store.subscribe(Subscribe::stream(stream("s-1"))).expect("a stream yet to come");
        let follower = scope.spawn(move || deliveries(subscription));
        for n in 0..300 {
            append(&store, &format!("s-{}", n % 3), [large_event(n, 600)]);
        }
        store.close().expect("closed");
        let found = follower.join().expect("no panic");
        assert!(positions(&found).into_iter().eq((1..=300).filter(|position| position % 3 == 2)));
        check_progress(&found);
    });
}

#[test]
fn one_that_begins_after_a_version_or_a_position_skips_nothing_behind_it() {
    let store = of_two_streams();
    let of = |subscribe: Subscribe| store.subscribe(subscribe).expect("within the head");
    let after_version = of(Subscribe::stream(stream("s-0")).after_version(version(30)));
    let after_position = of(Subscribe::stream(stream("s-0")).after(Position::new(60)));
    let both = of(Subscribe::stream(stream("s-0")).after(Position::new(59)).after_version(version(30)));
    let all = of(Subscribe::all().after(Position::new(150)));
    store.close().expect("closed");
    for one_stream in [after_version, after_position, both] {
        assert!(positions(&deliveries(one_stream)).into_iter().eq((61..=199).step_by(2)));
    }
    assert!(positions(&deliveries(all)).into_iter().eq(151..=200));
}

#[test]
fn a_position_beyond_the_head_is_an_error() {
    let disk = SimDisk::new(1);
    let store = open(on(&disk));
    append(&store, "s", [event(1)]);
    store.subscribe(Subscribe::all().after(Position::new(1))).expect("the head itself");
    for beyond in [2, u64::MAX] {
        let refused = store.subscribe(Subscribe::all().after(Position::new(beyond)));
        assert!(refused.expect_err("beyond the head").to_string().contains("beyond the head"));
    }
}

#[test]
fn the_largest_bounds_find_nothing_and_break_nothing() {
    let disk = SimDisk::new(1);
    let store = open(on(&disk));
    append(&store, "s", [event(1)]);
    let (position, of_stream) = (Position::new(u64::MAX), version(u64::MAX));
    for request in [
        annals::Read::all().after(position),
        annals::Read::all().after(position).backward(),
        annals::Read::all().before(Position::START),
        annals::Read::stream(stream("s")).from(of_stream),
        annals::Read::stream(stream("s")).from(of_stream).backward(),
        annals::Read::stream(stream("s")).to(version(0)),
    ] {
        assert_eq!(read(&store, request), []);
    }
    assert_eq!(read(&store, annals::Read::all().before(position)).len(), 1);
    assert_eq!(store.streams(position).expect("readable").count(), 0);
    let beyond = Subscribe::stream(stream("s")).after_version(of_stream);
    assert!(store.subscribe(beyond).is_err(), "no stream was ever at that version");
}

#[test]
fn caught_up_is_told_at_the_first_end_and_again_after_events_only() {
    let disk = SimDisk::new(1);
    let store = open(on(&disk));
    let mut all = store.subscribe(Subscribe::all()).expect("from the beginning");
    let mut rare = store.subscribe(Subscribe::stream(stream("rare"))).expect("from the beginning");
    let next = |subscription: &mut Subscription| subscription.try_next().transpose().expect("readable");
    let caught_up = |position| Some(Delivery::CaughtUp(Position::new(position)));

    assert_eq!((next(&mut all), next(&mut rare)), (caught_up(0), caught_up(0)));
    assert_eq!((next(&mut all), next(&mut rare)), (None, None));
    append(&store, "often", [event(1), event(2)]);
    assert!(matches!(next(&mut all), Some(Delivery::Event(_))));
    assert!(matches!(next(&mut all), Some(Delivery::Event(_))));
    assert_eq!((next(&mut all), next(&mut all)), (caught_up(2), None));
    assert_eq!(next(&mut rare), None, "nothing of its own has come");
    append(&store, "rare", [event(3)]);
    assert!(matches!(next(&mut rare), Some(Delivery::Event(event)) if event.position().get() == 3));
    assert_eq!((next(&mut rare), next(&mut rare)), (caught_up(3), None));
    assert_eq!(rare.position(), Position::new(3));
}

/// A store of 26,000 events, of which those at 9,000 and 25,001 have the type `rare` and lie in the stream `rare`.
fn with_two_rare_events(disk: &SimDisk) -> EventStore {
    let typed = |name: &str, n: u64| {
        let data = Data::json(&serde_json::json!({ "n": n })).expect("is JSON");
        NewEvent::new(EventType::parse(name).expect("a legal type"), data)
    };
    let store = open(on(disk).segment_bytes(1 << 20));
    for first in (1..=26_000).step_by(1000) {
        let events = (first..first + 1000).map(|position| {
            let name = if [9_000, 25_001].contains(&position) { "rare" } else { "common" };
            (stream(name), typed(name, position))
        });
        store.append(events.collect()).expect("appended");
    }
    store
}

fn all_deliveries(store: &EventStore, item: &QueryItem, after: u64) -> Vec<Delivery> {
    let subscribe = Subscribe::all().query(item.clone().into()).after(Position::new(after));
    let subscription = store.subscribe(subscribe).expect("within the head");
    store.close().expect("closed");
    deliveries(subscription)
}

fn checkpoints(found: &[Delivery]) -> Vec<u64> {
    let checkpoint = |delivery: &Delivery| match delivery {
        Delivery::Checkpoint(position) => Some(position.get()),
        _ => None,
    };
    found.iter().filter_map(checkpoint).collect()
}

#[test]
fn a_rare_filter_is_told_how_far_it_has_come_and_misses_nothing() {
    let disk = SimDisk::new(1);
    // No term says that a name begins so: every event is looked at.
    let item = QueryItem { prefix: Some("ra".to_owned()), ..QueryItem::default() };
    let found = all_deliveries(&with_two_rare_events(&disk), &item, 0);
    assert_eq!(positions(&found), [9_000, 25_001]);
    check_progress(&found);
    assert_eq!(checkpoints(&found), [19_000], "10,000 events behind the last that was delivered");

    // Going on from a checkpoint misses nothing.
    assert_eq!(positions(&all_deliveries(&open(on(&disk)), &item, 19_000)), [25_001]);
}

#[test]
fn a_filter_that_terms_answer_goes_straight_from_one_event_to_the_next() {
    let disk = SimDisk::new(1);
    let item = QueryItem { types: vec!["rare".to_owned()], ..QueryItem::default() };
    let found = all_deliveries(&with_two_rare_events(&disk), &item, 0);
    assert_eq!(positions(&found), [9_000, 25_001]);
    check_progress(&found);
    assert_eq!(checkpoints(&found), [0; 0], "there is nothing between them to look at");
}

#[test]
fn the_end_is_told_also_when_a_checkpoint_came_first() {
    let disk = SimDisk::new(1);
    let store = open(on(&disk).segment_bytes(1 << 20));
    for first in (0..15_000).step_by(1000) {
        append(&store, "s", (first..first + 1000).map(event));
    }
    let item = QueryItem { prefix: Some("t".to_owned()), ..QueryItem::default() };
    let found = all_deliveries(&store, &item, 0);
    assert_eq!(checkpoints(&found), [10_000]);
    assert_eq!(found.last(), Some(&Delivery::CaughtUp(Position::new(15_000))));
}

#[test]
fn a_subscription_to_a_stream_never_goes_back_behind_its_position() {
    let disk = SimDisk::new(1);
    let store = open(on(&disk).segment_bytes(4 << 20));
    for first in (0..30_000).step_by(1000) {
        append(&store, "s", (first..first + 1000).map(event));
    }
    let subscription = store.subscribe(Subscribe::stream(stream("s")).after(Position::new(25_000)));
    let mut subscription = subscription.expect("within the head");
    store.close().expect("closed");
    let mut at = 25_000;
    while let Some(delivery) = subscription.next() {
        if let Delivery::Event(event) = delivery.expect("whole") {
            assert_eq!(event.position().get(), at + 1);
        }
        assert!(subscription.position().get() >= at, "{} after {at}", subscription.position());
        at = subscription.position().get();
    }
    assert_eq!(at, 30_000);
}

#[test]
fn a_version_that_a_stream_never_had_is_no_cursor() {
    let store = open(on(&SimDisk::new(1)));
    append(&store, "s", [event(1)]);
    let after = |version| Subscribe::stream(stream("s")).after_version(StreamVersion::new(version));
    assert!(store.subscribe(after(1)).is_ok());
    let refused = store.subscribe(after(2)).expect_err("it is at 1");
    assert!(refused.to_string().contains("at version 1"), "{refused}");
    let of_all = Subscribe::all().after_version(StreamVersion::new(1));
    assert!(store.subscribe(of_all).expect_err("which stream?").to_string().contains("one stream"));
}

#[test]
fn one_that_passes_over_events_gets_what_lies_behind_them_and_nothing_before() {
    let store = of_two_streams();
    for (subscribe, step) in [(Subscribe::all(), 1), (Subscribe::stream(stream("s-0")), 2)] {
        let mut subscription = store.subscribe(subscribe).expect("from the beginning");
        for n in 0..3 {
            let first = subscription.try_next().expect("there are events").expect("readable");
            assert_eq!(positions(&[first]), [1 + n * step]);
        }
        subscription.pass_to(Position::new(100)).expect("within the head");
        subscription.pass_to(Position::new(50)).expect("it is further already");
        let refused = subscription.pass_to(Position::new(201)).expect_err("beyond the head");
        assert!(refused.to_string().contains("beyond the head"));
        let rest: Vec<_> =
            std::iter::from_fn(|| subscription.try_next()).map(|told| told.expect("readable")).collect();
        assert!(positions(&rest).into_iter().eq((101..=200).step_by(step as usize)));
        check_progress(&rest);
    }
}

#[test]
fn one_that_waits_and_passes_over_all_that_came_is_told_that_it_has_caught_up() {
    let disk = SimDisk::new(1);
    let store = open(on(&disk));
    let mut subscription = store.subscribe(Subscribe::all()).expect("from the beginning");
    let next = |subscription: &mut Subscription| subscription.try_next().transpose().expect("readable");
    let caught_up = |position| Some(Delivery::CaughtUp(Position::new(position)));
    assert_eq!((next(&mut subscription), next(&mut subscription)), (caught_up(0), None));
    append(&store, "s", [event(1), event(2)]);
    subscription.pass_to(Position::new(2)).expect("within the head");
    assert_eq!((next(&mut subscription), next(&mut subscription)), (caught_up(2), None));
    append(&store, "s", [event(3)]);
    assert!(matches!(next(&mut subscription), Some(Delivery::Event(event)) if n_of(&event) == 3));
}

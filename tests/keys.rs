//! Appends under a key: made once, answered with the first receipt, also after a crash, by whoever asks, and in a race.

use std::sync::Arc;
use std::time::Duration;

use annals::testkit::SimDisk;
use annals::{
    Append, AppendError, EventStore, ExpectedVersion, IdempotencyKey, ManualClock, NewEvent, Options,
    Position, QueryItem, Receipt, Ticket, Timestamp,
};

use crate::groups::{gated, one_group};
use crate::support::*;

fn key(text: &str) -> IdempotencyKey {
    IdempotencyKey::parse(text).expect("legal")
}

fn under(name: &str, events: impl IntoIterator<Item = NewEvent>) -> Append {
    Append::to(stream("s"), ExpectedVersion::Any, events).idempotency_key(key(name))
}

/// The receipt without whether it is the first.
fn told(receipt: &Receipt) -> Receipt {
    let mut told = receipt.clone();
    told.repeated = false;
    told
}

fn hours(n: i64) -> Timestamp {
    Timestamp::from_nanos(n * 3_600_000_000_000)
}

#[test]
fn an_append_under_a_key_is_made_once_and_answered_alike_after_a_crash() {
    let disk = SimDisk::new(1);
    let store = open(on(&disk));
    let first = store.append(under("k", [event(1), event(2)])).expect("made");
    assert!(!first.repeated);
    append(&store, "s", (3..10).map(event));
    let check = |store: &EventStore| {
        let head = store.head();
        for expected in [ExpectedVersion::Any, ExpectedVersion::None, version(7).into()] {
            let again = Append::to(stream("s"), expected, [event(1), event(2)]).idempotency_key(key("k"));
            let again = store.append(again).expect("is answered");
            assert!(again.repeated);
            assert_eq!(told(&again), first, "with the ids that the store made");
        }
        assert_eq!(store.head(), head, "nothing was written");
    };
    check(&store);
    append(&store, "s", (0..200).map(|n| large_event(n, 2000)));
    check(&store);
    check(&open(on(&disk.crash(7))));
    drop(store);
}

#[test]
fn another_append_under_the_same_key_is_refused_and_another_key_is_another_append() {
    let disk = SimDisk::new(1);
    let store = open(on(&disk));
    store.append(under("k", [event(1)])).expect("made");
    let others = [
        under("k", [event(2)]),
        under("k", [event(1), event(2)]),
        Append::to(stream("t"), ExpectedVersion::Any, [event(1)]).idempotency_key(key("k")),
        under("k", [event(1).timestamp(hours(1))]),
    ];
    for other in others {
        match store.append(other) {
            Err(AppendError::KeyTaken { key: told }) => assert_eq!(told, key("k")),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(store.head(), Position::new(1));
    assert!(!store.append(under("other", [event(1)])).expect("made").repeated);
    assert_eq!(read(&store, annals::Read::all())[1].labels().count(), 1, "the key stands in the event");
}

#[test]
fn a_refused_append_leaves_its_key_free() {
    let disk = SimDisk::new(1);
    let store = open(on(&disk));
    append(&store, "s", [event(1)]);
    let wrong = Append::to(stream("s"), ExpectedVersion::None, [event(2)]).idempotency_key(key("k"));
    assert!(matches!(store.append(wrong), Err(AppendError::Conflict { .. })));
    let taken = QueryItem { streams: vec!["s".to_owned()], ..QueryItem::default() };
    let wrong = under("k", [event(2)]).fail_if_events_match(taken, Position::START);
    assert!(matches!(store.append(wrong), Err(AppendError::Matched { .. })));
    assert!(!store.append(under("k", [event(3)])).expect("made").repeated);
}

#[test]
fn a_key_is_remembered_for_its_window() {
    let (disk, clock) = (SimDisk::new(1), Arc::new(ManualClock::new(hours(100))));
    let options = || on(&disk).clock(clock.clone()).idempotency_window(Duration::from_secs(2 * 3600));
    let store = open(options());
    store.append(under("k", [event(1)])).expect("made");
    clock.set(hours(102));
    assert!(store.append(under("k", [event(1)])).expect("answered").repeated);
    clock.set(hours(103));
    append(&store, "other", [event(5)]);
    let store = {
        store.close().expect("closed");
        open(options())
    };
    // The segment is young enough, the append is not.
    let later = store.append(under("k", [event(2)]));
    assert!(!later.expect("made").repeated);
}

#[test]
fn of_a_race_under_one_key_one_append_is_made_and_all_get_its_receipt() {
    for round in 0..20 {
        let dir = tempfile::tempdir().expect("a directory");
        let store = open(Options::new(dir.path()).segment_bytes(SMALL));
        let receipts: Vec<Receipt> = std::thread::scope(|scope| {
            let race = |_| {
                scope.spawn(|| {
                    let append = under("k", [event(round)]);
                    let append = Append::expecting(append, stream("x"), ExpectedVersion::None);
                    store.append(append).expect("is answered")
                })
            };
            let racers: Vec<_> = (0..8).map(race).collect();
            racers.into_iter().map(|racer| racer.join().expect("did not panic")).collect()
        });
        assert_eq!(receipts.iter().filter(|receipt| !receipt.repeated).count(), 1);
        assert!(receipts.iter().all(|receipt| told(receipt) == told(&receipts[0])));
        assert_eq!(store.head(), Position::new(1));
    }
}

#[test]
fn appends_under_one_key_in_one_group_are_told_apart() {
    let disk = SimDisk::new(1);
    let (store, gate) = gated(&disk);
    let appends = vec![under("k", [event(1)]), under("k", [event(1)]), under("k", [event(2)])];
    let tickets = one_group(&store, &gate, appends);
    let answers: Vec<_> = tickets.into_iter().map(Ticket::wait).collect();
    assert!(!answers[0].as_ref().expect("made").repeated);
    assert!(answers[1].as_ref().expect("answered").repeated);
    assert!(matches!(answers[2], Err(AppendError::KeyTaken { .. })), "{answers:?}");
}

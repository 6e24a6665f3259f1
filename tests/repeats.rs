//! Repeats: an append that is sent again is answered as the first time and writes nothing; an id stands for one event.

use annals::testkit::SimDisk;
use annals::{
    Append, AppendError, EventId, EventStore, ExpectedVersion, Metadata, NewEvent, Position, QueryItem,
    Receipt, Ticket, Timestamp,
};

use crate::groups::{gated, one_group};
use crate::support::*;

/// An event with an id, which says something of its own.
fn named(id: &str, n: u64) -> NewEvent {
    event(n).id(EventId::parse(id).expect("legal"))
}

/// Two events of one stream and one of another, where they are expected.
fn transfer(one: ExpectedVersion, other: ExpectedVersion) -> Append {
    Append::to(stream("one"), one, [named("a", 1), named("b", 2)]).and_to(
        stream("other"),
        other,
        [named("a", 3)],
    )
}

/// The receipt of a repeat is the first one but for saying so.
fn check_repeat(first: &Receipt, again: Result<Receipt, AppendError>) {
    let mut again = again.expect("a repeat");
    assert!(!first.repeated && again.repeated);
    again.repeated = false;
    assert_eq!(again, *first);
}

fn check_taken(answer: Result<Receipt, AppendError>, wanted: &str) {
    match answer {
        Err(AppendError::IdTaken { id, .. }) => assert_eq!(id.to_string(), wanted),
        other => panic!("{other:?}"),
    }
}

fn reopened(store: EventStore, disk: &SimDisk) -> EventStore {
    drop(store);
    open(on(disk))
}

#[test]
fn an_append_that_is_sent_again_gets_its_first_receipt_and_writes_nothing() {
    let (none, exactly) = (ExpectedVersion::None, |n| ExpectedVersion::Exactly(version(n)));
    for (one, other) in [(none, none), (exactly(0), exactly(0)), (ExpectedVersion::Any, ExpectedVersion::Any)]
    {
        let disk = SimDisk::new(1);
        let mut store = open(on(&disk));
        let first = store.append(transfer(one, other)).expect("appended");
        for crash in [false, true] {
            check_repeat(&first, store.append(transfer(one, other)));
            check_repeat(&first, store.submit(transfer(one, other)).and_then(Ticket::wait));
            append(&store, "one", [event(9)]);
            check_repeat(&first, store.append(transfer(one, other)));
            store = if crash { open(on(&disk.crash_keeping_nothing())) } else { reopened(store, &disk) };
        }
        assert_eq!(everything(&store).len(), 5);
        check_repeat(&first, store.append(transfer(one, other)));
    }
}

#[test]
fn an_append_that_expects_versions_is_recognised_however_long_ago_it_was() {
    let disk = SimDisk::new(1);
    let store = open(on(&disk).repeat_window(1));
    let exact =
        || Append::to(stream("s"), ExpectedVersion::Exactly(version(1)), [named("x", 2), named("y", 3)]);
    let any = || Append::to(stream("t"), ExpectedVersion::Any, [named("x", 2)]);
    append(&store, "s", [event(1)]);
    let first = store.append(exact()).expect("appended");
    let first_of_t = store.append(any()).expect("appended");
    for n in 0..400 {
        append(&store, "s", [large_event(n, 1_000)]);
    }
    check_repeat(&first, store.append(exact()));
    // Without a version ids are looked up among the newest events only.
    assert!(!store.append(any()).expect("appended").repeated);
    let wide = reopened(store, &disk);
    let last = wide.append(any()).expect("a repeat");
    assert!(last.repeated && last.position > first_of_t.position);
}

#[test]
fn an_event_that_says_something_else_cannot_have_the_id_of_another() {
    let disk = SimDisk::new(1);
    let store = open(on(&disk));
    let to_s = |expected, events: Vec<NewEvent>| store.append(Append::to(stream("s"), expected, events));
    to_s(ExpectedVersion::Any, vec![named("a", 1), named("b", 2)]).expect("appended");
    for event in [named("a", 5), named("a", 1).metadata(Metadata::default().with("x", &1).expect("legal"))] {
        check_taken(to_s(ExpectedVersion::Any, vec![event, named("b", 2)]), "a");
    }
    // Not by the same append: more, fewer, another order, or at another place.
    check_taken(to_s(ExpectedVersion::Any, vec![named("a", 1)]), "a");
    check_taken(to_s(ExpectedVersion::Any, vec![named("b", 2)]), "b");
    check_taken(to_s(ExpectedVersion::Any, vec![named("c", 3), named("b", 2)]), "b");
    check_taken(to_s(ExpectedVersion::Any, vec![named("b", 2), named("a", 1)]), "b");
    check_taken(to_s(ExpectedVersion::Exactly(version(2)), vec![named("a", 1), named("b", 2)]), "a");
    assert_eq!(everything(&store).len(), 2);
    // In another stream the id is free.
    append(&store, "t", [named("a", 1)]);
}

#[test]
fn a_time_is_compared_only_if_its_writer_gave_it() {
    let disk = SimDisk::new(1);
    let store = open(on(&disk));
    let at = |nanos| named("a", 1).timestamp(Timestamp::from_nanos(nanos));
    let to_s = |event: NewEvent| store.append_to(&stream("s"), ExpectedVersion::Any, [event]);
    let first = to_s(at(5)).expect("appended");
    check_repeat(&first, to_s(at(5)));
    check_taken(to_s(at(6)), "a");
    check_repeat(&first, to_s(named("a", 1)));
}

#[test]
fn a_conflict_of_other_events_stays_a_conflict() {
    let disk = SimDisk::new(1);
    let store = open(on(&disk));
    let first = |id: &str, n| Append::to(stream("s"), ExpectedVersion::None, [named(id, n)]);
    store.append(first("a", 1)).expect("appended");
    let refused = store.append(first("b", 1));
    assert!(matches!(refused, Err(AppendError::Conflict { .. })), "{refused:?}");
    let unnamed = store.append_to(&stream("s"), ExpectedVersion::None, [event(1)]);
    assert!(matches!(unnamed, Err(AppendError::Conflict { .. })), "{unnamed:?}");
}

#[test]
fn an_append_under_a_condition_that_its_own_events_break_is_a_repeat() {
    let disk = SimDisk::new(1);
    let store = open(on(&disk));
    let tag = || vec!["email:a".to_owned()];
    let register = |id: &str| {
        let event = named(id, 1).metadata(Metadata::default().with("tags", &tag()).expect("legal"));
        let taken = QueryItem { tags: tag(), ..QueryItem::default() };
        Append::to(stream(id), ExpectedVersion::None, [event]).fail_if_events_match(taken, Position::START)
    };
    let first = store.append(register("u-1")).expect("registered");
    check_repeat(&first, store.append(register("u-1")));
    let refused = store.append(register("u-2"));
    assert!(matches!(refused, Err(AppendError::Matched { .. })), "{refused:?}");
}

#[test]
fn of_the_same_append_sent_several_times_at_once_one_is_written() {
    let disk = SimDisk::new(1);
    let (store, gate) = gated(&disk);
    let to_s = |n| Append::to(stream("s"), ExpectedVersion::Any, [named("a", n)]);
    let tickets = one_group(&store, &gate, vec![to_s(1), to_s(1), to_s(2), to_s(1)]);
    let mut answers: Vec<_> = tickets.into_iter().map(Ticket::wait).collect();
    check_taken(answers.remove(2), "a");
    let first = answers.remove(0).expect("appended");
    answers.into_iter().for_each(|again| check_repeat(&first, again));
    assert_eq!(read(&store, annals::Read::stream(stream("s"))).len(), 1);
}

#[test]
fn a_store_that_looks_up_no_ids_takes_them_as_often_as_they_come() {
    let disk = SimDisk::new(1);
    let store = open(on(&disk).repeat_window(0));
    for expected in [ExpectedVersion::None, ExpectedVersion::Any, ExpectedVersion::Exactly(version(2))] {
        let receipt = store.append_to(&stream("s"), expected, [named("a", 1)]).expect("appended");
        assert!(!receipt.repeated);
    }
    let again = store.append_to(&stream("s"), ExpectedVersion::None, [named("a", 1)]).expect("a repeat");
    assert!(again.repeated);
    assert_eq!(everything(&store).len(), 3);
}

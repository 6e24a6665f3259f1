//! Conditions of an append: expected versions of other streams, and that no event matches a query.

use annals::testkit::{Rng, SimDisk};
use annals::{
    Append, AppendError, EventStore, ExpectedVersion, Metadata, NewEvent, Position, QueryItem, Read,
};

use crate::groups::{gated, one_group};
use crate::support::*;

fn tagged(n: u64, tag: &str) -> NewEvent {
    event(n).metadata(Metadata::default().with("tags", &[tag]).expect("legal"))
}

fn of_tag(tag: &str) -> QueryItem {
    QueryItem { tags: vec![tag.to_owned()], ..QueryItem::default() }
}

fn one(name: &str, event: NewEvent) -> Append {
    Append::to(stream(name), ExpectedVersion::Any, [event])
}

/// The position of the event that an append was refused for.
fn refused_at(outcome: Result<annals::Receipt, AppendError>) -> Option<u64> {
    match outcome {
        Ok(_) => None,
        Err(AppendError::Matched { position, .. }) => Some(position.get()),
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn a_stream_that_is_not_written_can_be_expected() {
    let store = open(on(&SimDisk::new(1)));
    append(&store, "prices", [event(1), event(2)]);
    let booking = |expected: ExpectedVersion| one("booking", event(3)).expecting(stream("prices"), expected);
    let conflict = store.append(booking(version(1).into())).expect_err("it stands at 2");
    assert!(matches!(
        conflict,
        AppendError::Conflict { stream, actual, .. } if stream.as_str() == "prices" && actual == version(2)
    ));
    let receipt = store.append(booking(version(2).into())).expect("it stands at 2");
    assert_eq!(receipt.streams.len(), 1, "a receipt tells of streams that were written");
    let absent = one("booking", event(4)).expecting(stream("absent"), ExpectedVersion::None);
    store.append(absent).expect("it does not exist");
    assert!(
        store.stream(&stream("absent")).expect("readable").is_none(),
        "expecting a stream does not make it"
    );
    assert_eq!(everything(&store).len(), 4);
}

#[test]
fn an_append_is_refused_for_the_first_event_behind_its_position_that_matches() {
    let store = open(on(&SimDisk::new(1)));
    append(&store, "a", [tagged(1, "k:1"), tagged(2, "k:2"), tagged(3, "k:1")]);
    let after = |position| one("b", event(9)).fail_if_events_match(of_tag("k:1"), Position::new(position));
    assert_eq!(refused_at(store.append(after(0))), Some(1));
    assert_eq!(refused_at(store.append(after(1))), Some(3));
    assert_eq!(refused_at(store.append(after(3))), None);
    assert_eq!(everything(&store).len(), 4, "what was refused was not written");

    let everything_matches = one("b", event(9)).fail_if_events_match(QueryItem::default(), Position::new(3));
    assert_eq!(refused_at(store.append(everything_matches)), Some(4));
    let second = after(3).fail_if_events_match(of_tag("k:2"), Position::START);
    let refusal = store.append(second).expect_err("the second condition does not hold");
    assert!(matches!(refusal, AppendError::Matched { condition: 1, .. }), "{refusal}");
    assert!(refusal.to_string().contains("position 2, counted in stream a"), "{refusal}");
}

#[test]
fn a_condition_beyond_the_head_is_no_condition() {
    let store = open(on(&SimDisk::new(1)));
    append(&store, "a", [event(1)]);
    let beyond = one("a", event(2)).fail_if_events_match(of_tag("k:1"), Position::new(2));
    assert!(
        matches!(store.append(beyond), Err(AppendError::Invalid { what }) if what.contains("position 1"))
    );
}

#[test]
fn of_appends_in_one_group_the_first_breaks_the_condition_of_the_others() {
    let (store, gate) = gated(&SimDisk::new(1));
    let register =
        |n| one("s", tagged(n, "email:a")).fail_if_events_match(of_tag("email:a"), Position::START);
    let other = one("s", tagged(9, "email:b")).fail_if_events_match(of_tag("email:b"), Position::START);
    let tickets = one_group(&store, &gate, vec![register(1), register(2), other, register(3)]);
    let outcomes: Vec<_> = tickets.into_iter().map(|ticket| refused_at(ticket.wait())).collect();
    assert_eq!(outcomes, [None, Some(2), None, Some(2)], "position 1 is the gate's");
    assert_eq!(everything(&store).len(), 3);
}

#[test]
fn of_many_who_look_and_then_append_one_wins_each_time() {
    let store = open(on(&SimDisk::new(1)));
    std::thread::scope(|scope| {
        for writer in 0..4 {
            let store = store.clone();
            scope.spawn(move || {
                let mut rng = Rng::new(writer);
                for n in 0..200 {
                    let tag = format!("email:{}", rng.below(60));
                    let seen = store.head();
                    let mut taken = store.read(Read::all().query(of_tag(&tag).into())).expect("a legal read");
                    if taken.next().is_none() {
                        let append = one("users", tagged(writer * 1000 + n, &tag));
                        let _ = refused_at(store.append(append.fail_if_events_match(of_tag(&tag), seen)));
                    }
                }
            });
        }
    });
    for n in 0..60 {
        let with_tag = read(&store, Read::all().query(of_tag(&format!("email:{n}")).into()));
        assert_eq!(with_tag.len(), 1, "email:{n}");
    }
}

/// The first event after a position that matches, by a look at every one.
fn first_match(store: &EventStore, item: &QueryItem, after: u64) -> Option<u64> {
    let every = read(store, Read::all());
    let matching = every.iter().filter(|event| annals::Query::from(item.clone()).matches(event));
    matching.map(|event| event.position().get()).find(|position| *position > after)
}

#[test]
fn a_condition_finds_what_a_look_at_every_event_finds() {
    for seed in 0..4 {
        let (mut rng, disk) = (Rng::new(seed), SimDisk::new(seed));
        let mut store = open(on(&disk));
        for n in 0..400 {
            let name = format!("s-{}", rng.below(5));
            let tag = format!("k:{}", rng.below(200));
            let item = match rng.below(4) {
                0 => QueryItem { prefix: Some("s-1".to_owned()), ..QueryItem::default() },
                1 => QueryItem {
                    prefix: Some("s".to_owned()),
                    tags: vec![tag.clone()],
                    ..QueryItem::default()
                },
                2 => QueryItem { streams: vec![name.clone()], ..of_tag(&tag) },
                _ => of_tag(&tag),
            };
            let head = store.head().get();
            let after = head - rng.below(head.min(300) + 1);
            let wanted = first_match(&store, &item, after);
            let filler = "x".repeat(rng.below(1000) as usize);
            let metadata =
                Metadata::default().with("tags", &[&tag]).and_then(|made| made.with("filler", &filler));
            let append = one(&name, event(n).metadata(metadata.expect("legal")));
            let outcome = store.append(append.fail_if_events_match(item, Position::new(after)));
            assert_eq!(refused_at(outcome), wanted, "seed {seed}, append {n}");
            if rng.chance(1, 100) {
                store.close().expect("closed");
                store = open(on(&disk));
            }
        }
        assert!(store.stats().expect("readable").segments > 2);
    }
}

#[test]
fn a_condition_that_would_never_hold_anybody_back_is_refused() {
    let store = open(on(&SimDisk::new(1)));
    let empty_type = QueryItem { types: vec![String::new()], ..QueryItem::default() };
    for item in [of_tag("plain"), of_tag(":b"), of_tag("a:"), of_tag(""), empty_type] {
        let append = Append::to(stream("s"), ExpectedVersion::Any, [event(1)]);
        let refused = store.append(append.fail_if_events_match(item.clone(), Position::START));
        assert!(matches!(refused, Err(AppendError::Invalid { .. })), "{item:?}");
    }
    assert!(everything(&store).is_empty());
}

#[test]
fn a_condition_with_a_criterion_is_refused_because_no_index_can_decide_it() {
    let disk = SimDisk::new(1);
    let store = open(on(&disk));
    let criterion = annals::Criterion { key: "region".to_owned(), value: "eu".to_owned() };
    let item = QueryItem { criteria: vec![criterion], ..of_tag("a:b") };
    let append = Append::to(stream("s"), ExpectedVersion::Any, [event(1)]);
    let refused = store.append(append.fail_if_events_match(item, Position::START));
    assert!(matches!(&refused, Err(AppendError::Invalid { what }) if what.contains("tag")), "{refused:?}");
    assert!(everything(&store).is_empty());
}

//! Appending: conditions, atomicity, receipts, limits.

use annals::{Append, AppendError, Data, EventId, ExpectedVersion, Limits, Options, Read};

use crate::support::*;

#[test]
fn an_append_gets_dense_positions_and_versions_and_says_so() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(Options::new(dir.path()));
    let first = append(&store, "a", [event(1), event(2)]);
    assert_eq!((first.position.get(), first.streams[0].version.get()), (2, 2));
    let second = append(&store, "b", [event(3)]);
    assert_eq!((second.position.get(), second.streams[0].version.get()), (3, 1));
    assert_eq!(second.durability.as_str(), "sync");
    let third = append(&store, "a", [event(4)]);
    assert_eq!(third.streams[0].events[0].stream_version, version(3));
    assert_eq!(everything(&store).len(), 4);
    assert_eq!(store.head(), third.position);
}

#[test]
fn an_expected_version_that_is_wrong_writes_nothing_and_tells_the_right_one() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(Options::new(dir.path()));
    append(&store, "a", [event(1)]);
    for expected in [ExpectedVersion::None, version(0).into(), version(2).into()] {
        let refused = store.append_to(&stream("a"), expected, [event(9)]);
        assert!(
            matches!(&refused, Err(AppendError::Conflict { actual, .. }) if *actual == version(1)),
            "{expected}: {refused:?}"
        );
    }
    assert!(matches!(
        store.append_to(&stream("b"), ExpectedVersion::Exists, [event(9)]),
        Err(AppendError::Conflict { actual, .. }) if actual == version(0)
    ));
    assert_eq!(store.head().get(), 1);
    store.append_to(&stream("a"), version(1).into(), [event(2)]).expect("the right version");
    store.append_to(&stream("b"), ExpectedVersion::None, [event(3)]).expect("a new stream");
}

#[test]
fn several_streams_are_written_together_or_not_at_all() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(Options::new(dir.path()));
    append(&store, "a", [event(1)]);
    let refused = Append::to(stream("b"), ExpectedVersion::None, [event(2)]).and_to(
        stream("a"),
        ExpectedVersion::None,
        [event(3)],
    );
    assert!(
        matches!(store.append(refused), Err(AppendError::Conflict { stream: s, .. }) if s == stream("a"))
    );
    assert_eq!(store.stream(&stream("b")).expect("readable"), None);

    let taken = Append::to(stream("b"), ExpectedVersion::None, [event(2)]).and_to(
        stream("a"),
        version(1).into(),
        [event(3), event(4)],
    );
    let receipt = store.append(taken).expect("both are as expected");
    let versions: Vec<_> = receipt.streams.iter().map(|s| (s.stream.to_string(), s.version.get())).collect();
    assert_eq!(versions, [("b".to_owned(), 1), ("a".to_owned(), 3)]);
    assert_eq!(everything(&store).len(), 4);
}

#[test]
fn an_append_that_can_never_succeed_is_refused_with_what_to_mend() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut limits = Limits::default();
    limits.event_bytes_max = 1000;
    limits.append_bytes_max = 2000;
    limits.append_events_max = 3;
    let store = open(Options::new(dir.path()).limits(limits));
    let refused = |append: Append| store.append(append).expect_err("refused").to_string();
    let any = ExpectedVersion::Any;
    let twice = EventId::parse("same").expect("legal");

    assert!(refused(Append::to(stream("a"), any, [])).contains("at least one event"));
    assert!(refused(Append::to(stream("$a"), any, [event(1)])).contains("`$`"));
    assert!(refused(Append::to(stream("a"), any, (0..4).map(event))).contains("4 events; at most 3"));
    assert!(refused(Append::to(stream("a"), any, [large_event(1, 1000)])).contains("at most 1000"));
    assert!(
        refused(Append::to(stream("a"), any, (0..3).map(|n| large_event(n, 900)))).contains("at most 2000")
    );
    let ids = [event(1).id(twice.clone()), event(2).id(twice)];
    assert!(refused(Append::to(stream("a"), any, ids)).contains("same"));
    let named_twice = Append::to(stream("a"), any, [event(1)]).and_to(stream("a"), any, [event(2)]);
    assert!(refused(named_twice).contains("twice"));
    assert_eq!(store.head().get(), 0);
}

#[test]
fn what_is_too_large_is_told_by_the_field_that_limits_it() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut limits = Limits::default();
    (limits.event_bytes_max, limits.append_bytes_max, limits.append_events_max) = (1000, 2000, 3);
    let store = open(Options::new(dir.path()).limits(limits));
    let passed = |append: Append| match store.append(append).expect_err("refused") {
        AppendError::TooLarge { limit, max, .. } => (limit, max),
        other => panic!("{other}"),
    };
    let append = |events: Vec<_>| Append::to(stream("a"), ExpectedVersion::Any, events);
    assert_eq!(passed(append(vec![large_event(1, 1000)])), ("event_bytes_max", 1000));
    assert_eq!(passed(append((0..3).map(|n| large_event(n, 900)).collect())), ("append_bytes_max", 2000));
    assert_eq!(passed(append((0..4).map(event).collect())), ("append_events_max", 3));
    let mut conditional = append(vec![event(1)]);
    for name in ["b", "c", "d", "e"] {
        conditional = conditional.expecting(stream(name), ExpectedVersion::None);
    }
    assert_eq!(passed(conditional), ("append_events_max", 3));
}

#[test]
fn one_of_two_writers_with_the_same_expectation_wins_and_retries_lose_nothing() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(Options::new(dir.path()));
    std::thread::scope(|scope| {
        for writer in 0..8 {
            let store = store.clone();
            scope.spawn(move || {
                for n in 0..25 {
                    loop {
                        let at = store.stream(&stream("s")).expect("readable");
                        let expected = at.map_or(ExpectedVersion::None, |info| info.version.into());
                        match store.append_to(&stream("s"), expected, [event(writer * 100 + n)]) {
                            Ok(_) => break,
                            Err(AppendError::Conflict { actual, .. }) => assert!(actual.get() > 0),
                            Err(error) => panic!("{error}"),
                        }
                    }
                }
            });
        }
    });
    let mut numbers: Vec<u64> = read(&store, Read::stream(stream("s"))).iter().map(n_of).collect();
    numbers.sort_unstable();
    let wanted: Vec<u64> = (0..8).flat_map(|writer| (0..25).map(move |n| writer * 100 + n)).collect();
    assert_eq!(numbers, wanted);
}

#[test]
fn tickets_are_futures_and_dropping_one_cancels_nothing() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(Options::new(dir.path()));
    let submit = |n| store.submit(Append::to(stream("s"), ExpectedVersion::Any, [event(n)])).expect("queued");
    drop(submit(1));
    let tickets: Vec<_> = (2..100).map(submit).collect();
    for ticket in tickets {
        ticket.wait().expect("durable");
    }
    store.close().expect("closed");
    let store = open(Options::new(dir.path()));
    assert_eq!(store.head().get(), 99);
}

#[test]
fn events_for_several_streams_keep_their_order_over_all_of_them() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(Options::new(dir.path()));
    let order = ["a", "b", "a", "c", "b"];
    let append: Append = order.into_iter().zip(0..).map(|(name, n)| (stream(name), event(n))).collect();
    let receipt = store.append(append).expect("no condition");
    let versions: Vec<_> = receipt.streams.iter().map(|s| (s.stream.to_string(), s.version.get())).collect();
    assert_eq!(versions, [("a".to_owned(), 2), ("b".to_owned(), 2), ("c".to_owned(), 1)]);
    let names: Vec<_> = everything(&store).into_iter().map(|(name, _, _)| name).collect();
    assert_eq!(names, order);
}

#[test]
fn data_comes_back_byte_for_byte() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(Options::new(dir.path()));
    let json = "{ \"é\" : 1.0,\n\t\"x\":[ ] }";
    let data = Data::from_json_bytes(json).expect("is JSON");
    let new = annals::NewEvent::new(annals::EventType::parse("t").expect("legal"), data);
    append(&store, "s", [new]);
    assert_eq!(read(&store, Read::all())[0].data(), json.as_bytes());
}

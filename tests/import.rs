//! Import: order is kept, a repetition adds nothing, contradictions are told, and other writers lose nothing.

use annals::testkit::SimDisk;
use annals::{
    AppendError, EventId, EventStore, ExpectedVersion, ImportError, ImportReport, Limits, NewEvent, Read,
    RecordedEvent, Timestamp,
};

use crate::support::*;

/// Events for interleaved streams: more than a batch, over several segments.
fn lines(ids: bool) -> Vec<(String, NewEvent)> {
    let line = |n: u64| {
        let event = large_event(n / 2, 50);
        let id = EventId::parse(&format!("line-{n}")).expect("a legal id");
        (format!("s-{}", n * n % 7), if ids { event.id(id) } else { event })
    };
    (0..2500).map(line).collect()
}

fn import(store: &EventStore, lines: &[(String, NewEvent)]) -> Result<ImportReport, ImportError> {
    let mut importer = store.import();
    for (name, event) in lines {
        importer.push(stream(name), event.clone())?;
    }
    importer.finish().map(|(_, report)| report)
}

fn imported(store: &EventStore) -> Vec<(String, u64)> {
    let streams = read(store, Read::all()).into_iter().filter(|event| event.stream().starts_with("s-"));
    streams.map(|event| (event.stream().to_owned(), n_of(&event))).collect()
}

#[test]
fn the_order_of_the_lines_is_the_order_of_the_events() {
    let disk = SimDisk::new(1);
    let store = open(on(&disk));
    let report = import(&store, &lines(false)).expect("imported");
    assert_eq!((report.lines, report.appended, report.repeated), (2500, 2500, 0));
    assert_eq!(report.position, store.head());
    let number = |line: &(String, NewEvent)| line.0.clone();
    let found: Vec<String> = imported(&store).into_iter().map(|(name, _)| name).collect();
    assert_eq!(found, lines(false).iter().map(number).collect::<Vec<_>>());
    let numbers = imported(&store).into_iter().map(|(_, n)| n);
    assert!(numbers.eq((0..2500).map(|n| n / 2)), "positions follow the lines across streams");
}

#[test]
fn a_repetition_adds_nothing_also_after_other_events_and_a_reopening() {
    for ids in [true, false] {
        let disk = SimDisk::new(1);
        let store = open(on(&disk));
        import(&store, &lines(ids)[..1200]).expect("imported");
        // Another writer adds to the same streams, and much elsewhere.
        for n in 0..300 {
            append(&store, "other", [large_event(n, 1000)]);
        }
        append(&store, "s-0", [event(7)]);
        let report = import(&store, &lines(ids)).expect("the rest is imported");
        assert_eq!((report.appended, report.repeated), (1300, 1200), "ids: {ids}");
        store.close().expect("closed");

        let store = open(on(&disk));
        let before = read(&store, Read::all());
        let report = import(&store, &lines(ids)).expect("nothing is left");
        assert_eq!((report.lines, report.appended, report.repeated), (2500, 0, 2500), "ids: {ids}");
        assert_eq!(read(&store, Read::all()).len(), before.len());
        assert_eq!(imported(&store).len(), 2501);
    }
}

#[test]
fn two_equal_events_without_ids_are_two_events() {
    let disk = SimDisk::new(1);
    let store = open(on(&disk));
    let twice = [("s-1".to_owned(), event(1)), ("s-1".to_owned(), event(1))];
    assert_eq!(import(&store, &twice).expect("imported").appended, 2);
    assert_eq!(import(&store, &twice).expect("imported").appended, 0);
}

#[test]
fn an_id_that_says_something_else_ends_the_import_and_keeps_what_was_committed() {
    let disk = SimDisk::new(1);
    let store = open(on(&disk));
    let id = || EventId::parse("same").expect("a legal id");
    append(&store, "s-1", [event(0), event(1).id(id())]);
    let differing = [("s-2".to_owned(), event(5)), ("s-1".to_owned(), event(2).id(id()))];
    match import(&store, &differing) {
        Err(ImportError::Differs { number, stream: name, id: found, version: at }) => {
            assert_eq!((number, name, found, at), (2, stream("s-1"), id(), version(2)));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(store.head().get(), 2, "its batch was not appended");
    // The same id in another stream is another event, and the same event under it a repetition.
    let fine = [("s-2".to_owned(), event(2).id(id())), ("s-1".to_owned(), event(1).id(id()))];
    let report = import(&store, &fine).expect("imported");
    assert_eq!((report.appended, report.repeated), (1, 1));

    let within = [("s-3".to_owned(), event(1).id(id())), ("s-3".to_owned(), event(2).id(id()))];
    assert!(matches!(import(&store, &within), Err(ImportError::Differs { number: 2, .. })));
    let repeated = [("s-3".to_owned(), event(1).id(id())), ("s-3".to_owned(), event(1).id(id()))];
    let report = import(&store, &repeated).expect("imported");
    assert_eq!((report.appended, report.repeated), (1, 1));
}

#[test]
fn writers_on_the_same_streams_and_the_import_lose_nothing() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(annals::Options::new(dir.path()).segment_bytes(SMALL));
    std::thread::scope(|scope| {
        let importing = scope.spawn(|| import(&store, &lines(true)).expect("imported"));
        let repeating = scope.spawn(|| import(&store, &lines(true)).expect("imported"));
        for writer in 0..2 {
            let store = &store;
            scope.spawn(move || {
                for n in 0..20 {
                    let event =
                        event(writer * 100 + n).id(EventId::parse(&format!("w{writer}-{n}")).expect("legal"));
                    store
                        .append_to(&stream(&format!("s-{}", n % 7)), ExpectedVersion::Any, [event])
                        .expect("appended");
                }
            });
        }
        let (one, two) = (importing.join().expect("no panic"), repeating.join().expect("no panic"));
        assert_eq!(one.appended + two.appended, 2500, "{one:?} {two:?}");
        assert_eq!(one.repeated + two.repeated, 2500);
    });
    let events = read(&store, Read::all());
    assert_eq!(events.len(), 2540);
    let line_of = |event: &RecordedEvent| event.id().to_string().strip_prefix("line-").map(str::to_owned);
    let found: Vec<u64> = events.iter().filter_map(line_of).map(|n| n.parse().expect("a number")).collect();
    assert!(found.into_iter().eq(0..2500), "each line once, in order");
}

#[test]
fn an_import_that_lost_a_batch_goes_no_further() {
    let store = open(on(&SimDisk::new(1)));
    let mut import = store.import();
    let at = |n: u64| event(n).id(EventId::parse(&format!("evt-{n}")).expect("legal"));
    import.push(stream("s"), at(1)).expect("taken");
    store.close().expect("closed");
    let failed = (2..5000).find_map(|n| import.push(stream("s"), at(n)).err()).expect("a batch is committed");
    let again = import.push(stream("s"), at(9)).expect_err("the batch before it is lost");
    assert_eq!(again.to_string(), failed.to_string());
    assert!(import.finish().is_err());
}

#[test]
fn a_batch_of_small_events_with_long_names_fits_small_appends() {
    let limits = {
        let mut limits = Limits::default();
        limits.append_bytes_max = 128 << 10;
        limits
    };
    let store = open(on(&SimDisk::new(1)).limits(limits));
    let mut import = store.import();
    for n in 0..1000 {
        import.push(stream(&"s".repeat(255)), event(n)).expect("each event is small");
    }
    assert_eq!(import.finish().expect("batches fit").1.appended, 1000);
}

#[test]
fn an_event_that_no_append_takes_is_refused_when_it_is_pushed_and_no_other_is() {
    let mut limits = Limits::default();
    (limits.append_bytes_max, limits.event_bytes_max) = (1000, 1000);
    let mut refused = 0;
    for bytes in 700..1000 {
        let disk = SimDisk::new(1);
        let store = open(on(&disk).limits(limits.clone()));
        let id = EventId::parse("evt-1").expect("a legal id");
        let event = large_event(1, bytes).id(id);
        let mut importer = store.import();
        importer.push(stream("small"), large_event(0, 10)).expect("is small enough");
        let pushed = importer.push(stream("s"), event.clone()).map(drop);
        importer.push(stream("small"), large_event(2, 10)).expect("nobody spoils it");
        importer.finish().expect("nobody spoils it");
        let appended = store.append_to(&stream("t"), ExpectedVersion::Any, [event]).map(drop);
        match (pushed, appended) {
            (Ok(()), Ok(())) => assert_eq!(store.head().get(), 4),
            (Err(ImportError::Append(AppendError::TooLarge { .. })), Err(AppendError::TooLarge { .. })) => {
                refused += 1;
            }
            different => panic!("{bytes} bytes: {different:?}"),
        }
    }
    assert!((1..300).contains(&refused), "{refused} of 300");
}

#[test]
fn an_id_that_comes_again_is_judged_the_same_in_one_batch_and_in_the_next_import() {
    let time = |second: i64| Timestamp::from_nanos(second * 1_000_000_000);
    let event = || event(1).id(EventId::parse("evt-1").expect("a legal id"));
    let variants = [event(), event().timestamp(time(1)), event().timestamp(time(2))];
    for (first, second) in
        variants.iter().flat_map(|first| variants.iter().map(move |second| (first, second)))
    {
        let (one, two) = (SimDisk::new(1), SimDisk::new(1));
        let (in_one, in_two) = (open(on(&one)), open(on(&two)));
        let lines = [first, second].map(|event| ("s".to_owned(), event.clone()));
        let together = import(&in_one, &lines).map(|report| report.appended);
        import(&in_two, &lines[..1]).expect("nothing is there");
        let apart = import(&in_two, &lines[1..]).map(|report| report.appended + 1);
        assert_eq!(together.ok(), apart.ok(), "{first:?}, then {second:?}");
    }
}

//! Aggregates: commands are decided on the state that they change, and executed once; the past can be looked into; snapshots
//! change nothing but the time it takes.

mod order;
mod permits;
mod snapshots;

use std::cell::Cell;
use std::io::ErrorKind;
use std::sync::Arc;

use annals::testkit::{Fault, SimDisk};
use annals::{
    Aggregate, AppendError, AsOf, Context, Data, Decided, EventStore, EventType, ExecuteError,
    ExpectedVersion, Label, LoadError, ManualClock, Metadata, NewEvent, Position, Query, QueryItem, Read,
    Repository, SaveError, Scenario, Schema, StreamSettings, Timestamp, UnknownTypes,
};
use serde_json::{Value, json};

use crate::support::*;
use order::{Command, Order, OrderEvent, Refusal, fill, orders};

#[test]
fn a_command_adds_its_events_and_the_state_is_there_after_reopening() {
    let disk = SimDisk::new(1);
    let store = open(on(&disk));
    let executed = orders(&store).execute("7", Command::Create("ann")).expect("a new order");
    assert_eq!((executed.version, executed.position()), (version(1), Some(Position::new(1))));
    let executed = orders(&store).execute("7", Command::AddAll(vec![30, 12])).expect("an open order");
    assert_eq!((executed.version, executed.state.cents), (version(3), 42));
    drop(store);

    let store = open(on(&disk));
    let loaded = orders(&store).load("7").expect("readable");
    assert_eq!((loaded.state, loaded.version), (executed.state, version(3)));
    let refused = orders(&store).execute("7", Command::Create("bob"));
    assert!(matches!(refused, Err(ExecuteError::Refused(Refusal::Exists))));
    let nothing = orders(&store).execute("7", Command::Nothing).expect("nothing to do");
    assert!(nothing.receipt.is_none() && nothing.version == version(3));
    assert_eq!(store.head(), Position::new(3));
    let nobody = orders(&store).load("8").expect("readable");
    assert_eq!((nobody.state, nobody.version), (Order::default(), version(0)));
}

#[test]
fn an_event_is_stored_under_the_name_of_its_variant_with_its_version_and_its_tags() {
    let disk = SimDisk::new(1);
    let store = open(on(&disk));
    let schema = Schema::new().change("order.line-added", 1, |old: Value| old);
    let orders = orders(&store).schema(schema);
    orders.execute("7", Command::Create("ann")).expect("a new order");
    let at = Timestamp::parse("2026-01-02T03:04:05Z").expect("a time");
    let context = Context::default().timestamp(at).with("user", "bob");
    orders.execute_with("7", Command::Add(5), context).expect("an open order");
    let events = read(&store, Read::all());
    assert_eq!((events[0].event_type(), events[0].data()), ("order.created", &br#"{"customer":"ann"}"#[..]));
    assert_eq!(events[0].metadata(), Some(r#"{"tags":["customer:ann"],"version":"1.0"}"#));
    assert_eq!((events[1].event_type(), events[1].data()), ("order.line-added", &br#"{"cents":5}"#[..]));
    assert_eq!(events[1].metadata(), Some(r#"{"user":"bob","version":"2.0"}"#));
    assert_eq!(events[1].timestamp(), at);
    let tagged = QueryItem { tags: vec!["customer:ann".to_owned()], ..QueryItem::default() };
    assert_eq!(read(&store, Read::all().query(Query::from(tagged))).len(), 1);
}

#[test]
fn what_an_event_causes_carries_its_conversation_its_tenant_and_its_id() {
    let disk = SimDisk::new(1);
    let store = open(on(&disk));
    let orders = orders(&store);
    let first = Context::default().tenant_id("t-1");
    orders.execute_with("7", Command::Create("ann"), first).expect("a new order");
    let mut cause = read(&store, Read::all()).remove(0);
    let beginning = cause.id().to_string();
    for cents in [1, 2] {
        orders.execute_with("7", Command::Add(cents), &cause).expect("an open order");
        let effect = read(&store, Read::all().backward()).remove(0);
        assert_eq!(effect.label(Label::CorrelationId), Some(&*beginning));
        assert_eq!(effect.label(Label::CausationId), Some(&*cause.id().to_string()));
        assert_eq!(effect.label(Label::TenantId), Some("t-1"));
        cause = effect;
    }
}

#[test]
fn whoever_is_not_first_reads_what_is_new_and_decides_again() {
    let disk = SimDisk::new(1);
    let store = open(on(&disk));
    fill(&orders(&store), "7", 2);
    let other = store.clone();
    let meanwhile: Box<dyn FnOnce()> = Box::new(move || {
        orders(&other).execute("7", Command::Add(100)).expect("first");
    });
    let executed = orders(&store).execute("7", Command::AddAfter(5, Cell::new(Some(meanwhile))));
    let executed = executed.expect("second");
    assert_eq!((executed.retries, executed.version, executed.state.cents), (1, version(5), 108));

    let other = store.clone();
    let closing: Box<dyn FnOnce()> = Box::new(move || {
        orders(&other).execute("7", Command::Close).expect("first");
    });
    let refused = orders(&store).execute("7", Command::AddAfter(5, Cell::new(Some(closing))));
    assert!(matches!(refused, Err(ExecuteError::Refused(Refusal::Closed))), "decided on the new state");
}

#[test]
fn a_conflict_is_told_only_after_so_many_retries() {
    let disk = SimDisk::new(1);
    let store = open(on(&disk));
    fill(&orders(&store), "7", 0);
    let other = store.clone();
    let each: Box<dyn Fn()> = Box::new(move || {
        orders(&other).execute("7", Command::Add(1)).expect("always first");
    });
    let late = orders(&store).retries_max(3).execute("7", Command::AddAfterEach(100, each));
    assert!(matches!(late, Err(ExecuteError::Save(SaveError::Append(AppendError::Conflict { .. })))));
    let order = orders(&store).load("7").expect("readable").state;
    assert_eq!((order.lines, order.cents), (4, 4), "one for each try, and nothing of the late one");
}

#[test]
fn commands_of_many_threads_are_all_executed_and_none_twice() {
    let disk = SimDisk::new(1);
    let store = open(on(&disk));
    fill(&orders(&store), "7", 0);
    let repository = orders(&store).retries_max(u32::MAX);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                (0..50).for_each(|_| drop(repository.execute("7", Command::Add(1)).expect("open")))
            });
        }
    });
    assert_eq!(orders(&store).load("7").expect("readable").state.lines, 200);
}

#[test]
fn a_command_with_an_id_is_executed_once_whatever_became_of_its_first_outcome() {
    let command = || Command::AddAll(vec![1, 2]);
    let context = || Context::default().command_id("cmd-1");
    let mut unknown = 0;
    for operation in 1..8 {
        let disk = SimDisk::new(operation);
        let store = open(on(&disk));
        fill(&orders(&store), "7", 1);
        disk.fail_operation(operation, Fault::Error(ErrorKind::Other));
        let first = orders(&store).execute_with("7", command(), context());
        drop(store);
        for disk in [disk.crash_keeping_all(), disk.crash_keeping_nothing()] {
            let store = open(on(&disk));
            let again = orders(&store).execute_with("7", command(), context()).expect("executed");
            let receipt = again.receipt.expect("it has events");
            unknown += u32::from(first.is_err() && receipt.repeated);
            if let Ok(first) = &first {
                let first = first.receipt.as_ref().expect("it has events");
                assert!(receipt.repeated && first.position == receipt.position && !first.repeated);
            }
            orders(&store).execute("7", Command::Add(10)).expect("open");
            let third = orders(&store).execute_with("7", command(), context()).expect("executed");
            assert!(third.receipt.is_some_and(|third| third.repeated && third.streams == receipt.streams));
            assert_eq!((third.state.cents, third.state.lines), (14, 4));
            let caused = read(&store, Read::stream(stream("order-7")).from(version(3))).remove(0);
            assert_eq!(caused.label(Label::CausationId), Some("cmd-1"));
        }
    }
    assert!(unknown > 0, "no append was there of which its writer was told an error");
}

#[test]
fn a_command_that_was_executed_is_not_decided_again_even_if_it_would_be_refused() {
    let disk = SimDisk::new(1);
    let store = open(on(&disk));
    let context = || Context::default().command_id("create-7");
    orders(&store).execute_with("7", Command::Create("ann"), context()).expect("new");
    let again = orders(&store).execute_with("7", Command::Create("ann"), context()).expect("executed");
    assert!(again.receipt.is_some_and(|receipt| receipt.repeated));
}

#[test]
fn an_order_that_was_deleted_begins_anew_and_one_that_was_truncated_goes_on() {
    let disk = SimDisk::new(1);
    let store = open(on(&disk));
    let orders = orders(&store);
    orders.execute("7", Command::Create("ann")).expect("a new order");
    orders.execute("7", Command::Add(5)).expect("an open order");
    store.delete_stream(&stream("order-7"), ExpectedVersion::Any).expect("deleted");
    let loaded = orders.load("7").expect("readable");
    assert_eq!((loaded.state, loaded.version), (Order::default(), version(2)));
    let made = orders.execute("7", Command::Create("bob")).expect("a new order again");
    assert_eq!((made.version, made.state.customer.as_str()), (version(3), "bob"));
    assert_eq!(orders.load("7").expect("readable").state, made.state);

    let all = StreamSettings { truncate_before: Some(version(4)), ..StreamSettings::default() };
    store.set_stream(&stream("order-7"), all).expect("set");
    assert_eq!(orders.load("7").expect("readable").version, version(3));
    let made = orders.execute("7", Command::Create("eve")).expect("it has no event any more");
    assert_eq!(made.version, version(4));
    store.delete_stream_for_ever(&stream("order-7"), ExpectedVersion::Any).expect("deleted");
    assert!(matches!(orders.execute("7", Command::Close), Err(ExecuteError::Load(_))));
}

#[test]
fn events_are_saved_only_at_the_version_that_was_loaded() {
    let disk = SimDisk::new(1);
    let store = open(on(&disk));
    let orders = orders(&store);
    let mut ours = orders.load("7").expect("readable");
    let mut theirs = orders.load("7").expect("readable");
    let created = |customer: &str| vec![OrderEvent::Created { customer: customer.to_owned() }];
    let receipt = orders.save(&mut ours, created("ann"), Context::default()).expect("first");
    assert_eq!(receipt.map(|receipt| receipt.position), Some(Position::new(1)));
    assert_eq!((ours.version, &*ours.state.customer), (version(1), "ann"));
    let late = orders.save(&mut theirs, created("bob"), Context::default());
    assert!(matches!(late, Err(SaveError::Append(AppendError::Conflict { .. }))));
    assert!(theirs.state.customer.is_empty(), "what was not appended is not applied");
    let nothing = orders.save(&mut theirs, Vec::new(), Context::default());
    assert!(matches!(nothing, Ok(None)));
}

#[test]
fn the_past_is_as_it_was_by_version_by_position_and_by_commit_time() {
    let disk = SimDisk::new(1);
    let clock = ManualClock::new(Timestamp::from_nanos(1_000));
    let store = open(on(&disk).clock(Arc::new(clock.clone())));
    let orders = orders(&store);
    let mut states = vec![Order::default()];
    for n in 1..=30_u64 {
        clock.set(Timestamp::from_nanos(1_000 * n as i64));
        append(&store, "order-other", [event(n)]);
        let command = if n == 1 { Command::Create("ann") } else { Command::Add(n) };
        states.push(orders.execute("7", command).expect("open").state);
    }
    for (n, state) in (0..).zip(&states) {
        let time = |nanos| AsOf::Recorded(Timestamp::from_nanos(nanos));
        let moments = [
            AsOf::Version(version(n)),
            AsOf::Position(Position::new(2 * n)),
            AsOf::Position(Position::new(2 * n + 1)),
            time(1_000 * n as i64),
            time(1_000 * n as i64 + 999),
        ];
        for moment in moments {
            let loaded = orders.load_at("7", moment).expect("readable");
            assert_eq!((&loaded.state, loaded.version), (state, version(n)), "{moment:?}");
        }
    }
    for moment in [AsOf::Version(version(99)), AsOf::Position(Position::new(99))] {
        assert_eq!(
            orders.load_at("7", moment).expect("readable").state,
            states[30],
            "the end is the present"
        );
    }
}

#[test]
fn by_occurrence_an_event_counts_from_when_its_writer_says_it_occurred() {
    let disk = SimDisk::new(1);
    let store = open(on(&disk));
    let at = |second: i64| Timestamp::from_nanos(second * 1_000_000_000);
    let orders = orders(&store);
    // The second line is told last, but occurred first.
    for (cents, second) in [(1, 10), (2, 30), (4, 20)] {
        let context = Context::default().timestamp(at(second));
        orders.execute_with("7", Command::Add(cents), context).expect("open");
    }
    for (second, cents) in [(9, 0), (10, 1), (20, 5), (29, 5), (30, 7)] {
        let order = orders.load_at("7", AsOf::Occurred(at(second))).expect("readable").state;
        assert_eq!(order.cents, cents, "at {second} s");
    }
}

/// Events of an order as an older version of the application wrote them.
fn old_events() -> Vec<NewEvent> {
    let event = |event_type: &str, version: Option<&str>, data: Value| {
        let event =
            NewEvent::new(EventType::parse(event_type).expect("legal"), Data::json(&data).expect("JSON"));
        match version {
            Some(version) => event.metadata(Metadata::default().with("version", &version).expect("legal")),
            None => event,
        }
    };
    vec![
        event("order.made", None, json!({"name": "ann"})),
        event("order.line-added", Some("1.0"), json!({"euros": 3})),
        event("order.line-added", Some("2.0"), json!({"cents": 42})),
        event("order.lines-added-and-closed", Some("1.0"), json!([1, 2])),
    ]
}

fn schema_of_today() -> Schema {
    Schema::new()
        .rename("order.made", "order.created")
        .change("order.made", 1, |old: Value| json!({"customer": old["name"]}))
        .change(
            "order.line-added",
            1,
            |old: Value| json!({"cents": old["euros"].as_u64().unwrap_or(0) * 100}),
        )
        .split("order.lines-added-and-closed", 1, |lines: Vec<u64>| {
            let lines = lines.into_iter().map(|cents| OrderEvent::LineAdded { cents });
            lines.chain([OrderEvent::Closed]).collect()
        })
}

#[test]
fn renamed_changed_and_split_types_that_are_stored_become_those_of_today() {
    let disk = SimDisk::new(1);
    let store = open(on(&disk));
    append(&store, "order-7", old_events());
    let loaded = orders(&store).schema(schema_of_today()).load("7").expect("readable");
    let wanted = Order { customer: "ann".to_owned(), cents: 345, lines: 4, closed: true, raw: Vec::new() };
    assert_eq!((loaded.state, loaded.version), (wanted, version(4)));
    let stored = read(&store, Read::all());
    assert_eq!(stored[0].event_type(), "order.made", "the log stays as it was written");
}

#[test]
fn an_event_that_cannot_be_read_is_told_with_its_place() {
    let disk = SimDisk::new(1);
    let store = open(on(&disk));
    append(&store, "other", [event(1)]);
    append(&store, "order-7", old_events());
    let error = orders(&store).load("7").expect_err("the name has changed");
    assert!(matches!(error, LoadError::Event { position, .. } if position == Position::new(2)), "{error}");
    let error = error.to_string();
    assert!(error.contains("version 1 of stream order-7") && error.contains("order.made"), "{error}");
}

#[test]
fn unknown_types_are_refused_passed_over_or_handed_out_as_the_schema_says() {
    let disk = SimDisk::new(1);
    let store = open(on(&disk));
    fill(&orders(&store), "7", 1);
    append(&store, "order-7", [event(1), event(2)]);
    orders(&store).load("7").expect_err("refused by default");
    let raw = |unknown| {
        let orders = orders(&store).schema(Schema::new().unknown(unknown));
        let loaded = orders.load("7").expect("readable");
        assert_eq!((loaded.version, loaded.state.lines), (version(4), 1));
        loaded.state.raw
    };
    assert!(raw(UnknownTypes::Skip).is_empty());
    assert_eq!(raw(UnknownTypes::Raw), ["counted", "counted"]);
}

#[test]
fn an_id_or_a_category_that_makes_no_stream_is_refused() {
    #[derive(Debug, Default)]
    struct Dashed;
    impl Aggregate for Dashed {
        const CATEGORY: &'static str = "pre-order";
        type Event = OrderEvent;
        type Command = ();
        type Error = Refusal;
        fn apply(&mut self, _: OrderEvent) {}
        fn decide(&self, (): &()) -> Result<Vec<OrderEvent>, Refusal> {
            Ok(Vec::new())
        }
    }
    let disk = SimDisk::new(1);
    let store = open(on(&disk));
    let error = Repository::<Dashed>::new(&store).load(7).expect_err("not a category");
    assert!(error.to_string().contains("pre-order"), "{error}");
    let error = orders(&store).load("a\nb").expect_err("not a name");
    assert!(matches!(error, LoadError::Name(_)), "{error}");
}

#[test]
fn a_scenario_holds_or_fails_as_the_aggregate_does() {
    let created = || OrderEvent::Created { customer: "ann".to_owned() };
    let given = |events: Vec<OrderEvent>| Scenario::<Order>::given(events);
    let outcome: Decided<Order> = given(vec![]).when(Command::Create("ann")).then([created()]);
    outcome.then_state(|order| assert_eq!(order.customer, "ann"));
    given(vec![created(), OrderEvent::Closed]).when(Command::Add(1)).then_refused(Refusal::Closed);

    let fails = |work: fn()| std::panic::catch_unwind(work).is_err();
    assert!(fails(|| drop(Scenario::<Order>::given([]).when(Command::Close).then([]))));
    assert!(fails(|| drop(Scenario::<Order>::given([]).when(Command::Close).then_refused(Refusal::Closed))));
    assert!(fails(|| {
        let closed = Scenario::<Order>::given([OrderEvent::Closed]);
        drop(closed.when(Command::Add(1)).then_refused(Refusal::Exists));
    }));
    assert!(fails(|| {
        drop(Scenario::<Order>::given([OrderEvent::Closed]).when(Command::Add(1)).then([]));
    }));
}

#[test]
fn the_store_that_is_closed_is_told_as_that() {
    let disk = SimDisk::new(1);
    let store: EventStore = open(on(&disk));
    let orders = orders(&store);
    store.close().expect("closed");
    let error = orders.execute("7", Command::Add(1)).expect_err("closed");
    assert!(error.to_string().contains("closed"), "{error}");
}

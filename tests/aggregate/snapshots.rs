//! Snapshots of aggregates: whatever became of them, the state is the same; only the replay is shorter with them.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use annals::testkit::SimDisk;
use annals::{AsOf, EventStore, ManualClock, Repository, SnapshotPolicy, Timestamp};
use bytes::Bytes;

use super::order::{Command, Order, WHILE_APPLYING, fill, orders};
use crate::support::*;

fn keeping(store: &EventStore, events: u64) -> Repository<Order> {
    orders(store).snapshots(SnapshotPolicy::Every(events))
}

/// The versions of an order's snapshots, newest first.
fn versions(store: &EventStore) -> Vec<u64> {
    let mut up_to = version(u64::MAX);
    let mut found = Vec::new();
    while let Some(snapshot) = store.snapshot_at(&stream("order-7"), up_to).expect("readable") {
        found.push(snapshot.version.get());
        up_to = snapshot.version.previous();
    }
    found
}

#[test]
fn a_snapshot_is_saved_every_so_many_events_and_as_many_are_kept_as_the_options_say() {
    for (kept, wanted) in [(0, vec![40]), (1, vec![40]), (3, vec![40, 30, 20])] {
        let disk = SimDisk::new(1);
        let store = open(on(&disk).snapshots_kept(kept));
        fill(&keeping(&store, 10), "7", 44);
        assert_eq!(versions(&store), wanted);
        let loaded = keeping(&store, 10).load("7").expect("readable");
        assert_eq!((loaded.snapshot, loaded.replayed), (Some(version(40)), 5));
        assert_eq!(loaded.state, orders(&store).load("7").expect("readable").state);
        store.delete_snapshots(&stream("order-7")).expect("deleted");
        assert_eq!(keeping(&store, 10).load("7").expect("readable").replayed, 45);
    }
}

#[test]
fn with_three_as_the_default() {
    let disk = SimDisk::new(1);
    let store = open(on(&disk));
    fill(&keeping(&store, 2), "7", 19);
    assert_eq!(versions(&store), [20, 18, 16]);
}

#[test]
fn a_snapshot_of_another_version_of_the_state_or_of_anything_else_costs_a_replay() {
    let others = [
        r#"{"aggregate":"order","version":2,"state":{"customer":"eve","cents":0,"lines":0,"closed":false,"raw":[]}}"#,
        r#"{"aggregate":"invoice","version":1,"state":{"customer":"eve","cents":0,"lines":0,"closed":false,"raw":[]}}"#,
        r#"{"aggregate":"order","version":1,"state":{"customer":"eve"}}"#,
        r#"{"aggregate":"order","version":1}"#,
        "[]",
        "\u{1}",
        "",
    ];
    for other in others {
        let disk = SimDisk::new(1);
        let store = open(on(&disk));
        fill(&keeping(&store, 10), "7", 24);
        store.put_snapshot(&stream("order-7"), version(25), Bytes::from(other)).expect("saved");
        let loaded = keeping(&store, 10).load("7").expect("readable");
        assert_eq!(loaded.snapshot, Some(version(20)), "the newest that is of use: {other}");
        assert_eq!(loaded.state, orders(&store).load("7").expect("readable").state);
    }
}

#[test]
fn the_past_is_the_same_with_snapshots_and_none_is_newer_than_the_moment() {
    let disk = SimDisk::new(1);
    let store = open(on(&disk).snapshots_kept(100));
    fill(&keeping(&store, 7), "7", 40);
    for n in 0..=41 {
        let moment = AsOf::Version(version(n));
        let (with, without) = (keeping(&store, 7).load_at("7", moment), orders(&store).load_at("7", moment));
        let (with, without) = (with.expect("readable"), without.expect("readable"));
        assert_eq!((with.state, with.version), (without.state, without.version));
        assert!(with.snapshot.is_none_or(|snapshot| snapshot <= version(n)));
        assert_eq!(with.replayed, n % 7);
    }
}

thread_local! {
    static CLOCK: RefCell<Option<ManualClock>> = const { RefCell::new(None) };
}

/// An event takes 10 ms to apply.
fn turn_the_clock() {
    CLOCK.with_borrow(|clock| {
        let clock = clock.as_ref().expect("set by the test");
        let now = annals::Clock::now(clock);
        clock.set(Timestamp::from_nanos(now.as_nanos() + 10_000_000));
    });
}

#[test]
fn a_snapshot_is_saved_when_the_replay_takes_longer_than_the_policy_allows() {
    let disk = SimDisk::new(1);
    let clock = ManualClock::new(Timestamp::from_nanos(0));
    let store = open(on(&disk).clock(Arc::new(clock.clone())));
    fill(&orders(&store), "7", 9);
    CLOCK.set(Some(clock));
    WHILE_APPLYING.set(Some(turn_the_clock));
    let orders = |ms| orders(&store).snapshots(SnapshotPolicy::ReplayOver(Duration::from_millis(ms)));
    let executed = orders(100).execute("7", Command::Add(1)).expect("open");
    assert!(executed.snapshot.is_none(), "ten events take 100 ms");
    let executed = orders(100).execute("7", Command::Add(1)).expect("open");
    assert!(matches!(executed.snapshot, Some(Ok(()))), "eleven take longer");
    assert_eq!(versions(&store), [12]);
    WHILE_APPLYING.set(None);
}

#[test]
fn a_snapshot_that_cannot_be_saved_is_told_and_the_command_is_executed() {
    let disk = SimDisk::new(1);
    let mut limits = annals::Limits::default();
    limits.snapshot_bytes_max = 10;
    let store = open(on(&disk).limits(limits));
    let executed = keeping(&store, 1).execute("7", Command::Create("ann")).expect("executed");
    assert!(matches!(executed.snapshot, Some(Err(annals::SnapshotError::TooLarge { .. }))));
    assert_eq!(executed.version, version(1));
}

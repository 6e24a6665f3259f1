//! Projections: every event that concerns one is in its model once, whenever it ends and however often it begins again.

mod ledger;
mod rebuilding;
mod tables;

use std::time::Duration;

use annals::testkit::SimDisk;
use annals::{
    Cursor, CursorError, EventStore, InMemory, Position, Projection, ProjectionError, Projector,
    ProjectorStatus,
};

use crate::support::*;
use ledger::{Counting, Ledger};

/// Longer than anything takes.
const LONG: Duration = Duration::from_secs(60);

fn fill(store: &EventStore, numbers: impl IntoIterator<Item = u64>) {
    numbers.into_iter().for_each(|n| drop(append(store, "s-1", [event(n)])));
}

/// Waits until the projection has ended, and tells how.
fn ended<P: Projection>(projector: &Projector<P>) -> (ProjectionError, ProjectorStatus) {
    loop {
        let status = projector.status();
        if let Some(ended) = status.ended.clone() {
            return (ended, status);
        }
        std::thread::yield_now();
    }
}

#[test]
fn what_was_written_is_in_the_model_once_it_was_waited_for() {
    let disk = SimDisk::new(1);
    let store = open(on(&disk));
    fill(&store, 0..10);
    let ledger = Ledger::default();
    let projector = Projector::start(&store, Counting::default(), ledger.clone()).expect("started");
    for n in 10..30 {
        let receipt = append(&store, "s-1", [event(n)]);
        projector.wait_for(receipt.position, LONG).expect("in time");
        assert_eq!(ledger.positions(), (1..=n + 1).collect::<Vec<_>>());
    }
    let beyond = projector.wait_for(Position::new(31), LONG);
    assert!(beyond.is_err(), "what is not there yet is not waited for");
    projector.stop().expect("it went well");
}

#[test]
fn events_that_do_not_concern_a_projection_are_seen_without_a_commit_for_each() {
    let disk = SimDisk::new(1);
    let store = open(on(&disk));
    let (ledger, order) = (Ledger::default(), Some("order"));
    let counting = Counting { category: order, ..Counting::default() };
    let projector = Projector::start(&store, counting, ledger.clone()).expect("started");
    let first = append(&store, "order-1", [event(1)]);
    projector.wait_for(first.position, LONG).expect("in time");
    for n in 0..50 {
        let receipt = append(&store, "other-1", [event(n)]);
        projector.wait_for(receipt.position, LONG).expect("in time");
    }
    assert_eq!(projector.status().seen, Position::new(51));
    assert_eq!((ledger.positions(), ledger.saved().commits), (vec![1], 1));
}

#[test]
fn waiting_ends_in_time_and_tells_how_far_it_has_come() {
    let disk = SimDisk::new(1);
    let store = open(on(&disk));
    fill(&store, 0..5);
    let ledger = Ledger::default();
    let projector = Projector::start(&store, Counting::default(), ledger.clone()).expect("started");
    projector.wait_for(Position::new(5), LONG).expect("in time");
    let held = ledger.saved();
    fill(&store, 5..6);
    let late = projector.wait_for(Position::new(6), Duration::from_millis(1)).expect_err("nothing is saved");
    let ProjectionError::Behind { wanted, seen, .. } = late else { panic!("{late}") };
    assert_eq!((wanted, seen), (Position::new(6), Position::new(5)));
    drop(held);
    projector.wait_for(Position::new(6), LONG).expect("in time");
}

#[test]
fn one_that_is_killed_at_any_commit_goes_on_with_nothing_missed_or_counted_twice() {
    for killed_at in 1..=8 {
        for after in [false, true] {
            let disk = SimDisk::new(1);
            let store = open(on(&disk));
            fill(&store, 0..30);
            let ledger = Ledger::killed_at(killed_at, after);
            let killed = Projector::catch_up(&store, Counting::default(), &mut ledger.clone());
            assert!(matches!(killed, Err(ProjectionError::Model { .. })), "{killed:?}");
            let committed = 4 * (killed_at - u64::from(!after));
            assert_eq!(ledger.positions().len() as u64, committed.min(30));

            let again = ledger.found_again();
            let projector = Projector::start(&store, Counting::default(), again.clone()).expect("goes on");
            fill(&store, 30..40);
            projector.wait_for(store.head(), LONG).expect("in time");
            assert_eq!(
                again.positions(),
                (1..=40).collect::<Vec<_>>(),
                "killed at {killed_at}, after {after}"
            );
        }
    }
}

#[test]
fn a_killed_one_ends_with_what_its_model_says_and_whoever_waits_is_told() {
    let disk = SimDisk::new(1);
    let store = open(on(&disk));
    fill(&store, 0..30);
    let ledger = Ledger::killed_at(3, false);
    let projector = Projector::start(&store, Counting::default(), ledger).expect("started");
    let waited = projector.wait_for(Position::new(30), LONG);
    assert!(matches!(waited, Err(ProjectionError::Model { .. })), "{waited:?}");
    projector.wait_for(Position::new(8), LONG).expect("that was saved before");
    assert!(projector.stop().is_err());
}

#[test]
fn an_event_that_cannot_be_projected_stops_it_with_the_reason_and_everything_before_is_kept() {
    for panics in [false, true] {
        let disk = SimDisk::new(1);
        let store = open(on(&disk));
        fill(&store, 0..10);
        let ledger = Ledger::default();
        let bad = Counting { bad: vec![6], panics, ..Counting::default() };
        let projector = Projector::start(&store, bad, ledger.clone()).expect("started");
        let (error, status) = ended(&projector);
        let ProjectionError::Stopped { position, reason, .. } = &error else { panic!("{error}") };
        assert!(*position == Position::new(7) && reason.contains("number 6 is bad"), "{error}");
        assert_eq!((ledger.positions(), status.seen), ((1..=6).collect(), Position::new(6)));
        assert!(projector.wait_for(Position::new(6), LONG).is_ok());
        assert!(projector.wait_for(Position::new(7), LONG).is_err());
        drop(projector);

        let mended = Projector::start(&store, Counting::default(), ledger.found_again()).expect("goes on");
        mended.wait_for(store.head(), Duration::MAX).expect("in time");
        assert_eq!(ledger.positions(), (1..=10).collect::<Vec<_>>());
    }
}

#[test]
fn or_it_is_parked_with_the_reason_and_everything_else_goes_on() {
    let disk = SimDisk::new(1);
    let store = open(on(&disk));
    fill(&store, 0..10);
    let ledger = Ledger::default();
    let bad = || Counting { bad: vec![0, 5, 6, 12], parks: true, ..Counting::default() };
    let projector = Projector::start(&store, bad(), ledger.clone()).expect("started");
    projector.wait_for(store.head(), LONG).expect("in time");
    drop(projector);
    let projector = Projector::start(&store, bad(), ledger.found_again()).expect("goes on");
    fill(&store, 10..20);
    projector.wait_for(store.head(), LONG).expect("in time");
    let wanted: Vec<u64> = (1..=20).filter(|position| ![1, 6, 7, 13].contains(position)).collect();
    assert_eq!(ledger.positions(), wanted);
    let parked = projector.status().parked;
    let positions: Vec<u64> = parked.iter().map(|parked| parked.position.get()).collect();
    assert_eq!(positions, [1, 6, 7, 13]);
    assert_eq!(parked[3].reason, "number 12 is bad");
    let saved = ledger.saved().checkpoint.clone().expect("saved");
    assert_eq!(saved.parked, parked, "they are saved with the data");
}

#[test]
fn a_model_in_memory_is_whole_after_an_event_that_was_parked() {
    struct Sums;
    impl Projection for Sums {
        type Model = InMemory<Vec<u64>>;
        const NAME: &'static str = "sums";
        fn project(
            &self,
            model: &mut Self::Model,
            event: &annals::RecordedEvent,
        ) -> Result<(), annals::Failure> {
            model.push(n_of(event));
            if n_of(event) % 10 == 3 { Err("it ends in 3".into()) } else { Ok(()) }
        }
        fn on_failure(&self) -> annals::OnFailure {
            annals::OnFailure::Park
        }
        fn batch_events_max(&self) -> usize {
            7
        }
    }
    let disk = SimDisk::new(1);
    let store = open(on(&disk));
    fill(&store, 0..40);
    let projector = Projector::start(&store, Sums, InMemory::default()).expect("started");
    fill(&store, 40..60);
    projector.wait_for(store.head(), LONG).expect("in time");
    let wanted: Vec<u64> = (0..60).filter(|n| n % 10 != 3).collect();
    assert_eq!(projector.read(|model| model.to_vec()), wanted);
    assert_eq!(projector.status().parked.len(), 6);
}

/// A store with 5 events, and a ledger of them.
fn known() -> (SimDisk, EventStore, Ledger) {
    let disk = SimDisk::new(1);
    let store = open(on(&disk));
    fill(&store, 0..5);
    let ledger = Ledger::default();
    Projector::catch_up(&store, Counting::default(), &mut ledger.clone()).expect("nothing is bad");
    (disk, store, ledger)
}

#[test]
fn a_model_of_another_store_is_refused() {
    let (_, _, ledger) = known();
    let store = open(on(&SimDisk::new(2)));
    fill(&store, 0..9);
    let error = Projector::start(&store, Counting::default(), ledger).expect_err("another history");
    let ProjectionError::Cursor { source: CursorError::History { .. }, .. } = error else {
        panic!("{error}")
    };
}

#[test]
fn a_model_that_ran_ahead_or_has_seen_another_event_is_refused() {
    let (_disk, store, ledger) = known();
    let text = Cursor::at(&store, Position::new(5)).expect("there").to_string();
    let mut checkpoint = ledger.saved().checkpoint.clone().expect("saved");
    let change = |text: &str, part: usize, new: &str| {
        let mut parts: Vec<&str> = text.split(':').collect();
        parts[part] = new;
        parts.join(":").parse::<Cursor>().expect("a cursor")
    };
    for (part, new) in [(1, "9"), (2, "00000001")] {
        checkpoint.cursor = change(&text, part, new);
        ledger.saved().checkpoint = Some(checkpoint.clone());
        let error = Projector::start(&store, Counting::default(), ledger.clone()).expect_err("does not fit");
        match (part, error) {
            (1, ProjectionError::Cursor { source: CursorError::Ahead { position, head }, .. }) => {
                assert_eq!((position, head), (Position::new(9), Position::new(5)));
            }
            (2, ProjectionError::Cursor { source: CursorError::Event { position }, .. }) => {
                assert_eq!(position, Position::new(5));
            }
            (_, other) => panic!("{other}"),
        }
    }
    assert_eq!(ledger.positions().len(), 5, "what is there is not touched");
}

#[test]
fn a_model_of_another_version_of_the_projection_is_refused() {
    let (_disk, store, ledger) = known();
    let mut checkpoint = ledger.saved().checkpoint.clone().expect("saved");
    checkpoint.version = 2;
    ledger.saved().checkpoint = Some(checkpoint);
    let error = Projector::start(&store, Counting::default(), ledger).expect_err("another version");
    assert!(matches!(error, ProjectionError::Version { found: 2, wanted: 1, .. }), "{error}");
}

#[test]
fn closing_the_store_ends_it_with_all_that_was_appended_in_the_model() {
    let disk = SimDisk::new(1);
    let store = open(on(&disk));
    let ledger = Ledger::default();
    let projector = Projector::start(&store, Counting::default(), ledger.clone()).expect("started");
    fill(&store, 0..30);
    store.close().expect("closed");
    let (error, _) = ended(&projector);
    assert!(matches!(error, ProjectionError::Closed { .. }), "{error}");
    assert_eq!(ledger.positions(), (1..=30).collect::<Vec<_>>());
}

#[test]
fn so_many_events_are_parked_and_no_more() {
    let disk = SimDisk::new(1);
    let store = open(on(&disk));
    append(&store, "s-1", (0..1_010).map(event));
    let ledger = Ledger::default();
    let bad = Counting { bad: (0..1_010).collect(), parks: true, ..Counting::default() };
    let stopped = Projector::catch_up(&store, bad, &mut ledger.clone()).expect_err("there are too many");
    let ProjectionError::Stopped { position, .. } = stopped else { panic!("{stopped}") };
    assert_eq!(position, Position::new(1_001));
    let saved = ledger.saved().checkpoint.clone().expect("saved");
    assert_eq!((saved.parked.len(), saved.cursor.position()), (1_000, Position::new(1_000)));
}

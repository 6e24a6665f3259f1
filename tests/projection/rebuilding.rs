//! Rebuilding beside: readers see the old model until the new one has come as far, and from then on the new one.

use std::sync::atomic::{AtomicBool, Ordering};

use annals::testkit::SimDisk;
use annals::{
    Checkpoint, Failure, InMemory, Options, Position, Projection, Projector, ReadModel, RecordedEvent, Table,
};

use super::{LONG, fill};
use crate::support::*;

/// Counts all events in one row.
struct Total;

impl Projection for Total {
    type Model = Table;
    const NAME: &'static str = "total";

    fn project(&self, table: &mut Table, _: &RecordedEvent) -> Result<(), Failure> {
        let count: u64 = table.get("count")?.unwrap_or(0);
        Ok(table.put("count", &(count + 1))?)
    }

    fn batch_events_max(&self) -> usize {
        8
    }
}

fn count(projector: &Projector<Total>) -> u64 {
    projector.read(|table| table.get("count")).expect("readable").unwrap_or(0)
}

#[test]
fn while_appends_go_on_a_rebuilt_model_takes_the_place_of_the_old_one_at_once() {
    let disk = SimDisk::new(1);
    let store = open(on(&disk));
    fill(&store, 0..300);
    let table = Table::open(&store, "total").expect("opened");
    let projector = Projector::start(&store, Total, table).expect("started");
    projector.wait_for(store.head(), LONG).expect("in time");
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut last = 300;
            while !done.load(Ordering::Relaxed) {
                let now = count(&projector);
                assert!(now >= last, "{now} events after {last}");
                last = now;
            }
        });
        scope.spawn(|| {
            for n in 0.. {
                let receipt = append(&store, "s-1", [event(n)]);
                projector.wait_for(receipt.position, LONG).expect("in time");
                assert!(count(&projector) >= receipt.position.get(), "what was written is read");
                if done.load(Ordering::Relaxed) {
                    break;
                }
            }
        });
        let rebuilds = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for _ in 0..10 {
                let beside = Table::beside(&store, "total").expect("a table");
                let old = projector.rebuild(beside).expect("nothing fails");
                assert!(old.is_empty());
            }
        }));
        done.store(true, Ordering::Relaxed);
        rebuilds.expect("no panic");
    });
    projector.wait_for(store.head(), LONG).expect("in time");
    assert_eq!(count(&projector), store.head().get());
}

#[test]
fn the_rebuilt_one_is_there_after_reopening_and_nothing_is_left_of_the_old_one() {
    let dir = tempfile::tempdir().expect("a directory");
    let options = || Options::new(dir.path()).background(false);
    let store = open(options());
    fill(&store, 0..20);
    let projector = Projector::start(&store, Total, Table::open(&store, "total").expect("opened"));
    let projector = projector.expect("started");
    projector.rebuild(Table::beside(&store, "total").expect("a table")).expect("rebuilt");
    fill(&store, 20..30);
    projector.wait_for(store.head(), LONG).expect("in time");
    drop((projector, store));

    let store = open(options());
    let table = Table::open(&store, "total").expect("opened");
    assert_eq!(
        table.checkpoint().expect("readable").map(|saved| saved.cursor.position()),
        Some(Position::new(30))
    );
    assert_eq!(table.get::<u64>("count").expect("readable"), Some(30));
    assert!(table.lost().is_none());
}

#[test]
fn a_rebuild_that_does_not_come_to_its_end_leaves_the_model_in_its_place() {
    let dir = tempfile::tempdir().expect("a directory");
    let options = || Options::new(dir.path()).background(false);
    let store = open(options());
    fill(&store, 0..20);
    let mut table = Table::open(&store, "total").expect("opened");
    Projector::catch_up(&store, Total, &mut table).expect("caught up");
    // Half of the events are in the new one when the process ends.
    let mut beside = Table::beside(&store, "total").expect("a table");
    beside.put("count", &10_u64).expect("put");
    beside.commit(&table.checkpoint().expect("readable").expect("saved")).expect("committed");
    drop((table, beside, store));

    let store = open(options());
    let table = Table::open(&store, "total").expect("opened");
    assert_eq!(table.get::<u64>("count").expect("readable"), Some(20));
}

/// A model that cannot take the place of another.
#[derive(Default)]
struct Stuck(InMemory<u64>);

impl ReadModel for Stuck {
    fn checkpoint(&self) -> Result<Option<Checkpoint>, Failure> {
        self.0.checkpoint()
    }

    fn commit(&mut self, checkpoint: &Checkpoint) -> Result<(), Failure> {
        self.0.commit(checkpoint)
    }

    fn rollback(&mut self) -> Result<(), Failure> {
        self.0.rollback()
    }

    fn clear(&mut self) -> Result<(), Failure> {
        self.0.clear()
    }

    fn promote(&mut self) -> Result<(), Failure> {
        Err("it is stuck".into())
    }
}

#[test]
fn one_that_cannot_take_its_place_is_told_and_the_present_one_goes_on() {
    struct Sum;
    impl Projection for Sum {
        type Model = Stuck;
        const NAME: &'static str = "sum";
        fn project(&self, model: &mut Stuck, event: &RecordedEvent) -> Result<(), Failure> {
            *model.0 += n_of(event);
            Ok(())
        }
    }
    let disk = SimDisk::new(1);
    let store = open(on(&disk));
    fill(&store, 0..10);
    let projector = Projector::start(&store, Sum, Stuck::default()).expect("started");
    let error = projector.rebuild(Stuck::default()).map(drop).expect_err("stuck");
    assert!(error.to_string().contains("it is stuck"), "{error}");
    fill(&store, 10..20);
    projector.wait_for(store.head(), LONG).expect("in time");
    assert_eq!(projector.read(|model| *model.0), 190);
}

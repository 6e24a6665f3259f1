//! Tables through the life of a store: killed processes, other stores, and other versions of a projection.

use std::path::{Path, PathBuf};
use std::process::Command;

use annals::{
    EventStore, Failure, Options, Position, Projection, Projector, ReadModel, RecordedEvent, Table,
};

use super::{LONG, fill};
use crate::support::*;

/// Where the process that is killed finds the store, and at which event it is.
const DIR: &str = "ANNALS_PROJECTION_KILLED_DIR";
const AT: &str = "ANNALS_PROJECTION_KILLED_AT";

/// Events of the store of that process, and how many are saved together.
const EVENTS: u64 = 300;
const BATCH: u64 = 10;

/// Counts how often each event was projected, by position. `V` is its version.
struct Times<const V: u32> {
    killed_at: Option<u64>,
}

impl<const V: u32> Projection for Times<V> {
    type Model = Table;
    const NAME: &'static str = "times";
    const VERSION: u32 = V;

    fn project(&self, table: &mut Table, event: &RecordedEvent) -> Result<(), Failure> {
        let position = event.position().get();
        if self.killed_at == Some(position) {
            std::process::abort();
        }
        let key = format!("{position:08}");
        let times: u64 = table.get(&key)?.unwrap_or(0);
        Ok(table.put(&key, &(times + 1))?)
    }

    fn batch_events_max(&self) -> usize {
        BATCH as usize
    }
}

fn options(dir: &Path) -> Options {
    Options::new(dir).background(false)
}

fn opened(store: &EventStore) -> Table {
    Table::open(store, "times").expect("opened")
}

/// Whether each event up to `last` was projected once, and no other.
fn check(table: &Table, last: u64) {
    let rows: Vec<(String, u64)> = table.rows("").collect::<Result<_, _>>().expect("readable");
    let wanted: Vec<(String, u64)> = (1..=last).map(|position| (format!("{position:08}"), 1)).collect();
    assert_eq!(rows, wanted);
}

fn reached(table: &Table) -> u64 {
    let checkpoint = table.checkpoint().expect("readable");
    checkpoint.map_or(0, |checkpoint| checkpoint.cursor.position().get())
}

#[test]
#[ignore = "it is killed; another test starts it"]
fn the_process_that_is_killed() {
    let (Ok(dir), Ok(at)) = (std::env::var(DIR), std::env::var(AT)) else { return };
    let store = open(options(&PathBuf::from(dir)));
    let times = Times::<1> { killed_at: at.parse().ok() };
    let _ = Projector::catch_up(&store, times, &mut opened(&store));
}

#[test]
fn a_process_that_is_killed_between_batches_or_within_one_goes_on_with_nothing_missed_or_counted_twice() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(options(dir.path()));
    fill(&store, 0..EVENTS);
    drop(store);
    for at in [5, 11, 20, 21, 75, 200, 299] {
        let this = std::env::current_exe().expect("the tests are a program");
        let name = "projection::tables::the_process_that_is_killed";
        let mut killed = Command::new(this);
        killed.args(["--exact", name, "--ignored"]).env(DIR, dir.path()).env(AT, at.to_string());
        assert!(!killed.output().expect("it starts").status.success(), "it was killed");

        let store = open(options(dir.path()));
        let table = opened(&store);
        assert!(table.lost().is_none(), "{:?}", table.lost());
        assert_eq!(reached(&table), (at - 1) / BATCH * BATCH, "whole batches only");
        check(&table, reached(&table));
    }
    let store = open(options(dir.path()));
    let mut table = opened(&store);
    Projector::catch_up(&store, Times::<1> { killed_at: None }, &mut table).expect("caught up");
    check(&table, EVENTS);
}

#[test]
fn a_table_that_lost_its_files_or_is_of_another_store_or_version_is_made_again_and_says_so() {
    let dir = tempfile::tempdir().expect("a directory");
    let made = |store: &EventStore| {
        let mut table = opened(store);
        Projector::catch_up(store, Times::<1> { killed_at: None }, &mut table).expect("caught up");
        check(&table, store.head().get());
    };
    let store = open(options(dir.path()));
    fill(&store, 0..50);
    made(&store);
    let projector =
        Projector::start(&store, Times::<2> { killed_at: None }, opened(&store)).expect("started");
    let rebuilt = projector.status().rebuilt.expect("another version");
    assert!(rebuilt.contains("version 1 of the projection times, which is at version 2"), "{rebuilt}");
    projector.wait_for(store.head(), LONG).expect("in time");
    projector.read(|table| check(table, 50));
    drop((projector, store));

    // Another store is put in the place of this one, and the database of the old one stays.
    std::fs::remove_dir_all(dir.path().join("log")).expect("removed");
    std::fs::remove_file(dir.path().join("STATE")).expect("removed");
    let store = open(options(dir.path()));
    fill(&store, 0..70);
    let projector =
        Projector::start(&store, Times::<2> { killed_at: None }, opened(&store)).expect("started");
    let rebuilt = projector.status().rebuilt.expect("another store");
    assert!(rebuilt.contains("the cursor is of the history"), "{rebuilt}");
    projector.wait_for(Position::new(70), LONG).expect("in time");
    projector.read(|table| check(table, 70));
    drop((projector, store));

    std::fs::remove_dir_all(dir.path().join("tables")).expect("removed");
    let store = open(options(dir.path()));
    let projector =
        Projector::start(&store, Times::<2> { killed_at: None }, opened(&store)).expect("started");
    projector.wait_for(Position::new(70), LONG).expect("in time");
    projector.read(|table| check(table, 70));
}

#[test]
fn a_name_that_makes_no_keys_is_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(options(dir.path()));
    for name in ["", "a\0b", &"x".repeat(256)] {
        assert!(Table::open(&store, name).is_err() && Table::beside(&store, name).is_err(), "{name:?}");
    }
}

//! A table in a damaged database: it holds what its checkpoint says or is made again, and in the end it is exact.

use super::told;
use crate::testkit::{Placed, placed};
use crate::{EventStore, Failure, Projection, ProjectionError, Projector, ReadModel, RecordedEvent, Table};

/// One row for each event, and one with how many there are: it is changed by every batch.
struct Rows;

impl Projection for Rows {
    type Model = Table;
    const NAME: &'static str = "rows";

    fn project(&self, table: &mut Table, event: &RecordedEvent) -> Result<(), Failure> {
        let count: u64 = table.get("count")?.unwrap_or(0);
        table.put("count", &(count + 1))?;
        Ok(table.put(&key(event.position().get()), &(event.stream(), event.stream_version()))?)
    }

    fn batch_events_max(&self) -> usize {
        5
    }
}

fn key(position: u64) -> String {
    format!("event-{position:04}")
}

/// How often a table that finds its database damaged while it is used may be opened again.
const ATTEMPTS_MAX: u32 = 3;

/// Opens the table and brings it up to date. Tells whether it was there, without a row less.
pub(super) fn bring_up_to_date(store: &EventStore) -> Result<bool, String> {
    let mut was_there = true;
    for _ in 0..ATTEMPTS_MAX {
        let mut table = Table::open(store, "rows").map_err(told)?;
        let reached = table.checkpoint().map_err(told)?.map_or(0, |saved| saved.cursor.position().get());
        check(store, &table, reached)?;
        was_there &= reached == store.head().get();
        match Projector::catch_up(store, Rows, &mut table) {
            Ok(_) => return check(store, &table, store.head().get()).map(|()| was_there),
            Err(ProjectionError::Model { .. }) => was_there = false,
            Err(error) => return Err(told(error)),
        }
    }
    Err("a table could not be made again".to_owned())
}

/// Whether the table holds exactly what the events up to a position make of it.
fn check(store: &EventStore, table: &Table, reached: u64) -> Result<(), String> {
    let events = placed(store).map_err(told)?;
    let row =
        |(number, event): (u64, &Placed)| (key(number), serde_json::json!([event.stream, event.version]));
    let mut wanted: Vec<_> = (1..=reached).zip(&events).map(row).collect();
    if reached > 0 {
        wanted.insert(0, ("count".to_owned(), reached.into()));
    }
    let found: Vec<(String, serde_json::Value)> = table.rows("").collect::<Result<_, _>>().map_err(told)?;
    match found == wanted {
        true => Ok(()),
        false => Err(format!("a table has other rows than the events up to position {reached} make")),
    }
}

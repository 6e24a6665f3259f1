//! Projections: how fast a read model catches up with the log, in memory and in a table, and how soon it has what was written.
//!
//! `cargo bench --bench projections [-- EVENTS]` appends EVENTS (default 100,000) to a thousandth as many streams and projects
//! them: into a count for each stream, and into a row for each event. The directory is `ANNALS_BENCH_DIR`, or the system's
//! temporary one.

use std::collections::BTreeMap;
use std::error::Error;
use std::io::Write;
use std::time::{Duration, Instant};

use annals::{
    Append, Data, EventStore, EventType, ExpectedVersion, Failure, InMemory, NewEvent, Options, Projection,
    Projector, RecordedEvent, StreamName, Table,
};

/// Events of one append while the store is filled.
const APPEND_EVENTS: u64 = 1_000;

/// Writes that are waited for.
const WRITES: usize = 500;

type Outcome<T> = Result<T, Box<dyn Error>>;

/// Counts the events of each stream in memory.
struct Counts;

impl Projection for Counts {
    type Model = InMemory<BTreeMap<String, u64>>;
    const NAME: &'static str = "counts";

    fn project(&self, counts: &mut Self::Model, event: &RecordedEvent) -> Result<(), Failure> {
        match counts.get_mut(event.stream()) {
            Some(count) => *count += 1,
            None => drop(counts.insert(event.stream().to_owned(), 1)),
        }
        Ok(())
    }
}

/// Counts the events of each stream in a table.
struct CountRows;

impl Projection for CountRows {
    type Model = Table;
    const NAME: &'static str = "count-rows";

    fn project(&self, table: &mut Table, event: &RecordedEvent) -> Result<(), Failure> {
        let count: u64 = table.get(event.stream())?.unwrap_or(0);
        Ok(table.put(event.stream(), &(count + 1))?)
    }
}

/// A row for each event.
struct EventRows;

impl Projection for EventRows {
    type Model = Table;
    const NAME: &'static str = "event-rows";

    fn project(&self, table: &mut Table, event: &RecordedEvent) -> Result<(), Failure> {
        Ok(table.put(&format!("{:012}", event.position().get()), &(event.stream(), event.event_type()))?)
    }
}

fn main() -> Outcome<()> {
    let events =
        std::env::args().skip(1).find_map(|argument| argument.parse::<u64>().ok()).unwrap_or(100_000);
    let base = std::env::var_os("ANNALS_BENCH_DIR").map_or_else(std::env::temp_dir, Into::into);
    let dir = tempfile::tempdir_in(base)?;
    let store = EventStore::open(Options::new(dir.path()))?;
    let mut out = std::io::stdout().lock();
    fill(&store, events)?;
    writeln!(out, "{events} events of {} streams", (events / 1_000).max(1))?;

    let rate = |begun: Instant| events as f64 / begun.elapsed().as_secs_f64();
    let begun = Instant::now();
    Projector::catch_up(&store, Counts, &mut InMemory::default())?;
    writeln!(out, "counts in memory: {:.0} events a second", rate(begun))?;
    let mut counts = Table::open(&store, "counts")?;
    let begun = Instant::now();
    Projector::catch_up(&store, CountRows, &mut counts)?;
    writeln!(out, "counts in a table of {} rows: {:.0} events a second", counts.len(), rate(begun))?;
    let mut rows = Table::open(&store, "rows")?;
    let begun = Instant::now();
    Projector::catch_up(&store, EventRows, &mut rows)?;
    writeln!(out, "a table of {} rows: {:.0} events a second", rows.len(), rate(begun))?;
    drop(rows);

    let begun = Instant::now();
    let rows = Table::open(&store, "rows")?;
    let took = begun.elapsed().as_secs_f64();
    writeln!(out, "opening the table of {} rows: {:.0} ms", rows.len(), took * 1e3)?;

    let projector = Projector::start(&store, Counts, InMemory::default())?;
    written_and_read(&mut out, &store, "in memory", &projector)?;
    let projector = Projector::start(&store, CountRows, counts)?;
    written_and_read(&mut out, &store, "in a table", &projector)?;
    Ok(())
}

fn event() -> Outcome<NewEvent> {
    let data = Data::from_json_bytes(format!(r#"{{"filler":"{}"}}"#, "x".repeat(256 - 13)))?;
    Ok(NewEvent::new(EventType::parse("order.created.v1")?, data))
}

fn stream(number: u64, events: u64) -> Outcome<StreamName> {
    Ok(StreamName::parse(&format!("order-{}", number % (events / 1_000).max(1)))?)
}

fn fill(store: &EventStore, events: u64) -> Outcome<()> {
    let event = event()?;
    for first in (0..events).step_by(APPEND_EVENTS as usize) {
        let append =
            (first..events.min(first + APPEND_EVENTS)).map(|n| Ok((stream(n, events)?, event.clone())));
        store.append(append.collect::<Outcome<Vec<_>>>()?.into_iter().collect::<Append>())?;
    }
    Ok(())
}

/// How long it takes from a receipt to the model, and how long the append takes.
fn written_and_read<P: Projection>(
    out: &mut impl Write,
    store: &EventStore,
    what: &str,
    projector: &Projector<P>,
) -> Outcome<()> {
    projector.wait_for(store.head(), Duration::from_secs(600))?;
    let (mut appends, mut waits) = (Vec::new(), Vec::new());
    for _ in 0..WRITES {
        let begun = Instant::now();
        let receipt = store.append_to(&StreamName::parse("order-1")?, ExpectedVersion::Any, [event()?])?;
        let appended = Instant::now();
        projector.wait_for(receipt.position, Duration::from_secs(600))?;
        appends.push(appended - begun);
        waits.push(appended.elapsed());
    }
    let median = |times: &mut Vec<Duration>| {
        times.sort_unstable();
        times[times.len() / 2].as_secs_f64() * 1e6
    };
    let (append, wait) = (median(&mut appends), median(&mut waits));
    writeln!(out, "an append: p50 {append:.0} us; then, until the model {what} has it: p50 {wait:.0} us")?;
    Ok(())
}

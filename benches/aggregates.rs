//! Aggregates rebuilt with and without snapshots: equal states, and what the snapshots save.
//!
//! `cargo bench --bench aggregates [-- LOADS]` rebuilds every permit of the example data, where that is at hand, and else 1,434
//! drawn streams of six events; then streams of up to 10,000 events, LOADS times each (default 50). Both ways are measured in turn, on a
//! store in a directory `ANNALS_BENCH_DIR`, or the system's temporary one.

use std::collections::BTreeMap;
use std::error::Error;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use annals::{
    Aggregate, Append, Data, EventStore, EventType, ExpectedVersion, Loaded, Metadata, NewEvent, Options,
    RecordedEvent, Repository, Schema, SnapshotPolicy, StreamName, UnknownTypes,
};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// Streams that are drawn where there are no permits, and the events of each.
const STREAMS: u64 = 1_434;
const EVENTS: u64 = 6;

/// Events behind the snapshot of a long stream.
const BEHIND: u64 = 10;

type Outcome<T> = Result<T, Box<dyn Error>>;

/// A permit: who has worked on it how often, and what was done last.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
struct Permit {
    by: BTreeMap<String, u64>,
    last: String,
}

/// What any event of a permit says.
#[derive(Debug, Serialize, Deserialize)]
struct Step {
    activity: String,
    resource: String,
}

/// No type of the data is known by name: all are handed out as they are stored.
#[derive(Debug, Serialize, Deserialize)]
enum PermitEvent {
    #[serde(rename = "permit.step")]
    Step(Step),
}

impl Permit {
    fn step(&mut self, step: Step) {
        *self.by.entry(step.resource).or_default() += 1;
        self.last = step.activity;
    }
}

impl Aggregate for Permit {
    const CATEGORY: &'static str = "permit";
    type Event = PermitEvent;
    type Command = ();
    type Error = std::convert::Infallible;

    fn apply(&mut self, PermitEvent::Step(step): PermitEvent) {
        self.step(step);
    }

    fn decide(&self, (): &()) -> Result<Vec<PermitEvent>, Self::Error> {
        Ok(Vec::new())
    }

    fn apply_raw(&mut self, event: &RecordedEvent) {
        if let Ok(step) = event.json() {
            self.step(step);
        }
    }
}

fn main() -> Outcome<()> {
    let loads = std::env::args().skip(1).find_map(|argument| argument.parse::<u64>().ok()).unwrap_or(50);
    let base = std::env::var_os("ANNALS_BENCH_DIR").map_or_else(std::env::temp_dir, Into::into);
    let dir = tempfile::tempdir_in(base)?;
    let store = EventStore::open(Options::new(dir.path()))?;
    let mut out = std::io::stdout().lock();
    let plain = Repository::<Permit>::new(&store).schema(Schema::new().unknown(UnknownTypes::Raw));
    let keeping = plain.clone().snapshots(SnapshotPolicy::Every(50));

    let ids = fill(&store)?;
    writeln!(out, "{} aggregates of {} events", ids.len(), store.head())?;
    for id in &ids {
        keeping.snapshot(&plain.load(id)?)?;
    }
    compare(&mut out, &plain, &keeping, &ids, 1)?;

    for events in [100, 1_000, 10_000] {
        let id = format!("long-{events}");
        append(&store, &id, events - BEHIND)?;
        keeping.snapshot(&plain.load(&id)?)?;
        append(&store, &id, BEHIND)?;
        writeln!(out, "an aggregate of {events} events, {BEHIND} of them behind its snapshot")?;
        compare(&mut out, &plain, &keeping, &[id], loads)?;
    }
    Ok(())
}

/// Loads each aggregate both ways, in turn, and prints what that takes.
fn compare(
    out: &mut impl Write,
    plain: &Repository<Permit>,
    keeping: &Repository<Permit>,
    ids: &[String],
    rounds: u64,
) -> Outcome<()> {
    let (mut without, mut with) = (Vec::new(), Vec::new());
    let mut replayed = (0, 0);
    for _ in 0..rounds {
        for id in ids {
            let one = timed(&mut without, || plain.load(id))?;
            let other = timed(&mut with, || keeping.load(id))?;
            assert_eq!((&one.state, one.version), (&other.state, other.version), "the states are equal");
            replayed = (replayed.0 + one.replayed, replayed.1 + other.replayed);
        }
    }
    let without = report(out, &format!("without snapshots, {} events read", replayed.0), &mut without)?;
    let with = report(out, &format!("with snapshots, {} events read", replayed.1), &mut with)?;
    writeln!(out, "  p50 without / with: {:.2}", without / with)?;
    Ok(())
}

/// Prints percentiles, and tells the median in microseconds.
fn report(out: &mut impl Write, what: &str, times: &mut [Duration]) -> Outcome<f64> {
    times.sort_unstable();
    let at = |share: f64| times[(times.len() as f64 * share) as usize].as_secs_f64() * 1e6;
    writeln!(out, "  {what}: p50 {:.1} us, p99 {:.1} us", at(0.5), at(0.99))?;
    Ok(at(0.5))
}

fn timed<E: Error + 'static>(
    times: &mut Vec<Duration>,
    load: impl FnOnce() -> Result<Loaded<Permit>, E>,
) -> Outcome<Loaded<Permit>> {
    let begun = Instant::now();
    let loaded = load()?;
    times.push(begun.elapsed());
    Ok(loaded)
}

/// The permits, or streams that are drawn; tells the ids.
fn fill(store: &EventStore) -> Outcome<Vec<String>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/permits.ndjson");
    let Ok(text) = std::fs::read_to_string(path) else {
        let ids: Vec<String> = (0..STREAMS).map(|number| number.to_string()).collect();
        for id in &ids {
            append(store, id, EVENTS)?;
        }
        return Ok(ids);
    };
    let mut import = store.import();
    let mut ids = std::collections::BTreeSet::new();
    for line in text.lines() {
        let line: Line<'_> = serde_json::from_str(line)?;
        let event = NewEvent::new(EventType::parse(line.r#type)?, Data::from_raw(line.data))
            .metadata(Metadata::parse(line.metadata.get().to_owned())?);
        import.push(StreamName::parse(line.stream)?, event)?;
        ids.insert(line.stream.trim_start_matches("permit-").to_owned());
    }
    import.finish()?;
    Ok(ids.into_iter().collect())
}

/// A line of the permits.
#[derive(Deserialize)]
struct Line<'a> {
    stream: &'a str,
    r#type: &'a str,
    #[serde(borrow)]
    data: &'a RawValue,
    #[serde(borrow)]
    metadata: &'a RawValue,
}

fn append(store: &EventStore, id: &str, events: u64) -> Outcome<()> {
    let schema = Schema::new();
    let stream = StreamName::parse(&format!("permit-{id}"))?;
    let step = |number: u64| {
        let (activity, resource) = (format!("step {number}"), format!("Resource{:02}", number % 50));
        schema.encode(&PermitEvent::Step(Step { activity, resource }))
    };
    for first in (0..events).step_by(1_000) {
        let steps = (first..events.min(first + 1_000)).map(step).collect::<Result<Vec<_>, _>>()?;
        store.append(Append::to(stream.clone(), ExpectedVersion::Any, steps))?;
    }
    Ok(())
}

//! Optimistic retry: writers who do not wait for each other, and of whom none overwrites another.
//!
//! Each reads a counter, decides, and appends at the version that it has read. Whoever was not first is told so, reads again and
//! decides again. Aggregates do the same by themselves (`examples/order_aggregate.rs`).
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use annals::{
    AppendError, Data, EventStore, EventType, ExpectedVersion, NewEvent, Options, Read, StreamName,
};
use serde_json::json;

type Failure = Box<dyn std::error::Error + Send + Sync>;

const WRITERS: u64 = 4;
const EACH: u64 = 25;

fn main() -> Result<(), Failure> {
    let dir = tempfile::tempdir()?;
    let store = EventStore::open(Options::new(dir.path()))?;
    let stream = StreamName::parse("counter-1")?;

    let retries = std::thread::scope(|scope| {
        let count = || (0..EACH).map(|_| count_one(&store, &stream)).sum::<Result<u64, Failure>>();
        let writers: Vec<_> = (0..WRITERS).map(|_| scope.spawn(count)).collect();
        writers
            .into_iter()
            .map(|writer| writer.join().map_err(|_| "a writer panicked")?)
            .sum::<Result<u64, Failure>>()
    })?;

    let (value, version) = counted(&store, &stream)?;
    println!(
        "{WRITERS} writers counted {EACH} times each: the counter stands at {value}, its stream at version {version}."
    );
    println!("{retries} times somebody was not first, and decided again.");
    Ok(())
}

/// Adds one to the counter, and tells how often somebody else was first.
fn count_one(store: &EventStore, stream: &StreamName) -> Result<u64, Failure> {
    for retries in 0.. {
        let (value, expected) = counted(store, stream)?;
        let counted =
            NewEvent::new(EventType::parse("counter.counted")?, Data::json(&json!({"value": value + 1}))?);
        match store.append_to(stream, expected, [counted]) {
            Ok(_) => return Ok(retries),
            Err(AppendError::Conflict { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err("nobody tries so often".into())
}

/// The value of the counter, and what its stream is expected to be if nobody has counted since.
fn counted(store: &EventStore, stream: &StreamName) -> Result<(u64, ExpectedVersion), Failure> {
    let newest = store.read(Read::stream(stream.clone()).backward().limit(1))?.next().transpose()?;
    let Some(newest) = newest else { return Ok((0, ExpectedVersion::None)) };
    let data: serde_json::Value = newest.json()?;
    Ok((data["value"].as_u64().ok_or("it has a value")?, newest.stream_version().into()))
}

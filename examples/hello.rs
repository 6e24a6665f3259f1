//! The first steps: append with a condition, be refused, replay, and find everything again after reopening.
//!
//! `cargo run --example hello` works in a directory that is gone afterwards. `cargo run --example hello -- DIR` keeps
//! its events in DIR, and finds them again the next time.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use annals::{Append, AppendError, Data, EventStore, EventType, ExpectedVersion, NewEvent, Options};
use annals::{Read, StreamName};
use serde_json::json;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let scratch = tempfile::tempdir()?;
    let dir = std::env::args_os().nth(1).map_or_else(|| scratch.path().to_owned(), Into::into);

    let store = EventStore::open(Options::new(&dir))?;
    println!("The store holds {} events.", store.head());

    // One stream for each order; its first event makes it.
    let stream = StreamName::parse(&format!("order-{}", store.head().get() + 1))?;
    let created = NewEvent::new(EventType::parse("order.created")?, Data::json(&json!({"total": 99.95}))?);
    let receipt = store.append(Append::to(stream.clone(), ExpectedVersion::None, [created.clone()]))?;
    println!("Appended to {stream}: position {}, on stable storage.", receipt.position);

    // Another writer believes that the order is new. Nothing is written.
    match store.append(Append::to(stream.clone(), ExpectedVersion::None, [created])) {
        Err(AppendError::Conflict { actual, .. }) => println!("Refused: {stream} is at version {actual}."),
        other => println!("This does not happen: {other:?}"),
    }

    // Whoever knows the version goes on from it.
    let version = receipt.streams[0].version;
    let paid = NewEvent::new(EventType::parse("order.paid")?, Data::json(&json!({"by": "card"}))?);
    store.append(Append::to(stream.clone(), version.into(), [paid]))?;
    store.close()?;

    let store = EventStore::open(Options::new(&dir))?;
    println!("After reopening, {stream} says:");
    for event in store.read(Read::stream(stream))? {
        let event = event?;
        let data = String::from_utf8_lossy(event.data());
        println!("  version {}  {:<14}  {data}", event.stream_version(), event.event_type());
    }
    Ok(())
}

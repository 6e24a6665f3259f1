//! A subscription: first what is there, then what comes, with nothing skipped or repeated in between.
//!
//! `cargo run --example live_tail` works in a directory that is gone afterwards; `-- DIR` keeps its events in DIR, and
//! the next run tells them as the past.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::sync::mpsc;

use annals::{
    Data, Delivery, EventStore, EventType, ExpectedVersion, NewEvent, Options, StreamName, Subscribe,
};
use serde_json::json;

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn main() -> Result<(), Failure> {
    let scratch = tempfile::tempdir()?;
    let dir = std::env::args_os().nth(1).map_or_else(|| scratch.path().to_owned(), Into::into);
    let store = EventStore::open(Options::new(dir))?;
    measure(&store, 18)?;
    measure(&store, 19)?;

    // The writer waits until the past has been told, so that what it appends arrives live.
    let (caught_up, go_on) = mpsc::channel();
    let writer = std::thread::spawn({
        let store = store.clone();
        move || -> Result<(), Failure> {
            go_on.recv()?;
            for degrees in 20..25 {
                measure(&store, degrees)?;
            }
            // A subscription delivers what is left and ends when its store is closed.
            Ok(store.close()?)
        }
    });

    for delivery in store.subscribe(Subscribe::all())? {
        match delivery? {
            Delivery::Event(event) => {
                println!("{:>4}  {}", event.position(), String::from_utf8_lossy(event.data()));
            }
            Delivery::CaughtUp(position) => {
                println!("      caught up at position {position}");
                // The writer listens once only.
                let _ = caught_up.send(());
            }
            _ => {}
        }
    }
    writer.join().map_err(|_| "the writer panicked")?
}

/// Appends one measurement, whatever the stream holds.
fn measure(store: &EventStore, degrees: i32) -> Result<(), Failure> {
    let measured = NewEvent::new(EventType::parse("measured")?, Data::json(&json!({"degrees": degrees}))?);
    store.append_to(&StreamName::parse("thermometer-1")?, ExpectedVersion::Any, [measured])?;
    Ok(())
}

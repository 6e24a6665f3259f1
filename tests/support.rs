//! What the tests share: short ways to name a stream, make an event, and open a store.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use annals::testkit::{Model, Placed, SimDisk};
use annals::{
    Data, EventStore, EventType, ExpectedVersion, NewEvent, Options, Position, Read, Receipt, RecordedEvent,
    StreamName, StreamVersion,
};

/// The smallest segments, so that a few hundred events fill several.
pub(crate) const SMALL: u64 = annals::SEGMENT_BYTES_MIN;

pub(crate) fn stream(name: &str) -> StreamName {
    StreamName::parse(name).expect("a legal name")
}

pub(crate) fn version(number: u64) -> StreamVersion {
    StreamVersion::new(number)
}

/// An event whose data is `{"n":n}`.
pub(crate) fn event(n: u64) -> NewEvent {
    let data = Data::json(&serde_json::json!({ "n": n })).expect("is JSON");
    NewEvent::new(EventType::parse("counted").expect("a legal type"), data)
}

/// An event of about `bytes` bytes.
pub(crate) fn large_event(n: u64, bytes: usize) -> NewEvent {
    let data = Data::json(&serde_json::json!({ "n": n, "filler": "x".repeat(bytes) })).expect("is JSON");
    NewEvent::new(EventType::parse("counted").expect("a legal type"), data)
}

/// The `n` of an event that was made here.
pub(crate) fn n_of(event: &RecordedEvent) -> u64 {
    event.json::<serde_json::Value>().expect("is JSON")["n"].as_u64().expect("has a number")
}

/// Options for a store on a simulated disk, in small segments, with nothing going on behind the test's back.
pub(crate) fn on(disk: &SimDisk) -> Options {
    Options::new("store").disk(Arc::new(disk.clone())).segment_bytes(SMALL).background(false)
}

pub(crate) fn open(options: Options) -> EventStore {
    EventStore::open(options).expect("the store opens")
}

pub(crate) fn append(store: &EventStore, name: &str, events: impl IntoIterator<Item = NewEvent>) -> Receipt {
    store.append_to(&stream(name), ExpectedVersion::Any, events).expect("the append succeeds")
}

pub(crate) fn read(store: &EventStore, read: Read) -> Vec<RecordedEvent> {
    store.read(read).expect("a legal read").collect::<Result<_, _>>().expect("every event is whole")
}

/// Every event, as stream, version and number.
pub(crate) fn everything(store: &EventStore) -> Vec<(String, u64, u64)> {
    let events = read(store, Read::all());
    let positions = events.iter().map(|event| event.position().get());
    assert!(positions.eq(1..=events.len() as u64), "positions are dense");
    events
        .iter()
        .map(|event| (event.stream().to_owned(), event.stream_version().get(), n_of(event)))
        .collect()
}

/// Every event, as far as it says what it was made to say.
pub(crate) fn placed(store: &EventStore) -> Result<Vec<Placed>, String> {
    let mut found = Vec::new();
    let events = store.read(Read::all()).map_err(|error| error.to_string())?;
    let head = events.head();
    for event in events {
        let event = event.map_err(|error| error.to_string())?;
        if event.position().get() != found.len() as u64 + 1 {
            return Err(format!("position {} follows {}", event.position(), found.len()));
        }
        let made = Placed::of(&event);
        found.push(made.ok_or_else(|| format!("position {} says what nobody wrote", event.position()))?);
    }
    match head.get() == found.len() as u64 {
        true => Ok(found),
        false => Err(format!("the head was {head}, but {} events can be read", found.len())),
    }
}

/// Checks that every way to read agrees with `found`, all events in order.
pub(crate) fn check_reads(store: &EventStore, found: &[Placed]) -> Result<(), String> {
    let numbers = |read: Read| -> Result<Vec<u64>, String> {
        let events = store.read(read).map_err(|error| error.to_string())?;
        let number = |event: RecordedEvent| Placed::of(&event).map(|placed| placed.event.number);
        events
            .map(|event| event.map_err(|error| error.to_string()))
            .map(|event| Ok(number(event?).unwrap_or(0)))
            .collect()
    };
    let wanted: Vec<u64> = found.iter().rev().map(|placed| placed.event.number).collect();
    if numbers(Read::all().backward())? != wanted {
        return Err("backward is not the reverse of forward".to_owned());
    }
    let model = Model::holding(found.to_vec());
    for (name, at) in model.versions() {
        let of_stream = found.iter().filter(|placed| placed.stream == name);
        let mut wanted: Vec<u64> = of_stream.map(|placed| placed.event.number).collect();
        if numbers(Read::stream(stream(name)))? != wanted {
            return Err(format!("stream {name} forward is not what all events say"));
        }
        wanted.reverse();
        if numbers(Read::stream(stream(name)).backward())? != wanted {
            return Err(format!("stream {name} backward is not what all events say"));
        }
        let info = store.stream(&stream(name)).map_err(|error| error.to_string())?;
        if info.as_ref().map(|info| info.version) != Some(at) {
            return Err(format!("stream {name} is at {at}, but this is told of it: {info:?}"));
        }
    }
    let listed = store.streams(Position::START).map_err(|error| error.to_string())?;
    let listed: Result<Vec<_>, _> = listed.map(|info| info.map(|info| info.name.to_string())).collect();
    let first_events = found.iter().filter(|placed| placed.version.get() == 1);
    let firsts: Vec<_> = first_events.map(|placed| placed.stream.clone()).collect();
    let listed = listed.map_err(|error| error.to_string())?;
    if listed != firsts {
        return Err(format!("these streams are listed: {listed:?}, wanted {firsts:?}"));
    }
    Ok(())
}

/// A number that a longer run can set in the environment, or the default.
pub(crate) fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// Says how much was covered, to whoever runs the tests with `--nocapture`.
#[expect(clippy::print_stdout, reason = "the figures of a run are its result")]
pub(crate) fn say(figures: &str) {
    println!("{figures}");
}

/// Does `work` on each item, on as many threads as there are processors.
pub(crate) fn on_all_processors<T: Sync>(items: &[T], work: impl Fn(&T) + Sync) {
    let next = AtomicUsize::new(0);
    let threads = std::thread::available_parallelism().map_or(1, |count| count.get());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
                    work(item);
                }
            });
        }
    });
}

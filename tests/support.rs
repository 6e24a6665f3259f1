//! What the tests share: short ways to name a stream, make an event, and open a store.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use annals::testkit::SimDisk;
pub(crate) use annals::testkit::{check_reads, placed};
use annals::{
    Data, EventStore, EventType, ExpectedVersion, NewEvent, Options, Read, Receipt, RecordedEvent,
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

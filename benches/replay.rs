//! Replay of 1,000,000 events from a reopened store, all of them and with checksums on and off.
//!
//! `cargo bench --bench replay`. The store is made once, in `ANNALS_BENCH_DIR` or the system's temporary directory, from
//! events of a 16-byte type, 256 bytes of data and 64 of metadata over 100,000 streams.

use std::error::Error;
use std::hint::black_box;
use std::path::Path;

use annals::{
    Append, Data, EventStore, EventType, ExpectedVersion, Metadata, NewEvent, Options, Read, StreamName,
};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

const EVENTS: u64 = 1_000_000;
const STREAMS: u64 = 100_000;

/// Streams of one append; each gets one event.
const APPEND_STREAMS: u64 = 1000;

fn fill(dir: &Path) -> Result<(), Box<dyn Error>> {
    let store = EventStore::open(Options::new(dir))?;
    let data = Data::from_json_bytes(format!(r#"{{"filler":"{}"}}"#, "x".repeat(256 - 13)))?;
    let metadata = Metadata::parse(format!(r#"{{"filler":"{}"}}"#, "y".repeat(64 - 13)))?;
    let event = NewEvent::new(EventType::parse("order.created.v1")?, data).metadata(metadata);
    for first in (0..EVENTS).step_by(APPEND_STREAMS as usize) {
        let mut append = Append::default();
        for n in first..first + APPEND_STREAMS {
            let stream = StreamName::parse(&format!("order-{}", n % STREAMS))?;
            append = append.and_to(stream, ExpectedVersion::Any, [event.clone()]);
        }
        store.append(append)?;
    }
    store.close()?;
    Ok(())
}

fn replay(criterion: &mut Criterion) {
    let base = std::env::var_os("ANNALS_BENCH_DIR").map_or_else(std::env::temp_dir, Into::into);
    let dir = tempfile::tempdir_in(base).expect("a directory for the store");
    fill(dir.path()).expect("the store is filled");

    let mut group = criterion.benchmark_group("replay");
    group.sample_size(10).throughput(Throughput::Elements(EVENTS));
    for (name, verify) in [("checked", true), ("unchecked", false)] {
        let store = EventStore::open(Options::new(dir.path()).verify_reads(verify)).expect("the store opens");
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let mut bytes = 0;
                for event in store.read(Read::all()).expect("a legal read") {
                    bytes += black_box(event.expect("the event is whole")).data().len();
                }
                assert_eq!(bytes as u64, EVENTS * 256);
            });
        });
        store.close().expect("the store closes");
    }
    group.finish();
}

criterion_group!(benches, replay);
criterion_main!(benches);

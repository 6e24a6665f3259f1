//! Millions of streams in one store: memory, bytes on disk, opening, reads, appends and queries.
//!
//! `cargo bench --bench streams [-- STREAMS [SEGMENT_BYTES]]` loads STREAMS streams (default 1,000,000) of one to three events,
//! those of one stream far apart, into segments of SEGMENT_BYTES (default 64 MiB), and prints a table. The directory is `ANNALS_BENCH_DIR`, or the system's temporary one; 10,000,000
//! streams need 10 GB there. Memory is what Linux says of the process; elsewhere it is left out.
//!
//! Opening after a kill needs a process to kill: the bench starts itself again for that.

mod support;

use std::error::Error;
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use annals::{
    Append, Data, EventStore, EventType, ExpectedVersion, Metadata, NewEvent, Options, Position, Query,
    QueryItem, Read, StreamName,
};

use support::{anonymous_bytes, median, memory, report};

/// The word that makes the bench the process that is killed.
const TO_BE_KILLED: &str = "to-be-killed";

/// Streams of one append while the store is loaded; each gets one event.
const APPEND_STREAMS: u64 = 1000;

/// What an event takes in the log.
const RECORD_BYTES: u64 = 352;

/// Reads and queries of each kind.
const READS: u64 = 20_000;

/// Durable appends of each kind.
const APPENDS: u64 = 2_000;

/// How many events behind the head a condition begins.
const NEAR_THE_HEAD: u64 = 1_000;

/// Events that the rare tag finds.
const RARE: u64 = 100;

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [first, dir, ..] = &arguments[..]
        && first == TO_BE_KILLED
    {
        return append_and_die(Path::new(dir));
    }
    let mut numbers = arguments.iter().filter_map(|argument| argument.parse::<u64>().ok());
    let (streams, segment_bytes) = (numbers.next().unwrap_or(1_000_000), numbers.next().unwrap_or(64 << 20));
    let base = std::env::var_os("ANNALS_BENCH_DIR").map_or_else(std::env::temp_dir, Into::into);
    let dir = tempfile::tempdir_in(base)?;
    let mut out = std::io::stdout().lock();
    writeln!(out, "{streams} streams of 1 to 3 events with 256 bytes of data")?;
    load(&mut out, dir.path(), streams, segment_bytes)?;
    open(&mut out, dir.path(), "after a clean close")?;
    let status = Command::new(std::env::current_exe()?).arg(TO_BE_KILLED).arg(dir.path()).status()?;
    writeln!(out, "a process that appended was ended by {status}")?;
    open(&mut out, dir.path(), "after a kill")?;
    let store = EventStore::open(Options::new(dir.path()))?;
    read(&mut out, &store, streams)?;
    query(&mut out, &store)?;
    append(&mut out, &store, streams)?;
    memory(&mut out, "at the end")?;
    Ok(())
}

/// A permutation of `0..streams`: streams are visited in no order that an index could like.
fn shuffled(n: u64, streams: u64) -> u64 {
    // A prime beyond any count of streams.
    (u128::from(n) * 982_451_653 % u128::from(streams)) as u64
}

fn stream(n: u64) -> Outcome<StreamName> {
    Ok(StreamName::parse(&format!("order-{n}"))?)
}

fn event() -> Outcome<NewEvent> {
    let data = Data::from_json_bytes(format!(r#"{{"filler":"{}"}}"#, "x".repeat(256 - 13)))?;
    Ok(NewEvent::new(EventType::parse("order.created.v1")?, data))
}

/// The disk alone: what an append takes in bytes is written and synced, beside the store.
struct Raw {
    file: std::fs::File,
    events: u64,
    took: Duration,
}

impl Raw {
    fn new(dir: &Path) -> Outcome<Raw> {
        let file = tempfile::tempfile_in(dir.parent().unwrap_or(dir))?;
        Ok(Raw { file, events: 0, took: Duration::ZERO })
    }

    /// As many bytes as ten appends of the load.
    fn write(&mut self) -> Outcome<()> {
        let bytes = vec![7; (APPEND_STREAMS * RECORD_BYTES) as usize];
        let begun = Instant::now();
        for _ in 0..10 {
            self.file.write_all(&bytes)?;
            self.file.sync_data()?;
        }
        self.took += begun.elapsed();
        self.events += 10 * APPEND_STREAMS;
        Ok(())
    }
}

/// Every stream once, two of three a second time, one of three a third time.
fn load(out: &mut impl Write, dir: &Path, streams: u64, segment_bytes: u64) -> Outcome<()> {
    let store = EventStore::open(Options::new(dir).segment_bytes(segment_bytes))?;
    let rare = event()?.metadata(Metadata::parse(r#"{"tags":["rare:yes"]}"#)?);
    let usual = event()?;
    let begun = Instant::now();
    let (mut events, mut peak) = (0, 0);
    let mut raw = Raw::new(dir)?;
    for round in 0..3 {
        let of_round = streams * (3 - round) / 3;
        let every = (streams * 2 / RARE).max(1);
        for first in (0..of_round).step_by(APPEND_STREAMS as usize) {
            let mut append = Append::default();
            for n in first..(first + APPEND_STREAMS).min(of_round) {
                let event = if events % every == every / 2 { &rare } else { &usual };
                append = append.and_to(stream(shuffled(n, streams))?, ExpectedVersion::Any, [event.clone()]);
                events += 1;
            }
            store.append(append)?;
            if first % 100_000 == 0 {
                peak = peak.max(anonymous_bytes().unwrap_or(0));
                raw.write()?;
            }
        }
        writeln!(out, "round {}: {events} events after {:.1} s", round + 1, begun.elapsed().as_secs_f64())?;
    }
    let rate = events as f64 / (begun.elapsed() - raw.took).as_secs_f64();
    writeln!(out, "loaded at {rate:.0} events a second; anonymous memory at most {} MB", peak >> 20)?;
    let raw_rate = raw.events as f64 / raw.took.as_secs_f64();
    writeln!(
        out,
        "raw write and sync of as many bytes: {raw_rate:.0} events a second, {:.2} times",
        rate / raw_rate
    )?;
    memory(out, "after loading")?;
    store.close()?;
    let stats = EventStore::open(Options::new(dir))?.stats()?;
    let (log, index) = (stats.log_bytes as f64 / events as f64, stats.index_bytes as f64 / events as f64);
    writeln!(out, "{} streams, {} events, {} segments", stats.streams, stats.events, stats.segments)?;
    writeln!(
        out,
        "{log:.0} bytes an event in the log, {index:.1} in indexes ({:.1} %)",
        index / log * 100.0
    )?;
    Ok(())
}

fn open(out: &mut impl Write, dir: &Path, when: &str) -> Outcome<()> {
    let mut times = Vec::new();
    for _ in 0..5 {
        let begun = Instant::now();
        let store = EventStore::open(Options::new(dir))?;
        times.push(begun.elapsed());
        drop(store);
        if when.contains("kill") {
            break;
        }
    }
    times.sort();
    writeln!(out, "open {when}: {:.0} ms", times[times.len() / 2].as_secs_f64() * 1e3)?;
    Ok(())
}

/// The process that is killed: half a segment of events, and then not even a destructor.
fn append_and_die(dir: &Path) -> Outcome<()> {
    let store = EventStore::open(Options::new(dir))?;
    for first in (0..100_000).step_by(APPEND_STREAMS as usize) {
        let writes = (first..first + APPEND_STREAMS).map(|n| Ok((stream(n)?, event()?)));
        store.append(writes.collect::<Outcome<Vec<_>>>()?.into_iter().collect())?;
    }
    std::process::abort();
}

fn read(out: &mut impl Write, store: &EventStore, streams: u64) -> Outcome<()> {
    for round in ["read of a random stream, first touched", "read of the same streams again"] {
        let mut times = Vec::with_capacity(READS as usize);
        for n in 0..READS {
            let name = stream(shuffled(n * 37 + 11, streams))?;
            let begun = Instant::now();
            let mut found = 0;
            for event in store.read(Read::stream(name))? {
                event?;
                found += 1;
            }
            times.push(begun.elapsed());
            assert!((1..=4).contains(&found), "{found} events");
        }
        report(out, round, &mut times)?;
    }
    Ok(())
}

fn query(out: &mut impl Write, store: &EventStore) -> Outcome<()> {
    let item = QueryItem { tags: vec!["rare:yes".to_owned()], ..QueryItem::default() };
    let mut times = Vec::new();
    for _ in 0..50 {
        let begun = Instant::now();
        let mut found = 0;
        for event in store.read(Read::all().query(Query::from(item.clone())))? {
            event?;
            found += 1;
        }
        times.push(begun.elapsed());
        assert!(found >= RARE, "{found} events");
    }
    report(out, &format!("query that matches {RARE} events"), &mut times)?;
    Ok(())
}

/// In turn, so that all kinds see the disk at the same time.
fn append(out: &mut impl Write, store: &EventStore, streams: u64) -> Outcome<()> {
    let event = event()?;
    let (mut new, mut old, mut conditional) = (Vec::new(), Vec::new(), Vec::new());
    for n in 0..APPENDS {
        let to = |number: u64| {
            Ok::<_, Box<dyn Error>>(Append::to(stream(number)?, ExpectedVersion::Any, [event.clone()]))
        };
        // Nobody has registered this address in the last so many events.
        let after = Position::new(store.head().get().saturating_sub(NEAR_THE_HEAD));
        let unique = QueryItem { tags: vec![format!("email:{n}")], ..QueryItem::default() };
        let appends = [
            (&mut new, to(streams + 2 * n)?),
            (&mut old, to(shuffled(n * 41 + 7, streams))?),
            (&mut conditional, to(streams + 2 * n + 1)?.fail_if_events_match(Query::from(unique), after)),
        ];
        for (times, append) in appends {
            let begun = Instant::now();
            store.append(append)?;
            times.push(begun.elapsed());
        }
    }
    report(out, "append to a new stream", &mut new)?;
    report(out, "append to a random old stream", &mut old)?;
    report(out, "append to a new stream, if no event matches a query", &mut conditional)?;
    let (old, conditional) = (median(&old) / median(&new), median(&conditional) / median(&new));
    writeln!(out, "p50 against that of a new stream: old {old:.2}, with a condition {conditional:.2}")?;
    Ok(())
}

//! Latency of durable appends by one writer, beside the raw `write + fdatasync` of the same bytes on the same disk.
//!
//! `cargo bench --bench append_latency [-- EVENTS ROUNDS]` runs both in turn, round by round, in one process and one
//! directory, and prints percentiles and the ratio of the medians. The directory is `ANNALS_BENCH_DIR`, or the system's temporary one.
//!
//! A criterion mean would hide what matters here: the tail, and that both loops see the same disk at the same time.

use std::error::Error;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use annals::{
    Data, Disk, EventStore, EventType, ExpectedVersion, Metadata, NewEvent, OpenMode, Options, RealDisk,
    StreamName,
};

/// As long as a segment, so that both files are reserved alike.
const FILE_BYTES: u64 = 64 << 20;

fn main() -> Result<(), Box<dyn Error>> {
    // `cargo bench` adds a flag of its own.
    let mut numbers = std::env::args().skip(1).filter_map(|argument| argument.parse::<usize>().ok());
    let (events, rounds) = (numbers.next().unwrap_or(50), numbers.next().unwrap_or(200));
    let base = std::env::var_os("ANNALS_BENCH_DIR").map_or_else(std::env::temp_dir, Into::into);
    let dir = tempfile::tempdir_in(base)?;

    let store = EventStore::open(Options::new(dir.path().join("store")))?;
    let mut raw = Raw::create(dir.path(), record_bytes(&store)?)?;
    let (mut raw_times, mut append_times) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        for _ in 0..events {
            raw_times.push(timed(|| raw.write_and_sync())?);
        }
        for _ in 0..events {
            append_times.push(timed(|| append(&store))?);
        }
    }
    let mut out = std::io::stdout().lock();
    writeln!(out, "{} rounds of {events} durable writes of {} bytes each, in turn", rounds, raw.bytes.len())?;
    writeln!(out, "{:<24}{:>10}{:>10}{:>10}{:>12}", "", "p50 us", "p99 us", "p99.9 us", "per second")?;
    let raw = report(&mut out, "raw write + fdatasync", &mut raw_times)?;
    let append = report(&mut out, "append, one writer", &mut append_times)?;
    writeln!(out, "raw p50 / append p50: {:.2}", raw.as_secs_f64() / append.as_secs_f64())?;
    Ok(())
}

/// The loop that nothing durable can beat: the same number of bytes, written behind the last, and synced.
struct Raw {
    file: std::sync::Arc<dyn annals::DiskFile>,
    bytes: Vec<u8>,
    at: u64,
}

impl Raw {
    fn create(dir: &Path, bytes: usize) -> Result<Raw, Box<dyn Error>> {
        let file = RealDisk.open(&dir.join("raw"), OpenMode::CreateNew)?;
        file.allocate(FILE_BYTES)?;
        file.sync_data()?;
        Ok(Raw { file, bytes: vec![0x5a; bytes], at: 0 })
    }

    fn write_and_sync(&mut self) -> Result<(), Box<dyn Error>> {
        if self.at + self.bytes.len() as u64 > FILE_BYTES {
            self.at = 0;
        }
        self.file.write_all_at(&self.bytes, self.at)?;
        self.file.sync_data()?;
        self.at += self.bytes.len() as u64;
        Ok(())
    }
}

/// An event of a 16-byte type, 256 bytes of data and 64 of metadata.
fn event() -> Result<NewEvent, Box<dyn Error>> {
    let data = format!(r#"{{"filler":"{}"}}"#, "x".repeat(256 - 13));
    let metadata = format!(r#"{{"filler":"{}"}}"#, "y".repeat(64 - 13));
    Ok(NewEvent::new(EventType::parse("order.created.v1")?, Data::from_json_bytes(data)?)
        .metadata(Metadata::parse(metadata)?))
}

fn append(store: &EventStore) -> Result<(), Box<dyn Error>> {
    store.append_to(&StreamName::parse("order-1")?, ExpectedVersion::Any, [event()?])?;
    Ok(())
}

/// What one append of one event writes: its record, and the frame around it.
fn record_bytes(store: &EventStore) -> Result<usize, Box<dyn Error>> {
    append(store)?;
    let info = store.stream(&StreamName::parse("order-1")?)?.ok_or("the stream was just written")?;
    Ok(info.bytes as usize + 72)
}

fn timed(work: impl FnOnce() -> Result<(), Box<dyn Error>>) -> Result<Duration, Box<dyn Error>> {
    let start = Instant::now();
    work()?;
    Ok(start.elapsed())
}

/// Prints a line of percentiles; tells the median.
fn report(out: &mut impl Write, name: &str, times: &mut [Duration]) -> std::io::Result<Duration> {
    times.sort_unstable();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e6;
    let rate = times.len() as f64 / times.iter().sum::<Duration>().as_secs_f64();
    writeln!(out, "{name:<24}{:>10.1}{:>10.1}{:>10.1}{rate:>12.0}", at(0.5), at(0.99), at(0.999))?;
    Ok(times[times.len() / 2])
}

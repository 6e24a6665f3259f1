//! What the store asks of the system for each append and each event: allocations of memory, and calls to the disk.
//!
//! `cargo bench --bench costs`. Counts, not times: they are the same on every machine, and a cost that comes in unnoticed
//! shows in them at once. Memory is counted in all threads. Zeros are not written ahead, which would be counted once in
//! a while; the directory is `ANNALS_BENCH_DIR`, or the system's temporary one.

use std::alloc::System;
use std::error::Error;
use std::hint::black_box;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use annals::{
    Append, Data, Delivery, Disk, DiskFile, EventStore, EventType, ExpectedVersion, Map, Metadata, NewEvent,
    OpenMode, Options, Read, RealDisk, StreamName, Subscribe, Ticket,
};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

const APPENDS: u64 = 2_000;

/// Appends that are under way together.
const UNDER_WAY: u64 = 100;

/// The system's allocator, with counts.
#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

fn allocations() -> u64 {
    let stats = ALLOCATOR.stats();
    (stats.allocations + stats.reallocations) as u64
}

/// Calls to the disk.
#[derive(Debug, Default)]
struct Calls {
    writes: AtomicU64,
    bytes: AtomicU64,
    syncs: AtomicU64,
}

/// The real disk, with counts.
#[derive(Debug, Clone, Default)]
struct CountingDisk(Arc<Calls>);

#[derive(Debug)]
struct CountingFile(Arc<dyn DiskFile>, Arc<Calls>);

impl Disk for CountingDisk {
    fn create_dirs(&self, dir: &Path) -> io::Result<()> {
        RealDisk.create_dirs(dir)
    }
    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        RealDisk.list(dir)
    }
    fn exists(&self, path: &Path) -> io::Result<bool> {
        RealDisk.exists(path)
    }
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(CountingFile(RealDisk.open(path, mode)?, self.0.clone())))
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        RealDisk.rename(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        RealDisk.remove(path)
    }
    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        RealDisk.sync_dir(dir)
    }
    fn native_dir(&self, dir: &Path) -> Option<PathBuf> {
        RealDisk.native_dir(dir)
    }
}

impl DiskFile for CountingFile {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.0.read_exact_at(buffer, offset)
    }
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.1.writes.fetch_add(1, Ordering::Relaxed);
        self.1.bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        self.0.write_all_at(bytes, offset)
    }
    fn allocate(&self, len: u64) -> io::Result<()> {
        self.0.allocate(len)
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }
    fn sync_data(&self) -> io::Result<()> {
        self.1.syncs.fetch_add(1, Ordering::Relaxed);
        self.0.sync_data()
    }
    fn try_lock(&self) -> io::Result<bool> {
        self.0.try_lock()
    }
    fn map(&self, len: u64) -> io::Result<Map> {
        self.0.map(len)
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let base = std::env::var_os("ANNALS_BENCH_DIR").map_or_else(std::env::temp_dir, Into::into);
    let dir = tempfile::tempdir_in(base)?;
    let disk = CountingDisk::default();
    let store = EventStore::open(Options::new(dir.path()).disk(Arc::new(disk.clone())).prewrite(false))?;
    let mut out = io::stdout().lock();
    writeln!(out, "{:<42}{:>13}{:>9}{:>9}{:>9}", "each", "allocations", "writes", "syncs", "bytes")?;

    // What is made once is made before anything is counted.
    appends(&store, 1)?;
    let mut counted = |what: &str, times: u64, run: &mut dyn FnMut() -> Result<(), Box<dyn Error>>| {
        let calls = [&disk.0.writes, &disk.0.syncs, &disk.0.bytes];
        let load = || calls.map(|count| count.load(Ordering::Relaxed));
        let (allocated_before, before) = (allocations(), load());
        run()?;
        let (allocated, after) = (allocations() - allocated_before, load());
        let each = |count: u64| count as f64 / times as f64;
        write!(out, "{what:<42}{:>13.2}", each(allocated))?;
        for (after, before) in after.into_iter().zip(before) {
            write!(out, "{:>9.2}", each(after - before))?;
        }
        writeln!(out)?;
        Ok::<_, Box<dyn Error>>(())
    };
    counted("event made by its caller, not appended", APPENDS, &mut || {
        (0..APPENDS).try_for_each(|_| event().map(|event| drop(black_box(event))))
    })?;
    counted("append made by its caller, not appended", APPENDS, &mut made)?;
    counted("append of one event, by one writer", APPENDS, &mut || appends(&store, APPENDS))?;
    counted("append of one event, 100 under way", APPENDS, &mut || under_way(&store))?;
    counted("event of an append of 100", APPENDS, &mut || of_hundred(&store))?;
    let events = store.head().get();
    counted("event of a replay", events, &mut || {
        store.read(Read::all())?.try_for_each(|event| event.map(|event| drop(black_box(event))))?;
        Ok(())
    })?;
    counted("event of a subscription", events, &mut || followed(&store, events))?;
    let (name, reads) = (StreamName::parse("order-1")?, 1_000);
    counted("read of a stream of many events", reads, &mut || {
        (0..reads).try_for_each(|_| {
            store.read(Read::stream(name.clone()).limit(10))?.try_for_each(|event| event.map(drop))?;
            Ok(())
        })
    })?;
    store.close()?;
    Ok(())
}

fn event() -> Result<NewEvent, Box<dyn Error>> {
    let data = Data::from_json_bytes(format!(r#"{{"filler":"{}"}}"#, "x".repeat(256 - 13)))?;
    let metadata = Metadata::parse(format!(r#"{{"filler":"{}"}}"#, "y".repeat(64 - 13)))?;
    Ok(NewEvent::new(EventType::parse("order.created.v1")?, data).metadata(metadata))
}

fn append(number: u64) -> Result<Append, Box<dyn Error>> {
    let stream = StreamName::parse(&format!("order-{}", number % 50))?;
    Ok(Append::to(stream, ExpectedVersion::Any, [event()?]))
}

fn made() -> Result<(), Box<dyn Error>> {
    (0..APPENDS).try_for_each(|number| append(number).map(|append| drop(black_box(append))))
}

fn appends(store: &EventStore, count: u64) -> Result<(), Box<dyn Error>> {
    for number in 0..count {
        store.append(append(number)?)?;
    }
    Ok(())
}

fn under_way(store: &EventStore) -> Result<(), Box<dyn Error>> {
    let mut tickets: Vec<Ticket> = Vec::with_capacity(UNDER_WAY as usize);
    for number in 0..APPENDS {
        tickets.push(store.submit(append(number)?)?);
        if tickets.len() as u64 == UNDER_WAY {
            tickets.drain(..).try_for_each(|ticket| ticket.wait().map(drop))?;
        }
    }
    Ok(())
}

fn of_hundred(store: &EventStore) -> Result<(), Box<dyn Error>> {
    for _ in 0..APPENDS / 100 {
        let events = (0..100).map(|_| event()).collect::<Result<Vec<_>, _>>()?;
        store.append(Append::to(StreamName::parse("order-1")?, ExpectedVersion::Any, events))?;
    }
    Ok(())
}

fn followed(store: &EventStore, events: u64) -> Result<(), Box<dyn Error>> {
    let mut left = events;
    for delivery in store.subscribe(Subscribe::all())? {
        if let Delivery::Event(event) = delivery? {
            drop(black_box(event));
            left -= 1;
        }
        if left == 0 {
            break;
        }
    }
    Ok(())
}

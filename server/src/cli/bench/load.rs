//! What the store is asked to do while the clock runs.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use annals::{
    Append, Data, EventStore, EventType, ExpectedVersion, Metadata, NewEvent, Position, Read, StreamName,
};

use crate::cli::failure::Failure;

/// Events of each stream that is read.
pub(super) const STREAM_EVENTS: u64 = 10;

/// Events of one append while a log is filled.
pub(super) const FILL_EVENTS: u64 = 1_000;

/// Appends under way while a log is filled.
const FILL_DEPTH: usize = 4;

/// A store at work.
pub(super) struct Load<'a> {
    store: &'a EventStore,
    next: AtomicU64,
}

impl<'a> Load<'a> {
    pub(super) fn on(store: &'a EventStore) -> Load<'a> {
        Load { store, next: AtomicU64::new(0) }
    }

    /// Bytes that an append of so many events writes.
    pub(super) fn frame_bytes(&self, events: u64) -> Result<u64, Failure> {
        let before = self.store.metrics().commits.bytes;
        self.append(1, events, &mut Vec::new())?;
        Ok(self.store.metrics().commits.bytes - before)
    }

    /// Appends so many times, and adds how long each took, the making of the events included.
    pub(super) fn append(&self, count: u64, events: u64, times: &mut Vec<Duration>) -> Result<(), Failure> {
        for _ in 0..count {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            let start = Instant::now();
            let made = (0..events).map(|_| event()).collect::<Result<Vec<_>, Failure>>()?;
            self.store.append_to(&stream(number % 1_000)?, ExpectedVersion::Any, made)?;
            times.push(start.elapsed());
        }
        Ok(())
    }

    /// The same with one event each, by several threads at once. Tells how long each took, and all of them together.
    pub(super) fn append_by_threads(
        &self,
        threads: usize,
        count: u64,
    ) -> Result<(Vec<Duration>, Duration), Failure> {
        let all = Mutex::new(Vec::with_capacity(count as usize));
        let work = || -> Result<(), Failure> {
            let mut times = Vec::new();
            self.append(count.div_ceil(threads as u64), 1, &mut times)?;
            all.lock().map_err(|_| panicked())?.append(&mut times);
            Ok(())
        };
        let start = Instant::now();
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
            threads.into_iter().try_for_each(|thread| thread.join().map_err(|_| panicked())?)
        })?;
        let took = start.elapsed();
        Ok((all.into_inner().map_err(|_| panicked())?, took))
    }

    /// Fills a log, the events of one stream far apart. Tells how long it took until all was durable, and how many bytes were
    /// allocated at most, if the system tells.
    pub(super) fn fill(&self, events: u64) -> Result<(Duration, Option<u64>), Failure> {
        let streams = (events / STREAM_EVENTS).max(1);
        let mut allocated = allocated_bytes();
        let start = Instant::now();
        let mut under_way = std::collections::VecDeque::with_capacity(FILL_DEPTH);
        for first in (0..events).step_by(FILL_EVENTS as usize) {
            let numbers = first..events.min(first + FILL_EVENTS);
            let mut writes = std::collections::BTreeMap::<u64, Vec<NewEvent>>::new();
            for number in numbers {
                writes.entry(number % streams).or_default().push(event()?);
            }
            let mut writes = writes.into_iter();
            let Some((number, events)) = writes.next() else { break };
            let mut append = Append::to(stream(number)?, ExpectedVersion::Any, events);
            for (number, events) in writes {
                append = append.and_to(stream(number)?, ExpectedVersion::Any, events);
            }
            if under_way.len() == FILL_DEPTH {
                under_way.pop_front().map(annals::Ticket::wait).transpose()?;
            }
            under_way.push_back(self.store.submit(append)?);
            allocated = allocated.max(allocated_bytes());
        }
        under_way.into_iter().try_for_each(|ticket| ticket.wait().map(drop))?;
        Ok((start.elapsed(), allocated))
    }

    /// Reads all events from the first to the last.
    pub(super) fn replay(&self, events: u64) -> Result<Duration, Failure> {
        let start = Instant::now();
        let mut last = Position::START;
        for event in self.store.read(Read::all())? {
            last = std::hint::black_box(event?).position();
        }
        match last.get() == events {
            true => Ok(start.elapsed()),
            false => Err(Failure::Request(format!("a replay ended at position {last} of {events}"))),
        }
    }

    /// Reads streams from their first events to their last, one after the other, far apart.
    pub(super) fn read_streams(&self, events: u64) -> Result<Vec<Duration>, Failure> {
        let streams = (events / STREAM_EVENTS).max(1);
        let mut times = Vec::new();
        for number in 0..streams.min(20_000) {
            let stream = stream(number.wrapping_mul(7_919) % streams)?;
            let start = Instant::now();
            for event in self.store.read(Read::stream(stream))? {
                std::hint::black_box(event?);
            }
            times.push(start.elapsed());
        }
        Ok(times)
    }
}

/// Runs some work and tells how long it took.
pub(super) fn timed<T>(work: impl FnOnce() -> Result<T, Failure>) -> Result<(T, Duration), Failure> {
    let start = Instant::now();
    let done = work()?;
    Ok((done, start.elapsed()))
}

/// The memory that is this process's own; none where the system does not tell.
fn allocated_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()? * 1024)
}

fn stream(number: u64) -> Result<StreamName, Failure> {
    StreamName::parse(&format!("order-{number}")).map_err(|error| impossible(&error))
}

/// An event of a 16-byte type, 256 bytes of data and 64 of metadata.
fn event() -> Result<NewEvent, Failure> {
    let object = |bytes: usize| format!(r#"{{"filler":"{}"}}"#, "x".repeat(bytes - 13));
    let event_type = EventType::parse("order.created.v1").map_err(|error| impossible(&error))?;
    let data = Data::from_json_bytes(object(256)).map_err(|error| impossible(&error))?;
    let metadata = Metadata::parse(object(64)).map_err(|error| impossible(&error))?;
    Ok(NewEvent::new(event_type, data).metadata(metadata))
}

fn impossible(error: &dyn std::fmt::Display) -> Failure {
    Failure::Unusable(format!("an event that was made to be legal is not: {error}"))
}

fn panicked() -> Failure {
    Failure::Unusable("a writing thread panicked".to_owned())
}

//! Workloads that stores take turns at.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::some_stream;
use crate::event::{Event, stream};
use crate::figures::Figures;
use crate::store::{Result, Store};

/// What a slice has measured.
#[derive(Default)]
pub struct Sample {
    /// How long each call took, if single calls were measured.
    pub times: Vec<Duration>,
    /// How long all of them took.
    pub took: Duration,
    pub calls: u64,
    pub events: u64,
    /// Only where it says more than the calls.
    pub others: Vec<(&'static str, f64)>,
}

/// The figures of all slices together.
pub fn figures_of(samples: Vec<Sample>) -> Figures {
    let mut figures = Figures::default();
    let took: Duration = samples.iter().map(|sample| sample.took).sum();
    let (calls, events) =
        samples.iter().fold((0, 0), |(calls, events), of| (calls + of.calls, events + of.events));
    for (name, _) in samples.first().map_or(&[][..], |sample| &sample.others) {
        let mut values: Vec<f64> = samples
            .iter()
            .flat_map(|sample| &sample.others)
            .filter(|other| other.0 == *name)
            .map(|other| other.1)
            .collect();
        values.sort_unstable_by(f64::total_cmp);
        figures.set(name, values[values.len() / 2]);
    }
    let mut times: Vec<Duration> = samples.into_iter().flat_map(|sample| sample.times).collect();
    if !times.is_empty() {
        figures.set_latencies(&mut times);
    }
    figures.set("per s", calls as f64 / took.as_secs_f64());
    if events > calls {
        figures.set("events/s", events as f64 / took.as_secs_f64());
    }
    figures
}

pub(super) fn append(store: &dyn Store, slice: u64, threads: u64, events: u64) -> Result<Option<Sample>> {
    let next = AtomicU64::new(0);
    let times = Mutex::new(Vec::with_capacity(events as usize));
    let worker = || -> Result<()> {
        let mut mine = Vec::new();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= events {
                break;
            }
            let number = slice * events + number;
            let (stream, event) = (some_stream(number), Event::new(number));
            let start = Instant::now();
            store.append(&stream, vec![event])?;
            mine.push(start.elapsed());
        }
        times.lock().map_err(|_| "a thread panicked")?.append(&mut mine);
        Ok(())
    };
    let start = Instant::now();
    match threads {
        1 => worker()?,
        _ => std::thread::scope(|scope| {
            let threads: Vec<_> = (0..threads).map(|_| scope.spawn(worker)).collect();
            threads.into_iter().try_for_each(|thread| thread.join().map_err(|_| "a thread panicked")?)
        })?,
    }
    let took = start.elapsed();
    Ok(Some(Sample { times: times.into_inner()?, took, calls: events, events, ..Sample::default() }))
}

pub(super) fn in_flight(store: &dyn Store, slice: u64) -> Result<Option<Sample>> {
    const EVENTS: u64 = 20_000;
    let numbers = slice * EVENTS..(slice + 1) * EVENTS;
    let mut appends = numbers.map(|number| (some_stream(number), Event::new(number)));
    let start = Instant::now();
    let Some(done) = store.append_in_flight(&mut appends, 128) else { return Ok(None) };
    done?;
    Ok(Some(Sample { took: start.elapsed(), calls: EVENTS, events: EVENTS, ..Sample::default() }))
}

pub(super) fn append_many(store: &dyn Store, slice: u64) -> Result<Option<Sample>> {
    const APPENDS: u64 = 50;
    let mut sample = Sample { calls: APPENDS, events: APPENDS * 100, ..Sample::default() };
    for number in slice * APPENDS..(slice + 1) * APPENDS {
        let events = (0..100).map(|n| Event::new(number * 100 + n)).collect();
        let stream = some_stream(number);
        let start = Instant::now();
        store.append(&stream, events)?;
        sample.times.push(start.elapsed());
    }
    sample.took = sample.times.iter().sum();
    Ok(Some(sample))
}

pub(super) fn contended(store: &dyn Store, slice: u64) -> Result<Option<Sample>> {
    const SUCCESSES: u64 = 200;
    let stream = stream(slice);
    let tries = AtomicU64::new(0);
    let times = Mutex::new(Vec::new());
    let worker = || -> Result<bool> {
        let (mut version, mut begun) = (0, Instant::now());
        while version < SUCCESSES {
            tries.fetch_add(1, Ordering::Relaxed);
            let Some(done) = store.append_at(&stream, version, Event::new(version)) else { return Ok(false) };
            version = match done? {
                Err(actual) => actual,
                Ok(version) => {
                    times.lock().map_err(|_| "a thread panicked")?.push(begun.elapsed());
                    begun = Instant::now();
                    version
                }
            };
        }
        Ok(true)
    };
    let start = Instant::now();
    let knows_versions = std::thread::scope(|scope| -> Result<bool> {
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(worker)).collect();
        let mut all = true;
        for thread in threads {
            all &= thread.join().map_err(|_| "a thread panicked")??;
        }
        Ok(all)
    })?;
    let times = times.into_inner()?;
    let others = vec![("tries/success", tries.into_inner() as f64 / times.len().max(1) as f64)];
    let calls = times.len() as u64;
    Ok(knows_versions.then(|| Sample { times, took: start.elapsed(), calls, events: calls, others }))
}

pub(super) fn follow(store: &dyn Store, slice: u64) -> Result<Option<Sample>> {
    const EVENTS: usize = 500;
    let received: Mutex<Vec<Instant>> = Mutex::default();
    let (mut sent, mut appended) = (Vec::new(), Vec::new());
    let follows = std::thread::scope(|scope| -> Result<bool> {
        let follower = scope.spawn(|| {
            store.follow(&mut |_| {
                let Ok(mut received) = received.lock() else { return false };
                received.push(Instant::now());
                received.len() < EVENTS
            })
        });
        // It follows from where the store ends when it begins.
        std::thread::sleep(Duration::from_millis(50));
        if follower.is_finished() {
            return Ok(false);
        }
        for number in 0..EVENTS as u64 {
            let number = slice * EVENTS as u64 + number;
            let (stream, event) = (some_stream(number), Event::new(number));
            let start = Instant::now();
            store.append(&stream, vec![event])?;
            appended.push(start.elapsed());
            sent.push(start);
        }
        follower.join().map_err(|_| "the follower panicked")?.unwrap_or(Ok(()))?;
        Ok(true)
    })?;
    let times: Vec<Duration> =
        received.into_inner()?.iter().zip(&sent).map(|(received, sent)| *received - *sent).collect();
    let took = appended.iter().sum();
    appended.sort_unstable();
    let (calls, events) = (EVENTS as u64, EVENTS as u64);
    let append = |appended: &[Duration]| vec![("append p50 us", appended[EVENTS / 2].as_secs_f64() * 1e6)];
    Ok(follows.then(|| Sample { times, took, calls, events, others: append(&appended) }))
}

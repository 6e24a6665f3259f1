//! A million events, loaded by one process and used by those after it.

use std::path::Path;
use std::time::{Duration, Instant};

use super::{DEFAULT, LOADED, STREAMS, some_stream};
use crate::event::{Event, stream};
use crate::figures::{Figures, anonymous_bytes, used_bytes};
use crate::store::{Contender, Result, Setup};

pub(super) fn load(contender: &Contender, dir: &Path) -> Result<Figures> {
    let store = (contender.open)(dir, DEFAULT)?;
    let mut most = 0;
    let mut events = (0..LOADED).map(|number| {
        if number % 20_000 == 0 {
            most = most.max(anonymous_bytes());
        }
        (stream(number % STREAMS), Event::new(number))
    });
    let start = Instant::now();
    let mode = store.load(&mut events)?;
    let took = start.elapsed();
    eprintln!("{}: {mode}", contender.name);
    let mut figures = Figures::default();
    figures.set("events/s", LOADED as f64 / took.as_secs_f64());
    figures.set("RssAnon MB", most as f64 / 1e6);
    let start = Instant::now();
    store.close()?;
    figures.set("close ms", start.elapsed().as_secs_f64() * 1e3);
    figures.set("bytes/event", used_bytes(dir)? as f64 / LOADED as f64);
    Ok(figures)
}

pub(super) fn replay(contender: &Contender, dir: &Path, checked: bool) -> Result<Figures> {
    let store = (contender.open)(dir, Setup { checked, ..DEFAULT })?;
    let mut times = Vec::new();
    for _ in 0..5 {
        let start = Instant::now();
        let count = store.replay()?;
        if count != LOADED {
            return Err(format!("{} replayed {count} events of {LOADED}", contender.name).into());
        }
        times.push(start.elapsed());
    }
    times.sort_unstable();
    let mut figures = Figures::default();
    figures.set("events/s", LOADED as f64 / times[2].as_secs_f64());
    figures.set("RssAnon MB", anonymous_bytes() as f64 / 1e6);
    store.close()?;
    Ok(figures)
}

pub(super) fn read_streams(contender: &Contender, dir: &Path) -> Result<Figures> {
    const READS: u64 = 100_000;
    let mut figures = Figures::default();
    let store = (contender.open)(dir, DEFAULT)?;
    if store.read(&stream(0)).is_err() {
        return Ok(figures);
    }
    let mut times = Vec::new();
    for number in 0..READS {
        let stream = some_stream(number);
        let start = Instant::now();
        let count = store.read(&stream)?;
        times.push(start.elapsed());
        if count != LOADED / STREAMS {
            return Err(format!("{} read {count} events of {stream}", contender.name).into());
        }
    }
    let took: Duration = times.iter().sum();
    figures.set_latencies(&mut times);
    figures.set("per s", READS as f64 / took.as_secs_f64());
    store.close()?;
    Ok(figures)
}

pub(super) fn reopen(contender: &Contender, dir: &Path) -> Result<Figures> {
    let mut figures = Figures::default();
    let start = Instant::now();
    let store = (contender.open)(dir, DEFAULT)?;
    figures.set("open ms", start.elapsed().as_secs_f64() * 1e3);
    if store.read(&stream(7)).is_ok() {
        figures.set("first read ms", start.elapsed().as_secs_f64() * 1e3);
    }
    store.close()?;
    Ok(figures)
}

/// Ends only by being killed, with the last file of 64 MiB nearly full.
pub(super) fn fill(contender: &Contender, dir: &Path) -> Result<Figures> {
    const APPENDS: u64 = 190;
    let store = (contender.open)(dir, DEFAULT)?;
    for number in 0..APPENDS {
        let events = (0..1000).map(|n| Event::new(number * 1000 + n)).collect();
        store.append(&stream(STREAMS + number), events)?;
    }
    println!("waits");
    loop {
        std::thread::sleep(Duration::from_secs(1));
    }
}

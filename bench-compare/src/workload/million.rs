//! A million events, loaded by one process and used by those after it.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::{DEFAULT, LOADED, STREAMS, some};
use crate::event::{Event, stream};
use crate::figures::{Figures, anonymous_bytes, used_bytes};
use crate::store::{Contender, Result, Setup};

/// What a process prints when it waits for being killed.
pub const WAITS: &str = "waits\n";

pub(super) fn load(contender: &Contender, dir: &Path, most: Duration) -> Result<Figures> {
    let store = (contender.open)(dir, DEFAULT)?;
    let (mut memory, mut loaded) = (0, 0);
    let start = Instant::now();
    let events = (0..LOADED).take_while(|_| start.elapsed() < most);
    let mut events = events.map(|number| {
        if number % 20_000 == 0 {
            memory = memory.max(anonymous_bytes());
        }
        loaded = number + 1;
        (stream(number % STREAMS), Event::new(number))
    });
    let mode = store.load(&mut events)?;
    let took = start.elapsed();
    eprintln!("{}: {mode}", contender.name);
    std::fs::write(count_of(dir), loaded.to_string())?;
    let mut figures = Figures::default();
    figures.set_done(loaded, LOADED);
    figures.set("events/s", loaded as f64 / took.as_secs_f64());
    figures.set("RssAnon MB", memory as f64 / 1e6);
    let start = Instant::now();
    store.close()?;
    figures.set("close ms", start.elapsed().as_secs_f64() * 1e3);
    figures.set("bytes/event", used_bytes(dir)? as f64 / loaded as f64);
    Ok(figures)
}

/// Where it stands how many events were loaded.
fn count_of(dir: &Path) -> PathBuf {
    dir.with_extension("count")
}

fn loaded(dir: &Path) -> Result<u64> {
    Ok(std::fs::read_to_string(count_of(dir))?.parse()?)
}

pub(super) fn replay(contender: &Contender, dir: &Path, most: Duration, checked: bool) -> Result<Figures> {
    const REPLAYS: u64 = 5;
    let loaded = loaded(dir)?;
    let store = (contender.open)(dir, Setup { checked, ..DEFAULT })?;
    let (begun, mut times) = (Instant::now(), Vec::new());
    for _ in (0..REPLAYS).take_while(|_| begun.elapsed() < most) {
        let start = Instant::now();
        let count = store.replay()?;
        if count != loaded {
            return Err(format!("{} replayed {count} events of {loaded}", contender.name).into());
        }
        times.push(start.elapsed());
    }
    times.sort_unstable();
    let mut figures = Figures::default();
    figures.set_done(times.len() as u64, REPLAYS);
    figures.set("events/s", loaded as f64 / times[times.len() / 2].as_secs_f64());
    figures.set("RssAnon MB", anonymous_bytes() as f64 / 1e6);
    store.close()?;
    Ok(figures)
}

pub(super) fn read_streams(contender: &Contender, dir: &Path, most: Duration) -> Result<Figures> {
    const READS: u64 = 100_000;
    let loaded = loaded(dir)?;
    let mut figures = Figures::default();
    let store = (contender.open)(dir, DEFAULT)?;
    if let Err(error) = store.read(&stream(0)) {
        eprintln!("{}: {error}", contender.name);
        return Ok(figures);
    }
    let (begun, mut times) = (Instant::now(), Vec::new());
    for number in (0..READS).take_while(|_| begun.elapsed() < most).map(some) {
        let stream = stream(number);
        let start = Instant::now();
        let count = store.read(&stream)?;
        times.push(start.elapsed());
        if count != loaded / STREAMS + u64::from(number < loaded % STREAMS) {
            return Err(format!("{} read {count} events of {stream}", contender.name).into());
        }
    }
    let (took, reads): (Duration, _) = (times.iter().sum(), times.len() as u64);
    figures.set_done(reads, READS);
    figures.set_latencies(&mut times);
    figures.set("per s", reads as f64 / took.as_secs_f64());
    store.close()?;
    Ok(figures)
}

pub(super) fn reopen(contender: &Contender, dir: &Path, _: Duration) -> Result<Figures> {
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
pub(super) fn fill(contender: &Contender, dir: &Path, _: Duration) -> Result<Figures> {
    const APPENDS: u64 = 190;
    let store = (contender.open)(dir, DEFAULT)?;
    for number in 0..APPENDS {
        let events = (0..1000).map(|n| Event::new(number * 1000 + n)).collect();
        store.append(&stream(STREAMS + number), events)?;
    }
    print!("{WAITS}");
    loop {
        std::thread::sleep(Duration::from_secs(1));
    }
}

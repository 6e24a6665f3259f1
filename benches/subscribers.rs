//! Many who wait: what each of them costs in memory, and what they cost an append that concerns one of them.
//!
//! `cargo bench --bench subscribers [-- SUBSCRIBERS]` makes SUBSCRIBERS (default 100,000), each of one stream, who have read
//! everything and wait. Then it appends, in turn to a store without any of them and to theirs.

mod support;

use std::error::Error;
use std::io::Write;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Instant;

use annals::{
    Append, Data, EventStore, EventType, ExpectedVersion, NewEvent, Options, StreamName, Subscribe,
    SubscriptionStream,
};
use futures_core::Stream;

use support::{anonymous_bytes, median, memory, report};

/// Durable appends to each store.
const APPENDS: u64 = 5_000;

/// Streams of one append while the stores are filled.
const APPEND_STREAMS: u64 = 1_000;

type Outcome<T> = Result<T, Box<dyn Error>>;

/// Counts all wake-ups.
#[derive(Default)]
struct Wakes(AtomicU64);

impl Wake for Wakes {
    fn wake(self: Arc<Wakes>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

fn main() -> Outcome<()> {
    let number = std::env::args().skip(1).find_map(|argument| argument.parse().ok());
    let subscribers: u64 = number.unwrap_or(100_000);
    let base = std::env::var_os("ANNALS_BENCH_DIR").map_or_else(std::env::temp_dir, Into::into);
    let (quiet_dir, dir) = (tempfile::tempdir_in(&base)?, tempfile::tempdir_in(&base)?);
    let mut out = std::io::stdout().lock();
    let (quiet, store) = (filled(quiet_dir.path(), subscribers)?, filled(dir.path(), subscribers)?);

    let before = anonymous_bytes();
    let wakes = Arc::new(Wakes::default());
    let waker = Waker::from(wakes.clone());
    let mut waiting = (0..subscribers).map(|n| waiting(&store, n, &waker)).collect::<Outcome<Vec<_>>>()?;
    if let (Some(before), Some(after)) = (before, anonymous_bytes()) {
        let each = (after - before) as f64 / subscribers as f64;
        writeln!(out, "{subscribers} subscribers wait, each with {each:.0} bytes of anonymous memory")?;
    }

    let (mut without, mut with, mut delivered) = (Vec::new(), Vec::new(), Vec::new());
    for n in 0..APPENDS {
        let to = n * 982_451_653 % subscribers;
        for (store, times) in [(&quiet, &mut without), (&store, &mut with)] {
            let append = Append::to(stream(to)?, ExpectedVersion::Any, [event()?]);
            let begun = Instant::now();
            store.append(append)?;
            times.push(begun.elapsed());
        }
        let begun = Instant::now();
        deliver(&mut waiting[to as usize], &waker)?;
        delivered.push(begun.elapsed());
    }
    report(&mut out, "append while nobody waits", &mut without)?;
    report(&mut out, "append while they wait", &mut with)?;
    report(&mut out, "delivery to the one it concerns", &mut delivered)?;
    writeln!(out, "p50 with them / p50 without them: {:.2}", median(&with) / median(&without))?;
    writeln!(out, "{:.2} wake-ups an append", wakes.0.load(Ordering::Relaxed) as f64 / APPENDS as f64)?;
    memory(&mut out, "at the end")?;
    Ok(())
}

fn stream(n: u64) -> Outcome<StreamName> {
    Ok(StreamName::parse(&format!("order-{n}"))?)
}

fn event() -> Outcome<NewEvent> {
    Ok(NewEvent::new(EventType::parse("order.created.v1")?, Data::from_json_bytes("{}".to_owned())?))
}

/// A store with one event in each of so many streams.
fn filled(dir: &Path, streams: u64) -> Outcome<EventStore> {
    let store = EventStore::open(Options::new(dir))?;
    for first in (0..streams).step_by(APPEND_STREAMS as usize) {
        let writes = (first..streams.min(first + APPEND_STREAMS)).map(|n| Ok((stream(n)?, event()?)));
        store.append(writes.collect::<Outcome<Vec<_>>>()?.into_iter().collect())?;
    }
    Ok(store)
}

/// One who has read the stream to its end.
fn waiting(store: &EventStore, n: u64, waker: &Waker) -> Outcome<SubscriptionStream> {
    let mut subscription = store.subscribe(Subscribe::stream(stream(n)?))?.into_stream();
    deliver(&mut subscription, waker)?;
    Ok(subscription)
}

fn deliver(subscription: &mut SubscriptionStream, waker: &Waker) -> Outcome<()> {
    let mut subscription = pin!(subscription);
    while let Poll::Ready(Some(delivery)) = subscription.as_mut().poll_next(&mut Context::from_waker(waker)) {
        delivery?;
    }
    Ok(())
}

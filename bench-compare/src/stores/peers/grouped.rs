//! Group commit for the stores that have none: appends wait in a queue, and whoever finds nobody writing writes all that wait in one
//! transaction.
//!
//! Positions and versions are given here, and expected versions compared; how a transaction is written and read is the engine's
//! business. An append returns when its transaction is on stable storage.

use std::collections::{HashMap, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use crate::event::Event;
use crate::store::{Appends, Outcome, Result, Store, look_at};

/// A store of which one transaction at a time is written.
pub trait Engine: Send + Sync {
    /// The position of its last event, 0 if it has none.
    fn last_position(&self) -> Result<u64>;

    /// The version of each of these streams, 0 for those without events.
    fn versions<'a>(&self, streams: &[&'a str]) -> Result<HashMap<&'a str, u64>>;

    /// Writes all or none, and returns when they are on stable storage.
    fn write(&self, puts: &[Put]) -> Result<()>;

    /// Hands over the bytes of each event, in the order of positions. Tells how many events there are.
    fn replay(&self, on_bytes: &mut dyn FnMut(&[u8])) -> Result<u64>;

    /// The same for one stream.
    fn read(&self, stream: &str, on_bytes: &mut dyn FnMut(&[u8])) -> Result<u64>;

    /// Lets go of everything, cleanly.
    fn close(self) -> Result<()>
    where
        Self: Sized,
    {
        Ok(())
    }
}

/// An event with its places.
pub struct Put<'a> {
    pub position: u64,
    pub stream: &'a str,
    pub version: u64,
    pub event: &'a Event,
}

struct Append {
    stream: String,
    expected: Option<u64>,
    events: Vec<Event>,
}

pub struct Grouped<E> {
    engine: E,
    queue: Mutex<Queue>,
    /// Appends have their outcomes, or a thread that only writes has work.
    moved: Condvar,
}

struct Queue {
    waiting: Vec<Append>,
    /// How many appends there have ever been; the number of the newest.
    queued: u64,
    outcomes: HashMap<u64, std::result::Result<Outcome, String>>,
    last_position: u64,
    writing: bool,
    closed: bool,
}

/// Events of a transaction while loading.
const LOAD_EVENTS: usize = 10_000;

impl<E: Engine> Grouped<E> {
    pub fn new(engine: E) -> Result<Grouped<E>> {
        let queue = Queue {
            waiting: Vec::new(),
            queued: 0,
            outcomes: HashMap::new(),
            last_position: engine.last_position()?,
            writing: false,
            closed: false,
        };
        Ok(Grouped { engine, queue: Mutex::new(queue), moved: Condvar::new() })
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn parked<'a>(&self, queue: MutexGuard<'a, Queue>) -> MutexGuard<'a, Queue> {
        self.moved.wait(queue).unwrap_or_else(PoisonError::into_inner)
    }

    fn enqueue(&self, append: Append) -> (MutexGuard<'_, Queue>, u64) {
        let mut queue = self.queue();
        queue.waiting.push(append);
        queue.queued += 1;
        let mine = queue.queued;
        (queue, mine)
    }

    /// Waits for an outcome; writes for all meanwhile, if nobody does and it may.
    fn wait<'a>(&'a self, mut queue: MutexGuard<'a, Queue>, mine: u64, may_write: bool) -> Result<Outcome> {
        loop {
            if let Some(outcome) = queue.outcomes.remove(&mine) {
                return outcome.map_err(Into::into);
            }
            queue = match queue.writing || !may_write {
                true => self.parked(queue),
                false => self.write(queue),
            };
        }
    }

    /// Writes what waits, once.
    fn write<'a>(&'a self, mut queue: MutexGuard<'_, Queue>) -> MutexGuard<'a, Queue> {
        queue.writing = true;
        let (group, mut last) = (std::mem::take(&mut queue.waiting), queue.last_position);
        let numbers = queue.queued - group.len() as u64 + 1..;
        drop(queue);
        let done = self.commit(&group, &mut last);
        let mut queue = self.queue();
        queue.writing = false;
        match done {
            Ok(outcomes) => {
                queue.last_position = last;
                queue.outcomes.extend(numbers.zip(outcomes.into_iter().map(Ok)));
            }
            Err(error) => {
                queue.outcomes.extend(numbers.zip(group.iter().map(|_| Err(error.to_string()))));
            }
        }
        self.moved.notify_all();
        queue
    }

    fn commit(&self, group: &[Append], last: &mut u64) -> Result<Vec<Outcome>> {
        let mut streams: Vec<&str> = group.iter().map(|append| append.stream.as_str()).collect();
        streams.sort_unstable();
        streams.dedup();
        let mut versions = self.engine.versions(&streams)?;
        let (mut puts, mut outcomes) = (Vec::with_capacity(group.len()), Vec::with_capacity(group.len()));
        for Append { stream, expected, events } in group {
            let version = versions.entry(stream).or_default();
            if expected.is_some_and(|expected| expected != *version) {
                outcomes.push(Err(*version));
                continue;
            }
            for event in events {
                (*last, *version) = (*last + 1, *version + 1);
                puts.push(Put { position: *last, stream, version: *version, event });
            }
            outcomes.push(Ok(*version));
        }
        // What is refused rests on transactions before this one, which are on stable storage.
        if !puts.is_empty() {
            self.engine.write(&puts)?;
        }
        Ok(outcomes)
    }

    /// Writes for others until the queue is closed.
    fn write_for_others(&self) {
        let mut queue = self.queue();
        while !queue.closed {
            queue = match queue.waiting.is_empty() {
                true => self.parked(queue),
                false => self.write(queue),
            };
        }
    }

    fn put_in_flight(&self, appends: &mut dyn Iterator<Item = (String, Event)>, depth: usize) -> Result<()> {
        let mut under_way = VecDeque::with_capacity(depth);
        let mut done = Ok(());
        for (stream, event) in appends {
            if under_way.len() == depth
                && let Some(oldest) = under_way.pop_front()
            {
                done = self.wait(self.queue(), oldest, false).map(drop);
            }
            if done.is_err() {
                break;
            }
            let (queue, mine) = self.enqueue(Append { stream, expected: None, events: vec![event] });
            if !queue.writing {
                self.moved.notify_all();
            }
            under_way.push_back(mine);
        }
        // After a failure, too: an outcome that nobody takes would stay.
        under_way
            .into_iter()
            .map(|mine| self.wait(self.queue(), mine, false).map(drop))
            .fold(done, Result::and)
    }
}

impl<E: Engine> Store for Grouped<E> {
    fn append(&self, stream: &str, events: Vec<Event>) -> Result<()> {
        let (queue, mine) = self.enqueue(Append { stream: stream.to_owned(), expected: None, events });
        self.wait(queue, mine, true).map(drop)
    }

    fn append_at(&self, stream: &str, version: u64, event: Event) -> Option<Result<Outcome>> {
        let append = Append { stream: stream.to_owned(), expected: Some(version), events: vec![event] };
        let (queue, mine) = self.enqueue(append);
        Some(self.wait(queue, mine, true))
    }

    fn append_in_flight(&self, appends: &mut Appends, depth: usize) -> Option<Result<()>> {
        self.queue().closed = false;
        Some(std::thread::scope(|scope| {
            scope.spawn(|| self.write_for_others());
            let done = self.put_in_flight(appends, depth);
            self.queue().closed = true;
            self.moved.notify_all();
            done
        }))
    }

    fn load(&self, events: &mut Appends) -> Result<&'static str> {
        let mut queue = self.queue();
        loop {
            let append = |(stream, event)| Append { stream, expected: None, events: vec![event] };
            let group: Vec<Append> = (&mut *events).take(LOAD_EVENTS).map(append).collect();
            if group.is_empty() {
                return Ok("transactions of 10,000 events, each synced");
            }
            self.commit(&group, &mut queue.last_position)?;
        }
    }

    fn replay(&self) -> Result<u64> {
        let mut sum = 0_u64;
        let count = self.engine.replay(&mut |bytes| sum = sum.wrapping_add(look_at(bytes)))?;
        std::hint::black_box(sum);
        Ok(count)
    }

    fn read(&self, stream: &str) -> Result<u64> {
        self.engine.read(stream, &mut |bytes| {
            std::hint::black_box(look_at(bytes));
        })
    }

    fn close(self: Box<Self>) -> Result<()> {
        self.engine.close()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

    use super::*;

    /// Keeps nothing but a count, and fails when it is told to.
    #[derive(Default)]
    struct Counting {
        events: AtomicU64,
        fails: AtomicBool,
    }

    impl Engine for &Counting {
        fn last_position(&self) -> Result<u64> {
            Ok(self.events.load(Ordering::SeqCst))
        }

        fn versions<'a>(&self, _: &[&'a str]) -> Result<HashMap<&'a str, u64>> {
            Ok(HashMap::new())
        }

        fn write(&self, puts: &[Put]) -> Result<()> {
            if self.fails.load(Ordering::SeqCst) {
                return Err("no space".into());
            }
            let before = self.events.fetch_add(puts.len() as u64, Ordering::SeqCst);
            let positions = puts.iter().map(|put| put.position);
            assert!(positions.eq(before + 1..=before + puts.len() as u64), "positions have no holes");
            Ok(())
        }

        fn replay(&self, _: &mut dyn FnMut(&[u8])) -> Result<u64> {
            Ok(0)
        }

        fn read(&self, _: &str, _: &mut dyn FnMut(&[u8])) -> Result<u64> {
            Ok(0)
        }
    }

    #[test]
    fn a_transaction_that_fails_takes_no_position_and_is_told_to_its_appends() {
        let engine = Counting::default();
        let store = Grouped::new(&engine).unwrap();
        store.append("a", vec![Event::new(0), Event::new(1)]).unwrap();
        engine.fails.store(true, Ordering::SeqCst);
        assert!(store.append("a", vec![Event::new(2)]).is_err());
        let mut appends = (0..10).map(|number| ("a".to_owned(), Event::new(number)));
        assert!(store.append_in_flight(&mut appends, 4).unwrap().is_err());
        engine.fails.store(false, Ordering::SeqCst);
        store.append("a", vec![Event::new(3)]).unwrap();
        assert_eq!(engine.events.load(Ordering::SeqCst), 3);
    }
}

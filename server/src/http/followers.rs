//! Those who follow events: how many there are, how many there may be, and how far each has come.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use annals::Position;

/// The place of one that has everything and waits.
const WAITS: u64 = u64::MAX;

/// All followers of a server.
#[derive(Debug)]
pub(crate) struct Followers {
    max: usize,
    places: Mutex<Places>,
}

#[derive(Debug, Default)]
struct Places {
    next: u64,
    taken: HashMap<u64, Arc<AtomicU64>>,
}

/// One follower. Dropped, it gives its place to another.
#[derive(Debug)]
pub(crate) struct Follower {
    of: Arc<Followers>,
    number: u64,
    position: Arc<AtomicU64>,
}

impl Followers {
    pub(crate) fn new(max: usize) -> Arc<Followers> {
        Arc::new(Followers { max, places: Mutex::default() })
    }

    /// One more, that has everything up to a position; none when there are as many as there may be.
    pub(crate) fn join(self: &Arc<Followers>, position: Position) -> Option<Follower> {
        let mut places = self.lock();
        if places.taken.len() >= self.max {
            return None;
        }
        places.next += 1;
        let (number, position) = (places.next, Arc::new(AtomicU64::new(position.get())));
        places.taken.insert(number, Arc::clone(&position));
        Some(Follower { of: Arc::clone(self), number, position })
    }

    /// How many there are, and by how many events the last of them is behind `head`.
    pub(crate) fn count_and_lag(&self, head: Position) -> (usize, u64) {
        let places = self.lock();
        let last = places.taken.values().map(|position| position.load(Ordering::Relaxed)).min();
        (places.taken.len(), last.map_or(0, |last| head.get().saturating_sub(last)))
    }

    fn lock(&self) -> MutexGuard<'_, Places> {
        // What is locked is whole at every moment.
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Follower {
    /// Notes that it has been given everything up to a position.
    pub(crate) fn is_at(&self, position: Position) {
        self.position.store(position.get(), Ordering::Relaxed);
    }

    /// Notes that there is nothing more for it.
    pub(crate) fn waits(&self) {
        self.position.store(WAITS, Ordering::Relaxed);
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.of.lock().taken.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lag_is_that_of_the_last_and_one_that_waits_has_none() {
        let followers = Followers::new(2);
        let head = Position::new(100);
        assert_eq!(followers.count_and_lag(head), (0, 0));
        let (one, other) = (followers.join(Position::new(40)), followers.join(Position::new(90)));
        assert!(followers.join(head).is_none(), "there is no place for a third");
        assert_eq!(followers.count_and_lag(head), (2, 60));
        one.expect("there was a place").waits();
        assert_eq!(followers.count_and_lag(head), (1, 10));
        drop(other);
        assert_eq!(followers.count_and_lag(head), (0, 0));
    }
}

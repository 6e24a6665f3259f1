//! The visible position, and those who wait for it to move.
//!
//! Invariant: a waiter registers before it looks, and the writer moves the position before it looks for waiters, each with
//! a fence in between; so one of them always sees the other, and no wake-up is lost.

use std::sync::PoisonError;
use std::task::Waker;
use std::time::{Duration, Instant};

use crate::model::Position;
use crate::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering, fence};
use crate::sync::{Condvar, Mutex, MutexGuard, lock};

/// The last position that readers may see.
#[derive(Debug, Default)]
pub(crate) struct Visible {
    position: AtomicU64,
    closed: AtomicBool,
    waiting: AtomicUsize,
    wakers: Mutex<Vec<(u64, Waker)>>,
    moved: Condvar,
    next_waiter: AtomicU64,
}

/// The name under which one future waits; its waker is replaced, not added, when it is polled again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Waiter(u64);

impl Visible {
    pub(crate) fn new(position: Position) -> Visible {
        Visible { position: AtomicU64::new(position.get()), ..Visible::default() }
    }

    pub(crate) fn get(&self) -> Position {
        Position::new(self.position.load(Ordering::Acquire))
    }

    /// Whether the store was closed: the position will not move again.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Moves the position, once everything up to it is durable and indexed.
    pub(crate) fn publish(&self, position: Position) {
        self.position.store(position.get(), Ordering::Release);
        self.wake();
    }

    /// Ends all waiting.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.wake();
    }

    fn wake(&self) {
        fence(Ordering::SeqCst);
        if self.waiting.load(Ordering::Relaxed) == 0 {
            return;
        }
        // Also for threads: one that holds the lock has looked, and must be asleep before it can be woken.
        let woken = {
            let mut wakers = lock(&self.wakers);
            self.waiting.fetch_sub(wakers.len(), Ordering::Relaxed);
            std::mem::take(&mut *wakers)
        };
        self.moved.notify_all();
        woken.into_iter().for_each(|(_, waker)| waker.wake());
    }

    /// Counts somebody who waits, and now looks. The count changes under the lock of the wakers only.
    fn register(&self, _wakers: &MutexGuard<'_, Vec<(u64, Waker)>>) {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }

    /// Waits until the position is beyond `seen`, the store is closed, or the deadline has passed; tells the position.
    pub(crate) fn wait_beyond(&self, seen: Position, deadline: Option<Instant>) -> Position {
        let mut guard = lock(&self.wakers);
        self.register(&guard);
        while self.get() <= seen && !self.is_closed() {
            let wait =
                deadline.map_or(Duration::MAX, |deadline| deadline.saturating_duration_since(Instant::now()));
            if wait.is_zero() {
                break;
            }
            // Without a deadline an hour is as good as for ever, and safe to add to an instant.
            let wait = wait.min(Duration::from_secs(3600));
            guard = self.moved.wait_timeout(guard, wait).unwrap_or_else(PoisonError::into_inner).0;
        }
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        self.get()
    }

    /// A name for a future that will wait.
    pub(crate) fn waiter(&self) -> Waiter {
        Waiter(self.next_waiter.fetch_add(1, Ordering::Relaxed))
    }

    /// Whether the position is beyond `seen` or the store is closed; otherwise `waker` is woken when that changes.
    pub(crate) fn poll_beyond(&self, seen: Position, waiter: Waiter, waker: &Waker) -> bool {
        if self.get() > seen || self.is_closed() {
            return true;
        }
        // Dropped after the lock is let go of: it may drop a task, and with it others that wait here.
        let mut _replaced = None;
        let mut wakers = lock(&self.wakers);
        match wakers.iter_mut().find(|(name, _)| *name == waiter.0) {
            Some((_, known)) => _replaced = Some(std::mem::replace(known, waker.clone())),
            None => {
                wakers.push((waiter.0, waker.clone()));
                self.register(&wakers);
            }
        }
        self.get() > seen || self.is_closed()
    }

    /// Forgets a future that no longer waits.
    pub(crate) fn forget(&self, waiter: Waiter) {
        let _forgotten;
        let mut wakers = lock(&self.wakers);
        if let Some(at) = wakers.iter().position(|(name, _)| *name == waiter.0) {
            _forgotten = wakers.swap_remove(at);
            self.waiting.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
impl Visible {
    /// How many are counted as waiting.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn a_waiter_is_woken_by_the_position_and_by_closing() {
        let visible = Arc::new(Visible::new(Position::START));
        let waiter = std::thread::spawn({
            let visible = visible.clone();
            move || {
                let first = visible.wait_beyond(Position::START, None);
                (first, visible.wait_beyond(Position::new(7), None))
            }
        });
        visible.publish(Position::new(7));
        visible.close();
        assert_eq!(waiter.join().expect("no panic"), (Position::new(7), Position::new(7)));
    }

    #[test]
    fn a_deadline_ends_waiting() {
        let visible = Visible::new(Position::new(3));
        assert_eq!(visible.wait_beyond(Position::new(3), Some(Instant::now())), Position::new(3));
    }

    #[test]
    fn a_forgotten_waker_is_not_counted() {
        let visible = Visible::new(Position::START);
        let waiter = visible.waiter();
        assert!(!visible.poll_beyond(Position::START, waiter, Waker::noop()));
        assert!(!visible.poll_beyond(Position::START, waiter, Waker::noop()));
        visible.forget(waiter);
        assert_eq!(visible.waiting(), 0);
    }
}

//! The queue: what waits to be committed, and who commits it. One at a time leads, whoever that is.
//!
//! A caller that finds no leader may lead; otherwise the thread that stands by does. A caller commits what waits once, hands
//! leadership on, and then tells what has become of it; the thread goes on as long as something waits, so that under load no
//! leadership changes hands. What committing and telling are, the queue is told.
//!
//! Invariant: whenever something waits, somebody leads or the thread that stands by has been told. So all that was queued
//! is taken, also by a queue that closes; and once that thread has been sent home nothing is queued any more.

use crate::sync::{Condvar, Mutex, lock, wait};

/// What waits, in the order in which it came.
#[derive(Debug)]
pub(super) struct Queue<T> {
    state: Mutex<State<T>>,
    /// Something waits without a leader, or the queue closes.
    work: Condvar,
    /// What waited was taken, or the queue closes.
    room: Condvar,
    bytes_max: u64,
}

#[derive(Debug)]
struct State<T> {
    waiting: Vec<T>,
    bytes: u64,
    led: bool,
    closed: bool,
    /// The thread that stands by sleeps. Waking nobody would be a call of the system.
    stands_by: bool,
    /// How many wait for room.
    wait_for_room: u32,
}

/// The queue was closed: nothing is taken into it any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Closed;

/// Whether whoever queues something may be made to commit it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum May {
    Lead,
    OnlyQueue,
}

/// Leadership of the queue. It ends when this is dropped, by a panic as well.
#[derive(Debug)]
pub(super) struct Leading<'a, T>(&'a Queue<T>);

impl<T> Queue<T> {
    /// An empty queue for so many bytes.
    pub(super) fn new(bytes_max: u64) -> Queue<T> {
        let state = State {
            waiting: Vec::new(),
            bytes: 0,
            led: false,
            closed: false,
            stands_by: false,
            wait_for_room: 0,
        };
        Queue { state: Mutex::new(state), work: Condvar::new(), room: Condvar::new(), bytes_max }
    }

    /// Queues something, once there is room for its bytes. Gives leadership to a caller that has to take it.
    ///
    /// Anything has room in an empty queue, however large it is.
    pub(super) fn push(&self, item: T, bytes: u64, may: May) -> Result<Option<Leading<'_, T>>, Closed> {
        let mut state = lock(&self.state);
        while !state.closed && state.bytes > 0 && state.bytes + bytes > self.bytes_max {
            state.wait_for_room += 1;
            state = wait(&self.room, state);
            state.wait_for_room -= 1;
        }
        if state.closed {
            return Err(Closed);
        }
        state.bytes += bytes;
        state.waiting.push(item);
        if state.led {
            return Ok(None);
        }
        if may == May::OnlyQueue {
            self.call(&state);
            return Ok(None);
        }
        state.led = true;
        Ok(Some(Leading(self)))
    }

    /// Leads whenever something waits without a leader, until the queue was closed and is empty.
    pub(super) fn stand_by<O>(&self, commit: impl Fn(Vec<T>) -> O, tell: impl Fn(O)) {
        while let Some(mut leading) = self.wait_for_work() {
            while let Some(batch) = leading.take() {
                tell(commit(batch));
            }
        }
    }

    fn wait_for_work(&self) -> Option<Leading<'_, T>> {
        let mut state = lock(&self.state);
        while state.led || (state.waiting.is_empty() && !state.closed) {
            state.stands_by = true;
            state = wait(&self.work, state);
            state.stands_by = false;
        }
        if state.waiting.is_empty() {
            return None;
        }
        state.led = true;
        Some(Leading(self))
    }

    /// Wakes the thread that stands by, if it sleeps.
    fn call(&self, state: &State<T>) {
        if state.stands_by {
            self.work.notify_one();
        }
    }

    /// Takes nothing in any more. What waits is still to be committed.
    pub(super) fn close(&self) {
        lock(&self.state).closed = true;
        self.work.notify_one();
        self.room.notify_all();
    }

    /// Whether it takes nothing in any more.
    pub(super) fn is_closed(&self) -> bool {
        lock(&self.state).closed
    }
}

impl<T> Leading<'_, T> {
    /// Commits what waits, hands leadership on, and tells what has become of it.
    pub(super) fn lead<O>(mut self, commit: impl FnOnce(Vec<T>) -> O, tell: impl FnOnce(O)) {
        if let Some(batch) = self.take() {
            let outcome = commit(batch);
            drop(self);
            tell(outcome);
        }
    }

    fn take(&mut self) -> Option<Vec<T>> {
        let mut state = lock(&self.0.state);
        if state.waiting.is_empty() {
            return None;
        }
        state.bytes = 0;
        if state.wait_for_room > 0 {
            self.0.room.notify_all();
        }
        Some(std::mem::take(&mut state.waiting))
    }
}

impl<T> Drop for Leading<'_, T> {
    fn drop(&mut self) {
        let mut state = lock(&self.0.state);
        state.led = false;
        if !state.waiting.is_empty() || state.closed {
            self.0.call(&state);
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn the_first_caller_leads_and_the_next_ones_only_queue() {
        let queue = Queue::new(100);
        let mut leading = queue.push(1, 10, May::Lead).expect("open").expect("nobody leads");
        assert!(queue.push(2, 10, May::Lead).expect("open").is_none());
        assert_eq!((leading.take(), leading.take()), (Some(vec![1, 2]), None));
        drop(leading);
        assert!(queue.push(3, 10, May::OnlyQueue).expect("open").is_none());
        assert_eq!(queue.wait_for_work().expect("something waits").take(), Some(vec![3]));
    }

    #[test]
    fn a_caller_hands_leadership_on_before_it_tells_anyone() {
        let queue = Queue::new(100);
        let leading = queue.push(1, 10, May::Lead).expect("open").expect("nobody leads");
        leading.lead(
            |batch| {
                assert!(queue.push(2, 10, May::Lead).expect("open").is_none());
                batch
            },
            |batch| {
                assert_eq!(batch, [1]);
                assert_eq!(queue.wait_for_work().expect("something waits").take(), Some(vec![2]));
            },
        );
    }

    #[test]
    fn a_closed_queue_gives_out_what_waits_and_takes_nothing_in() {
        let queue = Queue::new(100);
        queue.push(1, 10, May::OnlyQueue).expect("open");
        queue.close();
        assert_eq!(queue.push(2, 10, May::Lead).map(|leading| leading.is_some()), Err(Closed));
        assert_eq!(queue.wait_for_work().expect("something waits").take(), Some(vec![1]));
        assert!(queue.wait_for_work().is_none());
    }

    #[test]
    fn what_is_larger_than_the_queue_has_room_in_an_empty_one() {
        let queue = Queue::new(100);
        assert!(queue.push(1, 1000, May::OnlyQueue).is_ok());
    }
}

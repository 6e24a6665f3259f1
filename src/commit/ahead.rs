//! One thing that is made ahead of need by whoever promises to, and taken by whoever needs it.
//!
//! Invariant: a promise ends. One that is not kept, because the making failed, panicked or never began, leaves nothing
//! behind, and whoever waits for it makes the thing itself.

use std::sync::Arc;

use crate::sync::{Condvar, Mutex, lock, wait};

/// Where the thing is put.
#[derive(Debug)]
pub(super) struct Ahead<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
}

#[derive(Debug)]
enum State<T> {
    Absent,
    Promised {
        /// Somebody waits for it.
        wanted: bool,
    },
    Made(T),
}

/// The promise to make it.
#[derive(Debug)]
pub(super) struct Promise<T> {
    ahead: Arc<Ahead<T>>,
    made: Option<T>,
}

impl<T> Ahead<T> {
    pub(super) fn new() -> Ahead<T> {
        Ahead { state: Mutex::new(State::Absent), changed: Condvar::new() }
    }

    /// Promises to make it; none when it is there, or somebody else has promised.
    pub(super) fn promise(self: &Arc<Self>) -> Option<Promise<T>> {
        let mut state = lock(&self.state);
        if !matches!(*state, State::Absent) {
            return None;
        }
        *state = State::Promised { wanted: false };
        Some(Promise { ahead: self.clone(), made: None })
    }

    /// Whether it is there to be taken.
    pub(super) fn is_made(&self) -> bool {
        matches!(*lock(&self.state), State::Made(_))
    }

    /// Takes it, once a promise has ended; none when there is nothing to take.
    pub(super) fn take(&self) -> Option<T> {
        let mut state = lock(&self.state);
        while let State::Promised { wanted } = &mut *state {
            *wanted = true;
            state = wait(&self.changed, state);
        }
        match std::mem::replace(&mut *state, State::Absent) {
            State::Made(made) => Some(made),
            State::Absent | State::Promised { .. } => None,
        }
    }
}

impl<T> Promise<T> {
    /// Whether somebody waits for it: what it could do without should be left out.
    pub(super) fn is_wanted(&self) -> bool {
        matches!(*lock(&self.ahead.state), State::Promised { wanted: true })
    }

    /// Ends the promise with what was made.
    pub(super) fn keep(mut self, made: T) {
        self.made = Some(made);
    }
}

impl<T> Drop for Promise<T> {
    fn drop(&mut self) {
        *lock(&self.ahead.state) = self.made.take().map_or(State::Absent, State::Made);
        self.ahead.changed.notify_all();
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_promise_is_given_once_and_what_was_made_is_taken_once() {
        let ahead = Arc::new(Ahead::new());
        let promise = ahead.promise().expect("nobody has promised");
        assert!(ahead.promise().is_none());
        promise.keep(7);
        assert!(ahead.promise().is_none());
        assert_eq!((ahead.take(), ahead.take()), (Some(7), None));
        assert!(ahead.promise().is_some());
    }

    #[test]
    fn a_promise_is_wanted_from_when_somebody_waits_for_it() {
        let ahead = Arc::new(Ahead::new());
        let promise = ahead.promise().expect("nobody has promised");
        assert!(!promise.is_wanted());
        std::thread::scope(|scope| {
            let taker = scope.spawn(|| ahead.take());
            while !promise.is_wanted() {
                std::thread::yield_now();
            }
            promise.keep(7);
            assert_eq!(taker.join().expect("no panic"), Some(7));
        });
        assert!(!ahead.promise().expect("it was taken").is_wanted(), "nobody waits for the next");
    }

    #[test]
    fn a_promise_that_is_not_kept_leaves_nothing_to_wait_for() {
        let ahead = Arc::new(Ahead::<u8>::new());
        drop(ahead.promise());
        assert_eq!(ahead.take(), None);
    }
}

//! A thread that sleeps until somebody wakes it, as a future is woken.

use std::sync::{Arc, PoisonError};
use std::task::Wake;
use std::time::{Duration, Instant};

use crate::sync::{Condvar, Mutex, lock};

/// Where a thread sleeps. Whoever wakes it before it sleeps is not missed.
#[derive(Debug, Default)]
pub(super) struct Sleeper {
    woken: Mutex<bool>,
    wakes: Condvar,
}

impl Sleeper {
    /// Sleeps until it was woken since it last slept; tells false when the deadline came first.
    pub(super) fn sleep(&self, deadline: Option<Instant>) -> bool {
        let mut woken = lock(&self.woken);
        while !*woken {
            let wait =
                deadline.map_or(Duration::MAX, |deadline| deadline.saturating_duration_since(Instant::now()));
            if wait.is_zero() {
                return false;
            }
            // Without a deadline an hour is as good as for ever, and safe to add to an instant.
            let wait = wait.min(Duration::from_secs(3600));
            woken = self.wakes.wait_timeout(woken, wait).unwrap_or_else(PoisonError::into_inner).0;
        }
        *woken = false;
        true
    }
}

impl Wake for Sleeper {
    fn wake(self: Arc<Sleeper>) {
        *lock(&self.woken) = true;
        self.wakes.notify_one();
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_was_woken_before_it_sleeps_does_not_sleep() {
        let sleeper = Arc::new(Sleeper::default());
        sleeper.clone().wake();
        assert!(sleeper.sleep(None));
        assert!(!sleeper.sleep(Some(Instant::now())), "it was woken once");
    }
}

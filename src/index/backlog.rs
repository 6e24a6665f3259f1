//! The indexes that were missing when the store was opened and are still to be built, and whether to wait for them.
//!
//! What cannot be decided without a missing index waits for it while all of them will be there soon. While that takes
//! longer than anyone wants to wait, it is an error at once, which says how long.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::error::Error;

/// How much of the log is believed to be indexed in a second, before any was.
const BYTES_A_SECOND: u64 = 100 << 20;

/// What is still missing.
#[derive(Debug)]
pub(crate) struct Backlog {
    wait_max: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The bytes of each segment whose index is missing, by the segment's number.
    missing: BTreeMap<u64, u64>,
    built_bytes: u64,
    built_in: Duration,
}

impl Backlog {
    /// Operations wait for missing indexes up to `wait_max`.
    pub(crate) fn new(wait_max: Duration) -> Backlog {
        Backlog { wait_max, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // It is whole at every moment.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that the index of a segment is missing and will be built.
    pub(crate) fn add(&self, segment: u64, bytes: u64) {
        self.state().missing.insert(segment, bytes);
    }

    /// Notes that a segment's index was built in so long, or that it cannot be built: whoever asks it is told why.
    pub(super) fn settle(&self, segment: u64, built_in: Option<Duration>) {
        let mut state = self.state();
        if let (Some(bytes), Some(built_in)) = (state.missing.remove(&segment), built_in) {
            state.built_bytes += bytes;
            state.built_in += built_in;
        }
    }

    /// Whether to wait for an index that is missing; the error says for how long not.
    pub(super) fn check(&self) -> Result<(), Error> {
        let state = self.state();
        let left = state.time_left();
        if left <= self.wait_max {
            return Ok(());
        }
        Err(Error::Warming { missing: state.missing.len() as u64, seconds: left.as_secs().max(1) })
    }

    /// How many indexes are missing.
    pub(crate) fn missing(&self) -> u64 {
        self.state().missing.len() as u64
    }
}

impl State {
    /// How long it takes until nothing is missing, at the pace so far.
    fn time_left(&self) -> Duration {
        let bytes: u64 = self.missing.values().sum();
        let pace = match self.built_bytes {
            0 => 1.0 / BYTES_A_SECOND as f64,
            built => self.built_in.as_secs_f64() / built as f64,
        };
        // Never more than a year, which a duration can hold.
        Duration::from_secs_f64((bytes as f64 * pace).min(3e7))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn few_missing_indexes_are_waited_for_and_many_are_not() {
        let backlog = Backlog::new(10 * SECOND);
        assert!(backlog.check().is_ok());
        (0..10).for_each(|segment| backlog.add(segment, BYTES_A_SECOND));
        assert!(backlog.check().is_ok());
        backlog.add(10, BYTES_A_SECOND);
        assert!(matches!(backlog.check(), Err(Error::Warming { missing: 11, seconds: 11 })));
        backlog.settle(3, None);
        assert!(backlog.check().is_ok(), "what cannot be built is not waited for");
        assert_eq!(backlog.missing(), 10);
    }

    #[test]
    fn the_pace_is_the_one_that_was_seen() {
        let backlog = Backlog::new(10 * SECOND);
        (0..10).for_each(|segment| backlog.add(segment, BYTES_A_SECOND));
        backlog.settle(9, Some(2 * SECOND));
        assert!(matches!(backlog.check(), Err(Error::Warming { missing: 9, seconds: 18 })));
        (0..8).for_each(|segment| backlog.settle(segment, Some(2 * SECOND)));
        assert!(backlog.check().is_ok());
        backlog.settle(77, Some(1000 * SECOND));
        assert_eq!(backlog.missing(), 1);
    }
}

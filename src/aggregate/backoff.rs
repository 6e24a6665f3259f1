//! Backoff: how long a writer who was not first waits before it tries again.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// The longest wait.
const WAIT_MS_MAX: u64 = 64;

/// Waits before the retry of this number, from 0. The first comes at once: a conflict tells that somebody has succeeded.
pub(super) fn wait(retry: u32) {
    let random = RandomState::new().hash_one(retry);
    let wait = wait_before(retry, random);
    if !wait.is_zero() {
        std::thread::sleep(wait);
    }
}

/// Twice as long each time, less a random part of it, so that those who met do not meet again.
fn wait_before(retry: u32, random: u64) -> Duration {
    if retry == 0 {
        return Duration::ZERO;
    }
    let longest_us = (1000 << (retry - 1).min(10)).min(WAIT_MS_MAX * 1000);
    Duration::from_micros(random % longest_us)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_retry_comes_at_once_and_no_wait_is_longer_than_the_longest() {
        assert_eq!(wait_before(0, u64::MAX), Duration::ZERO);
        for retry in [1, 5, 10, 1000, u32::MAX] {
            assert!(wait_before(retry, u64::MAX) < Duration::from_millis(WAIT_MS_MAX));
        }
        assert_eq!(wait_before(1, 1_999), Duration::from_micros(999));
    }
}

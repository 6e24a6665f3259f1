//! Fresh ids: UUIDs of version 7, each above all that this process made before.
//!
//! An id holds the milliseconds of its making, a count that starts anew at a random place each millisecond, and random bits.
//! The system is asked for randomness by the hundred bytes: a call for each id would cost more than all else about an event.

use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use uuid::Uuid;

/// How much randomness is fetched at once.
const POOL_BYTES: usize = 512;
/// The bits of the count; it starts below half of what they hold, and never fills the rest within a millisecond.
const COUNT_BITS: u32 = 42;
/// How many of them lie below the variant.
const COUNT_BITS_LOW: u32 = COUNT_BITS - 12;

static SOURCE: Mutex<Source> = Mutex::new(Source::new());

/// Fills `ids` with new ones, each above the one before: many at once cost one look at the clock.
pub(super) fn fill(ids: &mut [Uuid]) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64);
    // An id is given out or not: what a panic leaves is as good as before it.
    let mut source = SOURCE.lock().unwrap_or_else(PoisonError::into_inner);
    ids.fill_with(|| source.next(now));
}

/// A new id.
pub(super) fn fresh() -> Uuid {
    let mut id = [Uuid::nil()];
    fill(&mut id);
    id[0]
}

/// Where ids come from.
struct Source {
    millis: u64,
    count: u64,
    pool: [u8; POOL_BYTES],
    /// How much of the pool is left.
    left: usize,
}

impl Source {
    const fn new() -> Source {
        Source { millis: 0, count: 0, pool: [0; POOL_BYTES], left: 0 }
    }

    fn next(&mut self, now_millis: u64) -> Uuid {
        if now_millis > self.millis {
            let random = u64::from_le_bytes(self.random());
            (self.millis, self.count) = (now_millis, random >> (65 - COUNT_BITS));
        } else {
            self.count += 1;
        }
        if self.count >> COUNT_BITS != 0 {
            (self.millis, self.count) = (self.millis + 1, 0);
        }
        let (high, low) = (self.count >> COUNT_BITS_LOW, self.count & ((1 << COUNT_BITS_LOW) - 1));
        let random = u64::from(u32::from_le_bytes(self.random()));
        let upper = u128::from(self.millis << 16 | 7 << 12 | high);
        let lower = u128::from(2 << 62 | low << 32 | random);
        Uuid::from_u128(upper << 64 | lower)
    }

    fn random<const N: usize>(&mut self) -> [u8; N] {
        if self.left < N {
            getrandom::fill(&mut self.pool).expect("every system has randomness to give");
            self.left = POOL_BYTES;
        }
        self.left -= N;
        *self.pool[self.left..].first_chunk().expect("the pool holds as much as is left, and more is there")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// More than one pool gives, at times that stand still, go on and go back.
    fn many() -> Vec<Uuid> {
        let mut source = Source::new();
        let times = [5, 5, 5, 9, 9, 4, 1, 9, 10, 3];
        (0..1000).map(|n| source.next(times[n % times.len()] + (n as u64 / 100))).collect()
    }

    #[test]
    fn every_id_is_above_the_one_before_even_if_the_clock_goes_back() {
        assert!(many().is_sorted_by(|one, next| one < next));
        let (one, next) = (fresh(), fresh());
        assert!(one < next);
    }

    #[test]
    fn an_id_says_its_version_its_variant_and_its_time() {
        for id in many() {
            assert_eq!((id.get_version_num(), id.get_variant()), (7, uuid::Variant::RFC4122));
        }
        let (seconds, nanos) = Source::new().next(1_234_567).get_timestamp().expect("it has one").to_unix();
        assert_eq!((seconds, nanos), (1234, 567_000_000));
    }

    #[test]
    fn a_count_that_is_full_goes_into_the_next_millisecond() {
        let mut source = Source { millis: 7, count: (1 << COUNT_BITS) - 2, ..Source::new() };
        let ids: Vec<Uuid> = (0..3).map(|_| source.next(7)).collect();
        assert!(ids.is_sorted_by(|one, next| one < next));
        assert_eq!(ids[1].as_u128() >> 80, 8);
    }

    #[test]
    fn two_sources_at_one_time_give_different_ids() {
        let (mut one, mut other) = (Source::new(), Source::new());
        assert_ne!(one.next(1), other.next(1));
        assert_ne!(
            one.next(1).as_u128() as u32,
            one.next(1).as_u128() as u32,
            "each has random bits of its own"
        );
    }
}

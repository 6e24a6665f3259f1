//! What the commits of an open store come to, counted for whoever watches it.
//!
//! Only the leader counts, a few plain stores for each group, and never waits; whoever looks may see half a group.

use std::sync::atomic::{AtomicU64, Ordering};

/// Upper bounds of the sizes of groups, in appends.
const GROUP_BOUNDS: [u64; 11] = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024];

/// Upper bounds of the durations of syncs, in nanoseconds: from what a fast disk takes to what no disk should.
const SYNC_BOUNDS: [u64; 14] = [
    50_000,
    100_000,
    200_000,
    500_000,
    1_000_000,
    2_000_000,
    5_000_000,
    10_000_000,
    20_000_000,
    50_000_000,
    100_000_000,
    500_000_000,
    1_000_000_000,
    5_000_000_000,
];

/// How many of something were how large.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Histogram {
    /// The upper bounds, inclusive and rising.
    pub bounds: Vec<u64>,
    /// How many lie above the bound before and up to each bound, and at last how many lie above all of them.
    pub counts: Vec<u64>,
    /// All of them together.
    pub sum: u64,
}

/// What has been committed since the store was opened.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct CommitMetrics {
    /// Appends that were committed.
    pub appends: u64,
    /// Appends that were refused for where the streams stood, for a condition or for an id.
    pub refused: u64,
    /// Events that were committed.
    pub events: u64,
    /// Bytes of the log that they take.
    pub bytes: u64,
    /// The appends that shared one write and one sync.
    pub group_appends: Histogram,
    /// How long those took, in nanoseconds.
    pub sync_nanos: Histogram,
}

/// The counts of one store.
#[derive(Debug, Default)]
pub(super) struct Counters {
    appends: Count,
    refused: Count,
    events: Count,
    bytes: Count,
    group_appends: Counts<{ GROUP_BOUNDS.len() }>,
    sync_nanos: Counts<{ SYNC_BOUNDS.len() }>,
}

impl Counters {
    /// Counts a group that is on stable storage.
    pub(super) fn add_group(&self, appends: u64, events: u64, bytes: u64, sync_nanos: u64) {
        self.appends.add(appends);
        self.events.add(events);
        self.bytes.add(bytes);
        self.group_appends.add(&GROUP_BOUNDS, appends);
        self.sync_nanos.add(&SYNC_BOUNDS, sync_nanos);
    }

    /// Counts appends that were refused.
    pub(super) fn add_refused(&self, count: u64) {
        self.refused.add(count);
    }

    pub(super) fn get(&self) -> CommitMetrics {
        CommitMetrics {
            appends: self.appends.get(),
            refused: self.refused.get(),
            events: self.events.get(),
            bytes: self.bytes.get(),
            group_appends: self.group_appends.get(&GROUP_BOUNDS),
            sync_nanos: self.sync_nanos.get(&SYNC_BOUNDS),
        }
    }
}

/// A number that one thread at a time adds to.
#[derive(Debug, Default)]
struct Count(AtomicU64);

impl Count {
    fn add(&self, more: u64) {
        self.0.store(self.get().wrapping_add(more), Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

#[derive(Debug)]
struct Counts<const N: usize> {
    counts: [Count; N],
    beyond: Count,
    sum: Count,
}

impl<const N: usize> Default for Counts<N> {
    fn default() -> Counts<N> {
        Counts {
            counts: std::array::from_fn(|_| Count::default()),
            beyond: Count::default(),
            sum: Count::default(),
        }
    }
}

impl<const N: usize> Counts<N> {
    fn add(&self, bounds: &[u64; N], value: u64) {
        let at = bounds.partition_point(|bound| *bound < value);
        self.counts.get(at).unwrap_or(&self.beyond).add(1);
        self.sum.add(value);
    }

    fn get(&self, bounds: &[u64; N]) -> Histogram {
        let counts = self.counts.iter().chain([&self.beyond]).map(Count::get).collect();
        Histogram { bounds: bounds.to_vec(), counts, sum: self.sum.get() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_counts_under_the_first_bound_that_it_does_not_pass() {
        let counters = Counters::default();
        for appends in [1, 2, 3, 4, 5, 1024, 1025] {
            counters.add_group(appends, 2 * appends, 100, 0);
        }
        let found = counters.get();
        assert_eq!(found.group_appends.counts, [1, 1, 2, 1, 0, 0, 0, 0, 0, 0, 1, 1]);
        assert_eq!((found.group_appends.sum, found.appends, found.events), (2064, 2064, 4128));
        assert_eq!((found.bytes, found.sync_nanos.counts[0]), (700, 7));
    }
}

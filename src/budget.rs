//! The memory budget: one number of bytes, and what share of it each part of a store keeps to.
//!
//! | share | of | how many at one time |
//! |---|---|---|
//! | an eighth | the index of a segment that is written to | up to four: the active one, one being written to disk, one that waits for that, and one whose leader waits |
//! | an eighth | appends that wait | three: those that wait, those that are committed, and their bytes as they are written |
//! | a 32nd | the cache of `meta`, and that of `tables` | both |
//! | a 16th | indexes of sealed segments that no file could be written for | all of them |

/// The memory that a store keeps to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Budget {
    bytes: u64,
}

/// The smallest budget, in bytes: below it, the tables of an index are most of its share.
pub const MEMORY_BYTES_MIN: u64 = 16 << 20;

impl Default for Budget {
    fn default() -> Budget {
        Budget { bytes: 256 << 20 }
    }
}

impl Budget {
    pub(crate) fn new(bytes: u64) -> Budget {
        Budget { bytes: bytes.max(MEMORY_BYTES_MIN) }
    }

    /// The most that the index of one segment takes before the log goes over to the next.
    pub(crate) fn index_bytes_max(self) -> u64 {
        self.bytes / 8
    }

    /// The most bytes of appends that wait.
    pub(crate) fn queue_bytes_max(self) -> u64 {
        self.bytes / 8
    }

    /// The most bytes of indexes that are in memory because no file could be written for them.
    pub(crate) fn kept_bytes_max(self) -> u64 {
        self.bytes / 16
    }

    /// The size of the cache of `meta`, and that of `tables`.
    pub(crate) fn cache_bytes(self) -> u64 {
        self.bytes / 32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shares_together_stay_within_the_budget() {
        for budget in [Budget::default(), Budget::new(0), Budget::new(1 << 40)] {
            let indexes = 4 * budget.index_bytes_max() + budget.kept_bytes_max();
            assert!(indexes + 3 * budget.queue_bytes_max() + 2 * budget.cache_bytes() <= budget.bytes);
        }
    }
}

//! Indexes of sealed segments that could not be written to a file and are kept in memory: those built last, within a
//! bound. One that is given up is built again when it is asked for.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use arc_swap::ArcSwapOption;

/// Where a part has its index.
pub(super) type Cell<T> = Arc<ArcSwapOption<T>>;

/// What is kept, the oldest first.
#[derive(Debug)]
pub(crate) struct Kept<T> {
    bytes_max: u64,
    indexes: Mutex<VecDeque<One<T>>>,
}

#[derive(Debug)]
struct One<T> {
    cell: Weak<ArcSwapOption<T>>,
    index: Weak<T>,
    bytes: u64,
}

impl<T> Kept<T> {
    pub(crate) fn new(bytes_max: u64) -> Kept<T> {
        Kept { bytes_max, indexes: Mutex::default() }
    }

    /// Keeps an index that was put into `cell`, and gives up the oldest while all of them have more bytes than the bound.
    pub(super) fn keep(&self, cell: &Cell<T>, index: &Arc<T>, bytes: u64) {
        // It is whole at every moment.
        let mut indexes = self.indexes.lock().unwrap_or_else(PoisonError::into_inner);
        indexes.retain(|one| one.index.strong_count() > 0);
        indexes.push_back(One { cell: Arc::downgrade(cell), index: Arc::downgrade(index), bytes });
        let mut held: u64 = indexes.iter().map(|one| one.bytes).sum();
        while held > self.bytes_max && indexes.len() > 1 {
            let Some(oldest) = indexes.pop_front() else { break };
            held -= oldest.bytes;
            if let (Some(cell), Some(index)) = (oldest.cell.upgrade(), oldest.index.upgrade()) {
                // Another index may have taken its place.
                cell.compare_and_swap(&Some(index), None);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_are_given_up_and_the_newest_never() {
        let kept = Kept::new(10);
        let cells: Vec<Cell<u8>> = (0..4).map(|_| Cell::default()).collect();
        let put = |at: usize, bytes: u64| {
            let index = Arc::new(at as u8);
            cells[at].store(Some(index.clone()));
            kept.keep(&cells[at], &index, bytes);
        };
        let there = || cells.iter().map(|cell| cell.load().is_some()).collect::<Vec<_>>();
        put(0, 5);
        put(1, 5);
        assert_eq!(there(), [true, true, false, false]);
        put(2, 5);
        assert_eq!(there(), [false, true, true, false]);
        put(3, 50);
        assert_eq!(there(), [false, false, false, true]);
    }

    #[test]
    fn what_has_taken_the_place_of_an_index_stays() {
        let kept = Kept::new(1);
        let (cell, other) = (Cell::default(), Cell::default());
        let index = Arc::new(1);
        cell.store(Some(index.clone()));
        kept.keep(&cell, &index, 1);
        cell.store(Some(Arc::new(2)));
        kept.keep(&other, &Arc::new(3), 1);
        assert_eq!(cell.load().as_deref(), Some(&2));
    }
}

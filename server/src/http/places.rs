//! Which threads may wait: those that serve connections may, for short work, as long as one of them is left that does not.
//!
//! Handing work to another thread and taking its outcome back costs more than most of the work here; but a connection whose thread
//! waits for the disk is not served.
//!
//! Invariant: however long work takes, at least one thread serves connections.

use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use tokio::runtime::Handle;

use super::app::App;
use super::problem::{self, Problem};

/// How long work may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    /// A few lookups and one chunk. It waits for the disk only where what it looks for was not looked at lately.
    Short,
    /// As long as it takes.
    Long,
}

/// The threads that serve connections and may do short work meanwhile.
#[derive(Debug)]
pub(crate) struct Places(AtomicUsize);

/// One of them, until it is dropped.
pub(super) struct Place<'a>(&'a Places);

/// How many threads are to serve connections: one for each processor while one waits.
pub(crate) fn threads() -> usize {
    thread::available_parallelism().map_or(1, NonZeroUsize::get) + 1
}

impl Places {
    /// All but one of the threads of this runtime.
    pub(crate) fn of_runtime() -> Places {
        let threads = Handle::try_current().map_or(0, |runtime| runtime.metrics().num_workers());
        Places(AtomicUsize::new(threads.saturating_sub(1)))
    }

    pub(super) fn take(&self) -> Option<Place<'_>> {
        let taken = self.0.fetch_update(Ordering::Acquire, Ordering::Relaxed, |left| left.checked_sub(1));
        taken.is_ok().then(|| Place(self))
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.0.fetch_add(1, Ordering::Release);
    }
}

impl App {
    /// Does short work on this thread, if enough others are left, and any other on one that may wait.
    pub(crate) async fn does<T: Send + 'static>(
        self: &Arc<App>,
        what: Work,
        work: impl FnOnce(&App) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        match self.places.take().filter(|_| what == Work::Short) {
            None => self.blocking(work).await,
            // A fault of one request is not the end of its connection.
            Some(_place) => match catch_unwind(AssertUnwindSafe(|| work(self))) {
                Ok(done) => done,
                Err(_) => Err(Problem::new(problem::INTERNAL, "the request's work did not end: it panicked")),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_thread_is_always_left_and_a_place_can_be_taken_again() {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(3).build().expect("threads");
        let places = runtime.block_on(async { Places::of_runtime() });
        let (one, other) = (places.take(), places.take());
        assert!(one.is_some() && other.is_some() && places.take().is_none());
        drop(one);
        assert!(places.take().is_some());
    }
}

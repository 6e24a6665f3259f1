//! Which threads may wait: those that serve connections may, for short work, as long as one of them is left that does not.
//!
//! Handing work to another thread and taking its outcome back costs more than most of the work here; but a connection whose thread
//! waits for the disk is not served.
//!
//! Long answers, too, are made ahead of what their clients take only as long as there is a place for that: what is made and not taken
//! is memory.
//!
//! Invariant: however long work takes, at least one thread serves connections.

use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use tokio::runtime::Handle;
use tokio::task::yield_now;

use super::app::App;
use super::problem::{self, Problem};

/// How often short work asks once more for a place before it goes to another thread.
const PLACE_TRIES: usize = 2;

/// How long work may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    /// A few lookups and one chunk. It waits for the disk only where what it looks for was not looked at lately.
    Short,
    /// As long as it takes.
    Long,
}

/// How many long answers may be made ahead at one time: more than there are processors to make them.
const LONG_ANSWERS_MAX: usize = 16;

/// The places that are left.
#[derive(Debug)]
pub(crate) struct Places {
    /// Threads that serve connections and may do short work meanwhile.
    threads: AtomicUsize,
    /// Long answers that may be made ahead.
    long_answers: AtomicUsize,
}

/// A thread, until it is dropped.
pub(super) struct Place<'a>(&'a Places);

/// A place for a long answer, until it is dropped.
#[derive(Debug)]
pub(super) struct LongAnswer(Arc<Places>);

/// How many threads are to serve connections: one for each processor while one waits.
pub(crate) fn threads() -> usize {
    thread::available_parallelism().map_or(1, NonZeroUsize::get) + 1
}

impl Places {
    /// All but one of the threads of this runtime.
    pub(crate) fn of_runtime() -> Places {
        let threads = Handle::try_current().map_or(0, |runtime| runtime.metrics().num_workers());
        Places {
            threads: AtomicUsize::new(threads.saturating_sub(1)),
            long_answers: AtomicUsize::new(LONG_ANSWERS_MAX),
        }
    }

    pub(super) fn take(&self) -> Option<Place<'_>> {
        take_one(&self.threads).then(|| Place(self))
    }

    pub(super) fn take_long_answer(self: &Arc<Places>) -> Option<LongAnswer> {
        take_one(&self.long_answers).then(|| LongAnswer(Arc::clone(self)))
    }
}

fn take_one(of: &AtomicUsize) -> bool {
    of.fetch_update(Ordering::Acquire, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok()
}

impl Drop for LongAnswer {
    fn drop(&mut self) {
        self.0.long_answers.fetch_add(1, Ordering::Release);
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.threads.fetch_add(1, Ordering::Release);
    }
}

impl App {
    /// Does short work on this thread, if enough others are left, and any other on one that may wait.
    pub(crate) async fn does<T: Send + 'static>(
        self: &Arc<App>,
        what: Work,
        work: impl FnOnce(&App) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        let mut place = None;
        if what == Work::Short {
            place = self.places.take();
            // Short work that others do has ended when this thread has looked after its other tasks; to have another thread do
            // it takes longer than that.
            for _ in 0..PLACE_TRIES {
                if place.is_none() {
                    yield_now().await;
                    place = self.places.take();
                }
            }
        }
        match place {
            // Apart, so that there is no room for it in what most requests are answered by.
            None => Box::pin(self.blocking(work)).await,
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
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use annals::testkit::SimDisk;
    use annals::{EventStore, Options};
    use tokio::sync::watch;

    use super::*;

    #[test]
    fn short_work_is_done_here_when_a_place_is_given_back_while_others_have_their_turn() {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().expect("threads");
        let app = runtime.block_on(async {
            let options = Options::new("store").disk(Arc::new(SimDisk::new(1))).background(false);
            let store = EventStore::open(options.clone()).expect("a new store");
            Arc::new(App::with_defaults(store, options, watch::channel(false).1))
        });
        let place = app.places.take();
        assert!(place.is_some() && app.places.take().is_none());
        let mut work = pin!(app.does(Work::Short, |_| Ok(thread::current().id())));
        let mut context = Context::from_waker(Waker::noop());
        assert!(work.as_mut().poll(&mut context).is_pending());
        drop(place);
        // Another thread would have to be asked for of a runtime, and here is none.
        let Poll::Ready(done) = work.as_mut().poll(&mut context) else { panic!("it has a place") };
        assert_eq!(done.ok(), Some(thread::current().id()));
    }

    #[test]
    fn one_thread_is_always_left_and_a_place_can_be_taken_again() {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(3).build().expect("threads");
        let places = runtime.block_on(async { Places::of_runtime() });
        let (one, other) = (places.take(), places.take());
        assert!(one.is_some() && other.is_some() && places.take().is_none());
        drop(one);
        assert!(places.take().is_some());
    }

    #[test]
    fn some_long_answers_are_made_ahead_at_one_time_and_no_more() {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(3).build().expect("threads");
        let places = Arc::new(runtime.block_on(async { Places::of_runtime() }));
        let mut taken: Vec<_> = (0..LONG_ANSWERS_MAX).map(|_| places.take_long_answer()).collect();
        assert!(taken.iter().all(Option::is_some) && places.take_long_answer().is_none());
        taken.pop();
        assert!(places.take_long_answer().is_some());
    }
}

//! The projector: a projection that is kept up with a store in a thread of its own, as its owner sees it.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::checkpoint::Parked;
use super::runner::{Progress, Runner, failed};
use super::worker::{Following, Shared, Worker};
use super::{Projection, ProjectionError, ReadModel};
use crate::error::Error;
use crate::model::Position;
use crate::store::EventStore;

/// A projection that follows a store. It stops when it is dropped, when the store is closed, and at an event that cannot be
/// projected, unless such events are parked.
///
/// It holds the store open. Once the store is closed, drop it before the store is opened again: its table is in use until then.
///
/// See [`Projection`] for an example.
pub struct Projector<P: Projection> {
    store: EventStore,
    projection: Arc<P>,
    shared: Arc<Shared<P::Model>>,
    rebuilt: Option<String>,
    /// Held while a model is made beside the one that is read.
    rebuilding: Mutex<()>,
    thread: Option<JoinHandle<()>>,
}

/// How a projection goes.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ProjectorStatus {
    /// Everything up to here is in the model or does not concern it.
    pub seen: Position,
    /// How many events lie behind that.
    pub behind: u64,
    /// The events that were set aside.
    pub parked: Vec<Parked>,
    /// Why the model was emptied when the projection was started, if it was.
    pub rebuilt: Option<String>,
    /// Why the projection has ended, if it has.
    pub ended: Option<ProjectionError>,
}

impl<P: Projection> Projector<P> {
    /// Goes on from where the model stands, in a thread.
    ///
    /// A model that does not fit, because it is of another history, ran ahead, or was made by another version of the
    /// projection, is emptied if it is disposable; [`ProjectorStatus::rebuilt`] says so.
    ///
    /// # Errors
    ///
    /// [`ProjectionError::Cursor`] or [`ProjectionError::Version`] when the model does not fit and is not disposable.
    pub fn start(store: &EventStore, projection: P, mut model: P::Model) -> Result<Self, ProjectionError> {
        let projection = Arc::new(projection);
        let runner = Runner::new(store.clone(), projection.clone());
        let (progress, rebuilt) = runner.begin(&mut model)?;
        // Here and not in the thread: whatever the store still takes after this is followed.
        let stream = runner.follow(&progress)?;
        let shared = Arc::new(Shared::new(model, &progress));
        let worker = Worker { runner, shared: shared.clone() };
        let following = Following { progress, stream, switches: 0 };
        let name = format!("annals-{}", P::NAME);
        let thread = std::thread::Builder::new().name(name).spawn(move || worker.run(following));
        let thread = thread.map_err(|error| Error::io("start a thread for", P::NAME, error))?;
        let (store, rebuilding) = (store.clone(), Mutex::new(()));
        Ok(Projector { store, projection, shared, rebuilt, rebuilding, thread: Some(thread) })
    }

    /// Projects everything up to the head of the store, on this thread, and tells how far that was.
    ///
    /// # Errors
    ///
    /// As [`Projector::start`], and [`ProjectionError::Stopped`] at an event that cannot be projected.
    pub fn catch_up(
        store: &EventStore,
        projection: P,
        model: &mut P::Model,
    ) -> Result<Position, ProjectionError> {
        let mut runner = Runner::new(store.clone(), Arc::new(projection));
        let mut progress = Progress::default();
        runner.run_to(model, &mut progress, store.head())?;
        Ok(progress.position)
    }

    /// Reads the model: whole batches only, and no other while `read` looks at it.
    pub fn read<T>(&self, read: impl FnOnce(&P::Model) -> T) -> T {
        read(&self.shared.live().model)
    }

    /// Waits until the model has seen a position, such as that of a receipt: then it holds what was written.
    ///
    /// # Errors
    ///
    /// [`ProjectionError::Behind`] when that takes longer, and why the projection has ended, if it has.
    pub fn wait_for(&self, position: Position, timeout: Duration) -> Result<(), ProjectionError> {
        if position > self.store.head() {
            let what = format!("position {position} lies behind the last event, {}", self.store.head());
            return Err(Error::invalid(what).into());
        }
        // Beyond what the clock can tell, there is none.
        let deadline = Instant::now().checked_add(timeout);
        let mut state = self.shared.state();
        while state.seen < position {
            if let Some(ended) = &state.ended {
                return Err(ended.clone());
            }
            let left =
                deadline.map_or(timeout, |deadline| deadline.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                return Err(ProjectionError::Behind { name: P::NAME, wanted: position, seen: state.seen });
            }
            // An event that does not concern the projection has not woken it.
            self.wake();
            let waited = self.shared.moved().wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        Ok(())
    }

    fn wake(&self) {
        if let Some(thread) = &self.thread {
            thread.thread().unpark();
        }
    }

    /// How it goes.
    pub fn status(&self) -> ProjectorStatus {
        let state = self.shared.state();
        ProjectorStatus {
            seen: state.seen,
            behind: self.store.head().since(state.seen),
            parked: state.parked.clone(),
            rebuilt: self.rebuilt.clone(),
            ended: state.ended.clone(),
        }
    }

    /// Makes the model again from position 0, in `fresh`, which is emptied first. The present one goes on and is read until the
    /// new one has come as far; then they change places at once, and the present one is given back. A disposable one is empty
    /// then.
    ///
    /// # Errors
    ///
    /// When an event cannot be projected, or the new model fails. The present one stays in its place.
    pub fn rebuild(&self, mut fresh: P::Model) -> Result<P::Model, ProjectionError> {
        let _alone = self.rebuilding.lock().unwrap_or_else(PoisonError::into_inner);
        fresh.clear().map_err(failed::<P>)?;
        let mut runner = Runner::new(self.store.clone(), self.projection.clone());
        let mut progress = Progress::default();
        let few = self.projection.batch_events_max() as u64;
        loop {
            runner.run_to(&mut fresh, &mut progress, self.store.head())?;
            if self.store.head().since(progress.position) <= few {
                break;
            }
        }
        // The present one cannot move any more. Readers wait while the new one takes the few events that it lacks.
        let mut live = self.shared.live_mut();
        runner.run_to(&mut fresh, &mut progress, self.store.head())?;
        fresh.promote().map_err(failed::<P>)?;
        let mut old = std::mem::replace(&mut live.model, fresh);
        live.switches += 1;
        self.shared.change(|state| {
            state.seen = state.seen.max(progress.position);
            state.parked = progress.parked;
        });
        drop(live);
        self.wake();
        if old.is_disposable() {
            old.clear().map_err(failed::<P>)?;
        }
        Ok(old)
    }

    /// Ends it, once the batch that is under way is saved.
    ///
    /// # Errors
    ///
    /// Why it had ended before, if it had.
    pub fn stop(mut self) -> Result<(), ProjectionError> {
        let ended = self.shared.state().ended.clone();
        self.end();
        ended.map_or(Ok(()), Err)
    }

    fn end(&mut self) {
        self.shared.change(|state| state.stop = true);
        self.wake();
        if let Some(thread) = self.thread.take() {
            // The worker catches the panics of projections; another one is told by the thread itself.
            let _ = thread.join();
        }
    }
}

impl<P: Projection> Drop for Projector<P> {
    fn drop(&mut self) {
        self.end();
    }
}

impl<P: Projection> fmt::Debug for Projector<P> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Projector").field("name", &P::NAME).finish_non_exhaustive()
    }
}

//! The worker: the thread that keeps a model up with the log, and what it shares with those who read the model.
//!
//! Events are collected without a lock. The model is locked while a batch is projected and saved, so that its readers see
//! whole batches only.

use std::pin::Pin;
use std::sync::{Arc, RwLockReadGuard, RwLockWriteGuard};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError, RwLock};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;

use futures_core::Stream;

use super::checkpoint::Parked;
use super::runner::{Applied, Progress, Runner};
use super::{Projection, ProjectionError};
use crate::error::Error;
use crate::model::{Position, RecordedEvent};
use crate::subscription::{Delivery, Subscribe, SubscriptionStream};

/// What a worker shares.
pub(super) struct Shared<M> {
    live: RwLock<Live<M>>,
    state: Mutex<State>,
    moved: Condvar,
}

/// The model that is read.
pub(super) struct Live<M> {
    pub(super) model: M,
    /// How often another one has taken its place.
    pub(super) switches: u64,
}

/// How it goes.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) seen: Position,
    pub(super) parked: Vec<Parked>,
    pub(super) ended: Option<ProjectionError>,
    pub(super) stop: bool,
}

impl<M> Shared<M> {
    pub(super) fn new(model: M, progress: &Progress) -> Shared<M> {
        let state = State { seen: progress.position, parked: progress.parked.clone(), ..State::default() };
        Shared {
            live: RwLock::new(Live { model, switches: 0 }),
            state: Mutex::new(state),
            moved: Condvar::new(),
        }
    }

    // A projection that panics is caught before it reaches a lock, and what is behind these is whole at every moment.
    pub(super) fn live(&self) -> RwLockReadGuard<'_, Live<M>> {
        self.live.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn live_mut(&self) -> RwLockWriteGuard<'_, Live<M>> {
        self.live.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state and wakes those who wait for that.
    pub(super) fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state());
        self.moved.notify_all();
    }

    /// Where those wait who wait for a change.
    pub(super) fn moved(&self) -> &Condvar {
        &self.moved
    }
}

/// Wakes the worker's thread.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Unpark>) {
        self.0.unpark();
    }
}

/// Keeps a model up with the log.
pub(super) struct Worker<P: Projection> {
    pub(super) runner: Runner<P>,
    pub(super) shared: Arc<Shared<P::Model>>,
}

/// Where the worker follows the log from.
pub(super) struct Following {
    pub(super) progress: Progress,
    pub(super) stream: SubscriptionStream,
    /// The model that it follows with.
    pub(super) switches: u64,
}

/// Why the worker no longer follows from where it was.
enum End {
    Stop,
    /// Another model is in the place of the one that it followed with.
    Switched,
}

impl<P: Projection> Runner<P> {
    /// Follows the log behind what is in the model.
    pub(super) fn follow(&self, progress: &Progress) -> Result<SubscriptionStream, ProjectionError> {
        let subscribe = Subscribe::all().query(self.projection.query()).after(progress.position);
        Ok(self.store.subscribe(subscribe)?.into_stream())
    }
}

impl<P: Projection> Worker<P> {
    /// Works until it is told to stop, or cannot go on.
    pub(super) fn run(mut self, mut following: Following) {
        let closed = ProjectionError::Closed { name: P::NAME };
        let ended = loop {
            let next = match self.follow(following) {
                Ok(End::Switched) => self.begin(),
                Ok(End::Stop) => break closed,
                Err(error) => Err(error),
            };
            match next {
                Ok(next) => following = next,
                Err(ProjectionError::Store(Error::Closed)) => break closed,
                Err(error) => break error,
            }
        };
        self.shared.change(|state| state.ended = Some(ended));
    }

    /// Where the model stands that is in the place.
    fn begin(&self) -> Result<Following, ProjectionError> {
        let mut live = self.shared.live_mut();
        let (progress, _) = self.runner.begin(&mut live.model)?;
        let stream = self.runner.follow(&progress)?;
        Ok(Following { progress, stream, switches: live.switches })
    }

    fn follow(&mut self, following: Following) -> Result<End, ProjectionError> {
        let Following { mut progress, mut stream, switches } = following;
        let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
        let batch_max = self.runner.projection.batch_events_max();
        let mut batch: Vec<RecordedEvent> = Vec::new();
        loop {
            let next = Pin::new(&mut stream).poll_next(&mut Context::from_waker(&waker));
            let (is_idle, is_over) = (next.is_pending(), matches!(next, Poll::Ready(None)));
            let mut reached = batch.last().map(RecordedEvent::position);
            if let Poll::Ready(Some(delivery)) = next {
                match delivery? {
                    Delivery::Event(event) => {
                        reached = Some(event.position());
                        batch.push(event);
                        if batch.len() < batch_max {
                            continue;
                        }
                    }
                    // A long stretch of other events: once that is saved, nobody looks at them again.
                    Delivery::Checkpoint(position) => reached = Some(position),
                    _ => continue,
                }
            }
            if let Some(reached) = reached {
                let flushed = self.flush(&mut progress, &batch, reached, switches);
                let position = progress.position;
                self.shared.change(|state| state.seen = state.seen.max(position));
                if let Some(end) = flushed? {
                    return Ok(end);
                }
                batch.clear();
            }
            self.shared.change(|state| state.seen = state.seen.max(stream.position()));
            if is_over || self.shared.state().stop {
                return Ok(End::Stop);
            }
            if is_idle {
                // Whatever has come since the poll has woken this thread beforehand.
                std::thread::park();
            }
        }
    }

    /// Projects and saves what was collected, unless another model is in the place.
    fn flush(
        &mut self,
        progress: &mut Progress,
        batch: &[RecordedEvent],
        reached: Position,
        switches: u64,
    ) -> Result<Option<End>, ProjectionError> {
        let mut live = self.shared.live_mut();
        if live.switches != switches {
            return Ok(Some(End::Switched));
        }
        if let Applied::TakenBack = self.runner.apply(&mut live.model, progress, batch, reached)? {
            // Under the lock: nobody is to see the model while it is behind where it was.
            self.runner.run_to(&mut live.model, progress, reached)?;
        }
        let parked = progress.parked.clone();
        self.shared.change(|state| state.parked = parked);
        Ok(None)
    }
}

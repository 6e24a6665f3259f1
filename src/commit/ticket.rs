//! A ticket: an append under way. It can be waited for by a thread or a future; dropping it cancels nothing.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use super::committer::Shared;
use super::prepared::Prepared;
use crate::error::{AppendError, Error};
use crate::model::{Position, Receipt, Timestamp};
use crate::sync::{Condvar, Mutex, lock, wait};

/// The outcome of an append.
pub(crate) type Outcome = Result<Receipt, AppendError>;

/// An append that was handed over. Wait for it with [`Ticket::wait`], or as a future on any executor.
#[must_use = "an append may fail; wait for its ticket"]
pub struct Ticket {
    slot: Arc<Slot>,
    /// Who knows whether a refused append is a repeat.
    shared: Option<Arc<Shared>>,
}

/// Where the outcome is put.
#[derive(Debug, Default)]
pub(crate) struct Slot {
    state: Mutex<State>,
    done: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Until it is told to whoever waits.
    outcome: Option<Told>,
    done: bool,
    waker: Option<Waker>,
    /// A thread waits. Waking nobody would be a call of the system for each append.
    thread_waits: bool,
}

/// What is told of an append. What takes time to say is left to whoever waits: others wait for the one who tells.
#[derive(Debug)]
pub(super) enum Told {
    Outcome(Outcome),
    /// It is durable and visible, from this position on since this time.
    Acknowledged(Box<Prepared>, Position, Timestamp),
    /// It is refused, unless it is a repeat.
    Refused(AppendError, Box<Prepared>),
}

/// Who owes an append its outcome. Dropped without having told it, it says that the log failed meanwhile.
#[derive(Debug)]
pub(super) struct Teller(Option<Arc<Slot>>);

impl Teller {
    pub(super) fn new(slot: Arc<Slot>) -> Teller {
        Teller(Some(slot))
    }

    pub(super) fn tell(mut self, outcome: Told) {
        if let Some(slot) = self.0.take() {
            slot.tell(outcome);
        }
    }
}

impl Drop for Teller {
    fn drop(&mut self) {
        if let Some(slot) = self.0.take() {
            let reason = "the append was under way when the log failed".to_owned();
            slot.complete(Err(Error::Failed { reason }.into()));
        }
    }
}

impl Slot {
    /// Tells the outcome, and wakes whoever waits for it.
    pub(crate) fn complete(&self, outcome: Outcome) {
        self.tell(Told::Outcome(outcome));
    }

    fn tell(&self, outcome: Told) {
        let (waker, thread_waits) = {
            let mut state = lock(&self.state);
            // Whoever was told once has acted on it: nothing takes that back.
            if state.done {
                return;
            }
            state.outcome = Some(outcome);
            state.done = true;
            (state.waker.take(), state.thread_waits)
        };
        if thread_waits {
            self.done.notify_one();
        }
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Whether the outcome is known, told or not.
    pub(crate) fn is_done(&self) -> bool {
        lock(&self.state).done
    }
}

impl Ticket {
    pub(super) fn new(slot: Arc<Slot>, shared: Option<Arc<Shared>>) -> Ticket {
        Ticket { slot, shared }
    }

    /// Waits until the append is durable, or known to have failed.
    pub fn wait(self) -> Result<Receipt, AppendError> {
        let mut state = lock(&self.slot.state);
        loop {
            if let Some(told) = state.outcome.take() {
                drop(state);
                return self.outcome_of(told);
            }
            state.thread_waits = true;
            state = wait(&self.slot.done, state);
        }
    }

    fn outcome_of(&self, told: Told) -> Outcome {
        match (told, &self.shared) {
            (Told::Outcome(outcome), _) => outcome,
            (Told::Acknowledged(prepared, first, time), _) => Ok(prepared.into_receipt(first, time)),
            (Told::Refused(refusal, _), None) => Err(refusal),
            (Told::Refused(refusal, prepared), Some(shared)) => shared.reconsider(refusal, &prepared),
        }
    }
}

impl Future for Ticket {
    type Output = Result<Receipt, AppendError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = lock(&self.slot.state);
        let Some(told) = state.outcome.take() else {
            state.waker = Some(context.waker().clone());
            return Poll::Pending;
        };
        drop(state);
        Poll::Ready(self.outcome_of(told))
    }
}

impl std::fmt::Debug for Ticket {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Ticket").field("done", &self.slot.is_done()).finish_non_exhaustive()
    }
}

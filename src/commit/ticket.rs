//! A ticket: an append under way. It can be waited for by a thread or a future; dropping it cancels nothing.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use crate::error::AppendError;
use crate::model::Receipt;
use crate::sync::{Condvar, Mutex, lock, wait};

/// The outcome of an append.
pub(crate) type Outcome = Result<Receipt, AppendError>;

/// An append that was handed over. Wait for it with [`Ticket::wait`], or as a future on any executor.
#[derive(Debug)]
#[must_use = "an append may fail; wait for its ticket"]
pub struct Ticket(Arc<Slot>);

/// Where the outcome is put.
#[derive(Debug, Default)]
pub(crate) struct Slot {
    state: Mutex<State>,
    done: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Until it is told to whoever waits.
    outcome: Option<Outcome>,
    done: bool,
    waker: Option<Waker>,
}

impl Slot {
    /// Tells the outcome, and wakes whoever waits for it.
    pub(crate) fn complete(&self, outcome: Outcome) {
        let waker = {
            let mut state = lock(&self.state);
            state.outcome = Some(outcome);
            state.done = true;
            state.waker.take()
        };
        self.done.notify_one();
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
    pub(crate) fn new(slot: Arc<Slot>) -> Ticket {
        Ticket(slot)
    }

    /// Waits until the append is durable, or known to have failed.
    pub fn wait(self) -> Result<Receipt, AppendError> {
        let mut state = lock(&self.0.state);
        loop {
            if let Some(outcome) = state.outcome.take() {
                return outcome;
            }
            state = wait(&self.0.done, state);
        }
    }
}

impl Future for Ticket {
    type Output = Result<Receipt, AppendError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = lock(&self.0.state);
        match state.outcome.take() {
            Some(outcome) => Poll::Ready(outcome),
            None => {
                state.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

//! Chunks of a long answer, made while others are on their way to the client.
//!
//! They are made on a thread that may wait. It ends when there are enough, and another one goes on once half of them are taken: waking
//! a thread for each chunk would take longer than to make it, and one that waits for a client is one less for everybody else.
//!
//! Invariant: no more chunks than were agreed on wait to be taken, and when nobody can take them any more, no further one is made.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;

use super::chunks::{Steps, fill_new};

/// What is made ahead of one answer.
pub(super) struct Ahead<S> {
    state: Arc<Mutex<State<S>>>,
    chunks_max: usize,
    chunk_bytes: usize,
}

struct State<S> {
    chunks: VecDeque<Vec<u8>>,
    maker: Maker<S>,
    /// Who waits for the next chunk.
    taker: Option<Waker>,
}

enum Maker<S> {
    Works,
    /// There are enough chunks for now.
    Rests(S),
    /// There are no more.
    Ended,
    /// It panicked, or will never work.
    Failed,
}

impl<S: Steps> Ahead<S> {
    /// Begins to make chunks of a size; so many may wait.
    pub(super) fn begin(steps: S, chunks_max: usize, chunk_bytes: usize) -> Ahead<S> {
        let state = State { chunks: VecDeque::new(), maker: Maker::Works, taker: None };
        let ahead = Ahead { state: Arc::new(Mutex::new(state)), chunks_max, chunk_bytes };
        ahead.go_on(steps);
        ahead
    }

    /// The next chunk; none at the end.
    pub(super) fn poll_next(&mut self, context: &Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        let mut state = lock(&self.state);
        let chunk = state.chunks.pop_front();
        let rested = state.chunks.len() <= self.chunks_max / 2;
        match std::mem::replace(&mut state.maker, Maker::Works) {
            Maker::Rests(steps) if rested => {
                drop(state);
                // Work that is refused, as when the server ends, says so by the same lock.
                self.go_on(steps);
                state = lock(&self.state);
            }
            maker => state.maker = maker,
        }
        match (chunk, &state.maker) {
            (Some(chunk), _) => Poll::Ready(Some(Ok(chunk.into()))),
            (None, Maker::Ended) => Poll::Ready(None),
            (None, Maker::Failed) => {
                state.maker = Maker::Ended;
                Poll::Ready(Some(Err(io::Error::other("what makes the answer did not end"))))
            }
            // What rests has enough chunks, so that one would have been there.
            (None, Maker::Works | Maker::Rests(_)) => {
                state.taker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }

    fn go_on(&self, mut steps: S) {
        let work = Work { of: Arc::downgrade(&self.state), is_done: false };
        let (chunks_max, chunk_bytes) = (self.chunks_max, self.chunk_bytes);
        tokio::task::spawn_blocking(move || {
            loop {
                let (chunk, more) = fill_new(&mut steps, chunk_bytes);
                let Some(state) = work.of.upgrade() else { return };
                let mut state = lock(&state);
                if !chunk.is_empty() {
                    state.chunks.push_back(chunk);
                }
                state.wake();
                if !more {
                    state.maker = Maker::Ended;
                } else if state.chunks.len() >= chunks_max {
                    state.maker = Maker::Rests(steps);
                } else {
                    continue;
                }
                // Others may go on from here.
                return work.end();
            }
        });
    }
}

impl<S> State<S> {
    fn wake(&mut self) {
        if let Some(taker) = self.taker.take() {
            taker.wake();
        }
    }
}

/// The work of making chunks. However it ends, nobody waits for it any longer.
struct Work<S> {
    of: Weak<Mutex<State<S>>>,
    is_done: bool,
}

impl<S> Work<S> {
    fn end(mut self) {
        self.is_done = true;
    }
}

impl<S> Drop for Work<S> {
    fn drop(&mut self) {
        if self.is_done {
            return;
        }
        if let Some(state) = self.of.upgrade() {
            let mut state = lock(&state);
            state.maker = Maker::Failed;
            state.wake();
        }
    }
}

fn lock<S>(state: &Mutex<State<S>>) -> MutexGuard<'_, State<S>> {
    // What is locked is whole at every moment.
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

//! Bodies of answers, made piece by piece from what may wait for the disk.
//!
//! A chunk is made when the client has taken the one before: by the thread that serves its connection, where that is short work and
//! enough others are left, and else by a thread that may wait and is free again afterwards. So a reader that stops reading holds a
//! cursor and one chunk, but no thread, and one that goes away ends the read.

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use bytes::Bytes;
use futures_core::Stream;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::places::Places;

/// The size at which a chunk is sent. Larger ones save hops between threads, smaller ones save memory.
pub(crate) const CHUNK_BYTES: usize = 64 * 1024;

/// What the last step may write beyond that without the chunk being moved.
const REST_BYTES: usize = 8 * 1024;

/// Something that can write itself in steps.
pub(crate) trait Steps: Send + Unpin + 'static {
    /// Writes the next step; false when it was the last. It may block.
    fn write_next(&mut self, out: &mut Vec<u8>) -> bool;
}

/// Makes the first chunk, on the calling thread, which may block. What fits into it becomes a body of known length. With places,
/// each further chunk is short work.
pub(crate) fn begin(mut steps: impl Steps, places: Option<Arc<Places>>) -> Body {
    // Most answers are short: what a long one needs is taken when it is known to be one.
    let (first, more) = fill(&mut steps, Vec::new());
    match more {
        false => Body::from(first),
        true => Body::from_stream(Chunks { first: Some(first), state: State::Idle(steps), places }),
    }
}

/// A body of what comes through a channel, as it comes. Dropping it closes the channel.
pub(crate) fn passed_on(pieces: mpsc::Receiver<Bytes>) -> Body {
    Body::from_stream(PassedOn(pieces))
}

fn fill(steps: &mut impl Steps, mut chunk: Vec<u8>) -> (Vec<u8>, bool) {
    while chunk.len() < CHUNK_BYTES {
        if !steps.write_next(&mut chunk) {
            return (chunk, false);
        }
    }
    (chunk, true)
}

/// A chunk of the usual length.
fn fill_next(steps: &mut impl Steps) -> (Vec<u8>, bool) {
    fill(steps, Vec::with_capacity(CHUNK_BYTES + REST_BYTES))
}

struct Chunks<S> {
    first: Option<Vec<u8>>,
    state: State<S>,
    places: Option<Arc<Places>>,
}

enum State<S> {
    Idle(S),
    Filling(JoinHandle<(S, Vec<u8>, bool)>),
    Ended,
}

impl<S: Steps> Stream for Chunks<S> {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        let this = &mut *self;
        if let Some(first) = this.first.take() {
            return Poll::Ready(Some(Ok(first.into())));
        }
        let mut filling = match std::mem::replace(&mut this.state, State::Ended) {
            State::Ended => return Poll::Ready(None),
            State::Filling(filling) => filling,
            State::Idle(mut steps) => {
                let place = this.places.as_ref().and_then(|places| places.take());
                if let Some((chunk, more)) = place.map(|_place| fill_next(&mut steps)) {
                    return Poll::Ready(this.made(steps, chunk, more));
                }
                tokio::task::spawn_blocking(move || {
                    let (chunk, more) = fill_next(&mut steps);
                    (steps, chunk, more)
                })
            }
        };
        match Pin::new(&mut filling).poll(context) {
            Poll::Ready(filled) => {
                let (steps, chunk, more) = filled.map_err(io::Error::other)?;
                Poll::Ready(this.made(steps, chunk, more))
            }
            Poll::Pending => {
                this.state = State::Filling(filling);
                Poll::Pending
            }
        }
    }
}

impl<S> Chunks<S> {
    /// Gives a chunk away; an empty one is the end.
    fn made(&mut self, steps: S, chunk: Vec<u8>, more: bool) -> Option<io::Result<Bytes>> {
        if more {
            self.state = State::Idle(steps);
        }
        (!chunk.is_empty()).then(|| Ok(chunk.into()))
    }
}

struct PassedOn(mpsc::Receiver<Bytes>);

impl Stream for PassedOn {
    type Item = Result<Bytes, Infallible>;

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Infallible>>> {
        self.0.poll_recv(context).map(|line| line.map(Ok))
    }
}

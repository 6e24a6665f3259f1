//! Bodies of answers, made piece by piece from what may wait for the disk.
//!
//! A blocking thread makes one chunk and is free again; the next is made when the client has taken this one. So a
//! reader that stops reading holds a cursor and one chunk, but no thread, and one that goes away ends the read.

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Body;
use bytes::Bytes;
use futures_core::Stream;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// The size at which a chunk is sent. Larger ones save hops between threads, smaller ones save memory.
pub(crate) const CHUNK_BYTES: usize = 64 * 1024;

/// Something that can write itself in steps.
pub(crate) trait Steps: Send + Unpin + 'static {
    /// Writes the next step; false when it was the last. It may block.
    fn write_next(&mut self, out: &mut Vec<u8>) -> bool;
}

/// Makes the first chunk, on the calling thread, which may block. What fits into it becomes a body of known length.
pub(crate) fn begin(mut steps: impl Steps) -> Body {
    let (first, more) = fill(&mut steps);
    match more {
        false => Body::from(first),
        true => Body::from_stream(Chunks { first: Some(first), state: State::Idle(steps) }),
    }
}

/// A body of what comes through a channel, as it comes. Dropping it closes the channel.
pub(crate) fn passed_on(pieces: mpsc::Receiver<Bytes>) -> Body {
    Body::from_stream(PassedOn(pieces))
}

fn fill(steps: &mut impl Steps) -> (Vec<u8>, bool) {
    let mut chunk = Vec::new();
    while chunk.len() < CHUNK_BYTES {
        if !steps.write_next(&mut chunk) {
            return (chunk, false);
        }
    }
    (chunk, true)
}

struct Chunks<S> {
    first: Option<Vec<u8>>,
    state: State<S>,
}

enum State<S> {
    Idle(S),
    Filling(JoinHandle<(S, Vec<u8>, bool)>),
    Ended,
}

impl<S: Steps> Stream for Chunks<S> {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(Ok(first.into())));
        }
        loop {
            match std::mem::replace(&mut self.state, State::Ended) {
                State::Ended => return Poll::Ready(None),
                State::Idle(mut steps) => {
                    self.state = State::Filling(tokio::task::spawn_blocking(move || {
                        let (chunk, more) = fill(&mut steps);
                        (steps, chunk, more)
                    }));
                }
                State::Filling(mut filling) => {
                    let filled = match Pin::new(&mut filling).poll(context) {
                        Poll::Ready(filled) => filled,
                        Poll::Pending => {
                            self.state = State::Filling(filling);
                            return Poll::Pending;
                        }
                    };
                    let (steps, chunk, more) = filled.map_err(io::Error::other)?;
                    if more {
                        self.state = State::Idle(steps);
                    }
                    if !chunk.is_empty() {
                        return Poll::Ready(Some(Ok(chunk.into())));
                    }
                }
            }
        }
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

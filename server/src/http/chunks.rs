//! Bodies of answers, made piece by piece from what may wait for the disk.
//!
//! A chunk is made when the client has taken the one before: by the thread that serves its connection, where that is short work and
//! enough others are left, and else by a thread that may wait and is free again afterwards. Once an answer is known to be long, some
//! chunks are made ahead, if there is a place for that. So a reader that stops reading holds a cursor and a few chunks, but no thread,
//! and one that goes away ends the read.

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use bytes::Bytes;
use futures_core::Stream;
use tokio::sync::mpsc;

use super::ahead::Ahead;
use super::places::{LongAnswer, Places};

/// The size at which a chunk is sent. Larger ones save hops between threads, smaller ones save memory.
pub(crate) const CHUNK_BYTES: usize = 64 * 1024;

/// The size of the chunks that are made ahead, each of which may wake a thread.
const LONG_CHUNK_BYTES: usize = 128 * 1024;

/// How many chunks are made ahead.
pub(super) const CHUNKS_AHEAD: usize = 4;

/// After how many chunks an answer is a long one.
const LONG_CHUNKS: usize = 2;

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
    let (first, more) = fill(&mut steps, Vec::new(), CHUNK_BYTES);
    match more {
        false => Body::from(first),
        true => {
            Body::from_stream(Chunks { first: Some(first), state: State::OnDemand(steps), places, made: 1 })
        }
    }
}

/// A body of what comes through a channel, as it comes. Dropping it closes the channel.
pub(crate) fn passed_on(pieces: mpsc::Receiver<Bytes>) -> Body {
    Body::from_stream(PassedOn(pieces))
}

/// Fills a chunk to a size; tells whether there may be more.
fn fill(steps: &mut impl Steps, mut chunk: Vec<u8>, bytes: usize) -> (Vec<u8>, bool) {
    while chunk.len() < bytes {
        if !steps.write_next(&mut chunk) {
            return (chunk, false);
        }
    }
    (chunk, true)
}

/// A chunk in memory that is taken for it at once, and whether there may be more.
pub(super) fn fill_new(steps: &mut impl Steps, bytes: usize) -> (Vec<u8>, bool) {
    fill(steps, Vec::with_capacity(bytes + REST_BYTES), bytes)
}

struct Chunks<S> {
    first: Option<Vec<u8>>,
    state: State<S>,
    places: Option<Arc<Places>>,
    /// How many chunks have been made.
    made: usize,
}

enum State<S> {
    /// The next chunk is made when it is asked for.
    OnDemand(S),
    /// The next chunks are made by another thread, ahead of the client if there is a place for it.
    Elsewhere {
        ahead: Ahead<S>,
        _place: Option<LongAnswer>,
    },
    Ended,
}

impl<S: Steps> Stream for Chunks<S> {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        let this = &mut *self;
        if let Some(first) = this.first.take() {
            return Poll::Ready(Some(Ok(first.into())));
        }
        match std::mem::replace(&mut this.state, State::Ended) {
            State::Ended => return Poll::Ready(None),
            State::OnDemand(steps) => match this.next_here(steps) {
                Ok(chunk) => return Poll::Ready(chunk.map(|chunk| Ok(chunk.into()))),
                Err(elsewhere) => this.state = elsewhere,
            },
            elsewhere => this.state = elsewhere,
        }
        match &mut this.state {
            State::Elsewhere { ahead, .. } => ahead.poll_next(context),
            _ => Poll::Ready(None),
        }
    }
}

impl<S: Steps> Chunks<S> {
    /// The next chunk, made by this thread, or none at the end; else who makes it.
    fn next_here(&mut self, mut steps: S) -> Result<Option<Vec<u8>>, State<S>> {
        let is_long = self.made >= LONG_CHUNKS;
        let long_answer =
            self.places.as_ref().filter(|_| is_long).and_then(|places| places.take_long_answer());
        if long_answer.is_some() {
            let ahead = Ahead::begin(steps, CHUNKS_AHEAD, LONG_CHUNK_BYTES);
            return Err(State::Elsewhere { ahead, _place: long_answer });
        }
        let Some(_place) = self.places.as_ref().and_then(|places| places.take()) else {
            let ahead = Ahead::begin(steps, 1, CHUNK_BYTES);
            return Err(State::Elsewhere { ahead, _place: None });
        };
        let (chunk, more) = fill_new(&mut steps, CHUNK_BYTES);
        self.made += 1;
        self.state = if more { State::OnDemand(steps) } else { State::Ended };
        Ok((!chunk.is_empty()).then_some(chunk))
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

#[cfg(test)]
mod tests;

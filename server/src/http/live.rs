//! Following events: first what is there, then what comes, for as long as the client stays.
//!
//! The cursor lies in the log, not here: a client that reads slowly holds back nobody and misses nothing, and one
//! that comes back with its last position goes on there.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use annals::{Delivery, Position, Subscribe, SubscriptionStream};
use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::Response;
use axum::routing::get;
use bytes::Bytes;
use futures_core::Stream;
use tokio::sync::watch;
use tokio::time::{Instant, Sleep, sleep};

use super::accept::{NDJSON, SSE, negotiate};
use super::access::Access;
use super::answer::with_type;
use super::app::App;
use super::chunks::CHUNK_BYTES;
use super::dialect::{Dialect, Shape, Writer};
use super::followers::Follower;
use super::packing::AsItComes;
use super::paths;
use super::problem::{self, Problem};
use super::tail::{Tail, Text};
use super::turns::Turn;
use crate::wire::{LIVE_PARAMS, QUERY_PARAMS, parse_after, parse_query};

pub(crate) fn router() -> Router<Arc<App>> {
    Router::new().route(paths::EVENTS_LIVE, get(follow))
}

/// Texts that others were given are put together below it, and given on as they are from it on.
const COPIED_BYTES_MAX: usize = 4 << 10;

/// When it is worth asking again for a place that somebody has.
const BUSY_WAIT: Duration = Duration::from_secs(1);

async fn follow(
    State(app): State<Arc<App>>,
    access: Access,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, Problem> {
    let params = app.asked_with_criteria(&uri, &[QUERY_PARAMS, LIVE_PARAMS], &access)?;
    let media_type = negotiate(&headers, &[SSE, NDJSON])?;
    let head = app.store.head();
    let after = match last_event_id(&headers)? {
        Some(position) => position,
        None => parse_after(&params, || head)?.unwrap_or_default(),
    };
    let end = params.switch("live")?.is_some_and(|live| !live).then_some(head);
    let dialect = if media_type == SSE { Dialect::Blocks } else { Dialect::Lines };
    let shape = Shape::parse(&params, dialect, &app)?;
    let named = params.switch("named")?.unwrap_or(true);
    let (query, system) = (access.narrowed(parse_query(&params)?), params.flag("system")?);
    // What all of these get is the same.
    let is_plain = query.matches_all() && !system && end.is_none();
    let tail = is_plain.then(|| app.tails.of((dialect, shape.clone(), named)));
    let subscribe = Subscribe::all().after(after).query(query).system(system);

    let follower = app.followers.join(after).ok_or_else(|| {
        let max = app.config.subscribers_max;
        Problem::new(
            problem::BUSY,
            format!("all {max} places for live streams are taken; try again later, or follow several streams by one"),
        )
        .with("limit", "subscribersMax")
        .with("max", max)
        .retry_after(BUSY_WAIT)
    })?;
    // Finding the place in the log may read from the disk.
    let subscription = app.blocking(move |app| Ok(app.store.subscribe(subscribe)?.into_stream())).await?;
    let live = Live {
        subscription: Box::pin(subscription),
        writer: Writer::new(dialect, shape, named, after, end),
        head,
        heartbeat: Box::pin(sleep(app.config.heartbeat)),
        silence: app.config.heartbeat,
        stopped: Box::pin(stopped(app.stopping.clone())),
        ended: false,
        follower,
        turn: None,
        chunk_bytes: 0,
        tail,
        app,
    };
    let mut response = with_type(StatusCode::OK, media_type, Body::from_stream(live));
    response.extensions_mut().insert(AsItComes);
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// The last position that the client got, as a browser that reconnects tells it.
pub(super) fn last_event_id(headers: &HeaderMap) -> Result<Option<Position>, Problem> {
    let Some(given) = headers.get("last-event-id") else { return Ok(None) };
    match given.to_str().unwrap_or("?") {
        "" => Ok(None),
        text => match text.parse() {
            Ok(position) => Ok(Some(Position::new(position))),
            Err(_) => Err(Problem::invalid(
                "`Last-Event-ID` is not a position; send the last `id` of the subscription, a number",
            )
            .with("field", "Last-Event-ID")),
        },
    }
}

async fn stopped(mut stopping: watch::Receiver<bool>) {
    // An error means that the server is gone, which is an end too.
    let _stopped = stopping.wait_for(|stopping| *stopping).await.is_ok();
}

/// The body of a live answer.
struct Live {
    subscription: Pin<Box<SubscriptionStream>>,
    writer: Writer,
    /// The head when the client came: what lies before it may have to be read from the disk.
    head: Position,
    heartbeat: Pin<Box<Sleep>>,
    silence: Duration,
    stopped: Pin<Box<dyn Future<Output = ()> + Send>>,
    ended: bool,
    /// Its place among the live streams.
    follower: Follower,
    /// Its place among those whom an append concerns, since it was first polled.
    turn: Option<(Arc<Turn>, Waker)>,
    /// The length of the last chunk: the next one is likely to be about as long.
    chunk_bytes: usize,
    /// What others who asked for the same were given, if there can be others.
    tail: Option<Arc<Tail>>,
    app: Arc<App>,
}

impl Stream for Live {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        let live = &mut *self;
        let mut out = match live.writer.told < live.head {
            // Other connections of this thread must not wait for the disk. What comes later was just written.
            true => tokio::task::block_in_place(|| live.take_deliveries(context)),
            false => live.take_shared().unwrap_or_else(|| live.take_deliveries(context)),
        };
        if !live.ended && live.stopped.as_mut().poll(context).is_ready() {
            live.ended = true;
        }
        if out.is_empty() && !live.ended && live.heartbeat.as_mut().poll(context).is_ready() {
            out = live.writer.heartbeat(live.subscription.position()).into();
        }
        match out.is_empty() {
            true => live.follower.waits(),
            false => live.follower.is_at(live.writer.told.max(live.subscription.position())),
        }
        match (out.is_empty(), live.ended) {
            (true, true) => Poll::Ready(None),
            (true, false) => Poll::Pending,
            (false, _) => {
                live.heartbeat.as_mut().reset(Instant::now() + live.silence);
                Poll::Ready(Some(Ok(out)))
            }
        }
    }
}

impl Live {
    /// What somebody else was given already, up to a chunk; none when nobody was.
    fn take_shared(&mut self) -> Option<Bytes> {
        let first = self.next_shared()?;
        if first.len() >= COPIED_BYTES_MAX {
            return Some(first);
        }
        let Some(second) = self.next_shared() else { return Some(first) };
        let mut out = [first, second].concat();
        while out.len() < CHUNK_BYTES
            && let Some(next) = self.next_shared()
        {
            out.extend_from_slice(&next);
        }
        Some(out.into())
    }

    fn next_shared(&mut self) -> Option<Bytes> {
        let (bytes, to) = self.tail.as_ref()?.behind(self.subscription.position())?;
        // What is not shown any more may be in it.
        if !self.app.store.keeps_everything() {
            self.tail = None;
            return None;
        }
        // What is wrong is told by the subscription itself.
        self.subscription.as_mut().get_mut().pass_to(to).ok()?;
        self.writer.told = to;
        Some(bytes)
    }

    /// Writes what there is to deliver, up to a chunk.
    fn take_deliveries(&mut self, context: &mut Context<'_>) -> Bytes {
        let mut run = Run::of(self);
        let (turn, woken_in_turn) = self.turn.get_or_insert_with(|| {
            let turn = Turn::new(&self.app.turns, context.waker());
            (Arc::clone(&turn), Waker::from(turn))
        });
        turn.is_of(context.waker());
        let mut context = Context::from_waker(woken_in_turn);
        let mut out = Vec::new();
        while !self.ended && out.len() < CHUNK_BYTES {
            if self.writer.is_at_end() {
                self.writer.write_end(&mut out);
                self.ended = true;
                break;
            }
            match self.subscription.as_mut().poll_next(&mut context) {
                Poll::Ready(Some(Ok(delivery))) => {
                    if out.capacity() == 0 {
                        out.reserve(self.chunk_bytes);
                    }
                    self.writer.write(&mut out, &delivery);
                    run.note(&delivery, out.len());
                }
                Poll::Ready(Some(Err(error))) => {
                    self.writer.write_error(&mut out, &error.into());
                    self.ended = true;
                }
                Poll::Ready(None) => self.ended = true,
                Poll::Pending => break,
            }
        }
        if !out.is_empty() {
            self.chunk_bytes = out.len().min(CHUNK_BYTES);
        }
        run.leave(out)
    }
}

/// The events that a chunk begins with, for others who want the same.
struct Run {
    /// Where it is left; none when nobody wants it, or it is at its end.
    tail: Option<Arc<Tail>>,
    after: Position,
    /// Of each event its position, and where what was written of it ends.
    ends: Vec<(Position, usize)>,
    is_over: bool,
}

impl Run {
    /// What comes next for one that has what was there when it came: the others are about there, too.
    fn of(live: &Live) -> Run {
        let is_wanted = |tail: &&Arc<Tail>| Arc::strong_count(tail) > 1 && live.writer.told >= live.head;
        let tail = live.tail.as_ref().filter(is_wanted).cloned();
        let is_over = tail.is_none();
        Run { tail, after: live.subscription.position(), ends: Vec::new(), is_over }
    }

    fn note(&mut self, delivery: &Delivery, end: usize) {
        match delivery {
            Delivery::Event(event) if !self.is_over => self.ends.push((event.position(), end)),
            // Marks are for each to be told in its turn.
            _ => self.is_over = true,
        }
    }

    /// The chunk, of which others get what is theirs as well.
    fn leave(self, chunk: Vec<u8>) -> Bytes {
        let capacity = chunk.capacity();
        let chunk = Bytes::from(chunk);
        if let (Some(tail), Some((_, end))) = (self.tail, self.ends.last()) {
            let bytes = chunk.slice(..*end);
            tail.keep(Text { after: self.after, ends: self.ends, bytes, capacity });
        }
        chunk
    }
}

#[cfg(test)]
mod tests;

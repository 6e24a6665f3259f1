//! Following events: first what is there, then what comes, for as long as the client stays.
//!
//! The cursor lies in the log, not here: a client that reads slowly holds back nobody and misses nothing, and one
//! that comes back with its last position goes on there.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use annals::{Delivery, Position, RecordedEvent, Subscribe, SubscriptionStream};
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
use super::followers::Follower;
use super::packing::AsItComes;
use super::paths;
use super::problem::{self, Problem};
use super::turns::{Turn, Turns};
use crate::wire::{
    Form, LIVE_PARAMS, Params, QUERY_PARAMS, parse_after, parse_query, write_cloud_event, write_data,
    write_event, write_number,
};

pub(crate) fn router() -> Router<Arc<App>> {
    Router::new().route(paths::EVENTS_LIVE, get(follow))
}

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
    let query = access.narrowed(parse_query(&params)?);
    let subscribe = Subscribe::all().after(after).query(query).system(params.flag("system")?);

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
        writer: Writer { dialect, shape, named, told: after, end, caught_up: false },
        head,
        heartbeat: Box::pin(sleep(app.config.heartbeat)),
        silence: app.config.heartbeat,
        stopped: Box::pin(stopped(app.stopping.clone())),
        ended: false,
        follower,
        turns: Arc::clone(&app.turns),
        turn: None,
        chunk_bytes: 0,
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
    turns: Arc<Turns>,
    /// Its place among those whom an append concerns, since it was first polled.
    turn: Option<(Arc<Turn>, Waker)>,
    /// The length of the last chunk: the next one is likely to be about as long.
    chunk_bytes: usize,
}

impl Stream for Live {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        let live = &mut *self;
        let mut out = match live.writer.told < live.head {
            // Other connections of this thread must not wait for the disk. What comes later was just written.
            true => tokio::task::block_in_place(|| live.take_deliveries(context)),
            false => live.take_deliveries(context),
        };
        if !live.ended && live.stopped.as_mut().poll(context).is_ready() {
            live.ended = true;
        }
        if out.is_empty() && !live.ended && live.heartbeat.as_mut().poll(context).is_ready() {
            live.writer.write_heartbeat(&mut out, live.subscription.position());
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
                Poll::Ready(Some(Ok(out.into())))
            }
        }
    }
}

impl Live {
    /// Writes what there is to deliver, up to a chunk.
    fn take_deliveries(&mut self, context: &mut Context<'_>) -> Vec<u8> {
        let (turn, woken_in_turn) = self.turn.get_or_insert_with(|| {
            let turn = Turn::new(&self.turns, context.waker());
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
        out
    }
}

/// How deliveries are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dialect {
    /// Server-sent events.
    Blocks,
    /// One event a line.
    Lines,
}

/// What is written of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Shape {
    /// Its data.
    Data,
    /// The whole event.
    Envelope,
    /// The whole event as a CloudEvent, with this source if it has none.
    Cloud(String),
}

impl Shape {
    /// What `envelope` asks for. A line without its event would not say where the reader is.
    fn parse(params: &Params, dialect: Dialect, app: &App) -> Result<Shape, Problem> {
        match (params.one("envelope")?, dialect) {
            (Some("cloudevents"), _) => Ok(Shape::Cloud(app.no_source().to_owned())),
            (Some("true"), _) | (Some("false") | None, Dialect::Lines) => Ok(Shape::Envelope),
            (Some("false") | None, Dialect::Blocks) => Ok(Shape::Data),
            (Some(_), _) => {
                Err(Problem::invalid("`envelope` is true, false or cloudevents").with("field", "envelope"))
            }
        }
    }

    fn write(&self, out: &mut Vec<u8>, event: &RecordedEvent) {
        match self {
            Shape::Data => write_data(out, event),
            Shape::Envelope => write_event(out, event, Form::Line),
            Shape::Cloud(no_source) => write_cloud_event(out, event, no_source),
        }
    }
}

/// What the client has been told, and what it is told next.
struct Writer {
    dialect: Dialect,
    shape: Shape,
    /// Whether a block says its event's type, which decides who gets it in a browser.
    named: bool,
    /// The position up to which the client knows that it has everything.
    told: Position,
    /// Where the answer ends, when it does.
    end: Option<Position>,
    /// Whether the client was told that it has caught up.
    caught_up: bool,
}

impl Writer {
    fn is_at_end(&self) -> bool {
        self.end.is_some_and(|end| self.told >= end)
    }

    fn write(&mut self, out: &mut Vec<u8>, delivery: &Delivery) {
        match delivery {
            // What was appended since the request belongs to another answer.
            Delivery::Event(event) if self.end.is_some_and(|end| event.position() > end) => {
                self.told = event.position();
            }
            Delivery::Event(event) => self.write_event(out, event),
            Delivery::Checkpoint(position) => self.write_progress(out, "checkpoint", *position),
            Delivery::CaughtUp(position) => {
                self.write_progress(out, "caughtUp", *position);
                self.caught_up = true;
            }
            Delivery::Skipped { from, to } => self.write_skipped(out, *from, *to),
            // A delivery of a later version says nothing that this one could pass on.
            _ => {}
        }
    }

    fn write_event(&mut self, out: &mut Vec<u8>, event: &RecordedEvent) {
        self.told = event.position();
        if self.dialect == Dialect::Lines {
            self.shape.write(out, event);
            out.push(b'\n');
            return;
        }
        out.extend_from_slice(b"id: ");
        write_number(out, event.position().get());
        if self.named {
            out.extend_from_slice(b"\nevent: ");
            out.extend_from_slice(event.event_type().as_bytes());
        }
        out.extend_from_slice(b"\ndata: ");
        self.shape.write(out, event);
        out.extend_from_slice(b"\n\n");
    }

    /// Tells of events that the client does not get because retention took them.
    fn write_skipped(&mut self, out: &mut Vec<u8>, from: Position, to: Position) {
        let range = format!("{{\"from\":{from},\"to\":{to},\"reason\":\"retention\"}}");
        match self.dialect {
            Dialect::Lines => out.extend_from_slice(format!("{{\"skipped\":{range}}}\n").as_bytes()),
            Dialect::Blocks => {
                let block = format!("id: {to}\nevent: annals-skipped\ndata: {range}\n\n");
                out.extend_from_slice(block.as_bytes());
            }
        }
        self.told = self.told.max(to);
    }

    fn write_progress(&mut self, out: &mut Vec<u8>, mark: &str, position: Position) {
        if self.dialect == Dialect::Lines {
            write_mark(out, mark, position);
        } else if position > self.told {
            // A block without data moves the client's last id, and is no event to it.
            out.extend_from_slice(b"id: ");
            write_number(out, position.get());
            out.extend_from_slice(b"\n\n");
        }
        self.told = self.told.max(position);
    }

    /// Tells a reader of lines an end from a cut.
    fn write_end(&self, out: &mut Vec<u8>) {
        if self.dialect == Dialect::Lines && !self.caught_up {
            write_mark(out, "caughtUp", self.told);
        }
    }

    /// Breaks a silence: with how far the client has come, or if it knows that, with a comment.
    fn write_heartbeat(&mut self, out: &mut Vec<u8>, position: Position) {
        self.write_progress(out, "checkpoint", self.told.max(position));
        if out.is_empty() {
            out.extend_from_slice(b": alive\n\n");
        }
    }

    fn write_error(&self, out: &mut Vec<u8>, problem: &Problem) {
        if self.dialect == Dialect::Lines {
            out.extend_from_slice(&problem.to_line());
            return;
        }
        out.extend_from_slice(b"event: annals-error\ndata: ");
        out.extend_from_slice(&problem.to_json());
        out.extend_from_slice(b"\n\n");
    }
}

fn write_mark(out: &mut Vec<u8>, mark: &str, position: Position) {
    out.extend_from_slice(b"{\"");
    out.extend_from_slice(mark.as_bytes());
    out.extend_from_slice(b"\":");
    write_number(out, position.get());
    out.extend_from_slice(b"}\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn writer(dialect: Dialect, after: u64, end: Option<u64>) -> Writer {
        let (told, end) = (Position::new(after), end.map(Position::new));
        Writer { dialect, shape: Shape::Envelope, named: true, told, end, caught_up: false }
    }

    fn told(writer: &mut Writer, delivery: Delivery) -> String {
        let mut out = Vec::new();
        writer.write(&mut out, &delivery);
        String::from_utf8(out).expect("UTF-8")
    }

    #[test]
    fn a_checkpoint_moves_the_clients_last_id_only_forward() {
        let mut writer = writer(Dialect::Blocks, 5, None);
        assert_eq!(told(&mut writer, Delivery::Checkpoint(Position::new(7))), "id: 7\n\n");
        assert_eq!(told(&mut writer, Delivery::CaughtUp(Position::new(7))), "");
    }

    #[test]
    fn lines_tell_every_mark() {
        let mut writer = writer(Dialect::Lines, 5, None);
        assert_eq!(told(&mut writer, Delivery::Checkpoint(Position::new(7))), "{\"checkpoint\":7}\n");
        assert_eq!(told(&mut writer, Delivery::CaughtUp(Position::new(7))), "{\"caughtUp\":7}\n");
    }

    #[test]
    fn what_retention_took_is_told_with_its_positions() {
        let skipped = || Delivery::Skipped { from: Position::new(6), to: Position::new(9) };
        let range = r#"{"from":6,"to":9,"reason":"retention"}"#;
        assert_eq!(
            told(&mut writer(Dialect::Lines, 5, None), skipped()),
            format!("{{\"skipped\":{range}}}\n")
        );
        let mut blocks = writer(Dialect::Blocks, 5, None);
        assert_eq!(told(&mut blocks, skipped()), format!("id: 9\nevent: annals-skipped\ndata: {range}\n\n"));
        assert_eq!(blocks.told, Position::new(9));
    }

    #[test]
    fn an_answer_that_is_not_live_ends_where_the_head_was() {
        let mut writer = writer(Dialect::Blocks, 5, Some(10));
        assert!(!writer.is_at_end());
        told(&mut writer, Delivery::Checkpoint(Position::new(9)));
        assert!(!writer.is_at_end());
        told(&mut writer, Delivery::CaughtUp(Position::new(11)));
        assert!(writer.is_at_end());
    }

    #[test]
    fn lines_that_are_not_live_end_with_the_mark_that_they_are_whole() {
        let mut out = Vec::new();
        let mut whole = writer(Dialect::Lines, 10, Some(10));
        whole.write_end(&mut out);
        assert_eq!(out, b"{\"caughtUp\":10}\n");
        told(&mut whole, Delivery::CaughtUp(Position::new(10)));
        whole.write_end(&mut out);
        assert_eq!(out, b"{\"caughtUp\":10}\n", "told once");
    }

    #[test]
    fn silence_is_broken_by_a_checkpoint_or_by_a_comment_where_that_says_nothing_new() {
        let beat = |dialect, position| {
            let mut out = Vec::new();
            writer(dialect, 5, None).write_heartbeat(&mut out, Position::new(position));
            String::from_utf8(out).expect("UTF-8")
        };
        assert_eq!(beat(Dialect::Blocks, 5), ": alive\n\n");
        assert_eq!(beat(Dialect::Blocks, 8), "id: 8\n\n");
        assert_eq!(beat(Dialect::Lines, 5), "{\"checkpoint\":5}\n");
        assert_eq!(beat(Dialect::Lines, 8), "{\"checkpoint\":8}\n");
    }

    #[test]
    fn a_failure_is_told_before_the_end() {
        let mut out = Vec::new();
        writer(Dialect::Blocks, 5, None).write_error(&mut out, &Problem::invalid("x"));
        assert!(out.starts_with(b"event: annals-error\ndata: {\"type\""));
        assert!(out.ends_with(b"}\n\n"));
    }
}

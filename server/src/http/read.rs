//! Reading events: lines without an end in sight, or a page with a way to the next.

use std::sync::Arc;

use annals::{
    Direction, Error, Events, Position, Read, RecordedEvent, Snapshot, StreamInfo, StreamName, StreamVersion,
};
use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::accept::{JSON, NDJSON, negotiate};
use super::answer::{has_version, tag_version, with_type};
use super::app::{App, StreamPath};
use super::chunks::{self, Steps};
use super::paths;
use super::problem::{self, Problem};
use crate::wire::{
    EVENT_PARAMS, Form, Params, QUERY_PARAMS, STREAM_PARAMS, WireError, parse_direction, parse_read,
    write_event, write_snapshot_fields,
};

/// The events of a page when the request does not say.
pub(crate) const PAGE_EVENTS_DEFAULT: u64 = 100;

/// The parameters that leave events of a stream out of its answer.
const BOUNDS: &[&str] = &["from", "to", "after", "before", "since", "until"];

pub(crate) fn router() -> Router<Arc<App>> {
    Router::new()
        .route(paths::EVENTS, get(read_all))
        .route(paths::EVENTS_STREAM, get(read_stream))
        .route(paths::EVENTS_REPLAY, get(replay))
}

async fn read_all(State(app): State<Arc<App>>, headers: HeaderMap, uri: Uri) -> Result<Response, Problem> {
    let params = app.asked_with_criteria(&uri, &[QUERY_PARAMS, EVENT_PARAMS])?;
    let media_type = negotiate(&headers, &[NDJSON, JSON])?;
    let body = app
        .blocking(move |app| {
            let read = parse_read(&params, None, || app.store.head())?;
            answer_read(app, read, media_type, &uri, params, Cursor::Position)
        })
        .await?;
    Ok(with_type(StatusCode::OK, media_type, body))
}

async fn read_stream(
    State(app): State<Arc<App>>,
    StreamPath(stream): StreamPath,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, Problem> {
    let params = app.asked(&uri, &[QUERY_PARAMS, STREAM_PARAMS, EVENT_PARAMS])?;
    let media_type = negotiate(&headers, &[NDJSON, JSON])?;
    app.blocking(move |app| {
        let read = parse_read(&params, Some(stream.clone()), || app.store.head())?;
        let info = stream_info(app, &stream)?;
        let whole = !params.has_any(QUERY_PARAMS) && !params.has_any(BOUNDS);
        if whole && has_version(&headers, info.version) {
            let mut response = StatusCode::NOT_MODIFIED.into_response();
            tag_version(&mut response, info.version);
            return Ok(response);
        }
        // What is appended from here on is left out, so that the events are those that the tag stands for.
        let to = params.number("to")?.map_or(info.version, |to| info.version.min(to.into()));
        let body = answer_read(app, read.to(to), media_type, &uri, params, Cursor::Version)?;
        let mut response = with_type(StatusCode::OK, media_type, body);
        if whole {
            tag_version(&mut response, info.version);
        }
        Ok(response)
    })
    .await
}

async fn replay(
    State(app): State<Arc<App>>,
    StreamPath(stream): StreamPath,
    uri: Uri,
) -> Result<Response, Problem> {
    let params = app.asked(&uri, &[STREAM_PARAMS, &["asOf", "snapshot"]])?;
    let with_snapshot = params.flag("snapshot")?;
    if with_snapshot && params.has_any(&["from"]) {
        let what = "says where to begin, which `from` does too; give one of them";
        return Err(WireError::field("snapshot", what).into());
    }
    let body = app
        .blocking(move |app| {
            let mut read = parse_read(&params, Some(stream.clone()), || app.store.head())?;
            if let Some(time) = params.time("asOf")? {
                read = read.until(time);
            }
            stream_info(app, &stream)?;
            let snapshot = if with_snapshot { usable_snapshot(app, &stream, &params)? } else { None };
            if let Some(snapshot) = &snapshot {
                read = read.from(snapshot.version.next());
            }
            let events = open(app, read)?;
            Ok(chunks::begin(Lines { events, form: Form::Replay, snapshot }))
        })
        .await?;
    Ok(with_type(StatusCode::OK, NDJSON, body))
}

/// The newest snapshot, unless it stands for what the replay is not to show.
fn usable_snapshot(app: &App, stream: &StreamName, params: &Params) -> Result<Option<Snapshot>, Problem> {
    let Some(snapshot) = app.store.latest_snapshot(stream)? else { return Ok(None) };
    if params.number("to")?.is_some_and(|to| snapshot.version > to.into()) {
        return Ok(None);
    }
    let Some(time) = params.time("asOf")? else { return Ok(Some(snapshot)) };
    let last = Read::stream(stream.clone()).from(snapshot.version).to(snapshot.version).until(time);
    let stood_then = app.store.read(last)?.next().transpose()?.is_some();
    Ok(stood_then.then_some(snapshot))
}

/// What is known of a stream that exists.
pub(crate) fn stream_info(app: &App, stream: &StreamName) -> Result<StreamInfo, Problem> {
    app.store.stream(stream)?.ok_or_else(|| {
        Problem::new(
            problem::STREAM_NOT_FOUND,
            format!("there is no stream {stream}; its first event makes it"),
        )
        .with("stream", stream.as_str())
    })
}

/// What counts where a page ends: positions over all events, versions within a stream.
#[derive(Debug, Clone, Copy)]
enum Cursor {
    Position,
    Version,
}

fn answer_read(
    app: &App,
    read: Read,
    media_type: &str,
    uri: &Uri,
    params: Params,
    cursor: Cursor,
) -> Result<Body, Problem> {
    if media_type != JSON {
        return Ok(chunks::begin(Lines { events: open(app, read)?, form: Form::Line, snapshot: None }));
    }
    let limit = params.number("limit")?.unwrap_or(PAGE_EVENTS_DEFAULT);
    // One more than the page holds tells whether there is a next page.
    let events = open(app, read.limit(limit.saturating_add(1)))?;
    let direction = parse_direction(&params)?;
    let next = Next { path: uri.path().to_owned(), params, cursor, direction };
    Ok(chunks::begin(Page { events, limit, written: 0, last: None, next: Some(next) }))
}

/// A read whose first event is known to be readable: a failure before it is an answer of its own.
struct Opened {
    first: Option<RecordedEvent>,
    rest: Events,
}

fn open(app: &App, read: Read) -> Result<Opened, Error> {
    let mut rest = app.store.read(read)?;
    let first = rest.next().transpose()?;
    Ok(Opened { first, rest })
}

impl Iterator for Opened {
    type Item = Result<RecordedEvent, Error>;

    fn next(&mut self) -> Option<Result<RecordedEvent, Error>> {
        self.first.take().map(Ok).or_else(|| self.rest.next())
    }
}

/// One event a line.
struct Lines {
    events: Opened,
    form: Form,
    snapshot: Option<Snapshot>,
}

impl Steps for Lines {
    fn write_next(&mut self, out: &mut Vec<u8>) -> bool {
        if let Some(snapshot) = self.snapshot.take() {
            out.extend_from_slice(b"{\"snapshot\":{");
            write_snapshot_fields(out, snapshot.version, snapshot.saved_at, &snapshot.state);
            out.extend_from_slice(b"}}\n");
            return true;
        }
        match self.events.next() {
            Some(Ok(event)) => {
                write_event(out, &event, self.form);
                out.push(b'\n');
                true
            }
            Some(Err(error)) => {
                out.extend_from_slice(&Problem::from(error).to_line());
                false
            }
            None => false,
        }
    }
}

/// One JSON object with some events and the way to more.
struct Page {
    events: Opened,
    limit: u64,
    written: u64,
    last: Option<(StreamVersion, Position)>,
    next: Option<Next>,
}

impl Steps for Page {
    fn write_next(&mut self, out: &mut Vec<u8>) -> bool {
        if self.written == 0 {
            out.extend_from_slice(b"{\"events\":[");
        }
        match self.events.next() {
            Some(Ok(event)) if self.written < self.limit => {
                if self.written > 0 {
                    out.push(b',');
                }
                write_event(out, &event, Form::Exact);
                self.last = Some((event.stream_version(), event.position()));
                self.written += 1;
                return true;
            }
            Some(Ok(_)) => {
                let url = self.last.and_then(|last| Some(self.next.take()?.url(last)));
                out.extend_from_slice(b"],\"next\":");
                out.extend_from_slice(serde_json::json!(url).to_string().as_bytes());
            }
            Some(Err(error)) => {
                out.extend_from_slice(b"],\"error\":");
                out.extend_from_slice(&Problem::from(error).to_json());
            }
            None => out.extend_from_slice(b"],\"next\":null"),
        }
        out.push(b'}');
        false
    }
}

/// How to ask for the next page: as for this one, but from where it ends.
struct Next {
    path: String,
    params: Params,
    cursor: Cursor,
    direction: Direction,
}

impl Next {
    fn url(self, (version, position): (StreamVersion, Position)) -> String {
        let params = match (self.cursor, self.direction) {
            (Cursor::Version, Direction::Forward) => self.params.replaced("from", version.next().get()),
            (Cursor::Version, Direction::Backward) => self.params.replaced("to", version.previous().get()),
            (Cursor::Position, Direction::Forward) => self.params.replaced("after", position.get()),
            (Cursor::Position, Direction::Backward) => self.params.replaced("before", position.get()),
        };
        format!("{}?{}", self.path, params.encode())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(cursor: Cursor, direction: Direction, query: &str) -> String {
        let params = Params::parse(query, &[QUERY_PARAMS, STREAM_PARAMS, EVENT_PARAMS]).expect("known");
        let next = Next { path: "/events/a%2Fb".to_owned(), params, cursor, direction };
        next.url((StreamVersion::new(7), Position::new(40)))
    }

    #[test]
    fn the_next_page_begins_where_this_one_ends() {
        assert_eq!(
            next(Cursor::Version, Direction::Forward, "from=3&limit=5"),
            "/events/a%2Fb?limit=5&from=8"
        );
        assert_eq!(next(Cursor::Version, Direction::Backward, ""), "/events/a%2Fb?to=6");
        assert_eq!(next(Cursor::Position, Direction::Forward, "after=head"), "/events/a%2Fb?after=40");
        assert_eq!(next(Cursor::Position, Direction::Backward, "before=90"), "/events/a%2Fb?before=40");
    }
}

//! Reading events: of all streams, of one, by id, and from the first for whoever rebuilds a state.

use std::sync::Arc;

use annals::{EventId, Position, Read, RecordedEvent, Snapshot, StreamInfo, StreamName, StreamVersion};
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::Response;
use axum::routing::get;

use super::accept::{CLOUD_BATCH, NDJSON, negotiate};
use super::access::Access;
use super::answer::{etag, has, header_value, not_modified, tag, with_type};
use super::app::{App, EventPath, StreamPath};
use super::listing::{Cursor, Listing, Next, Opened, batch, replay_lines};
use super::paths;
use super::places::Work;
use super::problem::{self, Problem};
use crate::wire::{
    EVENT_PARAMS, Params, QUERY_PARAMS, STREAM_PARAMS, WireError, parse_after, parse_query, parse_read,
};

/// The parameters that leave events of a stream out of its answer.
const BOUNDS: &[&str] = &["from", "to", "after", "before", "since", "until"];

pub(crate) fn router() -> Router<Arc<App>> {
    Router::new()
        .route(paths::EVENTS, get(read_all))
        .route(paths::EVENTS_STREAM, get(read_stream))
        .route(paths::EVENTS_BY_ID, get(read_by_id))
        .route(paths::EVENTS_REPLAY, get(replay))
}

async fn read_all(
    State(app): State<Arc<App>>,
    access: Access,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, Problem> {
    let params = app.asked_with_criteria(&uri, &[QUERY_PARAMS, EVENT_PARAMS], &access)?;
    let listing = Listing::asked(&headers, &params)?;
    app.blocking(move |app| {
        let head = app.store.head();
        let query = access.narrowed(parse_query(&params)?);
        let is_dense = query.matches_all();
        let read = parse_read(&params, None, || head)?.query(query);
        let before = params.number("before")?.map(Position::new);
        // Where events go, what lies behind the head changes, too.
        let is_past = before.is_some_and(|before| before <= head.next())
            && params.one("after")? != Some("head")
            && app.store.keeps_everything();
        let etag = is_past.then(|| range_tag(app, listing, StreamVersion::START, &access.mark()));
        if let Some(etag) = etag.as_ref().filter(|etag| has(&headers, etag)) {
            return Ok(not_modified(etag.clone()));
        }
        let events = open(app, read, listing, &params, is_dense)?;
        tagged(listing.answer(app, events, Next::of(&uri, params, Cursor::Position)?), etag)
    })
    .await
}

async fn read_stream(
    State(app): State<Arc<App>>,
    StreamPath(stream): StreamPath,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, Problem> {
    let params = app.asked(&uri, &[QUERY_PARAMS, STREAM_PARAMS, EVENT_PARAMS])?;
    let listing = Listing::asked(&headers, &params)?;
    // Events that are left out are looked at as well.
    let work = if params.has_any(QUERY_PARAMS) { Work::Long } else { Work::Short };
    app.does(work, move |app| {
        let read = parse_read(&params, Some(stream.clone()), || app.store.head())?;
        let info = shown_info(app, &stream)?;
        let keeps_everything = app.store.stream_keeps_everything(&stream)?;
        let etag =
            stream_tag(app, listing, &info, &params)?.filter(|_| keeps_everything || is_whole(&params));
        // A version does not say how much of the stream is there: who holds it from before would hold what is gone.
        let may_lack_some =
            is_whole(&params) && !(keeps_everything && info.first_version == StreamVersion::START.next());
        if let Some(etag) = etag.as_ref().filter(|etag| !may_lack_some && has(&headers, etag)) {
            return Ok(not_modified(etag.clone()));
        }
        // What is appended from here on is left out, so that the events are those that the tag stands for.
        let to = params.number("to")?.map_or(info.version, |to| info.version.min(to.into()));
        let events = open(app, read.to(to), listing, &params, work == Work::Short)?;
        let mut response =
            tagged(listing.answer(app, events, Next::of(&uri, params, Cursor::Version)?), etag)?;
        if may_lack_some {
            response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        }
        Ok(response)
    })
    .await
}

/// Whether all of a stream is asked for.
fn is_whole(params: &Params) -> bool {
    !params.has_any(QUERY_PARAMS) && !params.has_any(BOUNDS)
}

/// The tag of a read of one stream: its version when all of it is asked for, so that a writer can expect it; that of a
/// range when the stream has gone beyond it.
fn stream_tag(
    app: &App,
    listing: Listing,
    info: &StreamInfo,
    params: &Params,
) -> Result<Option<HeaderValue>, Problem> {
    if is_whole(params) {
        return Ok(Some(etag(info.version)));
    }
    let is_past = params.number("to")?.is_some_and(|to| info.version >= to.into())
        && params.one("after")? != Some("head");
    Ok(is_past.then(|| range_tag(app, listing, info.first_version, "")))
}

/// The tag of a range that lies behind the head: what it holds changes only with the history, or when its first events are
/// no longer held. The range itself stands in the request.
fn range_tag(app: &App, listing: Listing, first_held: StreamVersion, mark: &str) -> HeaderValue {
    header_value(&format!("\"{}-{first_held}-{}{mark}\"", app.store.history(), listing.letter()))
}

fn tagged(answer: Result<Response, Problem>, etag: Option<HeaderValue>) -> Result<Response, Problem> {
    let mut response = answer?;
    if let Some(etag) = etag {
        tag(&mut response, etag);
    }
    Ok(response)
}

async fn read_by_id(
    State(app): State<Arc<App>>,
    EventPath(id): EventPath,
    access: Access,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, Problem> {
    let params = app.asked(&uri, &[&["after", "limit", "cloudEvents"]])?;
    let listing = Listing::asked(&headers, &params)?;
    app.blocking(move |app| {
        let after = parse_after(&params, || app.store.head())?.unwrap_or_default();
        let count = usize::try_from(listing.reach(params.number("limit")?)).unwrap_or(usize::MAX);
        let found = app.store.events_with_id(id.clone(), after)?;
        let seen = move |event: &Result<RecordedEvent, _>| {
            event.as_ref().map_or(true, |event| access.sees(event.stream()))
        };
        let events = Opened::new(found.filter(seen).take(count))?;
        if events.is_empty() && after == Position::START && count > 0 {
            return Err(no_event(&id));
        }
        listing.answer(app, events, Next::of(&uri, params, Cursor::Position)?)
    })
    .await
}

async fn replay(
    State(app): State<Arc<App>>,
    StreamPath(stream): StreamPath,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, Problem> {
    let params = app.asked(&uri, &[STREAM_PARAMS, &["asOf", "snapshot"]])?;
    let media_type = negotiate(&headers, &[NDJSON, CLOUD_BATCH])?;
    let with_snapshot = params.flag("snapshot")?;
    if with_snapshot && params.has_any(&["from"]) {
        let what = "says where to begin, which `from` does too; give one of them";
        return Err(WireError::field("snapshot", what).into());
    }
    if with_snapshot && media_type == CLOUD_BATCH {
        return Err(WireError::field("snapshot", "is no event, so no CloudEvent can hold one").into());
    }
    let body = app
        .blocking(move |app| {
            let mut read = parse_read(&params, Some(stream.clone()), || app.store.head())?;
            if let Some(time) = params.time("asOf")? {
                read = read.until(time);
            }
            shown_info(app, &stream)?;
            let snapshot = if with_snapshot { usable_snapshot(app, &stream, &params)? } else { None };
            if let Some(snapshot) = &snapshot {
                read = read.from(snapshot.version.next());
            }
            let events = Opened::new(app.store.read(read)?)?.dense(app);
            Ok(match media_type {
                CLOUD_BATCH => batch(app, events),
                _ => replay_lines(events, snapshot),
            })
        })
        .await?;
    Ok(with_type(StatusCode::OK, media_type, body))
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
            format!("there is no stream {stream}; its first event makes it, so append one, or look at the spelling"),
        )
        .with("stream", stream.as_str())
    })
}

/// What is known of a stream that exists and is not deleted.
fn shown_info(app: &App, stream: &StreamName) -> Result<StreamInfo, Problem> {
    let info = stream_info(app, stream)?;
    match info.deletion {
        None => Ok(info),
        Some(deletion) => {
            let (stream, version) = (info.name, info.version);
            Err(annals::Error::Gone { stream, version, deletion }.into())
        }
    }
}

fn no_event(id: &EventId) -> Problem {
    Problem::new(
        problem::EVENT_NOT_FOUND,
        format!("there is no event with the id {id}; the receipt of its append has the id that it got"),
    )
    .with("eventId", id.to_string())
}

fn open(app: &App, read: Read, listing: Listing, params: &Params, is_dense: bool) -> Result<Opened, Problem> {
    let read = read.limit(listing.reach(params.number("limit")?));
    let events = Opened::new(app.store.read(read)?)?;
    Ok(if is_dense { events.dense(app) } else { events })
}

//! Which streams there are, and what is known of each.

use std::sync::Arc;

use annals::{Deletion, Position, StreamInfo, StreamVersion};
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use axum::routing::get;
use serde::Serialize;

use super::access::Access;
use super::answer;
use super::app::{App, StreamPath};
use super::keeping::{Settings, delete};
use super::paths;
use super::problem::Problem;
use super::read::stream_info;
use crate::wire::{Params, WireError, parse_after};

/// The streams of a page when the request does not say.
const STREAMS_DEFAULT: u64 = 100;

/// The most streams of one page.
pub(crate) const STREAMS_MAX: u64 = 10_000;

pub(crate) fn router() -> Router<Arc<App>> {
    Router::new().route(paths::STREAMS, get(list)).route(paths::STREAM, get(show).delete(delete))
}

async fn list(State(app): State<Arc<App>>, access: Access, uri: Uri) -> Result<Response, Problem> {
    let params = app.asked(&uri, &[&["prefix", "category", "after", "limit"]])?;
    let limit = params.number("limit")?.unwrap_or(STREAMS_DEFAULT);
    if !(1..=STREAMS_MAX).contains(&limit) {
        return Err(
            WireError::field("limit", format!("is {limit}; from 1 to {STREAMS_MAX} are allowed")).into()
        );
    }
    let answer = app.blocking(move |app| page(app, &access, uri.path(), &params, limit)).await?;
    Ok(answer::json(StatusCode::OK, &answer))
}

/// The first `limit` streams that are wanted, and how to ask for more.
fn page(app: &App, access: &Access, path: &str, params: &Params, limit: u64) -> Result<PageAnswer, Problem> {
    let mut last = parse_after(params, || app.store.head())?.unwrap_or_default();
    let (prefix, category) = (params.one("prefix")?, params.one("category")?);
    let mut streams = Vec::new();
    for info in app.store.streams(last)? {
        let info = info?;
        let wanted = prefix.is_none_or(|prefix| info.name.as_str().starts_with(prefix))
            && category.is_none_or(|category| info.name.category() == category)
            && access.sees(info.name.as_str());
        if !wanted {
            continue;
        }
        if streams.len() as u64 == limit {
            let params = params.clone().replaced("after", last.get());
            return Ok(PageAnswer { streams, next: Some(format!("{path}?{}", params.encode())) });
        }
        last = info.begins_at;
        streams.push(StreamAnswer::from(&info));
    }
    Ok(PageAnswer { streams, next: None })
}

async fn show(
    State(app): State<Arc<App>>,
    StreamPath(stream): StreamPath,
    uri: Uri,
) -> Result<Response, Problem> {
    app.asked(&uri, &[])?;
    let (info, snapshot) = app
        .blocking(move |app| Ok((stream_info(app, &stream)?, app.store.latest_snapshot(&stream)?)))
        .await?;
    let mut answer = StreamAnswer::from(&info);
    answer.snapshot_version = snapshot.map(|snapshot| snapshot.version);
    Ok(answer::json(StatusCode::OK, &answer))
}

/// What is told of a stream.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct StreamAnswer {
    stream: String,
    category: String,
    version: StreamVersion,
    first_version: StreamVersion,
    first_position: Position,
    last_position: Position,
    /// A stream that has no event any more has no times.
    #[serde(skip_serializing_if = "Option::is_none")]
    first_recorded_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_recorded_at: Option<String>,
    bytes: u64,
    settings: Settings,
    /// How it was deleted, if it was and has no event since.
    #[serde(skip_serializing_if = "Option::is_none")]
    deleted: Option<&'static str>,
    /// Told of one stream only: looking for it reads the snapshot.
    #[serde(skip_serializing_if = "Option::is_none")]
    snapshot_version: Option<StreamVersion>,
}

#[derive(Serialize)]
struct PageAnswer {
    streams: Vec<StreamAnswer>,
    next: Option<String>,
}

impl From<&StreamInfo> for StreamAnswer {
    fn from(info: &StreamInfo) -> StreamAnswer {
        let has_events = info.last_position != Position::START;
        StreamAnswer {
            stream: info.name.to_string(),
            category: info.name.category().to_owned(),
            version: info.version,
            first_version: info.first_version,
            first_position: info.first_position,
            last_position: info.last_position,
            first_recorded_at: has_events.then(|| info.first_recorded_at.to_string()),
            last_recorded_at: has_events.then(|| info.last_recorded_at.to_string()),
            bytes: info.bytes,
            settings: info.settings.into(),
            deleted: info.deletion.map(|deletion| match deletion {
                Deletion::Hard => "hard",
                _ => "soft",
            }),
            snapshot_version: None,
        }
    }
}

//! Which streams there are, and what is known of each.

use std::sync::Arc;

use annals::{Position, StreamInfo};
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use axum::routing::get;
use serde_json::{Value, json};

use super::answer;
use super::app::{App, StreamPath, params_of};
use super::paths;
use super::problem::Problem;
use super::read::stream_info;
use crate::wire::WireError;

/// The streams of a page when the request does not say.
const STREAMS_DEFAULT: u64 = 100;

/// The most streams of one page.
pub(crate) const STREAMS_MAX: u64 = 10_000;

pub(crate) fn router() -> Router<Arc<App>> {
    Router::new().route(paths::STREAMS, get(list)).route(paths::STREAM, get(show))
}

async fn list(State(app): State<Arc<App>>, uri: Uri) -> Result<Response, Problem> {
    let params = params_of(&uri, &[&["prefix", "category", "after", "limit", "system", "history"]])?;
    app.check_history(&params)?;
    let limit = params.number("limit")?.unwrap_or(STREAMS_DEFAULT);
    if !(1..=STREAMS_MAX).contains(&limit) {
        return Err(
            WireError::field("limit", format!("is {limit}; from 1 to {STREAMS_MAX} are allowed")).into()
        );
    }
    let answer = app
        .blocking(move |app| {
            let after = Position::new(params.number("after")?.unwrap_or(0));
            let (prefix, category) = (params.one("prefix")?, params.one("category")?);
            let system = params.flag("system")?;
            let mut page = Vec::new();
            let mut next = None;
            let mut last = after;
            for info in app.store.streams(after)? {
                let info = info?;
                let wanted = prefix.is_none_or(|prefix| info.name.as_str().starts_with(prefix))
                    && category.is_none_or(|category| info.name.category() == category)
                    && (system || !info.name.is_system());
                if !wanted {
                    continue;
                }
                if page.len() as u64 == limit {
                    let params = params.clone().replaced("after", last.get());
                    next = Some(format!("{}?{}", uri.path(), params.encode()));
                    break;
                }
                last = info.first_position;
                page.push(info_to_json(&info));
            }
            Ok(json!({"streams": page, "next": next}))
        })
        .await?;
    Ok(answer::json(StatusCode::OK, &answer))
}

async fn show(
    State(app): State<Arc<App>>,
    StreamPath(stream): StreamPath,
    uri: Uri,
) -> Result<Response, Problem> {
    let params = params_of(&uri, &[&["history"]])?;
    app.check_history(&params)?;
    let (info, snapshot) = app
        .blocking(move |app| Ok((stream_info(app, &stream)?, app.store.latest_snapshot(&stream)?)))
        .await?;
    let mut answer = info_to_json(&info);
    if let Some(snapshot) = snapshot {
        answer["snapshotVersion"] = json!(snapshot.version);
    }
    Ok(answer::json(StatusCode::OK, &answer))
}

fn info_to_json(info: &StreamInfo) -> Value {
    json!({
        "stream": info.name.as_str(),
        "category": info.name.category(),
        "version": info.version,
        "firstVersion": info.first_version,
        "firstPosition": info.first_position,
        "lastPosition": info.last_position,
        "firstRecordedAt": info.first_recorded_at.to_string(),
        "lastRecordedAt": info.last_recorded_at.to_string(),
        "bytes": info.bytes,
    })
}

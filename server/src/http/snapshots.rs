//! Snapshots: the state of a stream at a version, as JSON that only its writer understands.

use std::sync::Arc;

use annals::{Data, StreamVersion};
use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::put;
use serde_json::json;

use super::accept::JSON;
use super::answer::{self, with_type};
use super::app::{App, StreamPath, params_of};
use super::body::{BodyLimit, read_whole, require_json};
use super::paths;
use super::problem::{self, Problem};
use crate::wire::{WireError, write_snapshot_fields, write_text};

pub(crate) fn router() -> Router<Arc<App>> {
    Router::new().route(paths::EVENTS_SNAPSHOT, put(save).get(newest).delete(drop_all))
}

async fn save(
    State(app): State<Arc<App>>,
    stream: StreamPath,
    headers: HeaderMap,
    uri: Uri,
    body: Body,
) -> Result<Response, Problem> {
    let stream = stream.writable()?;
    let params = params_of(&uri, &[&["version"]])?;
    let version = params.number("version")?.map(StreamVersion::new).ok_or_else(|| {
        WireError::field("version", "is missing; say which version of the stream the state stands for")
    })?;
    require_json(&headers)?;
    let limit = BodyLimit { name: "snapshotBytesMax", bytes_max: app.store.limits().snapshot_bytes_max };
    let body = read_whole(&app, &headers, body, limit).await?;

    let name = stream.clone();
    app.blocking(move |app| {
        let state = Data::from_json_bytes(body.bytes().clone())
            .map_err(|error| Problem::invalid(format!("the state cannot be saved: {error}")))?;
        Ok(app.store.put_snapshot(&name, version, state.bytes().clone())?)
    })
    .await?;
    Ok(answer::json(StatusCode::OK, &json!({"stream": stream.as_str(), "version": version})))
}

async fn newest(
    State(app): State<Arc<App>>,
    StreamPath(stream): StreamPath,
    uri: Uri,
) -> Result<Response, Problem> {
    app.asked(&uri, &[])?;
    let name = stream.clone();
    let found = app.blocking(move |app| Ok(app.store.latest_snapshot(&name)?)).await?;
    let Some(snapshot) = found else {
        let detail =
            format!("stream {stream} has no snapshot; one can be lost at any time, so replay from the start");
        return Err(Problem::new(problem::SNAPSHOT_NOT_FOUND, detail).with("stream", stream.as_str()));
    };
    let mut out = Vec::with_capacity(snapshot.state.len() + 128);
    out.extend_from_slice(b"{\"stream\":");
    write_text(&mut out, stream.as_str());
    out.push(b',');
    write_snapshot_fields(&mut out, snapshot.version, snapshot.saved_at, &snapshot.state);
    out.push(b'}');
    Ok(with_type(StatusCode::OK, JSON, Body::from(out)))
}

async fn drop_all(State(app): State<Arc<App>>, stream: StreamPath, uri: Uri) -> Result<Response, Problem> {
    let stream = stream.writable()?;
    params_of(&uri, &[])?;
    app.blocking(move |app| Ok(app.store.delete_snapshots(&stream)?)).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

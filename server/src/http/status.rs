//! How the server is: alive, ready, with which limits, of which version.

use std::sync::Arc;
use std::time::Duration;

use annals::{LABEL_BYTES_MAX, NAME_BYTES_MAX, TAG_BYTES_MAX, TAGS_MAX};
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use serde_json::json;

use super::answer;
use super::app::{App, IMPORTS_MAX};
use super::guard::{HEAD_BYTES_MAX, HEADERS_MAX};
use super::health::Health;
use super::listing::PAGE_EVENTS_DEFAULT;
use super::multiplexed;
use super::paths;
use super::streams::STREAMS_MAX;

pub(crate) fn router() -> Router<Arc<App>> {
    Router::new()
        .route(paths::HEALTH_LIVE, get(live))
        .route(paths::HEALTH_READY, get(ready))
        .route(paths::LIMITS, get(limits))
        .route(paths::VERSION, get(version))
}

async fn live() -> Response {
    answer::json(StatusCode::OK, &json!({"status": "live"}))
}

async fn ready(State(app): State<Arc<App>>) -> Response {
    Health::of(&app).answer()
}

async fn limits(State(app): State<Arc<App>>) -> Response {
    let limits = app.store.limits();
    let mut answer = json!({
        "appendBytesMax": limits.append_bytes_max,
        "appendEventsMax": limits.append_events_max,
        "eventBytesMax": limits.event_bytes_max,
        "snapshotBytesMax": limits.snapshot_bytes_max,
        "queueBytesMax": limits.queue_bytes_max,
        "nameBytesMax": NAME_BYTES_MAX,
        "labelBytesMax": LABEL_BYTES_MAX,
        "tagBytesMax": TAG_BYTES_MAX,
        "tagsMax": TAGS_MAX,
        "bodyBudgetBytes": app.config.body_budget_bytes,
        "headBytesMax": HEAD_BYTES_MAX,
        "headersMax": HEADERS_MAX,
        "connectionsMax": app.config.connections_max,
        "subscribersMax": app.config.subscribers_max,
        "importsMax": IMPORTS_MAX,
        "connectionRequestsMax": multiplexed::STREAMS_MAX,
        "handshakeWaitMsMax": milliseconds(app.config.handshake_wait_max),
        "headWaitMsMax": milliseconds(app.config.head_wait_max),
        "bodyWaitMsMax": milliseconds(app.config.body_wait_max),
        "bodyBytesPerSecondMin": app.config.body_bytes_per_second_min,
        "writeWaitMsMax": milliseconds(app.config.write_wait_max),
        "pageEventsDefault": PAGE_EVENTS_DEFAULT,
        "pageStreamsMax": STREAMS_MAX,
    });
    let rate = app.config.rate;
    for (name, max) in [
        ("requestsPerSecondMax", rate.requests_per_second_max),
        ("bytesPerSecondMax", rate.bytes_per_second_max),
    ] {
        if let Some(max) = max {
            answer[name] = max.get().into();
        }
    }
    answer::json(StatusCode::OK, &answer)
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

async fn version(State(app): State<Arc<App>>) -> Response {
    let answer = json!({
        "name": "annals",
        "version": env!("CARGO_PKG_VERSION"),
        "history": app.store.history().to_string(),
    });
    answer::json(StatusCode::OK, &answer)
}

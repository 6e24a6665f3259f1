//! The numbers of the store and of the server, for Prometheus.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use annals::{Health, StoreMetrics};
use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;

use super::answer::with_type;
use super::app::App;
use super::config::BUDGET_UNIT_BYTES;
use super::exposition::{Exposition, PROMETHEUS};
use super::paths;

const NANOS: f64 = 1e9;

pub(crate) fn router() -> Router<Arc<App>> {
    Router::new().route(paths::METRICS, get(metrics))
}

async fn metrics(State(app): State<Arc<App>>) -> Response {
    let mut out = Exposition::default();
    let store = app.store.metrics();
    expose_store(&mut out, &store);
    expose_server(&mut out, &app, &store);
    app.traffic.expose(&mut out);
    with_type(StatusCode::OK, PROMETHEUS, Body::from(out.finish()))
}

fn expose_store(out: &mut Exposition, store: &StoreMetrics) {
    let commits = &store.commits;
    let counters = [
        ("annals_appends_total", "Appends that were committed.", commits.appends),
        ("annals_appends_refused_total", "Appends refused by a condition or an id.", commits.refused),
        ("annals_events_total", "Events that were committed.", commits.events),
        ("annals_append_bytes_total", "Bytes of the log that committed appends take.", commits.bytes),
    ];
    for (name, help, value) in counters {
        out.single(name, "counter", help, value);
    }
    const GROUP: &str = "annals_group_appends";
    out.family(GROUP, "histogram", "Appends that shared one write and one sync.");
    let group = &commits.group_appends;
    out.histogram(
        GROUP,
        &[],
        group.bounds.iter().map(|bound| *bound as f64),
        &group.counts,
        group.sum as f64,
    );
    const SYNC: &str = "annals_sync_seconds";
    out.family(SYNC, "histogram", "Seconds that a group took to be written and synced.");
    let sync = &commits.sync_nanos;
    let bounds = sync.bounds.iter().map(|bound| *bound as f64 / NANOS);
    out.histogram(SYNC, &[], bounds, &sync.counts, sync.sum as f64 / NANOS);
    let gauges = [
        ("annals_visible_position", "The last position that readers see.", store.visible.get()),
        ("annals_durable_position", "The last position known to be on stable storage.", store.durable.get()),
        ("annals_segments", "Segment files of the log.", store.segments),
    ];
    for (name, help, value) in gauges {
        out.single(name, "gauge", help, value);
    }
}

fn expose_server(out: &mut Exposition, app: &App, store: &StoreMetrics) {
    const BUILD: &str = "annals_build_info";
    out.family(BUILD, "gauge", "Always 1; the version is a label.");
    out.sample(BUILD, &[("version", env!("CARGO_PKG_VERSION"))], 1);
    let ready = u8::from(app.store.health() == Health::Ready);
    out.single("annals_ready", "gauge", "Whether appends and reads work: 1 or 0.", ready);
    let (followers, lag) = app.followers.count_and_lag(store.visible);
    out.single("annals_subscribers", "gauge", "Live streams that are open.", followers);
    let help = "Events between the head and the live stream that is furthest behind.";
    out.single("annals_subscriber_lag_events", "gauge", help, lag);
    if let Some(tls) = &app.tls {
        let reloads = tls.reloads();
        const RELOADS: &str = "annals_tls_reloads_total";
        out.family(RELOADS, "counter", "Changes of the certificate's files, by what became of them.");
        out.sample(RELOADS, &[("outcome", "used")], reloads.done);
        out.sample(RELOADS, &[("outcome", "refused")], reloads.failed);
    }
    let help = "Requests refused because their client asked for more than its rate.";
    out.single("annals_http_rate_limited_total", "counter", help, app.rates.refused());
    app.disk.expose(out);
    let connections = app.traffic.connections.load(Ordering::Relaxed);
    out.single("annals_http_connections", "gauge", "Connections that are open.", connections);
    let held = app.config.body_budget_units().saturating_sub(app.body_budget.available_permits());
    let help = "Bytes of the budget that request bodies have taken.";
    out.single("annals_http_body_budget_used_bytes", "gauge", help, held * BUDGET_UNIT_BYTES);
}

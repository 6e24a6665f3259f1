//! Connections and requests, these counted by route: how many, how they ended, and how long they took to be answered. Each gets a
//! name on its way out, and a line of the log, where that is wanted.
//!
//! Everything that a request can add to is there from the start, so a client cannot make the server hold more, and a path
//! that is no route counts as `other`. No name of a stream is ever part of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use annals::Traceparent;
use axum::body::{Body, HttpBody as _};
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use tracing::{error, info};

use super::access::Bearer;
use super::app::App;
use super::exposition::Exposition;
use super::guard;
use super::paths;
use super::problem::{Problem, Told};
use super::request_id::{self, RequestIds};
#[cfg(feature = "otlp")]
use super::spans;

/// Where lines about requests belong to: whoever chooses what is logged names it.
pub(super) const TARGET: &str = "annals::requests";

/// The methods that are told apart.
const METHODS: [&str; 6] = ["GET", "HEAD", "POST", "PUT", "DELETE", "other"];

/// The first digits of statuses.
const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// What is neither a route nor a method that is told apart.
const OTHER: &str = "other";

/// Upper bounds of durations, in seconds.
const BOUNDS: [f64; 12] = [0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0];

/// All requests since the server was started.
#[derive(Debug)]
pub(crate) struct Traffic {
    routes: Vec<Route>,
    /// What requests are called whose clients give them no name.
    ids: RequestIds,
    /// Connections that are open.
    pub(crate) connections: AtomicU64,
    /// From handing an append over to its receipt.
    pub(crate) appends: Durations,
}

#[derive(Debug)]
struct Route {
    path: &'static str,
    answered: [[AtomicU64; CLASSES.len()]; METHODS.len()],
    durations: Durations,
}

impl Traffic {
    pub(crate) fn new() -> Traffic {
        let route = |path| Route { path, answered: Default::default(), durations: Durations::default() };
        Traffic {
            routes: paths::ALL.into_iter().chain([OTHER]).map(route).collect(),
            ids: RequestIds::new(),
            connections: AtomicU64::new(0),
            appends: Durations::default(),
        }
    }

    fn count(&self, path: &str, method: &str, status: StatusCode, took: Duration) {
        let last = self.routes.len() - 1;
        let route = self.routes.iter().position(|route| route.path == path).unwrap_or(last);
        let method = METHODS.iter().position(|known| *known == method);
        let class = usize::from(status.as_u16() / 100).clamp(1, CLASSES.len()) - 1;
        let route = &self.routes[route];
        route.answered[method.unwrap_or(METHODS.len() - 1)][class].fetch_add(1, Ordering::Relaxed);
        route.durations.add(took);
    }

    /// Tells all that has been counted. What never happened is left out.
    pub(super) fn expose(&self, out: &mut Exposition) {
        const REQUESTS: &str = "annals_http_requests_total";
        out.family(REQUESTS, "counter", "Requests, by route, method and class of status.");
        for route in &self.routes {
            for (method, answered) in METHODS.iter().zip(&route.answered) {
                for (class, count) in CLASSES.iter().zip(answered) {
                    let count = count.load(Ordering::Relaxed);
                    if count > 0 {
                        let labels = [("route", route.path), ("method", method), ("status", class)];
                        out.sample(REQUESTS, &labels, count);
                    }
                }
            }
        }
        const SECONDS: &str = "annals_http_request_seconds";
        out.family(SECONDS, "histogram", "Seconds until the head of the answer, by route.");
        for route in &self.routes {
            route.durations.expose(out, SECONDS, &[("route", route.path)]);
        }
        const APPEND_SECONDS: &str = "annals_append_seconds";
        out.family(APPEND_SECONDS, "histogram", "Seconds from handing an append over to its receipt.");
        self.appends.expose(out, APPEND_SECONDS, &[]);
    }
}

/// How long something took, each time.
#[derive(Debug, Default)]
pub(crate) struct Durations {
    counts: [AtomicU64; BOUNDS.len() + 1],
    nanos: AtomicU64,
}

impl Durations {
    pub(crate) fn add(&self, took: Duration) {
        let at = BOUNDS.partition_point(|bound| *bound < took.as_secs_f64());
        self.counts[at].fetch_add(1, Ordering::Relaxed);
        self.nanos.fetch_add(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    fn expose(&self, out: &mut Exposition, name: &str, labels: &[super::exposition::Label<'_>]) {
        let counts = self.counts.each_ref().map(|count| count.load(Ordering::Relaxed));
        let sum = self.nanos.load(Ordering::Relaxed) as f64 / 1e9;
        out.histogram(name, labels, BOUNDS.into_iter(), &counts, sum);
    }
}

/// Names a request, has it checked and answered, and counts it once its answer begins.
pub(super) async fn measure(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let path = request.extensions().get::<MatchedPath>().cloned();
    let method = told_apart(request.method());
    let id = app.traffic.ids.of(request.headers());
    let trace = app.tells_of_traces().then(|| traceparent_of(request.headers())).flatten();
    // No layer of its own: each costs a request a move of all that it has, and a box.
    let (asked, checked) = guard::check(&app, request);
    let response = match checked {
        Ok((request, passed)) => passed.answered(next.run(request).await),
        Err(response) => response,
    };
    let mut response = asked.answered(&app, response);
    let path = path.as_ref().map_or(OTHER, MatchedPath::as_str);
    let took = begun.elapsed();
    app.traffic.count(path, method, response.status(), took);
    named(&mut response, &id);
    if app.tells_requests || response.status().is_server_error() {
        let answered = Answered { method, route: path, id: &id, trace: trace.as_ref(), took };
        answered.tell(&response);
    }
    #[cfg(feature = "otlp")]
    if let Some(spans) = &app.spans {
        let id = id.to_str().unwrap_or_default();
        let told = spans::Told { method, route: path, status: response.status().as_u16(), id, took };
        spans.tell(&told, trace.as_ref());
    }
    response.headers_mut().insert(request_id::HEADER, id);
    response
}

/// A method that is told apart, or none in particular: a client can make up any.
fn told_apart(method: &Method) -> &'static str {
    METHODS.into_iter().find(|known| *known == method.as_str()).unwrap_or(OTHER)
}

/// Of which trace a request is part; none when its header is not as it should be, as the specification says.
pub(super) fn traceparent_of(headers: &HeaderMap) -> Option<Traceparent> {
    Traceparent::parse(headers.get("traceparent")?.to_str().ok()?)
}

/// Writes what a request is called into the problem that it is answered with.
fn named(response: &mut Response, id: &HeaderValue) {
    if let (Some(told), Ok(id)) = (response.extensions().get::<Told>(), id.to_str()) {
        let json = told.to_json_of(id);
        response.headers_mut().remove(header::CONTENT_LENGTH);
        *response.body_mut() = Body::from(json);
    }
}

/// What is told of a request. No value of a header is: tokens are among them.
struct Answered<'a> {
    method: &'a str,
    route: &'a str,
    id: &'a HeaderValue,
    trace: Option<&'a Traceparent>,
    took: Duration,
}

impl Answered<'_> {
    fn tell(&self, response: &Response) {
        let status = response.status().as_u16();
        let (method, route, id) = (self.method, self.route, self.id.to_str().unwrap_or_default());
        let micros = u64::try_from(self.took.as_micros()).unwrap_or(u64::MAX);
        let bytes = response.body().size_hint().exact();
        let token = response.extensions().get::<Bearer>().map(|bearer| &*bearer.name);
        let (trace, problem) =
            (self.trace.map(Traceparent::trace_id), response.extensions().get::<Told>().map(Told::problem));
        let code = problem.map(Problem::code);
        if response.status().is_server_error() {
            let detail = problem.map(Problem::in_log);
            error!(target: TARGET, method, route, status, micros, bytes, id, token, trace, problem = code, detail);
        } else {
            info!(target: TARGET, method, route, status, micros, bytes, id, token, trace, problem = code);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_for_what_is_no_route_counts_as_other() {
        let traffic = Traffic::new();
        let took = Duration::from_millis(3);
        traffic.count(paths::EVENTS, "POST", StatusCode::ACCEPTED, took);
        traffic.count("/made/up", told_apart(&Method::PATCH), StatusCode::NOT_FOUND, took);
        let mut out = Exposition::default();
        traffic.expose(&mut out);
        let text = out.finish();
        let line = |line: &str| assert!(text.lines().any(|found| found == line), "{line}: {text}");
        line(r#"annals_http_requests_total{route="/events",method="POST",status="2xx"} 1"#);
        line(r#"annals_http_requests_total{route="other",method="other",status="4xx"} 1"#);
        line(r#"annals_http_request_seconds_bucket{route="/events",le="0.002"} 0"#);
        line(r#"annals_http_request_seconds_bucket{route="/events",le="0.005"} 1"#);
        assert!(!text.contains("made"));
    }
}

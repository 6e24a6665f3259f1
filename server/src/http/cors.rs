//! Which web pages may ask: those of the server's own origin, and those of origins that the configuration names.
//!
//! A browser asks first whether a page may send a request that a form could not; without an answer that names its origin
//! the page gets nothing.

use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::config::HttpConfig;

/// What pages may send, on one resource or another.
const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, POST, PUT, DELETE");

/// The headers of answers that scripts may read beside those that they always may.
const EXPOSED: HeaderValue = HeaderValue::from_static(
    "Annals-History, ETag, Idempotency-Replayed, Location, Retry-After, X-Request-Id",
);

/// How long a browser may remember the answer, in seconds.
const REMEMBERED: HeaderValue = HeaderValue::from_static("600");

/// Whether the configuration lets pages of this origin in.
pub(super) fn is_allowed(origin: &[u8], config: &HttpConfig) -> bool {
    config.cors_origins.iter().any(|allowed| allowed == "*" || allowed.as_bytes() == origin)
}

/// The origin of the page that a request comes from, when pages of it are let in.
pub(super) fn allowed_origin(headers: &HeaderMap, config: &HttpConfig) -> Option<HeaderValue> {
    headers.get(header::ORIGIN).filter(|origin| is_allowed(origin.as_bytes(), config)).cloned()
}

/// The answer to the question of a browser whether a page may send a request; none when the request is another one.
pub(super) fn preflight(method: &Method, headers: &HeaderMap) -> Option<Response> {
    if method != Method::OPTIONS || !headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD) {
        return None;
    }
    let mut response = StatusCode::NO_CONTENT.into_response();
    let answer = response.headers_mut();
    answer.insert(header::ACCESS_CONTROL_ALLOW_METHODS, METHODS);
    answer.insert(header::ACCESS_CONTROL_MAX_AGE, REMEMBERED);
    // The page is trusted: whatever it sends is checked where it is read.
    if let Some(asked) = headers.get(header::ACCESS_CONTROL_REQUEST_HEADERS) {
        answer.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, asked.clone());
    }
    Some(response)
}

/// Lets the page read the answer.
pub(super) fn let_in(response: &mut Response, origin: HeaderValue) {
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
    headers.append(header::VARY, HeaderValue::from_static("Origin"));
}

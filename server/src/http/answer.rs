//! Answers: JSON values, and the headers that answers about streams carry.

use std::io::Write as _;

use annals::{Receipt, StreamVersion};
use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::accept::JSON;

/// A JSON answer.
pub(crate) fn json(status: StatusCode, value: &impl Serialize) -> Response {
    let body = serde_json::to_vec(value).expect("answers are made of texts and numbers");
    with_type(status, JSON, Body::from(body))
}

/// The answer to an append. It says so when the events had been written before.
pub(crate) fn receipt(status: StatusCode, receipt: &Receipt, answer: &impl Serialize) -> Response {
    let mut response = json(status, answer);
    if receipt.repeated {
        let name = HeaderName::from_static("idempotency-replayed");
        response.headers_mut().insert(name, HeaderValue::from_static("true"));
    }
    response
}

/// An answer with a body of this media type.
pub(crate) fn with_type(status: StatusCode, media_type: &'static str, body: Body) -> Response {
    (status, [(header::CONTENT_TYPE, HeaderValue::from_static(media_type))], body).into_response()
}

/// Adds headers that let a client see again whether what it was told still holds.
pub(crate) fn tag(response: &mut Response, etag: HeaderValue) {
    let headers = response.headers_mut();
    headers.insert(header::ETAG, etag);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    headers.insert(header::VARY, HeaderValue::from_static("Accept"));
}

/// Whether the client has what this tag stands for already, as its `If-None-Match` says.
pub(crate) fn has(headers: &HeaderMap, etag: &HeaderValue) -> bool {
    let lists = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    // A proxy that compresses makes an entity tag weak; for reading that does not matter.
    lists
        .flat_map(|list| list.split(','))
        .any(|tag| tag.trim().strip_prefix("W/").unwrap_or(tag.trim()).as_bytes() == etag.as_bytes())
}

/// The answer to a client that has it already.
pub(crate) fn not_modified(etag: HeaderValue) -> Response {
    let mut response = StatusCode::NOT_MODIFIED.into_response();
    tag(&mut response, etag);
    response
}

/// The entity tag of a version.
pub(crate) fn etag(version: StreamVersion) -> HeaderValue {
    let mut text = [0; 1 + 20 + 1];
    let mut left = &mut text[..];
    write!(left, "\"{version}\"").expect("a number of 64 bits has at most 20 digits");
    let left = left.len();
    let len = text.len() - left;
    HeaderValue::from_bytes(&text[..len]).expect("digits and quotes are visible ASCII")
}

/// The id of the history, on every answer.
pub(crate) const HISTORY: HeaderName = HeaderName::from_static("annals-history");

/// A header value made of what annals itself writes, which is always visible ASCII.
pub(crate) fn header_value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).expect("digits, hex and quotes are visible ASCII")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tag_of_the_highest_version_has_room() {
        assert_eq!(etag(StreamVersion::new(u64::MAX)), format!("\"{}\"", u64::MAX));
    }

    #[test]
    fn a_client_that_has_the_version_is_recognised_by_its_tag() {
        let mut headers = HeaderMap::new();
        headers.insert(header::IF_NONE_MATCH, HeaderValue::from_static("\"4\", W/\"5\""));
        assert!(has(&headers, &etag(StreamVersion::new(5))));
        assert!(!has(&headers, &etag(StreamVersion::new(6))));
    }
}

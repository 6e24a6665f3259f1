//! What went wrong, as RFC 9457 problem+json: the one map from errors to HTTP.
//!
//! The `type` of a problem is stable; a program branches on it. The `detail` is for people and may change.

use std::sync::Arc;
use std::time::Duration;

use annals::{
    AppendError, Deletion, Error, ExpectedVersion, ImportError, NameError, SnapshotError, StreamName,
    StreamVersion,
};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use crate::wire::WireError;

/// A class of problems: its status, its stable name, and what it is called.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Kind {
    status: u16,
    name: &'static str,
    title: &'static str,
}

macro_rules! kinds {
    ($($kind:ident $status:literal $name:literal $title:literal;)*) => { $(
        pub(crate) const $kind: &Kind = &Kind { status: $status, name: $name, title: $title };
    )*

    /// All of them.
    pub(crate) const KINDS: &[&Kind] = &[$($kind),*];
    };
}

kinds! {
    INVALID 400 "invalid-request" "The request is not valid";
    UNAUTHORIZED 401 "unauthorized" "The request has no token that is known";
    FORBIDDEN 403 "forbidden" "The request comes from where it must not";
    SCOPE 403 "not-allowed" "The token is not good for this";
    NOT_FOUND 404 "not-found" "There is no such resource";
    STREAM_NOT_FOUND 404 "stream-not-found" "There is no such stream";
    EVENT_NOT_FOUND 404 "event-not-found" "There is no such event";
    SNAPSHOT_NOT_FOUND 404 "snapshot-not-found" "The stream has no snapshot";
    METHOD 405 "method-not-allowed" "The resource does not have this method";
    NOT_ACCEPTABLE 406 "not-acceptable" "None of the accepted media types can be produced";
    TOO_SLOW 408 "request-timeout" "The body did not arrive in time";
    CONFLICT 409 "version-conflict" "The stream is not at the expected version";
    MATCHED 409 "condition-failed" "An event matches a query that none was to match";
    DIFFERS 409 "event-differs" "An event with this id says something else";
    HISTORY 409 "history-changed" "The cursor belongs to another history";
    GONE 410 "stream-gone" "The stream was deleted";
    PRECONDITION 412 "precondition-failed" "The stream is not at the expected version";
    TOO_LARGE 413 "too-large" "Something is larger than the limits allow";
    MEDIA_TYPE 415 "unsupported-media-type" "The content type is not one that is understood here";
    KEY_REUSED 422 "idempotency-key-reused" "Another request was made under this idempotency key";
    TOO_MANY 429 "too-many-requests" "The client asks for more than its rate";
    HEAD_TOO_LARGE 431 "head-too-large" "The path and the headers are larger than the limits allow";
    INTERNAL 500 "internal" "The server could not do it";
    DAMAGED 500 "damaged" "Stored bytes are not what was written";
    FAILED 503 "store-failed" "The store stopped writing and must be reopened";
    READ_ONLY 503 "read-only" "The store is open for reading only";
    WARMING 503 "warming" "Indexes that the answer needs are still being built";
    BUSY 503 "busy" "The server has no room for more of this";
    CLOSED 503 "closed" "The server is shutting down";
    NO_SPACE 507 "no-space" "There is no space for more events";
}

/// What a writer who was not the first does next.
pub(crate) const READ_AGAIN: &str =
    "read the stream, decide again, and send it with the version you have read";

/// Those that any request may have, wherever it goes.
pub(crate) const ANYWHERE: &[&Kind] =
    &[INVALID, UNAUTHORIZED, FORBIDDEN, SCOPE, TOO_MANY, HEAD_TOO_LARGE, INTERNAL, WARMING, CLOSED];

impl Kind {
    /// Its name among all problems of the world.
    pub(crate) fn urn(&self) -> String {
        format!("urn:annals:problem:{}", self.name)
    }

    /// The status of its answers.
    pub(crate) fn status_code(&self) -> u16 {
        self.status
    }

    /// What it is called.
    pub(crate) fn title(&self) -> &'static str {
        self.title
    }
}

/// One problem.
#[derive(Debug)]
pub(crate) struct Problem {
    kind: &'static Kind,
    detail: String,
    members: Vec<(&'static str, Value)>,
    /// What the log says instead of the detail: clients are not told of directories.
    in_log: Option<String>,
    /// After how many seconds it is worth trying again, where that is known.
    retry_after: Option<u64>,
}

impl Problem {
    /// A problem of a kind.
    pub(crate) fn new(kind: &'static Kind, detail: impl Into<String>) -> Problem {
        Problem { kind, detail: detail.into(), members: Vec::new(), in_log: None, retry_after: None }
    }

    /// The request cannot be meant.
    pub(crate) fn invalid(detail: impl Into<String>) -> Problem {
        Problem::new(INVALID, detail)
    }

    /// The same with one more field for programs.
    #[must_use]
    pub(crate) fn with(mut self, name: &'static str, value: impl Into<Value>) -> Problem {
        self.members.push((name, value.into()));
        self
    }

    /// The same, worth trying again after a while.
    #[must_use]
    pub(crate) fn retry_after(mut self, wait: Duration) -> Problem {
        self.retry_after = Some(wait.as_secs() + u64::from(wait.subsec_nanos() > 0));
        self
    }

    /// A conflict that a header asked about is a failed precondition; every other problem stays what it is.
    #[must_use]
    pub(crate) fn into_precondition(mut self) -> Problem {
        if self.kind == CONFLICT {
            self.kind = PRECONDITION;
        }
        self
    }

    /// Its name for programs, without what begins all of them.
    pub(crate) fn code(&self) -> &'static str {
        self.kind.name
    }

    /// What it says to people.
    pub(crate) fn detail(&self) -> &str {
        &self.detail
    }

    /// What it says to whoever runs the server.
    pub(crate) fn in_log(&self) -> &str {
        self.in_log.as_deref().unwrap_or(&self.detail)
    }

    /// The status of the answer.
    pub(crate) fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.kind.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// The problem as JSON on one line.
    pub(crate) fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a problem is made of texts and numbers")
    }

    /// The line that ends an NDJSON answer which could not be finished.
    pub(crate) fn to_line(&self) -> Vec<u8> {
        [&b"{\"error\":"[..], &self.to_json(), b"}\n"].concat()
    }
}

impl Serialize for Problem {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("type", &self.kind.urn())?;
        map.serialize_entry("title", self.kind.title)?;
        map.serialize_entry("status", &self.kind.status)?;
        map.serialize_entry("detail", &self.detail)?;
        for (name, value) in &self.members {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let content_type = HeaderValue::from_static("application/problem+json");
        let mut response =
            (self.status(), [(header::CONTENT_TYPE, content_type)], self.to_json()).into_response();
        if self.kind == UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        response.extensions_mut().insert(Told(Arc::new(self)));
        response
    }
}

/// The problem that an answer tells, for those whom the answer passes on its way out.
#[derive(Debug, Clone)]
pub(crate) struct Told(Arc<Problem>);

impl Told {
    /// What it is.
    pub(crate) fn problem(&self) -> &Problem {
        &self.0
    }

    /// The problem as JSON with what its request is called.
    pub(crate) fn to_json_of(&self, request_id: &str) -> Vec<u8> {
        #[derive(Serialize)]
        struct Of<'a> {
            #[serde(flatten)]
            problem: &'a Problem,
            #[serde(rename = "requestId")]
            request_id: &'a str,
        }
        let of = Of { problem: &self.0, request_id };
        serde_json::to_vec(&of).expect("a problem is made of texts and numbers")
    }
}

/// An expected version in a problem: a number, or the word for it.
pub(crate) fn expected_to_json(expected: ExpectedVersion) -> Value {
    match expected {
        ExpectedVersion::Exactly(version) => json!(version),
        word => json!(word.to_string()),
    }
}

impl From<WireError> for Problem {
    fn from(error: WireError) -> Problem {
        let kind = if error.limit.is_some() { TOO_LARGE } else { INVALID };
        let mut problem = Problem::new(kind, error.to_string());
        if let Some(line) = error.line {
            problem = problem.with("line", line);
        }
        if let Some(limit) = error.limit {
            problem = problem.with("limit", limit.name).with("max", limit.max);
        }
        match error.field {
            Some(field) => problem.with("field", field),
            None => problem,
        }
    }
}

impl From<NameError> for Problem {
    fn from(error: NameError) -> Problem {
        Problem::invalid(error.to_string())
    }
}

impl From<AppendError> for Problem {
    fn from(error: AppendError) -> Problem {
        let detail = error.to_string();
        let and = |next: &str| format!("{detail}; {next}");
        match error {
            AppendError::Conflict { stream, expected, actual } => Problem::new(CONFLICT, and(READ_AGAIN))
                .with("stream", stream.as_str())
                .with("expectedVersion", expected_to_json(expected))
                .with("actualVersion", json!(actual)),
            AppendError::Matched { position, stream, event_type, after, .. } => {
                let next = "read what the query finds, decide again, and send it with the position you have read up to";
                Problem::new(MATCHED, and(next))
                    .with("position", json!(position))
                    .with("stream", stream)
                    .with("eventType", event_type)
                    .with("after", json!(after))
            }
            AppendError::IdTaken { stream, id } => {
                Problem::new(DIFFERS, and("give this one another id, or send that append again as it was"))
                    .with("stream", stream.as_str())
                    .with("id", id.to_string())
            }
            AppendError::TooLarge { size, unit, limit, max, .. } => Problem::new(TOO_LARGE, detail)
                .with("limit", limit_name(limit))
                .with("size", size)
                .with("unit", unit)
                .with("max", max),
            AppendError::Gone { stream, version } => gone(&stream, version, Deletion::Hard),
            // Under which name the store knows the key is nothing to the client.
            AppendError::KeyTaken { .. } => Problem::new(
                KEY_REUSED,
                "another request was made under this `Idempotency-Key`, with another body; give this one another key, or \
                 send that one again as it was",
            ),
            AppendError::Invalid { .. } => Problem::invalid(detail),
            AppendError::Store(error) => error.into(),
            _ => Problem::new(INTERNAL, detail),
        }
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Problem {
        let problem = match &error {
            // The directory is the server's own affair; the file's name helps whoever runs it.
            Error::Io { action, path, source } => {
                let file = file_name(path);
                let next = "tell whoever runs the server the `requestId`, which its log names, too";
                Problem::new(INTERNAL, format!("cannot {action} {file}: {source}; {next}"))
            }
            Error::Damaged { path, offset, what } => {
                let file = file_name(path);
                Problem::new(
                    DAMAGED,
                    format!("{file} is damaged at offset {offset}: {what}; run `annals verify`"),
                )
                .with("file", file)
                .with("offset", *offset)
            }
            Error::Failed { reason } => Problem::new(
                FAILED,
                format!(
                    "the store stopped writing after a failure: {reason}; start the server again once the disk is well, \
                     and send again what was not answered"
                ),
            ),
            Error::NoSpace { .. } => Problem::new(NO_SPACE, error.to_string()),
            Error::Warming { missing, seconds } => {
                let problem = Problem::new(WARMING, error.to_string()).with("indexesMissing", *missing);
                Problem { retry_after: Some(*seconds), ..problem }
            }
            Error::Gone { stream, version, deletion } => gone(stream, *version, *deletion),
            Error::ReadOnly => Problem::new(
                READ_ONLY,
                "the server has opened the store for reading only; send this to the server that writes, or start this \
                 one without --read-only",
            ),
            Error::Closed => Problem::new(CLOSED, "the server is shutting down; try again when it is back"),
            Error::Invalid { .. } => Problem::invalid(error.to_string()),
            _ => Problem::new(INTERNAL, error.to_string()),
        };
        Problem { in_log: Some(error.to_string()), ..problem }
    }
}

/// A stream that was deleted.
fn gone(stream: &StreamName, version: StreamVersion, deletion: Deletion) -> Problem {
    let (how, detail) = match deletion {
        Deletion::Hard => (
            "hard",
            format!("stream {stream} was deleted for ever at version {version}; write to another one"),
        ),
        _ => (
            "soft",
            format!("stream {stream} was deleted at version {version}; the next append makes it again"),
        ),
    };
    Problem::new(GONE, detail)
        .with("stream", stream.as_str())
        .with("actualVersion", json!(version))
        .with("deleted", how)
}

impl From<SnapshotError> for Problem {
    fn from(error: SnapshotError) -> Problem {
        let detail = error.to_string();
        match error {
            SnapshotError::Ahead { stream, version, actual } => {
                Problem::new(CONFLICT, format!("{detail}; save one that it has"))
                    .with("stream", stream.as_str())
                    .with("expectedVersion", json!(version))
                    .with("actualVersion", json!(actual))
            }
            SnapshotError::TooLarge { size, max } => Problem::new(TOO_LARGE, detail)
                .with("limit", "snapshotBytesMax")
                .with("size", size)
                .with("unit", "bytes")
                .with("max", max),
            SnapshotError::Store(error) => error.into(),
            _ => Problem::new(INTERNAL, detail),
        }
    }
}

impl From<ImportError> for Problem {
    fn from(error: ImportError) -> Problem {
        let detail = error.to_string();
        match error {
            ImportError::Differs { stream, id, version, .. } => {
                Problem::new(DIFFERS, format!("{detail}; give this one another id"))
                    .with("stream", stream.as_str())
                    .with("eventId", id.to_string())
                    .with("streamVersion", json!(version))
            }
            ImportError::Append(error) => error.into(),
            ImportError::Store(error) => error.into(),
            _ => Problem::new(INTERNAL, detail),
        }
    }
}

/// The name in `GET /limits` of a limit of the store.
fn limit_name(field: &str) -> String {
    let mut name = String::new();
    for (at, word) in field.split('_').enumerate() {
        let (first, rest) = word.split_at(word.len().min(1));
        match at {
            0 => name.push_str(first),
            _ => name.push_str(&first.to_ascii_uppercase()),
        }
        name.push_str(rest);
    }
    name
}

/// What a file is called, without its directory: that is the server's own affair.
pub(crate) fn file_name(path: &std::path::Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

#[cfg(test)]
mod rare;
#[cfg(test)]
mod tests;

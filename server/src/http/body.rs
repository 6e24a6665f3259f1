//! Request bodies: read whole under a limit and a common budget, or passed on piece by piece.
//!
//! Invariant: however many clients send at once, the bodies held in memory stay within the budget.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, BodyDataStream, HttpBody as _};
use axum::extract::Request;
use axum::http::{HeaderMap, header};
use bytes::Bytes;
use futures_core::Stream;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::timeout;

use super::accept::{CLOUD_BATCH, CLOUD_EVENT, JSON, NDJSON, NDJSON_ALIAS};
use super::app::App;
use super::config::BUDGET_UNIT_BYTES;
use super::problem::{self, Problem};
use crate::wire::{BodyKind, decode_value};

/// How much of a body that nobody wants is read.
const DISCARD_BYTES_MAX: u64 = 256 << 20;

/// What bodies of lines are called.
const LINES: [&str; 2] = [NDJSON, NDJSON_ALIAS];

/// How long that may take.
const DISCARD_WAIT_MAX: Duration = Duration::from_secs(30);

/// A limit on a body, by its name in `GET /limits`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BodyLimit {
    pub(crate) name: &'static str,
    pub(crate) bytes_max: u64,
}

/// A body in memory. Dropping it gives its share of the budget back.
pub(crate) struct HeldBody {
    bytes: Bytes,
    _share: OwnedSemaphorePermit,
}

impl HeldBody {
    /// The body. Whoever keeps a part of it keeps all of it in memory, and this with it.
    pub(crate) fn bytes(&self) -> &Bytes {
        &self.bytes
    }
}

/// How the events of a body are written, by its content type; or as a CloudEvent in the binary mode, by its headers, which
/// no web page can set unasked.
pub(crate) fn kind_of(headers: &HeaderMap) -> Result<BodyKind, Problem> {
    let given = media_type(headers);
    match () {
        () if is_one(given, &[CLOUD_EVENT]) => Ok(BodyKind::Cloud),
        () if is_one(given, &[CLOUD_BATCH]) => Ok(BodyKind::CloudBatch),
        () if headers.contains_key("ce-specversion") => cloud_data(headers),
        () if is_one(given, &[JSON]) => Ok(BodyKind::Json),
        () if is_one(given, &LINES) => Ok(BodyKind::Lines),
        () => Err(unsupported(
            given,
            "application/json, application/x-ndjson, application/ndjson, or CloudEvents in any mode",
        )),
    }
}

fn cloud_data(headers: &HeaderMap) -> Result<BodyKind, Problem> {
    let mut attributes = Vec::new();
    for (name, value) in headers {
        if let Some(name) = name.as_str().strip_prefix("ce-") {
            attributes.push((name.to_owned(), decode_value(name, value.as_bytes())?));
        }
    }
    let content_type = match headers.get(header::CONTENT_TYPE) {
        None => None,
        Some(value) => {
            let text = value.to_str().map_err(|_| Problem::invalid("`Content-Type` is not ASCII"))?;
            Some(text.to_owned())
        }
    };
    Ok(BodyKind::CloudData { attributes, content_type })
}

/// Refuses every content type but JSON.
pub(crate) fn require_json(headers: &HeaderMap) -> Result<(), Problem> {
    match media_type(headers) {
        given if is_one(given, &[JSON]) => Ok(()),
        other => Err(unsupported(other, "application/json")),
    }
}

/// Refuses every content type but NDJSON.
pub(crate) fn require_lines(headers: &HeaderMap) -> Result<(), Problem> {
    match media_type(headers) {
        given if is_one(given, &LINES) => Ok(()),
        other => Err(unsupported(other, "application/x-ndjson or application/ndjson")),
    }
}

fn media_type(headers: &HeaderMap) -> Option<&str> {
    let given = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    let (name, _) = given.split_once(';').unwrap_or((given, ""));
    Some(name.trim())
}

fn is_one(given: Option<&str>, of: &[&str]) -> bool {
    given.is_some_and(|given| of.iter().any(|known| known.eq_ignore_ascii_case(given)))
}

fn unsupported(given: Option<&str>, wanted: &str) -> Problem {
    let given = given.unwrap_or("missing").to_ascii_lowercase();
    Problem::new(problem::MEDIA_TYPE, format!("the content type is {given}; send {wanted}"))
}

/// Reads a body whole. One that is too large is refused before it is read, when it says so itself.
pub(crate) async fn read_whole(
    app: &App,
    headers: &HeaderMap,
    body: Body,
    limit: BodyLimit,
) -> Result<HeldBody, Problem> {
    let declared =
        headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if declared.is_some_and(|length| length > limit.bytes_max) {
        return Err(too_large(limit));
    }
    let bytes_max = declared.or(body.size_hint().upper()).unwrap_or(limit.bytes_max).min(limit.bytes_max);
    let share = reserve(app, bytes_max).await?;
    let pieces = Pieces::new(body, app.config.body_wait_max);
    // While it comes, its share of the budget is nobody else's.
    let pace = Duration::from_secs(bytes_max / app.config.body_bytes_per_second_min as u64);
    match timeout(app.config.body_wait_max + pace, keep(pieces, limit, declared.unwrap_or(0))).await {
        Ok(kept) => kept.map(|bytes| HeldBody { bytes, _share: share }),
        Err(_) => Err(too_slow("the body came too slowly for its length")),
    }
}

/// Reads a body of about `declared` bytes. One that comes in a single piece is not copied.
async fn keep(mut pieces: Pieces, limit: BodyLimit, declared: u64) -> Result<Bytes, Problem> {
    let within = |len: usize| if len as u64 > limit.bytes_max { Err(too_large(limit)) } else { Ok(()) };
    let Some(first) = pieces.next().await? else { return Ok(Bytes::new()) };
    within(first.len())?;
    let Some(mut piece) = pieces.next().await? else { return Ok(first) };
    let mut bytes = Vec::with_capacity(usize::try_from(declared).unwrap_or(0));
    bytes.extend_from_slice(&first);
    loop {
        within(bytes.len() + piece.len())?;
        bytes.extend_from_slice(&piece);
        match pieces.next().await? {
            Some(next) => piece = next,
            None => return Ok(bytes.into()),
        }
    }
}

fn too_slow(what: &str) -> Problem {
    Problem::new(problem::TOO_SLOW, format!("{what}; send it faster, or in parts"))
}

fn too_large(limit: BodyLimit) -> Problem {
    let BodyLimit { name, bytes_max } = limit;
    Problem::new(
        problem::TOO_LARGE,
        format!("the body has more than {bytes_max} bytes, the most that {name} allows; send less at a time"),
    )
    .with("limit", name)
    .with("unit", "bytes")
    .with("max", bytes_max)
}

/// Waits until the budget has room for a body.
async fn reserve(app: &App, bytes: u64) -> Result<OwnedSemaphorePermit, Problem> {
    // A budget smaller than one body still lets one through at a time.
    let units = bytes.div_ceil(BUDGET_UNIT_BYTES as u64).min(app.config.body_budget_units() as u64);
    let units = u32::try_from(units).unwrap_or(u32::MAX);
    let share = Arc::clone(&app.body_budget).acquire_many_owned(units).await;
    share.map_err(|_| Problem::new(problem::CLOSED, "the server is shutting down"))
}

/// A body piece by piece.
pub(crate) struct Pieces {
    stream: BodyDataStream,
    wait_max: Duration,
}

impl Pieces {
    pub(crate) fn new(body: Body, wait_max: Duration) -> Pieces {
        Pieces { stream: body.into_data_stream(), wait_max }
    }

    /// The next piece; none at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, Problem> {
        let next = poll_fn(|context| Pin::new(&mut self.stream).poll_next(context));
        match timeout(self.wait_max, next).await {
            Ok(None) => Ok(None),
            Ok(Some(Ok(piece))) => Ok(Some(piece)),
            Ok(Some(Err(error))) => {
                Err(Problem::invalid(format!("the body broke off: {error}; send it whole")))
            }
            Err(_) => {
                let waited = self.wait_max.as_millis();
                Err(too_slow(&format!("no piece of the body came for {waited} ms")))
            }
        }
    }
}

/// Makes sure that what is left of the body when the answer is known is read and thrown away. A connection that is
/// closed while its client still sends may lose the answer that says why.
pub(crate) fn drained(request: Request) -> Request {
    // A client that asked whether to send has not sent yet: reading would tell it to.
    if request.body().is_end_stream() || request.headers().contains_key(header::EXPECT) {
        return request;
    }
    request.map(|body| Body::from_stream(Drained { stream: Some(body.into_data_stream()) }))
}

/// A body that is read to its end also when nobody wants it.
struct Drained {
    stream: Option<BodyDataStream>,
}

impl Stream for Drained {
    type Item = Result<Bytes, axum::Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(stream) = &mut self.stream else { return Poll::Ready(None) };
        let next = ready!(Pin::new(stream).poll_next(context));
        if !matches!(next, Some(Ok(_))) {
            self.stream = None;
        }
        Poll::Ready(next)
    }
}

impl Drop for Drained {
    fn drop(&mut self) {
        if let (Some(stream), Ok(runtime)) = (self.stream.take(), Handle::try_current()) {
            runtime.spawn(timeout(DISCARD_WAIT_MAX, discard(stream)));
        }
    }
}

async fn discard(mut stream: BodyDataStream) {
    let mut left = DISCARD_BYTES_MAX;
    while let Some(Ok(piece)) = poll_fn(|context| Pin::new(&mut stream).poll_next(context)).await {
        match left.checked_sub(piece.len() as u64) {
            Some(less) => left = less,
            None => return,
        }
    }
}

/// Waits for `work`, or for the server to be stopped: then there is no result.
pub(crate) async fn unless_stopping<T>(
    mut stopping: watch::Receiver<bool>,
    work: impl Future<Output = T>,
) -> Option<T> {
    let mut work = pin!(work);
    let mut stopped = pin!(stopping.wait_for(|stopping| *stopping));
    poll_fn(|context| match work.as_mut().poll(context) {
        Poll::Ready(done) => Poll::Ready(Some(done)),
        Poll::Pending => stopped.as_mut().poll(context).map(|_| None),
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn kind(content_type: &'static str) -> Option<BodyKind> {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        kind_of(&headers).ok()
    }

    #[test]
    fn the_content_type_says_how_events_are_written() {
        assert_eq!(kind("application/json"), Some(BodyKind::Json));
        assert_eq!(kind("Application/JSON; charset=utf-8"), Some(BodyKind::Json));
        assert_eq!(kind("application/x-ndjson"), Some(BodyKind::Lines));
    }

    #[test]
    fn what_a_web_form_can_send_is_refused() {
        for content_type in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"] {
            assert_eq!(kind(content_type), None, "{content_type}");
        }
        assert!(kind_of(&HeaderMap::new()).is_err());
    }
}

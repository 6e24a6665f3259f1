//! Answers in gzip, for clients that take it, where that is worth it.
//!
//! Live streams and answers that come as work goes on are left as they are: what is packed is held back until there is enough of it.

use std::io::Write as _;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, HttpBody};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use hyper::body::Frame;
use tokio::task::JoinHandle;

use super::accept::{CLOUD_BATCH, CLOUD_EVENT, JSON, NDJSON};

/// Below it, what is saved is less than what it costs.
const BYTES_MIN: u64 = 1024;

/// Pieces that take longer to pack than the threads that serve connections have.
const BLOCKING_BYTES_MIN: usize = 16 << 10;

/// Media types whose texts repeat themselves. Problems are short.
const PACKED: [&str; 6] = [JSON, NDJSON, CLOUD_EVENT, CLOUD_BATCH, "text/html", "text/plain"];

/// On an answer whose pieces are wanted when they are made.
#[derive(Debug, Clone, Copy)]
pub(super) struct AsItComes;

/// Whether a client takes gzip.
pub(super) fn is_taken(headers: &HeaderMap) -> bool {
    let mut lists = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    let mut any = false;
    for coding in lists.by_ref().flat_map(|list| list.split(',')) {
        let (name, quality) = coding.split_once(';').unwrap_or((coding, ""));
        let quality = quality.trim().strip_prefix("q=").and_then(|quality| quality.parse::<f32>().ok());
        let is_taken = quality.is_none_or(|quality| quality > 0.0);
        match name.trim() {
            name if name.eq_ignore_ascii_case("gzip") => return is_taken,
            "*" => any = is_taken,
            _ => {}
        }
    }
    any
}

/// The answer, packed when that is worth it and its client takes it.
pub(super) fn packed(mut response: Response, is_taken: bool) -> Response {
    if !is_worth_it(&response) {
        return response;
    }
    let headers = response.headers_mut();
    headers.append(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    if !is_taken {
        return response;
    }
    headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    headers.remove(header::CONTENT_LENGTH);
    // Other bytes stand for the same: that is what a weak tag says.
    let weak = headers.get(header::ETAG).filter(|etag| etag.as_bytes().starts_with(b"\""));
    let weak = weak.and_then(|etag| HeaderValue::from_bytes(&[b"W/", etag.as_bytes()].concat()).ok());
    if let Some(weak) = weak {
        headers.insert(header::ETAG, weak);
    }
    response.map(|body| {
        let encoder = GzEncoder::new(Vec::new(), Compression::fast());
        Body::new(Packed { body, state: State::Idle(encoder) })
    })
}

fn is_worth_it(response: &Response) -> bool {
    let media_type = response.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let name = media_type.and_then(|given| given.split(';').next()).unwrap_or_default().trim();
    response.status() != StatusCode::PARTIAL_CONTENT
        && response.body().size_hint().exact().is_none_or(|bytes| bytes >= BYTES_MIN)
        && PACKED.contains(&name)
        && !response.headers().contains_key(header::CONTENT_ENCODING)
        && response.extensions().get::<AsItComes>().is_none()
}

/// A body that is packed as it is taken.
struct Packed {
    body: Body,
    state: State,
}

enum State {
    /// A piece is asked for.
    Idle(GzEncoder<Vec<u8>>),
    Packing(JoinHandle<GzEncoder<Vec<u8>>>),
    /// What came of a piece may be taken.
    Packed(GzEncoder<Vec<u8>>),
    Ended,
}

impl HttpBody for Packed {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = &mut *self;
        loop {
            match std::mem::replace(&mut this.state, State::Ended) {
                State::Ended => return Poll::Ready(None),
                State::Idle(encoder) => match Pin::new(&mut this.body).poll_frame(context) {
                    Poll::Pending => {
                        this.state = State::Idle(encoder);
                        return Poll::Pending;
                    }
                    Poll::Ready(Some(piece)) => {
                        this.state = pack(encoder, piece?.into_data().unwrap_or_default());
                    }
                    Poll::Ready(None) => {
                        let rest = encoder.finish().map_err(axum::Error::new)?;
                        return Poll::Ready(Some(Ok(Frame::data(rest.into()))));
                    }
                },
                State::Packing(mut packing) => match Pin::new(&mut packing).poll(context) {
                    Poll::Pending => {
                        this.state = State::Packing(packing);
                        return Poll::Pending;
                    }
                    Poll::Ready(encoder) => this.state = State::Packed(encoder.map_err(axum::Error::new)?),
                },
                State::Packed(mut encoder) => {
                    let packed = std::mem::take(encoder.get_mut());
                    this.state = State::Idle(encoder);
                    if !packed.is_empty() {
                        return Poll::Ready(Some(Ok(Frame::data(packed.into()))));
                    }
                }
            }
        }
    }
}

/// Packs a piece: a large one on a thread that may take its time.
fn pack(mut encoder: GzEncoder<Vec<u8>>, piece: Bytes) -> State {
    let is_large = piece.len() >= BLOCKING_BYTES_MIN;
    let work = move || {
        encoder.write_all(&piece).expect("writing to memory does not fail");
        encoder
    };
    if is_large { State::Packing(tokio::task::spawn_blocking(work)) } else { State::Packed(work()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn takes(accepted: &'static str) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static(accepted));
        is_taken(&headers)
    }

    #[test]
    fn a_client_takes_what_it_says_and_nothing_else() {
        assert!(!is_taken(&HeaderMap::new()));
        for accepted in ["gzip", "br, GZIP;q=0.5", "*", "deflate, *;q=0.1"] {
            assert!(takes(accepted), "{accepted}");
        }
        for accepted in ["", "br", "identity", "gzip;q=0", "*, gzip;q=0", "*;q=0"] {
            assert!(!takes(accepted), "{accepted}");
        }
    }
}

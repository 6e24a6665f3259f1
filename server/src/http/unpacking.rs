//! Bodies that come in gzip, as what they were before.
//!
//! Promise: a piece is unpacked when it is asked for, and is small, so that whoever counts what comes ends a body that grows
//! without end at its limit, whatever was sent.

use std::io::Write as _;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::body::{Body, HttpBody};
use axum::extract::Request;
use axum::http::{HeaderValue, header};
use bytes::{Buf as _, Bytes};
use flate2::write::MultiGzDecoder;
use hyper::body::{Frame, SizeHint};

use super::problem::{self, Problem};

/// No byte of gzip becomes more than this many.
const RATIO_MAX: u64 = 1032;

/// The request with its body unpacked, when it is packed.
pub(super) fn unpacked(mut request: Request) -> Result<Request, Problem> {
    let mut encodings = request.headers().get_all(header::CONTENT_ENCODING).iter();
    let encoding = match (encodings.next(), encodings.next()) {
        (None, _) => return Ok(request),
        (Some(one), None) => one,
        (Some(_), Some(_)) => return Err(unsupported("more than one")),
    };
    let is = |name: &str| encoding.as_bytes().eq_ignore_ascii_case(name.as_bytes());
    if is("identity") {
        return Ok(request);
    }
    if !is("gzip") && !is("x-gzip") {
        return Err(unsupported(encoding.to_str().unwrap_or("not text")));
    }
    let headers = request.headers_mut();
    headers.remove(header::CONTENT_ENCODING);
    // What it says is the length of what comes, and everything else asks for the length of what is read.
    let length = headers.remove(header::CONTENT_LENGTH).as_ref().and_then(length);
    Ok(request.map(|body| {
        Body::new(Unpacked {
            packed: Some(body),
            decoder: MultiGzDecoder::new(Vec::new()),
            piece: Bytes::new(),
            bytes_max: length.map(|length| length.saturating_mul(RATIO_MAX)),
        })
    }))
}

fn unsupported(encoding: &str) -> Problem {
    let detail = format!("the content encoding is {encoding}; send gzip, or the body as it is");
    Problem::new(problem::MEDIA_TYPE, detail)
}

fn length(value: &HeaderValue) -> Option<u64> {
    value.to_str().ok()?.parse().ok()
}

/// A body in gzip that is read as what it was.
struct Unpacked {
    /// What comes; none behind its end.
    packed: Option<Body>,
    decoder: MultiGzDecoder<Vec<u8>>,
    /// What came and has not been unpacked.
    piece: Bytes,
    bytes_max: Option<u64>,
}

impl Unpacked {
    /// Unpacks some of what came; nothing when more has to come first.
    fn next(&mut self) -> Result<Vec<u8>, axum::Error> {
        while !self.piece.is_empty() {
            // One call unpacks no more than its buffer holds, and says how much of the piece that took.
            let taken = self.decoder.write(&self.piece).map_err(broken)?;
            self.piece.advance(taken);
            if !self.decoder.get_ref().is_empty() {
                break;
            }
            if taken == 0 {
                return Err(broken(std::io::ErrorKind::InvalidData.into()));
            }
        }
        Ok(std::mem::take(self.decoder.get_mut()))
    }
}

fn broken(error: std::io::Error) -> axum::Error {
    axum::Error::new(std::io::Error::new(error.kind(), format!("it is not whole as gzip: {error}")))
}

impl HttpBody for Unpacked {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        loop {
            let unpacked = self.next()?;
            if !unpacked.is_empty() {
                return Poll::Ready(Some(Ok(Frame::data(unpacked.into()))));
            }
            let Some(packed) = &mut self.packed else { return Poll::Ready(None) };
            match ready!(Pin::new(packed).poll_frame(context)?) {
                Some(frame) => self.piece = frame.into_data().unwrap_or_default(),
                None => {
                    self.packed = None;
                    self.decoder.try_finish().map_err(broken)?;
                }
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        let mut hint = SizeHint::new();
        if let Some(bytes_max) = self.bytes_max {
            hint.set_upper(bytes_max);
        }
        hint
    }
}

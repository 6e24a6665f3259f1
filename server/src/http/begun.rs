//! A socket on which something has been read already, and what that tells: which version of HTTP its client speaks.
//!
//! What was read is read again by whoever speaks on it, so nobody notices.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};

/// What a client that speaks HTTP/2 says first.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// How much is read at the beginning at most: a usual request as a whole.
const READ_BYTES: usize = 2048;

/// A socket with its first bytes.
pub(super) struct Begun<S> {
    socket: S,
    first: Vec<u8>,
    /// How many of the first bytes have been read again.
    taken: usize,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Begun<S> {
    /// Reads until it is known what the client speaks.
    pub(super) async fn new(mut socket: S) -> io::Result<Begun<S>> {
        let mut first = Vec::with_capacity(READ_BYTES);
        while PREFACE.starts_with(&first) && first.len() < PREFACE.len() {
            if socket.read_buf(&mut first).await? == 0 {
                break;
            }
        }
        Ok(Begun { socket, first, taken: 0 })
    }

    /// Whether the client speaks HTTP/2.
    pub(super) fn is_http2(&self) -> bool {
        self.first.starts_with(PREFACE)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Begun<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.first.is_empty() {
            return Pin::new(&mut self.socket).poll_read(context, out);
        }
        let left = &self.first[self.taken..];
        let len = left.len().min(out.remaining());
        out.put_slice(&left[..len]);
        self.taken += len;
        if self.taken == self.first.len() {
            self.first = Vec::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Begun<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(context)
    }
}

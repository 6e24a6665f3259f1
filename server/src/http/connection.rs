//! One connection: HTTP/1.1 on a socket whose client has to keep moving.
//!
//! A client that sends no head, or takes nothing of its answer, is dropped after a while: it would hold its place, and the
//! buffers of what it does not take, for as long as it likes.

use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::Router;
use axum::http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};
use tower_service::Service as _;

use super::app::App;
use super::body::unless_stopping;
use super::guard::{HEAD_BYTES_MAX, HEADERS_MAX};

/// Bytes that are read ahead, and bytes that wait to be sent, of one connection. A head that does not fit is refused here,
/// with a bare status; one that fits and is too large gets a problem.
const BUFFER_BYTES_MAX: usize = 2 * HEAD_BYTES_MAX;

/// Serves a connection until its client leaves, or until the server stops and what is under way has been answered.
pub(super) async fn serve_connection(socket: TcpStream, router: Router, app: Arc<App>) {
    // Answers are small and awaited: holding them back to fill a packet would cost each append a delay.
    drop(socket.set_nodelay(true));
    let service = service_fn(move |request: Request<Incoming>| router.clone().call(request));
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(app.config.head_wait_max)
        .max_headers(2 * HEADERS_MAX)
        .max_buf_size(BUFFER_BYTES_MAX);
    let socket = TokioIo::new(Patient::new(socket, app.config.write_wait_max));
    let mut connection = pin!(http.serve_connection(socket, service));
    if unless_stopping(app.stopping.clone(), connection.as_mut()).await.is_none() {
        connection.as_mut().graceful_shutdown();
        // However it ends, it has ended; its client knows more than this side.
        drop(connection.await);
    }
}

/// A socket that is given up when its peer takes nothing for too long.
struct Patient {
    socket: TcpStream,
    wait_max: Duration,
    /// When it is given up, while there is something that the peer does not take.
    until: Option<Pin<Box<Sleep>>>,
}

impl Patient {
    fn new(socket: TcpStream, wait_max: Duration) -> Patient {
        Patient { socket, wait_max, until: None }
    }

    /// The outcome of a write, or the end of patience.
    fn judge(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if written.is_ready() {
            self.until = None;
            return written;
        }
        let until = self.until.get_or_insert_with(|| Box::pin(sleep(self.wait_max)));
        ready!(until.as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Patient {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_read(context, out)
    }
}

impl AsyncWrite for Patient {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write(context, bytes);
        self.judge(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write_vectored(context, slices);
        self.judge(context, written)
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

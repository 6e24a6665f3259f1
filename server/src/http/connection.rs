//! One connection: TLS where there is a certificate, then HTTP/1.1 or HTTP/2, whichever its client speaks.
//!
//! A client that does not end its handshake, sends no head, or takes nothing of its answer, is dropped after a while: it would
//! hold its place, and the buffers of what it does not take, for as long as it likes.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;

use axum::Router;
use axum::http::Request;
use axum::routing::future::RouteFuture;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tower_service::Service as _;

use super::app::App;
use super::begun::Begun;
use super::body::unless_stopping;
use super::guard::{HEAD_BYTES_MAX, HEADERS_MAX};
use super::multiplexed;
use super::patient::Patient;
use super::rate::Peer;

/// Bytes that are read ahead, and bytes that wait to be sent, of one connection. A head that does not fit is refused here,
/// with a bare status; one that fits and is too large gets a problem.
const BUFFER_BYTES_MAX: usize = 2 * HEAD_BYTES_MAX;

/// Answers the requests of one connection.
#[derive(Clone)]
pub(super) struct Service {
    router: Router,
    /// Who asks, where somebody wants to know.
    peer: Option<Peer>,
}

impl Service {
    pub(super) fn call(&self, mut request: Request<Incoming>) -> RouteFuture<Infallible> {
        if let Some(peer) = self.peer {
            request.extensions_mut().insert(peer);
        }
        self.router.clone().call(request)
    }
}

/// Serves a connection until its client leaves, or until the server stops and what is under way has been answered.
pub(super) async fn serve_connection(socket: TcpStream, peer: SocketAddr, router: Router, app: Arc<App>) {
    let service = Service { router, peer: (!app.config.rate.is_none()).then(|| Peer(peer.ip())) };
    // Answers are small and awaited: holding them back to fill a packet would cost each append a delay.
    drop(socket.set_nodelay(true));
    let socket = Patient::new(socket, app.config.write_wait_max);
    // What a connection may come to speak is in a place of its own: each would take the room of the largest of them.
    match &app.tls {
        None => Box::pin(speak(socket, service, app)).await,
        Some(tls) => {
            let greeted = Box::pin(timeout(app.config.handshake_wait_max, tls.acceptor().accept(socket)));
            if let Some(Ok(Ok(socket))) = unless_stopping(app.stopping.clone(), greeted).await {
                Box::pin(speak(socket, service, app)).await;
            }
        }
    }
}

async fn speak<S>(socket: S, service: Service, app: Arc<App>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let begun = timeout(app.config.head_wait_max, Begun::new(socket));
    let Some(Ok(Ok(socket))) = unless_stopping(app.stopping.clone(), begun).await else { return };
    match socket.is_http2() {
        true => Box::pin(multiplexed::serve(socket, service, app)).await,
        false => Box::pin(serve_http1(socket, service, app)).await,
    }
}

async fn serve_http1<S>(socket: Begun<S>, service: Service, app: Arc<App>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |request| service.call(request));
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(app.config.head_wait_max)
        .max_headers(2 * HEADERS_MAX)
        .max_buf_size(BUFFER_BYTES_MAX);
    let mut connection = pin!(http.serve_connection(TokioIo::new(socket), service));
    if unless_stopping(app.stopping.clone(), connection.as_mut()).await.is_none() {
        connection.as_mut().graceful_shutdown();
        // However it ends, it has ended; its client knows more than this side.
        drop(connection.await);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room<A, B, C, D, F>(_: fn(A, B, C, D) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn a_connection_takes_no_room_for_what_its_client_does_not_speak() {
        let room = room(serve_connection);
        assert!(room < 2_500, "{room} bytes; thousands of connections may be open");
    }
}

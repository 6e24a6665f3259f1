//! HTTP/2 on one connection: many requests at once, each bounded as it would be on a connection of its own.
//!
//! A client of HTTP/2 can stop taking one answer while it goes on taking others, and can keep a connection without a request.
//! So it is watched what each answer waits for: one that its client takes nothing of for too long, and a connection
//! without requests, end as they do in HTTP/1.1.

use std::collections::HashMap;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use axum::body::{Body, HttpBody};
use axum::http::{Request, Response};
use bytes::Bytes;
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::sleep_until;

use super::app::App;
use super::begun::Begun;
use super::body::unless_stopping;
use super::connection::Service;
use super::guard::HEAD_BYTES_MAX;

/// The requests under way on one connection. A client is told, and waits by itself.
pub(super) const STREAMS_MAX: u32 = 128;

/// What a client may send of one body, and of all bodies of a connection, before somebody reads it.
const STREAM_WINDOW_BYTES: u32 = 128 << 10;
const CONNECTION_WINDOW_BYTES: u32 = 512 << 10;

/// What is held of one answer until its client takes it.
const SEND_BYTES_MAX: usize = 128 << 10;

/// Headers of one request; beyond [`HEAD_BYTES_MAX`] it gets a problem, beyond this a bare status.
const HEADER_LIST_BYTES_MAX: u32 = 2 * HEAD_BYTES_MAX as u32;

/// Requests that their client has taken back before they were looked at. One more, and the connection ends.
const RESETS_MAX: usize = 20;

/// Requests that were refused for faults of their framing. One more, and the connection ends.
const FAULTS_MAX: usize = 100;

/// Serves a connection until its client leaves or is given up, or until the server stops and what is under way has been
/// answered.
pub(super) async fn serve<S>(socket: Begun<S>, service: Service, app: Arc<App>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let watch = Arc::new(Watch::new());
    let (of_requests, of_app) = (Arc::clone(&watch), Arc::clone(&app));
    let service = service_fn(move |request: Request<Incoming>| {
        answer(request, service.clone(), Arc::clone(&of_app), Watch::begin(&of_requests))
    });
    let mut http = http2::Builder::new(TokioExecutor::new());
    http.timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_send_buf_size(SEND_BYTES_MAX)
        .max_header_list_size(HEADER_LIST_BYTES_MAX)
        .max_pending_accept_reset_streams(RESETS_MAX)
        .max_local_error_reset_streams(FAULTS_MAX);
    let mut connection = pin!(http.serve_connection(TokioIo::new(socket), service));
    let (idle_max, stall_max) = (app.config.head_wait_max, app.config.write_wait_max);
    // However a connection ends, it has ended; its client knows more than this side.
    let served = either(connection.as_mut(), watch.exhausted(idle_max, stall_max));
    let given_up = unless_stopping(app.stopping.clone(), served).await.map(Result::err);
    match given_up {
        Some(None | Some(Exhausted::Stalled)) => {}
        Some(Some(Exhausted::Idle)) => {
            connection.as_mut().graceful_shutdown();
            // It may have begun a request just now; one that has not, and does not leave, is cut off.
            watch.rest();
            drop(either(connection, watch.exhausted(idle_max, stall_max)).await);
        }
        None => {
            connection.as_mut().graceful_shutdown();
            drop(connection.await);
        }
    }
}

/// Waits for the first of two.
async fn either<A, B>(one: impl Future<Output = A>, other: impl Future<Output = B>) -> Result<A, B> {
    let (mut one, mut other) = (pin!(one), pin!(other));
    std::future::poll_fn(|context| match one.as_mut().poll(context) {
        Poll::Ready(done) => Poll::Ready(Ok(done)),
        Poll::Pending => other.as_mut().poll(context).map(Err),
    })
    .await
}

async fn answer(
    request: Request<Incoming>,
    service: Service,
    app: Arc<App>,
    under_way: UnderWay,
) -> Result<Response<Watched>, std::convert::Infallible> {
    // All of them together are as many as there may be connections: each may hold as much as one.
    let place = Arc::clone(&app.streams).acquire_owned().await.expect("nobody closes the semaphore");
    let response = service.call(request).await?;
    Ok(response.map(|body| Watched { body, under_way, _place: place }))
}

/// Why a connection is given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Exhausted {
    /// It has no request.
    Idle,
    /// Its client takes nothing of an answer.
    Stalled,
}

/// What the requests of a connection wait for.
struct Watch(Mutex<Requests>);

struct Requests {
    /// By their numbers: since when each waits for its client to take something, if it does.
    stalled: HashMap<u64, Option<Instant>>,
    next: u64,
    /// Since when there is none.
    idle: Instant,
}

impl Watch {
    fn new() -> Watch {
        Watch(Mutex::new(Requests { stalled: HashMap::new(), next: 0, idle: Instant::now() }))
    }

    fn begin(self: &Arc<Watch>) -> UnderWay {
        let mut requests = self.lock();
        requests.next += 1;
        let number = requests.next;
        requests.stalled.insert(number, None);
        UnderWay { watch: Arc::clone(self), number }
    }

    /// Counts the time without a request from here.
    fn rest(&self) {
        self.lock().idle = Instant::now();
    }

    /// Returns once its client has been waited for long enough.
    async fn exhausted(&self, idle_max: Duration, stall_max: Duration) -> Exhausted {
        loop {
            let now = Instant::now();
            let (at, why) = self.lock().exhausted_at(now, idle_max, stall_max);
            if let (true, Some(why)) = (at <= now, why) {
                return why;
            }
            // What begins from now on ends no sooner than this.
            sleep_until(at.min(now + idle_max.min(stall_max)).into()).await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Requests> {
        // What is locked is whole at every moment.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Requests {
    /// When, and why, the connection is given up if nothing changes; when to look again, if nothing would.
    fn exhausted_at(
        &self,
        now: Instant,
        idle_max: Duration,
        stall_max: Duration,
    ) -> (Instant, Option<Exhausted>) {
        if self.stalled.is_empty() {
            return (self.idle + idle_max, Some(Exhausted::Idle));
        }
        match self.stalled.values().flatten().min() {
            Some(since) => (*since + stall_max, Some(Exhausted::Stalled)),
            None => (now + idle_max.min(stall_max), None),
        }
    }
}

/// A request that has not been answered as a whole.
struct UnderWay {
    watch: Arc<Watch>,
    number: u64,
}

impl UnderWay {
    fn set_stalled(&self, since: Option<Instant>) {
        self.watch.lock().stalled.insert(self.number, since);
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let mut requests = self.watch.lock();
        requests.stalled.remove(&self.number);
        requests.idle = Instant::now();
    }
}

/// A body of which it is known whether its client takes it: a piece is asked for when there is room for it.
struct Watched {
    body: Body,
    under_way: UnderWay,
    _place: OwnedSemaphorePermit,
}

impl HttpBody for Watched {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        self.under_way.set_stalled(None);
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        self.under_way.set_stalled(Some(Instant::now()));
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_is_given_up_for_what_its_client_does_not_do_and_for_nothing_else() {
        let (idle_max, stall_max) = (Duration::from_secs(30), Duration::from_secs(60));
        let watch = Arc::new(Watch::new());
        let now = Instant::now();
        let at = |watch: &Watch| watch.lock().exhausted_at(now, idle_max, stall_max);
        assert_eq!(at(&watch).1, Some(Exhausted::Idle));
        let (one, other) = (Watch::begin(&watch), Watch::begin(&watch));
        assert_eq!(at(&watch), (now + idle_max, None));
        one.set_stalled(Some(now));
        assert_eq!(at(&watch), (now + stall_max, Some(Exhausted::Stalled)));
        one.set_stalled(None);
        drop(one);
        assert_eq!(at(&watch).1, None, "one is still being answered");
        drop(other);
        assert_eq!(at(&watch).1, Some(Exhausted::Idle));
    }
}

//! The server's life: listen, answer, and end without losing what is under way.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use annals::EventStore;
use axum::Router;
use axum::serve::ListenerExt as _;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::timeout;

use super::app::App;
use super::problem::{self, Problem};
use super::{append, guard, import, live, read, snapshots, status, streams};

/// How to serve.
#[derive(Debug, Clone)]
pub(crate) struct ServeConfig {
    /// The address it listens on. On a loopback address, requests for hosts of other names are refused.
    pub(crate) listen: SocketAddr,
    /// Further names that clients on the same machine may call it by. Default: none but the loopback ones.
    pub(crate) hosts: Vec<String>,
    /// The bytes of request bodies held at one time; further requests wait. Default: 256 MiB.
    pub(crate) body_budget_bytes: u64,
    /// How long a body may pause before its request is given up. Default: 30 s.
    pub(crate) body_wait_max: Duration,
    /// The silence after which a live stream says that it is alive. Default: 15 s.
    pub(crate) heartbeat: Duration,
    /// How long requests under way may take to end when the server stops. Default: 10 s.
    pub(crate) stop_wait_max: Duration,
}

impl ServeConfig {
    /// The defaults, on this address.
    pub(crate) fn new(listen: SocketAddr) -> ServeConfig {
        ServeConfig {
            listen,
            hosts: Vec::new(),
            body_budget_bytes: 256 << 20,
            body_wait_max: Duration::from_secs(30),
            heartbeat: Duration::from_secs(15),
            stop_wait_max: Duration::from_secs(10),
        }
    }
}

/// Serves `store` until `shutdown` is done: then no connection is accepted, live streams end, and requests under way
/// are finished. The store stays open: whoever opened it closes it.
pub(crate) async fn serve(
    store: EventStore,
    config: ServeConfig,
    listener: TcpListener,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let stop_wait_max = config.stop_wait_max;
    let (stop, mut stopping) = watch::channel(false);
    let app = Arc::new(App::new(store, config, stopping.clone()));

    // Answers are small and awaited: holding them back to fill a packet would cost each append a delay.
    let listener = listener.tap_io(|connection| drop(connection.set_nodelay(true)));
    let signalled = async move {
        shutdown.await;
        stop.send_replace(true);
    };
    let mut serving =
        tokio::spawn(axum::serve(listener, router(app)).with_graceful_shutdown(signalled).into_future());

    // Fails only when the server's own task is gone, and then joining tells why.
    let _stopped = stopping.wait_for(|stopping| *stopping).await.is_ok();
    match timeout(stop_wait_max, &mut serving).await {
        Ok(joined) => joined?,
        Err(_) => {
            // A reader that does not read must not keep the process alive.
            serving.abort();
            Ok(())
        }
    }
}

/// Every resource behind the checks that all requests pass.
pub(super) fn router(app: Arc<App>) -> Router {
    Router::new()
        .merge(append::router())
        .merge(read::router())
        .merge(live::router())
        .merge(snapshots::router())
        .merge(streams::router())
        .merge(import::router())
        .merge(status::router())
        .fallback(async || Problem::new(problem::NOT_FOUND, "no resource has this path"))
        .method_not_allowed_fallback(async || {
            Problem::new(problem::METHOD, "the `Allow` header names the methods that the resource has")
        })
        .layer(axum::middleware::from_fn_with_state(Arc::clone(&app), guard::check))
        .with_state(app)
}

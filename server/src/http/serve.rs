//! The server's life: listen, answer, and end without losing what is under way.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use annals::EventStore;
use axum::Router;
use axum::middleware::from_fn_with_state;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tracing::{info, warn};

use super::app::App;
use super::attendant::attend;
use super::body::unless_stopping;
use super::config::ServeConfig;
use super::connection::serve_connection;
use super::problem::{self, Problem};
#[cfg(feature = "otlp")]
use super::spans::Spans;
use super::{
    append, import, keeping, live, metrics, openapi, read, snapshots, status, streams, traffic, verifying,
};

/// How long to wait when no connection can be accepted, as when too many files are open.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);

/// Serves `store` until `shutdown` is done: then no connection is accepted, live streams end, and requests under way
/// are finished. The store stays open: whoever opened it closes it.
pub(crate) async fn serve(
    store: EventStore,
    config: ServeConfig,
    listener: TcpListener,
    shutdown: impl Future<Output = ()> + Send + 'static,
) {
    let stop_wait_max = config.http.stop_wait_max;
    let (stop, stopping) = watch::channel(false);
    let app = Arc::new(App::new(store, config, stopping.clone()));
    tokio::spawn(async move {
        shutdown.await;
        stop.send_replace(true);
    });

    tokio::spawn(unless_stopping(stopping.clone(), attend(Arc::clone(&app))));
    let turns = Arc::clone(&app.turns);
    let usher = tokio::spawn(async move { turns.usher().await });
    let router = router(Arc::clone(&app));
    let mut connections = JoinSet::new();
    while let Some((socket, peer, place)) =
        unless_stopping(stopping.clone(), accept(&listener, &app.connections)).await
    {
        let (router, app) = (router.clone(), Arc::clone(&app));
        connections.spawn(async move {
            app.traffic.connections.fetch_add(1, Ordering::Relaxed);
            serve_connection(socket, peer, router, Arc::clone(&app)).await;
            app.traffic.connections.fetch_sub(1, Ordering::Relaxed);
            drop(place);
        });
        while connections.try_join_next().is_some() {}
    }
    drop(listener);
    info!(connections = connections.len(), "the server stops");
    // A reader that does not read must not keep the process alive: those that are left are dropped with the set.
    let all_ended = async { while connections.join_next().await.is_some() {} };
    drop(timeout(stop_wait_max, all_ended).await);
    usher.abort();
    #[cfg(feature = "otlp")]
    if app.spans.is_some() {
        // What it waits for is the collector, and not for long.
        let ended = app.blocking(|app| {
            app.spans.iter().for_each(Spans::end);
            Ok(())
        });
        drop(ended.await);
    }
}

/// The next connection, once there is a place for it.
async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> (TcpStream, SocketAddr, OwnedSemaphorePermit) {
    let place = Arc::clone(places).acquire_owned().await.expect("nobody closes the semaphore");
    loop {
        match listener.accept().await {
            Ok((socket, peer)) => return (socket, peer, place),
            Err(error) if is_its_clients(&error) => {}
            Err(error) => {
                warn!("no connection can be accepted: {error}");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Whether a connection ended before it was accepted: the next one can be tried at once.
fn is_its_clients(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// Every resource behind the checks that all requests pass.
pub(super) fn router(app: Arc<App>) -> Router {
    Router::new()
        .merge(append::router())
        .merge(read::router())
        .merge(live::router())
        .merge(snapshots::router())
        .merge(streams::router())
        .merge(keeping::router())
        .merge(import::router())
        .merge(verifying::router())
        .merge(status::router())
        .merge(metrics::router())
        .merge(openapi::router())
        .fallback(async || Problem::new(problem::NOT_FOUND, "no resource has this path; `GET /docs` shows those that there are"))
        .method_not_allowed_fallback(async || {
            Problem::new(problem::METHOD, "the resource does not have this method; use one that the `Allow` header of this answer names")
        })
        .layer(from_fn_with_state(Arc::clone(&app), traffic::measure))
        .with_state(app)
}

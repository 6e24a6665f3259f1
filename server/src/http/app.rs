//! What every handler shares: the store, the configuration, and what bounds the work done at one time.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use annals::{EventId, EventStore, Options, StreamName};
use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Uri};
use tokio::sync::{Semaphore, watch};

use super::access::{Access, Scope};
use super::answer::header_value;
use super::config::{HttpConfig, ServeConfig};
use super::dialect::{Dialect, Shape};
use super::disk::Disk;
use super::followers::Followers;
use super::places::Places;
use super::problem::{self, Problem};
use super::rate::Rates;
#[cfg(feature = "otlp")]
use super::spans::Spans;
use super::tail::Tails;
use super::tls::Tls;
use super::token::Tokens;
use super::traffic::{TARGET, Traffic};
use super::turns::Turns;
use crate::wire::{EVENT_PARAMS, LIVE_PARAMS, Params, STREAM_PARAMS};

/// Imports that run at one time. Each holds a thread while its body arrives; further ones wait.
pub(crate) const IMPORTS_MAX: usize = 8;

/// The state of the server.
pub(crate) struct App {
    pub(crate) store: EventStore,
    /// The id of its history, which stays the same while it is open.
    pub(crate) history: HeaderValue,
    /// The address it listens on.
    pub(crate) listen: SocketAddr,
    pub(crate) config: HttpConfig,
    /// Who may do what, when anybody is asked.
    pub(crate) tokens: Option<Tokens>,
    /// What it proves its name with, when it speaks TLS.
    pub(crate) tls: Option<Tls>,
    /// What is left for request bodies, in units of [`BUDGET_UNIT_BYTES`].
    pub(crate) body_budget: Arc<Semaphore>,
    /// The imports that may still begin.
    pub(crate) imports: Arc<Semaphore>,
    /// The connections that may still be opened.
    pub(crate) connections: Arc<Semaphore>,
    /// The requests of HTTP/2 that may still be under way.
    pub(crate) streams: Arc<Semaphore>,
    /// The threads that serve connections and may do short work meanwhile.
    pub(crate) places: Arc<Places>,
    /// Whether the store may be verified: one at a time is enough.
    pub(crate) verifying: Arc<Semaphore>,
    /// How the directory of the store is read beside it.
    pub(crate) to_read: Options,
    /// What the store takes of its disk.
    pub(crate) disk: Disk,
    /// Where requests are told as spans, if anywhere.
    #[cfg(feature = "otlp")]
    pub(crate) spans: Option<Spans>,
    /// The live streams.
    pub(crate) followers: Arc<Followers>,
    /// Whose turn it is among them.
    pub(crate) turns: Arc<Turns>,
    /// What was written for those who follow all events, by how, what of each event, and whether blocks have names.
    pub(crate) tails: Tails<(Dialect, Shape, bool)>,
    /// What clients have asked.
    pub(crate) rates: Rates,
    /// Whether the log has a line for each request.
    pub(crate) tells_requests: bool,
    /// How many milliseconds the clock is behind the newest event, when that is worth telling.
    pub(crate) clock_behind_ms: AtomicU64,
    /// The requests so far.
    pub(crate) traffic: Traffic,
    /// Becomes true when the server is asked to stop.
    pub(crate) stopping: watch::Receiver<bool>,
}

impl App {
    pub(crate) fn new(store: EventStore, config: ServeConfig, stopping: watch::Receiver<bool>) -> App {
        let ServeConfig {
            listen,
            http: config,
            tokens,
            tls,
            to_read,
            #[cfg(feature = "otlp")]
            spans,
        } = config;
        let places = |count: usize| Arc::new(Semaphore::new(count.min(Semaphore::MAX_PERMITS)));
        App {
            history: header_value(&store.history().to_string()),
            store,
            listen,
            tokens,
            tls,
            rates: Rates::default(),
            tells_requests: tracing::enabled!(target: TARGET, tracing::Level::INFO),
            clock_behind_ms: AtomicU64::new(0),
            body_budget: places(config.body_budget_units()),
            imports: places(IMPORTS_MAX),
            connections: places(config.connections_max),
            streams: places(config.connections_max),
            places: Arc::new(Places::of_runtime()),
            verifying: places(1),
            to_read,
            disk: Disk::default(),
            #[cfg(feature = "otlp")]
            spans,
            followers: Followers::new(config.subscribers_max),
            turns: Turns::new(),
            tails: Tails::new(),
            traffic: Traffic::new(),
            config,
            stopping,
        }
    }

    /// With the defaults, for tests; `to_read` is how the directory of the store is read beside it.
    #[cfg(test)]
    pub(crate) fn with_defaults(store: EventStore, to_read: Options, stopping: watch::Receiver<bool>) -> App {
        let config = ServeConfig {
            listen: SocketAddr::from((std::net::Ipv4Addr::LOCALHOST, 1)),
            to_read,
            http: HttpConfig::default(),
            tokens: None,
            tls: None,
            #[cfg(feature = "otlp")]
            spans: None,
        };
        App::new(store, config, stopping)
    }

    /// Whether anybody wants to know of which trace a request is part.
    pub(crate) fn tells_of_traces(&self) -> bool {
        #[cfg(feature = "otlp")]
        if self.spans.is_some() {
            return true;
        }
        self.tells_requests
    }

    /// The source of CloudEvents that are events without one.
    pub(crate) fn no_source(&self) -> &str {
        self.config.cloud_events_source.as_str()
    }

    /// Runs work that may wait for the disk, for another thread or for a long computation, on a thread that serves nobody.
    pub(crate) async fn blocking<T: Send + 'static>(
        self: &Arc<App>,
        work: impl FnOnce(&App) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        let app = Arc::clone(self);
        match tokio::task::spawn_blocking(move || work(&app)).await {
            Ok(done) => done,
            Err(error) => {
                Err(Problem::new(problem::INTERNAL, format!("the request's work did not end: {error}")))
            }
        }
    }

    /// The parameters of a request to read, each `history` or one of `known`. A cursor of another history is refused.
    pub(crate) fn asked(&self, uri: &Uri, known: &[&[&str]]) -> Result<Params, Problem> {
        let params = params_of(uri, &[known, &[&["history"]]].concat())?;
        self.check_history(&params)?;
        Ok(params)
    }

    /// The parameters of a request for events of all streams, each one of `known` or a criterion.
    pub(crate) fn asked_with_criteria(
        &self,
        uri: &Uri,
        known: &[&[&str]],
        access: &Access,
    ) -> Result<Params, Problem> {
        let others = &[EVENT_PARAMS, STREAM_PARAMS, LIVE_PARAMS];
        let params = Params::parse_with_criteria(uri.query().unwrap_or_default(), known, others)?;
        self.check_history(&params)?;
        if params.flag("system")? {
            access.check(Scope::Admin)?;
        }
        Ok(params)
    }

    fn check_history(&self, params: &Params) -> Result<(), Problem> {
        let history = self.store.history().to_string();
        match params.one("history")? {
            Some(given) if given != history => Err(Problem::new(
                problem::HISTORY,
                format!(
                    "the store is at history {history}, and the cursor was made in another one; begin again from position 0, and \
                     keep the new history with the new cursor"
                ),
            )
            .with("history", history)),
            _ => Ok(()),
        }
    }
}

/// The parameters of a request, each one of `known`.
pub(crate) fn params_of(uri: &Uri, known: &[&[&str]]) -> Result<Params, Problem> {
    Ok(Params::parse(uri.query().unwrap_or_default(), known)?)
}

/// The stream that a path names.
pub(crate) struct StreamPath(pub(crate) StreamName);

impl<S: Send + Sync> FromRequestParts<S> for StreamPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<StreamPath, Problem> {
        let stream = StreamName::parse(&text_of_path(parts, state).await?)?;
        let access = Access::from_request_parts(parts, state).await?;
        access.check_stream(&stream)?;
        if stream.is_system() {
            access.check(Scope::Admin)?;
        }
        Ok(StreamPath(stream))
    }
}

/// The id of an event that a path names.
pub(crate) struct EventPath(pub(crate) EventId);

impl<S: Send + Sync> FromRequestParts<S> for EventPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<EventPath, Problem> {
        Ok(EventPath(EventId::parse(&text_of_path(parts, state).await?)?))
    }
}

async fn text_of_path<S: Send + Sync>(parts: &mut Parts, state: &S) -> Result<String, Problem> {
    let text = Path::<String>::from_request_parts(parts, state).await;
    let Path(text) = text.map_err(|error| Problem::invalid(format!("the name in the path: {error}")))?;
    Ok(text)
}

impl StreamPath {
    /// The stream, when a client may write to it.
    pub(crate) fn writable(self) -> Result<StreamName, Problem> {
        // Whose streams they are has been checked: this is about those of the store.
        Access::everything().check_writable(&self.0)?;
        Ok(self.0)
    }
}

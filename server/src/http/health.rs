//! How the server is: whether appends are taken, and everything that whoever runs it should look at.
//!
//! Anybody may ask, so nothing here tells of a directory; the log does.

use std::sync::atomic::Ordering;

use annals::Health as StoreHealth;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;

use super::answer;
use super::app::App;
use super::problem::Problem;

/// How the server is.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Health {
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    indexes_missing: Option<u64>,
    /// The first of the reasons, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    reasons: Vec<Reason>,
    #[serde(skip)]
    takes_appends: bool,
}

/// Something that is not as it should be.
#[derive(Debug, Clone, Serialize)]
struct Reason {
    /// For programs; that of a store is the name of the problem that an append meets.
    code: &'static str,
    detail: String,
}

impl Health {
    /// How it is at the moment.
    pub(super) fn of(app: &App) -> Health {
        if *app.stopping.borrow() {
            return Health::new("stopping", false, Vec::new());
        }
        let of_store = app.store.trouble().map(|error| {
            let problem = Problem::from(error);
            Reason { code: problem.code(), detail: problem.detail().to_owned() }
        });
        let takes_appends = of_store.is_none();
        let reasons: Vec<Reason> = of_store.into_iter().chain(of_server(app)).collect();
        match app.store.health() {
            StoreHealth::Warming { missing } if takes_appends => {
                let health = Health::new("warming", false, reasons);
                Health { indexes_missing: Some(missing), ..health }
            }
            _ if reasons.is_empty() => Health::new("ready", true, reasons),
            _ => Health::new("degraded", takes_appends, reasons),
        }
    }

    fn new(status: &'static str, takes_appends: bool, reasons: Vec<Reason>) -> Health {
        let reason = reasons.first().map(|first| first.detail.clone());
        Health { status, indexes_missing: None, reason, reasons, takes_appends }
    }

    /// Ready means that appends are taken; a load balancer that sees another status sends them elsewhere.
    pub(super) fn answer(&self) -> Response {
        let status = if self.takes_appends { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        answer::json(status, self)
    }
}

/// What is wrong with the server, while the store is well.
fn of_server(app: &App) -> impl Iterator<Item = Reason> {
    let kept = |code, what: &str| Reason {
        code,
        detail: format!(
            "the {what} changed and cannot be used: what was read before holds, and the log says why"
        ),
    };
    let tls = app.tls.as_ref().and_then(|tls| tls.trouble());
    let tokens = app.tokens.as_ref().and_then(|tokens| tokens.trouble());
    let behind = app.clock_behind_ms.load(Ordering::Relaxed);
    [
        tls.map(|_| kept("certificate", "files of the certificate")),
        tokens.map(|_| kept("tokens", "file of tokens")),
        (behind > 0).then(|| Reason {
            code: "clock-behind",
            detail: format!(
                "the clock is {behind} ms behind the newest event: commit times stand still until it has caught up"
            ),
        }),
    ]
    .into_iter()
    .flatten()
}

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

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;
    use std::sync::Arc;

    use annals::testkit::{Fault, SimDisk};
    use annals::{Append, Data, EventStore, EventType, ExpectedVersion, NewEvent, Options, StreamName};
    use tokio::sync::watch;

    use super::*;

    fn app(disk: &SimDisk, stopping: watch::Receiver<bool>) -> App {
        let options = || Options::new("store").disk(Arc::new(disk.clone())).background(false);
        let store = EventStore::open(options()).expect("an empty directory");
        App::with_defaults(store, options(), stopping)
    }

    fn append(app: &App) -> bool {
        let stream = StreamName::parse("a").expect("legal");
        let event = NewEvent::new(EventType::parse("t").expect("legal"), Data::json(&1).expect("is JSON"));
        app.store.append(Append::to(stream, ExpectedVersion::Any, [event])).is_ok()
    }

    fn told(app: &App) -> (&'static str, bool, Vec<&'static str>) {
        let health = Health::of(app);
        let codes = health.reasons.iter().map(|reason| reason.code).collect();
        (health.status, health.takes_appends, codes)
    }

    #[test]
    fn a_store_whose_disk_failed_is_degraded_until_it_is_opened_again() {
        let disk = SimDisk::new(1);
        let (stop, stopping) = watch::channel(false);
        let server = app(&disk, stopping.clone());
        assert!(append(&server));
        assert_eq!(told(&server), ("ready", true, vec![]));
        disk.fail_operation(1, Fault::Error(ErrorKind::Other));
        assert!(!append(&server) && !append(&server));
        assert_eq!(told(&server), ("degraded", false, vec!["store-failed"]));
        let reason = Health::of(&server).reason.expect("it is degraded");
        assert!(reason.contains("0000000001.seg") && !reason.contains("store/"), "{reason}");
        drop(server);
        let again = app(&disk, stopping);
        assert_eq!(told(&again), ("ready", true, vec![]));
        stop.send_replace(true);
        assert_eq!(told(&again), ("stopping", false, vec![]));
    }

    #[test]
    fn a_clock_that_is_behind_is_told_while_appends_go_on() {
        let disk = SimDisk::new(1);
        let server = app(&disk, watch::channel(false).1);
        server.clock_behind_ms.store(60_000, Ordering::Relaxed);
        assert_eq!(told(&server), ("degraded", true, vec!["clock-behind"]));
    }
}

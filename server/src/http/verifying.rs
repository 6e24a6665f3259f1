//! `POST /admin/verify`: reads every byte of the store, beside everything else that the server does.
//!
//! One at a time: each reads the whole log, and takes what the disk has from others. One that nobody waits for ends, and so does
//! one that is under way when the server stops.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use annals::{Error, OpenError, VerifyProgress, VerifyReport};
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::Response;
use axum::routing::post;
use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};

use super::accept::{JSON, NDJSON, negotiate};
use super::access::{Access, Scope};
use super::answer::{self, with_type};
use super::app::{App, params_of};
use super::chunks::passed_on;
use super::packing::AsItComes;
use super::paths;
use super::problem::{self, Problem, file_name};
use crate::wire::{Verified, VerifyLine};

/// The shortest time between two lines that tell how far it is.
const PROGRESS_EVERY: Duration = Duration::from_secs(1);

/// When it is worth asking again for the turn that somebody has.
const BUSY_WAIT: Duration = Duration::from_secs(10);

/// Lines that wait for the client.
const LINES_MAX: usize = 4;

pub(crate) fn router() -> Router<Arc<App>> {
    Router::new().route(paths::VERIFY, post(verify))
}

async fn verify(
    State(app): State<Arc<App>>,
    access: Access,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, Problem> {
    access.check(Scope::Admin)?;
    let deep = params_of(&uri, &[&["deep"]])?.flag("deep")?;
    let media_type = negotiate(&headers, &[JSON, NDJSON])?;
    let Ok(turn) = Arc::clone(&app.verifying).try_acquire_owned() else {
        let detail = "the store is being verified already; ask again when that has ended";
        return Err(Problem::new(problem::BUSY, detail).retry_after(BUSY_WAIT));
    };
    let work = Work { app, deep, progress_every: PROGRESS_EVERY, _turn: turn };
    if media_type == NDJSON {
        let (lines, told) = mpsc::channel(LINES_MAX);
        tokio::task::spawn_blocking(move || work.tell(&lines));
        let mut response = with_type(StatusCode::OK, NDJSON, passed_on(told));
        response.extensions_mut().insert(AsItComes);
        return Ok(response);
    }
    let (done, verified) = oneshot::channel();
    tokio::task::spawn_blocking(move || {
        let verified = work.run(|_| !done.is_closed());
        // Whoever has the answer may verify again.
        drop(work);
        // A client that went away is not told.
        drop(done.send(verified));
    });
    let ended = |_| Problem::new(problem::INTERNAL, "the store was not verified to its end; see the log");
    Ok(answer::json(StatusCode::OK, &verified.await.map_err(ended)??))
}

/// One look at everything, on a thread that may wait for the disk.
struct Work {
    app: Arc<App>,
    deep: bool,
    progress_every: Duration,
    /// Whoever has it is the only one.
    _turn: OwnedSemaphorePermit,
}

impl Work {
    /// Looks, for as long as it is wanted, which is asked after each segment.
    fn run(&self, mut is_wanted: impl FnMut(VerifyProgress<'_>) -> bool) -> Result<Verified, Problem> {
        let watch = |progress: VerifyProgress<'_>| match !*self.app.stopping.borrow() && is_wanted(progress) {
            true => ControlFlow::Continue(()),
            false => ControlFlow::Break(()),
        };
        let report = VerifyReport::watched(&self.app.to_read, self.deep, watch).map_err(refused)?;
        match report {
            Some(report) => Ok(Verified::new(&report, self.deep, file_name)),
            None => Err(Problem::new(
                problem::CLOSED,
                "the server is shutting down; verify again when it is back, or the directory itself with `annals verify`",
            )),
        }
    }

    /// Looks, and tells line by line how far it is and at last what was found.
    fn tell(self, lines: &mpsc::Sender<Bytes>) {
        let mut told = Instant::now();
        let verified = self.run(|progress| {
            if told.elapsed() >= self.progress_every {
                told = Instant::now();
                // A client that takes nothing is told of the next one, or of the end.
                drop(lines.try_send(line(&VerifyLine::Progress(progress.into()))));
            }
            !lines.is_closed()
        });
        let last = match verified {
            Ok(verified) => line(&VerifyLine::Summary(verified)),
            Err(problem) => problem.to_line().into(),
        };
        drop(self);
        drop(lines.blocking_send(last));
    }
}

fn line(line: &VerifyLine) -> Bytes {
    let mut line = serde_json::to_vec(line).expect("lines are made of texts and numbers");
    line.push(b'\n');
    line.into()
}

fn refused(error: OpenError) -> Problem {
    match error {
        OpenError::Store(error) => Problem::from(error),
        other => Problem::from(Error::Invalid { what: other.to_string() }),
    }
}

#[cfg(test)]
mod tests {
    use annals::testkit::SimDisk;
    use annals::{Append, Data, EventStore, EventType, ExpectedVersion, NewEvent, Options, StreamName};
    use serde_json::Value;
    use tokio::sync::watch;

    use super::*;

    /// A store of some segments, to be verified with a line after each.
    fn work(stopping: watch::Receiver<bool>) -> Work {
        let disk = Arc::new(SimDisk::new(1));
        let options = || {
            let options = Options::new("store").disk(disk.clone()).background(false);
            options.segment_bytes(annals::SEGMENT_BYTES_MIN)
        };
        let store = EventStore::open(options()).expect("an empty directory");
        let stream = StreamName::parse("a").expect("legal");
        for _ in 0..40 {
            let data = Data::json(&"x".repeat(10_000)).expect("is JSON");
            let event = NewEvent::new(EventType::parse("t").expect("legal"), data);
            store.append(Append::to(stream.clone(), ExpectedVersion::Any, [event])).expect("appended");
        }
        let app = Arc::new(App::with_defaults(store, options(), stopping));
        let turn = Arc::clone(&app.verifying).try_acquire_owned().expect("nobody verifies");
        Work { app, deep: false, progress_every: Duration::ZERO, _turn: turn }
    }

    fn told(work: Work) -> Vec<Value> {
        let (lines, mut told) = mpsc::channel(100);
        work.tell(&lines);
        drop(lines);
        let lines = std::iter::from_fn(|| told.blocking_recv());
        lines.map(|line| serde_json::from_slice(&line).expect("each piece is a line")).collect()
    }

    #[test]
    fn lines_tell_how_far_it_is_and_the_last_what_was_found() {
        let (_stop, stopping) = watch::channel(false);
        let mut lines = told(work(stopping));
        let summary = lines.pop().expect("there is a last line");
        assert_eq!(
            (&summary["summary"]["events"], &summary["summary"]["faults"]),
            (&40.into(), &Value::Array(vec![]))
        );
        let segments = summary["summary"]["segments"].as_u64().expect("a number");
        assert!(segments > 2 && lines.len() as u64 == segments, "{lines:?}");
        for (number, line) in (1..).zip(&lines) {
            let progress = &line["progress"];
            assert_eq!(
                (&progress["segmentsRead"], &progress["segments"]),
                (&Value::from(number), &segments.into())
            );
        }
        assert_eq!(lines.last().expect("some")["progress"]["events"], 40);
    }

    #[test]
    fn it_ends_when_the_server_stops_and_says_so() {
        let (stop, stopping) = watch::channel(false);
        let work = work(stopping);
        stop.send_replace(true);
        let lines = told(work);
        assert_eq!(lines.len(), 1);
        assert_eq!(lines[0]["error"]["type"], "urn:annals:problem:closed");
    }

    #[test]
    fn it_ends_when_nobody_waits_for_it() {
        let (_stop, stopping) = watch::channel(false);
        let work = work(stopping);
        let mut looks = 0;
        let ended = work.run(|_| {
            looks += 1;
            false
        });
        assert!(ended.is_err() && looks == 1);
    }
}

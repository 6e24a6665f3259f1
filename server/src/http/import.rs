//! Importing: a body of any length, one event a line, committed in batches while it arrives.
//!
//! Three parties and two bounded channels: a task takes pieces of the body, a blocking thread makes events of them and
//! imports, and the answer passes on what was committed. Whoever is slow slows the others down, except that a client
//! which sends all before it reads gets fewer, wider result lines instead of a standstill.

use std::sync::Arc;

use annals::{BatchReport, EventStore, ImportReport, Importer, Position};
use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::Response;
use axum::routing::post;
use bytes::Bytes;
use serde::Serialize;
use serde_json::json;
use tokio::sync::mpsc;

use super::accept::NDJSON;
use super::access::Access;
use super::answer::with_type;
use super::app::{App, params_of};
use super::body::{BodyLimit, Pieces, kind_of, read_whole, require_lines, unless_stopping};
use super::chunks::passed_on;
use super::packing::AsItComes;
use super::paths;
use super::problem::{self, Problem};
use crate::wire::{BodyKind, Purpose, WireError, WireEvent, parse_event, parse_events};

/// Pieces of a body that wait to be imported.
const PIECES_MAX: usize = 4;

/// Result lines that wait for the client.
const RESULTS_MAX: usize = 64;

pub(crate) fn router() -> Router<Arc<App>> {
    Router::new().route(paths::IMPORT, post(import))
}

async fn import(
    State(app): State<Arc<App>>,
    access: Access,
    headers: HeaderMap,
    uri: Uri,
    body: Body,
) -> Result<Response, Problem> {
    params_of(&uri, &[])?;
    let kind = import_kind(&headers)?;
    let closed = |_| Problem::new(problem::CLOSED, "the server is shutting down");
    let turn = Arc::clone(&app.imports).acquire_owned().await.map_err(closed)?;
    let (results, lines) = mpsc::channel(RESULTS_MAX);
    let results = Results { lines: results, waiting: None, access };
    if kind == BodyKind::Lines {
        let (pieces_in, pieces) = mpsc::channel(PIECES_MAX);
        let body = Pieces::new(body, app.config.body_wait_max);
        tokio::spawn(pump(Arc::clone(&app), body, pieces_in));
        tokio::task::spawn_blocking(move || {
            let line_bytes_max = app.store.limits().append_bytes_max;
            run(&app.store, line_bytes_max, pieces, results);
            drop(turn);
        });
    } else {
        let limit = BodyLimit { name: "appendBytesMax", bytes_max: app.store.limits().append_bytes_max };
        let body = read_whole(&app, &headers, body, limit).await?;
        let parsed = app.blocking(move |app| {
            let events_max = app.store.limits().append_events_max;
            Ok((parse_events(body.bytes(), &kind, events_max, app.no_source())?.events, body))
        });
        let (events, body) = parsed.await?;
        tokio::task::spawn_blocking(move || {
            run_whole(&app.store, events, results);
            drop(body);
            drop(turn);
        });
    }
    let mut response = with_type(StatusCode::OK, NDJSON, passed_on(lines));
    response.extensions_mut().insert(AsItComes);
    Ok(response)
}

/// How the events are written. CloudEvents have no form that can be read line by line: they are read whole.
fn import_kind(headers: &HeaderMap) -> Result<BodyKind, Problem> {
    match kind_of(headers) {
        Ok(kind) if kind != BodyKind::Json => Ok(kind),
        _ => require_lines(headers).map(|()| BodyKind::Lines),
    }
}

/// Imports events that are all there.
fn run_whole(store: &EventStore, events: Vec<WireEvent>, mut results: Results) {
    let mut importer = store.import();
    for (number, wire) in (1..).zip(events) {
        if let Err(problem) = push(&mut importer, &mut results, number, wire) {
            return results.fail(problem, importer.report());
        }
    }
    finish(importer, results);
}

/// Passes the body on, until it ends, breaks off, or nobody wants more of it.
async fn pump(app: Arc<App>, mut body: Pieces, pieces: mpsc::Sender<Result<Bytes, Problem>>) {
    loop {
        let stopped =
            || Err(Problem::new(problem::CLOSED, "the server is shutting down; import the rest later"));
        let piece = match unless_stopping(app.stopping.clone(), body.next()).await.unwrap_or_else(stopped) {
            Ok(Some(piece)) => Ok(piece),
            Ok(None) => return,
            Err(problem) => Err(problem),
        };
        let broken = piece.is_err();
        if pieces.send(piece).await.is_err() {
            // A bad line has ended the import.
            return;
        }
        if broken {
            return;
        }
    }
}

/// Imports what comes, and tells the client how it went.
fn run(
    store: &EventStore,
    line_bytes_max: u64,
    mut pieces: mpsc::Receiver<Result<Bytes, Problem>>,
    mut results: Results,
) {
    let mut importer = store.import();
    let mut lines = LineSplitter::new(line_bytes_max);
    let mut push = |number: u64, line: &[u8]| push_line(&mut importer, &mut results, number, line);
    let mut imported = Ok(());
    while imported.is_ok() {
        let Some(piece) = pieces.blocking_recv() else {
            imported = lines.finish(&mut push);
            break;
        };
        imported = piece.and_then(|piece| lines.split(&piece, &mut push));
    }
    drop(pieces);
    match imported {
        Ok(()) => finish(importer, results),
        Err(problem) => results.fail(problem, importer.report()),
    }
}

/// Imports one line and reports the batch that it completed. A line is told only of what is wrong with it alone: an
/// error of the batch names the event itself, which may stand further up.
fn push_line(
    importer: &mut Importer,
    results: &mut Results,
    number: u64,
    line: &[u8],
) -> Result<(), Problem> {
    let wire = parse_event(line, Purpose::Import).map_err(|error| error.at_line(number))?;
    push(importer, results, number, wire)
}

fn push(importer: &mut Importer, results: &mut Results, number: u64, wire: WireEvent) -> Result<(), Problem> {
    let stream = wire.stream.ok_or_else(|| {
        WireError::field("stream", "is missing; an imported event names its stream").at_line(number)
    })?;
    results.access.check_writable(&stream).map_err(|problem| problem.with("line", number))?;
    match importer.push(stream, wire.event)? {
        Some(batch) => results.batch(batch),
        None => Ok(()),
    }
}

fn finish(importer: Importer, mut results: Results) {
    let committed = importer.report().clone();
    match importer.finish() {
        Err(error) => results.fail(error.into(), &committed),
        Ok((batch, report)) => {
            let told = batch.map_or(Ok(()), |batch| results.batch(batch));
            if told.is_ok() {
                results.send_last(line_of(&Summary { summary: (&report).into() }));
            }
        }
    }
}

/// How far an import is, or what one of its batches did.
#[derive(Serialize)]
struct Progress {
    lines: u64,
    appended: u64,
    repeated: u64,
    position: Position,
}

#[derive(Serialize)]
struct Summary {
    summary: Progress,
}

impl From<&ImportReport> for Progress {
    fn from(report: &ImportReport) -> Progress {
        let ImportReport { lines, appended, repeated, position, .. } = *report;
        Progress { lines, appended, repeated, position }
    }
}

impl From<&BatchReport> for Progress {
    fn from(batch: &BatchReport) -> Progress {
        let BatchReport { lines, appended, repeated, position, .. } = *batch;
        Progress { lines, appended, repeated, position }
    }
}

/// The lines of the answer.
struct Results {
    lines: mpsc::Sender<Bytes>,
    /// Batches that the client has not been told of, as one.
    waiting: Option<BatchReport>,
    /// What the client may import.
    access: Access,
}

impl Results {
    /// Tells of a batch, or keeps it for later when the client does not read.
    fn batch(&mut self, batch: BatchReport) -> Result<(), Problem> {
        let batch = match self.waiting.take() {
            Some(earlier) => joined(&earlier, batch),
            None => batch,
        };
        match self.lines.try_send(line_of(&Progress::from(&batch))) {
            Ok(()) => Ok(()),
            Err(mpsc::error::TrySendError::Full(_)) => {
                self.waiting = Some(batch);
                Ok(())
            }
            Err(mpsc::error::TrySendError::Closed(_)) => {
                Err(Problem::new(problem::CLOSED, "the client went away; what was committed stays"))
            }
        }
    }

    fn fail(self, problem: Problem, committed: &ImportReport) {
        let problem = problem.with("committed", json!(Progress::from(committed)));
        self.send_last(problem.to_line().into());
    }

    /// Waits for the client, which is all that is left to do. One that went away is not told.
    fn send_last(mut self, line: Bytes) {
        let waiting = self.waiting.take().map(|batch| line_of(&Progress::from(&batch)));
        for line in waiting.into_iter().chain([line]) {
            if self.lines.blocking_send(line).is_err() {
                return;
            }
        }
    }
}

/// Two batches, one after the other, as one.
fn joined(earlier: &BatchReport, mut later: BatchReport) -> BatchReport {
    later.appended += earlier.appended;
    later.repeated += earlier.repeated;
    later
}

fn line_of(value: &impl Serialize) -> Bytes {
    let mut line = serde_json::to_vec(value).expect("numbers can be written");
    line.push(b'\n');
    line.into()
}

/// Cuts pieces into lines. A line that spans pieces is put together; none may be longer than `bytes_max`.
pub(super) struct LineSplitter {
    partial: Vec<u8>,
    number: u64,
    bytes_max: u64,
}

impl LineSplitter {
    pub(super) fn new(bytes_max: u64) -> LineSplitter {
        LineSplitter { partial: Vec::new(), number: 0, bytes_max }
    }

    pub(super) fn split(
        &mut self,
        mut piece: &[u8],
        mut each: impl FnMut(u64, &[u8]) -> Result<(), Problem>,
    ) -> Result<(), Problem> {
        while let Some(at) = piece.iter().position(|byte| *byte == b'\n') {
            let (line, rest) = (&piece[..at], &piece[at + 1..]);
            self.check_len(line.len())?;
            self.number += 1;
            if self.partial.is_empty() {
                each_filled(self.number, line, &mut each)?;
            } else {
                self.partial.extend_from_slice(line);
                each_filled(self.number, &std::mem::take(&mut self.partial), &mut each)?;
            }
            piece = rest;
        }
        self.check_len(piece.len())?;
        self.partial.extend_from_slice(piece);
        Ok(())
    }

    /// The last line, which need not end in a line break.
    pub(super) fn finish(
        &mut self,
        mut each: impl FnMut(u64, &[u8]) -> Result<(), Problem>,
    ) -> Result<(), Problem> {
        each_filled(self.number + 1, &std::mem::take(&mut self.partial), &mut each)
    }

    fn check_len(&self, more: usize) -> Result<(), Problem> {
        if (self.partial.len() + more) as u64 <= self.bytes_max {
            return Ok(());
        }
        let what =
            format!("the line has more than {} bytes, the most that one append may have", self.bytes_max);
        Err(WireError::too_many(what, "appendBytesMax", self.bytes_max).at_line(self.number + 1).into())
    }
}

fn each_filled(
    number: u64,
    line: &[u8],
    each: &mut impl FnMut(u64, &[u8]) -> Result<(), Problem>,
) -> Result<(), Problem> {
    if line.iter().all(u8::is_ascii_whitespace) {
        return Ok(());
    }
    each(number, line)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(pieces: &[&str], bytes_max: u64) -> Result<Vec<(u64, String)>, Problem> {
        let mut lines = Vec::new();
        let mut splitter = LineSplitter::new(bytes_max);
        let mut keep = |number: u64, line: &[u8]| {
            lines.push((number, String::from_utf8_lossy(line).into_owned()));
            Ok(())
        };
        for piece in pieces {
            splitter.split(piece.as_bytes(), &mut keep)?;
        }
        splitter.finish(&mut keep)?;
        Ok(lines)
    }

    #[test]
    fn a_line_is_put_together_from_pieces_and_keeps_its_number() {
        let lines = split(&["ab", "c\n\nd", "e\n", "f"], 10).ok();
        assert_eq!(lines, Some(vec![(1, "abc".into()), (3, "de".into()), (4, "f".into())]));
    }

    #[test]
    fn a_line_that_never_ends_is_refused_before_it_fills_the_memory() {
        assert!(split(&["abc", "de"], 4).is_err());
        assert!(split(&["abcde\n"], 4).is_err());
        assert!(split(&["abc", "d\ne"], 4).is_ok());
    }
}

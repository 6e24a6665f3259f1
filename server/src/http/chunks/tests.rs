//! Long answers: what is made ahead is bounded, ends with its client, and says the same as if it had been made in one piece.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use annals::testkit::SimDisk;
use annals::{Append, Data, EventStore, EventType, ExpectedVersion, NewEvent, Options, StreamName};
use axum::Router;
use axum::body::{HttpBody as _, to_bytes};
use axum::http::{Request, header};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;
use tower_service::Service as _;

use super::*;
use crate::http::app::App;
use crate::http::serve::router;

/// Lines of a thousand bytes, of which it is counted how many were written.
struct Lines {
    written: Arc<AtomicUsize>,
    count: usize,
}

impl Steps for Lines {
    fn write_next(&mut self, out: &mut Vec<u8>) -> bool {
        let number = self.written.load(Ordering::Relaxed);
        if number == self.count {
            return false;
        }
        out.extend_from_slice(format!("{number:999}\n").as_bytes());
        self.written.store(number + 1, Ordering::Relaxed);
        true
    }
}

fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("threads")
}

/// An answer of so many lines, and how many of them were written.
fn answer(runtime: &Runtime, count: usize) -> (Body, Arc<AtomicUsize>) {
    let written = Arc::new(AtomicUsize::new(0));
    let lines = Lines { written: Arc::clone(&written), count };
    let places = runtime.block_on(async { Arc::new(Places::of_runtime()) });
    (begin(lines, Some(places)), written)
}

/// The next piece, waited for.
fn piece(runtime: &Runtime, body: &mut Body) -> Option<Bytes> {
    let next = std::future::poll_fn(|context| Pin::new(&mut *body).poll_frame(context));
    let frame = runtime.block_on(next)?;
    Some(frame.expect("no failure").into_data().expect("no trailers"))
}

#[test]
fn a_short_answer_is_made_by_whoever_asks_for_it_and_no_further_than_it_is_taken() {
    let runtime = runtime();
    let (mut body, written) = answer(&runtime, 1_000);
    assert_eq!(written.load(Ordering::Relaxed), CHUNK_BYTES.div_ceil(1_000));
    piece(&runtime, &mut body).expect("a chunk");
    // What another thread had begun would be done with when the runtime has ended.
    drop(runtime);
    assert_eq!(written.load(Ordering::Relaxed), CHUNK_BYTES.div_ceil(1_000));
}

#[test]
fn of_a_long_answer_no_more_than_a_few_chunks_are_made_ahead() {
    for taken in [2, 3, 4, 5, 7, 20] {
        let runtime = runtime();
        let (mut body, written) = answer(&runtime, 10_000);
        let bytes: usize = (0..taken).map(|_| piece(&runtime, &mut body).expect("a chunk").len()).sum();
        drop(runtime);
        let ahead = written.load(Ordering::Relaxed) - bytes / 1_000;
        assert!(
            ahead <= CHUNKS_AHEAD * LONG_CHUNK_BYTES.div_ceil(1_000),
            "{ahead} lines after {taken} chunks"
        );
    }
}

#[test]
fn beyond_the_places_for_long_answers_one_is_made_as_far_as_it_is_taken() {
    let runtime = runtime();
    let places = runtime.block_on(async { Arc::new(Places::of_runtime()) });
    let taken: Vec<_> = std::iter::from_fn(|| places.take_long_answer()).collect();
    let written = Arc::new(AtomicUsize::new(0));
    let mut body = begin(Lines { written: Arc::clone(&written), count: 1_000 }, Some(places));
    let pieces: Vec<_> = (0..9).map(|_| piece(&runtime, &mut body).expect("a chunk")).collect();
    assert_eq!(written.load(Ordering::Relaxed), pieces.concat().len() / 1_000);
    drop(taken);
    let rest: Vec<_> = std::iter::from_fn(|| piece(&runtime, &mut body)).collect();
    assert_eq!(pieces.concat().len() + rest.concat().len(), 1_000_000);
}

#[test]
fn a_client_that_goes_away_ends_what_is_made_for_it() {
    let runtime = runtime();
    let (mut body, written) = answer(&runtime, 10_000);
    (0..4).for_each(|_| drop(piece(&runtime, &mut body).expect("a chunk")));
    drop(body);
    drop(runtime);
    assert_eq!(Arc::strong_count(&written), 1, "nobody writes");
    assert!(written.load(Ordering::Relaxed) <= (5 + CHUNKS_AHEAD) * LONG_CHUNK_BYTES.div_ceil(1_000));
}

#[test]
fn an_answer_that_cannot_be_made_ends_with_a_failure_behind_what_was_made() {
    struct Fails(usize);
    impl Steps for Fails {
        fn write_next(&mut self, out: &mut Vec<u8>) -> bool {
            self.0 += 1;
            assert!(self.0 < 500, "it fails here");
            out.extend_from_slice(&[b' '; 1_000]);
            true
        }
    }
    let runtime = runtime();
    let places = runtime.block_on(async { Arc::new(Places::of_runtime()) });
    let mut body = begin(Fails(0), Some(places));
    let mut bytes = 0;
    let failure = loop {
        let next = std::future::poll_fn(|context| Pin::new(&mut body).poll_frame(context));
        match runtime.block_on(next).expect("no end before the failure") {
            Ok(frame) => bytes += frame.into_data().expect("no trailers").len(),
            Err(failure) => break failure,
        }
    };
    // Two chunks, and longer ones, of a line too much each.
    assert_eq!(bytes, 2 * 66_000 + (499_000 - 2 * 66_000) / 132_000 * 132_000, "{failure}");
}

#[test]
fn an_answer_of_any_length_is_whole() {
    let runtime = runtime();
    for count in [0, 1, 65, 66, 67, 131, 132, 133, 264, 265, 5_000] {
        let (mut body, _) = answer(&runtime, count);
        let pieces: Vec<_> = std::iter::from_fn(|| piece(&runtime, &mut body)).collect();
        let wanted: String = (0..count).map(|number| format!("{number:999}\n")).collect();
        assert!(pieces.concat() == wanted.as_bytes(), "{count} lines");
    }
}

/// A server over a store of 4,000 events in some segments, of which `damage` says what becomes of the disk before it is opened.
fn served(runtime: &Runtime, damage: impl FnOnce(&SimDisk)) -> (EventStore, Router) {
    let disk = SimDisk::new(1);
    let options = |disk: &SimDisk| {
        let options = Options::new("store").disk(Arc::new(disk.clone())).background(false).prewrite(false);
        options.segment_bytes(annals::SEGMENT_BYTES_MIN)
    };
    let store = EventStore::open(options(&disk)).expect("an empty directory");
    let (stream, event_type) =
        (StreamName::parse("a-1").expect("legal"), EventType::parse("t").expect("legal"));
    for first in (1..=4_000).step_by(100) {
        let data = (first..first + 100).map(|n| Data::json(&format!("event {n}, {n:500}")).expect("is JSON"));
        let events = data.map(|data| NewEvent::new(event_type.clone(), data));
        store.append(Append::to(stream.clone(), ExpectedVersion::Any, events)).expect("appended");
    }
    store.close().expect("closed");
    damage(&disk);
    let store = EventStore::open(options(&disk)).expect("what is damaged is found when it is read");
    let (_, stopping) = watch::channel(false);
    let app = runtime.block_on(async { App::with_defaults(store.clone(), options(&disk), stopping) });
    (store, router(Arc::new(app)))
}

/// The body of a replay of all events.
fn replay(runtime: &Runtime, router: &mut Router) -> Body {
    let request = Request::get("/events").header(header::HOST, "localhost").body(Body::empty());
    let answered = runtime.block_on(router.call(request.expect("a request")));
    let Ok(response) = answered;
    response.into_body()
}

fn rest(runtime: &Runtime, body: Body) -> String {
    let bytes = runtime.block_on(to_bytes(body, usize::MAX)).expect("an end");
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

#[test]
fn damage_in_the_middle_of_a_replay_is_told_behind_all_events_before_it() {
    let runtime = runtime();
    let (_store, mut router) = served(&runtime, |disk| {
        let wanted = format!("event 1777, {:500}", 1777);
        let found =
            disk.paths().into_iter().filter(|path| path.extension().is_some_and(|name| name == "seg"));
        let at = |path: &Path| {
            let bytes = disk.read(path).expect("a file");
            bytes.windows(wanted.len()).position(|window| window == wanted.as_bytes())
        };
        let (path, at) =
            found.filter_map(|path| Some((path.clone(), at(&path)?))).next().expect("it is stored");
        disk.flip_bit(&path, 8 * at as u64 + 3).expect("a file");
    });
    let body = replay(&runtime, &mut router);
    let text = rest(&runtime, body);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 1777);
    assert!(lines[1775].contains("\"event 1776, "), "{}", lines[1775]);
    assert!(
        lines[1776].starts_with("{\"error\":{\"type\":\"urn:annals:problem:damaged\""),
        "{}",
        lines[1776]
    );
}

#[test]
fn a_store_that_is_closed_in_the_middle_of_a_replay_does_not_cut_it() {
    let runtime = runtime();
    let (store, mut router) = served(&runtime, |_| {});
    let mut body = replay(&runtime, &mut router);
    let begin: Vec<_> = (0..3).map(|_| piece(&runtime, &mut body).expect("a chunk")).collect();
    store.close().expect("closed");
    let begin = String::from_utf8(begin.concat()).expect("UTF-8");
    let text = format!("{begin}{}", rest(&runtime, body));
    assert_eq!(text.lines().count(), 4_000);
    assert!(text.lines().zip(1..).all(|(line, n)| line.contains(&format!("\"event {n}, "))));
}

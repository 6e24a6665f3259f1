//! Followers that share what was written: whatever the order in which they are asked, each gets each event once, in order.

use std::convert::Infallible;
use std::pin::Pin;

use annals::testkit::SimDisk;
use annals::{Append, Data, EventStore, EventType, ExpectedVersion, NewEvent, Options, StreamName};
use axum::body::HttpBody as _;
use axum::http::Request;
use tokio::runtime::Runtime;
use tower_service::Service as _;

use super::*;
use crate::http::serve::router;

/// A server in memory, whose followers are asked by hand.
struct Served {
    runtime: Runtime,
    store: EventStore,
    router: Router,
    _stop: watch::Sender<bool>,
}

impl Served {
    fn new() -> Served {
        let disk = Arc::new(SimDisk::new(1));
        let options = || Options::new("store").disk(disk.clone()).background(false).prewrite(false);
        let store = EventStore::open(options()).expect("an empty directory");
        let (stop, stopping) = watch::channel(false);
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let runtime = runtime.expect("threads");
        let app = runtime.block_on(async { App::with_defaults(store.clone(), options(), stopping) });
        Served { runtime, store, router: router(Arc::new(app)), _stop: stop }
    }

    /// Appends so many events; each says which it is.
    fn append(&self, count: u64) {
        let (stream, event_type) =
            (StreamName::parse("a-1").expect("legal"), EventType::parse("t").expect("legal"));
        let first = self.store.head().next().get();
        let data = (first..first + count)
            .map(|n| Data::json(&format!("event {n}, {}", "x".repeat(500))).expect("is JSON"));
        let events = data.map(|data| NewEvent::new(event_type.clone(), data));
        self.store.append(Append::to(stream, ExpectedVersion::Any, events)).expect("appended");
    }

    /// The body of a live answer.
    fn follow(&mut self, path: &str, accept: &str) -> Body {
        let request = Request::get(path).header(header::HOST, "localhost").header(header::ACCEPT, accept);
        let request = request.body(Body::empty()).expect("a request");
        let answered: Result<Response, Infallible> = self.runtime.block_on(self.router.call(request));
        let Ok(response) = answered;
        assert_eq!(response.status(), StatusCode::OK);
        response.into_body()
    }

    /// The next piece that it has without waiting.
    fn piece(&self, body: &mut Body) -> Option<Bytes> {
        let _here = self.runtime.enter();
        match Pin::new(body).poll_frame(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(frame) => {
                Some(frame?.expect("no end by an error").into_data().expect("no trailers follow"))
            }
            Poll::Pending => None,
        }
    }

    /// All that it has without waiting.
    fn all(&self, body: &mut Body) -> String {
        let pieces: Vec<_> = std::iter::from_fn(|| self.piece(body)).collect();
        String::from_utf8(pieces.concat()).expect("UTF-8")
    }
}

/// The events that a text tells of.
fn events_of(text: &str) -> Vec<u64> {
    let numbers = text.split("\"event ").skip(1).map(|rest| rest.split_once(',').expect("more").0);
    numbers.map(|number| number.parse().expect("a number")).collect()
}

const HEAD: &str = "/events/stream?after=head";

#[test]
fn what_was_written_for_one_is_given_to_the_others_as_it_is() {
    let mut served = Served::new();
    let (mut one, mut other) = (served.follow(HEAD, SSE), served.follow(HEAD, SSE));
    served.append(20);
    let first = served.piece(&mut one).expect("there are events");
    let second = served.piece(&mut other).expect("there are events");
    assert_eq!((first.as_ptr(), first.len()), (second.as_ptr(), second.len()));
    assert_eq!(events_of(std::str::from_utf8(&first).expect("UTF-8")), (1..=20).collect::<Vec<_>>());
    assert_eq!((served.piece(&mut one), served.piece(&mut other)), (None, None));
}

#[test]
fn followers_of_different_forms_get_what_each_asked_for() {
    let mut served = Served::new();
    let forms = [
        (HEAD.to_owned(), SSE, "id: 1\nevent: t\ndata: \"event 1"),
        (format!("{HEAD}&named=false"), SSE, "id: 1\ndata: \"event 1"),
        (format!("{HEAD}&envelope=true"), SSE, "id: 1\nevent: t\ndata: {\"id\":"),
        (format!("{HEAD}&envelope=cloudevents"), SSE, "id: 1\nevent: t\ndata: {\"specversion\""),
        (HEAD.to_owned(), NDJSON, "{\"id\":"),
        (format!("{HEAD}&types=other"), SSE, ""),
    ];
    let mut bodies: Vec<Body> = forms
        .iter()
        .flat_map(|form| [form, form])
        .map(|(path, accept, _)| served.follow(path, accept))
        .collect();
    served.append(3);
    for (body, (path, _, begin)) in bodies.iter_mut().zip(forms.iter().flat_map(|form| [form, form])) {
        let text = served.all(body);
        assert!(text.starts_with(begin), "{path}: {text}");
        let wanted = if begin.is_empty() { vec![] } else { vec![1, 2, 3] };
        assert_eq!(events_of(&text), wanted, "{path}");
        // Marks are told to each, whoever wrote the events.
        assert_eq!(text.ends_with("}\n{\"caughtUp\":3}\n"), text.starts_with('{'), "{path}: {text}");
    }
}

#[test]
fn each_gets_each_event_once_and_in_order_whoever_is_asked_first_and_however_late() {
    for seed in 1..=20_u64 {
        let mut served = Served::new();
        let mut followers: Vec<(Body, Vec<u64>)> = Vec::new();
        for (accept, from) in [(SSE, HEAD), (SSE, HEAD), (SSE, HEAD), (NDJSON, HEAD), (NDJSON, HEAD)] {
            followers.push((served.follow(from, accept), Vec::new()));
        }
        served.append(7);
        // Those who come later begin with what was there before.
        for accept in [SSE, NDJSON] {
            followers.push((served.follow("/events/stream", accept), Vec::new()));
        }
        let mut drawn = seed;
        let mut draw = |below: u64| {
            drawn = drawn.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (drawn >> 33) % below
        };
        for _ in 0..200 {
            match draw(4) {
                0 => {
                    let most = if draw(5) == 0 { 400 } else { 5 };
                    served.append(1 + draw(most));
                }
                _ => {
                    let chosen = draw(followers.len() as u64) as usize;
                    let (body, got) = &mut followers[chosen];
                    let piece = served.piece(body).unwrap_or_default();
                    got.extend(events_of(std::str::from_utf8(&piece).expect("events are whole")));
                }
            }
        }
        let head = served.store.head().get();
        for (body, got) in &mut followers {
            got.extend(events_of(&served.all(body)));
            assert!(got.iter().copied().eq(1..=head), "seed {seed}: {got:?} of {head}");
        }
    }
}

#[test]
fn what_was_deleted_since_is_not_given_to_whoever_comes_to_it_later() {
    let mut served = Served::new();
    let (mut one, mut other) = (served.follow(HEAD, SSE), served.follow(HEAD, SSE));
    served.append(20);
    assert_eq!(events_of(&served.all(&mut one)).len(), 20);
    served
        .store
        .delete_stream(&StreamName::parse("a-1").expect("legal"), ExpectedVersion::Any)
        .expect("deleted");
    let text = served.all(&mut other);
    assert_eq!(events_of(&text), Vec::<u64>::new());
    assert!(text.contains("event: annals-skipped\ndata: {\"from\":1,\"to\":20,"), "{text}");
}

#[test]
fn a_store_that_is_closed_ends_all_after_what_was_there() {
    let mut served = Served::new();
    let mut followers = [served.follow(HEAD, SSE), served.follow(HEAD, SSE)];
    served.append(20);
    served.store.close().expect("closed");
    for body in &mut followers {
        assert_eq!(events_of(&served.all(body)).len(), 20);
        let _here = served.runtime.enter();
        let ended = Pin::new(body).poll_frame(&mut Context::from_waker(Waker::noop()));
        assert!(matches!(ended, Poll::Ready(None)));
    }
}

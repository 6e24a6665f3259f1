//! A target for whole requests, given to the router as a connection would: any bytes get an answer that says what it is.
//!
//! No answer blames the server, a refusal is a problem, and what calls itself JSON or lines is that.

use std::convert::Infallible;
use std::future::poll_fn;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use annals::testkit::SimDisk;
use annals::{
    Append, EventId, EventStore, ExpectedVersion, Health, Options, Read, StreamName, StreamVersion,
};
use axum::Router;
use axum::body::Body;
use axum::http::response::Parts;
use axum::http::{Method, Request, Uri, header};
use axum::response::Response;
use bytes::Bytes;
use futures_core::Stream;
use serde::de::IgnoredAny;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;
use tokio::time::timeout;
use tower_service::Service as _;

use super::accept::{CLOUD_BATCH, CLOUD_EVENT, JSON, NDJSON, SSE};
use super::app::App;
use super::config::{HttpConfig, ServeConfig};
use super::exposition::PROMETHEUS;
use super::fuzz::{check_problem, headers_of};
use super::serve::router;
use crate::wire::{Purpose, parse_event};

/// Far longer than any answer takes.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(60);

/// Bytes as one request to a small store.
pub fn http_request(bytes: &[u8]) {
    drop(answered(bytes));
}

/// The answer to the request that the bytes are, checked; none when they are none.
fn answered(bytes: &[u8]) -> Option<Parts> {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    let runtime = RUNTIME.get_or_init(|| {
        Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("threads can be started")
    });
    let request = request_of(bytes)?;
    let method = request.method().clone();
    let store = store();
    let (stop, stopping) = watch::channel(false);
    let listen = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 2662));
    let config = ServeConfig {
        #[cfg(feature = "otlp")]
        spans: None,

        listen,
        http: HttpConfig::default(),
        tokens: None,
        tls: None,
        to_read: Options::new("store"),
    };
    let mut router: Router = router(Arc::new(App::new(store.clone(), config, stopping)));
    let answer = runtime.block_on(async {
        timeout(ANSWER_TIME_MAX, async {
            let Ok(response) = router.call(request).await;
            // A live answer ends, once all that there is has been delivered.
            stop.send_replace(true);
            whole(response).await
        })
        .await
    });
    let (head, body) = answer.expect("every request is answered");
    check(&method, &head, &body);
    assert_eq!(store.health(), Health::Ready);
    let events = store.read(Read::all().system(true)).expect("a legal read");
    let positions = events.map(|event| event.expect("every event is whole").position().get());
    assert!(positions.eq(1..=store.head().get()));
    Some(head)
}

/// A store with a few events and a snapshot: a copy of one that was made once.
fn store() -> EventStore {
    static DISK: OnceLock<SimDisk> = OnceLock::new();
    let open = |disk: SimDisk| {
        let options = Options::new("store").disk(Arc::new(disk)).background(false).prewrite(false);
        EventStore::open(options.segment_bytes(annals::SEGMENT_BYTES_MIN)).expect("nothing is damaged")
    };
    let stream = StreamName::parse("order-1").expect("is legal");
    let disk = DISK.get_or_init(|| {
        let disk = SimDisk::new(0);
        let store = open(disk.clone());
        for (number, json) in crate::wire::fuzz::event_seeds().into_iter().enumerate() {
            let wire = parse_event(json.as_bytes(), Purpose::Append).expect("is legal");
            // The requests bring events with the ids of the seeds.
            let id = EventId::parse(&format!("held-{number}")).expect("is legal");
            let append = Append::to(stream.clone(), ExpectedVersion::Any, [wire.event.id(id)]);
            store.append(append).expect("nothing fails");
        }
        store.close().expect("nothing fails");
        disk
    });
    let store = open(disk.crash_keeping_all());
    store
        .put_snapshot(&stream, StreamVersion::new(2), Bytes::from_static(b"{}"))
        .expect("the version is there");
    store
}

/// The request that the bytes are, as far as they are one. Headers that cannot be are left out.
fn request_of(bytes: &[u8]) -> Option<Request<Body>> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").unwrap_or(bytes.len());
    let (head, body) = (&bytes[..end], bytes.get(end + 4..).unwrap_or_default());
    let mut lines = head.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    let mut words = lines.next()?.split(|byte| *byte == b' ');
    let mut request = Request::new(Body::empty());
    *request.method_mut() = Method::from_bytes(words.next()?).ok()?;
    *request.uri_mut() = Uri::try_from(words.next()?).ok()?;
    *request.headers_mut() = headers_of(lines);
    // Wherever the pieces are cut.
    let step = 1 + bytes.len() % 100;
    let pieces = body.chunks(step).map(Bytes::copy_from_slice).collect::<Vec<_>>().into_iter();
    *request.body_mut() = Body::from_stream(Pieces(pieces));
    Some(request)
}

struct Pieces(std::vec::IntoIter<Bytes>);

impl Stream for Pieces {
    type Item = Result<Bytes, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(self.0.next().map(Ok))
    }
}

async fn whole(response: Response) -> (Parts, Vec<u8>) {
    let (head, body) = response.into_parts();
    let mut stream = body.into_data_stream();
    let mut bytes = Vec::new();
    while let Some(piece) = poll_fn(|context| Pin::new(&mut stream).poll_next(context)).await {
        bytes.extend_from_slice(&piece.expect("an answer does not break off"));
    }
    (head, bytes)
}

fn check(method: &Method, head: &Parts, body: &[u8]) {
    let status = head.status.as_u16();
    assert!(head.headers.contains_key("annals-history"), "{head:?}");
    let content_type = head.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    if method == Method::HEAD || head.headers.contains_key(header::CONTENT_ENCODING) {
        assert!(status < 500, "{head:?}");
        return;
    }
    let is_json = |text: &[u8]| serde_json::from_slice::<IgnoredAny>(text).is_ok();
    match (status, content_type) {
        (400.., content_type) => {
            assert_eq!(content_type, Some("application/problem+json"), "{head:?}");
            check_problem(body, status);
        }
        (204 | 304, _) => assert!(body.is_empty(), "{head:?}"),
        _ if head.headers.contains_key("ce-specversion") => {
            assert!(["ce-id", "ce-source", "ce-type"].iter().all(|name| head.headers.contains_key(*name)));
        }
        (_, Some(JSON | CLOUD_EVENT | CLOUD_BATCH)) => assert!(is_json(body), "{head:?}"),
        (_, Some(NDJSON)) => {
            let lines = body.strip_suffix(b"\n").map(|lines| lines.split(|byte| *byte == b'\n'));
            assert!(body.is_empty() || lines.is_some_and(|mut lines| lines.all(is_json)), "{head:?}");
        }
        (_, Some("text/html; charset=utf-8")) => assert!(body.starts_with(b"<!doctype html>"), "{head:?}"),
        (_, Some(PROMETHEUS)) => {
            assert!(
                std::str::from_utf8(body).is_ok_and(|text| text.starts_with("# HELP annals_")),
                "{head:?}"
            );
        }
        (_, Some(SSE)) => {
            let text = std::str::from_utf8(body).expect("server-sent events are text");
            let known = |line: &str| {
                line.is_empty()
                    || ["id: ", "event: ", "data: ", ":"].iter().any(|start| line.starts_with(start))
            };
            assert!(text.is_empty() || text.ends_with("\n\n"), "{text}");
            assert!(text.split('\n').all(known), "{text}");
        }
        other => panic!("an answer of no kind: {other:?}"),
    }
}

pub(crate) fn seeds() -> Vec<String> {
    let get = [
        "/events?types=order.created&limit=2",
        "/events/order-1?from=1&to=3&direction=backward",
        "/events/order-1/replay?snapshot=true",
        "/events/by-id/held-1?limit=1",
        "/events/by-id/held-0?cloudEvents=binary",
        "/events/order-1/snapshot",
        "/events/stream?live=false&after=1",
        "/events/stream?envelope=true&prefix=order-",
        "/streams?after=0&prefix=o",
        "/streams/order-1",
        "/health/ready",
        "/metrics",
        "/openapi.json",
        "/limits",
        "/events/",
    ];
    let mut accepts = vec!["application/json, */*;q=0.1", "text/event-stream, */*;q=0.5", "*/*"];
    accepts.push("application/cloudevents-batch+json, */*;q=0.5");
    let asked = get.iter().zip(accepts.iter().cycle()).map(|(path, accept)| {
        format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nAccept: {accept}\r\nIf-None-Match: \"4\"\r\n\r\n")
    });
    let sent = |what: &str, headers: &str, body: &str| {
        format!("{what} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/{headers}\r\n\r\n{body}")
    };
    let [events, lines, ..] = &crate::wire::fuzz::events_seeds()[..] else { return Vec::new() };
    let cloud = crate::wire::fuzz::cloud_seeds();
    let transaction = &crate::wire::fuzz::transaction_seeds()[0];
    let posted = [
        sent("POST /events/order-1", "json\r\nIf-Match: \"4\"", events),
        sent("POST /events/order-1?expectedVersion=exists", "x-ndjson", lines),
        sent("POST /events", "json", events),
        sent("POST /transactions", "json", transaction),
        sent("POST /events/order-1", "cloudevents+json", &cloud[0]),
        sent("POST /events", "cloudevents-batch+json", &format!("[{},{}]", cloud[1], cloud[2])),
        sent(
            "POST /events",
            "octet-stream\r\nCE-Specversion: 1.0\r\nCE-Id: a%20b\r\nCE-Type: t.u\r\nCE-Source: \"/x\"\r\nCE-N: 5",
            "x",
        ),
        sent("POST /import", "x-ndjson", &lines.replace("\"type\"", "\"stream\":\"b\",\"type\"")),
        sent("PUT /events/order-1/snapshot?version=3", "json\r\nContent-Length: 9", "{\"a\":[1]}"),
        sent("DELETE /events/order-1/snapshot", "json", ""),
    ];
    asked.chain(posted).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_seed_is_a_request_that_is_granted_so_that_mutations_reach_what_lies_behind() {
        for seed in seeds().iter().filter(|seed| !seed.starts_with("GET /events/ ")) {
            let head = answered(seed.as_bytes()).expect("a seed is a request");
            assert!(head.status.as_u16() < 400, "{seed}: {head:?}");
        }
    }
}

//! HTTP/2: the same answers, with and without TLS, and the same bounds on what a client can make the server hold.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::pin::Pin;
use std::time::Duration;

use hyper::body::{Body as _, Incoming};
use hyper::client::conn::http2::{self, SendRequest};
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::ServerName;
use tokio::runtime::Runtime;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::tls;
use crate::support::Server;

const EVENT: &str = r#"{"type":"t","data":1}"#;

/// Longer than any answer takes.
const WAIT_MAX: Duration = Duration::from_secs(30);

/// A connection, on a runtime of its own.
struct Client {
    runtime: Runtime,
    requests: SendRequest<String>,
    address: String,
    scheme: &'static str,
}

impl Client {
    fn connect(server: &Server) -> Client {
        Client::with(server, None)
    }

    fn with(server: &Server, files: Option<&tls::Files>) -> Client {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let connection = server.connect();
        connection.set_nonblocking(true).expect("a socket need not block");
        let requests = runtime.block_on(async {
            let socket = tokio::net::TcpStream::from_std(connection).expect("a socket");
            let Some(files) = files else { return handshake(socket).await };
            let connector = TlsConnector::from(tls::client(&files.certificate, &["h2", "http/1.1"]));
            let name = ServerName::try_from("localhost").expect("a name");
            let socket = connector.connect(name, socket).await.expect("is trusted");
            assert_eq!(socket.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
            handshake(socket).await
        });
        let scheme = if files.is_some() { "https" } else { "http" };
        Client { runtime, requests, address: server.address().to_owned(), scheme }
    }

    /// Sends a request; its answer is still to come.
    fn begin(
        &self,
        method: &str,
        path: &str,
        body: &str,
    ) -> impl Future<Output = Response<Incoming>> + use<> {
        let uri = format!("{}://{}{path}", self.scheme, self.address);
        let mut request = Request::builder().method(method).uri(uri);
        if !body.is_empty() {
            request = request.header("content-type", "application/json");
        }
        let request = request.body(body.to_owned()).expect("a request");
        let answer = self.requests.clone().send_request(request);
        async { timeout(WAIT_MAX, answer).await.expect("is answered").expect("as it should be") }
    }

    fn send(&self, method: &str, path: &str, body: &str) -> (u16, String) {
        let answer = self.runtime.block_on(self.begin(method, path, body));
        (answer.status().as_u16(), self.rest(answer))
    }

    /// All that is left of an answer.
    fn rest(&self, answer: Response<Incoming>) -> String {
        let mut body = answer.into_body();
        let mut text = Vec::new();
        self.runtime.block_on(async {
            while let Some(piece) = next(&mut body).await {
                text.extend(piece);
            }
        });
        String::from_utf8(text).expect("answers are text")
    }
}

/// The next piece of a body.
async fn next(body: &mut Incoming) -> Option<Vec<u8>> {
    let frame = std::future::poll_fn(|context| Pin::new(&mut *body).poll_frame(context));
    let frame = timeout(WAIT_MAX, frame).await.expect("it goes on")?.expect("it does not break off");
    Some(frame.into_data().map(|data| data.to_vec()).unwrap_or_default())
}

async fn handshake<S>(socket: S) -> SendRequest<String>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let (requests, connection) =
        http2::handshake(TokioExecutor::new(), TokioIo::new(socket)).await.expect("HTTP/2 is spoken");
    tokio::spawn(connection);
    requests
}

/// A connection on which HTTP/2 has begun, with frames made by hand.
struct Raw(TcpStream);

impl Raw {
    /// `window` is how much the client takes of each answer before it says more.
    fn begin(server: &Server, window: u32) -> Raw {
        let mut raw = Raw(server.connect());
        raw.0.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").expect("is sent");
        raw.frame(4, 0, 0, &[&[0, 4][..], &window.to_be_bytes()].concat());
        raw
    }

    fn frame(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let len = u32::try_from(payload.len()).expect("is short").to_be_bytes();
        let head = [&len[1..], &[kind, flags], &stream.to_be_bytes()].concat();
        self.0.write_all(&[head, payload.to_vec()].concat()).expect("is sent");
    }

    /// Asks for a path, as a whole request.
    fn get(&mut self, stream: u32, address: &str, path: &str) {
        // `GET` and `http` stand in the table of RFC 7541; the other two are written out.
        let text = |text: &str| [&[u8::try_from(text.len()).expect("is short")], text.as_bytes()].concat();
        let block = [&[0x82, 0x86, 0x04][..], &text(path), &[0x01], &text(address)].concat();
        self.frame(1, 0x5, stream, &block);
    }

    /// Reads until the server ends the connection; gives the kinds of the frames.
    fn ended(mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        // A reset ends it as well.
        drop(self.0.read_to_end(&mut bytes));
        let (mut kinds, mut left) = (Vec::new(), &bytes[..]);
        while let Some((head, rest)) = left.split_at_checked(9) {
            let len = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
            kinds.push(head[3]);
            left = rest.get(len..).unwrap_or_default();
        }
        kinds
    }
}

#[test]
fn requests_are_answered_as_they_are_over_http_1() {
    let server = Server::start();
    let client = Client::connect(&server);
    let (status, answer) = client.send("POST", "/events/order-1", EVENT);
    assert_eq!(status, 201, "{answer}");
    assert_eq!(client.send("GET", "/events/order-1", ""), (200, server.get("/events/order-1").text()));
    assert_eq!(client.send("GET", "/events/none", "").0, 404);
    assert_eq!(client.send("GET", "/limits", ""), (200, server.get("/limits").text()));
}

#[test]
fn a_client_with_tls_chooses_it_by_name() {
    let files = tls::Files::new();
    let server = files.serve();
    let client = Client::with(&server, Some(&files));
    assert_eq!(client.send("POST", "/events/a", EVENT).0, 201);
    assert!(client.send("GET", "/events/a", "").1.contains("\"streamVersion\":1"));
}

#[test]
fn the_host_that_is_asked_for_is_checked() {
    let server = Server::start();
    let mut client = Client::connect(&server);
    client.address = "evil.example".to_owned();
    let (status, answer) = client.send("GET", "/events", "");
    assert_eq!(status, 403, "{answer}");
    assert!(answer.contains("names another host"), "{answer}");
}

#[test]
fn many_requests_share_a_connection_with_a_live_stream() {
    let server = Server::start();
    let client = Client::connect(&server);
    let live = client.runtime.block_on(client.begin("GET", "/events/stream", ""));
    assert_eq!(live.status(), 200);
    let requests: Vec<_> = (0..50).map(|_| client.begin("POST", "/events/a", EVENT)).collect();
    for request in requests {
        assert_eq!(client.runtime.block_on(request).status(), 201);
    }
    let mut body = live.into_body();
    let mut seen = String::new();
    client.runtime.block_on(async {
        while !seen.contains("id: 50\n") {
            seen.push_str(&String::from_utf8_lossy(&next(&mut body).await.expect("it goes on")));
        }
    });
    assert_eq!(seen.matches("event: t\n").count(), 50);
}

#[cfg(unix)]
#[test]
fn a_live_stream_ends_as_a_whole_when_the_server_stops() {
    let mut server = Server::start();
    server.append("a", EVENT);
    let client = Client::connect(&server);
    let live = client.runtime.block_on(client.begin("GET", "/events/stream", ""));
    server.terminate();
    assert!(client.rest(live).starts_with("id: 1\nevent: t\n"));
    assert!(server.child().wait().expect("the server ends").success());
}

#[test]
fn a_head_beyond_its_limits_is_refused() {
    let server = Server::start();
    let client = Client::connect(&server);
    let (status, problem) = client.send("GET", &format!("/events?types={}", "x".repeat(40 << 10)), "");
    assert_eq!(status, 431, "{problem}");
    assert!(problem.contains("headBytesMax"), "{problem}");
}

#[test]
fn a_connection_without_a_request_is_not_kept_for_ever() {
    let server = Server::configured("[http]\nhead_wait_ms_max = 200\nconnections_max = 1");
    // One that never began, one whose headers never end, one that was answered.
    let silent = Raw::begin(&server, 65_535);
    silent.ended();
    let mut endless = Raw::begin(&server, 65_535);
    endless.frame(1, 0, 1, &[0x82]);
    endless.ended();
    let mut answered = Raw::begin(&server, 65_535);
    answered.get(1, server.address(), "/limits");
    let kinds = answered.ended();
    assert!(kinds.contains(&1) && kinds.contains(&7), "an answer, and GOAWAY: {kinds:?}");
    assert_eq!(server.get("/health/live").status, 200, "their place is free");
}

#[test]
fn requests_beyond_the_most_connections_wait_for_a_place_also_on_one_connection() {
    let server = Server::configured("[http]\nconnections_max = 2");
    let client = Client::connect(&server);
    let follow = || client.runtime.block_on(client.begin("GET", "/events/stream", ""));
    let (first, _second) = (follow(), follow());
    let waits = client.requests.clone().send_request({
        let request = Request::builder().uri(format!("http://{}/limits", server.address()));
        request.body(String::new()).expect("a request")
    });
    let mut waits = std::pin::pin!(waits);
    let early = client.runtime.block_on(async { timeout(Duration::from_millis(300), waits.as_mut()).await });
    assert!(early.is_err(), "there is no place for it");
    drop(first);
    let answered = client.runtime.block_on(async { timeout(WAIT_MAX, waits).await });
    assert_eq!(answered.expect("there is a place").expect("it is answered").status(), 200);
}

#[test]
fn a_client_that_takes_nothing_of_one_answer_loses_its_connection() {
    let server = Server::configured("[http]\nwrite_wait_ms_max = 200\nsubscribers_max = 1");
    server.append("a", EVENT);
    let mut raw = Raw::begin(&server, 0);
    raw.get(1, server.address(), "/events/stream");
    let kinds = raw.ended();
    assert!(kinds.contains(&1), "it was answered: {kinds:?}");
    let follow = || server.open("GET", "/events/stream?after=head", &[], b"");
    crate::support::eventually("its place is free", || follow().status == 200);
}

#[test]
fn a_client_that_takes_back_what_it_asks_for_is_cut_off() {
    let server = Server::start();
    let mut raw = Raw::begin(&server, 65_535);
    let mut frames = Raw::begin(&server, 65_535);
    frames.get(1, server.address(), "/limits");
    for number in 0..2_000 {
        let stream = 2 * number + 1;
        let text = |text: &str| [&[u8::try_from(text.len()).expect("is short")], text.as_bytes()].concat();
        let block = [&[0x82, 0x86, 0x04][..], &text("/events"), &[0x01], &text(server.address())].concat();
        let len = u32::try_from(block.len()).expect("is short").to_be_bytes();
        let id = u32::to_be_bytes(stream);
        let asked = [&len[1..], &[1, 5], &id, &block, &[0, 0, 4, 3, 0], &id, &[0, 0, 0, 8]].concat();
        if raw.0.write_all(&asked).is_err() {
            break;
        }
    }
    let kinds = raw.ended();
    assert!(kinds.contains(&7), "GOAWAY: {kinds:?}");
    assert_eq!(server.get("/health/live").status, 200);
}

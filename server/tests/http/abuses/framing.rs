//! Requests whose ends are told in two ways, or in none.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use super::{EVENT, goes_on};
use crate::support::{Answer, Server};

/// A server that waits for the rest of a request no longer than a test may.
fn impatient() -> Server {
    Server::configured("[http]\nhead_wait_ms_max = 300\nbody_wait_ms_max = 300\n")
}

/// Sends bytes and reads all that comes back until the server has had enough.
fn exchange(server: &Server, bytes: &[u8]) -> String {
    let mut connection = server.connect();
    send(&mut connection, bytes)
}

fn send(connection: &mut TcpStream, bytes: &[u8]) -> String {
    // Longer than the server waits: it may still read what it does not want when it has answered.
    connection.set_read_timeout(Some(Duration::from_secs(5))).expect("a timeout can be set");
    // A server that refuses closes perhaps before it has read everything; what it said is there all the same.
    drop(connection.write_all(bytes));
    let mut answer = Vec::new();
    drop(connection.read_to_end(&mut answer));
    String::from_utf8_lossy(&answer).into_owned()
}

fn statuses(answers: &str) -> Vec<&str> {
    answers.split("HTTP/1.1 ").skip(1).filter_map(|answer| answer.get(..3)).collect()
}

fn head(server: &Server, method: &str, path: &str, headers: &[&str]) -> String {
    let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
    format!("{method} {path} HTTP/1.1\r\nHost: {}\r\n{headers}\r\n", server.address())
}

/// The head of an append with these headers.
fn append(server: &Server, headers: &[&str]) -> String {
    head(server, "POST", "/events/a", &[&["Content-Type: application/json"], headers].concat())
}

/// A request that hides in the body of another one.
const HIDDEN: &str = "POST /events/hidden HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 21\r\n\r\n{\"type\":\"t\",\"data\":1}";

#[test]
fn a_body_with_two_lengths_is_refused_and_hides_no_request() {
    let server = impatient();
    let (long, chunks) = (HIDDEN.len() + 5, format!("0\r\n\r\n{HIDDEN}"));
    for headers in [
        &["Content-Length: 21", "Content-Length: 0"][..],
        &["Content-Length: 21, 0"],
        &["Content-Length: 5", &format!("Content-Length: {long}")],
        &["Content-Length: +5"],
        &["Content-Length: -1"],
        &["Content-Length: 0x15"],
        &["Content-Length: 5 5"],
        &["Content-Length: 18446744073709551616"],
        &["Transfer-Encoding: chunked", &format!("Content-Length: {long}")],
        &["Content-Length: 5", "Transfer-Encoding: chunked"],
        &["Transfer-Encoding: xchunked"],
        &["Transfer-Encoding: chunked, identity"],
        &["Transfer-Encoding: identity", "Content-Length: 5"],
        &["Transfer-Encoding: chunked", "Transfer-Encoding: identity"],
        &["Transfer-Encoding : chunked"],
        &["Transfer-Encoding:\u{b}chunked"],
        &["Content-Length : 5"],
        &[" Content-Length: 5"],
        &["X: 1\nTransfer-Encoding: chunked", &format!("Content-Length: {long}")],
    ] {
        let answers = exchange(&server, format!("{}{chunks}", append(&server, headers)).as_bytes());
        let statuses = statuses(&answers);
        assert!(
            statuses.len() <= 1 && statuses.iter().all(|status| *status == "400"),
            "{headers:?}: {answers}"
        );
    }
    server.get("/events/hidden").problem(404);
    server.get("/events/a").problem(404);
    goes_on(&server);
}

#[test]
fn chunks_that_are_none_are_refused_and_hide_no_request() {
    let server = impatient();
    for body in [
        format!("0x15\r\n{EVENT}\r\n0\r\n\r\n"),
        format!("+15\r\n{EVENT}\r\n0\r\n\r\n"),
        format!("-1\r\n{EVENT}\r\n0\r\n\r\n"),
        format!("ffffffffffffffff1\r\n{EVENT}\r\n0\r\n\r\n"),
        format!("fffffffffffffffe\r\n{EVENT}"),
        format!("\r\n{EVENT}\r\n0\r\n\r\n"),
        format!("15\n{EVENT}\n0\n\n"),
        format!("14\r\n{EVENT}\r\n0\r\n\r\n"),
        format!("15\r\n{EVENT}0\r\n\r\n"),
        format!("15 {}\r\n{EVENT}\r\n0\r\n\r\n", "x".repeat(100_000)),
        format!("15;a={}\r\n{EVENT}\r\n0\r\n\r\n", "x".repeat(100_000)),
    ] {
        let answers = exchange(
            &server,
            format!("{}{body}{HIDDEN}", append(&server, &["Transfer-Encoding: chunked"])).as_bytes(),
        );
        assert!(
            statuses(&answers).iter().all(|status| ["400", "408"].contains(status)),
            "{}: {answers}",
            &body[..body.len().min(60)]
        );
    }
    server.get("/events/hidden").problem(404);
    server.get("/events/a").problem(404);
    goes_on(&server);
}

#[test]
fn trailers_say_nothing() {
    let server = impatient();
    let chunked = append(&server, &["Transfer-Encoding: chunked", "Trailer: If-Match, Content-Length"]);
    let body =
        format!("15\r\n{EVENT}\r\n0\r\nIf-Match: \"9\"\r\nContent-Length: 5\r\nHost: evil.example\r\n\r\n");
    assert_eq!(statuses(&exchange(&server, format!("{chunked}{body}").as_bytes())), ["201"]);
    let many: String = (0..1_000).map(|n| format!("X-{n}: {}\r\n", "y".repeat(1_000))).collect();
    let body = format!("15\r\n{EVENT}\r\n0\r\n{many}\r\n");
    let answers = exchange(&server, format!("{chunked}{body}").as_bytes());
    assert!(statuses(&answers).iter().all(|status| *status == "400"), "{answers}");
    goes_on(&server);
}

#[test]
fn requests_that_are_sent_at_once_are_answered_in_turn() {
    let server = impatient();
    let mut requests = String::new();
    for n in 0..100 {
        let event = format!(r#"{{"type":"t","data":{n}}}"#);
        requests += &append(&server, &[&format!("Content-Length: {}", event.len())]);
        requests += &event;
        requests += &head(&server, "GET", &format!("/events/a?from={}", n + 1), &[]);
    }
    requests += &head(&server, "GET", "/limits", &["Connection: close"]);
    let answers = exchange(&server, requests.as_bytes());
    let mut wanted = ["201", "200"].repeat(100);
    wanted.push("200");
    assert_eq!(statuses(&answers), wanted);
    let versions: Vec<u64> = server
        .get("/events/a")
        .lines()
        .iter()
        .map(|event| event["data"].as_u64().expect("a number"))
        .collect();
    assert!(versions.into_iter().eq(0..100));
}

#[test]
fn a_request_that_is_cut_at_any_byte_appends_nothing() {
    let server = impatient();
    let by_length = format!("{}{EVENT}", append(&server, &[&format!("Content-Length: {}", EVENT.len())]));
    let by_chunks = format!("{}15\r\n{EVENT}\r\n0\r\n\r\n", append(&server, &["Transfer-Encoding: chunked"]));
    for request in [by_length.as_bytes(), by_chunks.as_bytes()] {
        for cut in 0..request.len() {
            let mut connection = server.connect();
            connection.write_all(&request[..cut]).expect("a part of a request is sent");
            connection.shutdown(Shutdown::Write).expect("the rest is not");
            let answers = send(&mut connection, b"");
            assert!(statuses(&answers).iter().all(|status| *status == "400"), "cut at {cut}: {answers}");
        }
    }
    server.get("/events/a").problem(404);
    for request in [by_length, by_chunks] {
        assert_eq!(statuses(&exchange(&server, request.as_bytes())), ["201"]);
    }
}

#[test]
fn a_request_that_comes_byte_by_byte_is_a_request() {
    let server = Server::start();
    let request = format!(
        "{}15\r\n{EVENT}\r\n0\r\n\r\n",
        append(&server, &["Transfer-Encoding: chunked", "Connection: close"])
    );
    let mut connection = server.connect();
    connection.set_nodelay(true).expect("can be set");
    for byte in request.as_bytes() {
        connection.write_all(&[*byte]).expect("a byte is sent");
    }
    assert_eq!(Answer::read(connection).status, 201);
}

#[test]
fn what_is_no_request_is_refused() {
    let server = impatient();
    for bytes in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
        b"GET /version\r\n\r\n",
        b"GET  /version HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /version HTTP/9.9\r\nHost: localhost\r\n\r\n",
        b"GET /version HTTP/1.1\r\nHost: localhost\r\nX\r\n\r\n",
        b"GET /version HTTP/1.1\r\nHost: localhost\r\nX: a\0b\r\n\r\n",
        b"GET /version HTTP/1.1\r\nHost: localhost\r\nX: a\rb\r\n\r\n",
        b"GET /version HTTP/1.1\r\nHost: localhost\r\n: b\r\n\r\n",
        b"GET /ver\0sion HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /v\xff HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"\0\0\0\0\r\n\r\n",
    ] {
        let answers = exchange(&server, bytes);
        let refused = |status: &&str| ["400", "404"].contains(status);
        assert!(statuses(&answers).iter().all(refused), "{:?}: {answers}", String::from_utf8_lossy(bytes));
    }
    for (request, status) in [
        ("GET /version HTTP/1.1\r\n\r\n", "403"),
        ("GET /version HTTP/1.1\r\nHost: evil.example\r\n\r\n", "403"),
        ("GET /version HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n", "400"),
        ("GET http://evil.example/version HTTP/1.1\r\nHost: localhost\r\n\r\n", "403"),
        ("GET http://localhost@evil.example/version HTTP/1.1\r\nHost: localhost\r\n\r\n", "403"),
        ("GET http://localhost/version HTTP/1.1\r\nHost: evil.example\r\n\r\n", "200"),
        ("GET http://localhost/version HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n", "400"),
        ("CONNECT evil.example:80 HTTP/1.1\r\nHost: localhost\r\n\r\n", "403"),
        ("CONNECT localhost:80 HTTP/1.1\r\nHost: localhost\r\n\r\n", "404"),
        ("TRACE /version HTTP/1.1\r\nHost: localhost\r\n\r\n", "405"),
        ("OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n", "404"),
    ] {
        assert_eq!(statuses(&exchange(&server, request.as_bytes())), [status], "{request}");
    }
    goes_on(&server);
}

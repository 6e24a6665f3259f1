//! Spans: a collector is told of each request, as a part of the trace that it names.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::sync::mpsc::{Sender, channel};

use crate::support::{JSON, Server};

const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// Takes one batch of spans.
fn collect(connection: TcpStream, batches: &Sender<(String, Vec<u8>)>) {
    let mut connection = BufReader::new(connection);
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if connection.read_line(&mut line).unwrap_or(0) == 0 {
            return;
        }
        if let Some(given) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = given.trim().parse().expect("a length");
        }
        if line == "\r\n" {
            break;
        }
        head.push_str(&line);
    }
    let mut body = vec![0; length];
    connection.read_exact(&mut body).expect("the body is whole");
    let answer = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    connection.get_mut().write_all(answer).expect("is sent");
    drop(batches.send((head, body)));
}

fn has(body: &[u8], wanted: &[u8]) -> bool {
    body.windows(wanted.len()).any(|window| window == wanted)
}

#[cfg(unix)]
#[test]
fn a_request_is_told_as_a_span_of_its_trace_when_the_server_ends_at_the_latest() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let collector = format!("http://{}", listener.local_addr().expect("has an address"));
    let (batches, told) = channel();
    std::thread::spawn(move || {
        listener.incoming().flatten().for_each(|connection| collect(connection, &batches))
    });
    let dir = tempfile::tempdir().expect("a directory");
    let command = Command::new(env!("CARGO_BIN_EXE_annals"));
    let mut server = Server::start_with(dir.path(), command, &["--otlp", &collector]);
    let headers = [JSON, ("traceparent", TRACE), ("X-Request-Id", "req-9")];
    let body = br#"{"type":"t","data":"secret-data"}"#;
    assert_eq!(server.send("POST", "/events/secret-stream", &headers, body).status, 201);
    server.terminate();
    assert!(server.child().wait().expect("the server ends").success());
    let (head, body) = told.recv().expect("a batch was sent");
    assert!(
        head.starts_with("POST /v1/traces HTTP/1.1") && head.contains("application/x-protobuf"),
        "{head}"
    );
    let trace = u128::from_str_radix(&TRACE[3..35], 16).expect("hexadecimal").to_be_bytes();
    let parent = u64::from_str_radix(&TRACE[36..52], 16).expect("hexadecimal").to_be_bytes();
    assert!(has(&body, &trace) && has(&body, &parent), "it is part of the trace");
    for said in ["POST /events/{stream}", "annals", "req-9", "http.response.status_code"] {
        assert!(has(&body, said.as_bytes()), "{said}");
    }
    assert!(!has(&body, b"secret"), "no name of a stream, and no data");
}

#[test]
fn a_collector_that_is_not_there_costs_no_request_anything() {
    let dir = tempfile::tempdir().expect("a directory");
    let command = Command::new(env!("CARGO_BIN_EXE_annals"));
    let server = Server::start_with(dir.path(), command, &["--otlp", "http://127.0.0.1:9"]);
    for _ in 0..20 {
        server.append("a", r#"{"type":"t","data":1}"#);
    }
}

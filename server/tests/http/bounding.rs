//! What a client can make the server hold, and for how long: places, memory and patience all end.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::support::{Answer, Server, eventually};

const EVENT: &str = r#"{"type":"t","data":1}"#;

/// Long enough that an answer which was possible would have come.
const A_MOMENT: Duration = Duration::from_millis(300);

/// The head of an append of `length` bytes.
fn append_head(server: &Server, length: usize) -> String {
    let address = server.address();
    format!(
        "POST /events/a HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\n\r\n"
    )
}

/// Says the beginning of something, and no more.
fn begun(server: &Server, text: &str) -> TcpStream {
    let mut connection = server.connect();
    connection.write_all(text.as_bytes()).expect("the beginning is sent");
    connection
}

/// Whether nothing has been answered for a moment.
fn is_waiting(connection: &TcpStream) -> bool {
    let usual = connection.read_timeout().expect("a timeout can be read");
    connection.set_read_timeout(Some(A_MOMENT)).expect("a timeout can be set");
    let waits = connection
        .peek(&mut [0])
        .is_err_and(|error| matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut));
    connection.set_read_timeout(usual).expect("a timeout can be set");
    waits
}

#[test]
fn a_head_that_does_not_end_is_not_waited_for_for_ever() {
    let server = Server::configured("[http]\nhead_wait_ms_max = 200");
    for begin in ["", "GET /events HTTP/1.1\r\nHost: "] {
        let mut connection = begun(&server, begin);
        assert_eq!(connection.read(&mut [0; 64]).expect("the connection is closed, not reset"), 0, "{begin}");
    }
    assert_eq!(server.get("/health/live").status, 200);
}

#[test]
fn a_head_beyond_its_limits_is_refused_with_the_limit() {
    let server = Server::start();
    let long = "x".repeat(40 << 10);
    let problem = server.send("GET", "/events", &[("X-Long", &long)], b"").problem(431);
    assert_eq!((problem["limit"].as_str(), problem["max"].as_u64()), (Some("headBytesMax"), Some(32 << 10)));
    let problem = server.get(&format!("/events?types={long}")).problem(431);
    assert_eq!(problem["limit"], "headBytesMax");
    let many = vec![("X-Many", "x"); 120];
    assert_eq!(server.send("GET", "/events", &many, b"").problem(431)["limit"], "headersMax");
    // What is far beyond them does not fit into the connection's buffer either.
    let longer = "x".repeat(200 << 10);
    assert_eq!(server.send("GET", "/events", &[("X-Long", &longer)], b"").status, 431);
}

#[test]
fn a_body_that_pauses_is_given_up() {
    let server = Server::configured("[http]\nbody_wait_ms_max = 200");
    let answer = Answer::read(begun(&server, &format!("{}{{", append_head(&server, 10))));
    assert_eq!(answer.status, 408);
    assert_eq!(server.append("a", EVENT).status, 201);
}

#[test]
fn a_body_that_comes_byte_by_byte_is_given_up() {
    let server = Server::configured("[http]\nbody_wait_ms_max = 400\nbody_bytes_per_second_min = 1000000000");
    let mut connection = begun(&server, &append_head(&server, 16 << 20));
    connection.set_nonblocking(true).expect("a socket need not block");
    // It never pauses, and would take minutes.
    while connection.peek(&mut [0]).is_err_and(|error| error.kind() == ErrorKind::WouldBlock) {
        let sent = connection.write(b" ");
        assert!(sent.is_ok_and(|sent| sent == 1), "the server reads on until it has answered");
        std::thread::yield_now();
    }
    connection.set_nonblocking(false).expect("a socket can block");
    assert_eq!(Answer::read(connection).status, 408);
}

#[test]
fn a_body_waits_until_the_budget_of_all_bodies_has_room_for_it() {
    let server = Server::configured("[http]\nbody_budget_bytes = 65536");
    let asks = |length| {
        begun(&server, &append_head(&server, length).replacen("\r\n", "\r\nExpect: 100-continue\r\n", 1))
    };
    // A client is told to go on when its body has been given its share.
    let may_send = |connection: &mut TcpStream| {
        let mut told = [0; 25];
        connection.read_exact(&mut told).expect("the client is told to go on");
        assert_eq!(&told, b"HTTP/1.1 100 Continue\r\n\r\n");
    };
    let send = |mut connection: TcpStream, length| {
        let mut body = EVENT.as_bytes().to_vec();
        body.resize(length, b' ');
        connection.write_all(&body).expect("the body is sent");
        assert_eq!(Answer::read(connection).status, 201);
    };
    let mut first = asks(40 << 10);
    may_send(&mut first);
    let mut second = asks(30 << 10);
    assert!(is_waiting(&second), "there is no room for both");
    send(first, 40 << 10);
    may_send(&mut second);
    send(second, 30 << 10);
    // Larger than the budget, and the only one: it may come.
    let mut third = asks(100 << 10);
    may_send(&mut third);
    send(third, 100 << 10);
}

#[test]
fn a_connection_beyond_the_most_that_there_may_be_waits_for_a_place() {
    let server = Server::configured("[http]\nconnections_max = 2");
    let stream = |n: u64| {
        let answer = server.open("GET", "/events/stream", &[], b"");
        assert_eq!(answer.status, 200, "connection {n}");
        answer
    };
    let (first, _second) = (stream(1), stream(2));
    let third = begun(&server, &format!("GET /limits HTTP/1.1\r\nHost: {}\r\n\r\n", server.address()));
    assert!(is_waiting(&third));
    drop(first);
    assert_eq!(Answer::read(third).status, 200);
}

#[test]
fn a_follower_beyond_the_most_that_there_may_be_is_refused_until_one_leaves() {
    let server = Server::configured("[http]\nsubscribers_max = 1\nheartbeat_ms = 20");
    let first = server.open("GET", "/events/stream", &[], b"");
    assert_eq!(first.status, 200);
    let refused = server.get("/events/stream");
    assert_eq!(refused.header("retry-after"), Some("1"));
    let problem = refused.problem(503);
    assert_eq!((problem["limit"].as_str(), problem["max"].as_u64()), (Some("subscribersMax"), Some(1)));
    assert_eq!(server.get("/limits").json()["subscribersMax"], 1);
    drop(first);
    eventually("its place is free", || server.open("GET", "/events/stream", &[], b"").status == 200);
}

/// A follower that takes nothing of what there is, which is more than the buffers of both sides of a socket hold.
fn never_reading(server: &Server) -> TcpStream {
    let event = format!(r#"{{"type":"t","data":"{}"}}"#, "x".repeat(3 << 20));
    for _ in 0..8 {
        server.append("a", &event);
    }
    let follow = format!("GET /events/stream HTTP/1.1\r\nHost: {}\r\n\r\n", server.address());
    let never_reads = begun(server, &follow);
    assert!(!is_waiting(&never_reads), "it is being sent what there is");
    never_reads
}

#[test]
fn a_follower_that_never_reads_loses_its_place() {
    let server = Server::configured("[http]\nsubscribers_max = 1\nwrite_wait_ms_max = 200");
    let never_reads = never_reading(&server);
    let follow = || server.open("GET", "/events/stream?after=head", &[], b"");
    eventually("its place is free", || follow().status == 200);
    drop(never_reads);
}

#[cfg(unix)]
#[test]
fn a_server_that_is_asked_to_stop_does_not_wait_for_ever_for_who_never_reads() {
    let mut server = Server::configured("[http]\nstop_wait_ms_max = 200");
    let never_reads = never_reading(&server);
    server.terminate();
    assert!(server.child().wait().expect("the server ends").success());
    drop(never_reads);
}

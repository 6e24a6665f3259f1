//! What somebody who means harm may send: each of it is refused or taken for what it is, and the server goes on.
//!
//! `docs/http.md` has a table of all that was tried. What holds places and memory is in `bounding`.

mod framing;
mod injection;
mod json;
mod names;

use std::io::Write as _;

use crate::support::Server;

const EVENT: &str = r#"{"type":"t","data":1}"#;

#[test]
fn one_who_never_reads_holds_up_nobody() {
    let server = Server::start();
    let large = format!(r#"{{"type":"t","data":"{}"}}"#, "x".repeat(3 << 20));
    for _ in 0..8 {
        server.append("large", &large);
    }
    // More than the buffers of both sides of a socket hold, and none of it is ever read.
    let never_read: Vec<_> = ["/events", "/events/large", "/events/stream", "/events/large/replay"]
        .into_iter()
        .map(|path| {
            let mut connection = server.connect();
            let request = format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", server.address());
            connection.write_all(request.as_bytes()).expect("a request is sent");
            connection
        })
        .collect();
    let mut follower = server.open("GET", "/events/stream?after=head", &[], b"");
    for n in 9..60 {
        server.append("small", EVENT);
        assert_eq!(follower.block()[0], format!("id: {n}"));
    }
    goes_on(&server);
    drop(never_read);
}

/// Checks that the server still does what it is for.
fn goes_on(server: &Server) {
    assert_eq!(server.get("/health/ready").status, 200);
    server.append("still-there", EVENT);
}

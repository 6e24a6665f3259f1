//! `POST /admin/verify`: a look at every byte while the server is at work.

use std::process::Command;

use crate::support::{AS_LINES, Server};
#[cfg(unix)]
use crate::support::{eventually, head};

#[test]
fn a_whole_store_has_no_faults_and_is_appended_to_meanwhile() {
    let server = Server::start();
    for n in 0..50 {
        server.append(&format!("s-{}", n % 5), r#"{"type":"t","data":1}"#);
    }
    let verified = server.send("POST", "/admin/verify", &[], b"");
    assert_eq!(verified.status, 200, "{}", verified.text());
    let found = verified.json();
    assert_eq!((&found["events"], &found["faultsLeftOut"]), (&50.into(), &0.into()));
    assert_eq!(found["faults"], serde_json::json!([]));
    assert_eq!(found["streams"], serde_json::Value::Null);
    assert_eq!(server.send("POST", "/admin/verify?deep=true", &[], b"").json()["streams"], 5);
    server.send("POST", "/admin/verify?depth=1", &[], b"").problem(400);
    server.append("s-1", r#"{"type":"t","data":1}"#);
}

#[test]
fn lines_end_with_what_json_says() {
    let server = Server::start();
    server.append("a", r#"{"type":"t","data":1}"#);
    let as_json = server.send("POST", "/admin/verify?deep=true", &[], b"").json();
    let as_lines = server.send("POST", "/admin/verify?deep=true", &[AS_LINES], b"");
    assert_eq!(as_lines.header("content-type"), Some("application/x-ndjson"));
    let last = as_lines.lines().pop().expect("there is a last line");
    assert_eq!(last, serde_json::json!({"summary": as_json}));
    server.send("POST", "/admin/verify", &[("Accept", "text/html")], b"").problem(406);
}

#[test]
fn damage_is_told_with_its_place_and_without_the_directory() {
    let dir = tempfile::tempdir().expect("a directory");
    let server = Server::start_on(dir.path(), Command::new(env!("CARGO_BIN_EXE_annals")));
    let event = format!(r#"{{"type":"t","data":"{}"}}"#, "x".repeat(20_000));
    for _ in 0..20 {
        server.append("a", &event);
    }
    let segment = dir.path().join("log/0000000001.seg");
    let mut bytes = std::fs::read(&segment).expect("a segment");
    bytes[100_000] ^= 1;
    let file = std::fs::OpenOptions::new().write(true).open(&segment).expect("a segment");
    #[cfg(unix)]
    std::os::unix::fs::FileExt::write_all_at(&file, &bytes[100_000..100_001], 100_000).expect("is written");
    let text = server.send("POST", "/admin/verify", &[], b"").text();
    let found: serde_json::Value = serde_json::from_str(&text).expect("is JSON");
    let fault = &found["faults"][0];
    assert_eq!(fault["file"], "0000000001.seg", "{text}");
    assert!(fault["offset"].as_u64().is_some_and(|offset| offset <= 100_000), "{text}");
    assert!(!text.contains(dir.path().to_str().expect("is text")), "{text}");
}

#[cfg(unix)]
#[test]
fn work_that_waits_for_its_disk_for_ever_does_not_keep_the_server_from_ending() {
    use std::io::{Read as _, Write as _};

    let dir = tempfile::tempdir().expect("a directory");
    let mut server = Server::start_on(dir.path(), Command::new(env!("CARGO_BIN_EXE_annals")));
    server.append("a", r#"{"type":"t","data":1}"#);
    // Whoever opens it to read waits for somebody who writes.
    let pipe = dir.path().join("log/0000000002.seg");
    assert!(Command::new("mkfifo").arg(&pipe).status().expect("mkfifo runs").success());
    let mut connections = [server.connect(), server.connect()];
    for connection in &mut connections {
        let head = head(server.address(), "POST", "/admin/verify", &[], 0);
        connection.write_all(head.as_bytes()).expect("a request is sent");
        connection.set_nonblocking(true).expect("a socket need not block");
    }
    let mut answer = [0; 12];
    eventually("one of them is refused because of the other", || {
        connections.iter_mut().any(|connection| connection.read_exact(&mut answer).is_ok())
    });
    assert_eq!(&answer, b"HTTP/1.1 503");
    server.terminate();
    assert!(server.child().wait().expect("the server ends").success());
}

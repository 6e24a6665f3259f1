//! Gzip, both ways: what is packed says the same, and no body grows beyond its limit by it.

use std::io::{Read, Write};

use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;

use crate::support::{AS_LINES, AS_PAGE, JSON, NDJSON, Reply, Server};

const GZIP: (&str, &str) = ("Content-Encoding", "gzip");
const TAKES_GZIP: (&str, &str) = ("Accept-Encoding", "gzip, deflate");

fn packed(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).expect("memory can be written to");
    encoder.finish().expect("memory can be written to")
}

fn unpacked(reply: &Reply) -> Vec<u8> {
    let mut bytes = Vec::new();
    MultiGzDecoder::new(&reply.body[..]).read_to_end(&mut bytes).expect("is gzip");
    bytes
}

fn event(bytes: usize) -> String {
    format!(r#"{{"type":"t","data":"{}"}}"#, "x".repeat(bytes))
}

#[test]
fn an_answer_of_any_length_says_the_same_in_gzip() {
    let server = Server::start();
    let many: Vec<String> = (0..3000).map(|n| format!(r#"{{"type":"t","data":"number {n}"}}"#)).collect();
    server.append("many", &format!("[{}]", many.join(",")));
    server.append("large", &event(1 << 20));
    for (path, accept) in [
        ("/events", AS_LINES),
        ("/events/many?limit=100", AS_PAGE),
        ("/events/large", AS_LINES),
        ("/events/many/replay", AS_LINES),
        ("/openapi.json", AS_PAGE),
        ("/docs", ("Accept", "*/*")),
        ("/metrics", ("Accept", "*/*")),
    ] {
        let plain = server.send("GET", path, &[accept], b"");
        let reply = server.send("GET", path, &[accept, TAKES_GZIP], b"");
        assert_eq!(reply.header("content-encoding"), Some("gzip"), "{path}");
        assert!(reply.body.len() < plain.body.len(), "{path}");
        if path != "/metrics" {
            assert_eq!(unpacked(&reply), plain.body, "{path}");
        }
        for reply in [&plain, &reply] {
            let vary = reply.headers().filter(|(name, _)| *name == "vary").map(|(_, value)| value);
            assert!(vary.collect::<Vec<_>>().contains(&"Accept-Encoding"), "{path}");
        }
    }
}

#[test]
fn what_is_short_or_comes_as_it_is_made_is_left_as_it_is() {
    let server = Server::start();
    server.append("a", &event(5000));
    let plain = |method: &str, path: &str, headers: &[(&str, &str)], body: &str| {
        let reply = server.send(method, path, &[&[TAKES_GZIP], headers].concat(), body.as_bytes());
        assert!(reply.status < 300 || reply.status == 404, "{path}: {}", reply.text());
        assert_eq!(reply.header("content-encoding"), None, "{path}");
    };
    plain("GET", "/version", &[], "");
    plain("GET", "/events/none", &[], "");
    plain("GET", "/events/stream?live=false", &[], "");
    plain("GET", "/events/stream?live=false", &[AS_LINES], "");
    plain("POST", "/import", &[NDJSON], r#"{"stream":"b","type":"t","data":1}"#);
}

#[test]
fn a_tag_of_an_answer_in_gzip_is_weak_and_good_for_reading_and_appending() {
    let server = Server::start();
    server.append("a", &event(5000));
    let reply = server.send("GET", "/events/a", &[TAKES_GZIP], b"");
    assert_eq!(reply.header("etag"), Some("W/\"1\""));
    assert_eq!(server.get("/events/a").header("etag"), Some("\"1\""));
    let again = server.send("GET", "/events/a", &[TAKES_GZIP, ("If-None-Match", "W/\"1\"")], b"");
    assert_eq!(again.status, 304);
    let append = |tag| server.send("POST", "/events/a", &[JSON, ("If-Match", tag)], event(1).as_bytes());
    assert_eq!(append("W/\"1\"").status, 201);
    assert_eq!(append("W/\"1\"").problem(412)["actualVersion"], 2);
}

#[test]
fn a_body_in_gzip_is_taken_wherever_bodies_are() {
    let server = Server::start();
    let sent = event(100_000);
    let reply = server.send("POST", "/events/a", &[JSON, GZIP], &packed(sent.as_bytes()));
    assert_eq!(reply.status, 201, "{}", reply.text());
    assert_eq!(server.get("/events/a").lines()[0]["data"].as_str().map(str::len), Some(100_000));
    // Members one behind the other are one body.
    let (begin, end) = sent.split_at(50);
    let members = [packed(begin.as_bytes()), packed(end.as_bytes())].concat();
    assert_eq!(server.send("POST", "/events/b", &[JSON, GZIP], &members).status, 201);
    let lines = "{\"stream\":\"c\",\"type\":\"t\",\"data\":1}\n".repeat(2000);
    let reply = server.send("POST", "/import", &[NDJSON, GZIP], &packed(lines.as_bytes()));
    assert_eq!(reply.lines().last().expect("a summary")["summary"]["appended"], 2000);
    let plain = server.send("POST", "/events/d", &[JSON, ("Content-Encoding", "identity")], sent.as_bytes());
    assert_eq!(plain.status, 201);
}

#[test]
fn a_body_that_grows_beyond_its_limit_is_refused_and_the_server_does_not_grow_with_it() {
    let server = Server::start();
    // A gigabyte of blanks before the event, in a megabyte.
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    for _ in 0..1024 {
        encoder.write_all(&[b' '; 1 << 20]).expect("memory can be written to");
    }
    encoder.write_all(event(1).as_bytes()).expect("memory can be written to");
    let bomb = encoder.finish().expect("memory can be written to");
    assert!(bomb.len() < 2 << 20);
    let problem = server.send("POST", "/events/a", &[JSON, GZIP], &bomb).problem(413);
    assert_eq!(problem["limit"], "appendBytesMax");
    let many = vec![("Content-Encoding", "gzip"); 2];
    let twice = server.send("POST", "/events/a", &[&[JSON][..], &many].concat(), &packed(&bomb));
    assert_eq!(twice.status, 415);
    assert_eq!(server.get("/events/a").status, 404);
    if let Ok(status) = std::fs::read_to_string(format!("/proc/{}/status", server.pid())) {
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB"));
        let peak: u64 = peak.expect("it is told").trim().parse().expect("a number");
        assert!(peak < 200 << 10, "{peak} kB");
    }
}

#[test]
fn what_is_no_gzip_and_what_is_packed_otherwise_is_refused_with_the_reason() {
    let server = Server::start();
    let refused = |body: &[u8]| {
        let problem = server.send("POST", "/events/a", &[JSON, GZIP], body).problem(400);
        let detail = problem["detail"].as_str().expect("a text").to_owned();
        assert!(detail.contains("gzip"), "{detail}");
    };
    let whole = packed(event(5000).as_bytes());
    refused(event(1).as_bytes());
    refused(&whole[..whole.len() - 5]);
    refused(&[&whole[..], b"more"].concat());
    let mut wrong = whole.clone();
    let at = wrong.len() - 6;
    wrong[at] ^= 1;
    refused(&wrong);
    for encoding in ["br", "zstd", "gzip, gzip"] {
        let headers = [JSON, ("Content-Encoding", encoding)];
        let problem = server.send("POST", "/events/a", &headers, &whole).problem(415);
        assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains("send gzip")), "{problem}");
    }
    assert_eq!(server.get("/events/a").status, 404);
}

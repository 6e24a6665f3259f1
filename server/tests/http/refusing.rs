//! What is refused, each with a problem that says what and where.

use crate::support::{JSON, NDJSON, Server};

const EVENT: &str = r#"{"type":"t","data":1}"#;

#[test]
fn what_is_not_an_event_is_refused_by_line_and_field() {
    let server = Server::start();
    let long = "x".repeat(256);
    for (body, field) in [
        (r#"{"data":1}"#.to_owned(), "type"),
        (r#"{"type":"t"}"#.to_owned(), "data"),
        (r#"{"type":"","data":1}"#.to_owned(), "type"),
        (format!(r#"{{"type":"{long}","data":1}}"#), "type"),
        (r#"{"type":"t","data":1,"kind":"x"}"#.to_owned(), "kind"),
        (r#"{"type":"t","data":1,"position":1}"#.to_owned(), "position"),
        (r#"{"type":"t","data":1,"stream":"b"}"#.to_owned(), "stream"),
        (r#"[{"type":"t","data":1},{"type":5,"data":1}]"#.to_owned(), "[1].type"),
    ] {
        assert_eq!(server.post("/events/a", &body).problem(400)["field"], field, "{body}");
    }
    let lines =
        server.send("POST", "/events/a", &[NDJSON], format!("{EVENT}\n{{}}\n").as_bytes()).problem(400);
    assert_eq!((lines["line"].as_u64(), lines["field"].as_str()), (Some(2), Some("type")));
    server.get("/events/a").problem(404);
}

#[test]
fn a_body_that_is_not_json_is_refused_with_its_line() {
    let server = Server::start();
    for body in ["{", "nonsense", "{\"type\":\"t\",\"data\":{]}", "[{\"type\":\"t\",\"data\":1}"] {
        assert_eq!(server.post("/events/a", body).problem(400)["line"], 1, "{body}");
    }
    server.post("/events/a", "").problem(400);
    server.post("/events/a", "[]").problem(400);
}

#[test]
fn a_stream_name_that_is_none_is_refused() {
    let server = Server::start();
    let long = "x".repeat(256);
    for path in ["/events/", "/events/%00", "/events/%2E%2E", "/events/$settings", &format!("/events/{long}")]
    {
        server.post(path, EVENT).problem(400);
    }
    assert_eq!(
        server.post("/events", r#"{"type":"t","data":1,"stream":""}"#).problem(400)["field"],
        "stream"
    );
}

#[test]
fn an_unknown_parameter_is_refused_by_name() {
    let server = Server::start();
    server.append("a", EVENT);
    for path in [
        "/events?type=x",
        "/events?from=1",
        "/events/a?tag=x",
        "/events/a/replay?limit=1",
        "/events/stream?limit=1",
        "/streams?categories=x",
    ] {
        let name = path.split(['?', '=']).nth(1);
        assert_eq!(server.get(path).problem(400)["field"].as_str(), name, "{path}");
    }
    assert_eq!(server.get("/events?limit=1&limit=2").problem(400)["field"], "limit");
    assert_eq!(server.get("/events/a?system=no").problem(400)["field"], "system");
    assert_eq!(server.post("/events/a?expected=1", EVENT).problem(400)["field"], "expected");
}

#[test]
fn a_content_type_that_is_not_understood_is_refused() {
    let server = Server::start();
    for content_type in ["text/plain", "application/xml", "application/x-www-form-urlencoded"] {
        for path in ["/events/a", "/events", "/transactions", "/import"] {
            server.send("POST", path, &[("Content-Type", content_type)], EVENT.as_bytes()).problem(415);
        }
    }
    server.send("POST", "/events/a", &[], EVENT.as_bytes()).problem(415);
}

#[test]
fn a_web_page_of_another_origin_is_refused() {
    let server = Server::start();
    let page = [JSON, ("Origin", "http://evil.example")];
    server.send("POST", "/events/a", &page, EVENT.as_bytes()).problem(403);
    server.send("GET", "/events", &[("Host", "evil.example")], b"").problem(403);
    let own = format!("http://{}", server.address());
    assert_eq!(server.send("POST", "/events/a", &[JSON, ("Origin", &own)], EVENT.as_bytes()).status, 201);
}

#[test]
fn a_page_of_a_configured_origin_may_write_and_others_may_not() {
    let server = Server::configured("[http]\ncors_origins = [\"https://app.example\"]");
    let ours = ("Origin", "https://app.example");
    let asks = [ours, ("Access-Control-Request-Method", "POST"), ("Access-Control-Request-Headers", "ce-id")];
    let asked = server.send("OPTIONS", "/events/a", &asks, b"");
    assert_eq!(asked.status, 204);
    assert_eq!(asked.header("access-control-allow-origin"), Some("https://app.example"));
    assert_eq!(asked.header("access-control-allow-headers"), Some("ce-id"));
    assert!(asked.header("access-control-allow-methods").is_some_and(|methods| methods.contains("POST")));
    let sent = server.send("POST", "/events/a", &[JSON, ours], EVENT.as_bytes());
    assert_eq!((sent.status, sent.header("access-control-allow-origin")), (201, Some("https://app.example")));
    assert_eq!(sent.header("vary"), Some("Origin"));

    let theirs = ("Origin", "https://app.example.evil");
    let asked = server.send("OPTIONS", "/events/a", &[theirs, asks[1]], b"");
    assert_eq!(asked.header("access-control-allow-origin"), None);
    assert_eq!(asked.status, 403);
    server.send("POST", "/events/a", &[JSON, theirs], EVENT.as_bytes()).problem(403);
}

#[test]
fn a_path_or_a_method_that_is_none_is_a_problem_too() {
    let server = Server::start();
    server.get("/nothing/here").problem(404);
    server.send("DELETE", "/events", &[], b"").problem(405);
}

#[test]
fn an_event_of_a_hundred_megabytes_is_refused_before_it_is_kept() {
    let server = Server::start();
    let mut body = br#"{"type":"t","data":""#.to_vec();
    body.resize(100 << 20, b'x');
    body.extend_from_slice(b"\"}");
    let problem = server.post("/events/a", &body).problem(413);
    assert_eq!(
        (problem["limit"].as_str(), problem["max"].as_u64()),
        (Some("appendBytesMax"), Some(16 << 20))
    );
    server.append("a", EVENT);
}

#[test]
fn an_event_and_an_append_have_limits_of_their_own() {
    let server = Server::start();
    let event = format!(r#"{{"type":"t","data":"{}"}}"#, "x".repeat(5 << 20));
    let problem = server.post("/events/a", event).problem(413);
    assert_eq!((problem["limit"].as_str(), problem["max"].as_u64()), (Some("eventBytesMax"), Some(4 << 20)));
    let many = format!("{EVENT}\n").repeat(10_001);
    let problem = server.send("POST", "/events/a", &[NDJSON], many.as_bytes()).problem(413);
    assert_eq!(
        (problem["limit"].as_str(), problem["line"].as_u64()),
        (Some("appendEventsMax"), Some(10_001))
    );
    server.get("/events/a").problem(404);
    let limits = server.get("/limits").json();
    assert_eq!(
        (limits["eventBytesMax"].as_u64(), limits["appendEventsMax"].as_u64()),
        (Some(4 << 20), Some(10_000))
    );
}

#[test]
fn a_promise_that_cannot_be_kept_is_refused() {
    let server = Server::start();
    server.send("POST", "/events", &[JSON, ("If-Match", "\"1\"")], EVENT.as_bytes()).problem(400);
}

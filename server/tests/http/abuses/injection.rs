//! Texts that would like to be headers, blocks or pages.

use super::goes_on;
use crate::support::{JSON, NDJSON, Reply, Server};

#[test]
fn no_name_has_a_line_break_in_it() {
    let server = Server::start();
    for what in [r"a\r\nEvil: 1", r"a\ndata: x", r"a\u0000", r"a\u0085b", r"\u001b[2J"] {
        for body in [
            format!(r#"{{"type":"{what}","data":1}}"#),
            format!(r#"{{"type":"t","data":1,"id":"{what}"}}"#),
            format!(r#"{{"type":"t","data":1,"source":"{what}"}}"#),
            format!(r#"{{"type":"t","data":1,"stream":"{what}"}}"#),
            format!(r#"{{"type":"t","dataBase64":"","dataContentType":"{what}"}}"#),
            format!(r#"{{"type":"t","data":1,"metadata":{{"tags":["k:{what}"]}}}}"#),
        ] {
            server.post("/events", &body).problem(400);
        }
    }
    for value in ["a%0D%0AEvil: 1", "%00", "%C2%85", "%0a"] {
        let with = |name: &'static str| {
            let mut headers = vec![("ce-specversion", "1.0"), JSON];
            let others = [("ce-id", "1"), ("ce-source", "/s"), ("ce-type", "t"), ("ce-subject", "s")];
            headers.extend(others.into_iter().filter(|(other, _)| *other != name));
            headers.push((name, value));
            headers
        };
        for name in ["ce-id", "ce-source", "ce-type", "ce-subject"] {
            server.send("POST", "/events", &with(name), b"1").problem(400);
        }
    }
    assert_eq!(server.get("/events").body, b"");
}

/// One event whose free texts would break every line they came into.
fn hostile() -> Server {
    let server = Server::start();
    let lines = concat!(
        r#"{"stream":"h","id":"1","type":"t","source":"/s","data":{"a": "x\r\n\r\nevent: evil\r\ndata: 1\n\n"},"#,
        r#""metadata":{"correlationId":"c\r\nSet-Cookie: evil=1","x":"a\r\nEvil: 1","y":"\u0000","tenantId":"\n\nid: 99\n\n"}}"#
    );
    assert_eq!(server.send("POST", "/import", &[NDJSON], lines.as_bytes()).status, 200);
    // White space between tokens may be a line break; here it is sent as one.
    server.post("/events/h", "{\"type\":\"t\",\"data\":{\r\n\r\n\"event\": \n\n\"evil\"\r\r}}");
    server
}

fn has_no_evil_header(reply: &Reply) {
    for (name, value) in reply.headers() {
        assert!(name != "evil" && name != "set-cookie", "{name}: {value}");
    }
}

#[test]
fn data_and_metadata_cannot_break_out_of_a_block_or_a_line() {
    let server = hostile();
    for query in ["", "&envelope=true", "&envelope=cloudevents", "&named=false"] {
        let text = server.get(&format!("/events/stream?live=false{query}")).text();
        assert!(!text.contains('\r'), "{text:?}");
        let (mut ids, mut types) = (Vec::new(), Vec::new());
        for line in text.lines() {
            ids.extend(line.strip_prefix("id: "));
            types.extend(line.strip_prefix("event: "));
        }
        assert_eq!(ids, ["1", "2"], "{text}");
        assert!(types.iter().all(|name| *name == "t"), "{text}");
    }
    for path in ["/events", "/events/h", "/events/h/replay", "/events/stream?live=false"] {
        let reply = server.send("GET", path, &[("Accept", "application/x-ndjson")], b"");
        assert!(reply.lines().len() >= 2, "{path}: each line is JSON");
    }
}

#[test]
fn attributes_that_become_headers_stay_within_them() {
    let server = hostile();
    let reply = server.get("/events/h?cloudEvents=binary&limit=1");
    assert_eq!(reply.status, 200);
    has_no_evil_header(&reply);
    // A text with control characters is no attribute: it comes within all of the metadata.
    assert_eq!(reply.header("ce-correlationid"), None);
    assert!(reply.header("ce-annalsmetadata").is_some_and(|metadata| metadata.contains("Set-Cookie")));
    let names = ["größe 1/2 \u{2028}", "a\"b", "%0d%0aEvil: 1", "100%"];
    for name in names {
        let body = serde_json::json!({"type": name, "data": 1, "stream": name, "id": name, "source": name});
        assert_eq!(server.post("/events", body.to_string()).status, 202);
        let path = percent(name);
        for path in [
            format!("/events/{path}?cloudEvents=binary"),
            format!("/events/{path}"),
            format!("/streams/{path}"),
        ] {
            let reply = server.get(&path);
            assert_eq!(reply.status, 200, "{path}");
            has_no_evil_header(&reply);
            assert!(reply.headers().all(|(_, value)| value.is_ascii()), "{path}");
        }
    }
    goes_on(&server);
}

fn percent(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

#[test]
fn a_header_that_is_taken_is_not_given_back_as_it_came() {
    let server = Server::start();
    let key = [JSON, ("Idempotency-Key", "<script>alert(1)</script>"), ("X-Evil", "1")];
    let reply = server.send("POST", "/events/a", &key, br#"{"type":"t","data":1}"#);
    assert_eq!(reply.status, 201);
    assert!(!reply.text().contains("script") && reply.headers().all(|(_, value)| !value.contains("script")));
    let problem = server.get("/streams?%3Cscript%3E").problem(400);
    assert!(problem.is_object(), "a problem is JSON, whatever it repeats");
}

/// Data with a media type of its own is the writer's: a browser must not run it as a page of this server.
#[test]
fn data_that_is_a_page_is_not_run_by_a_browser() {
    let server = Server::start();
    let page =
        r#"{"type":"t","dataBase64":"PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg==","dataContentType":"text/html"}"#;
    server.append("page", page);
    let reply = server.get("/events/page?cloudEvents=binary");
    assert_eq!(reply.header("content-type"), Some("text/html"));
    assert_eq!(reply.header("content-security-policy"), Some("default-src 'none'; sandbox"));
    assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
}

//! JSON that is legal and strange, and JSON that is not legal.

use super::{EVENT, goes_on};
use crate::support::{JSON, NDJSON, Server};

const LEVELS: usize = 100_000;

fn deep(begin: &str, end: &str) -> String {
    format!("{}1{}", begin.repeat(LEVELS), end.repeat(LEVELS))
}

#[test]
fn data_of_a_hundred_thousand_levels_comes_back_in_every_form() {
    let server = Server::start();
    for data in [deep("[", "]"), deep("{\"a\":", "}")] {
        server.append("deep", &format!(r#"{{"type":"t","data":{data}}}"#));
        for path in [
            "/events/deep?limit=1&direction=backward",
            "/events?limit=1&direction=backward",
            "/events/deep/replay",
            "/events/stream?live=false",
            "/events/stream?live=false&envelope=true",
        ] {
            assert!(server.get(path).text().contains(&data), "{path}");
        }
        let cloud = [("Accept", "application/cloudevents-batch+json")];
        assert!(server.send("GET", "/events/deep", &cloud, b"").text().contains(&data));
        let page = server.send("GET", "/events/deep", &[("Accept", "application/json")], b"");
        assert!(page.text().contains(&data));
        let state = server.send("PUT", "/events/deep/snapshot?version=1", &[JSON], data.as_bytes());
        assert_eq!(state.status, 200, "{}", state.text());
        assert!(server.get("/events/deep/snapshot").text().contains(&data));
    }
    goes_on(&server);
}

#[test]
fn depth_anywhere_else_ends_nothing() {
    let server = Server::start();
    let deep = deep("[", "]");
    let cases = [
        ("/events/a", format!(r#"{{"type":"t","data":1,"metadata":{{"free":{deep}}}}}"#)),
        ("/events/a", format!(r#"{{"type":"t","data":1,"metadata":{{"free":1}},"version":{deep}}}"#)),
        ("/events/a", format!(r#"{{"type":{deep},"data":1}}"#)),
        ("/events/a", deep.clone()),
        ("/events/a", deep.replace(']', "")),
        ("/transactions", format!(r#"{{"writes":{deep}}}"#)),
        ("/transactions", format!(r#"{{"writes":[{{"stream":"a","events":{deep}}}]}}"#)),
        (
            "/transactions",
            format!(r#"{{"writes":[{{"stream":"a","events":[{EVENT}]}}],"conditions":{deep}}}"#),
        ),
        ("/admin/scavenge", format!(r#"{{"dryRun":{deep}}}"#)),
        ("/admin/scavenge", deep.clone()),
    ];
    for (path, body) in cases {
        let reply = server.post(path, &body);
        assert!([201, 400, 413].contains(&reply.status), "{path}: {}", reply.status);
    }
    let cloud = [("Content-Type", "application/cloudevents+json")];
    let event = |member: &str| {
        format!(r#"{{"specversion":"1.0","id":"1","source":"/s","type":"t","subject":"c",{member}}}"#)
    };
    server.send("POST", "/events", &cloud, event(&format!(r#""x":{deep}"#)).as_bytes()).problem(400);
    assert_eq!(
        server.send("POST", "/events", &cloud, event(&format!(r#""data":{deep}"#)).as_bytes()).status,
        202
    );
    let line = format!(r#"{{"stream":"i","type":"t","data":{deep}}}"#);
    assert_eq!(server.send("POST", "/import", &[NDJSON], line.as_bytes()).status, 200);
    goes_on(&server);
}

#[test]
fn numbers_and_texts_stay_the_bytes_that_they_were() {
    let server = Server::start();
    let digits = "9".repeat(5_000);
    for data in [
        "1e999999",
        "-1e-999999",
        "-0",
        "-0.0",
        "1E+2",
        "0.1000000000000000055511151231257827",
        "18446744073709551616",
        &digits,
        &format!("0.{digits}"),
        r#""\u0000""#,
        r#""\ud800""#,
        r#""\udc00\ud800""#,
        r#""\u2028\u2029\uffff""#,
        "\"\u{2028}\u{fffe}\u{10ffff}\u{202e}\u{feff}\"",
        r#"{"a":1,"a":2,"":{}, "\u0061":3}"#,
        r#""</script><script>""#,
    ] {
        server.append("odd", &format!(r#"{{"type":"t","data":{data}}}"#));
        let back = server.get("/events/odd?limit=1&direction=backward").text();
        assert!(back.contains(&format!("\"data\":{data}")), "{data}: {back}");
    }
    goes_on(&server);
}

#[test]
fn what_is_not_json_or_not_utf8_is_refused() {
    let server = Server::start();
    for body in [
        &b"{\"type\":\"t\",\"data\":\"\xc0\xaf\"}"[..],
        b"{\"type\":\"t\",\"data\":\"\xed\xa0\x80\"}",
        b"{\"type\":\"t\",\"data\":\"\xff\"}",
        b"{\"type\":\"t\",\"data\":\"\xf4\x90\x80\x80\"}",
        b"\xef\xbb\xbf{\"type\":\"t\",\"data\":1}",
        b"\xff\xfe{\0\"\0",
        b"{\"type\":\"t\",\"data\":NaN}",
        b"{\"type\":\"t\",\"data\":Infinity}",
        b"{\"type\":\"t\",\"data\":01}",
        b"{\"type\":\"t\",\"data\":+1}",
        b"{\"type\":\"t\",\"data\":1.}",
        b"{\"type\":\"t\",\"data\":.5}",
        b"{\"type\":\"t\",\"data\":0x10}",
        b"{\"type\":\"t\",\"data\":'x'}",
        b"{\"type\":\"t\",\"data\":\"a\nb\"}",
        b"{\"type\":\"t\",\"data\":\"\\x41\"}",
        b"{\"type\":\"t\",\"data\":1,}",
        b"{\"type\":\"t\",\"data\":1}}",
        b"{\"type\":\"t\",\"data\":1} /* no */",
        b"{\"type\":\"t\",\"data\":1}\0",
    ] {
        server.post("/events/a", body).problem(400);
    }
    server.get("/events/a").problem(404);
}

#[test]
fn a_field_that_stands_twice_is_refused() {
    let server = Server::start();
    for body in [
        r#"{"type":"t","type":"u","data":1}"#,
        r#"{"type":"t","data":1,"data":2}"#,
        r#"{"type":"t","d\u0061ta":1,"data":2}"#,
        r#"{"type":"t","data":1,"metadata":{"tenantId":"a","tenantId":"b"}}"#,
        r#"{"type":"t","data":1,"metadata":{"version":"1"},"version":"2"}"#,
    ] {
        server.post("/events/a", body).problem(400);
    }
    for body in [
        format!(r#"{{"writes":[{{"stream":"a","stream":"b","events":[{EVENT}]}}]}}"#),
        format!(r#"{{"writes":[],"writes":[{{"stream":"a","events":[{EVENT}]}}]}}"#),
        format!(r#"{{"writes":[{{"stream":"a","events":[{EVENT}]}}],"conditions":[],"conditions":[]}}"#),
    ] {
        server.post("/transactions", body).problem(400);
    }
    server.get("/events/a").problem(404);
}

#[test]
fn a_list_is_not_taken_for_the_object_that_is_wanted() {
    let server = Server::start();
    for (path, body) in [
        ("/transactions", format!(r#"[[{{"stream":"a","events":[{EVENT}]}}],[]]"#)),
        ("/transactions", format!(r#"{{"writes":[["a","any",[{EVENT}]]]}}"#)),
        (
            "/transactions",
            format!(
                r#"{{"writes":[{{"stream":"a","events":[{EVENT}]}}],"conditions":[["a","none",null,null]]}}"#
            ),
        ),
        (
            "/transactions",
            format!(
                r#"{{"writes":[{{"stream":"a","events":[{EVENT}]}}],"conditions":[{{"failIfEventsMatch":[[]]}}]}}"#
            ),
        ),
        ("/admin/scavenge", "[true,false]".to_owned()),
        ("/admin/backup", r#"["monday"]"#.to_owned()),
        ("/events/a", r#"[["t",1]]"#.to_owned()),
    ] {
        server.post(path, &body).problem(400);
    }
    server.send("PUT", "/streams/a/metadata", &[JSON], b"[1,1,1]").problem(400);
    server.get("/events/a").problem(404);
}

#[test]
fn numbers_beyond_every_range_are_refused_and_mean_nothing_else() {
    let server = Server::start();
    server.append("a", EVENT);
    let absurd = ["18446744073709551616", "-1", "1e3", "1.0", "0x1", "%201", "NaN", "9".repeat(400).as_str()]
        .map(str::to_owned);
    for number in &absurd {
        for path in [
            format!("/events?after={number}"),
            format!("/events?before={number}"),
            format!("/events?limit={number}"),
            format!("/events/a?from={number}"),
            format!("/events/a?to={number}"),
            format!("/streams?limit={number}"),
            format!("/streams?after={number}"),
            format!("/events/stream?live=false&after={number}"),
        ] {
            server.get(&path).problem(400);
        }
        server.post(&format!("/events/a?expectedVersion={number}"), EVENT).problem(400);
        let matches = [JSON, ("If-Match", &format!("\"{number}\""))];
        server.send("POST", "/events/a", &matches, EVENT.as_bytes()).problem(400);
        server.send("GET", "/events/stream?live=false", &[("Last-Event-ID", number)], b"").problem(400);
        let version = format!("/events/a/snapshot?version={number}");
        server.send("PUT", &version, &[JSON], b"1").problem(400);
    }
    // The largest that there are mean what they say.
    let most = u64::MAX;
    assert_eq!(server.get(&format!("/events?before={most}&limit={most}")).lines().len(), 1);
    assert_eq!(server.get(&format!("/events/a?from={most}&to={most}")).lines().len(), 0);
    server.post(&format!("/events/a?expectedVersion={most}"), EVENT).problem(409);
    server.send("PUT", &format!("/events/a/snapshot?version={most}"), &[JSON], b"1").problem(409);
    let times = ["0000-01-01T00:00:00Z", "9999-12-31T23:59:60Z", "2024-13-01T00:00:00Z", "now", "1e9"];
    for time in times {
        server.get(&format!("/events?since={time}")).problem(400);
        let event = format!(r#"{{"type":"t","data":1,"timestamp":"{time}"}}"#);
        server.post("/events/a", event).problem(400);
    }
    goes_on(&server);
}

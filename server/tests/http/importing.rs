//! Imports: long bodies, repeated bodies, and bodies with a bad line.

use crate::support::{NDJSON, Reply, Server};

fn import(server: &Server, body: &str) -> Reply {
    let reply = server.send("POST", "/import", &[NDJSON], body.as_bytes());
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply
}

fn line(n: u64) -> String {
    format!(
        "{{\"id\":\"e-{n}\",\"stream\":\"s-{}\",\"type\":\"t\",\"timestamp\":\"2010-10-02T07:20:39.266000001Z\",\"data\":{n},\"position\":{}}}\n",
        n % 7,
        n + 100
    )
}

#[test]
fn an_import_keeps_ids_times_and_order_and_can_be_repeated() {
    let server = Server::start();
    let body: String = (0..5_000).map(line).collect();
    let results = import(&server, &body).lines();
    let summary = &results.last().expect("a summary")["summary"];
    assert_eq!(summary["lines"], 5_000);
    assert_eq!(summary["appended"], 5_000);
    assert_eq!(summary["position"], 5_000);
    let batches: u64 = results.iter().filter_map(|result| result["appended"].as_u64()).sum();
    assert_eq!(batches, 5_000);

    let events = server.get("/events").lines();
    assert!(events.iter().map(|event| event["data"].as_u64()).eq((0..5_000).map(Some)));
    assert_eq!(events[7]["id"], "e-7");
    assert_eq!(events[7]["timestamp"], "2010-10-02T07:20:39.266000001Z");

    let again = import(&server, &body).lines();
    let summary = &again.last().expect("a summary")["summary"];
    assert_eq!((summary["appended"].as_u64(), summary["repeated"].as_u64()), (Some(0), Some(5_000)));
    assert_eq!(server.get("/streams/s-0").json()["version"], 715);
}

#[test]
fn a_bad_line_is_named_and_what_was_committed_before_it_stays() {
    let server = Server::start();
    let good: String = (0..50_000).map(line).collect();
    let body = format!("{good}{{\"stream\":\"s\",\"type\":\"t\"}}\n{}", line(50_000));
    let results = import(&server, &body).lines();
    let error = &results.last().expect("an error")["error"];
    assert_eq!((error["line"].as_u64(), error["field"].as_str()), (Some(50_001), Some("data")));
    let committed = error["committed"]["appended"].as_u64().expect("a count");
    assert_eq!(server.get("/events").lines().len() as u64, committed);
    server.get("/events/s").problem(404);
}

#[test]
fn an_imported_event_must_name_a_stream_that_is_not_the_stores_own() {
    let server = Server::start();
    for body in [r#"{"type":"t","data":1}"#, r#"{"type":"t","data":1,"stream":"$x"}"#] {
        let results = import(&server, body).lines();
        assert_eq!(results[0]["error"]["line"], 1);
        assert_eq!(results[0]["error"]["field"], "stream");
    }
}

#[test]
fn an_empty_import_is_a_summary_of_nothing() {
    let server = Server::start();
    let results = import(&server, "\n\n").lines();
    assert_eq!(results[0]["summary"]["lines"], 0);
}

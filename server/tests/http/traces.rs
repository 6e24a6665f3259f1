//! Of which trace an append was part: kept beside the metadata, given back, and of no account for what is a repeat.

use serde_json::Value;

use crate::support::{JSON, NDJSON, Reply, Server};

const FIRST: (&str, &str) = ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
const SECOND: (&str, &str) = ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
const CLOUD: (&str, &str) = ("Content-Type", "application/cloudevents+json");
const AS_CLOUD: (&str, &str) = ("Accept", "application/cloudevents+json");

fn append(server: &Server, path: &str, trace: (&str, &str), json: &str) -> Reply {
    let reply = server.send("POST", path, &[JSON, trace], json.as_bytes());
    assert!(reply.status < 300, "{}", reply.text());
    reply
}

fn only_event(server: &Server, stream: &str) -> Value {
    let events = server.get(&format!("/events/{stream}")).lines();
    assert_eq!(events.len(), 1, "{stream}");
    events.into_iter().next().expect("there is one")
}

#[test]
fn each_way_to_append_keeps_the_trace_and_leaves_the_metadata_as_it_was_written() {
    let server = Server::start();
    let event = r#"{"type":"t","data":1,"metadata":{ "b":1,"a" : 2 }}"#;
    append(&server, "/events/appended", FIRST, event);
    append(
        &server,
        "/events",
        FIRST,
        r#"{"type":"t","stream":"published","data":1,"metadata":{ "b":1,"a" : 2 }}"#,
    );
    let transaction = format!(r#"{{"writes":[{{"stream":"transacted","events":[{event}]}}]}}"#);
    append(&server, "/transactions", FIRST, &transaction);
    for stream in ["appended", "published", "transacted"] {
        assert_eq!(only_event(&server, stream)["traceparent"], FIRST.1, "{stream}");
        let line = server.get(&format!("/events/{stream}")).text();
        assert!(line.contains("\"metadata\":{ \"b\":1,\"a\" : 2 }"), "{line}");
    }
    append(&server, "/events/plain", ("X-Other", "x"), r#"{"type":"t","data":1}"#);
    append(&server, "/events/none", ("traceparent", "00-not-a-trace"), r#"{"type":"t","data":1}"#);
    for stream in ["plain", "none"] {
        assert_eq!(only_event(&server, stream)["traceparent"], Value::Null, "{stream}");
    }
    let replayed = server.get("/events/appended/replay").lines();
    assert_eq!(replayed[0]["traceparent"], FIRST.1);
    assert_eq!(
        server.send("POST", "/admin/verify?deep=true", &[], b"").json()["faults"],
        serde_json::json!([])
    );
}

#[test]
fn the_same_request_in_another_trace_is_a_repeat() {
    let server = Server::start();
    for (path, key) in [("/events/by-id", "X-No-Key"), ("/events/by-key", "Idempotency-Key")] {
        let event = match key {
            "X-No-Key" => r#"{"id":"e","type":"t","data":1}"#,
            _ => r#"{"type":"t","data":1}"#,
        };
        let path = path.replace("by-id", "told-by-id");
        let send = |trace| server.send("POST", &path, &[JSON, trace, (key, "k")], event.as_bytes());
        let (first, again) = (send(FIRST), send(SECOND));
        assert_eq!((first.status, again.status), (201, 201), "{path}: {}", again.text());
        assert_eq!(again.header("idempotency-replayed"), Some("true"), "{path}");
        assert_eq!(again.text(), first.text());
        assert_eq!(send(("X-Other", "x")).header("idempotency-replayed"), Some("true"), "{path}");
        assert_eq!(only_event(&server, &path[8..])["traceparent"], FIRST.1);
    }
}

#[test]
fn an_event_that_names_its_trace_itself_keeps_it_and_so_does_an_export() {
    let server = Server::start();
    let event = format!(r#"{{"type":"t","data":1,"traceparent":"{}"}}"#, SECOND.1);
    append(&server, "/events/own", FIRST, &event);
    assert_eq!(only_event(&server, "own")["traceparent"], SECOND.1);
    let line = server.get("/events/own").text().replace("\"own\"", "\"imported\"");
    assert_eq!(server.send("POST", "/import", &[NDJSON], line.as_bytes()).status, 200);
    assert_eq!(only_event(&server, "imported")["traceparent"], SECOND.1);
    let wrong = server.post("/events/own", r#"{"type":"t","data":1,"traceparent":"x"}"#).problem(400);
    assert_eq!(wrong["field"], "traceparent");
}

#[test]
fn a_cloud_event_brings_its_trace_and_takes_it_along_again() {
    let server = Server::start();
    let there_and_back = |stream: &str, to: &str| {
        let cloud = server.send("GET", &format!("/events/{stream}?limit=1"), &[AS_CLOUD], b"").text();
        let moved = cloud.replace(&format!("\"{stream}\""), &format!("\"{to}\""));
        assert_eq!(server.send("POST", "/events", &[CLOUD], moved.as_bytes()).status, 202, "{moved}");
        let (before, after) = (only_event(&server, stream), only_event(&server, to));
        for field in ["traceparent", "metadata", "data"] {
            assert_eq!(before[field], after[field], "{stream}: {field}: {cloud}");
        }
        serde_json::from_str::<Value>(&cloud).expect("is JSON")
    };
    append(&server, "/events/a", FIRST, r#"{"type":"t","data":1}"#);
    assert_eq!(there_and_back("a", "a-again")["traceparent"], FIRST.1);
    append(&server, "/events/b", FIRST, r#"{"type":"t","data":1,"metadata":{"k":"v"}}"#);
    assert_eq!(there_and_back("b", "b-again")["traceparent"], FIRST.1);
    // What stands in the metadata stays there.
    let own = format!(r#"{{"type":"t","data":1,"metadata":{{"traceparent":"{}"}}}}"#, SECOND.1);
    append(&server, "/events/c", ("X-Other", "x"), &own);
    assert_eq!(there_and_back("c", "c-again")["traceparent"], SECOND.1);
    // What the metadata has under that name and no attribute can be does not keep the event from coming back.
    append(&server, "/events/d", FIRST, r#"{"type":"t","data":1,"metadata":{"traceparent":{"of":"us"}}}"#);
    let cloud = server.send("GET", "/events/d?limit=1", &[AS_CLOUD], b"").text();
    let moved = cloud.replace("\"d\"", "\"d-again\"");
    assert_eq!(server.send("POST", "/events", &[CLOUD], moved.as_bytes()).status, 202, "{moved}");
    assert_eq!(only_event(&server, "d-again")["metadata"], only_event(&server, "d")["metadata"]);
}

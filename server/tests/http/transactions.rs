//! Appends to several streams: all of them, or none.

use crate::support::Server;

#[test]
fn a_transaction_writes_to_all_its_streams() {
    let server = Server::start();
    let body = r#"{"writes":[
        {"stream":"a","expectedVersion":"none","events":[{"type":"t","data":1},{"type":"t","data":2}]},
        {"stream":"b","expectedVersion":0,"events":[{"type":"t","data":3}]}]}"#;
    let reply = server.post("/transactions", body);
    assert_eq!(reply.status, 201, "{}", reply.text());
    let answer = reply.json();
    assert_eq!(answer["streams"][0]["streamVersion"], 2);
    assert_eq!(answer["streams"][1]["stream"], "b");
    assert_eq!(answer["streams"][1]["events"][0]["position"], 3);
    assert_eq!(answer["position"], 3);
}

#[test]
fn a_conflict_on_one_stream_leaves_nothing_on_any() {
    let server = Server::start();
    server.append("b", r#"{"type":"t","data":1}"#);
    let body = r#"{"writes":[
        {"stream":"a","events":[{"type":"t","data":1}]},
        {"stream":"b","expectedVersion":7,"events":[{"type":"t","data":2}]}]}"#;
    let problem = server.post("/transactions", body).problem(409);
    assert_eq!(problem["stream"], "b");
    assert_eq!(problem["expectedVersion"], 7);
    assert_eq!(problem["actualVersion"], 1);
    server.get("/events/a").problem(404);
    assert_eq!(server.get("/events").lines().len(), 1);
}

#[test]
fn what_cannot_be_promised_is_refused() {
    let server = Server::start();
    let write = r#"{"stream":"a","events":[{"type":"t","data":1}]}"#;
    let twice = server.post("/transactions", format!("{{\"writes\":[{write},{write}]}}")).problem(400);
    assert_eq!(twice["field"], "writes[1].stream");
    let condition = format!("{{\"writes\":[{write}],\"conditions\":[{{\"stream\":\"b\"}}]}}");
    assert_eq!(server.post("/transactions", condition).problem(400)["field"], "conditions[0]");
    let beyond =
        format!("{{\"writes\":[{write}],\"conditions\":[{{\"failIfEventsMatch\":{{}},\"after\":9}}]}}");
    assert!(server.post("/transactions", beyond).problem(400)["detail"].to_string().contains("position 9"));
    server.post("/transactions", r#"{"writes":[]}"#).problem(400);
    server.get("/events/a").problem(404);
}

#[test]
fn an_event_that_matches_a_condition_is_named_and_nothing_is_written() {
    let server = Server::start();
    let register = |user: &str, after: u64| {
        let event = r#"{"type":"user.registered","data":{},"metadata":{"tags":["email:a"]}}"#;
        let query = r#"{"items":[{"types":["user.registered"],"tags":["email:a"]}]}"#;
        format!(
            r#"{{"writes":[{{"stream":"{user}","expectedVersion":"none","events":[{event}]}}],
                "conditions":[{{"stream":"closed","expectedVersion":"none"}},
                              {{"failIfEventsMatch":{query},"after":{after}}}]}}"#
        )
    };
    assert_eq!(server.post("/transactions", register("user-1", 0)).status, 201);
    let problem = server.post("/transactions", register("user-2", 0)).problem(409);
    assert_eq!((&problem["position"], &problem["stream"]), (&1.into(), &"user-1".into()));
    assert_eq!((&problem["after"], &problem["eventType"]), (&0.into(), &"user.registered".into()));
    server.get("/events/user-2").problem(404);
    assert_eq!(
        server.post("/transactions", register("user-2", 1)).status,
        201,
        "only what comes later counts"
    );

    server.append("closed", r#"{"type":"t","data":1}"#);
    let problem = server.post("/transactions", register("user-3", 2)).problem(409);
    assert_eq!((&problem["stream"], &problem["actualVersion"]), (&"closed".into(), &1.into()));
}

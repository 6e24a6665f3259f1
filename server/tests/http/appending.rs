//! Appends and publishes: what is stored, what is answered, and who wins a race.

use std::sync::Barrier;
use std::thread;

use crate::support::{JSON, NDJSON, Server};

const EVENT: &str = r#"{"type":"order.created","data":{}}"#;

#[test]
fn an_event_comes_back_with_every_byte_of_its_data_and_metadata() {
    let server = Server::start();
    let data = r#"{ "total" : 99.950, "big":12345678901234567890, "text":"\u00e9\n" }"#;
    let metadata = r#"{"correlationId":"corr-1", "tags":["customer:1"],"free":[1,2]}"#;
    let body = format!(
        r#"{{"id":"evt-1","type":"order.created","timestamp":"2024-07-15T16:32:22.5+02:00","source":"shop","data":{data},"metadata":{metadata}}}"#
    );
    let reply = server.append("order-1", &body);
    assert_eq!(reply.header("etag"), Some("\"1\""));
    let answer = reply.json();
    assert_eq!(answer["stream"], "order-1");
    assert_eq!(answer["streamVersion"], 1);
    assert_eq!(answer["position"], 1);
    assert_eq!(answer["durability"], "sync");
    assert_eq!(answer["events"][0]["eventId"], "evt-1");

    let line = server.get("/events/order-1").text();
    assert!(line.contains(&format!("\"data\":{data}")), "{line}");
    assert!(line.contains(&format!("\"metadata\":{metadata}")), "{line}");
    assert!(
        line.starts_with(
            r#"{"id":"evt-1","type":"order.created","stream":"order-1","streamVersion":1,"position":1,"timestamp":"2024-07-15T14:32:22.5Z","recordedAt":""#
        ),
        "{line}"
    );
}

#[test]
fn what_a_writer_left_out_stays_absent() {
    let server = Server::start();
    server.append("a", r#"{"type":"t","data":null}"#);
    let event = server.get("/events/a").lines().remove(0);
    assert!(event.get("source").is_none() && event.get("metadata").is_none(), "{event}");
    assert!(event["id"].is_string() && event["timestamp"].is_string(), "{event}");
    assert!(event["data"].is_null());
}

#[test]
fn a_line_break_between_tokens_is_a_space_in_lines_and_kept_in_a_page() {
    let server = Server::start();
    server.append("a", "{\"type\":\"t\",\"data\":{\r\n\"n\":1}}");
    assert!(server.get("/events/a").text().contains("\"data\":{  \"n\":1}"));
    let page = server.send("GET", "/events/a", &[crate::support::AS_PAGE], b"").text();
    assert!(page.contains("\"data\":{\r\n\"n\":1}"), "{page}");
}

#[test]
fn data_that_is_not_json_comes_back_as_base64() {
    let server = Server::start();
    server.append("a", r#"{"type":"t","dataBase64":"AP8=","dataContentType":"image/png"}"#);
    let event = server.get("/events/a").lines().remove(0);
    assert_eq!(event["dataBase64"], "AP8=");
    assert_eq!(event["dataContentType"], "image/png");
}

#[test]
fn many_events_of_one_request_stand_together() {
    let server = Server::start();
    server.append("a", &format!("[{EVENT},{EVENT}]"));
    let reply = server.send("POST", "/events/a", &[NDJSON], format!("{EVENT}\n\n{EVENT}\n").as_bytes());
    assert_eq!(reply.status, 201, "{}", reply.text());
    assert_eq!(reply.header("etag"), Some("\"4\""));
    assert_eq!(reply.json()["events"].as_array().map(Vec::len), Some(2));
}

#[test]
fn a_stream_name_with_a_slash_is_percent_encoded() {
    let server = Server::start();
    assert_eq!(server.append("a%2Fb%20%C3%BC", EVENT).json()["stream"], "a/b ü");
    assert_eq!(server.get("/events/a%2Fb%20%C3%BC").lines()[0]["stream"], "a/b ü");
}

#[test]
fn of_two_writers_with_the_same_etag_exactly_one_wins() {
    let server = Server::start();
    let etag = server.append("a", EVENT).header("etag").map(str::to_owned).expect("an etag");
    let start = Barrier::new(2);
    let race = || {
        start.wait();
        server.send("POST", "/events/a", &[JSON, ("If-Match", &etag)], EVENT.as_bytes())
    };
    let replies = thread::scope(|scope| {
        let other = scope.spawn(race);
        [race(), other.join().expect("the other writer ends")]
    });
    let won = replies.iter().filter(|reply| reply.status == 201).count();
    assert_eq!(won, 1);
    let lost = replies.iter().find(|reply| reply.status != 201).expect("one lost");
    let problem = lost.problem(412);
    assert_eq!(problem["stream"], "a");
    assert_eq!(problem["expectedVersion"], 1);
    assert_eq!(problem["actualVersion"], 2);
}

#[test]
fn thirty_two_retrying_writers_leave_dense_versions_and_no_event_twice() {
    const WRITERS: u64 = 32;
    let server = Server::start();
    let write = |writer: u64| {
        let body = format!(r#"{{"id":"w-{writer}","type":"t","data":{writer}}}"#);
        let mut expected = 0;
        loop {
            let reply = server.post(&format!("/events/a?expectedVersion={expected}"), &body);
            if reply.status == 201 {
                return;
            }
            expected = reply.problem(409)["actualVersion"].as_u64().expect("a version");
        }
    };
    thread::scope(|scope| {
        for writer in 0..WRITERS {
            scope.spawn(move || write(writer));
        }
    });
    let events = server.get("/events/a").lines();
    let versions: Vec<u64> = events.iter().filter_map(|event| event["streamVersion"].as_u64()).collect();
    assert_eq!(versions, (1..=WRITERS).collect::<Vec<_>>());
    let mut writers: Vec<u64> = events.iter().filter_map(|event| event["data"].as_u64()).collect();
    writers.sort_unstable();
    assert_eq!(writers, (0..WRITERS).collect::<Vec<_>>());
}

#[test]
fn every_condition_holds_or_fails_with_its_own_status() {
    let server = Server::start();
    let post = |query: &str, headers: &[(&str, &str)]| {
        let headers: Vec<_> = [JSON].iter().chain(headers).copied().collect();
        server.send("POST", &format!("/events/a{query}"), &headers, EVENT.as_bytes())
    };
    assert_eq!(post("", &[("If-Match", "*")]).problem(412)["actualVersion"], 0);
    assert_eq!(post("?expectedVersion=exists", &[]).problem(409)["expectedVersion"], "exists");
    assert_eq!(post("", &[("If-None-Match", "*")]).status, 201);
    assert_eq!(post("", &[("If-None-Match", "*")]).problem(412)["expectedVersion"], "none");
    assert_eq!(post("?expectedVersion=none", &[]).problem(409)["actualVersion"], 1);
    assert_eq!(post("?expectedVersion=1", &[]).status, 201);
    assert_eq!(post("?expectedVersion=any", &[]).status, 201);
    assert_eq!(post("", &[("If-Match", "\"2\", \"3\"")]).status, 201);
    assert_eq!(post("", &[("If-Match", "\"2\", \"3\"")]).problem(412)["actualVersion"], 4);
    post("?expectedVersion=4", &[("If-Match", "\"4\"")]).problem(400);
}

#[test]
fn a_published_event_goes_to_the_stream_it_names_or_to_that_of_its_type() {
    let server = Server::start();
    let reply = server.post("/events", r#"{"id":"e","type":"order.region.created","data":1}"#);
    assert_eq!(reply.status, 202, "{}", reply.text());
    let answer = reply.json();
    assert_eq!(answer["stream"], "order");
    assert_eq!(answer["eventId"], "e");
    assert_eq!(answer["status"], "PUBLISHED");
    assert_eq!(answer["streamVersion"], 1);
    assert_eq!(answer["position"], 1);
    assert_eq!(answer["subscribers"], serde_json::json!([]));
    let named = server.post("/events", r#"{"type":"order.created","data":1,"stream":"order-7"}"#).json();
    assert_eq!(named["stream"], "order-7");
    server.post("/events", r#"{"type":".created","data":1}"#).problem(400);
    server.post("/events", r#"{"type":"$x.created","data":1}"#).problem(400);
}

#[test]
fn many_published_events_are_answered_in_the_order_they_were_sent() {
    let server = Server::start();
    let body = r#"[{"id":"1","type":"a.x","data":1},{"id":"2","type":"b.x","data":1},{"id":"3","type":"a.y","data":1}]"#;
    let answers = server.post("/events", body).json();
    let told: Vec<_> = answers
        .as_array()
        .expect("an array for many")
        .iter()
        .map(|answer| {
            (answer["eventId"].as_str(), answer["stream"].as_str(), answer["streamVersion"].as_u64())
        })
        .collect();
    assert_eq!(
        told,
        [(Some("1"), Some("a"), Some(1)), (Some("2"), Some("b"), Some(1)), (Some("3"), Some("a"), Some(2))]
    );
}

#[test]
fn a_request_that_is_sent_again_with_its_ids_gets_the_first_answer() {
    let server = Server::start();
    let event = r#"{"id":"e-1","type":"t","data":{"n":1}}"#;
    let of_stream = r#"{"id":"e-1","type":"t","data":{"n":1},"stream":"p"}"#;
    let writes =
        r#"{"writes":[{"stream":"x","expectedVersion":"none","events":[{"id":"e-1","type":"t","data":1}]}]}"#;
    for (path, body, status) in [
        ("/events/a", event, 201),
        ("/events/b?expectedVersion=none", event, 201),
        ("/events", of_stream, 202),
        ("/transactions", writes, 201),
    ] {
        let first = server.post(path, body);
        assert_eq!((first.status, first.header("idempotency-replayed")), (status, None), "{path}");
        let again = server.post(path, body);
        assert_eq!((again.status, again.header("idempotency-replayed")), (status, Some("true")), "{path}");
        assert_eq!(again.body, first.body, "{path}");
        assert_eq!(again.header("etag"), first.header("etag"), "{path}");
    }
    let other = server.post("/events/a", r#"{"id":"e-1","type":"t","data":{"n":2}}"#).problem(409);
    assert_eq!((other["stream"].as_str(), other["id"].as_str()), (Some("a"), Some("e-1")));
    assert_eq!(server.get("/events").lines().len(), 4);
}

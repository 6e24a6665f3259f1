//! Reads: lines, pages, replays, streams, and the tags that tell whether anything is new.

use crate::support::{AS_PAGE, Server};

fn server_with(events: u64) -> Server {
    let server = Server::start();
    for n in 1..=events {
        let stream = if n % 2 == 1 { "odd-1" } else { "even-1" };
        server.append(stream, &format!(r#"{{"type":"{stream}.added","data":{n}}}"#));
    }
    server
}

fn data_of(events: &[serde_json::Value]) -> Vec<u64> {
    events.iter().filter_map(|event| event["data"].as_u64()).collect()
}

#[test]
fn a_stream_is_read_with_its_version_as_its_tag() {
    let server = server_with(3);
    let reply = server.get("/events/odd-1");
    assert_eq!(reply.header("content-type"), Some("application/x-ndjson"));
    assert_eq!(reply.header("etag"), Some("\"2\""));
    assert!(reply.header("annals-history").is_some_and(|history| history.len() == 32));
    assert_eq!(data_of(&reply.lines()), [1, 3]);
    assert_eq!(server.get("/events/odd-1?types=x").header("etag"), None);
    assert_eq!(server.get("/events/odd-1?from=2").header("etag"), None);
}

#[test]
fn a_client_that_has_the_version_gets_no_body() {
    let server = server_with(1);
    let again = server.send("GET", "/events/odd-1", &[("If-None-Match", "\"1\"")], b"");
    assert_eq!((again.status, again.body.len()), (304, 0));
    server.append("odd-1", r#"{"type":"t","data":3}"#);
    assert_eq!(server.send("GET", "/events/odd-1", &[("If-None-Match", "\"1\"")], b"").status, 200);
}

#[test]
fn head_tells_the_version_without_the_events() {
    let server = server_with(1);
    let reply = server.send("HEAD", "/events/odd-1", &[], b"");
    assert_eq!((reply.status, reply.header("etag")), (200, Some("\"1\"")));
}

#[test]
fn a_stream_that_never_existed_is_not_found() {
    let server = server_with(1);
    assert_eq!(server.get("/events/nobody").problem(404)["stream"], "nobody");
    server.get("/events/nobody/replay").problem(404);
    server.get("/streams/nobody").problem(404);
}

#[test]
fn bounds_and_direction_choose_what_is_read() {
    let server = server_with(6);
    assert_eq!(data_of(&server.get("/events/odd-1?from=2&to=2").lines()), [3]);
    assert_eq!(data_of(&server.get("/events/odd-1?direction=backward&limit=2").lines()), [5, 3]);
    assert_eq!(data_of(&server.get("/events?after=2&before=5").lines()), [3, 4]);
    assert_eq!(data_of(&server.get("/events?categories=even").lines()), [2, 4, 6]);
    assert_eq!(data_of(&server.get("/events?types=odd-1.added&after=1").lines()), [3, 5]);
    assert_eq!(data_of(&server.get("/events?after=head").lines()), [0; 0]);
}

#[test]
fn any_other_parameter_is_a_criterion_that_tags_and_metadata_satisfy() {
    let server = Server::start();
    for (n, metadata) in
        [r#"{"tags":["customer:c 1"]}"#, r#"{"customer":"c 1","type":"x"}"#, r#"{"n":3}"#, "{}"]
            .into_iter()
            .enumerate()
    {
        server.append("a", &format!(r#"{{"type":"t","data":{},"metadata":{metadata}}}"#, n + 1));
    }
    assert_eq!(data_of(&server.get("/events?customer=c%201").lines()), [1, 2]);
    assert_eq!(data_of(&server.get("/events?match.type=x&types=t").lines()), [2]);
    assert_eq!(data_of(&server.get("/events?n=3").lines()), [3]);
    assert_eq!(data_of(&server.get("/events?n=4").lines()), [0; 0]);
    // Pages keep it.
    assert_eq!(follow_pages(&server, "/events?limit=1&customer=c%201"), [1, 2]);
    let meant = server.get("/events?type=t").problem(400);
    assert!(meant["detail"].as_str().is_some_and(|detail| detail.contains("match.type")), "{meant}");
}

#[test]
fn the_pages_of_all_events_hold_each_once() {
    let server = server_with(7);
    for (start, expected) in [
        ("/events?limit=3", [1, 2, 3, 4, 5, 6, 7]),
        ("/events?limit=3&direction=backward", [7, 6, 5, 4, 3, 2, 1]),
    ] {
        assert_eq!(follow_pages(&server, start), expected);
    }
}

#[test]
fn the_pages_of_a_stream_hold_each_once() {
    let server = server_with(10);
    assert_eq!(follow_pages(&server, "/events/odd-1?limit=2"), [1, 3, 5, 7, 9]);
    assert_eq!(follow_pages(&server, "/events/odd-1?limit=2&direction=backward"), [9, 7, 5, 3, 1]);
}

fn follow_pages(server: &Server, start: &str) -> Vec<u64> {
    let mut seen = Vec::new();
    let mut next = Some(start.to_owned());
    while let Some(url) = next {
        let page = server.send("GET", &url, &[AS_PAGE], b"").json();
        seen.extend(data_of(page["events"].as_array().expect("events")));
        next = page["next"].as_str().map(str::to_owned);
    }
    seen
}

#[test]
fn a_page_that_ends_with_the_last_event_has_no_next() {
    let server = server_with(4);
    let page = server.send("GET", "/events?limit=4", &[AS_PAGE], b"").json();
    assert!(page["next"].is_null(), "{page}");
}

#[test]
fn a_replay_line_begins_with_the_event_and_its_data() {
    let server = server_with(3);
    let replay = server.get("/events/odd-1/replay").text();
    let first = replay.lines().next().expect("a line");
    assert!(first.starts_with(r#"{"event":"odd-1.added","data":1,"id":""#), "{first}");
    assert_eq!(data_of(&server.get("/events/odd-1/replay?from=2").lines()), [3]);
}

#[test]
fn a_replay_as_of_a_time_stops_there() {
    let server = server_with(1);
    let recorded_at = server.get("/events/odd-1").lines()[0]["recordedAt"].as_str().map(str::to_owned);
    let then = recorded_at.expect("a time");
    // Commit times of one stream may be equal, but not a year apart.
    assert_eq!(data_of(&server.get(&format!("/events/odd-1/replay?asOf={then}")).lines()), [1]);
    assert_eq!(server.get("/events/odd-1/replay?asOf=2001-01-01T00:00:00Z").body, b"");
}

#[test]
fn streams_are_listed_page_by_page_and_shown_one_by_one() {
    let server = server_with(4);
    let page = server.get("/streams?limit=1").json();
    assert_eq!(page["streams"][0]["stream"], "odd-1");
    let next = server.get(page["next"].as_str().expect("a next page")).json();
    assert_eq!(next["streams"][0]["stream"], "even-1");
    assert!(next["next"].is_null());
    assert_eq!(server.get("/streams?prefix=ev").json()["streams"].as_array().map(Vec::len), Some(1));
    assert_eq!(server.get("/streams?category=odd").json()["streams"].as_array().map(Vec::len), Some(1));
    assert_eq!(server.get("/streams?after=head").json()["streams"].as_array().map(Vec::len), Some(0));
    let odd = server.get("/streams/odd-1").json();
    assert_eq!((odd["version"].as_u64(), odd["lastPosition"].as_u64()), (Some(2), Some(3)));
}

#[test]
fn a_range_that_lies_behind_the_head_is_not_sent_again() {
    let server = server_with(4);
    let of_stream = |path: &str| path.replace("{a}", "order-1");
    for path in
        ["/events?before=4", "/events?before=4&after=1&direction=backward&limit=1", "/events/{a}?to=2"]
    {
        let path = of_stream(path);
        let first = server.get(&path);
        let etag = first.header("etag").expect("a range that is over has a tag").to_owned();
        assert_eq!(first.header("cache-control"), Some("private, no-cache"));
        assert_eq!(first.header("vary"), Some("Accept"));
        server.append("order-1", r#"{"type":"t","data":1}"#);
        let again = server.send("GET", &path, &[("If-None-Match", &etag)], b"");
        assert_eq!((again.status, again.body.len()), (304, 0), "{path}");
        let other_form = server.send("GET", &path, &[AS_PAGE, ("If-None-Match", &etag)], b"");
        assert_eq!(other_form.status, 200, "{path}");
    }
    for path in
        ["/events", "/events?before=1000", "/events?after=1", "/events/{a}?to=1000", "/events/{a}?from=1"]
    {
        assert_eq!(server.get(&of_stream(path)).header("etag"), None, "{path}");
    }
}

#[test]
fn a_resource_tells_its_methods() {
    let server = Server::start();
    let reply = server.send("OPTIONS", "/events/a", &[], b"");
    let mut methods: Vec<&str> = reply.header("allow").expect("a list of methods").split(',').collect();
    methods.sort_unstable();
    assert_eq!((reply.status, methods), (204, vec!["GET", "HEAD", "POST"]));
    server.send("OPTIONS", "/nothing", &[], b"").problem(404);
    let head = server.send("HEAD", "/limits", &[], b"");
    assert_eq!((head.status, head.header("content-type")), (200, Some("application/json")));
}

#[test]
fn an_event_is_found_by_its_id_in_every_stream_that_has_it() {
    let server = Server::start();
    for stream in ["a", "b", "c"] {
        server.append(stream, r#"{"id":"evt 1/2","type":"t","data":1}"#);
        server.append(stream, r#"{"type":"t","data":2}"#);
    }
    let found = server.get("/events/by-id/evt%201%2F2");
    let streams: Vec<_> = found.lines().iter().map(|event| event["stream"].to_string()).collect();
    assert_eq!(streams, ["\"a\"", "\"b\"", "\"c\""]);
    let page = server.send("GET", "/events/by-id/evt%201%2F2?limit=2", &[AS_PAGE], b"").json();
    assert_eq!(page["events"].as_array().map(Vec::len), Some(2));
    let next = page["next"].as_str().expect("there is more");
    let rest = server.send("GET", next, &[AS_PAGE], b"").json();
    assert_eq!((rest["events"][0]["stream"].as_str(), rest["next"].is_null()), (Some("c"), true));
    assert_eq!(server.get("/events/by-id/none").problem(404)["eventId"], "none");
    server.get("/events/by-id/").problem(404);
    server.get("/events/by-id/a?types=t").problem(400);
}

#[test]
fn a_cursor_of_another_history_is_refused() {
    let server = server_with(1);
    let history = server.get("/version").json()["history"].as_str().map(str::to_owned).expect("a history");
    assert_eq!(server.get(&format!("/events?history={history}")).status, 200);
    let problem = server.get("/events?history=0").problem(409);
    assert_eq!(problem["history"], history);
}

#[test]
fn health_limits_and_version_are_told() {
    let server = Server::start();
    assert_eq!(server.get("/health/live").status, 200);
    assert_eq!(server.get("/health/ready").json()["status"], "ready");
    assert_eq!(server.get("/limits").json()["appendBytesMax"], 16 << 20);
    assert!(server.get("/version").json()["version"].is_string());
}

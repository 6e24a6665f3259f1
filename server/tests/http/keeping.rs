//! What is kept over HTTP: settings and deletion of streams, scavenges, backups, and requests that are done once.

use crate::support::Server;

fn put(server: &Server, path: &str, json: &str) -> crate::support::Reply {
    server.send("PUT", path, &[("content-type", "application/json")], json.as_bytes())
}

fn append(server: &Server, stream: &str, count: usize) {
    let events: Vec<String> = (0..count).map(|n| format!(r#"{{"type":"t","data":{n}}}"#)).collect();
    server.append(stream, &format!("[{}]", events.join(",")));
}

#[test]
fn a_stream_shows_what_its_settings_allow_and_says_what_they_are() {
    let server = Server::start();
    append(&server, "s", 10);
    let reply = put(&server, "/streams/s/metadata", r#"{"maxCount":3,"maxAge":86400}"#);
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(reply.json()["maxCount"], 3);
    assert_eq!(server.get("/events/s").lines().len(), 3);
    assert_eq!(server.get("/events").lines().len(), 3);
    let info = server.get("/streams/s").json();
    assert_eq!((&info["version"], &info["firstVersion"]), (&10.into(), &8.into()));
    assert_eq!(info["settings"]["maxAge"], 86400);
    assert_eq!(server.get("/streams/s/metadata").json()["maxCount"], 3);

    put(&server, "/streams/s/metadata", r#"{"truncateBefore":11}"#);
    let all_gone = server.get("/events/s");
    assert_eq!((all_gone.status, all_gone.lines().len()), (200, 0), "truncated, and there");
    for (json, hint) in [
        (r#"{"maxCount":0}"#, "at least one"),
        (r#"{"maxcount":1}"#, "unknown field"),
        (r#"{"truncateBefore":99}"#, "version 10"),
        ("[]", "the body"),
    ] {
        let problem = put(&server, "/streams/s/metadata", json).problem(400);
        assert!(problem["detail"].to_string().contains(hint), "{json}: {problem}");
    }
    put(&server, "/streams/%24s/metadata", "{}").problem(400);
    server.get("/streams/never/metadata").problem(404);
}

#[test]
fn who_holds_events_that_are_not_shown_any_more_is_not_told_that_nothing_changed() {
    let server = Server::start();
    append(&server, "s", 4);
    let held = server.get("/events/s");
    let tag = held.header("etag").expect("a stream has a tag").to_owned();
    let again = || server.send("GET", "/events/s", &[("if-none-match", &tag)], b"");
    assert_eq!(again().status, 304);
    let range = server.get("/events/s?to=2");
    let tag_of_range = range.header("etag").expect("a range has a tag");
    let range_again = || server.send("GET", "/events/s?to=2", &[("if-none-match", tag_of_range)], b"");
    assert_eq!(range_again().status, 304);
    put(&server, "/streams/s/metadata", r#"{"maxCount":1}"#);
    let shorter = again();
    assert_eq!((shorter.status, shorter.lines().len()), (200, 1));
    // So that nobody has the shorter answer when more is shown again under the same tag, which is what a writer expects.
    assert_eq!((shorter.header("cache-control"), shorter.header("etag")), (Some("no-store"), Some(&*tag)));
    // Nobody can tell from outside whether what is shown again is all that was there: a scavenge may have taken some of it.
    put(&server, "/streams/s/metadata", "{}");
    assert_eq!((again().status, again().lines().len()), (200, 4));
    assert_eq!((range_again().status, range_again().header("etag")), (200, None));
}

#[test]
fn a_deleted_stream_is_gone_until_it_gets_an_event_or_for_ever() {
    let server = Server::start();
    append(&server, "s", 3);
    let stale = server.send("DELETE", "/streams/s", &[("if-match", "\"2\"")], b"").problem(412);
    assert_eq!(stale["actualVersion"], 3);
    server.send("DELETE", "/streams/s?expectedVersion=2", &[], b"").problem(409);
    let reply = server.send("DELETE", "/streams/s", &[("if-match", "\"3\"")], b"");
    assert_eq!(reply.json(), serde_json::json!({"stream": "s", "version": 3, "deleted": "soft"}));
    let gone = server.get("/events/s").problem(410);
    assert_eq!(
        (&gone["type"], &gone["actualVersion"]),
        (&"urn:annals:problem:stream-gone".into(), &3.into())
    );
    server.get("/events/s/replay").problem(410);
    assert_eq!(server.get("/streams/s").json()["deleted"], "soft");
    assert_eq!(server.get("/streams").json()["streams"].as_array().map(Vec::len), Some(0));

    let headers = [("content-type", "application/json"), ("if-none-match", "*")];
    let reply = server.send("POST", "/events/s", &headers, br#"{"type":"t","data":1}"#);
    assert_eq!((reply.status, &reply.json()["streamVersion"]), (201, &4.into()));
    assert_eq!(server.get("/events/s").lines().len(), 1);

    assert_eq!(server.send("DELETE", "/streams/s?hard=true", &[], b"").json()["deleted"], "hard");
    let refused = server.post("/events/s", r#"{"type":"t","data":1}"#).problem(410);
    assert_eq!((&refused["deleted"], &refused["actualVersion"]), (&"hard".into(), &4.into()));
    server.send("DELETE", "/streams/s", &[], b"").problem(410);
    server.send("DELETE", "/streams/never", &[], b"").problem(404);
}

#[test]
fn a_follower_is_told_of_what_retention_took() {
    let server = Server::start();
    append(&server, "s", 5);
    put(&server, "/streams/s/metadata", r#"{"maxCount":2}"#);
    let lines =
        server.send("GET", "/events/stream?live=false", &[("accept", "application/x-ndjson")], b"").lines();
    let skipped = serde_json::json!({"skipped": {"from": 1, "to": 3, "reason": "retention"}});
    assert_eq!(lines[0], skipped);
    assert_eq!(lines[1]["position"], 4);
    let blocks = server.get("/events/stream?live=false").text();
    let wanted =
        "id: 3\nevent: annals-skipped\ndata: {\"from\":1,\"to\":3,\"reason\":\"retention\"}\n\nid: 4\n";
    assert!(blocks.contains(wanted), "{blocks}");
}

#[test]
fn a_range_of_the_past_has_no_tag_where_events_go() {
    let server = Server::start();
    append(&server, "s", 5);
    assert!(server.get("/events?before=4").header("etag").is_some());
    let of_stream = server.get("/events/s?to=4");
    let tag = of_stream.header("etag").expect("has a tag").to_owned();
    put(&server, "/streams/s/metadata", r#"{"maxCount":2}"#);
    assert_eq!(server.get("/events?before=4").header("etag"), None);
    let again = server.send("GET", "/events/s?to=4", &[("if-none-match", &tag)], b"");
    assert_eq!((again.status, again.lines().len()), (200, 1));
}

#[test]
fn space_is_given_back_and_a_backup_is_made_below_its_directory() {
    let backups = tempfile::tempdir().expect("a directory");
    let dir = serde_json::to_string(&backups.path().display().to_string()).expect("text");
    let server = Server::configured(&format!("[http]\nbackups = {dir}\n"));
    append(&server, "s", 10);
    let dry = server.post("/admin/scavenge", r#"{"dryRun":true}"#);
    assert_eq!(
        (dry.status, &dry.json()["finished"], &dry.json()["segments"]),
        (200, &true.into(), &0.into())
    );
    assert_eq!(server.post("/admin/scavenge", "{}").json()["removed"], 0);

    let made = server.post("/admin/backup", r#"{"name":"monday"}"#);
    assert_eq!((made.status, &made.json()["position"]), (200, &10.into()));
    assert!(backups.path().join("monday/BACKUP").exists());
    assert_eq!(server.post("/admin/backup", r#"{"name":"monday"}"#).json()["segments"], 1);
    for name in ["../up", "/tmp/x", "a/b", "", "..", "a\\u0000b"] {
        let problem = server.post("/admin/backup", format!(r#"{{"name":"{name}"}}"#)).problem(400);
        assert_eq!(problem["field"], "name", "{name}");
    }
    let without = Server::start();
    assert!(
        without.post("/admin/backup", r#"{"name":"m"}"#).problem(400)["detail"]
            .to_string()
            .contains("backups")
    );
}

#[test]
fn a_request_under_a_key_is_done_once_and_answered_alike_after_a_restart() {
    let dir = tempfile::tempdir().expect("a directory");
    let start = || Server::start_on(dir.path(), std::process::Command::new(env!("CARGO_BIN_EXE_annals")));
    let server = start();
    let send = |server: &Server, path: &str, key: &str, headers: &[(&str, &str)], body: &str| {
        let given = [("content-type", "application/json"), ("idempotency-key", key)];
        server.send("POST", path, &[&given, headers].concat(), body.as_bytes())
    };
    let body = r#"{"type":"paid","data":{"total":5}}"#;
    let first = send(&server, "/events/s", "k-1", &[("if-none-match", "*")], body);
    assert_eq!((first.status, first.header("idempotency-replayed")), (201, None));
    let published = send(&server, "/events", "k-1", &[], r#"{"type":"order.paid","data":1}"#);
    assert_eq!((published.status, published.header("idempotency-replayed")), (202, None), "another route");
    let transaction =
        r#"{"writes":[{"stream":"a","expectedVersion":"none","events":[{"type":"t","data":1}]}]}"#;
    let transacted = send(&server, "/transactions", "k-1", &[], transaction);
    assert_eq!(transacted.status, 201);
    append(&server, "s", 3);

    let check = |server: &Server| {
        for condition in [&[("if-none-match", "*")][..], &[("if-match", "\"7\", \"8\"")], &[]] {
            let again = send(server, "/events/s", "k-1", condition, body);
            assert_eq!((again.status, again.header("idempotency-replayed")), (201, Some("true")));
            assert_eq!(again.text(), first.text());
        }
        assert_eq!(send(server, "/transactions", "k-1", &[], transaction).text(), transacted.text());
        let other =
            send(server, "/events/s", "k-1", &[], r#"{"type":"paid","data":{"total":6}}"#).problem(422);
        assert_eq!(other["type"], "urn:annals:problem:idempotency-key-reused");
        assert_eq!(server.get("/events").lines().len(), 6);
    };
    check(&server);
    drop(server);
    check(&start());
}

#[test]
fn a_key_that_cannot_be_meant_is_refused() {
    let server = Server::start();
    let long = "x".repeat(256);
    for key in ["", long.as_str()] {
        let headers = [("content-type", "application/json"), ("idempotency-key", key)];
        let problem = server.send("POST", "/events/s", &headers, br#"{"type":"t","data":1}"#).problem(400);
        assert!(problem["detail"].to_string().contains("Idempotency-Key"), "{problem}");
    }
    let twice = [("content-type", "application/json"), ("idempotency-key", "a"), ("idempotency-key", "b")];
    server.send("POST", "/events/s", &twice, br#"{"type":"t","data":1}"#).problem(400);
}

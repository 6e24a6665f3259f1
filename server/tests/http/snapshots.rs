//! Snapshots: saved, found, used to shorten a replay, dropped.

use crate::support::{JSON, Server};

#[test]
fn a_snapshot_shortens_a_replay_until_it_is_dropped() {
    let server = Server::start();
    for n in 1..=4 {
        server.append("a", &format!(r#"{{"type":"t","data":{n}}}"#));
    }
    server.get("/events/a/snapshot").problem(404);
    let saved = server.send("PUT", "/events/a/snapshot?version=3", &[JSON], b"{\"sum\": 6}");
    assert_eq!(saved.status, 200, "{}", saved.text());
    let found = server.get("/events/a/snapshot").json();
    assert_eq!((found["version"].as_u64(), &found["state"]), (Some(3), &serde_json::json!({"sum": 6})));
    assert_eq!(server.get("/streams/a").json()["snapshotVersion"], 3);

    let replay = server.get("/events/a/replay?snapshot=true").lines();
    assert_eq!(replay.len(), 2);
    assert_eq!(replay[0]["snapshot"]["version"], 3);
    assert_eq!(replay[1]["data"], 4);
    assert_eq!(server.get("/events/a/replay").lines().len(), 4);
    assert_eq!(server.get("/events/a/replay?snapshot=true&to=2").lines().len(), 2);
    server.get("/events/a/replay?snapshot=true&from=2").problem(400);

    assert_eq!(server.send("DELETE", "/events/a/snapshot", &[], b"").status, 204);
    server.get("/events/a/snapshot").problem(404);
}

#[test]
fn a_snapshot_that_cannot_be_is_refused() {
    let server = Server::start();
    server.append("a", r#"{"type":"t","data":1}"#);
    let put =
        |query: &str, body: &[u8]| server.send("PUT", &format!("/events/a/snapshot{query}"), &[JSON], body);
    assert_eq!(put("?version=2", b"{}").problem(409)["actualVersion"], 1);
    assert_eq!(put("", b"{}").problem(400)["field"], "version");
    put("?version=1", b"{").problem(400);
    server.send("PUT", "/events/a/snapshot?version=1", &[("Content-Type", "text/plain")], b"{}").problem(415);
    let large = vec![b' '; (16 << 20) + 1];
    assert_eq!(put("?version=1", &large).problem(413)["limit"], "snapshotBytesMax");
}

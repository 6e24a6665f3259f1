//! CloudEvents over HTTP: in and out in every mode, and against the official Python package as the other side.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::support::{Answer, JSON, NDJSON, Server};

const STRUCTURED: &str = "application/cloudevents+json";
const BATCH: &str = "application/cloudevents-batch+json";
const AS_STRUCTURED: (&str, &str) = ("Accept", STRUCTURED);
const AS_BATCH: (&str, &str) = ("Accept", BATCH);

/// Events as the server's own JSON: with and without a source, metadata that attributes can say and that they cannot.
const SAMPLE: &str = r#"{"stream":"permit-1","id":"ffdf0100-fe83-5375-bf2d-5a90a4819869","type":"permit.received","timestamp":"2010-10-02T07:20:39.266Z","source":"permit-desk","data":{"task":"task-4","group":"Group 1"},"metadata":{"correlationId":"case-1","version":"1.0"}}
{"stream":"permit-1","id":"evt-2","type":"permit.checked","timestamp":"2010-10-02T07:21:26.588000001Z","data":{ "n": 1.50, "text":"\u00e9" },"metadata":{ "tags":["customer:1"], "free":{"x":[1,2]} }}
{"stream":"größe 1/2","id":"evt-2","type":"t","timestamp":"2010-10-02T07:21:27Z","data":null}
"#;

fn cloud_event(subject: &str, id: &str) -> String {
    format!(
        r#"{{"specversion":"1.0","id":"{id}","source":"/shop","type":"order.created","subject":"{subject}","data":{{"n": 1.0}}}}"#
    )
}

fn imported(lines: &[u8]) -> Server {
    let server = Server::start();
    let reply = server.send("POST", "/import", &[NDJSON], lines);
    assert_eq!(reply.status, 200);
    assert!(reply.text().contains("summary"), "{}", reply.text());
    server
}

/// The sample, or the lines of the file that `ANNALS_SAMPLE` names.
fn sample() -> Vec<u8> {
    match std::env::var_os("ANNALS_SAMPLE") {
        Some(path) => std::fs::read(path).expect("the sample can be read"),
        None => SAMPLE.into(),
    }
}

/// Every event of a store without its commit time, which is that of the store alone.
fn kept(server: &Server) -> Vec<String> {
    let without_time = |line: &str| {
        let (before, rest) = line.split_once(r#","recordedAt":""#).expect("an event has a commit time");
        let (_, after) = rest.split_once('"').expect("a text ends");
        format!("{before}{after}")
    };
    server.get("/events").text().lines().map(without_time).collect()
}

#[test]
fn a_store_that_is_sent_to_another_as_a_batch_is_the_same_there() {
    let server = imported(&sample());
    let batch = server.send("GET", "/events", &[AS_BATCH], b"");
    assert_eq!((batch.status, batch.header("content-type")), (200, Some(BATCH)));
    let other = Server::start();
    let reply = other.send("POST", "/events", &[("Content-Type", BATCH)], &batch.body);
    assert_eq!(reply.status, 202, "{}", reply.text());
    assert_eq!(kept(&other), kept(&server));
}

#[test]
fn an_event_alone_comes_back_in_either_mode_and_goes_to_another_store_as_it_was() {
    let server = imported(SAMPLE.as_bytes());
    let (by_json, by_headers) = (Server::start(), Server::start());
    for position in 1..=3 {
        let path = format!("/events?after={}&limit=1", position - 1);
        let one = server.send("GET", &path, &[AS_STRUCTURED], b"");
        assert_eq!((one.status, one.header("content-type")), (200, Some(STRUCTURED)));
        let sent = by_json.send("POST", "/events", &[("Content-Type", STRUCTURED)], &one.body);
        assert_eq!(sent.status, 202, "{}", sent.text());
        assert!(sent.json().is_object(), "one event gets one answer");

        let one = server.get(&format!("{path}&cloudEvents=binary"));
        assert_eq!((one.status, one.header("content-type")), (200, Some("application/json")));
        let headers: Vec<(&str, &str)> =
            one.headers().filter(|(name, _)| name.starts_with("ce-") || *name == "content-type").collect();
        let sent = by_headers.send("POST", "/events", &headers, &one.body);
        assert_eq!(sent.status, 202, "{}", sent.text());
    }
    assert_eq!(kept(&by_json), kept(&server));
    assert_eq!(kept(&by_headers), kept(&server));
}

#[test]
fn every_route_that_takes_events_takes_cloud_events() {
    let server = Server::start();
    let send = |path: &str, content_type: &str, body: &str| {
        server.send("POST", path, &[("Content-Type", content_type)], body.as_bytes())
    };
    let one = cloud_event("a", "1");
    assert_eq!(send("/events/a?expectedVersion=none", STRUCTURED, &one).json()["streamVersion"], 1);
    let batch = format!("[{},{}]", cloud_event("a", "2"), cloud_event("a", "3"));
    assert_eq!(send("/events/a", "application/cloudevents-batch+json; charset=utf-8", &batch).status, 201);
    let imported = send("/import", BATCH, &format!("[{},{}]", cloud_event("a", "3"), cloud_event("b", "4")));
    let summary = &imported.lines()[imported.lines().len() - 1]["summary"];
    assert_eq!((summary["repeated"].as_u64(), summary["appended"].as_u64()), (Some(1), Some(1)));
    assert_eq!(send("/import", STRUCTURED, &cloud_event("b", "5")).status, 200);
    assert_eq!(server.get("/events").lines().len(), 5);

    let headers = [("ce-specversion", "1.0"), ("ce-id", "6"), ("ce-source", "/x"), ("ce-type", "t")];
    let reply = server.send("POST", "/events/c", &headers, b"");
    assert_eq!(reply.status, 201, "{}", reply.text());
    assert!(server.get("/events/c").lines()[0]["data"].is_null());
}

#[test]
fn what_is_wrong_with_a_cloud_event_is_named_and_nothing_is_written() {
    let server = Server::start();
    let send = |content_type: &str, body: &str| {
        server.send("POST", "/events/a", &[("Content-Type", content_type)], body.as_bytes()).problem(400)
    };
    assert_eq!(send(STRUCTURED, &cloud_event("b", "1"))["field"], "stream");
    assert_eq!(send(STRUCTURED, &cloud_event("a", "1").replace("1.0\"", "0.3\""))["field"], "specversion");
    let batch = format!("[{},{}]", cloud_event("a", "1"), cloud_event("a", "2").replace("/shop", ""));
    assert_eq!(send(BATCH, &batch)["field"], "[1].source");
    let headers = [("ce-specversion", "1.0"), ("ce-id", "%ff"), JSON];
    assert_eq!(server.send("POST", "/events/a", &headers, b"1").problem(400)["field"], "id");
    server.get("/events/a").problem(404);
    let transaction = server.send("POST", "/transactions", &[("Content-Type", STRUCTURED)], b"{}");
    transaction.problem(415);
}

#[test]
fn a_cloud_event_alone_is_refused_where_there_are_several_or_none() {
    let server = imported(SAMPLE.as_bytes());
    server.send("GET", "/events", &[AS_STRUCTURED], b"").problem(406);
    server.get("/events?cloudEvents=binary").problem(406);
    server.send("GET", "/events?after=head", &[AS_STRUCTURED], b"").problem(404);
    assert_eq!(server.get("/events?cloudEvents=structured").problem(400)["field"], "cloudEvents");
    assert_eq!(server.send("GET", "/events?after=head", &[AS_BATCH], b"").text(), "[]");
}

#[test]
fn a_configured_source_stands_for_none() {
    let server = Server::configured("[http]\ncloud_events_source = \"https://shop.example/annals\"");
    server.append("a", r#"{"type":"t","data":1}"#);
    let event = server.send("GET", "/events/a", &[AS_STRUCTURED], b"").json();
    assert_eq!(event["source"], "https://shop.example/annals");
}

#[test]
fn a_follower_gets_cloud_events_when_it_asks_for_them() {
    let server = imported(SAMPLE.as_bytes());
    let follow = |path: &str, headers: &[(&str, &str)]| -> Answer { server.open("GET", path, headers, b"") };
    let mut blocks = follow("/events/stream?envelope=cloudevents", &[]);
    let block = blocks.block();
    let data: serde_json::Value =
        serde_json::from_str(block[2].strip_prefix("data: ").expect("data")).expect("JSON");
    assert_eq!((data["specversion"].as_str(), data["subject"].as_str()), (Some("1.0"), Some("permit-1")));
    let mut lines = follow("/events/stream?envelope=cloudevents&after=2", &[crate::support::AS_LINES]);
    assert!(lines.line().is_some_and(|line| line.contains(r#""source":"urn:annals:no-source""#)));
    assert_eq!(server.get("/events/stream?envelope=x").problem(400)["field"], "envelope");
    let replayed = server.send("GET", "/events/permit-1/replay", &[AS_BATCH], b"").json();
    assert_eq!(replayed.as_array().map(Vec::len), Some(2));
}

#[test]
fn the_official_python_package_understands_what_is_sent_and_is_understood() {
    let Some(python) = python() else { return };
    let lines = sample();
    let server = imported(&lines);
    let file = tempfile::NamedTempFile::new().expect("a file for the sample");
    std::fs::write(file.path(), &lines).expect("the sample is written");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/http/python_peer.py");
    let url = format!("http://{}", server.address());
    let ran = Command::new(python).arg(script).arg(url).arg(file.path()).output().expect("python runs");
    let said = String::from_utf8_lossy(&ran.stderr).into_owned();
    assert!(ran.status.success(), "{said}");
    say(String::from_utf8_lossy(&ran.stdout).trim());
}

#[expect(clippy::print_stdout, reason = "whoever runs the tests should know what was tried")]
fn say(what: &str) {
    println!("{what}");
}

/// A python that has the package: the system's, or one in a directory of the build, made on first use.
fn python() -> Option<PathBuf> {
    let has_package = |python: &Path| {
        let mut import = Command::new(python);
        import.args(["-c", "import cloudevents.core"]).stderr(Stdio::null());
        import.status().is_ok_and(|status| status.success())
    };
    let of_system = PathBuf::from("python3");
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cloudevents");
    let own = dir.join("bin/python");
    for python in [&of_system, &own] {
        if has_package(python) {
            return Some(python.clone());
        }
    }
    let make = |program: &Path, args: &[&str]| {
        let made = Command::new(program).args(args).stdout(Stdio::null()).stderr(Stdio::null()).status();
        made.is_ok_and(|status| status.success())
    };
    let path = dir.to_str()?;
    let install = ["-m", "pip", "install", "--quiet", "--retries", "0", "cloudevents==2.2.0"];
    if !make(&of_system, &["-m", "venv", path]) {
        say("skipped: there is no python3 that makes virtual environments");
        return None;
    }
    if !make(&own, &install) || !has_package(&own) {
        say("skipped: the package cloudevents cannot be installed");
        return None;
    }
    Some(own)
}

//! The numbers for Prometheus: they are in its format, say what happened, and never name a stream.

use std::collections::{HashMap, HashSet};
use std::io::Write;
use std::process::{Command, Stdio};

use crate::support::{Server, eventually};

/// The samples of an exposition, by name and labels, once it is known to be in the format.
fn samples(text: &str) -> HashMap<String, f64> {
    assert!(text.ends_with('\n'));
    let (mut samples, mut types, mut told) = (HashMap::new(), HashMap::new(), HashSet::new());
    let is_name = |name: &str| {
        name.starts_with(|first: char| first.is_ascii_alphabetic())
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    let mut current = String::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').expect("a help has a text");
            assert!(is_name(name) && help.ends_with('.') && told.insert(name.to_owned()), "{line}");
            current = name.to_owned();
            continue;
        }
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').expect("a type is named");
            assert!(name == current && ["counter", "gauge", "histogram"].contains(&kind), "{line}");
            assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
            types.insert(name.to_owned(), kind.to_owned());
            continue;
        }
        let (series, value) = line.rsplit_once(' ').expect("a sample has a value");
        let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
        let of_histogram = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end));
        let family = if types[&current] == "histogram" { of_histogram.expect(line) } else { name };
        assert_eq!(family, current, "samples of one metric stand together");
        let labels = labels.strip_suffix('}').expect(line);
        for label in labels.split(',').filter(|label| !label.is_empty()) {
            let (name, value) = label.split_once('=').expect(line);
            assert!(
                is_name(name) && value.starts_with('"') && value.ends_with('"') && value.len() > 2,
                "{line}"
            );
        }
        let value: f64 = value.parse().expect(line);
        assert!(samples.insert(series.to_owned(), value).is_none(), "{line} stands twice");
    }
    samples
}

fn metrics(server: &Server) -> HashMap<String, f64> {
    let reply = server.get("/metrics");
    assert_eq!(reply.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    samples(&reply.text())
}

#[test]
fn what_happened_is_counted_and_no_stream_is_named() {
    let server = Server::start();
    server.append("secret-1", r#"[{"type":"t","data":1},{"type":"t","data":2}]"#);
    server.post("/events/secret-1?expectedVersion=9", r#"{"type":"t","data":1}"#).problem(409);
    server.get("/events/secret-1");
    server.get("/events/secret-2").problem(404);
    server.get("/secret-3").problem(404);
    let text = server.get("/metrics").text();
    assert!(!text.contains("secret"), "{text}");
    let found = samples(&text);
    for (name, value) in [
        ("annals_appends_total", 1.0),
        ("annals_appends_refused_total", 1.0),
        ("annals_events_total", 2.0),
        ("annals_visible_position", 2.0),
        ("annals_durable_position", 2.0),
        ("annals_segments", 1.0),
        ("annals_ready", 1.0),
        ("annals_subscribers", 0.0),
        ("annals_group_appends_count", 1.0),
        ("annals_sync_seconds_count", 1.0),
        ("annals_append_seconds_count", 1.0),
        ("annals_append_seconds_bucket{le=\"+Inf\"}", 1.0),
        ("annals_http_requests_total{route=\"/events/{stream}\",method=\"GET\",status=\"2xx\"}", 1.0),
        ("annals_http_requests_total{route=\"/events/{stream}\",method=\"POST\",status=\"4xx\"}", 1.0),
        ("annals_http_requests_total{route=\"other\",method=\"GET\",status=\"4xx\"}", 1.0),
        ("annals_http_request_seconds_count{route=\"/events/{stream}\"}", 4.0),
    ] {
        assert_eq!(found.get(name), Some(&value), "{name}: {text}");
    }
    assert!(found["annals_append_bytes_total"] > 100.0);
    eventually("the disk is looked at", || {
        let found = metrics(&server);
        found["annals_disk_used_bytes"] > 4096.0 && found["annals_disk_free_bytes"] > 4096.0
    });
    eventually("only who asks is connected", || metrics(&server)["annals_http_connections"] == 1.0);
}

#[test]
fn those_who_follow_are_counted_while_they_do_and_one_that_waits_is_not_behind() {
    let server = Server::start();
    server.append("a", r#"{"type":"t","data":1}"#);
    let mut follower = server.open("GET", "/events/stream?types=none", &[], b"");
    assert_eq!(follower.block(), ["id: 1"]);
    server.append("a", r#"{"type":"t","data":1}"#);
    eventually("it waits", || {
        let found = metrics(&server);
        assert_eq!(found["annals_subscribers"], 1.0);
        found["annals_subscriber_lag_events"] == 0.0
    });
    drop(follower);
    server.append("a", r#"{"type":"none","data":1}"#);
    eventually("its place is free", || metrics(&server)["annals_subscribers"] == 0.0);
}

#[test]
fn promtool_finds_nothing_to_complain_about() {
    let mut command = Command::new("promtool");
    command.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let Ok(mut promtool) = command.spawn() else {
        say("skipped: there is no promtool");
        return;
    };
    let server = Server::start();
    server.append("a", r#"{"type":"t","data":1}"#);
    let text = server.get("/metrics").text();
    promtool.stdin.take().expect("is piped").write_all(text.as_bytes()).expect("promtool reads");
    let ended = promtool.wait_with_output().expect("promtool ends");
    let said = [ended.stdout, ended.stderr].concat();
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&said));
}

#[expect(clippy::print_stdout, reason = "whoever runs the tests should know what was tried")]
fn say(what: &str) {
    println!("{what}");
}

//! curl: each request is what a shell would send. Many requests are one run, by its configuration from standard input.

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::{Command, Stdio};

use serde_json::{Map, Value, json};

use super::sample::Sample;
use super::{as_written, events_of};
use crate::support::Server;

const CHUNK: usize = 500;
const JSON: &str = "application/json";
const NDJSON: &str = "application/x-ndjson";
const STRUCTURED: &str = "application/cloudevents+json";
const BATCH: &str = "application/cloudevents-batch+json";

/// Requests, as curl takes them, with their bodies in files: it reads no long lines.
struct Requests {
    config: String,
    bodies: tempfile::TempDir,
    count: usize,
}

impl Requests {
    fn new() -> Requests {
        let bodies = tempfile::tempdir().expect("a directory for bodies");
        Requests { config: String::new(), bodies, count: 0 }
    }

    fn post(&mut self, path: &str, content_type: &str, headers: &[String], body: &str) {
        if self.count > 0 {
            self.config.push_str("next\n");
        }
        self.count += 1;
        let file = self.bodies.path().join(self.count.to_string());
        std::fs::write(&file, body).expect("a body is written");
        let mut option = |name: &str, value: &str| {
            let value = value.replace('\\', "\\\\").replace('"', "\\\"");
            writeln!(self.config, "{name} = \"{value}\"").expect("a text can be written to");
        };
        option("url", path);
        option("header", &format!("Content-Type: {content_type}"));
        headers.iter().for_each(|header| option("header", header));
        option("data-binary", &format!("@{}", file.display()));
        self.config.push_str("fail-with-body\nsilent\nshow-error\noutput = \"/dev/null\"\n");
    }

    fn send(self) {
        let mut curl = Command::new("curl").args(["--config", "-"]).stdin(Stdio::piped()).spawn();
        let curl = curl.as_mut().expect("curl starts");
        let mut requests = curl.stdin.take().expect("is piped");
        requests.write_all(self.config.as_bytes()).expect("curl reads");
        drop(requests);
        assert!(curl.wait().expect("curl ends").success());
    }
}

pub(super) fn write(server: &Server, form: &str, sample: &Sample) {
    let url = |path: &str| format!("http://{}{path}", server.address());
    let events = url("/events");
    let mut requests = Requests::new();
    match form {
        "single" => sample.lines.iter().for_each(|line| requests.post(&events, JSON, &[], line)),
        "array" => each_chunk(&sample.lines, |chunk| {
            requests.post(&events, JSON, &[], &format!("[{}]", chunk.join(",")));
        }),
        "lines" => {
            each_chunk(&sample.lines, |chunk| requests.post(&events, NDJSON, &[], &chunk.join("\n")));
        }
        "import" => requests.post(&url("/import"), NDJSON, &[], &sample.lines.join("\n")),
        "transactions" => each_chunk(&sample.events, |chunk| {
            requests.post(&url("/transactions"), JSON, &[], &transaction(chunk).to_string());
        }),
        "cloud-binary" => sample.events.iter().for_each(|event| {
            let cloud = attributes(event);
            let header = |(name, value): (&String, &Value)| {
                format!("ce-{name}: {}", encoded(value.as_str().expect("is a text")))
            };
            let headers: Vec<String> = cloud.iter().map(header).collect();
            requests.post(&events, JSON, &headers, &event["data"].to_string());
        }),
        "cloud-structured" => sample.events.iter().for_each(|event| {
            requests.post(&events, STRUCTURED, &[], &cloud(event).to_string());
        }),
        "cloud-batch" => each_chunk(&sample.events, |chunk| {
            let batch: Vec<Value> = chunk.iter().map(cloud).collect();
            requests.post(&events, BATCH, &[], &json!(batch).to_string());
        }),
        other => panic!("{other} is no form"),
    }
    requests.send();
}

fn each_chunk<T>(all: &[T], each: impl FnMut(&[T])) {
    all.chunks(CHUNK).for_each(each);
}

/// A value of a header: what is not visible ASCII, percent-encoded.
fn encoded(value: &str) -> String {
    value.bytes().fold(String::new(), |mut out, byte| {
        match byte {
            b'!' | b'#'..=b'$' | b'&'..=b'~' => out.push(byte.into()),
            _ => write!(out, "%{byte:02X}").expect("a text can be written to"),
        }
        out
    })
}

fn transaction(events: &[Value]) -> Value {
    let mut writes: Map<String, Value> = Map::new();
    for event in events {
        let stream = event["stream"].as_str().expect("a stream");
        let write =
            writes.entry(stream.to_owned()).or_insert_with(|| json!({"stream": stream, "events": []}));
        write["events"].as_array_mut().expect("a list").push(event.clone());
    }
    json!({ "writes": writes.values().collect::<Vec<_>>() })
}

fn attributes(event: &Value) -> Map<String, Value> {
    let attributes = json!({
        "specversion": "1.0",
        "id": event["id"],
        "source": event["source"],
        "type": event["type"],
        "subject": event["stream"],
        "time": event["timestamp"],
        "correlationid": event["metadata"]["correlationId"],
        "version": event["metadata"]["version"],
    });
    attributes.as_object().expect("an object").clone()
}

fn cloud(event: &Value) -> Value {
    let mut cloud = attributes(event);
    cloud.insert("data".to_owned(), event["data"].clone());
    cloud.into()
}

fn native(cloud: &Value) -> Value {
    json!({
        "stream": cloud["subject"],
        "id": cloud["id"],
        "type": cloud["type"],
        "timestamp": cloud["time"],
        "source": cloud["source"],
        "data": cloud["data"],
        "metadata": {"correlationId": cloud["correlationid"], "version": cloud["version"]},
    })
}

fn get(server: &Server, path: &str, accept: &str) -> String {
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--show-error", "--fail-with-body", "--header", &format!("Accept: {accept}")]);
    let ran = curl.arg(format!("http://{}{path}", server.address())).output().expect("curl runs");
    let text = String::from_utf8(ran.stdout).expect("is text");
    assert!(ran.status.success(), "{path}: {text}");
    text
}

/// The values of a field of server-sent events.
fn field<'a>(blocks: &'a str, name: &str) -> Vec<&'a str> {
    blocks.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).collect()
}

fn values(texts: &[&str]) -> Vec<Value> {
    texts.iter().map(|text| serde_json::from_str(text).expect("JSON")).collect()
}

pub(super) fn read(server: &Server, form: &str) -> Vec<Value> {
    let blocks = |more: &str| get(server, &format!("/events/stream?live=false{more}"), "text/event-stream");
    match form {
        "lines" => all_as_written(events_of(&get(server, "/events", NDJSON))),
        "pages" => {
            let (mut path, mut found) = (Some("/events?limit=1000".to_owned()), Vec::new());
            while let Some(next) = path {
                let page: Value = serde_json::from_str(&get(server, &next, JSON)).expect("JSON");
                found.extend(page["events"].as_array().expect("a list").iter().cloned());
                path = page["next"].as_str().map(str::to_owned);
            }
            all_as_written(found)
        }
        "replays" => replays(server),
        "follow-lines" => {
            let mut found = events_of(&get(server, "/events/stream?live=false", NDJSON));
            assert!(found.pop().is_some_and(|last| last["caughtUp"].is_u64()));
            all_as_written(found)
        }
        "blocks" => {
            let blocks = blocks("");
            let pairs = field(&blocks, "event").into_iter().zip(values(&field(&blocks, "data")));
            pairs.map(|(event_type, data)| json!({"type": event_type, "data": data})).collect()
        }
        "envelopes" => all_as_written(values(&field(&blocks("&envelope=true"), "data"))),
        "cloud-envelopes" => {
            values(&field(&blocks("&envelope=cloudevents"), "data")).iter().map(native).collect()
        }
        "cloud-batch" => {
            let batch: Vec<Value> = serde_json::from_str(&get(server, "/events", BATCH)).expect("JSON");
            batch.iter().map(native).collect()
        }
        other => panic!("{other} is no form"),
    }
}

fn all_as_written(events: Vec<Value>) -> Vec<Value> {
    events.into_iter().map(as_written).collect()
}

/// Each stream by its replay, all of them in one run.
fn replays(server: &Server) -> Vec<Value> {
    let streams: Value = serde_json::from_str(&get(server, "/streams?limit=10000", JSON)).expect("JSON");
    let names = streams["streams"].as_array().expect("a list").iter();
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--show-error", "--fail-with-body"]);
    curl.args(names.map(|stream| {
        let name = encoded(stream["stream"].as_str().expect("a name")).replace('/', "%2F");
        format!("http://{}/events/{name}/replay", server.address())
    }));
    let ran = curl.output().expect("curl runs");
    assert!(ran.status.success());
    let mut events = all_as_written(events_of(&String::from_utf8(ran.stdout).expect("is text")));
    for event in &mut events {
        let fields = event.as_object_mut().expect("an object");
        let event_type = fields.remove("event").expect("a replay calls it so");
        fields.insert("type".to_owned(), event_type);
    }
    events
}

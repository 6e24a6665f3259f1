//! Real events, written in every form by curl, by a browser and by Python, and read back by each of them in every form: what
//! comes out is what went in.
//!
//! The events are the lines of the file that `ANNALS_SAMPLE` names, or those of `shared/data/permits.ndjson` beside the
//! project, or where that is missing, made-up ones of the same kind.

mod browser;
mod curl;
mod sample;

use std::collections::HashMap;

use serde_json::Value;

use super::tools::{Tools, run, say};
use crate::support::Server;
use browser::Browser;
use sample::Sample;

/// Every form in which events are written.
const WRITTEN: [&str; 8] =
    ["single", "array", "lines", "import", "transactions", "cloud-binary", "cloud-structured", "cloud-batch"];

/// Every form in which events are read, and who reads it.
const READ: [&str; 8] =
    ["lines", "pages", "replays", "follow-lines", "blocks", "envelopes", "cloud-envelopes", "cloud-batch"];

/// An event without its place and its time in this store, which are the store's own.
fn as_written(mut event: Value) -> Value {
    let fields = event.as_object_mut().expect("an event is an object");
    for own in ["streamVersion", "position", "recordedAt"] {
        fields.remove(own);
    }
    event
}

fn by_stream(events: &[Value]) -> HashMap<&str, Vec<&Value>> {
    let mut streams: HashMap<&str, Vec<&Value>> = HashMap::new();
    for event in events {
        streams.entry(event["stream"].as_str().expect("a stream")).or_default().push(event);
    }
    streams
}

/// Checks that the store holds the sample, each stream in its order, byte for byte where the client writes bytes.
fn is_held(server: &Server, sample: &Sample, what: &str) {
    let text = server.get("/events").text();
    let held: Vec<Value> =
        text.lines().map(|line| as_written(serde_json::from_str(line).expect("an event"))).collect();
    assert_eq!(held.len(), sample.events.len(), "{what}");
    // A transaction has its events by streams; every other form keeps the order of all.
    match what.contains("transactions") {
        true => assert!(by_stream(&held) == by_stream(&sample.events), "{what}"),
        false => assert!(held == sample.events, "{what}"),
    }
}

/// Checks that what was read is the sample, as far as the form shows events.
fn is_read(found: &[Value], sample: &Sample, what: &str) {
    assert_eq!(found.len(), sample.events.len(), "{what}");
    if what.contains("replays") {
        return assert!(by_stream(found) == by_stream(&sample.events), "{what}");
    }
    for (found, wanted) in found.iter().zip(&sample.events) {
        let fields = found.as_object().expect("an object");
        let is_whole = fields.len() == wanted.as_object().map_or(0, serde_json::Map::len);
        assert!(is_whole || what.contains("blocks"), "{what}: {found}");
        for (name, value) in fields {
            assert_eq!(Some(value), wanted.get(name), "{what}: {found} is not {wanted}");
        }
    }
}

fn events_of(lines: &str) -> Vec<Value> {
    lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

/// A server that holds the sample.
fn holding(sample: &Sample) -> Server {
    let server = Server::start();
    curl::write(&server, "import", sample);
    server
}

#[test]
fn what_curl_writes_in_any_form_is_held_and_what_it_reads_in_any_form_is_that() {
    if Tools::find().is_none() {
        return;
    }
    let sample = Sample::load();
    for form in WRITTEN {
        let server = Server::start();
        curl::write(&server, form, &sample);
        is_held(&server, &sample, &format!("curl {form}"));
    }
    let server = holding(&sample);
    for form in READ {
        is_read(&curl::read(&server, form), &sample, &format!("curl {form}"));
    }
    say(&format!("{} events by curl", sample.events.len()));
}

#[test]
fn what_python_writes_in_any_form_is_held_and_what_it_reads_in_any_form_is_that() {
    let Some(tools) = Tools::find() else { return };
    let sample = Sample::load();
    let python = |server: &Server, does: &str, form: &str| {
        let mut command = tools.python("python");
        command.arg("permits/permits.py").arg(format!("http://{}", server.address())).args([does, form]);
        run(command.arg(sample.file.path()))
    };
    for form in WRITTEN {
        let server = Server::start();
        python(&server, "write", form);
        is_held(&server, &sample, &format!("python {form}"));
    }
    let server = holding(&sample);
    for form in READ {
        is_read(&events_of(&python(&server, "read", form)), &sample, &format!("python {form}"));
    }
    say(&format!("{} events by Python", sample.events.len()));
}

#[test]
fn what_a_browser_writes_in_any_form_is_held_and_what_it_reads_in_any_form_is_that() {
    let Some(tools) = Tools::find() else { return };
    let sample = Sample::load();
    let mut browser = Browser::start(&tools, sample.file.path());
    for form in WRITTEN {
        let server = browser.server();
        assert_eq!(browser.ask(&server, "write", form), "done");
        is_held(&server, &sample, &format!("browser {form}"));
    }
    let server = browser.server();
    browser.ask(&server, "write", "import");
    // A replay is one request a stream, and has nothing for a browser that reads do not have.
    for form in READ.into_iter().filter(|form| *form != "replays") {
        let found: Vec<Value> = serde_json::from_str(&browser.ask(&server, "read", form)).expect("a list");
        is_read(&found, &sample, &format!("browser {form}"));
    }
    say(&format!("{} events by a browser", sample.events.len()));
}

//! A server that is killed under concurrent appends, again and again, on one directory.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::sync::mpsc::{Sender, channel};
use std::thread;

use annals::testkit::Rng;
use serde_json::{Value, json};

use crate::support::Server;

/// How often the server is killed. `ANNALS_KILL_ROUNDS` says another number.
const ROUNDS: u64 = 5;

const WRITERS: u64 = 4;
const STREAMS: u64 = 5;

/// Enough for several segments in a few rounds.
const FILLER_BYTES: usize = 1_500;

/// Acknowledged appends after which the server is killed: at least and at most.
const APPENDS_MIN: u64 = 50;
const APPENDS_MAX: u64 = 400;

/// Where an event is.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    stream: String,
    version: u64,
    position: u64,
}

/// Events by their ids.
type Places = BTreeMap<String, Place>;

#[test]
fn a_killed_server_has_every_acknowledged_event_and_no_half_append() {
    let dir = tempfile::tempdir().expect("a directory for the store");
    let rounds = std::env::var("ANNALS_KILL_ROUNDS").ok();
    let rounds = rounds.map_or(ROUNDS, |number| number.parse().expect("ANNALS_KILL_ROUNDS is a number"));
    let mut rng = Rng::new(1);
    let mut acknowledged = Places::new();
    for round in 0..rounds {
        let server = start(dir.path());
        check(&server, &acknowledged);
        let appends = APPENDS_MIN + rng.below(APPENDS_MAX - APPENDS_MIN + 1);
        acknowledged.extend(append_until_killed(server, round, appends));
    }
    check(&start(dir.path()), &acknowledged);
    assert!(segments(dir.path()) > 1, "no segment was sealed");
    let verify = binary().arg("verify").arg("--data").arg(dir.path()).output().expect("the binary starts");
    assert!(verify.status.success(), "{}", String::from_utf8_lossy(&verify.stdout));
    println!("{rounds} rounds, {} acknowledged events", acknowledged.len());
}

fn binary() -> Command {
    Command::new(env!("CARGO_BIN_EXE_annals"))
}

fn start(dir: &Path) -> Server {
    let mut binary = binary();
    binary.env("ANNALS_SEGMENT_BYTES", "1048576");
    Server::start_on(dir, binary)
}

fn segments(dir: &Path) -> usize {
    let names = std::fs::read_dir(dir.join("log")).expect("a store has a log");
    let paths = names.map(|entry| entry.expect("can be listed").path());
    paths.filter(|path| path.extension().is_some_and(|extension| extension == "seg")).count()
}

/// Appends from several threads, kills the server after so many acknowledged appends, and gives what was acknowledged.
fn append_until_killed(server: Server, round: u64, appends: u64) -> Places {
    let (told, acknowledged) = channel();
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let (told, address) = (told.clone(), server.address().to_owned());
            thread::spawn(move || write(&address, &format!("{round}-{writer}"), &told))
        })
        .collect();
    drop(told);
    let mut places = Places::new();
    for _ in 0..appends {
        places.extend(acknowledged.recv().expect("the server answers until it is killed"));
    }
    // The signal that cannot be caught.
    drop(server);
    for writer in writers {
        writer.join().expect("every answer is that of an append");
    }
    places.extend(acknowledged.into_iter().flatten());
    places
}

/// Appends until nobody answers any more. Every event says how many its append has.
fn write(address: &str, name: &str, told: &Sender<Places>) {
    for number in 0.. {
        let event = |of: u64, part: u64| {
            json!({
                "id": format!("{name}-{number}/{part}"),
                "type": "counted",
                "data": { "of": of, "filler": "x".repeat(FILLER_BYTES) },
            })
        };
        let (one, other) = (format!("s-{}", number % STREAMS), format!("s-{}", (number + 1) % STREAMS));
        let answer = match number % 4 {
            0 | 1 => post(address, &format!("/events/{one}"), &event(1, 0)),
            2 => post(address, &format!("/events/{one}"), &json!([event(3, 0), event(3, 1), event(3, 2)])),
            _ => {
                let writes = json!([
                    { "stream": one, "events": [event(3, 0), event(3, 1)] },
                    { "stream": other, "events": [event(3, 2)] },
                ]);
                post(address, "/transactions", &json!({ "writes": writes }))
            }
        };
        let Some(answer) = answer else { return };
        if told.send(places_of(&answer)).is_err() {
            return;
        }
    }
}

/// Posts a body; none when the server did not answer to the end.
fn post(address: &str, path: &str, body: &Value) -> Option<Value> {
    let body = body.to_string();
    let mut connection = TcpStream::connect(address).ok()?;
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n",
        body.len()
    );
    connection.write_all(head.as_bytes()).and_then(|()| connection.write_all(body.as_bytes())).ok()?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    assert!(head.starts_with("HTTP/1.1 201"), "{answer}");
    serde_json::from_str(body).ok()
}

/// Where a receipt says that its events are.
fn places_of(answer: &Value) -> Places {
    let streams = answer["streams"].as_array().cloned().unwrap_or_else(|| vec![answer.clone()]);
    let mut places = Places::new();
    for stream in &streams {
        for event in stream["events"].as_array().expect("a receipt names its events") {
            places.insert(text(&event["eventId"]), place(&stream["stream"], event));
        }
    }
    places
}

fn place(stream: &Value, event: &Value) -> Place {
    let number = |name: &str| event[name].as_u64().expect("a number");
    Place { stream: text(stream), version: number("streamVersion"), position: number("position") }
}

fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}

/// Reads everything: positions and versions are dense, appends whole, and what was acknowledged is in its place.
fn check(server: &Server, acknowledged: &Places) {
    let mut places = Places::new();
    let mut versions: BTreeMap<String, u64> = BTreeMap::new();
    // Of each append: how many events it has, and which positions they are at.
    let mut appends: BTreeMap<String, (u64, Vec<u64>)> = BTreeMap::new();
    for (event, position) in server.get("/events").lines().iter().zip(1..) {
        let (id, place) = (text(&event["id"]), place(&event["stream"], event));
        let version = versions.entry(place.stream.clone()).or_default();
        *version += 1;
        assert_eq!((place.position, place.version), (position, *version), "{id}");
        let append = id.split_once('/').expect("ids name their append").0;
        let of = event["data"]["of"].as_u64().expect("a count");
        appends.entry(append.to_owned()).or_insert((of, Vec::new())).1.push(position);
        assert_eq!(places.insert(id.clone(), place), None, "{id} is there twice");
    }
    for (append, (of, positions)) in appends {
        let last = positions[0] + of - 1;
        assert!(
            positions.iter().copied().eq(positions[0]..=last),
            "{append} is at {positions:?}, wanted {of}"
        );
    }
    for (id, place) in acknowledged {
        assert_eq!(places.get(id), Some(place), "{id} was acknowledged");
    }
}

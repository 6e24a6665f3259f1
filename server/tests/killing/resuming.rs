//! A server that is started again and again under load, killed or asked to stop: those who follow come back with the last
//! position that they got, and miss nothing.
//!
//! For longer runs set `ANNALS_RESUME_ROUNDS`, how often the server is started again (default 6), and
//! `ANNALS_RESUME_FOLLOWERS` (default 16).

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use serde_json::Value;

use super::request::{answer, send};
use crate::support::{Server, eventually, get};

const WRITERS: u64 = 2;

/// Appends between two restarts, at least.
const APPENDS: u64 = 200;

/// The id of the last event.
const LAST: &str = "last";

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().expect("a number"))
}

/// What goes on while the server comes and goes.
struct Run {
    address: String,
    acknowledged: AtomicU64,
    /// How often a follower was let in.
    followed: AtomicU64,
    ends: AtomicBool,
}

impl Run {
    /// Appends events of a stream of its own until it is told to end, each again until it is acknowledged.
    fn write(&self, writer: u64) {
        for n in 0.. {
            if self.ends.load(Ordering::Relaxed) {
                return;
            }
            let event = format!(r#"{{"id":"{writer}-{n}","type":"t","data":{{"n":{n}}}}}"#);
            self.append(&format!("/events/w-{writer}?expectedVersion={n}"), &event);
            self.acknowledged.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Sends an append until it is known to be stored.
    fn append(&self, path: &str, event: &str) {
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{event}",
            self.address,
            event.len()
        );
        loop {
            match send(&self.address, request.as_bytes()).and_then(answer) {
                Some(answered) if answered.status == 201 => return,
                // It is on its way out.
                Some(answered) => assert_eq!(answered.status, 503, "{}", answered.body),
                None => thread::yield_now(),
            }
        }
    }

    /// Follows until the last event has come; tells the positions and ids of all, in the order in which they came.
    fn follow(&self, accept: &str) -> Vec<(u64, String)> {
        let mut got: Vec<(u64, String)> = Vec::new();
        loop {
            let position = got.last().map_or(0, |(position, _)| *position).to_string();
            let headers = [("Last-Event-ID", position.as_str()), ("Accept", accept)];
            match get(&self.address, "/events/stream?envelope=true", &headers) {
                Some(mut answer) if answer.status == 200 => {
                    self.followed.fetch_add(1, Ordering::Relaxed);
                    // A line that breaks off is no line: it comes again.
                    while let Ok(Some(line)) = answer.line_if_whole() {
                        got.extend(event(&line));
                        if got.last().is_some_and(|(_, id)| id == LAST) {
                            return got;
                        }
                    }
                }
                Some(answer) => assert_eq!(answer.status, 503),
                None => thread::yield_now(),
            }
        }
    }
}

/// The position and the id of the event that a line tells of, in either form.
fn event(line: &str) -> Option<(u64, String)> {
    let json: Value = serde_json::from_str(line.strip_prefix("data: ").unwrap_or(line)).ok()?;
    Some((json["position"].as_u64()?, json["id"].as_str()?.to_owned()))
}

fn start(dir: &Path, address: &str) -> Server {
    Server::start_on_address(address, dir, Command::new(env!("CARGO_BIN_EXE_annals")))
}

/// Starts the server again and again while the run goes on, and ends the run.
fn restart(run: &Run, mut server: Server, dir: &Path, rounds: u64) -> Server {
    for round in 0..rounds {
        let wanted = run.acknowledged.load(Ordering::Relaxed) + APPENDS;
        eventually("appends are acknowledged", || run.acknowledged.load(Ordering::Relaxed) >= wanted);
        if round % 2 == 0 {
            // The signal that cannot be caught.
            drop(server);
        } else {
            server.terminate();
            assert!(server.child().wait().expect("it ends").success());
        }
        server = start(dir, &run.address);
    }
    run.ends.store(true, Ordering::Relaxed);
    server
}

#[test]
fn whoever_follows_through_kills_and_stops_gets_every_event_once() {
    let dir = tempfile::tempdir().expect("a directory for the store");
    let rounds = setting("ANNALS_RESUME_ROUNDS", 6);
    let followers = setting("ANNALS_RESUME_FOLLOWERS", 16);
    let server = start(dir.path(), "127.0.0.1:0");
    let run = Run {
        address: server.address().to_owned(),
        acknowledged: AtomicU64::new(0),
        followed: AtomicU64::new(0),
        ends: AtomicBool::new(false),
    };
    let (server, got) = thread::scope(|scope| {
        let run = &run;
        let following: Vec<_> = (0..followers)
            .map(|n| {
                scope.spawn(move || {
                    run.follow(if n % 2 == 0 { "text/event-stream" } else { "application/x-ndjson" })
                })
            })
            .collect();
        let writing: Vec<_> = (0..WRITERS).map(|writer| scope.spawn(move || run.write(writer))).collect();
        let server = restart(run, server, dir.path(), rounds);
        writing.into_iter().for_each(|writer| writer.join().expect("a writer ends"));
        run.append("/events/w-last", &format!(r#"{{"id":"{LAST}","type":"t","data":null}}"#));
        let got: Vec<_> =
            following.into_iter().map(|follower| follower.join().expect("a follower ends")).collect();
        (server, got)
    });
    let stored: Vec<_> = server.get("/events").text().lines().filter_map(event).collect();
    assert!((1..).zip(&stored).all(|(position, (stored, _))| position == *stored), "positions are dense");
    assert_eq!(
        stored.len() as u64,
        run.acknowledged.into_inner() + 1,
        "each append once, however often it was sent"
    );
    for (follower, got) in got.iter().enumerate() {
        assert!(*got == stored, "follower {follower} got {} of {} events", got.len(), stored.len());
    }
    let followed = run.followed.into_inner();
    assert!(followed >= followers * rounds / 2, "they came back");
    println!(
        "{rounds} restarts, {} events to {followers} followers, who came {followed} times",
        stored.len()
    );
}

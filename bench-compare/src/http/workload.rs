//! What servers are asked, and what annals has to reach of the floor.

use std::io::Write as _;
use std::time::Instant;

use super::answer::Counts;
use super::client::{Connections, Live};
use super::server::Server;
use crate::event::{Event, TYPE, stream};
use crate::figures::Figures;
use crate::store::Result;
use crate::workload::{Sample, some_stream};

/// How much is done.
#[derive(Clone, Copy)]
pub struct Scale {
    /// Slices of each workload, in which the servers take turns.
    pub slices: u64,
    /// Events that are there when events are read.
    pub events: u64,
}

/// Something that servers are asked in turn.
pub struct Workload {
    pub name: &'static str,
    pub about: &'static str,
    pub target: Target,
    /// Opens what is kept open from slice to slice.
    pub open: fn(&Server, Scale) -> Result<Turn>,
}

/// Does a slice, by its number.
pub type Turn = Box<dyn FnMut(u64) -> Result<Sample>>;

/// What is to be reached.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Target {
    /// So much of the rate of the floor.
    Share(f64),
    /// The p50 is at most so many times that of the floor.
    Times(f64),
}

/// On stores that are empty at the beginning.
pub const WRITING: &[Workload] = &[
    appends("append-1", "one event a request, 1 connection; appends a second", 0.9, |s, _| append(s, 1, 200)),
    appends("append-16", "the same, 16 connections", 0.9, |s, _| append(s, 16, 1_500)),
    appends("append-64", "the same, 64 connections", 0.9, |s, _| append(s, 64, 3_000)),
    appends("append-256", "the same, 256 connections", 0.9, |s, _| append(s, 256, 4_000)),
    appends("batch-1", "100 events a request, 1 connection; events a second", 0.95, |s, _| batch(s, 1, 40)),
    appends("batch-8", "the same, 8 connections", 0.95, |s, _| batch(s, 8, 80)),
    Workload {
        name: "live-1",
        about: "from sending one event to receipt by 1 follower",
        target: Target::Times(1.1),
        open: |server, _| live(server, 1, 200),
    },
    Workload {
        name: "live-100",
        about: "the same, by each of 100 followers",
        target: Target::Times(1.1),
        open: |server, _| live(server, 100, 50),
    },
    Workload {
        name: "fan-out-100",
        about: "100 events a request, 100 followers; deliveries a second",
        target: Target::Share(0.8),
        open: |server, _| fan_out(server, 100, 20, 100),
    },
    Workload {
        name: "fan-out-1000",
        about: "one event a request, 1,000 followers; deliveries a second",
        target: Target::Share(0.8),
        open: |server, _| fan_out(server, 1_000, 50, 1),
    },
];

/// On stores that are loaded.
pub const READING: &[Workload] = &[
    Workload {
        name: "replay",
        about: "all events as NDJSON; events a second",
        target: Target::Share(0.9),
        open: replay,
    },
    Workload {
        name: "read-stream",
        about: "streams of 10 events, 64 connections; reads a second",
        target: Target::Share(0.7),
        open: read,
    },
];

/// Time until the first stream is read after a kill, and memory then: at most, in ms and MB.
pub const RESTART: [(&str, f64); 2] = [("restart ms", 40.0), ("RssAnon MB", 40.0)];

const EVENTS_OF_STREAM: u64 = 10;

const fn appends(
    name: &'static str,
    about: &'static str,
    share: f64,
    open: fn(&Server, Scale) -> Result<Turn>,
) -> Workload {
    Workload { name, about, target: Target::Share(share), open }
}

/// Writes the head of a request, and its body.
fn write_request(out: &mut Vec<u8>, method: &str, path: &str, body: &[u8]) {
    // Writing to memory does not fail.
    let _ = write!(out, "{method} {path} HTTP/1.1\r\nHost: localhost\r\n");
    if method == "POST" {
        let _ = write!(out, "Content-Type: application/json\r\nContent-Length: {}\r\n", body.len());
    }
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(body);
}

fn write_event(out: &mut Vec<u8>, stream: Option<&str>, number: u64) {
    let event = Event::new(number);
    out.extend_from_slice(b"{\"type\":\"");
    out.extend_from_slice(TYPE.as_bytes());
    if let Some(stream) = stream {
        out.extend_from_slice(b"\",\"stream\":\"");
        out.extend_from_slice(stream.as_bytes());
    }
    for part in [b"\",\"data\":", &event.data[..], b",\"metadata\":", &event.metadata[..], b"}"] {
        out.extend_from_slice(part);
    }
}

/// Writes a request that appends events to one stream.
fn write_append(out: &mut Vec<u8>, number: u64, events: u64) {
    let mut body = Vec::with_capacity(events as usize * 512);
    for n in 0..events {
        body.push(if n == 0 { b'[' } else { b',' });
        write_event(&mut body, None, number * events + n);
    }
    body.push(b']');
    let body = if events == 1 { &body[1..body.len() - 1] } else { &body[..] };
    write_request(out, "POST", &format!("/events/{}", some_stream(number)), body);
}

fn append(server: &Server, connections: usize, requests: u64) -> Result<Turn> {
    appending(server, connections, requests, 1)
}

fn batch(server: &Server, connections: usize, requests: u64) -> Result<Turn> {
    appending(server, connections, requests, 100)
}

fn appending(server: &Server, connections: usize, requests: u64, events: u64) -> Result<Turn> {
    let mut connections = Connections::open(&server.address, connections, Counts::Lines)?;
    Ok(Box::new(move |slice| {
        let write = |number, out: &mut Vec<u8>| write_append(out, slice * requests + number, events);
        let (times, took) = connections.ask(requests, None, write)?;
        Ok(Sample { times, took, calls: requests, events: requests * events, ..Sample::default() })
    }))
}

/// Followers of all events from here on.
fn followers(server: &Server, count: usize) -> Result<Live> {
    let mut request = Vec::new();
    write_request(&mut request, "GET", "/events/stream?after=head", b"");
    Live::open(&server.address, count, &request)
}

fn live(server: &Server, count: usize, requests: u64) -> Result<Turn> {
    let mut live = followers(server, count)?;
    Ok(Box::new(move |slice| {
        let write = |number, out: &mut Vec<u8>| write_append(out, slice * requests + number, 1);
        let (times, took) = live.publish(requests, 1, true, write)?;
        Ok(Sample { times, took, calls: requests, events: requests, ..Sample::default() })
    }))
}

fn fan_out(server: &Server, count: usize, requests: u64, events: u64) -> Result<Turn> {
    let mut live = followers(server, count)?;
    Ok(Box::new(move |slice| {
        let write = |number, out: &mut Vec<u8>| write_append(out, slice * requests + number, events);
        let (_, took) = live.publish(requests, events, false, write)?;
        let deliveries = requests * events * count as u64;
        Ok(Sample { took, calls: deliveries, events: deliveries, ..Sample::default() })
    }))
}

/// Fills a store: each stream's events are far apart.
pub fn load(server: &Server, scale: Scale) -> Result<()> {
    const REQUEST_EVENTS: u64 = 1_000;
    let streams = scale.events / EVENTS_OF_STREAM;
    let mut connections = Connections::open(&server.address, 2, Counts::Lines)?;
    let write = |number: u64, out: &mut Vec<u8>| {
        let mut body = Vec::with_capacity(512 << 10);
        let first = number * REQUEST_EVENTS;
        for n in first..(first + REQUEST_EVENTS).min(scale.events) {
            body.push(if n == first { b'[' } else { b',' });
            write_event(&mut body, Some(&stream(n % streams)), n);
        }
        body.push(b']');
        write_request(out, "POST", "/events", &body);
    };
    connections.ask(scale.events.div_ceil(REQUEST_EVENTS), None, write)?;
    Ok(())
}

fn replay(server: &Server, scale: Scale) -> Result<Turn> {
    let mut connections = Connections::open(&server.address, 1, Counts::Lines)?;
    Ok(Box::new(move |slice| {
        // One is long enough to be a few slices.
        if slice % 4 != 0 {
            return Ok(Sample::default());
        }
        let write = |_, out: &mut Vec<u8>| write_request(out, "GET", "/events", b"");
        let (times, took) = connections.ask(1, Some(scale.events), write)?;
        Ok(Sample { times, took, calls: 1, events: scale.events, ..Sample::default() })
    }))
}

fn read(server: &Server, scale: Scale) -> Result<Turn> {
    const READS: u64 = 4_000;
    let streams = scale.events / EVENTS_OF_STREAM;
    let mut connections = Connections::open(&server.address, 64, Counts::Lines)?;
    Ok(Box::new(move |slice| {
        let write = |number: u64, out: &mut Vec<u8>| {
            let number = (slice * READS + number).wrapping_mul(7919) % streams;
            write_request(out, "GET", &format!("/events/{}", stream(number)), b"");
        };
        let (times, took) = connections.ask(READS, Some(EVENTS_OF_STREAM), write)?;
        Ok(Sample { times, took, calls: READS, events: READS, ..Sample::default() })
    }))
}

/// Starts a server on a loaded store, and reads one stream.
pub fn restart(start: impl FnOnce() -> Result<Server>) -> Result<Figures> {
    let begun = Instant::now();
    let server = start()?;
    let mut connections = Connections::open(&server.address, 1, Counts::Lines)?;
    let write = |_, out: &mut Vec<u8>| write_request(out, "GET", &format!("/events/{}", stream(7)), b"");
    connections.ask(1, Some(EVENTS_OF_STREAM), write)?;
    let mut figures = Figures::default();
    figures.set(RESTART[0].0, begun.elapsed().as_secs_f64() * 1e3);
    figures.set(RESTART[1].0, server.memory() as f64 / 1e6);
    Ok(figures)
}

//! A long replay: what it costs the server, whose memory must not grow with it.

use std::fmt::Write as _;
use std::io::{Read, Write as _};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::Outcome;
use crate::server::{Server, Writer, memory_of};

/// Events of one request that fills the store.
const CHUNK: u64 = 10_000;

/// How often the memory is looked at.
const LOOK: Duration = Duration::from_millis(20);

fn lines(from: u64, count: u64) -> String {
    let mut text = String::new();
    for n in from..from + count {
        writeln!(
            text,
            r#"{{"stream":"load-{}","id":"e-{n}","type":"load.event.kind","data":{{"n":{n},"text":"{}"}},"metadata":{{"correlationId":"case-{}"}}}}"#,
            n % 100_000,
            "x".repeat(230),
            n % 1_000
        )
        .expect("a text can be written to");
    }
    text
}

/// Reads `events` events in each form, from a server that was just started.
pub(crate) fn replay(events: u64) -> Outcome {
    let dir = tempfile::tempdir()?;
    let server = Server::start(dir.path(), 8)?;
    let mut writer = Writer::connect(&server)?;
    let begun = Instant::now();
    for from in (0..events).step_by(usize::try_from(CHUNK)?) {
        let chunk = lines(from, CHUNK.min(events - from));
        writer.post("/events", "application/x-ndjson", chunk.as_bytes())?;
    }
    println!("{events} events appended, {CHUNK} at a time, in {:.1} s", begun.elapsed().as_secs_f64());
    drop(server);
    for (what, path, accept) in [
        ("NDJSON", "/events", "application/x-ndjson"),
        ("CloudEvents", "/events", "application/cloudevents-batch+json"),
        ("server-sent events", "/events/stream?live=false", "text/event-stream"),
    ] {
        let server = Server::start(dir.path(), 8)?;
        let before = server.memory()?;
        let (read, most) = read_all(&server, path, accept)?;
        let (bytes, took) = read;
        println!(
            "  {what}: {:.2} s, {:.0} events/s, {:.0} MB/s; anonymous memory {} KiB before, at most {} while, {} after",
            took.as_secs_f64(),
            events as f64 / took.as_secs_f64(),
            bytes as f64 / took.as_secs_f64() / 1e6,
            before >> 10,
            most >> 10,
            server.memory()? >> 10
        );
    }
    Ok(())
}

/// Reads an answer to its end; tells its bytes, the time, and the most memory that the server had meanwhile.
fn read_all(
    server: &Server,
    path: &str,
    accept: &str,
) -> Result<((u64, Duration), u64), Box<dyn std::error::Error>> {
    let ended = AtomicBool::new(false);
    thread::scope(|scope| {
        let look = scope.spawn(|| {
            let mut most = 0;
            while !ended.load(Ordering::Relaxed) {
                most = most.max(memory_of(server.id()).unwrap_or_default());
                thread::sleep(LOOK);
            }
            most
        });
        let read = read(server, path, accept);
        ended.store(true, Ordering::Relaxed);
        let most = look.join().map_err(|_| "the memory could not be looked at")?;
        Ok((read?, most))
    })
}

fn read(server: &Server, path: &str, accept: &str) -> std::io::Result<(u64, Duration)> {
    let mut connection = TcpStream::connect(&server.address)?;
    let begun = Instant::now();
    let head = format!(
        "GET {path} HTTP/1.1\r\nHost: {}\r\nAccept: {accept}\r\nConnection: close\r\n\r\n",
        server.address
    );
    connection.write_all(head.as_bytes())?;
    let (mut bytes, mut buffer) = (0, vec![0; 256 << 10]);
    let mut tail = Vec::new();
    loop {
        let read = connection.read(&mut buffer)?;
        if read == 0 {
            break;
        }
        bytes += read as u64;
        tail.extend_from_slice(&buffer[..read]);
        tail.drain(..tail.len().saturating_sub(8));
    }
    // The last chunk is the empty one: without it the answer was cut.
    assert!(tail.ends_with(b"0\r\n\r\n"), "the answer is whole");
    Ok((bytes, begun.elapsed()))
}

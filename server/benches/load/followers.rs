//! Many who follow: each gets every event once, and what each of them costs the server.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::Outcome;
use crate::reading::Blocks;
use crate::server::{Server, Writer};

/// Longer than anything takes that is alive.
const WAIT_MAX: Duration = Duration::from_secs(120);

/// How many connect at one time: more than the system lets wait would be sent away.
const CONNECTING_MAX: usize = 100;

const APPENDS_MEASURED: u64 = 2_000;

fn event(n: u64) -> String {
    format!(r#"{{"type":"load.event","data":{{"n":{n},"text":"{}"}}}}"#, "x".repeat(200))
}

/// Sends a request on a connection of its own.
async fn ask(address: SocketAddr, path: String) -> std::io::Result<TcpStream> {
    let connection = TcpStream::connect(address).await?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nAccept: text/event-stream\r\n\r\n");
    connection.writable().await?;
    let sent = connection.try_write(request.as_bytes())?;
    assert_eq!(sent, request.len(), "a request fits into an empty buffer");
    Ok(connection)
}

/// Reads until `events` have come.
async fn follow(
    connection: TcpStream,
    mut blocks: Blocks,
    events: u64,
    seen: Arc<AtomicU64>,
) -> Result<Blocks, String> {
    let mut buffer = vec![0; 16 << 10];
    while blocks.events < events && blocks.fault.is_none() {
        connection.readable().await.map_err(|error| error.to_string())?;
        match connection.try_read(&mut buffer) {
            Ok(0) => return Err("the connection was closed".to_owned()),
            Ok(read) => {
                let before = blocks.events;
                blocks.take(&buffer[..read]);
                seen.fetch_add(blocks.events - before, Ordering::Relaxed);
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error.to_string()),
        }
    }
    match blocks.fault.take() {
        Some(fault) => Err(fault),
        None => Ok(blocks),
    }
}

/// Connects `count` times, each to its own path, and waits until the server knows all of them.
async fn connect(
    server: &Server,
    count: u64,
    path: impl Fn(u64) -> String,
) -> Result<Vec<TcpStream>, Box<dyn std::error::Error>> {
    let address: SocketAddr = server.address.parse()?;
    let mut connections = Vec::new();
    let mut connecting = JoinSet::new();
    for n in 0..count {
        if connecting.len() >= CONNECTING_MAX {
            connections.push(connecting.join_next().await.ok_or("one is connecting")???);
        }
        connecting.spawn(ask(address, path(n)));
    }
    while let Some(connection) = connecting.join_next().await {
        connections.push(connection??);
    }
    for connection in &connections {
        timeout(WAIT_MAX, connection.readable()).await??;
    }
    Ok(connections)
}

/// `count` follow all events while `events` are appended one by one.
pub(crate) fn live(count: u64, events: u64) -> Outcome {
    let dir = tempfile::tempdir()?;
    let server = Server::start(dir.path(), count)?;
    let mut writer = Writer::connect(&server)?;
    // The first events lie in the past of those who follow, so that each catches up, too.
    for n in 1..=10 {
        writer.post("/events/load", "application/json", event(n).as_bytes())?;
    }
    let before = server.memory()?;
    let runtime = Runtime::new()?;
    let connections = runtime.block_on(connect(&server, count, |_| "/events/stream".to_owned()))?;
    let waiting = server.memory()?;
    let seen = Arc::new(AtomicU64::new(0));
    let begun = Instant::now();
    let mut all = JoinSet::new();
    for connection in connections {
        all.spawn_on(follow(connection, Blocks::default(), events + 10, Arc::clone(&seen)), runtime.handle());
    }
    for n in 11..=events + 10 {
        writer.post("/events/load", "application/json", event(n).as_bytes())?;
    }
    let (written, working) = (begun.elapsed(), server.memory()?);
    let complete = runtime.block_on(async {
        let mut complete = 0;
        while let Some(outcome) = timeout(WAIT_MAX, all.join_next()).await? {
            let blocks = outcome??;
            assert_eq!((blocks.last, blocks.events), (events + 10, events + 10));
            complete += 1;
        }
        Ok::<u64, Box<dyn std::error::Error>>(complete)
    })?;
    let took = begun.elapsed();
    println!("{complete} of {count} followers got each of {} events once, in order", events + 10);
    let deliveries = seen.load(Ordering::Relaxed) as f64;
    println!(
        "  {events} appends one by one: {:.1} s, {:.0}/s; last delivery after {:.1} s, {:.0} deliveries/s",
        written.as_secs_f64(),
        events as f64 / written.as_secs_f64(),
        took.as_secs_f64(),
        deliveries / took.as_secs_f64()
    );
    let each = |memory: u64| memory.saturating_sub(before) / count.max(1);
    println!(
        "  anonymous memory: {} KiB before; {} bytes a follower who waits, {} at the end of the writing, {} KiB in all",
        before >> 10,
        each(waiting),
        each(working),
        working >> 10
    );
    Ok(())
}

/// Appends one by one, and tells the median and the 99th percentile.
fn appends(writer: &mut Writer) -> Result<(Duration, Duration), Box<dyn std::error::Error>> {
    let mut took = Vec::new();
    for n in 0..APPENDS_MEASURED {
        let begun = Instant::now();
        writer.post("/events/load", "application/json", event(n).as_bytes())?;
        took.push(begun.elapsed());
    }
    took.sort_unstable();
    Ok((took[took.len() / 2], took[took.len() * 99 / 100]))
}

/// `count` wait, each for a stream of its own in which nothing happens.
pub(crate) fn idle(count: u64) -> Outcome {
    let dir = tempfile::tempdir()?;
    let server = Server::start(dir.path(), count)?;
    let mut writer = Writer::connect(&server)?;
    let alone = appends(&mut writer)?;
    let before = server.memory()?;
    let runtime = Runtime::new()?;
    let begun = Instant::now();
    let path = |n| format!("/events/stream?after=head&streams=idle-{n}");
    let connections = runtime.block_on(connect(&server, count, path))?;
    let connected = begun.elapsed();
    let waiting = server.memory()?;
    let beside = appends(&mut writer)?;
    // Two heartbeats of each.
    runtime.block_on(async { sleep(Duration::from_secs(31)).await });
    let after = server.memory()?;
    println!("{} followers that wait, connected in {:.1} s", connections.len(), connected.as_secs_f64());
    println!(
        "  anonymous memory: {} KiB before; {} bytes a follower, {} after two heartbeats; {} KiB in all",
        before >> 10,
        waiting.saturating_sub(before) / count,
        after.saturating_sub(before) / count,
        after >> 10
    );
    println!(
        "  append beside them: p50 {:.1?}, p99 {:.1?}; alone: p50 {:.1?}, p99 {:.1?}",
        beside.0, beside.1, alone.0, alone.1
    );
    Ok(())
}

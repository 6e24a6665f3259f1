//! The floor: a server of events over the bare log that does as little as one can and says the same as annals. It parses each event,
//! gives it an id, a time and a version, frames it, and answers when it is on stable storage; streams are lists of places in memory;
//! whoever follows gets what is broadcast.
//!
//! It has no ids or times of its clients, conditions, retries, limits, tokens, filters, metrics or resumption, and never looks for
//! damage but by the checksum of a frame. Connections are as those of annals: hyper on tokio with a thread for each processor, and
//! no delay.

use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock, RwLockWriteGuard};
use std::time::{SystemTime, UNIX_EPOCH};

use annals::TimestampWriter;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{self, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::serve::ListenerExt as _;
use futures_util::stream::{poll_fn, unfold};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::net::TcpListener;
use tokio::sync::{broadcast, mpsc, oneshot};

use super::frame::{Id, Parts, complete, new_id};
use super::json::{Told, write_appended, write_block, write_line, write_published};
use crate::store::{Result, Setup};
use crate::stores::bare::{HEADER_BYTES, Log, Place};

const SETUP: Setup = Setup { checked: true, file_bytes: 64 << 20 };
/// What is sent at once: as annals does.
const CHUNK_BYTES: usize = 64 << 10;
/// Chunks of a replay that wait to be sent.
const CHUNKS_AHEAD: usize = 4;
/// Events that wait for the slowest of those who follow.
const FOLLOW_EVENTS: usize = 1 << 16;

struct Floor {
    log: Log,
    waiting: Mutex<Waiting>,
    work: Condvar,
    streams: RwLock<Streams>,
    live: broadcast::Sender<Bytes>,
}

/// What is written next.
#[derive(Default)]
struct Waiting {
    frames: Vec<u8>,
    appends: Vec<Append>,
}

struct Append {
    /// Of each event, its stream and the length of its frame.
    events: Vec<(String, usize)>,
    done: oneshot::Sender<Appended>,
}

/// What the writer gave to an append.
struct Appended {
    /// Of its first event.
    position: u64,
    /// Of each event.
    versions: Vec<u64>,
}

#[derive(Default)]
struct Streams {
    /// By name, which of all a stream is.
    named: HashMap<String, usize>,
    all: Vec<Stream>,
}

#[derive(Default)]
struct Stream {
    /// The last that was given, before its event is on stable storage.
    version: u64,
    /// Where its events lie, all of them on stable storage.
    places: Vec<Lies>,
}

struct Lies {
    file: Arc<File>,
    at: u64,
    bytes: usize,
    position: u64,
}

/// An event as a client sends it.
#[derive(Deserialize)]
struct Sent<'a> {
    stream: Option<&'a str>,
    #[serde(rename = "type")]
    event_type: &'a str,
    #[serde(borrow)]
    data: &'a RawValue,
    #[serde(borrow)]
    metadata: Option<&'a RawValue>,
}

/// Serves the log in `dir`, and says where, until the process is killed.
pub fn serve(dir: &Path) -> Result<()> {
    let (floor, position) = Floor::open(dir)?;
    let floor = Arc::new(floor);
    let writer = floor.clone();
    std::thread::spawn(move || {
        if let Err(error) = writer.write(position) {
            eprintln!("the floor cannot write: {error}");
            std::process::exit(1);
        }
    });
    let router = Router::new()
        .route("/events", post(publish).get(replay))
        .route("/events/stream", get(follow))
        .route("/events/{stream}", post(append).get(read))
        .with_state(floor);
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        println!("floor listening on http://{}", listener.local_addr()?);
        let undelayed = listener.tap_io(|socket| drop(socket.set_nodelay(true)));
        Ok(axum::serve(undelayed, router).await?)
    })
}

impl Floor {
    /// The log of a directory, and its last position.
    fn open(dir: &Path) -> Result<(Floor, u64)> {
        let log = Log::open(dir, SETUP)?;
        let (mut streams, mut position) = (Streams::default(), 0);
        log.frames(|place, frame| {
            position += 1;
            let Some(parts) = Parts::of(frame) else { return };
            let number = streams.number(&String::from_utf8_lossy(parts.stream));
            streams.all[number].version = parts.version;
            streams.all[number].places.push(Lies::new(place, frame.len() + HEADER_BYTES, position));
        })?;
        let (waiting, work, streams) = (Mutex::default(), Condvar::new(), RwLock::new(streams));
        let live = broadcast::Sender::new(FOLLOW_EVENTS);
        Ok((Floor { log, waiting, work, streams, live }, position))
    }

    fn streams(&self) -> RwLockWriteGuard<'_, Streams> {
        self.streams.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes what waits, group by group.
    fn write(&self, mut position: u64) -> Result<()> {
        loop {
            let mut waiting = self.waiting();
            while waiting.appends.is_empty() {
                waiting = self.work.wait(waiting).unwrap_or_else(PoisonError::into_inner);
            }
            let Waiting { mut frames, appends } = std::mem::take(&mut *waiting);
            drop(waiting);
            let given = self.give_versions(&mut frames, &appends);
            let mut place = self.log.write_bytes(&frames)?;
            let begin = place.at;
            let mut streams = self.streams();
            let mut answers = Vec::with_capacity(appends.len());
            for (append, given) in appends.into_iter().zip(given) {
                let first = position + 1;
                for ((_, bytes), (stream, _)) in append.events.iter().zip(&given) {
                    position += 1;
                    let lies = Lies::new(&place, *bytes, position);
                    self.tell(&frames[(place.at - begin) as usize..], &lies);
                    streams.all[*stream].places.push(lies);
                    place.at += *bytes as u64;
                }
                let versions = given.into_iter().map(|(_, version)| version).collect();
                answers.push((append.done, Appended { position: first, versions }));
            }
            drop(streams);
            for (done, appended) in answers {
                // A client that has gone is told nothing.
                let _ = done.send(appended);
            }
        }
    }

    /// Completes each frame with its version; tells of each event of each append its stream and its version.
    fn give_versions(&self, frames: &mut [u8], appends: &[Append]) -> Vec<Vec<(usize, u64)>> {
        let (mut streams, mut rest) = (self.streams(), frames);
        let mut give = |(name, bytes): &(String, usize)| {
            let number = streams.number(name);
            let stream = &mut streams.all[number];
            stream.version += 1;
            let frame = rest.split_off_mut(..*bytes).unwrap_or_default();
            complete(frame, stream.version);
            (number, stream.version)
        };
        appends.iter().map(|append| append.events.iter().map(&mut give).collect()).collect()
    }

    /// Tells those who follow of an event, whose frame `frames` begin with.
    fn tell(&self, frames: &[u8], lies: &Lies) {
        if self.live.receiver_count() == 0 {
            return;
        }
        let Some(parts) = Parts::of(&frames[HEADER_BYTES..lies.bytes]) else { return };
        let mut block = Vec::with_capacity(parts.data.len() + 64);
        write_block(&mut block, &parts, lies.position);
        // They may all have gone meanwhile.
        let _ = self.live.send(block.into());
    }

    async fn append(&self, to: Option<&str>, body: &[u8]) -> Response {
        let sent = match body.first() {
            Some(b'[') => serde_json::from_slice(body),
            _ => serde_json::from_slice(body).map(|event| vec![event]),
        };
        let sent: Vec<Sent> = match sent {
            Ok(sent) => sent,
            Err(error) => return (StatusCode::BAD_REQUEST, error.to_string()).into_response(),
        };
        let (mut frames, mut events) = (Vec::with_capacity(body.len()), Vec::with_capacity(sent.len()));
        let mut told: Vec<(Id, &str)> = Vec::with_capacity(sent.len());
        let time = now();
        for event in &sent {
            let Some(stream) = to.or(event.stream) else {
                return (StatusCode::BAD_REQUEST, "no stream").into_response();
            };
            let (before, id) = (frames.len(), new_id());
            let metadata = event.metadata.map_or(&[][..], |metadata| metadata.get().as_bytes());
            let (event_type, data) = (event.event_type.as_bytes(), event.data.get().as_bytes());
            let named = stream.as_bytes();
            Parts { id: &id, time, version: 0, stream: named, event_type, metadata, data }
                .encode(&mut frames);
            events.push((stream.to_owned(), frames.len() - before));
            told.push((id, stream));
        }
        let (done, appended) = oneshot::channel();
        let was_empty = {
            let mut waiting = self.waiting();
            waiting.frames.extend_from_slice(&frames);
            waiting.appends.push(Append { events, done });
            waiting.appends.len() == 1
        };
        if was_empty {
            self.work.notify_one();
        }
        let Ok(Appended { position, versions }) = appended.await else {
            return StatusCode::INTERNAL_SERVER_ERROR.into_response();
        };
        let told = told.iter().zip(versions).zip(position..);
        let told = told.map(|(((id, stream), version), position)| Told { id, stream, version, position });
        let (told, mut out) = (told.collect::<Vec<_>>(), Vec::with_capacity(128 + 128 * sent.len()));
        let status = match to {
            Some(stream) => {
                write_appended(&mut out, stream, &told);
                StatusCode::CREATED
            }
            None => {
                write_published(&mut out, &told);
                StatusCode::ACCEPTED
            }
        };
        (status, [(header::CONTENT_TYPE, "application/json")], out).into_response()
    }
}

impl Streams {
    /// Which of all a stream of this name is.
    fn number(&mut self, name: &str) -> usize {
        if let Some(number) = self.named.get(name) {
            return *number;
        }
        self.all.push(Stream::default());
        self.named.insert(name.to_owned(), self.all.len() - 1);
        self.all.len() - 1
    }
}

/// Nanoseconds since 1970.
fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as i64)
}

impl Lies {
    fn new(place: &Place, bytes: usize, position: u64) -> Lies {
        Lies { file: place.file.clone(), at: place.at, bytes, position }
    }
}

async fn append(
    State(floor): State<Arc<Floor>>,
    extract::Path(stream): extract::Path<String>,
    body: Bytes,
) -> Response {
    floor.append(Some(&stream), &body).await
}

async fn publish(State(floor): State<Arc<Floor>>, body: Bytes) -> Response {
    floor.append(None, &body).await
}

const LINES: [(header::HeaderName, &str); 1] = [(header::CONTENT_TYPE, "application/x-ndjson")];

async fn read(
    State(floor): State<Arc<Floor>>,
    extract::Path(stream): extract::Path<String>,
) -> std::result::Result<Response, StatusCode> {
    let streams = floor.streams.read().unwrap_or_else(PoisonError::into_inner);
    let number = streams.named.get(&stream).ok_or(StatusCode::NOT_FOUND)?;
    let places = &streams.all[*number].places;
    let (mut out, mut frame) = (Vec::with_capacity(places.len() * 640), Vec::new());
    let mut times = TimestampWriter::default();
    for lies in places {
        frame.resize(lies.bytes, 0);
        // The system's cache has it: what is measured was just written.
        lies.file.read_exact_at(&mut frame, lies.at).map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
        let (header, frame) = frame.split_at(HEADER_BYTES);
        if crc32fast::hash(frame).to_le_bytes() != header[4..] {
            return Err(StatusCode::INTERNAL_SERVER_ERROR);
        }
        let parts = Parts::of(frame).ok_or(StatusCode::INTERNAL_SERVER_ERROR)?;
        write_line(&mut out, &mut times, &parts, lies.position);
    }
    Ok((LINES, out).into_response())
}

async fn replay(State(floor): State<Arc<Floor>>) -> Response {
    let (send, mut receive) = mpsc::channel::<Result<Bytes>>(CHUNKS_AHEAD);
    tokio::task::spawn_blocking(move || {
        let (mut out, mut position, mut is_wanted) = (Vec::with_capacity(CHUNK_BYTES + 1024), 0, true);
        let mut times = TimestampWriter::default();
        let all = floor.log.frames(|_, frame| {
            position += 1;
            if let Some(parts) = Parts::of(frame).filter(|_| is_wanted) {
                write_line(&mut out, &mut times, &parts, position);
            }
            if out.len() >= CHUNK_BYTES {
                let chunk = std::mem::replace(&mut out, Vec::with_capacity(CHUNK_BYTES + 1024));
                is_wanted = send.blocking_send(Ok(chunk.into())).is_ok();
            }
        });
        // If nobody wants it, nobody has to know.
        let _ = send.blocking_send(all.map(|_| out.into()));
    });
    (LINES, Body::from_stream(poll_fn(move |context| receive.poll_recv(context)))).into_response()
}

async fn follow(State(floor): State<Arc<Floor>>) -> Response {
    let blocks = unfold(floor.live.subscribe(), async |mut live| {
        let mut out = Vec::from(live.recv().await.ok()?);
        while out.len() < CHUNK_BYTES {
            match live.try_recv() {
                Ok(block) => out.extend_from_slice(&block),
                Err(broadcast::error::TryRecvError::Empty) => break,
                // One that was told everything ends here, one that missed something as well.
                Err(_) => return None,
            }
        }
        Some((Ok::<_, std::convert::Infallible>(Bytes::from(out)), live))
    });
    ([(header::CONTENT_TYPE, "text/event-stream")], Body::from_stream(blocks)).into_response()
}

//! Problems that no command brings about, because the disk has to: it fails, it is full, or it is slow.
//!
//! Each is an answer of the whole server, and is as `docs/problems.md` shows it.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use annals::testkit::{Fault, SimDisk};
use annals::{
    Append, Data, Disk, DiskFile, EventStore, EventType, ExpectedVersion, Health, NewEvent, OpenMode,
    Options, StreamName,
};
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use tokio::sync::watch;
use tower_service::Service as _;

use super::super::app::App;
use super::super::serve::router;
use super::tests::document;
use super::*;

/// The test of each of them, by what it brings about.
pub(super) const TESTS: [(&Kind, &str); 3] = [
    (FAILED, "an_append_to_a_disk_that_fails_is_told_so"),
    (WARMING, "an_append_that_needs_an_index_which_is_being_built_is_told_for_how_long"),
    (NO_SPACE, "an_append_for_which_there_is_no_space_is_told_so"),
];

/// How a store on such a disk is opened.
fn options(disk: impl Disk + 'static) -> Options {
    Options::new("store").disk(Arc::new(disk)).background(false).segment_bytes(annals::SEGMENT_BYTES_MIN)
}

/// Appends an event to a stream of this name.
fn append(store: &EventStore, stream: &str) {
    let stream = StreamName::parse(stream).expect("legal");
    let event = NewEvent::new(EventType::parse("t").expect("legal"), Data::json(&1).expect("is JSON"));
    store.append(Append::to(stream, ExpectedVersion::Any, [event])).expect("appended");
}

/// What a server with this store answers to an append, with `…` for what its request is called.
fn refused(store: &EventStore, options: Options) -> String {
    let (_stop, stopping) = watch::channel(false);
    let mut router = router(Arc::new(App::with_defaults(store.clone(), options, stopping)));
    let request = Request::post("/events/order-1")
        .header(header::HOST, "localhost")
        .header(header::CONTENT_TYPE, "application/json")
        .header("x-request-id", "called-so")
        .body(Body::from(r#"{"type":"order.created","data":{}}"#))
        .expect("a request");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let body = runtime.block_on(async {
        let Ok(response) = router.call(request).await;
        to_bytes(response.into_body(), 1 << 20).await.expect("the answer is whole")
    });
    String::from_utf8(body.to_vec()).expect("is text").replace("called-so", "…")
}

/// Checks that an answer is the one that the document shows of its kind.
fn check(kind: &Kind, answer: &str) {
    let begin = format!("{{\"type\":\"{}\"", kind.urn());
    // What a disk of the system says where that in memory says what it is.
    let answer = answer
        .replace("simulated failure", "Input/output error (os error 5)")
        .replace("simulated: no space left", "No space left on device (os error 28)");
    assert!(answer.starts_with(&begin), "{answer}");
    let Some(page) = document("problems.md") else { return };
    let shown = page.lines().find(|line| line.starts_with(&begin));
    assert_eq!(shown, Some(answer.as_str()));
}

#[test]
fn an_append_to_a_disk_that_fails_is_told_so() {
    let disk = SimDisk::new(1);
    let store = EventStore::open(options(disk.clone())).expect("an empty directory");
    append(&store, "a");
    disk.fail_operation(1, Fault::Error(ErrorKind::Other));
    for _ in 0..2 {
        check(FAILED, &refused(&store, options(disk.clone())));
    }
}

#[test]
fn an_append_for_which_there_is_no_space_is_told_so() {
    let disk = SimDisk::new(1);
    let store = EventStore::open(options(disk.clone())).expect("an empty directory");
    disk.set_capacity(0);
    // What was allocated before is written still.
    let answers = std::iter::repeat_with(|| refused(&store, options(disk.clone())));
    let answer = answers.take(10_000).find(|answer| answer.contains("\"status\"")).expect("the disk is full");
    check(NO_SPACE, &answer);
    disk.set_capacity(1 << 30);
    append(&store, "a");
}

/// Longer than the test takes: one that fails does not wait for ever.
const WAIT_MAX: Duration = Duration::from_secs(20);

/// A disk on which no index file can be made before the gate opens.
#[derive(Debug, Clone)]
struct Slow {
    disk: SimDisk,
    gate: Arc<(Mutex<bool>, Condvar)>,
}

impl Disk for Slow {
    fn create_dirs(&self, dir: &Path) -> io::Result<()> {
        self.disk.create_dirs(dir)
    }
    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        self.disk.list(dir)
    }
    fn exists(&self, path: &Path) -> io::Result<bool> {
        self.disk.exists(path)
    }
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        if path.to_string_lossy().ends_with(".idx.tmp") {
            let is_open = self.gate.0.lock().expect("no panic");
            let opened = self.gate.1.wait_timeout_while(is_open, WAIT_MAX, |is_open| !*is_open);
            drop(opened.expect("no panic"));
        }
        self.disk.open(path, mode)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.rename(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        self.disk.remove(path)
    }
    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.disk.sync_dir(dir)
    }
    fn native_dir(&self, _: &Path) -> Option<PathBuf> {
        None
    }
}

#[test]
fn an_append_that_needs_an_index_which_is_being_built_is_told_for_how_long() {
    let disk = SimDisk::new(1);
    let store = EventStore::open(options(disk.clone())).expect("an empty directory");
    (0..2_000).for_each(|number| append(&store, &format!("s-{number}")));
    store.close().expect("closed");
    drop(store);
    let is_index = |path: &&PathBuf| path.extension().is_some_and(|name| name == "idx");
    let indexes: Vec<PathBuf> = disk.paths().into_iter().filter(|path| is_index(&path)).collect();
    indexes.iter().for_each(|path| disk.remove(path).expect("it is there"));
    let slow = Slow { disk, gate: Arc::default() };
    let patient = options(slow.clone()).background(true).warming_wait_max(Duration::ZERO);
    let store = EventStore::open(patient).expect("nothing is damaged");
    while store.health() != (Health::Warming { missing: indexes.len() as u64 }) {
        std::thread::yield_now();
    }
    let answer = refused(&store, options(slow.clone()));
    *slow.gate.0.lock().expect("no panic") = true;
    slow.gate.1.notify_all();
    check(WARMING, &answer);
}

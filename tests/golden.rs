//! Directories that earlier versions wrote, opened by this one.
//!
//! The directories in `tests/golden` were made once, by the last test of this file, and are never made again: files that
//! the code under test has just written prove nothing about the files that users have. A format version that comes later
//! gets a directory beside them, and all of them stay readable.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use annals::{
    Append, AppendError, ContentType, Data, Deletion, EventId, EventStore, EventType, ExpectedVersion,
    IdempotencyKey, ManualClock, Metadata, NewEvent, Options, Position, Read, RecordedEvent, Scavenge,
    Source, StreamSettings, Timestamp, VerifyReport,
};

use crate::support::*;

/// The directories, and the ids of their histories: format version 1 with index files of version 1 and of version 2, and
/// format version 2.
const DIRECTORIES: [(&str, &str); 3] = [
    ("v1", "92510d4be3dd4fec8370b901a8cc1ab2"),
    ("v1-index-2", "b084e80afbfe412b985838a627a84493"),
    ("v2", "74c33b1d59bf433e8f54c71dfa879fe7"),
];

/// What became of a copy of `v2` when streams in it were set and deleted and its first two segments rewritten.
const SCAVENGED: &str = "v2-scavenged";

/// Events whose data fills most of a segment of the smallest size, so that a second one begins the next segment.
const FILLER_BYTES: usize = 40_000;

/// An event that the directory holds, at the position of its place in [`EVENTS`].
struct Held {
    stream: &'static str,
    version: u64,
    event_type: &'static str,
    id: &'static str,
    timestamp: &'static str,
    recorded_at: &'static str,
    source: Option<&'static str>,
    metadata: Option<&'static str>,
    data: HeldData,
}

enum HeldData {
    Json(&'static str),
    Binary(&'static str, &'static [u8]),
    /// JSON text of [`FILLER_BYTES`] times this character.
    Filler(char),
}

/// All of them. The store was closed and opened again after the third.
const EVENTS: [Held; 7] = [
    Held {
        stream: "order-6789",
        version: 1,
        event_type: "order.created",
        id: "evt-12345",
        timestamp: "2024-07-15T14:32:22.120Z",
        recorded_at: "2024-07-15T14:32:23Z",
        source: Some("order-service"),
        metadata: Some(
            r#"{"correlationId":"corr-1","causationId":"evt-0","tenantId":"tenant-1","routingKey":"eu.order","tags":["customer:cust-1","vip:yes"],"attempt":3}"#,
        ),
        data: HeldData::Json("{ \"orderId\": \"order-6789\",\n  \"total\": 99.950 }"),
    },
    Held {
        stream: "account-1",
        version: 1,
        event_type: "account.debited",
        id: "0190b6f2-1b9e-7c3a-8f21-6d5e4c3b2a10",
        timestamp: "1969-12-31T23:59:59Z",
        recorded_at: "2024-07-15T14:32:24Z",
        source: None,
        metadata: None,
        data: HeldData::Json("null"),
    },
    Held {
        stream: "account-2",
        version: 1,
        event_type: "account.receipt",
        id: "größe",
        timestamp: "2024-07-15T14:32:24Z",
        recorded_at: "2024-07-15T14:32:24Z",
        source: None,
        metadata: Some("{}"),
        data: HeldData::Binary("application/octet-stream", &[0x00, 0xff, 0x0a, 0x7f]),
    },
    Held {
        stream: "filler",
        version: 1,
        event_type: "filled",
        id: "fill-1",
        timestamp: "2024-07-15T15:00:00.123456789Z",
        recorded_at: "2024-07-15T15:00:00Z",
        source: None,
        metadata: None,
        data: HeldData::Filler('a'),
    },
    Held {
        stream: "filler",
        version: 2,
        event_type: "filled",
        id: "fill-2",
        timestamp: "2024-07-15T15:00:01Z",
        recorded_at: "2024-07-15T15:00:01Z",
        source: None,
        metadata: None,
        data: HeldData::Filler('b'),
    },
    Held {
        stream: "filler",
        version: 3,
        event_type: "filled",
        id: "fill-3",
        timestamp: "2024-07-15T15:00:02Z",
        recorded_at: "2024-07-15T15:00:02Z",
        source: None,
        metadata: None,
        data: HeldData::Filler('c'),
    },
    Held {
        stream: "order-6789",
        version: 2,
        event_type: "order.paid",
        id: "evt-12346",
        timestamp: "2024-07-15T15:00:03Z",
        recorded_at: "2024-07-15T15:00:03Z",
        source: None,
        metadata: None,
        data: HeldData::Json("[]"),
    },
];

impl HeldData {
    fn bytes(&self) -> Vec<u8> {
        match self {
            HeldData::Json(text) => text.as_bytes().to_vec(),
            HeldData::Binary(_, bytes) => bytes.to_vec(),
            HeldData::Filler(sign) => format!("\"{}\"", sign.to_string().repeat(FILLER_BYTES)).into_bytes(),
        }
    }

    fn content_type(&self) -> Option<&'static str> {
        match self {
            HeldData::Binary(content_type, _) => Some(content_type),
            HeldData::Json(_) | HeldData::Filler(_) => None,
        }
    }
}

impl Held {
    fn check(&self, position: u64, found: &RecordedEvent) {
        assert_eq!(found.position().get(), position);
        assert_eq!((found.stream(), found.stream_version().get()), (self.stream, self.version));
        assert_eq!((found.event_type(), found.id().to_string().as_str()), (self.event_type, self.id));
        assert_eq!(found.timestamp().to_string(), self.timestamp, "with its digits");
        assert_eq!(found.recorded_at(), time(self.recorded_at));
        assert_eq!((found.source(), found.metadata()), (self.source, self.metadata));
        assert_eq!(found.content_type(), self.data.content_type());
        assert_eq!(found.data(), self.data.bytes());
    }

    fn to_append(&self) -> NewEvent {
        let data = match self.data.content_type() {
            Some(content_type) => {
                Data::binary(ContentType::parse(content_type).expect("legal"), self.data.bytes())
            }
            None => Data::from_json_bytes(self.data.bytes()).expect("is JSON"),
        };
        let mut event = NewEvent::new(EventType::parse(self.event_type).expect("legal"), data)
            .id(EventId::parse(self.id).expect("legal"))
            .timestamp(time(self.timestamp));
        if let Some(source) = self.source {
            event = event.source(Source::parse(source).expect("legal"));
        }
        if let Some(metadata) = self.metadata {
            event = event.metadata(Metadata::parse(metadata).expect("legal"));
        }
        event
    }
}

fn time(text: &str) -> Timestamp {
    Timestamp::parse(text).expect("a legal time")
}

fn golden_dir(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

/// A copy of a golden directory: opening it for writing changes it.
fn copy(name: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    copy_dir(&golden_dir(name), dir.path());
    dir
}

fn copy_dir(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a directory can be made");
    for entry in fs::read_dir(from).expect("the golden directory can be listed") {
        let entry = entry.expect("the golden directory can be listed");
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_dir(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("a file can be copied");
        }
    }
}

/// Removes the index files; tells how many there were.
fn remove_indexes(dir: &Path) -> usize {
    let names = fs::read_dir(dir.join("log")).expect("there is a log");
    let paths = names.map(|entry| entry.expect("the log can be listed").path());
    let indexes: Vec<PathBuf> =
        paths.filter(|path| path.extension().is_some_and(|end| end == "idx")).collect();
    indexes.iter().for_each(|path| fs::remove_file(path).expect("an index can be removed"));
    indexes.len()
}

/// For writing, at a time soon after the last commit: the real clock is years ahead of it.
fn to_write(dir: &Path) -> Options {
    let clock = ManualClock::new(time("2024-07-15T16:00:00Z"));
    Options::new(dir).segment_bytes(SMALL).background(false).clock(Arc::new(clock))
}

fn to_read(dir: &Path) -> Options {
    Options::new(dir).read_only(true).create(false)
}

fn check(store: &EventStore, history: &str) {
    assert_eq!(store.history().to_string(), history);
    let found = read(store, Read::all());
    assert_eq!(found.len(), EVENTS.len());
    for ((held, found), position) in EVENTS.iter().zip(&found).zip(1..) {
        held.check(position, found);
    }
    assert!(found[0].tags().eq(["customer:cust-1", "vip:yes"]));

    let backward = read(store, Read::all().backward());
    assert!(backward.iter().eq(found.iter().rev()));
    for name in ["order-6789", "account-1", "account-2", "filler"] {
        let of_stream: Vec<_> = found.iter().filter(|event| event.stream() == name).cloned().collect();
        assert_eq!(read(store, Read::stream(stream(name))), of_stream);
        let info = store.stream(&stream(name)).expect("readable").expect("exists");
        assert_eq!(info.version.get(), of_stream.len() as u64);
    }
    let streams = store.streams(Position::START).expect("readable");
    let names: Vec<_> = streams.map(|info| info.expect("readable").name.to_string()).collect();
    assert_eq!(names, ["order-6789", "account-1", "account-2", "filler"]);
}

fn verify(dir: &Path) {
    let report = VerifyReport::of(&to_read(dir)).expect("the store can be read");
    assert_eq!(report.faults, []);
    // Six appends; an OPEN in each segment, a SEAL in each but the last, a CLOSE for each time it was closed.
    assert_eq!((report.segments, report.frames, report.events), (3, 6 + 3 + 2 + 2, 7));
}

#[test]
fn each_directory_says_what_it_always_said() {
    for (name, history) in DIRECTORIES {
        let dir = copy(name);
        verify(dir.path());
        check(&open(to_read(dir.path())), history);
        assert_eq!(remove_indexes(dir.path()), 2, "{name}");
        verify(dir.path());
        check(&open(to_read(dir.path())), history);
        assert_eq!(remove_indexes(dir.path()), 0, "a store that is only read writes no file");
    }
}

#[test]
fn an_index_of_this_version_is_used_as_it_is_and_one_of_an_earlier_is_built_again() {
    for (name, is_built) in [("v1", true), ("v1-index-2", false), ("v2", false)] {
        let dir = copy(name);
        let index = dir.path().join("log/0000000001.idx");
        let before = fs::read(&index).expect("an index");
        let store = open(to_write(dir.path()));
        assert_eq!(read(&store, Read::stream(stream("order-6789"))).len(), 2);
        assert_eq!(fs::read(&index).expect("an index") != before, is_built, "{name}");
    }
}

#[test]
fn each_directory_can_be_written_to() {
    for ((name, history), indexed) in DIRECTORIES.into_iter().flat_map(|of| [(of, true), (of, false)]) {
        let dir = copy(name);
        if !indexed {
            remove_indexes(dir.path());
        }
        let store = open(to_write(dir.path()));
        assert_eq!(store.torn_tail(), None);
        check(&store, history);
        let receipt = append(&store, "order-6789", [event(1)]);
        assert_eq!((receipt.position.get(), receipt.streams[0].version.get()), (8, 3));
        store.close().expect("closed");
        let report = VerifyReport::of(&to_read(dir.path())).expect("the store can be read");
        assert_eq!((report.faults, report.events), (vec![], 8));
    }
}

/// What the scavenged directory shows: stream, version and type of each event.
fn check_scavenged(store: &EventStore) {
    let found = read(store, Read::all());
    let found: Vec<_> = found
        .iter()
        .map(|event| {
            (event.position().get(), event.stream(), event.stream_version().get(), event.event_type())
        })
        .collect();
    let wanted = [
        (1, "order-6789", 1, "order.created"),
        (6, "filler", 3, "filled"),
        (7, "order-6789", 2, "order.paid"),
        (11, "keyed", 1, "counted"),
    ];
    assert_eq!(found, wanted);
    let version_of = |name: &str| {
        let info = store.stream(&stream(name)).expect("readable").expect("is remembered");
        (info.version.get(), info.deletion)
    };
    assert_eq!(version_of("filler"), (3, None));
    assert_eq!(version_of("account-1"), (1, Some(Deletion::Hard)));
    assert_eq!(version_of("account-2"), (1, Some(Deletion::Soft)));
}

fn keyed() -> Append {
    let key = IdempotencyKey::parse("key-1").expect("legal");
    Append::to(stream("keyed"), ExpectedVersion::Any, [event(1)]).idempotency_key(key)
}

#[test]
fn what_was_scavenged_stays_as_it_was_and_remembers_its_streams() {
    for indexed in [true, false] {
        let dir = copy(SCAVENGED);
        if !indexed {
            remove_indexes(dir.path());
        }
        check_scavenged(&open(to_read(dir.path())));
        let report = VerifyReport::deep(&to_read(dir.path())).expect("the store can be read");
        assert_eq!((report.faults, report.removed), (vec![], 4));
        let store = open(to_write(dir.path()));
        check_scavenged(&store);
        assert!(store.append(keyed()).expect("is answered").repeated);
        let refused = store.append_to(&stream("account-1"), ExpectedVersion::Any, [event(1)]);
        assert!(matches!(refused, Err(AppendError::Gone { .. })));
        assert_eq!(append(&store, "account-2", [event(2)]).streams[0].version.get(), 2);
    }
}

#[test]
#[ignore = "made the scavenged directory, once; it refuses to make it again"]
fn a_scavenged_directory_is_made_only_where_there_is_none() {
    let dir = golden_dir(SCAVENGED);
    assert!(!dir.exists(), "a golden directory is never made again");
    copy_dir(&golden_dir("v2"), &dir);
    let store = open(to_write(&dir));
    let newest = StreamSettings { max_count: Some(1), ..StreamSettings::default() };
    store.set_stream(&stream("filler"), newest).expect("set");
    store.delete_stream(&stream("account-2"), ExpectedVersion::Any).expect("deleted");
    store.delete_stream_for_ever(&stream("account-1"), ExpectedVersion::Any).expect("deleted");
    store.append(keyed()).expect("made");
    let done = store.scavenge(&Scavenge::new().everything(true)).expect("done");
    assert_eq!((done.segments, done.rewritten, done.removed), (2, 2, 4));
    store.close().expect("closed");
}

#[test]
#[ignore = "made the newest golden directory, once; it refuses to make it again"]
fn a_golden_directory_is_made_only_where_there_is_none() {
    let dir = golden_dir(DIRECTORIES[DIRECTORIES.len() - 1].0);
    assert!(!dir.exists(), "a golden directory is never made again");
    let clock = ManualClock::new(time(EVENTS[0].recorded_at));
    let options = || {
        let options = Options::new(&dir).segment_bytes(SMALL).background(false);
        options.clock(Arc::new(clock.clone()))
    };
    // The second and the third event are one append to two streams.
    let appends: [&[Held]; 6] =
        [&EVENTS[..1], &EVENTS[1..3], &EVENTS[3..4], &EVENTS[4..5], &EVENTS[5..6], &EVENTS[6..]];
    let mut store = open(options());
    for (number, events) in appends.into_iter().enumerate() {
        if number == 2 {
            store.close().expect("closed");
            store = open(options());
        }
        clock.set(time(events[0].recorded_at));
        let append = events.iter().fold(Append::default(), |append, held| {
            append.and_to(stream(held.stream), ExpectedVersion::Any, [held.to_append()])
        });
        store.append(append).expect("the append succeeds");
    }
    store.close().expect("closed");
}

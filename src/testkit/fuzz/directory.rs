//! A target that damages the files of a valid store and opens it: an error, or what was there, and nothing else. Others
//! take the same damaged stores from here.
//!
//! Salts and ids of the stores are made anew in each process; where a mutation falls is not.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use super::input::Input;
use crate::clock::ManualClock;
use crate::error::Error;
use crate::model::{
    Append, Data, EventId, EventType, ExpectedVersion, NewEvent, Position, RecordedEvent, StreamName,
    Timestamp,
};
use crate::options::{Options, SEGMENT_BYTES_MIN};
use crate::read::{Events, Read};
use crate::store::EventStore;
use crate::testkit::SimDisk;

/// Appends in a sample store: enough for two sealed segments and an active one.
const APPENDS: u64 = 24;

/// Streams of a sample store.
const STREAMS: u64 = 3;

/// Mutations of one directory.
const MUTATIONS_MAX: usize = 8;

/// A store to be damaged.
#[derive(Debug)]
pub(super) struct Sample {
    disk: SimDisk,
    pub(super) events: Vec<RecordedEvent>,
    /// The files as they were in the middle of the store's life.
    earlier: Vec<(PathBuf, Vec<u8>)>,
}

/// Bytes as a list of damages to the files of a small store, which is then opened for reading and for writing.
pub fn open_directory(bytes: &[u8]) {
    let (sample, disk) = damaged(&mut Input::new(bytes));
    let before = files(&disk);
    if let Ok(store) = EventStore::open(options(&disk).read_only(true)) {
        sample.check(&store);
    }
    assert!(before == files(&disk), "reading only changed a file");
    if let Ok(store) = EventStore::open(options(&disk)) {
        sample.check(&store);
        go_on(store, &disk);
    }
}

/// A store, and a copy of it damaged as the input says.
pub(super) fn damaged(input: &mut Input<'_>) -> (&'static Sample, SimDisk) {
    static SAMPLES: OnceLock<[Sample; 2]> = OnceLock::new();
    let samples = SAMPLES.get_or_init(|| [Sample::make(true), Sample::make(false)]);
    let sample = &samples[input.below(2) as usize];
    let disk = sample.disk.crash_keeping_all();
    for _ in 0..MUTATIONS_MAX {
        if !input.is_empty() {
            damage(&disk, sample, input);
        }
    }
    (sample, disk)
}

/// Every file of a disk.
pub(super) fn files(disk: &SimDisk) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
    disk.paths().into_iter().map(|path| (path.clone(), disk.read(&path).ok())).collect()
}

pub(super) fn seeds() -> Vec<Vec<u8>> {
    let damages = (0..DAMAGES).map(|kind| vec![0, kind, 1, 0, 40, 0, 0, 9, 8, 7, 6]);
    let several = vec![1, 0, 0, 1, 2, 3, 4, 5, 4, 3, 1, 0, 0, 0, 0, 7, 2, 9, 9, 0, 0, 3];
    damages.chain([several]).collect()
}

pub(super) fn options(disk: &SimDisk) -> Options {
    let clock = ManualClock::new(Timestamp::from_nanos(1_700_000_000_000_000_000));
    Options::new("store")
        .disk(Arc::new(disk.clone()))
        .clock(Arc::new(clock))
        .segment_bytes(SEGMENT_BYTES_MIN)
        .background(false)
        .prewrite(false)
}

fn stream(number: u64) -> StreamName {
    StreamName::parse(&format!("stream-{}", number % STREAMS)).expect("is legal")
}

/// A small event, or one that takes its share of a segment.
fn event(number: u64) -> NewEvent {
    let filler = if number.is_multiple_of(3) { 12_000 } else { 20 };
    let data = Data::json(&format!("{number}{}", "x".repeat(filler))).expect("is JSON");
    NewEvent::new(EventType::parse("counted").expect("is legal"), data)
        .id(EventId::parse(&format!("event-{number}")).expect("is legal"))
}

impl Sample {
    fn make(closed: bool) -> Sample {
        let disk = SimDisk::new(1);
        let store = EventStore::open(options(&disk)).expect("an empty disk takes a store");
        let mut earlier = Vec::new();
        for number in 0..APPENDS {
            let pair = [event(2 * number), event(2 * number + 1)];
            let append = Append::to(stream(number), ExpectedVersion::Any, pair).and_to(
                stream(number + 1),
                ExpectedVersion::Any,
                [event(1000 + number)],
            );
            store.append(append).expect("a disk without faults takes events");
            if number == APPENDS / 2 {
                let files = disk.paths().into_iter();
                earlier = files.filter_map(|path| Some((path.clone(), disk.read(&path).ok()?))).collect();
            }
        }
        let events = store.read(Read::all()).into_iter().flatten().flatten().collect();
        if closed {
            store.close().expect("a disk without faults can be closed");
        }
        Sample { disk: disk.crash_keeping_all(), events, earlier }
    }

    /// Reads everything in every way.
    pub(super) fn check(&self, store: &EventStore) {
        let visible = &self.events[..store.head().get() as usize];
        same(store.read(Read::all().system(true)), visible.iter());
        same(store.read(Read::all().backward()), visible.iter().rev());
        let mut names = Vec::new();
        for number in 0..STREAMS {
            let name = stream(number);
            let of_stream = || visible.iter().filter(|event| event.stream() == name.as_str());
            same(store.read(Read::stream(name.clone())), of_stream());
            same(store.read(Read::stream(name.clone()).backward()), of_stream().rev());
            names.extend(of_stream().next().map(|event| (event.position(), name.clone())));
            if let Ok(info) = store.stream(&name) {
                assert_eq!(info.map_or(0, |info| info.version.get()), of_stream().count() as u64);
            }
        }
        names.sort();
        let listed: Result<Vec<_>, Error> = store.streams(Position::START).into_iter().flatten().collect();
        if let Ok(listed) = listed {
            assert!(listed.iter().map(|info| &info.name).eq(names.iter().map(|(_, name)| name)));
        }
        if let Ok(stats) = store.stats() {
            assert_eq!((stats.events, stats.streams), (visible.len() as u64, names.len() as u64));
        }
    }
}

/// Events are the wanted ones to the end, or to an error.
fn same<'a>(found: Result<Events, Error>, mut wanted: impl Iterator<Item = &'a RecordedEvent>) {
    let Ok(mut found) = found else { return };
    loop {
        match (found.next(), wanted.next()) {
            (Some(Err(_)), _) | (None, None) => return,
            (Some(Ok(found)), Some(wanted)) => assert_eq!(&found, wanted),
            (None, Some(wanted)) => panic!("nothing is said of {wanted:?}"),
            (Some(Ok(found)), None) => panic!("nobody wrote {found:?}"),
        }
    }
}

/// A store that opened for writing takes an event, keeps it, and opens again.
fn go_on(store: EventStore, disk: &SimDisk) {
    let head = store.head();
    let appended = store.append_to(&stream(0), ExpectedVersion::Any, [event(5000)]);
    drop(store);
    // An append may say that it met damage.
    if let Ok(receipt) = appended {
        assert_eq!(receipt.position, head.next());
        let store = EventStore::open(options(disk)).expect("what was closed can be opened");
        assert_eq!(store.head(), head.next());
        let last = store.read(Read::all().backward()).into_iter().flatten().next();
        let last = last.expect("there is an event").expect("it was written behind the damage");
        assert_eq!(
            (last.id(), last.stream_version()),
            (receipt.streams[0].events[0].id.clone(), receipt.streams[0].version)
        );
    }
}

/// Ways to damage a file.
const DAMAGES: u8 = 9;

fn damage(disk: &SimDisk, sample: &Sample, input: &mut Input<'_>) {
    let kind = input.byte() % DAMAGES;
    let paths = disk.paths();
    let Some(path) = paths.get(input.below(paths.len() as u64) as usize) else { return };
    let Ok(mut bytes) = disk.read(path) else { return };
    let at = (input.u32() as usize).checked_rem(bytes.len()).unwrap_or(0);
    match kind {
        0 => drop(disk.flip_bit(path, at as u64 * 8 + input.below(8))),
        1 => drop(disk.truncate(path, at as u64)),
        2 => drop(disk.truncate(path, bytes.len() as u64 + u64::from(input.byte()))),
        3 => {
            let given = input.take(16);
            let len = given.len().min(bytes.len() - at);
            bytes[at..at + len].copy_from_slice(&given[..len]);
            disk.write(path, &bytes);
        }
        4 => {
            let len = (usize::from(input.byte()) * 64).min(bytes.len() - at);
            bytes[at..at + len].fill(0);
            disk.write(path, &bytes);
        }
        5 => drop(disk.remove_file(path)),
        6 => {
            let other = &paths[input.below(paths.len() as u64) as usize];
            if let Ok(others) = disk.read(other) {
                disk.write(path, &others);
                disk.write(other, &bytes);
            }
        }
        7 => {
            let to = (input.u32() as usize).checked_rem(bytes.len()).unwrap_or(0);
            let len = (usize::from(input.byte()) * 64).min(bytes.len() - at.max(to));
            bytes.copy_within(at..at + len, to);
            disk.write(path, &bytes);
        }
        _ => {
            if let Some((path, bytes)) = sample.earlier.get(input.below(sample.earlier.len() as u64) as usize)
            {
                disk.write(path, bytes);
            }
        }
    }
}

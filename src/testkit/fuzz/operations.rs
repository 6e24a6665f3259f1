//! A target that works with a store as an application does, and compares every answer with a list in memory.
//!
//! Nothing fails here but the power: what was acknowledged is there afterwards, and what was refused is not.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use super::input::Input;
use crate::clock::ManualClock;
use crate::error::{AppendError, SnapshotError};
use crate::model::{
    Append, Data, EventType, ExpectedVersion, NewEvent, Position, RecordedEvent, StreamName, StreamVersion,
    Timestamp,
};
use crate::options::{Options, SEGMENT_BYTES_MIN};
use crate::read::Read;
use crate::store::EventStore;
use crate::testkit::SimDisk;

/// Operations of one input.
const OPERATIONS_MAX: usize = 64;

/// Streams that are written to.
const STREAMS: u64 = 4;

/// A unit of the clock.
const SECOND_NANOS: i64 = 1_000_000_000;

/// Bytes as a list of operations on a store.
pub fn operations(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let mut run = Run::new();
    for _ in 0..OPERATIONS_MAX {
        if input.is_empty() {
            break;
        }
        run.operate(&mut input);
    }
    run.reopen(None);
}

pub(super) fn seeds() -> Vec<Vec<u8>> {
    let append = [0, 1, 0, 2, 10, 20];
    let several = [1, 2, 0, 0, 1, 5, 1, 0, 1, 6];
    let large: Vec<u8> = (0..12).flat_map(|stream| [0, stream, 0, 0, 250]).collect();
    vec![
        [&append[..], &several, &[2, 3, 5, 0, 0, 0, 0, 0, 0], &[3, 1, 1, 7], &[4], &append].concat(),
        [&large[..], &[5, 9, 2, 1, 3, 0, 0, 0, 0, 0, 0], &several, &[4, 6, 80], &append].concat(),
        [&[0, 0, 1, 0, 1][..], &[0, 0, 1, 0, 1], &[0, 1, 2, 0, 1], &[0, 0, 3, 0, 1], &[0, 0, 4, 9, 0, 1]]
            .concat(),
    ]
}

/// An event as it must be.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Expected {
    stream: StreamName,
    version: u64,
    recorded_at: Timestamp,
    data: Bytes,
}

/// A store and what must be in it.
struct Run {
    disk: SimDisk,
    clock: ManualClock,
    seconds: i64,
    store: EventStore,
    events: Vec<Expected>,
    /// The newest snapshots since the store was opened: a simulated disk keeps none.
    snapshots: BTreeMap<StreamName, (StreamVersion, Bytes)>,
}

impl Run {
    fn new() -> Run {
        let disk = SimDisk::new(0);
        let clock = ManualClock::new(Timestamp::from_nanos(0));
        let store = open(&disk, &clock);
        Run { disk, clock, seconds: 0, store, events: Vec::new(), snapshots: BTreeMap::new() }
    }

    fn operate(&mut self, input: &mut Input<'_>) {
        match input.below(7) {
            0 => self.append(input, 1),
            1 => {
                let streams = 2 + input.below(2);
                self.append(input, streams);
            }
            2 => self.read(input),
            3 => self.snapshot(input),
            4 => self.reopen(None),
            5 => self.reopen(Some(input.u64())),
            _ => {
                // Back as well as forward.
                self.seconds += i64::from(input.byte() as i8);
                self.clock.set(Timestamp::from_nanos(self.seconds * SECOND_NANOS));
            }
        }
    }

    fn version(&self, stream: &StreamName) -> u64 {
        self.events.iter().filter(|event| event.stream == *stream).count() as u64
    }

    fn append(&mut self, input: &mut Input<'_>, streams: u64) {
        let mut append = Append::default();
        let mut wanted: Vec<(StreamName, Vec<Bytes>)> = Vec::new();
        let (mut twice, mut conflict) = (false, false);
        for _ in 0..streams {
            let stream = stream(input.below(STREAMS));
            let version = self.version(&stream);
            let expected = match input.below(5) {
                0 => ExpectedVersion::Any,
                1 => ExpectedVersion::None,
                2 => ExpectedVersion::Exists,
                3 => ExpectedVersion::Exactly(version.into()),
                _ => ExpectedVersion::Exactly(input.below(9).into()),
            };
            let count = 1 + input.below(3);
            let first = self.events.len() as u64 * 10 + wanted.len() as u64 * 3;
            let events: Vec<NewEvent> = (0..count).map(|n| event(first + n, input.byte())).collect();
            twice |= wanted.iter().any(|(other, _)| *other == stream);
            conflict |= !expected.holds_at(version.into());
            wanted.push((stream.clone(), events.iter().map(|event| event.data.bytes().clone()).collect()));
            append = append.and_to(stream, expected, events);
        }
        match self.store.append(append) {
            Err(AppendError::Invalid { .. }) => assert!(twice),
            Err(AppendError::Conflict { stream, actual, .. }) => {
                assert!(conflict && !twice);
                assert_eq!(actual.get(), self.version(&stream));
            }
            Err(error) => panic!("{error}"),
            Ok(receipt) => {
                assert!(!conflict && !twice, "the append was to be refused");
                for (stream, events) in wanted {
                    let version = self.version(&stream);
                    let written = events.into_iter().zip(version + 1..).map(|(data, version)| Expected {
                        stream: stream.clone(),
                        version,
                        recorded_at: receipt.recorded_at,
                        data,
                    });
                    self.events.extend(written);
                }
                assert_eq!(receipt.position.get(), self.events.len() as u64);
                let ends = receipt.streams.iter().map(|of| (of.version.get(), self.version(&of.stream)));
                ends.for_each(|(told, right)| assert_eq!(told, right));
            }
        }
        assert_eq!(self.store.head().get(), self.events.len() as u64);
    }

    /// Reads with any bounds, and compares with the list from which the same are taken.
    fn read(&self, input: &mut Input<'_>) {
        let stream = input.maybe().map(|number| stream(number % STREAMS));
        let (from, to) =
            (stream.as_ref().and_then(|_| input.maybe()), stream.as_ref().and_then(|_| input.maybe()));
        let (after, before, limit, since) = (input.maybe(), input.maybe(), input.maybe(), input.maybe());
        let backward = input.byte() & 1 == 1;
        let since = since.map(|seconds| Timestamp::from_nanos(seconds as i64 * SECOND_NANOS));

        let mut read = stream.clone().map_or(Read::all(), Read::stream);
        read.from = from.map(StreamVersion::new);
        read.to = to.map(StreamVersion::new);
        read.after = after.map(Position::new);
        read.before = before.map(Position::new);
        read.since = since;
        read.limit = limit;
        if backward {
            read = read.backward();
        }
        let wanted = |(position, event): &(u64, &Expected)| {
            stream.as_ref().is_none_or(|stream| event.stream == *stream)
                && from.is_none_or(|from| event.version >= from)
                && to.is_none_or(|to| event.version <= to)
                && after.is_none_or(|after| *position > after)
                && before.is_none_or(|before| *position < before)
                && since.is_none_or(|since| event.recorded_at >= since)
        };
        let mut wanted: Vec<(u64, &Expected)> = (1..).zip(&self.events).filter(wanted).collect();
        if backward {
            wanted.reverse();
        }
        wanted.truncate(limit.unwrap_or(u64::MAX) as usize);
        let asked = format!("{read:?}");
        let found = self.store.read(read).expect("the bounds do not contradict each other");
        let found: Vec<RecordedEvent> = found.collect::<Result<_, _>>().expect("nothing is damaged");
        let found: Vec<(u64, Expected)> = found.iter().map(said).collect();
        assert!(found.iter().map(|(position, event)| (*position, event)).eq(wanted), "{asked}");
    }

    fn snapshot(&mut self, input: &mut Input<'_>) {
        let stream = stream(input.below(STREAMS));
        let version = StreamVersion::new(input.below(9));
        let state = Bytes::copy_from_slice(input.take(3));
        let held = (1..=self.version(&stream)).contains(&version.get());
        match self.store.put_snapshot(&stream, version, state.clone()) {
            Ok(()) => {
                assert!(held);
                let newest = self.snapshots.get(&stream).is_none_or(|(newest, _)| *newest <= version);
                if newest {
                    self.snapshots.insert(stream.clone(), (version, state));
                }
            }
            Err(SnapshotError::Ahead { .. }) => assert!(!held),
            Err(error) => panic!("{error}"),
        }
        let latest = self.store.latest_snapshot(&stream).expect("nothing is damaged");
        let latest = latest.map(|snapshot| (snapshot.version, snapshot.state));
        assert_eq!(latest.as_ref(), self.snapshots.get(&stream));
    }

    /// Opens the store again after it was closed, or after the power was cut.
    fn reopen(&mut self, cut: Option<u64>) {
        match cut {
            Some(seed) => self.disk = self.disk.crash(seed),
            None => self.store.close().expect("the disk has no faults"),
        }
        self.store = open(&self.disk, &self.clock);
        self.snapshots.clear();
        self.read(&mut Input::new(&[]));
        for number in 0..STREAMS {
            let stream = stream(number);
            let info = self.store.stream(&stream).expect("nothing is damaged");
            assert_eq!(info.map_or(0, |info| info.version.get()), self.version(&stream));
        }
    }
}

fn open(disk: &SimDisk, clock: &ManualClock) -> EventStore {
    let options = Options::new("store")
        .disk(Arc::new(disk.clone()))
        .clock(Arc::new(clock.clone()))
        .segment_bytes(SEGMENT_BYTES_MIN)
        .background(false)
        .prewrite(false);
    EventStore::open(options).expect("no crash keeps a store from opening")
}

fn stream(number: u64) -> StreamName {
    StreamName::parse(&format!("stream-{number}")).expect("is legal")
}

fn event(number: u64, size: u8) -> NewEvent {
    let filler = "x".repeat(usize::from(size) * 64);
    let data = Data::json(&format!("{number}{filler}")).expect("is JSON");
    NewEvent::new(EventType::parse("counted").expect("is legal"), data)
}

fn said(event: &RecordedEvent) -> (u64, Expected) {
    let expected = Expected {
        stream: StreamName::parse(event.stream()).expect("was legal when it was written"),
        version: event.stream_version().get(),
        recorded_at: event.recorded_at(),
        data: event.data_bytes(),
    };
    (event.position().get(), expected)
}

//! A store to be damaged, for the tests of `verify` and `salvage`: what it holds, and where each event lies.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use annals::testkit::{Rng, SimDisk};
use annals::{
    Append, EventStore, ExpectedVersion, Inspect, ManualClock, Metadata, Options, Read, RecordedEvent,
    Timestamp,
};

use crate::support::*;

/// What an event says, apart from its place.
pub(crate) type Said = (String, String, String, Vec<u8>, Option<String>, Timestamp, Timestamp);

pub(crate) fn said(event: &RecordedEvent) -> Said {
    (
        event.stream().to_owned(),
        event.event_type().to_owned(),
        event.id().to_string(),
        event.data().to_vec(),
        event.metadata().map(str::to_owned),
        event.timestamp(),
        event.recorded_at(),
    )
}

/// Where an event lies.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) path: PathBuf,
    pub(crate) frame: u64,
    pub(crate) record: Range<u64>,
}

/// A store of several segments, closed, with all that is known of it.
pub(crate) struct Whole {
    pub(crate) disk: SimDisk,
    pub(crate) events: Vec<RecordedEvent>,
    /// By position, from 1.
    pub(crate) places: BTreeMap<u64, Place>,
}

/// How to open the store again: its clock stands far back.
pub(crate) fn options(disk: &SimDisk) -> Options {
    on(disk).allow_clock_jump(true)
}

impl Whole {
    /// Appends of up to five events to one or two of a dozen streams, in at least three segments.
    pub(crate) fn new(seed: u64) -> Whole {
        let disk = SimDisk::new(seed);
        let clock = ManualClock::new(Timestamp::from_nanos(1_000_000_000_000));
        let store = open(on(&disk).clock(Arc::new(clock.clone())));
        let mut rng = Rng::new(seed);
        for number in 0..130 {
            clock.set(Timestamp::from_nanos(1_000_000_000_000 + number * 1_000_000));
            let mut append = Append::default();
            for stream_number in 0..1 + rng.below(2) {
                let name = stream(&format!("s-{}", rng.below(6) * 2 + stream_number));
                let metadata = Metadata::parse(r#"{"correlationId":"c-1","tags":["a:b"]}"#).expect("legal");
                let event = |n| large_event(n, 100 + (n as usize * 37) % 700).metadata(metadata.clone());
                let events = (0..1 + rng.below(4)).map(|n| event(number as u64 * 10 + n));
                append = append.and_to(name, ExpectedVersion::Any, events.collect::<Vec<_>>());
            }
            store.append(append).expect("appended");
        }
        let events = read(&store, Read::all());
        store.close().expect("closed");
        let places = places(&disk);
        assert_eq!(places.len(), events.len());
        assert!(segments(&disk).len() >= 3, "there is a middle");
        Whole { disk, events, places }
    }

    /// The same, whatever is done to it.
    pub(crate) fn copy(&self) -> SimDisk {
        self.disk.crash_keeping_all()
    }

    pub(crate) fn last(&self) -> u64 {
        self.events.len() as u64
    }
}

pub(crate) fn segments(disk: &SimDisk) -> Vec<PathBuf> {
    disk.paths().into_iter().filter(|path| path.extension().is_some_and(|name| name == "seg")).collect()
}

fn places(disk: &SimDisk) -> BTreeMap<u64, Place> {
    let mut places = BTreeMap::new();
    for path in segments(disk) {
        let inspect = Inspect::file(&path).disk(Arc::new(disk.clone())).parts(true);
        let mut frame = 0;
        for finding in inspect.read().expect("readable") {
            let finding = finding.expect("readable");
            let number = |wanted: &str| {
                let field = finding.fields.iter().find(|(name, _)| *name == wanted);
                field.and_then(|(_, value)| value.parse::<u64>().ok())
            };
            match (finding.is_part, number("position"), number("len")) {
                (true, Some(position), Some(len)) => {
                    let record = finding.offset..finding.offset + len;
                    places.insert(position, Place { path: path.clone(), frame, record });
                }
                _ => frame = finding.offset,
            }
        }
    }
    places
}

/// Fills the end of the first segment with zeros, from the frame of an event on; tells which events that takes, and where
/// the segment then ends.
pub(crate) fn zero_the_end_of_the_first_segment(whole: &Whole, disk: &SimDisk) -> (Vec<u64>, PathBuf, u64) {
    let path = segments(disk)[0].clone();
    let in_first = || whole.places.iter().filter(|(_, place)| place.path == path);
    let from = in_first().nth(20).expect("it has many events").1.frame;
    let lost = in_first().filter(|(_, place)| place.frame >= from).map(|(position, _)| *position).collect();
    let mut bytes = disk.read(&path).expect("the file is there");
    bytes[from as usize..].fill(0);
    disk.write(&path, &bytes);
    (lost, path, from)
}

/// Damage: bytes of files that are not what they were.
#[derive(Debug, Default)]
pub(crate) struct Damage(pub(crate) Vec<(PathBuf, Range<u64>)>);

impl Damage {
    /// Draws something that happens to the segments of a store, and lets it happen.
    pub(crate) fn strike(&mut self, disk: &SimDisk, rng: &mut Rng) {
        let segments = segments(disk);
        let path = &segments[rng.below(segments.len() as u64) as usize];
        let mut bytes = disk.read(path).expect("the file is there");
        let used = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last as u64 + 1);
        let at = 8192 + rng.below(used.saturating_sub(8192).max(1));
        let kind = rng.below(12);
        let range = match kind {
            0..=3 => at..at + 1,
            4 | 5 => at / 512 * 512..at / 512 * 512 + 512,
            6 => at / 4096 * 4096..at / 4096 * 4096 + 4096,
            7 => 0..8192,
            8 => at..bytes.len() as u64,
            9 => 0..bytes.len() as u64,
            _ => at..at + 1 + rng.below(5000),
        };
        let range = range.start..range.end.min(bytes.len() as u64);
        if range.is_empty() {
            return;
        }
        match range.end - range.start {
            len if len == bytes.len() as u64 && segments.len() > 1 => {
                disk.remove_file(path).expect("is there")
            }
            _ if range.end == bytes.len() as u64 && range.start > 0 => {
                disk.truncate(path, range.start).expect("the file is there");
            }
            1 => disk.flip_bit(path, range.start * 8 + rng.below(8)).expect("the file is there"),
            len => {
                let into = range.start as usize..range.end as usize;
                match kind {
                    // Anything, or what was written elsewhere in the file.
                    10 => bytes[into].fill_with(|| rng.next_u64() as u8),
                    11 => {
                        let from = rng.below(bytes.len() as u64 - len) as usize / 8 * 8;
                        bytes.copy_within(from..from + len as usize, into.start);
                    }
                    _ => bytes[into].fill(0),
                }
                disk.write(path, &bytes);
            }
        }
        self.0.push((path.clone(), range));
    }

    /// Whether it touches some bytes of a file.
    fn touches(&self, path: &Path, bytes: &Range<u64>) -> bool {
        let meets = |range: &Range<u64>| range.start < bytes.end && bytes.start < range.end;
        self.0.iter().any(|(damaged, range)| damaged == path && meets(range))
    }

    /// Whether it touches nothing that proves an event: its record, and the header of its frame.
    pub(crate) fn spares(&self, place: &Place) -> bool {
        !self.touches(&place.path, &place.record)
            && !self.touches(&place.path, &(place.frame..place.frame + 64))
    }
}

/// Opens a store and reads everything, as far as it can be read.
pub(crate) fn read_until_error(options: Options) -> Result<Vec<RecordedEvent>, String> {
    let store = EventStore::open(options).map_err(|error| error.to_string())?;
    let events = store.read(Read::all()).map_err(|error| error.to_string())?;
    events.map(|event| event.map_err(|error| error.to_string())).collect()
}

/// Opens a store and asks every index, so that each is on disk.
pub(crate) fn build_indexes(disk: &SimDisk) {
    let store = open(options(disk));
    store.stats().expect("readable");
    store.close().expect("closed");
}

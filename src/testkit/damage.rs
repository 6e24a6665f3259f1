//! Damage: a small whole store, and what a damaged copy of it may answer.
//!
//! A damaged store answers what was there, or a beginning of it and then an error that names file and offset of the
//! damage; never other data, never less of it without saying so, never a panic. [`Verdict`] says which of the two it was; everything else is an
//! error text. Who damages what is the business of the tests, and of `cargo hunt damage`.

mod meta;
mod place;
mod table;

pub use meta::{Kept, Snapshotted};
pub use place::Spot;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use self::place::Units;
use super::{Model, Numbered, Placed, Rng, SimDisk};
use crate::{
    AppendError, Error, EventStore, ExpectedVersion, Options, Read, SEGMENT_BYTES_MIN, StreamName,
    VerifyReport,
};

const EVENTS: u64 = 200;
const STREAMS: u64 = 6;

/// The bytes of a CLOSE frame, by `docs/format.md`.
const CLOSE_BYTES: u64 = 72;

/// A whole store: about 200 events in three segments, cleanly closed.
#[derive(Debug, Clone)]
pub struct Whole {
    /// The disk it is on, below `store`.
    pub disk: SimDisk,
    /// All of its events.
    pub events: Vec<Placed>,
    /// Each file as it was when half of the events were there.
    pub half: BTreeMap<PathBuf, Vec<u8>>,
    units: Units,
}

/// Which of the files that could be made again a damaged store still has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Variant {
    /// All of them.
    Complete,
    /// All but STATE.
    WithoutState,
    /// All but the indexes.
    WithoutIndexes,
}

/// What came of damage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The store answered what was there.
    Harmless,
    /// It told that something is wrong, and where.
    Told,
}

/// One damaged store under judgement.
struct Judge<'a> {
    whole: &'a Whole,
    disk: &'a SimDisk,
    /// Where the damage is, if it is in one file.
    spot: Option<&'a Spot>,
}

/// Options for a store on this disk that does everything in order.
fn on(disk: &SimDisk) -> Options {
    Options::new("store").disk(Arc::new(disk.clone())).segment_bytes(SEGMENT_BYTES_MIN).background(false)
}

fn stream(name: &str) -> Result<StreamName, String> {
    StreamName::parse(name).map_err(told)
}

fn told(error: impl ToString) -> String {
    error.to_string()
}

impl Whole {
    /// The store of this seed.
    ///
    /// # Errors
    ///
    /// What went wrong while it was made; nothing should.
    pub fn new(seed: u64) -> Result<Whole, String> {
        let disk = SimDisk::new(seed);
        let store = EventStore::open(on(&disk)).map_err(told)?;
        let (events, half, units) = (Vec::new(), BTreeMap::new(), Units::default());
        let mut whole = Whole { disk, events, half, units };
        let mut rng = Rng::new(seed);
        let mut number = 0;
        while number < EVENTS {
            let name = format!("s-{}", rng.below(STREAMS));
            let count = 1 + rng.below(3);
            let events =
                (0..count).map(|n| Numbered { number: number + n, bytes: 200 + rng.below(900) as usize });
            store
                .append_to(&stream(&name)?, ExpectedVersion::Any, events.map(Numbered::to_event))
                .map_err(told)?;
            number += count;
            if whole.half.is_empty() && number >= EVENTS / 2 {
                whole.half = whole.files();
            }
        }
        // Asking for a stream builds the indexes.
        store.stream(&stream("absent")?).map_err(told)?;
        for event in store.read(Read::all()).map_err(told)? {
            whole.events.push(Placed::of(&event.map_err(told)?).ok_or("an event that nobody wrote")?);
        }
        store.close().map_err(told)?;
        whole.units = Units::of(&whole.disk)?;
        Ok(whole)
    }

    /// Each file.
    pub fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let read = |path: PathBuf| Some((path.clone(), self.disk.read(&path).ok()?));
        self.disk.paths().into_iter().filter_map(read).collect()
    }

    /// A copy to be damaged.
    pub fn copy(&self, variant: Variant) -> SimDisk {
        let disk = self.disk.crash_keeping_all();
        let unwanted = match variant {
            Variant::Complete => return disk,
            Variant::WithoutState => "STATE",
            Variant::WithoutIndexes => ".idx",
        };
        for path in disk.paths().iter().filter(|path| path.to_string_lossy().ends_with(unwanted)) {
            // It was listed a moment ago.
            let _ = disk.remove_file(path);
        }
        disk
    }

    /// Whether damage is the known residue: without STATE it is CLOSE alone that tells where the log ends, and a reader
    /// takes what lies beyond the durable position of the last frame for a write in progress.
    pub fn is_residue(&self, variant: Variant, spot: &Spot) -> bool {
        if variant != Variant::WithoutState || !spot.path.ends_with("0000000003.seg") {
            return false;
        }
        let end = self.disk.read(&spot.path).map_or(0, |bytes| used(&bytes)).next_multiple_of(8);
        spot.from < end && spot.to > end - CLOSE_BYTES
    }

    /// As [`judge`](Self::judge), of damage to one file: only segments can be missed, and what is told names the place.
    ///
    /// # Errors
    ///
    /// What the damaged store did and may not do.
    pub fn judge_file(&self, disk: &SimDisk, spot: &Spot) -> Result<Verdict, String> {
        let verdict = Judge { whole: self, disk, spot: Some(spot) }.judge()?;
        let is_segment = spot.path.extension().is_some_and(|end| end == "seg");
        match (is_segment, verdict) {
            (false, Verdict::Told) => Err("a file that can be made again was missed".to_owned()),
            _ => Ok(verdict),
        }
    }

    /// Opens a damaged store for reading, verifies it, and opens it for writing.
    ///
    /// # Errors
    ///
    /// What the damaged store did and may not do, a panic included.
    pub fn judge(&self, disk: &SimDisk) -> Result<Verdict, String> {
        Judge { whole: self, disk, spot: None }.judge()
    }
}

impl Judge<'_> {
    fn judge(&self) -> Result<Verdict, String> {
        guarded(|| self.judge_unguarded())
    }

    fn judge_unguarded(&self) -> Result<Verdict, String> {
        let before = self.disk.operations();
        let reader = self.answer(on(self.disk).read_only(true))?;
        let clean = match VerifyReport::of(&on(self.disk)) {
            Ok(report) => {
                for fault in &report.faults {
                    self.is_right_place(Some((&fault.path, fault.offset)), &fault.what)?;
                }
                report.faults.is_empty()
            }
            Err(error) => self.told(&error)? == Verdict::Harmless,
        };
        if self.disk.operations() != before {
            return Err("reading and verifying changed something".to_owned());
        }
        let writer = self.answer(on(self.disk))?;
        match (clean, reader, writer) {
            (_, Verdict::Harmless, Verdict::Harmless) => Ok(Verdict::Harmless),
            (false, ..) => Ok(Verdict::Told),
            (true, ..) => Err(format!("reader {reader:?}, writer {writer:?}, but verify finds nothing")),
        }
    }

    /// Opens, and reads everything in every way.
    fn answer(&self, options: Options) -> Result<Verdict, String> {
        let store = match EventStore::open(options) {
            Ok(store) => store,
            Err(error) => return self.told(&error),
        };
        let events = &self.whole.events;
        let all: Vec<&Placed> = events.iter().collect();
        let mut verdicts = vec![self.read_through(&store, Read::all(), &all)?];
        let reverse: Vec<&Placed> = events.iter().rev().collect();
        verdicts.push(self.read_through(&store, Read::all().backward(), &reverse)?);
        let model = Model::holding(events.clone());
        for (name, at) in model.versions() {
            let of_stream: Vec<&Placed> = events.iter().filter(|placed| placed.stream == name).collect();
            verdicts.push(self.read_through(&store, Read::stream(stream(name)?), &of_stream)?);
            let next = [Numbered { number: 1_000_000, bytes: 1 }.to_event()];
            match store.append_to(&stream(name)?, ExpectedVersion::Exactly(at), next) {
                Ok(receipt) if receipt.streams[0].version == at.next() => {}
                Ok(receipt) => return Err(format!("stream {name} went from {at} to {receipt:?}")),
                Err(AppendError::Store(Error::ReadOnly)) => {}
                Err(error) => drop(self.told(&error)?),
            }
        }
        let is_harmless = verdicts.iter().all(|verdict| *verdict == Verdict::Harmless);
        Ok(if is_harmless { Verdict::Harmless } else { Verdict::Told })
    }

    /// Reads, and checks that the answer is `wanted`, or a beginning of it and then an error.
    fn read_through(&self, store: &EventStore, read: Read, wanted: &[&Placed]) -> Result<Verdict, String> {
        let events = match store.read(read) {
            Ok(events) => events,
            Err(error) => return self.told(&error),
        };
        let mut found = 0;
        for event in events {
            let event = match event {
                Ok(event) => event,
                Err(error) => return self.told(&error),
            };
            if Placed::of(&event).as_ref() != wanted.get(found).copied() {
                return Err(format!("{event:?} in the place of {:?}", wanted.get(found)));
            }
            found += 1;
        }
        match found == wanted.len() {
            true => Ok(Verdict::Harmless),
            false => Err(format!("{found} of {} events, and nobody says so", wanted.len())),
        }
    }

    /// An error is a telling answer when it names the place.
    fn told(&self, error: &impl place::Placed) -> Result<Verdict, String> {
        self.is_right_place(error.place(), &error.to_string()).map(|()| Verdict::Told)
    }

    fn is_right_place(&self, named: Option<(&Path, u64)>, what: &str) -> Result<(), String> {
        match (named, self.spot) {
            (None, _) => Err(format!("the error names no place: {what}")),
            (Some(named), Some(spot)) if !self.whole.units.allow(spot, named) => {
                Err(format!("the error names {} at {}: {what}", named.0.display(), named.1))
            }
            (Some(_), _) => Ok(()),
        }
    }
}

/// Does `work`, and makes a finding of a panic.
fn guarded<T>(work: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        Err(format!("a panic: {}", text.unwrap_or_else(|| "of unknown kind".to_owned())))
    })
}

/// Where the bytes in use of a file end.
pub fn used(bytes: &[u8]) -> u64 {
    bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last as u64 + 1)
}

//! Targets that give a damaged store to the tools of the bad day: verify, salvage and inspect.
//!
//! Whatever the files say, a tool ends, changes nothing that it only reads, and tells of no event that nobody wrote.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::directory::{self, Sample, damaged, files, options};
use super::input::Input;
use crate::inspect::{Finding, Inspect};
use crate::model::{Position, RecordedEvent};
use crate::options::Options;
use crate::read::Read;
use crate::salvage::{Salvage, SalvageReport};
use crate::store::EventStore;
use crate::testkit::SimDisk;
use crate::verify::VerifyReport;

/// Where a salvage goes.
const NEW: &str = "new";

/// Bytes as damages to a store, which is then verified. What is found to be whole can be read to its end.
pub fn verify_directory(bytes: &[u8]) {
    let (sample, disk) = damaged(&mut Input::new(bytes));
    let before = files(&disk);
    for verify in [VerifyReport::of, VerifyReport::deep] {
        let Ok(report) = verify(&options(&disk)) else { continue };
        assert!(report.events <= sample.events.len() as u64, "{report:?}");
        let is_range =
            |fault: &crate::Fault| fault.positions.as_ref().is_none_or(|range| range.start() <= range.end());
        assert!(report.faults.iter().all(is_range), "{report:?}");
        if report.is_clean() {
            let store = EventStore::open(options(&disk).read_only(true)).expect("nothing is wrong with it");
            sample.check(&store);
            let events = store.read(Read::all()).expect("a legal read");
            assert!(events.into_iter().all(|event| event.is_ok()), "verify finds nothing");
        }
    }
    assert!(before == files(&disk), "verify changed a file");
}

/// Bytes as damages to a store, of which the rest is then saved: events as they were, in their order, in a store that is
/// whole. What is not among them is named.
pub fn salvage_directory(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let whole_appends = input.byte() & 1 == 1;
    let (sample, disk) = damaged(&mut input);
    let before = files(&disk);
    let salvaged = Salvage::of(&options(&disk)).whole_appends(whole_appends).copy_to(NEW);
    let is_same = |path: &PathBuf| disk.read(path).ok() == before.get(path).cloned().flatten();
    // The lock of the damaged store may have been made.
    let looked_at = disk.paths().into_iter().filter(|path| !path.starts_with(NEW) && !path.ends_with("LOCK"));
    assert!(looked_at.into_iter().all(|path| is_same(&path)), "the damaged store is only read");
    let new = new_options(&disk);
    match salvaged {
        Ok(report) => check_salvaged(sample, &new, &report),
        Err(_) => {
            drop(EventStore::open(new.create(false)).map(drop).expect_err("half a salvage is no store"))
        }
    }
}

fn new_options(disk: &SimDisk) -> Options {
    let mut new = options(disk);
    new.dir = Path::new(NEW).to_owned();
    new
}

fn check_salvaged(sample: &Sample, new: &Options, report: &SalvageReport) {
    let store = EventStore::open(new.clone()).expect("a salvage makes a store that opens");
    let found = store.read(Read::all().system(true)).expect("a legal read");
    let found: Vec<RecordedEvent> = found.collect::<Result<_, _>>().expect("it is whole");
    assert_eq!(report.events, found.len() as u64);
    let by_id: BTreeMap<_, _> = sample.events.iter().map(|event| (event.id(), event)).collect();
    let mut kept = Vec::new();
    for event in &found {
        let was = by_id.get(&event.id()).expect("nobody invents an event");
        assert_eq!(said(event), said(was));
        assert!(event.recorded_at() <= was.recorded_at(), "an event is not older than it was");
        kept.push(was.position());
    }
    assert!(kept.is_sorted_by(|one, other| one < other), "the order is kept");
    let last = Position::new(sample.events.len() as u64);
    for loss in &report.losses {
        assert!(loss.positions.start() <= loss.positions.end() && *loss.positions.end() <= last, "{loss:?}");
        assert!(!kept.iter().any(|position| loss.positions.contains(position)), "{loss:?} is kept");
    }
    drop(store);
    let verified = VerifyReport::deep(new).expect("it is whole");
    assert!(verified.is_clean(), "{verified:?}");
}

/// What an event says, apart from its place and the time of its commit.
fn said(event: &RecordedEvent) -> (&str, &str, &[u8], Option<&str>, crate::Timestamp) {
    (event.stream(), event.event_type(), event.data(), event.metadata(), event.timestamp())
}

/// Bytes as damages to a store, and one of its files, or a piece of one under the name of a tail, to look into.
pub fn inspect_file(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let (parts, name, from) = (input.byte() & 1 == 1, input.byte(), input.maybe());
    let (at, cut) = (input.u32(), input.u32());
    let (sample, disk) = damaged(&mut input);
    let paths = disk.paths();
    let Some(path) = paths.get(name as usize / NAMES % paths.len().max(1)) else { return };
    let Ok(mut bytes) = disk.read(path) else { return };
    let at = (at as usize).checked_rem(bytes.len()).unwrap_or(0);
    let dir = path.parent().unwrap_or(Path::new(""));
    let path = match name as usize % NAMES {
        0 | 1 => path.clone(),
        2 => dir.join(["STATE", "LOCK", "0000000001.idx", "0000000002.seg"][at % 4]),
        3 => dir.join("no file of annals"),
        more => {
            bytes.drain(..at / 8 * 8);
            bytes.truncate(cut as usize);
            let again = if more == 4 { "" } else { "-2" };
            dir.join(format!("tail-{:010}-{}{again}.bin", 1 + at % 3, at / 8 * 8))
        }
    };
    disk.write(&path, &bytes);
    let before = files(&disk);
    let inspect = Inspect::file(&path).disk(Arc::new(disk.clone())).parts(parts);
    // Each step of a walk takes eight bytes at least; headers, sections and blocks come beside.
    let findings_max = bytes.len() / 8 + 1000;
    if let Ok(findings) = inspect.from(from.map_or(0, |from| from * 512)).read() {
        for (number, finding) in findings.flatten().enumerate() {
            assert!(number < findings_max, "it does not end");
            was_written(sample, &finding);
        }
    }
    assert!(before == files(&disk), "inspect changed a file");
}

/// Ways to name a file.
const NAMES: usize = 6;

/// An event that is shown without a fault is one that was written.
fn was_written(sample: &Sample, finding: &Finding) {
    if finding.what != "event" || finding.fault.is_some() {
        return;
    }
    let field = |wanted: &str| {
        let found = finding.fields.iter().find(|(name, _)| *name == wanted);
        found.map(|(_, value)| value.as_str()).unwrap_or_default()
    };
    let is_it = |event: &&RecordedEvent| {
        field("position") == event.position().to_string()
            && field("stream") == event.stream()
            && field("version") == event.stream_version().to_string()
            && field("type") == event.event_type()
            && field("id") == event.id().to_string()
            && field("data_bytes") == event.data().len().to_string()
    };
    assert!(sample.events.iter().any(|event| is_it(&event)), "nobody wrote {finding:?}");
}

pub(super) fn verify_seeds() -> Vec<Vec<u8>> {
    directory::seeds()
}

pub(super) fn salvage_seeds() -> Vec<Vec<u8>> {
    directory::seeds()
        .into_iter()
        .flat_map(|seed| [0, 1].map(|whole| [&[whole][..], &seed].concat()))
        .collect()
}

pub(super) fn inspect_seeds() -> Vec<Vec<u8>> {
    let looks = (0..NAMES as u8 * 8).map(|name| vec![1, name, 0, 0, 32, 0, 0, 0, 64, 0, 0]);
    looks.zip(directory::seeds().into_iter().cycle()).map(|(look, seed)| [look, seed].concat()).collect()
}

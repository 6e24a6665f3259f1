//! A disk that wears out: sectors that cannot be read cost their own events, and no map is made of a file that would
//! end the process.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use annals::testkit::SimDisk;
use annals::{Disk, DiskFile, Fault, Map, OpenMode, Options, Position, Salvage, VerifyReport};

use crate::damaged::*;
use crate::support::*;

/// A disk on which some sectors cannot be read, and on which a map would be the end of the process.
#[derive(Debug)]
struct Worn {
    disk: SimDisk,
    path: PathBuf,
    bad: std::ops::Range<u64>,
}

#[derive(Debug)]
struct WornFile {
    file: Arc<dyn DiskFile>,
    bad: std::ops::Range<u64>,
}

impl Disk for Worn {
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
        let file = self.disk.open(path, mode)?;
        match path == self.path {
            true => Ok(Arc::new(WornFile { file, bad: self.bad.clone() })),
            false => Ok(file),
        }
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

impl DiskFile for WornFile {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        match offset < self.bad.end && self.bad.start < offset + buffer.len() as u64 {
            true => Err(io::Error::other("the sector is bad")),
            false => self.file.read_exact_at(buffer, offset),
        }
    }
    fn write_all_at(&self, _: &[u8], _: u64) -> io::Result<()> {
        panic!("the damaged store is only read")
    }
    fn allocate(&self, _: u64) -> io::Result<()> {
        panic!("the damaged store is only read")
    }
    fn set_len(&self, _: u64) -> io::Result<()> {
        panic!("the damaged store is only read")
    }
    fn sync_data(&self) -> io::Result<()> {
        panic!("the damaged store is only read")
    }
    fn try_lock(&self) -> io::Result<bool> {
        self.file.try_lock()
    }
    fn map(&self, _: u64) -> io::Result<Map> {
        panic!("a page of the map would kill the process")
    }
}

#[test]
fn a_sector_that_cannot_be_read_costs_its_own_events_and_no_other() {
    let whole = Whole::new(12);
    let hit = whole.places[&40].clone();
    let bad = hit.record.start / 512 * 512..hit.record.start / 512 * 512 + 512;
    let disk = whole.copy();
    let worn = Worn { disk: disk.clone(), path: hit.path.clone(), bad: bad.clone() };
    let options = Options::new("store").disk(Arc::new(worn)).segment_bytes(SMALL);
    let report = Salvage::of(&options).copy_to("new").expect("the rest can be saved");
    let damage = Damage(vec![(hit.path.clone(), bad)]);
    let ranges = report.losses.iter().map(|loss| loss.positions.clone());
    let lost: Vec<u64> = ranges.flat_map(|range| range.start().get()..=range.end().get()).collect();
    assert!(lost.contains(&40));
    assert!(lost.iter().all(|position| !damage.spares(&whole.places[position])), "{lost:?}");
    let verified = VerifyReport::deep(&options).expect("is told, not failed");
    assert!(
        verified.faults.iter().any(|fault| fault.what.contains("the sector is bad")),
        "{:?}",
        verified.faults
    );
    for position in lost {
        let named = |fault: &Fault| {
            fault.positions.as_ref().is_some_and(|range| range.contains(&Position::new(position)))
        };
        assert!(verified.faults.iter().any(named), "position {position}: {:?}", verified.faults);
    }
}

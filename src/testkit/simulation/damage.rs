//! Damage to a copy of a resting store: rot, stale sectors and writes that went astray.
//!
//! The store must answer with what was there, or with an error that names a file. It may do without the last events
//! only when nothing that is whole says that they were acknowledged; what says so is computed here from the frames.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::super::disk::{Fault, SECTOR_BYTES, SimDisk};
use super::super::everything::{Misread, placed};
use super::super::model::Placed;
use super::Life;
use super::process::options;
use crate::error::OpenError;
use crate::format::frame::HEADER_LEN;
use crate::format::segment::FRAMES_AT;
use crate::format::state::{SLOT_LEN, SLOT_STRIDE, State};
use crate::format::{FrameHeader, SegmentHeader};
use crate::model::Position;
use crate::options::Options;
use crate::store::EventStore;
use crate::verify::VerifyReport;

/// A frame header of the whole store, and what it proves.
struct Proof {
    path: PathBuf,
    offset: u64,
    header: Vec<u8>,
    durable: Position,
}

impl Life {
    /// Damages copies of the store as it rests, and opens them. `closed` says that it was closed by its last process.
    pub(super) fn damage(&mut self, closed: bool) -> Result<(), String> {
        let whole = self.disk.crash_keeping_all();
        let paths: Vec<PathBuf> = whole.paths().into_iter().filter(|path| used(&whole, path) > 0).collect();
        if paths.is_empty() {
            return Ok(());
        }
        // What the store holds is known from a copy that is opened undamaged.
        let known = match EventStore::open(on(self, &whole.crash_keeping_all())) {
            Ok(store) => placed(&store).map_err(|misread| misread.to_string())?,
            Err(error) => return Err(format!("it does not open, undamaged: {error}")),
        };
        let proofs = proofs(&whole);
        for _ in 0..1 + self.rng.below(3) {
            let disk = whole.crash_keeping_all();
            let what = self.damage_one(&disk, &paths);
            let proved = proved(&disk, &proofs);
            if closed && !what.starts_with("misdirected") && proved.get() < known.len() as u64 {
                return Err(format!("{what}: a closed store has no second proof of {}", known.len()));
            }
            self.judge(&disk, &known, proved).map_err(|wrong| format!("{what}: {wrong}"))?;
            self.figures.damages += 1;
        }
        Ok(())
    }

    /// Damages one sector, or the two of a write that went astray.
    fn damage_one(&mut self, disk: &SimDisk, paths: &[PathBuf]) -> String {
        let (path, sector) = self.place(disk, paths);
        let (other, hit) = self.place(disk, paths);
        let seed = self.rng.next_u64();
        let (what, done) = match self.rng.below(4) {
            0 => (
                "a flipped bit in",
                disk.flip_bit(path, sector * SECTOR_BYTES * 8 + seed % (SECTOR_BYTES * 8)),
            ),
            1 => ("rot in", disk.rot_sector(path, sector, seed)),
            2 => ("stale:", disk.stale_sector(path, sector)),
            _ => {
                let done = disk.misdirect((path, sector), (other, hit));
                return format!(
                    "misdirected: sector {sector} of {} to {hit} of {}: {done:?}",
                    path.display(),
                    other.display()
                );
            }
        };
        format!("{what} sector {sector} of {}: {done:?}", path.display())
    }

    /// A sector that is in use; one of the last of its file in every second case.
    fn place<'p>(&mut self, disk: &SimDisk, paths: &'p [PathBuf]) -> (&'p Path, u64) {
        let path = &paths[self.rng.below(paths.len() as u64) as usize];
        let sectors = used(disk, path).div_ceil(SECTOR_BYTES);
        let sector = match self.rng.chance(1, 2) {
            true => sectors - 1 - self.rng.below(sectors.min(3)),
            false => self.rng.below(sectors),
        };
        (path, sector)
    }

    /// Opens a damaged copy for reading, verifies it, and opens it for writing.
    fn judge(&mut self, disk: &SimDisk, known: &[Placed], proved: Position) -> Result<(), String> {
        let operations = disk.operations();
        let reader = answer(on(self, disk).read_only(true), known, proved)?;
        let clean = match VerifyReport::of(&on(self, disk)) {
            Ok(report) => report.faults.is_empty(),
            Err(OpenError::NotFound { .. }) if proved == Position::START => true,
            Err(error) => names_a_file(&error.to_string())? != Answer::Refused,
        };
        if disk.operations() != operations {
            return Err("reading and verifying changed the disk".to_owned());
        }
        if self.rng.chance(1, 4) {
            // A read that fails on top of it makes no damage harmless.
            let failing = disk.crash_keeping_all();
            failing.fail_read(1 + self.rng.below(400), Fault::ShortRead);
            answer(on(self, &failing), known, proved)
                .map_err(|wrong| format!("with a failing read, {wrong}"))?;
        }
        let writer = answer(on(self, disk), known, proved)?;
        let lost = matches!(writer, Answer::Read(events) if events < self.known.len());
        self.figures.untold += u64::from(lost);
        match clean && (reader == Answer::Refused || writer == Answer::Refused) {
            true => Err("it is refused, but verify finds nothing".to_owned()),
            false => Ok(()),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    /// So many events, and no word of others.
    Read(usize),
    Refused,
}

/// Opens, and reads: the events that are known, as far as they are proved at least, or an error.
fn answer(options: Options, known: &[Placed], proved: Position) -> Result<Answer, String> {
    let store = match EventStore::open(options) {
        Ok(store) => store,
        // Nothing is proved: what is left of a store that was never used is no store.
        Err(OpenError::NotFound { .. }) if proved == Position::START => return Ok(Answer::Read(0)),
        Err(error) => return names_a_file(&error.to_string()),
    };
    let found = match placed(&store) {
        Ok(found) => found,
        Err(Misread::Refused(error)) => return names_a_file(&error.to_string()),
        Err(Misread::Wrong(what)) => return Err(what),
    };
    if !known.starts_with(&found) {
        return Err(format!("{} events are read that were never there", found.len()));
    }
    match found.len() as u64 >= proved.get() {
        true => Ok(Answer::Read(found.len())),
        false => Err(format!("{} events are left of {proved}, and nobody says so", found.len())),
    }
}

fn names_a_file(error: &str) -> Result<Answer, String> {
    match ["store/log", "STATE", "LOCK", "SALVAGE", "RESTORE", "BACKUP"]
        .iter()
        .any(|name| error.contains(name))
    {
        true => Ok(Answer::Refused),
        false => Err(format!("the error names no file: {error}")),
    }
}

fn on(life: &Life, disk: &SimDisk) -> Options {
    options(life).disk(Arc::new(disk.clone()))
}

/// Where the bytes in use of a file end.
fn used(disk: &SimDisk, path: &Path) -> u64 {
    let bytes = disk.read(path).unwrap_or_default();
    bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last as u64 + 1)
}

/// The frame headers of all segments: wherever one stands, it was written there.
fn proofs(disk: &SimDisk) -> Vec<Proof> {
    let mut proofs = Vec::new();
    for path in disk.paths().into_iter().filter(|path| path.extension().is_some_and(|name| name == "seg")) {
        let bytes = disk.read(&path).unwrap_or_default();
        let Some(header) = header_of(&bytes) else { continue };
        let mut at = FRAMES_AT;
        while let Some(frame) = bytes.get(at as usize..at as usize + HEADER_LEN) {
            let Ok(frame_bytes) = frame.try_into() else { break };
            let Ok((decoded, _)) = FrameHeader::decode(frame_bytes, header.salt, at) else { break };
            let header = frame.to_vec();
            proofs.push(Proof { path: path.clone(), offset: at, header, durable: decoded.durable });
            at += u64::from(decoded.len);
        }
    }
    proofs
}

fn header_of(bytes: &[u8]) -> Option<SegmentHeader> {
    let first = bytes.get(..crate::format::segment::HEADER_LEN)?;
    SegmentHeader::decode(first.try_into().ok()?).ok()
}

/// The last position that something whole on a damaged disk proves to be acknowledged.
fn proved(disk: &SimDisk, proofs: &[Proof]) -> Position {
    let is_whole = |proof: &&Proof| {
        let bytes = disk.read(&proof.path).unwrap_or_default();
        let at = proof.offset as usize;
        bytes.get(at..at + HEADER_LEN).is_some_and(|found| found == proof.header)
    };
    let of_frames = proofs.iter().filter(is_whole).map(|proof| proof.durable);
    of_frames.chain(of_state(disk)).max().unwrap_or_default()
}

/// What the newer whole slot of STATE says.
fn of_state(disk: &SimDisk) -> Option<Position> {
    let bytes = disk.read(Path::new("store/STATE")).ok()?;
    let slot = |at: usize| State::decode(bytes.get(at..at + SLOT_LEN)?.try_into().ok()?);
    let newer =
        [slot(0), slot(SLOT_STRIDE as usize)].into_iter().flatten().max_by_key(|state| state.sequence);
    newer.map(|state| state.durable)
}

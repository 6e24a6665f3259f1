//! Where damage lies, and what an error about it may name: the damaged file, and the header, frame, record or block in it
//! that holds the damage, by its beginning; where only zeros should be, the byte itself.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::told;
use crate::format::SegmentNumber;
use crate::format::index::{BLOCK, IndexHeader};
use crate::format::segment::{FRAMES_AT, HEADER_COPY_AT, HEADER_LEN};
use crate::log::{Before, Record, Survey, Wreck};
use crate::testkit::SimDisk;
use crate::{AppendError, Error, OpenError};

/// Damaged bytes of one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spot {
    /// The file.
    pub path: PathBuf,
    /// The first byte; of a file that was cut, where it ends.
    pub from: u64,
    /// Where they end.
    pub to: u64,
}

/// What can be damaged, and named, as one.
#[derive(Debug, Clone, Copy)]
struct Unit {
    from: u64,
    to: u64,
    /// Nothing is stored there: each byte is named by itself.
    is_zeros: bool,
}

/// The units of every file that has any. They overlap: a record is one, and its frame, too.
#[derive(Debug, Clone, Default)]
pub(super) struct Units(BTreeMap<PathBuf, Vec<Unit>>);

impl Units {
    /// Those of a whole store.
    pub(super) fn of(disk: &SimDisk) -> Result<Units, String> {
        let mut units = Units::default();
        for path in disk.paths() {
            let found = match path.extension().and_then(|end| end.to_str()) {
                Some("seg") => of_segment(disk, &path)?,
                Some("idx") => of_index(&disk.read(&path).map_err(told)?),
                _ => continue,
            };
            units.0.insert(path, found);
        }
        Ok(units)
    }

    /// Whether an error may name this place of this file, where `spot` is damaged.
    pub(super) fn allow(&self, spot: &Spot, (path, offset): (&Path, u64)) -> bool {
        let end = spot.to.max(spot.from + 1);
        let names = |unit: &Unit| {
            let hit = unit.from < end && spot.from < unit.to;
            hit && (offset == unit.from || unit.is_zeros && (spot.from..end).contains(&offset))
        };
        let is_cut = spot.to == u64::MAX;
        let units = self.0.get(&spot.path).map_or(&[][..], Vec::as_slice);
        path == spot.path && (is_cut && offset == spot.from || units.iter().any(names))
    }
}

fn of_segment(disk: &SimDisk, path: &Path) -> Result<Vec<Unit>, String> {
    let unit = |from, to| Unit { from, to, is_zeros: false };
    let zeros = |from, to| Unit { from, to, is_zeros: true };
    let (copy, len) = (HEADER_COPY_AT, HEADER_LEN as u64);
    let mut units =
        vec![unit(0, len), zeros(len, copy), unit(copy, copy + len), zeros(copy + len, FRAMES_AT)];
    let wreck = Wreck::open(disk, path, SegmentNumber::FIRST).map_err(told)?;
    let mut survey = Survey::new(&wreck, FRAMES_AT, Before::UNKNOWN);
    while let Some(met) = survey.step().map_err(told)? {
        units.push(unit(met.offset, met.end));
        for record in met.records() {
            let Record::Whole { offset, bytes } = record else {
                return Err("it is damaged already".to_owned());
            };
            units.push(unit(offset, offset + bytes.len() as u64));
        }
    }
    units.push(zeros(survey.at(), wreck.segment.header.capacity));
    Ok(units)
}

fn of_index(bytes: &[u8]) -> Vec<Unit> {
    let header = bytes.first_chunk().and_then(|bytes| IndexHeader::decode(bytes).ok());
    let checksums = header.map_or(0, |header| header.checksums_at());
    let begins = (0..checksums).step_by(BLOCK).chain([checksums]);
    let ends = (0..checksums).step_by(BLOCK).skip(1).chain([checksums, bytes.len() as u64]);
    begins.zip(ends).map(|(from, to)| Unit { from, to, is_zeros: false }).collect()
}

/// An error that may tell of damage.
pub(super) trait Placed: ToString {
    /// The file and the offset that it names, if it tells of damage.
    fn place(&self) -> Option<(&Path, u64)>;
}

impl Placed for Error {
    fn place(&self) -> Option<(&Path, u64)> {
        match self {
            Error::Damaged { path, offset, .. } => Some((path, *offset)),
            _ => None,
        }
    }
}

impl Placed for OpenError {
    fn place(&self) -> Option<(&Path, u64)> {
        match self {
            OpenError::AcknowledgedLoss { path, offset, .. } => Some((path, *offset)),
            OpenError::Store(error) => error.place(),
            _ => None,
        }
    }
}

impl Placed for AppendError {
    fn place(&self) -> Option<(&Path, u64)> {
        match self {
            AppendError::Store(error) => error.place(),
            _ => None,
        }
    }
}

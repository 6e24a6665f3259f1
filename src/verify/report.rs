//! What `verify` says: faults, notes and counts.

use std::ops::RangeInclusive;
use std::path::PathBuf;

use crate::model::Position;

/// One thing that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Fault {
    /// The file.
    pub path: PathBuf,
    /// Where in it.
    pub offset: u64,
    /// What was wanted and what was found.
    pub what: String,
    /// The positions of the events that it concerns, when it concerns any and they are known.
    pub positions: Option<RangeInclusive<Position>>,
    /// The stream that it concerns, when it is known. Only [`VerifyReport::deep`] finds streams.
    pub stream: Option<String>,
}

/// Something that is no fault and yet worth knowing: what a crash left, a file that nobody needs.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Note {
    /// The file.
    pub path: PathBuf,
    /// What there is to know about it.
    pub what: String,
}

/// What `verify` found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct VerifyReport {
    /// Every fault, in the order of the log; those of single streams up to a thousand.
    pub faults: Vec<Fault>,
    /// Faults of single streams that are only counted.
    pub faults_left_out: u64,
    /// What is no fault.
    pub notes: Vec<Note>,
    /// How many segments were read.
    pub segments: u64,
    /// How many whole frames.
    pub frames: u64,
    /// How many whole events.
    pub events: u64,
    /// How many events retention has removed.
    pub removed: u64,
    /// How many streams they are of. Only counted by [`VerifyReport::deep`].
    pub streams: u64,
    /// How many bytes of frames.
    pub bytes: u64,
}

/// How far a verification is.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct VerifyProgress<'a> {
    /// What was found so far.
    pub report: &'a VerifyReport,
    /// How many segments there are to read.
    pub segments: u64,
}

impl VerifyReport {
    /// Whether there is nothing wrong.
    pub fn is_clean(&self) -> bool {
        self.faults.is_empty()
    }

    pub(super) fn fault(
        &mut self,
        path: impl Into<PathBuf>,
        offset: u64,
        what: impl Into<String>,
    ) -> &mut Fault {
        self.faults.push(Fault {
            path: path.into(),
            offset,
            what: what.into(),
            positions: None,
            stream: None,
        });
        self.faults.last_mut().expect("a fault was just added")
    }

    pub(super) fn note(&mut self, path: impl Into<PathBuf>, what: impl Into<String>) {
        self.notes.push(Note { path: path.into(), what: what.into() });
    }
}

impl Fault {
    /// Adds the positions from `first` to `last`, if there are any.
    pub(super) fn of_positions(&mut self, first: Position, last: Position) {
        if first <= last {
            self.positions = Some(first..=last);
        }
    }
}

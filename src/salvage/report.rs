//! What a salvage tells: a summary for its caller, and a file with everything for whoever has to explain it later.

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;

use crate::error::Error;
use crate::model::{HistoryId, Position, StreamVersion};
use crate::vfs::{Disk, DiskFile, OpenMode};

/// How much of the report is gathered before it is written.
const BUFFER_BYTES: usize = 64 * 1024;

/// Events that could not be kept, with the place where that was noticed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Loss {
    /// Their positions in the damaged store.
    pub positions: RangeInclusive<Position>,
    /// Whether something in the store says that they had been acknowledged. Otherwise they may be a torn append.
    pub acknowledged: bool,
    /// The file in which they were, or should have been.
    pub path: PathBuf,
    /// Where in it.
    pub offset: u64,
    /// What is wrong there.
    pub what: String,
}

/// What a salvage did.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SalvageReport {
    /// How many events the new store has.
    pub events: u64,
    /// How many positions of the damaged store are not among them.
    pub lost: u64,
    /// How many of those are known to have been acknowledged.
    pub lost_acknowledged: u64,
    /// The same, range by range.
    pub losses: Vec<Loss>,
    /// How many appends lost some of their events and not all.
    pub incomplete_appends: u64,
    /// How many streams have events behind a lost one, so that versions changed.
    pub streams_changed: u64,
    /// How many damaged places there were, harmless ones included.
    pub faults: u64,
    /// The history of the damaged store, if it could be read.
    pub old_history: Option<HistoryId>,
    /// The history of the new store.
    pub history: HistoryId,
    /// The file with everything: NDJSON, described in `docs/bad-day.md`.
    pub path: PathBuf,
}

/// A line of the report's file.
#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub(super) enum Line<'a> {
    /// What this is about; the first line.
    Salvage { from: String, history: String, annals: &'static str },
    /// A damaged place.
    Fault { file: String, offset: u64, what: &'a str },
    /// Something about an event that is kept.
    Note { file: String, offset: u64, what: &'a str },
    /// Positions that are lost.
    Lost { positions: [u64; 2], acknowledged: bool, file: String, offset: u64, what: &'a str },
    /// An append that lost some of its events.
    Incomplete { file: String, offset: u64, positions: [u64; 2], whole: u64, kept: bool },
    /// Positions that were kept, and what they are in the new store.
    Kept { positions: [u64; 2], now: [u64; 2] },
    /// Versions of a stream that are lost, and the event behind them.
    Stream { stream: &'a str, lost_versions: [u64; 2], next_version: u64, now_version: u64 },
    /// Counts; the last line. A file without it is not finished.
    End {
        events: u64,
        lost: u64,
        lost_acknowledged: u64,
        incomplete_appends: u64,
        streams_changed: u64,
        faults: u64,
        old_history: Option<String>,
    },
}

/// The file, as it is written.
pub(super) struct ReportFile {
    path: PathBuf,
    file: Arc<dyn DiskFile>,
    written: u64,
    buffer: Vec<u8>,
    history: HistoryId,
}

impl ReportFile {
    pub(super) fn create(
        disk: &dyn Disk,
        path: PathBuf,
        from: &Path,
        history: HistoryId,
    ) -> Result<ReportFile, Error> {
        let file =
            disk.open(&path, OpenMode::CreateNew).map_err(|error| Error::io("create", &path, error))?;
        let mut report = ReportFile { path, file, written: 0, buffer: Vec::new(), history };
        report.line(&Line::Salvage {
            from: from.display().to_string(),
            history: history.to_string(),
            annals: env!("CARGO_PKG_VERSION"),
        })?;
        Ok(report)
    }

    pub(super) fn line(&mut self, line: &Line<'_>) -> Result<(), Error> {
        serde_json::to_writer(&mut self.buffer, line)
            .map_err(|error| Error::io("write", &self.path, error.into()))?;
        self.buffer.push(b'\n');
        if self.buffer.len() >= BUFFER_BYTES { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), Error> {
        self.file
            .write_all_at(&self.buffer, self.written)
            .map_err(|error| Error::io("write", &self.path, error).or_no_space())?;
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    /// Makes it durable.
    pub(super) fn finish(&mut self) -> Result<(), Error> {
        self.flush()?;
        self.file.sync_data().map_err(|error| Error::io("sync", &self.path, error))
    }

    pub(super) fn history(&self) -> HistoryId {
        self.history
    }

    pub(super) fn path(&self) -> PathBuf {
        self.path.clone()
    }
}

/// Both ends of a range, as JSON shows them.
pub(super) fn ends(first: Position, last: Position) -> [u64; 2] {
    [first.get(), last.get()]
}

/// Both ends of a range of versions.
pub(super) fn versions(first: StreamVersion, last: StreamVersion) -> [u64; 2] {
    [first.get(), last.get()]
}

//! Making a store out of a backup, or of the part of it up to a position.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::copy::{copy, path_of, segments};
use super::manifest::Manifest;
use crate::error::{Error, OpenError};
use crate::format::FrameKind;
use crate::format::segment::FRAMES_AT;
use crate::log::{Recovered, Search, Segment, log_dir, recover, scan, unfinished};
use crate::model::{HistoryId, Position};
use crate::options::Options;
use crate::vfs::{Disk, RealDisk};

/// Makes a store out of a backup.
///
/// ```
/// # use annals::{Data, EventStore, EventType, ExpectedVersion, NewEvent, Options, Restore, StreamName};
/// # let dir = tempfile::tempdir()?;
/// # let (data, backup, restored) = (dir.path().join("data"), dir.path().join("backup"), dir.path().join("restored"));
/// let store = EventStore::open(Options::new(&data))?;
/// # let event = NewEvent::new(EventType::parse("order.created")?, Data::json(&())?);
/// # store.append_to(&StreamName::parse("order-1")?, ExpectedVersion::None, [event])?;
/// store.back_up(&backup)?;
///
/// let report = Restore::from(&backup).to(&restored)?;
/// let again = EventStore::open(Options::new(&restored))?;
/// assert_eq!((report.position, again.head()), (store.head(), store.head()));
/// assert_ne!(again.history(), store.history());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Restore {
    from: PathBuf,
    until: Option<Position>,
    disk: Arc<dyn Disk>,
}

/// What a restore made.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RestoreReport {
    /// The last position in the new store.
    pub position: Position,
    /// The history of the store that was backed up, up to that position.
    pub old_history: HistoryId,
    /// The history of the new store.
    pub history: HistoryId,
}

impl Restore {
    /// Out of the backup in `dir`.
    pub fn from(dir: impl AsRef<Path>) -> Restore {
        Restore { from: dir.as_ref().to_owned(), until: None, disk: Arc::new(RealDisk) }
    }

    /// Only up to this position. An append that reaches beyond it is left out as a whole.
    #[must_use]
    pub fn until(mut self, position: Position) -> Restore {
        self.until = Some(position);
        self
    }

    /// On this disk. Default: the system's.
    #[must_use]
    pub fn disk(mut self, disk: Arc<dyn Disk>) -> Restore {
        self.disk = disk;
        self
    }

    /// Makes a new store in `out`, which must not exist or be empty. Every event is checked on the way.
    ///
    /// It has a new history: snapshots, cursors and groups of the old store do not pass for its own. Interrupted at any point,
    /// it leaves a directory that does not open and says why: delete it and begin again.
    ///
    /// # Errors
    ///
    /// [`OpenError::NotFound`] where there is no backup, [`Error::Damaged`] where it is damaged, [`Error::Invalid`] when `out`
    /// is not empty, and [`Error::Io`].
    pub fn to(&self, out: impl AsRef<Path>) -> Result<RestoreReport, OpenError> {
        let (disk, out) = (self.disk.as_ref(), out.as_ref());
        let Some(manifest) = Manifest::read(disk, &self.from)? else {
            return Err(OpenError::NotFound { path: self.from.clone() });
        };
        if manifest.position == 0 && segments(disk, &self.from)?.is_empty() {
            return Err(OpenError::NotFound { path: self.from.clone() });
        }
        let wanted = self.until.map_or(manifest.position, Position::get).min(manifest.position);
        unfinished::check_new(disk, out)?;
        let log = log_dir(out);
        disk.create_dirs(&log).map_err(|error| Error::io("create", &log, error))?;
        let text = format!(
            "A restore of {} into this directory is under way, or was interrupted.\n\
             Until it is finished, this is no store. Delete the directory and restore again.\n",
            self.from.display()
        );
        unfinished::mark(disk, out, unfinished::Making::Restore, &text)?;
        self.copy(Position::new(wanted), out)?;
        let report = self.begin_history(out)?;
        unfinished::unmark(disk, out, unfinished::Making::Restore)?;
        Ok(report)
    }

    /// Copies what lies up to a position.
    fn copy(&self, until: Position, out: &Path) -> Result<(), OpenError> {
        let disk = self.disk.as_ref();
        for segment in segments(disk, &self.from)? {
            let end = end_within(&segment, until)?;
            if end.first > until && segment.number().0 > 1 {
                break;
            }
            copy(disk, &segment, end.at, &path_of(out, &segment))?;
            if !end.is_sealed {
                break;
            }
        }
        let log = log_dir(out);
        disk.sync_dir(&log).map_err(|error| Error::io("sync", &log, error).into())
    }

    /// Lets the log go on in a segment of a new history.
    fn begin_history(&self, out: &Path) -> Result<RestoreReport, OpenError> {
        let search = Search {
            disk: self.disk.clone(),
            dir: out,
            segment_bytes: Options::new(out).segment_bytes,
            prewrites: false,
            read_only: false,
            create: false,
        };
        let mut settings = Position::START;
        let recovered = recover(&search, &mut |_, frame| {
            settings = settings.max(crate::lifecycle::last_settings(frame));
            Ok(())
        })?;
        let Recovered { roll, history: old_history, visible, settings: before, writer, .. } = recovered;
        let mut writer = writer.ok_or(Error::ReadOnly)?;
        writer.note_settings(settings.max(before));
        let history = HistoryId::from_bytes(self.disk.random());
        let blank = roll.blank(writer.segment().number().next(), 0)?;
        writer.begin_history(history, blank)?;
        writer.close()?;
        Ok(RestoreReport { position: visible, old_history, history })
    }
}

/// Where the last frame of a segment ends that lies within a position.
struct End {
    first: Position,
    at: u64,
    is_sealed: bool,
}

fn end_within(segment: &Segment, until: Position) -> Result<End, Error> {
    let mut end = End { first: Position::START, at: FRAMES_AT, is_sealed: false };
    let mut is_over = false;
    let scanned = scan(segment, |frame| {
        match frame.header.kind {
            FrameKind::Open => end.first = frame.header.first,
            _ => is_over |= frame.header.next_position().previous() > until,
        }
        if !is_over {
            end.at = frame.end();
            end.is_sealed = frame.header.kind == FrameKind::Seal;
        }
        Ok(())
    })?;
    let Some(scanned) = scanned else {
        return Err(segment.damaged(FRAMES_AT, "no valid OPEN frame begins the segment"));
    };
    // What the backup says it holds must be there.
    let is_cut = scanned.sealed.is_none() && scanned.next.previous() < until;
    match scanned.fault.filter(|_| is_cut) {
        Some(fault) => Err(segment.damaged(scanned.end, fault)),
        None => Ok(end),
    }
}

//! STATE: the durable position, written after each sync, for advice only.
//!
//! It is synced only at a clean close. What it says is true whenever it can be read; what it does not say proves nothing.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::segment::Segment;
use crate::error::Error;
use crate::format::state::{SLOT_LEN, SLOT_STRIDE, State};
use crate::model::{HistoryId, Position};
use crate::vfs::{Disk, DiskFile, OpenMode};

/// The open file.
#[derive(Debug)]
pub(crate) struct StateFile {
    file: Arc<dyn DiskFile>,
    path: PathBuf,
}

/// Where STATE lies.
pub(crate) fn state_path(dir: &Path) -> PathBuf {
    dir.join("STATE")
}

/// What the newer of the slots says; none when there is no file, or no whole slot.
pub(crate) fn read(disk: &dyn Disk, dir: &Path) -> Result<Option<State>, Error> {
    let path = state_path(dir);
    let file = match disk.open(&path, OpenMode::Read) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::io("open", &path, error)),
    };
    let len = file.len().map_err(|error| Error::io("measure", &path, error))?;
    let mut newest: Option<State> = None;
    for offset in [0, SLOT_STRIDE].into_iter().filter(|offset| offset + SLOT_LEN as u64 <= len) {
        let mut bytes = [0; SLOT_LEN];
        // A slot that the disk does not give up may be the one that tells of acknowledged events.
        file.read_exact_at(&mut bytes, offset).map_err(|error| Error::io("read", &path, error))?;
        newest = State::decode(&bytes).into_iter().chain(newest).max_by_key(|state| state.sequence);
    }
    Ok(newest)
}

/// Writes a STATE that says that everything up to a position is durable, which ends in `segment`.
pub(crate) fn remember_durable(
    disk: &dyn Disk,
    dir: &Path,
    segment: &Segment,
    history: HistoryId,
    durable: Position,
) -> Result<(), Error> {
    let sequence = read(disk, dir)?.map_or(1, |state| state.sequence + 1);
    let file = StateFile::open(disk, dir)?;
    let (store, segment) = (segment.header.store, segment.number());
    file.write(&State { store, history, sequence, segment, durable })?;
    file.sync()
}

impl StateFile {
    pub(crate) fn open(disk: &dyn Disk, dir: &Path) -> Result<StateFile, Error> {
        let path = state_path(dir);
        let file = disk.open(&path, OpenMode::Create).map_err(|error| Error::io("open", &path, error))?;
        file.allocate(SLOT_STRIDE + SLOT_LEN as u64).map_err(|error| Error::io("allocate", &path, error))?;
        Ok(StateFile { file, path })
    }

    /// Writes the slot that `state`'s sequence number falls on.
    pub(crate) fn write(&self, state: &State) -> Result<(), Error> {
        let offset = (state.sequence % 2) * SLOT_STRIDE;
        self.file.write_all_at(&state.encode(), offset).map_err(|error| Error::io("write", &self.path, error))
    }

    pub(crate) fn sync(&self) -> Result<(), Error> {
        self.file.sync_data().map_err(|error| Error::io("sync", &self.path, error))
    }
}

//! BACKUP: the file that says of a directory that it is a backup, and of what.
//!
//! It is the first file there and the last to change: what it names is there as a whole.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{Error, OpenError};
use crate::format::StoreId;
use crate::model::{HistoryId, Position, Timestamp};
use crate::vfs::{Disk, OpenMode, write_whole};

/// What the file says, as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Manifest {
    /// The store, as 32 hexadecimal digits.
    pub(super) store: String,
    /// Its history.
    pub(super) history: String,
    /// The last position that is in the backup; 0 while the first one is being made.
    pub(super) position: u64,
    /// When it was made.
    pub(super) at: String,
}

fn path_in(dir: &Path) -> PathBuf {
    dir.join("BACKUP")
}

impl Manifest {
    pub(super) fn new(store: StoreId, history: HistoryId, position: Position, now: Timestamp) -> Manifest {
        let store = store.0.iter().map(|byte| format!("{byte:02x}")).collect();
        let (history, position, at) = (history.to_string(), position.get(), now.to_string());
        Manifest { store, history, position, at }
    }

    /// What a directory is a backup of; none when it is none.
    pub(super) fn read(disk: &dyn Disk, dir: &Path) -> Result<Option<Manifest>, Error> {
        let path = path_in(dir);
        if !disk.exists(&path).map_err(|error| Error::io("look for", &path, error))? {
            return Ok(None);
        }
        let file = disk.open(&path, OpenMode::Read).map_err(|error| Error::io("open", &path, error))?;
        let len = file.len().map_err(|error| Error::io("measure", &path, error))?;
        let mut text = vec![0; len.min(1 << 16) as usize];
        file.read_exact_at(&mut text, 0).map_err(|error| Error::io("read", &path, error))?;
        let manifest = serde_json::from_slice(&text);
        manifest
            .map(Some)
            .map_err(|error| Error::damaged(path, 0, format!("no manifest of a backup: {error}")))
    }

    pub(super) fn write(&self, disk: &dyn Disk, dir: &Path) -> Result<(), Error> {
        let path = path_in(dir);
        let text = serde_json::to_vec(self).expect("texts and a number are JSON");
        write_whole(disk, &path, &path.with_extension("tmp"), &text)
    }
}

/// Refuses to write to a directory that is a backup: it would no longer be one.
pub(crate) fn refuse_writing(disk: &dyn Disk, dir: &Path) -> Result<(), OpenError> {
    let path = path_in(dir);
    match disk.exists(&path).map_err(|error| Error::io("look for", &path, error))? {
        true => Err(OpenError::Backup { path: dir.to_owned() }),
        false => Ok(()),
    }
}

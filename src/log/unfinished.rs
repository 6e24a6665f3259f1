//! The mark on a store that is being made out of another one: nobody may take it for whole before it is.
//!
//! It is the first file in the directory and the last thing to change in it, so that whatever interrupts the making
//! leaves the mark behind.

use std::path::{Path, PathBuf};

use crate::error::{Error, OpenError};
use crate::vfs::{Disk, OpenMode};

/// What a store is being made by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Making {
    Salvage,
    Restore,
}

/// Where the mark lies. What is in it is for people.
fn path_in(dir: &Path, making: Making) -> PathBuf {
    dir.join(match making {
        Making::Salvage => "SALVAGE",
        Making::Restore => "RESTORE",
    })
}

/// Marks a directory as unfinished.
pub(crate) fn mark(disk: &dyn Disk, dir: &Path, making: Making, text: &str) -> Result<(), Error> {
    let path = path_in(dir, making);
    let file = disk.open(&path, OpenMode::CreateNew).map_err(|error| Error::io("create", &path, error))?;
    file.write_all_at(text.as_bytes(), 0)
        .and_then(|()| file.sync_data())
        .map_err(|error| Error::io("write", &path, error))?;
    disk.sync_dir(dir).map_err(|error| Error::io("sync", dir, error))
}

/// Takes the mark away: everything else in the directory is on stable storage.
pub(crate) fn unmark(disk: &dyn Disk, dir: &Path, making: Making) -> Result<(), Error> {
    let path = path_in(dir, making);
    disk.sync_dir(dir).map_err(|error| Error::io("sync", dir, error))?;
    disk.remove(&path).map_err(|error| Error::io("remove", &path, error))?;
    disk.sync_dir(dir).map_err(|error| Error::io("sync", dir, error))
}

/// Refuses a directory that is marked.
pub(crate) fn check(disk: &dyn Disk, dir: &Path) -> Result<(), OpenError> {
    for path in [Making::Salvage, Making::Restore].map(|making| path_in(dir, making)) {
        if disk.exists(&path).map_err(|error| Error::io("look for", &path, error))? {
            return Err(OpenError::Unfinished { path });
        }
    }
    Ok(())
}

/// Refuses a directory that holds something, for whoever makes a new store in it.
pub(crate) fn check_new(disk: &dyn Disk, dir: &Path) -> Result<(), OpenError> {
    let exists = disk.exists(dir).map_err(|error| Error::io("look for", dir, error))?;
    if !exists {
        return Ok(());
    }
    check(disk, dir)?;
    let names = disk.list(dir).map_err(|error| Error::io("list", dir, error))?;
    match names.is_empty() {
        true => Ok(()),
        false => {
            let what = format!("{} is not empty; a new store is made there, choose another", dir.display());
            Err(Error::invalid(what).into())
        }
    }
}

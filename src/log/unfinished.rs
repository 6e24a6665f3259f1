//! The mark on a store that is being made out of another one: nobody may take it for whole before it is.
//!
//! It is the first file in the directory and the last thing to change in it, so that whatever interrupts the making
//! leaves the mark behind.

use std::path::{Path, PathBuf};

use crate::error::{Error, OpenError};
use crate::vfs::{Disk, OpenMode};

/// Where the mark lies. What is in it is for people.
fn path_in(dir: &Path) -> PathBuf {
    dir.join("SALVAGE")
}

/// Marks a directory as unfinished.
pub(crate) fn mark(disk: &dyn Disk, dir: &Path, text: &str) -> Result<(), Error> {
    let path = path_in(dir);
    let file = disk.open(&path, OpenMode::CreateNew).map_err(|error| Error::io("create", &path, error))?;
    file.write_all_at(text.as_bytes(), 0)
        .and_then(|()| file.sync_data())
        .map_err(|error| Error::io("write", &path, error))?;
    disk.sync_dir(dir).map_err(|error| Error::io("sync", dir, error))
}

/// Takes the mark away: everything else in the directory is on stable storage.
pub(crate) fn unmark(disk: &dyn Disk, dir: &Path) -> Result<(), Error> {
    let path = path_in(dir);
    disk.sync_dir(dir).map_err(|error| Error::io("sync", dir, error))?;
    disk.remove(&path).map_err(|error| Error::io("remove", &path, error))?;
    disk.sync_dir(dir).map_err(|error| Error::io("sync", dir, error))
}

/// Refuses a directory that is marked.
pub(crate) fn check(disk: &dyn Disk, dir: &Path) -> Result<(), OpenError> {
    let path = path_in(dir);
    match disk.exists(&path).map_err(|error| Error::io("look for", &path, error))? {
        true => Err(OpenError::Unfinished { path }),
        false => Ok(()),
    }
}

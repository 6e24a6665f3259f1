//! A small file that is there as a whole, as it was or as it is to be.

use std::path::Path;

use super::{Disk, OpenMode};
use crate::error::Error;

/// Writes a file under the name `temporary`, syncs it, gives it its own name, and makes that durable.
pub(crate) fn write_whole(disk: &dyn Disk, path: &Path, temporary: &Path, bytes: &[u8]) -> Result<(), Error> {
    let file =
        disk.open(temporary, OpenMode::Create).map_err(|error| Error::io("create", temporary, error))?;
    file.set_len(0)
        .and_then(|()| file.write_all_at(bytes, 0))
        .and_then(|()| file.sync_data())
        .map_err(|error| Error::io("write", temporary, error).or_no_space())?;
    disk.rename(temporary, path).map_err(|error| Error::io("rename", temporary, error))?;
    let dir = path.parent().unwrap_or(Path::new("."));
    disk.sync_dir(dir).map_err(|error| Error::io("sync", dir, error))
}

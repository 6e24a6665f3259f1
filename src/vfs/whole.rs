//! A small file that is there as a whole, as it was or as it is to be.

use std::path::Path;

use super::{Disk, OpenMode};
use crate::error::Error;

/// Writes a file under the name `temporary`, syncs it, gives it its own name, and makes that durable. One at a time may write
/// under a name.
pub(crate) fn write_whole(disk: &dyn Disk, path: &Path, temporary: &Path, bytes: &[u8]) -> Result<(), Error> {
    // One that is there was left by a crash. It is not written over: a file is never shortened that somebody may have mapped.
    if disk.exists(temporary).map_err(|error| Error::io("look for", temporary, error))? {
        disk.remove(temporary).map_err(|error| Error::io("remove", temporary, error))?;
    }
    let file =
        disk.open(temporary, OpenMode::CreateNew).map_err(|error| Error::io("create", temporary, error))?;
    file.write_all_at(bytes, 0)
        .and_then(|()| file.sync_data())
        .map_err(|error| Error::io("write", temporary, error).or_no_space())?;
    disk.rename(temporary, path).map_err(|error| Error::io("rename", temporary, error))?;
    let dir = path.parent().unwrap_or(Path::new("."));
    disk.sync_dir(dir).map_err(|error| Error::io("sync", dir, error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vfs::RealDisk;

    #[test]
    fn what_is_mapped_stays_as_it_is_when_a_file_is_written_under_its_name() {
        let dir = tempfile::tempdir().expect("a directory");
        let (path, temporary) = (dir.path().join("file"), dir.path().join("file.tmp"));
        let before = RealDisk.open(&temporary, OpenMode::CreateNew).expect("created");
        before.write_all_at(&[1; 5000], 0).expect("written");
        let map = before.map(5000).expect("mapped");
        write_whole(&RealDisk, &path, &temporary, &[2; 5000]).expect("written");
        assert_eq!(map.slice(0, 5000).expect("inside"), [1; 5000][..]);
        let after = RealDisk.open(&path, OpenMode::Read).expect("there").map(5000).expect("mapped");
        assert_eq!(after.slice(0, 5000).expect("inside"), [2; 5000][..]);
    }
}

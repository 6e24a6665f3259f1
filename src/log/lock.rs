//! LOCK: held by the one process that may write, with its process id inside for the others to read.

use std::path::Path;
use std::sync::Arc;

use crate::error::{Error, OpenError};
use crate::vfs::{Disk, DiskFile, OpenMode};

/// The longest text in LOCK, in bytes.
const HOLDER_BYTES_MAX: usize = 64;

/// The right to write to a directory, until it is dropped.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: Arc<dyn DiskFile>,
}

impl Lock {
    pub(crate) fn take(disk: &dyn Disk, dir: &Path) -> Result<Lock, OpenError> {
        let path = dir.join("LOCK");
        let file = disk.open(&path, OpenMode::Create).map_err(|error| Error::io("open", &path, error))?;
        if !file.try_lock().map_err(|error| Error::io("lock", &path, error))? {
            return Err(OpenError::Locked { path: dir.to_owned(), holder: holder(file.as_ref()) });
        }
        let text =
            format!("{:<width$}\n", format!("process {}", std::process::id()), width = HOLDER_BYTES_MAX - 1);
        file.write_all_at(text.as_bytes(), 0).map_err(|error| Error::io("write", &path, error))?;
        Ok(Lock { _file: file })
    }
}

impl Lock {
    /// Keeps writers away without writing a byte; none where no process has ever written.
    pub(crate) fn keep_out_writers(disk: &dyn Disk, dir: &Path) -> Result<Option<Lock>, OpenError> {
        let path = dir.join("LOCK");
        let file = match disk.open(&path, OpenMode::Read) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::io("open", &path, error).into()),
        };
        match file.try_lock().map_err(|error| Error::io("lock", &path, error))? {
            true => Ok(Some(Lock { _file: file })),
            false => Err(OpenError::Locked { path: dir.to_owned(), holder: holder(file.as_ref()) }),
        }
    }
}

/// Who holds the lock, as far as the file tells. Some systems let nobody read a locked file.
fn holder(file: &dyn DiskFile) -> String {
    let mut text = [0; HOLDER_BYTES_MAX];
    let told = file.read_exact_at(&mut text, 0).is_ok();
    match std::str::from_utf8(&text).map(str::trim) {
        Ok(text) if told && !text.is_empty() && !text.contains(char::is_control) => text.to_owned(),
        _ => "another process".to_owned(),
    }
}

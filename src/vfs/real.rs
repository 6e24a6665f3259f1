//! The system's disk: `std::fs`, read-only maps, and on Linux `fallocate`.
//!
//! What to write, when to sync and in which order is decided above; each call here is one thing the system does.
//!
//! The one module with `unsafe`: a map is sound only as long as the file keeps the promise that `map` states.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use super::{Disk, DiskFile, Map, OpenMode};

/// The system's disk.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealDisk;

#[derive(Debug)]
struct RealFile(File);

impl Disk for RealDisk {
    fn create_dirs(&self, dir: &Path) -> io::Result<()> {
        if dir.as_os_str().is_empty() || dir.is_dir() {
            return Ok(());
        }
        let parent = dir.parent().unwrap_or(Path::new(""));
        self.create_dirs(parent)?;
        match fs::create_dir(dir) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && dir.is_dir() => {}
            made => made?,
        }
        // A directory whose name is not on disk takes every file in it along, however often those are synced.
        self.sync_dir(parent)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(dir)? {
            // A name that is not Unicode is none that the store gave.
            names.extend(entry?.file_name().into_string());
        }
        names.sort_unstable();
        Ok(names)
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        path.try_exists()
    }

    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        let file = OpenOptions::new()
            .read(true)
            .write(mode != OpenMode::Read)
            .create(mode == OpenMode::Create)
            .create_new(mode == OpenMode::CreateNew)
            .open(path)?;
        Ok(Arc::new(RealFile(file)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    #[cfg(target_os = "linux")]
    fn free_bytes(&self, dir: &Path) -> Option<u64> {
        let found = rustix::fs::statvfs(dir).ok()?;
        Some(found.f_bavail.saturating_mul(found.f_frsize))
    }

    #[cfg(unix)]
    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let dir = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
        File::open(dir)?.sync_all()
    }

    /// Windows has no call for it: NTFS writes names through its own journal.
    #[cfg(not(unix))]
    fn sync_dir(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn native_dir(&self, dir: &Path) -> Option<PathBuf> {
        Some(dir.to_owned())
    }
}

impl DiskFile for RealFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    #[cfg(unix)]
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        std::os::unix::fs::FileExt::read_exact_at(&self.0, buffer, offset)
    }

    #[cfg(windows)]
    fn read_exact_at(&self, mut buffer: &mut [u8], mut offset: u64) -> io::Result<()> {
        while !buffer.is_empty() {
            match std::os::windows::fs::FileExt::seek_read(&self.0, buffer, offset) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(read) => {
                    buffer = &mut buffer[read..];
                    offset += read as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    #[cfg(unix)]
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        std::os::unix::fs::FileExt::write_all_at(&self.0, bytes, offset)
    }

    #[cfg(windows)]
    fn write_all_at(&self, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
        while !bytes.is_empty() {
            match std::os::windows::fs::FileExt::seek_write(&self.0, bytes, offset) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => {
                    bytes = &bytes[written..];
                    offset += written as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        #[cfg(target_os = "linux")]
        if reserve(&self.0, len)? {
            return Ok(());
        }
        grow(&self.0, len)
    }

    #[cfg(target_os = "linux")]
    fn release(&self, offset: u64) -> io::Result<()> {
        punch(&self.0, offset)
    }

    #[cfg(target_os = "linux")]
    fn end_of_data(&self) -> io::Result<u64> {
        last_extent(&self.0).map_or_else(|| self.len(), Ok)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        // On macOS std asks for F_FULLFSYNC here: a plain fsync there stops at the drive's cache.
        self.0.sync_data()
    }

    fn try_lock(&self) -> io::Result<bool> {
        match self.0.try_lock() {
            Ok(()) => Ok(true),
            Err(TryLockError::WouldBlock) => Ok(false),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    #[expect(unsafe_code, reason = "a map is unsafe by nature; the promise it needs is stated beside it")]
    fn map(&self, len: u64) -> io::Result<Map> {
        if len == 0 {
            return Ok(Map::from_bytes(Bytes::new()));
        }
        // Touching a page beyond the end of the file kills the process.
        if self.len()? < len {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let len = usize::try_from(len).map_err(|_| io::ErrorKind::InvalidInput)?;
        let mut how = memmap2::MmapOptions::new();
        // SAFETY: the bytes behind a slice must neither vanish nor change while it lives. The `log` keeps that
        // promise: it never shortens a readable file and never rewrites bytes below the committed bound. Above the
        // bound a writer does write, and a reader beside it may look there for whether the log goes on: what it reads
        // are plain bytes in one order or another, which count for nothing unless a checksum over them is right.
        let map = unsafe { how.len(len).map(&self.0) }?;
        Ok(Map::from_bytes(Bytes::from_owner(map)))
    }
}

/// Reserves blocks up to `len`; false when the file system cannot.
#[cfg(target_os = "linux")]
fn reserve(file: &File, len: u64) -> io::Result<bool> {
    use rustix::fs::{FallocateFlags, fallocate};
    use rustix::io::{Errno, retry_on_intr};

    if len == 0 {
        return Ok(true);
    }
    match retry_on_intr(|| fallocate(file, FallocateFlags::empty(), 0, len)) {
        Ok(()) => Ok(true),
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Gives back the blocks from `offset` to the end, where the file system can.
#[cfg(target_os = "linux")]
fn punch(file: &File, offset: u64) -> io::Result<()> {
    use rustix::fs::{FallocateFlags, fallocate};
    use rustix::io::{Errno, retry_on_intr};

    let len = file.metadata()?.len();
    if offset >= len {
        return Ok(());
    }
    let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    match retry_on_intr(|| fallocate(file, flags, offset, len - offset)) {
        Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Where the last extent ends that was written, 0 if none was; none when the file system does not tell. Moves the position of
/// the handle, which nothing here reads or writes at.
#[cfg(target_os = "linux")]
fn last_extent(file: &File) -> Option<u64> {
    use rustix::fs::{SeekFrom, seek};
    use rustix::io::Errno;

    let mut end = 0;
    loop {
        match seek(file, SeekFrom::Data(end)) {
            Ok(begin) => end = seek(file, SeekFrom::Hole(begin)).ok()?,
            Err(Errno::NXIO) => return Some(end),
            Err(_) => return None,
        }
    }
}

/// Lengthens the file without reserving blocks; never shortens it.
fn grow(file: &File, len: u64) -> io::Result<()> {
    if file.metadata()?.len() < len {
        file.set_len(len)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scratch() -> (tempfile::TempDir, Arc<dyn DiskFile>) {
        let dir = tempfile::tempdir().unwrap();
        let file = RealDisk.open(&dir.path().join("file"), OpenMode::CreateNew).unwrap();
        (dir, file)
    }

    #[test]
    fn what_is_written_is_read_back_and_a_read_beyond_the_end_is_an_error() {
        let (_dir, file) = scratch();
        file.write_all_at(b"events", 10).unwrap();
        file.sync_data().unwrap();

        let mut buffer = [1; 16];
        file.read_exact_at(&mut buffer, 0).unwrap();
        assert_eq!(&buffer, b"\0\0\0\0\0\0\0\0\0\0events");
        let error = file.read_exact_at(&mut buffer, 1).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn open_modes_make_a_file_or_refuse_as_they_say() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let kind = |mode| RealDisk.open(&path, mode).map_err(|error| error.kind());

        assert_eq!(kind(OpenMode::Read).unwrap_err(), io::ErrorKind::NotFound);
        assert_eq!(kind(OpenMode::Write).unwrap_err(), io::ErrorKind::NotFound);
        kind(OpenMode::Create).unwrap().write_all_at(b"kept", 0).unwrap();
        assert_eq!(kind(OpenMode::CreateNew).unwrap_err(), io::ErrorKind::AlreadyExists);
        assert_eq!(kind(OpenMode::Create).unwrap().len().unwrap(), 4);
        assert!(kind(OpenMode::Read).unwrap().write_all_at(b"x", 0).is_err());
    }

    #[test]
    fn a_map_shows_what_is_written_later_and_outlives_its_file_handle() {
        let (_dir, file) = scratch();
        file.allocate(8192).unwrap();
        let map = file.map(8192).unwrap();
        file.write_all_at(b"late", 5000).unwrap();
        drop(file);

        assert_eq!(map.slice(5000, 4).unwrap(), &b"late"[..]);
        assert_eq!(map.len(), 8192);
    }

    #[test]
    fn a_map_longer_than_its_file_is_refused_and_an_empty_one_is_empty() {
        let (_dir, file) = scratch();
        assert!(file.map(0).unwrap().is_empty());
        assert_eq!(file.map(1).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn what_is_released_is_given_back_and_reads_as_zero_through_a_map() {
        let (_dir, file) = scratch();
        file.allocate(1 << 20).unwrap();
        file.write_all_at(&[7; 8192], 0).unwrap();
        file.sync_data().unwrap();
        let map = file.map(1 << 20).unwrap();
        file.release(4096).unwrap();
        assert_eq!(file.len().unwrap(), 1 << 20);
        assert_eq!(map.slice(0, 4096).unwrap()[..], [7; 4096]);
        #[cfg(target_os = "linux")]
        {
            use std::os::unix::fs::MetadataExt;
            assert!(fs::metadata(_dir.path().join("file")).unwrap().blocks() * 512 < 1 << 16);
            assert_eq!(map.slice(4096, 4096).unwrap()[..], [0; 4096]);
        }
    }

    #[test]
    fn nothing_was_written_behind_the_end_of_the_data() {
        let (_dir, file) = scratch();
        assert_eq!(file.end_of_data().unwrap(), 0);
        file.allocate(1 << 20).unwrap();
        assert!(file.end_of_data().unwrap() <= 1 << 20);
        for at in [4096, 300_000, 70_000] {
            file.write_all_at(b"x", at).unwrap();
            file.sync_data().unwrap();
            let map = file.map(1 << 20).unwrap();
            let end = file.end_of_data().unwrap();
            assert!(end > at, "{end}");
            let rest = map.slice(end, (1 << 20) - end as usize).unwrap();
            assert!(rest.iter().all(|byte| *byte == 0));
        }
        assert!(file.end_of_data().unwrap() > 300_000, "an earlier write does not hide a later one");
    }

    #[test]
    fn allocating_never_shortens_a_file_on_any_file_system() {
        let (dir, file) = scratch();
        file.allocate(0).unwrap();
        file.allocate(4096).unwrap();
        file.allocate(100).unwrap();
        assert_eq!(file.len().unwrap(), 4096);

        // What a file system without fallocate gets.
        let file = File::options().write(true).open(dir.path().join("file")).unwrap();
        grow(&file, 100).unwrap();
        assert_eq!(file.metadata().unwrap().len(), 4096);
        grow(&file, 5000).unwrap();
        assert_eq!(file.metadata().unwrap().len(), 5000);
    }

    #[test]
    fn a_lock_is_held_until_its_handle_is_closed() {
        let (dir, first) = scratch();
        let second = RealDisk.open(&dir.path().join("file"), OpenMode::Write).unwrap();
        assert!(first.try_lock().unwrap());
        assert!(!second.try_lock().unwrap());
        drop(first);
        assert!(second.try_lock().unwrap());
    }

    #[test]
    fn directories_are_made_listed_and_synced() {
        let dir = tempfile::tempdir().unwrap();
        let deep = dir.path().join("a/b");
        RealDisk.create_dirs(&deep).unwrap();
        RealDisk.create_dirs(&deep).unwrap();
        for name in ["2", "1"] {
            RealDisk.open(&deep.join(name), OpenMode::CreateNew).unwrap();
        }
        RealDisk.rename(&deep.join("2"), &deep.join("0")).unwrap();
        RealDisk.sync_dir(&deep).unwrap();
        assert_eq!(RealDisk.list(&deep).unwrap(), ["0", "1"]);

        RealDisk.remove(&deep.join("0")).unwrap();
        assert!(!RealDisk.exists(&deep.join("0")).unwrap());
        assert!(RealDisk.exists(&deep).unwrap());
        assert!(RealDisk.create_dirs(&deep.join("1")).is_err(), "a file is no directory");
    }
}

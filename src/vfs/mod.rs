//! The only door to files: the real disk behind it, or one that fails and forgets on purpose.
//!
//! Everything the store promises about crashes is a promise about the calls made here, so nothing else in the
//! crate names `std::fs`. A read hands out [`Bytes`]: slices of a map on the real disk, copies elsewhere.
//!
//! Invariant: nobody writes to a byte below a bound that readers were told of, and no file that readers may have
//! mapped is ever shortened.

mod fetch;
mod real;
mod whole;

use std::fmt::Debug;
use std::io;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

pub(crate) use fetch::fetch;
pub use real::RealDisk;
pub(crate) use whole::write_whole;

/// How a file is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenMode {
    /// For reading; it must exist.
    Read,
    /// For reading and writing; it must exist.
    Write,
    /// For reading and writing; made when it does not exist.
    Create,
    /// For reading and writing; it must not exist yet.
    CreateNew,
}

/// A disk: directories and files by path.
pub trait Disk: Debug + Send + Sync + 'static {
    /// Makes a directory and those above it.
    fn create_dirs(&self, dir: &Path) -> io::Result<()>;
    /// The names in a directory, sorted.
    fn list(&self, dir: &Path) -> io::Result<Vec<String>>;
    /// Whether there is a file or directory.
    fn exists(&self, path: &Path) -> io::Result<bool>;
    /// Opens a file.
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>>;
    /// Puts a file in the place of another, at once. Durable after `sync_dir`.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file. Durable after `sync_dir`.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Makes the names in a directory durable.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
    /// The bytes that are free for files in a directory; none when nobody can tell.
    fn free_bytes(&self, dir: &Path) -> Option<u64> {
        let _ = dir;
        None
    }
    /// Sixteen bytes that nobody can foretell, for ids, salts and keys. A simulated disk draws them from its seed.
    fn random(&self) -> [u8; 16] {
        *uuid::Uuid::new_v4().as_bytes()
    }
    /// The directory for `meta`'s own files, when this disk is the system's; none keeps `meta` in memory.
    fn native_dir(&self, dir: &Path) -> Option<std::path::PathBuf>;
}

/// An open file.
#[expect(clippy::len_without_is_empty, reason = "nobody asks whether a file is empty")]
pub trait DiskFile: Debug + Send + Sync + 'static {
    /// Its length in bytes.
    fn len(&self) -> io::Result<u64>;
    /// Reads exactly `buffer.len()` bytes; fewer are an `UnexpectedEof`.
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;
    /// Writes all of `bytes`.
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Makes the file at least `len` bytes long and reserves the space; new bytes read as zero.
    fn allocate(&self, len: u64) -> io::Result<()>;
    /// Gives back the space reserved from `offset` on, where the file system can. The length stays, and what is there reads
    /// as zero, also through a map.
    fn release(&self, offset: u64) -> io::Result<()> {
        let _ = offset;
        Ok(())
    }
    /// Where the last bytes end that were ever written, as far as the file system knows: what lies behind reads as zero. The
    /// length of the file when nobody can tell.
    fn end_of_data(&self) -> io::Result<u64> {
        self.len()
    }
    /// Makes the file `len` bytes long without reserving space. Only for files that nobody maps.
    fn set_len(&self, len: u64) -> io::Result<()>;
    /// Makes the written bytes durable, and the length if it changed.
    fn sync_data(&self) -> io::Result<()>;
    /// Takes the exclusive lock of the file until it is closed; false when another holder has it.
    fn try_lock(&self) -> io::Result<bool>;
    /// Makes the first `len` bytes readable without further calls. The file must be that long.
    fn map(&self, len: u64) -> io::Result<Map>;
}

/// The readable bytes of one file. A clone shares them.
#[derive(Debug, Clone)]
pub struct Map(Source);

#[derive(Debug, Clone)]
enum Source {
    Mapped(Bytes),
    File { file: Arc<dyn DiskFile>, len: u64 },
}

impl Map {
    /// Bytes that are in memory, or mapped into it.
    pub fn from_bytes(bytes: Bytes) -> Map {
        Map(Source::Mapped(bytes))
    }

    /// The first `len` bytes of a file, read when asked for.
    pub fn from_file(file: Arc<dyn DiskFile>, len: u64) -> Map {
        Map(Source::File { file, len })
    }

    /// How many bytes can be read.
    pub fn len(&self) -> u64 {
        match &self.0 {
            Source::Mapped(bytes) => bytes.len() as u64,
            Source::File { len, .. } => *len,
        }
    }

    /// Whether no byte can be read.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The `len` bytes at `offset`; an `UnexpectedEof` when they reach beyond the end.
    #[inline]
    pub fn slice(&self, offset: u64, len: usize) -> io::Result<Bytes> {
        let beyond = offset.checked_add(len as u64).is_none_or(|end| end > self.len());
        if beyond {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        match &self.0 {
            Source::Mapped(bytes) => Ok(bytes.slice(offset as usize..offset as usize + len)),
            Source::File { file, .. } => {
                let mut buffer = vec![0; len];
                file.read_exact_at(&mut buffer, offset)?;
                Ok(buffer.into())
            }
        }
    }

    /// A copy of the `N` bytes at `offset`; an `UnexpectedEof` when they reach beyond the end.
    #[inline]
    pub fn array<const N: usize>(&self, offset: u64) -> io::Result<[u8; N]> {
        match &self.0 {
            Source::Mapped(bytes) => {
                let start = usize::try_from(offset).unwrap_or(usize::MAX);
                let found = bytes.get(start..).and_then(<[u8]>::first_chunk);
                found.copied().ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
            }
            Source::File { file, .. } => {
                let mut buffer = [0; N];
                file.read_exact_at(&mut buffer, offset)?;
                Ok(buffer)
            }
        }
    }

    /// Says that the `len` bytes at `offset` are about to be read. Where the processor can, it fetches what is in memory
    /// meanwhile, so that reads of places far apart do not wait one after the other.
    #[inline]
    pub fn will_read(&self, offset: u64, len: usize) {
        if let Source::Mapped(bytes) = &self.0 {
            let start = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
            let end = start.saturating_add(len).min(bytes.len());
            bytes[start..end].chunks(fetch::LINE_BYTES).for_each(|line| fetch(&line[0]));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes as a map of the system has them: behind an owner that is dropped with the last slice.
    fn owned(len: usize) -> Map {
        Map::from_bytes(Bytes::from_owner((0..len).map(|n| n as u8).collect::<Vec<u8>>()))
    }

    #[test]
    fn a_slice_outlives_the_map_and_every_clone_of_it() {
        let map = owned(100);
        let slice = map.clone().slice(10, 5).expect("inside");
        let within = slice.slice(1..3);
        drop((map, slice));
        assert_eq!(within, &[11, 12][..]);
    }

    #[test]
    fn what_is_inside_is_readable_and_what_reaches_beyond_is_refused() {
        let map = owned(16);
        for offset in [0, 1, 15, 16, 17, u64::MAX - 1, u64::MAX] {
            let is_inside = |len: usize| offset.checked_add(len as u64).is_some_and(|end| end <= 16);
            for len in [0, 1, 15, 16, 17] {
                assert_eq!(map.slice(offset, len).is_ok(), is_inside(len), "{len} bytes at {offset}");
                map.will_read(offset, len);
            }
            let copy = map.array::<2>(offset);
            assert_eq!(copy.is_ok(), is_inside(2), "2 bytes at {offset}");
            assert!(!is_inside(2) || map.slice(offset, 2).expect("inside") == copy.expect("inside")[..]);
        }
        assert!(owned(0).is_empty() && !map.is_empty());
    }

    #[test]
    fn threads_share_a_map() {
        let map = owned(64);
        std::thread::scope(|scope| {
            for at in 0..4 {
                let map = map.clone();
                scope.spawn(move || assert_eq!(map.slice(at, 1).expect("inside")[0], at as u8));
            }
        });
    }
}

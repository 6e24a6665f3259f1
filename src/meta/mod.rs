//! Small state that makes things faster and can be lost without harm: snapshots, and tables of read models.
//!
//! A key finds a value, or nothing. Nothing is always a right answer: what is here was made from the log and can be
//! made again, so damage is forgotten and not reported. Values are sealed in an [`envelope`] by those who put them.
//!
//! Promise: no file in here keeps the store from opening or working, whatever has become of it.

pub(crate) mod envelope;
mod memory;
mod sled;

use std::fmt::Debug;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use self::memory::MemoryMeta;
use self::sled::SledMeta;
use crate::error::Error;

/// A map from keys to values, both bytes.
pub(crate) trait Meta: Debug + Send + Sync {
    /// The value of a key.
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, MetaError>;
    /// Makes all of these changes, or none. A key is in one of them at most.
    fn write(&self, changes: &[Change]) -> Result<(), MetaError>;
    /// The keys that begin with `prefix`, in order. Values may be large: each is asked for by itself, and a key that
    /// is listed may turn out to have none.
    fn scan_prefix(&self, prefix: &[u8]) -> Result<Vec<Vec<u8>>, MetaError> {
        self.scan_after(prefix, None, usize::MAX)
    }
    /// The same, only those after a key, and not more than `max`.
    fn scan_after(&self, prefix: &[u8], after: Option<&[u8]>, max: usize) -> Result<Vec<Vec<u8>>, MetaError>;
    /// Forgets every key that begins with `prefix`.
    fn delete_prefix(&self, prefix: &[u8]) -> Result<(), MetaError>;
    /// Lets go of the directory, so that another store can have it. It is opened again when it is asked again.
    fn close(&self);

    /// Sets the value of a key, all of it or nothing.
    fn put(&self, key: &[u8], value: &[u8]) -> Result<(), MetaError> {
        self.write(&[Change { key: key.to_owned(), value: Some(value.to_owned()) }])
    }

    /// Forgets a key.
    fn delete(&self, key: &[u8]) -> Result<(), MetaError> {
        self.write(&[Change { key: key.to_owned(), value: None }])
    }
}

/// What becomes of one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) key: Vec<u8>,
    /// None: it is forgotten.
    pub(crate) value: Option<Vec<u8>>,
}

/// The `meta` in a directory, opened when it is first asked; without a directory one in memory.
///
/// `cache_bytes` bounds the memory that a directory's cache takes.
pub(crate) fn open(dir: Option<PathBuf>, cache_bytes: u64) -> Arc<dyn Meta> {
    match dir {
        Some(dir) => Arc::new(SledMeta::new(dir, cache_bytes)),
        None => Arc::new(MemoryMeta::default()),
    }
}

/// The system refused. What was asked may work later; nothing but speed is lost.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {}: {source}", path.display())]
pub(crate) struct MetaError {
    action: &'static str,
    path: PathBuf,
    source: io::Error,
}

impl From<MetaError> for Error {
    fn from(error: MetaError) -> Error {
        Error::io(error.action, error.path, error.source)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What both implementations must do alike.
    fn behaves(meta: &dyn Meta) {
        let key = |stream: &str, version: u64| [stream.as_bytes(), b"\0", &version.to_be_bytes()].concat();
        for version in [300, 2, 1] {
            meta.put(&key("order-1", version), b"state").unwrap();
        }
        meta.put(&key("order-10", 1), b"other").unwrap();
        meta.put(&key("order-1", 2), b"newer").unwrap();

        let versions = [1, 2, 300].map(|version| key("order-1", version));
        assert_eq!(meta.scan_prefix(b"order-1\0").unwrap(), versions, "in the order of versions");
        assert_eq!(meta.get(&key("order-1", 2)).unwrap().as_deref(), Some(&b"newer"[..]));
        assert_eq!(meta.get(b"order-1\0").unwrap(), None, "a prefix is no key");
        let after = meta.scan_after(b"order-1\0", Some(&versions[0]), 1).unwrap();
        assert_eq!(after, versions[1..2]);
        assert_eq!(meta.scan_after(b"order-1\0", Some(&versions[2]), 9).unwrap(), [[0; 0]; 0]);
        assert_eq!(meta.scan_after(b"order-1\0", Some(b""), 9).unwrap(), versions);

        meta.delete(&key("order-1", 2)).unwrap();
        meta.delete(b"never there").unwrap();
        assert_eq!(meta.get(&key("order-1", 2)).unwrap(), None);

        let change = |version, value: Option<&[u8]>| Change {
            key: key("order-1", version),
            value: value.map(<[u8]>::to_vec),
        };
        meta.write(&[change(1, None), change(2, Some(b"")), change(7, Some(&[7; 100_000]))]).unwrap();
        assert_eq!(
            meta.scan_prefix(b"order-1\0").unwrap(),
            [2, 7, 300].map(|version| key("order-1", version))
        );
        assert_eq!(meta.get(&key("order-1", 2)).unwrap().as_deref(), Some(&b""[..]));
        assert_eq!(meta.get(&key("order-1", 7)).unwrap().map(|value| value.len()), Some(100_000));

        meta.delete_prefix(b"order-1\0").unwrap();
        assert_eq!(meta.scan_prefix(b"").unwrap(), [key("order-10", 1)]);
    }

    #[test]
    fn the_one_in_memory_and_the_one_on_disk_behave_alike() {
        let dir = tempfile::tempdir().unwrap();
        behaves(&*open(None, 0));
        behaves(&*open(Some(dir.path().join("meta")), 1 << 20));
    }

    #[test]
    fn a_directory_is_touched_only_when_something_is_asked() {
        let dir = tempfile::tempdir().unwrap();
        let meta = open(Some(dir.path().join("meta")), 1 << 20);
        assert!(!dir.path().join("meta").exists());
        meta.get(b"key").unwrap();
        assert!(dir.path().join("meta").exists());
    }
}

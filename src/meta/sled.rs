//! `meta` in a directory of sled's. The one module that knows sled.
//!
//! sled may refuse to open what a crash left, panic over it, or answer with bytes that nobody wrote. So it is opened
//! when first asked; what it answers is checked; and when it fails, its directory is moved aside as
//! `meta.damaged-<n>` and a new one begins empty. It flushes when told to and keeps no thread of its own for that: a
//! thread of sled's that died would let closing wait for ever.
//!
//! The directory belongs to sled and not to the simulated disk, so that moving it is the one call here to `std::fs`.

use std::io;
use std::ops::Bound;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::{Change, Meta, MetaError};

/// How much of a value sled gets in one piece: beyond about 128 KiB it makes files that it forgets to remove.
const CHUNK_BYTES: usize = 32 * 1024;

/// In front of a value's first chunk: 8 bytes, little-endian.
///
/// | offset | size | field | meaning                                           |
/// |-------:|-----:|-------|---------------------------------------------------|
/// |      0 |    4 | `len` | bytes of the value over all chunks                |
/// |      4 |    4 | `crc` | CRC-32/ISO-HDLC of the value                      |
///
/// A chunk's key is the value's key and the chunk's number: 4 bytes, big-endian, from 0.
const HEADER_BYTES: usize = 8;

const NUMBER_BYTES: usize = 4;

/// The most chunks of one value: its length has 32 bits.
const CHUNKS_MAX: u32 = (u32::MAX as usize / CHUNK_BYTES) as u32 + 1;

/// How many keys are removed in one batch.
const REMOVALS_MAX: usize = 1024;

/// How often, and after how long, opening is tried again when somebody else has the directory.
const LOCK_ATTEMPTS_MAX: u32 = 20;
const LOCK_WAIT: Duration = Duration::from_millis(10);

/// The `meta` in one directory.
#[derive(Debug)]
pub(crate) struct SledMeta {
    dir: PathBuf,
    cache_bytes: u64,
    state: Mutex<State>,
}

#[derive(Debug)]
enum State {
    Closed,
    Open(sled::Db),
    /// Not even an empty directory could be opened: sled does not work in this process any more.
    Broken(String),
}

/// Why sled did not do it.
enum Failure {
    /// The system refused: there is nothing wrong with the files.
    Refused(io::Error),
    /// The files are not what sled wrote, or sled says so.
    Damaged(String),
}

impl From<sled::Error> for Failure {
    fn from(error: sled::Error) -> Failure {
        match error {
            // What a file that is cut short, or lacks, or holds nonsense looks like to sled.
            sled::Error::Io(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::UnexpectedEof
                        | io::ErrorKind::NotFound
                        | io::ErrorKind::InvalidData
                        | io::ErrorKind::InvalidInput
                ) =>
            {
                Failure::Damaged(error.to_string())
            }
            sled::Error::Io(error) => Failure::Refused(error),
            other => Failure::Damaged(other.to_string()),
        }
    }
}

impl SledMeta {
    /// The `meta` in `dir`, which is opened, or made, when it is first asked.
    pub(crate) fn new(dir: PathBuf, cache_bytes: u64) -> SledMeta {
        SledMeta { dir, cache_bytes, state: Mutex::new(State::Closed) }
    }

    /// Does `work`, if need be once more in a new directory.
    fn with<T>(&self, work: impl Fn(&sled::Db) -> Result<T, sled::Error>) -> Result<T, MetaError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match self.attempt(&mut state, &work) {
            Ok(done) => return Ok(done),
            Err(Failure::Refused(error)) => return Err(self.error("use", error)),
            Err(Failure::Damaged(_)) => self.move_aside()?,
        }
        self.attempt(&mut state, &work).map_err(|failure| match failure {
            Failure::Refused(error) => self.error("use", error),
            Failure::Damaged(reason) => {
                *state = State::Broken(reason.clone());
                self.error("use", io::Error::other(reason))
            }
        })
    }

    /// Does `work`, and leaves `state` closed if it fails.
    fn attempt<T>(
        &self,
        state: &mut State,
        work: impl Fn(&sled::Db) -> Result<T, sled::Error>,
    ) -> Result<T, Failure> {
        let db = match std::mem::replace(state, State::Closed) {
            State::Open(db) => db,
            State::Closed => guarded(|| self.open_db())?,
            State::Broken(reason) => {
                *state = State::Broken(reason.clone());
                return Err(Failure::Refused(io::Error::other(reason)));
            }
        };
        match guarded(|| work(&db)) {
            Ok(done) => {
                *state = State::Open(db);
                Ok(done)
            }
            Err(Failure::Refused(error)) => {
                // It takes no more writes. Closing it gives back the lock that the next one needs.
                close(db);
                Err(Failure::Refused(error))
            }
            Err(damaged) => {
                // Closing flushes, and over damaged files that may wait for a thread that is gone.
                std::mem::forget(db);
                Err(damaged)
            }
        }
    }

    /// Opens sled, and waits a moment for one that was closed just before: a thread of its pool may hold it still.
    fn open_db(&self) -> Result<sled::Db, sled::Error> {
        let config = sled::Config::new().path(&self.dir).cache_capacity(self.cache_bytes);
        let config = config.flush_every_ms(None);
        for _ in 0..LOCK_ATTEMPTS_MAX {
            match config.open() {
                Err(sled::Error::Io(error)) if is_locked(&error) => std::thread::sleep(LOCK_WAIT),
                opened => return opened,
            }
        }
        config.open()
    }

    /// Gives the directory the first free name for damaged ones. It is kept for those who want to look.
    fn move_aside(&self) -> Result<(), MetaError> {
        let name = self.dir.file_name().unwrap_or_default().to_string_lossy();
        let mut numbers = 1..;
        let free = numbers.find_map(|number: u32| {
            let path = self.dir.with_file_name(format!("{name}.damaged-{number}"));
            (!path.exists()).then_some(path)
        });
        match free.map_or(Ok(()), |free| std::fs::rename(&self.dir, free)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(self.error("move aside", error)),
            _ => Ok(()),
        }
    }

    fn error(&self, action: &'static str, source: io::Error) -> MetaError {
        MetaError { action, path: self.dir.clone(), source }
    }
}

impl Drop for SledMeta {
    fn drop(&mut self) {
        self.close();
    }
}

impl Meta for SledMeta {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, MetaError> {
        self.with(|db| read_value(db, key))
    }

    fn write(&self, changes: &[Change]) -> Result<(), MetaError> {
        if changes.iter().flat_map(|change| &change.value).any(|value| u32::try_from(value.len()).is_err()) {
            return Err(self.error("put a value of 4 GiB in", io::ErrorKind::InvalidInput.into()));
        }
        self.with(|db| {
            let mut batch = sled::Batch::default();
            for change in changes {
                add_to(&mut batch, db, change)?;
            }
            db.apply_batch(batch)?;
            db.flush()?;
            for Change { key, value } in changes {
                // A tree that has lost a page takes what belongs there and forgets it, without a word.
                if value.is_some() && read_value(db, key)? != *value {
                    return Err(sled::Error::ReportableBug("a value was taken and is not there".to_owned()));
                }
            }
            Ok(())
        })
    }

    fn close(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(*state, State::Open(_))
            && let State::Open(db) = std::mem::replace(&mut *state, State::Closed)
        {
            close(db);
        }
    }

    fn scan_after(&self, prefix: &[u8], after: Option<&[u8]>, max: usize) -> Result<Vec<Vec<u8>>, MetaError> {
        let first = after.map_or_else(|| prefix.to_owned(), |key| chunk_key(key, 0)).max(prefix.to_owned());
        // No look goes beyond the prefix: the damage that it may find there concerns other keys.
        let end = behind_all(prefix);
        let bounds = (Bound::Included(&first), end.as_ref().map_or(Bound::Unbounded, Bound::Excluded));
        self.with(|db| {
            let mut keys = Vec::new();
            for chunk in db.range::<&Vec<u8>, _>(bounds).keys() {
                if keys.len() == max {
                    break;
                }
                let chunk = chunk?;
                // First chunks are in the order of their keys, also when one key begins with another.
                match key_and_number(&chunk) {
                    Some((key, [0, 0, 0, 0])) if key.starts_with(prefix) && Some(key) != after => {
                        keys.push(key.to_owned());
                    }
                    _ => {}
                }
            }
            Ok(keys)
        })
    }

    fn delete_prefix(&self, prefix: &[u8]) -> Result<(), MetaError> {
        self.with(|db| {
            let belongs =
                |chunk: &[u8]| key_and_number(chunk).is_some_and(|(key, _)| key.starts_with(prefix));
            loop {
                let mut batch = sled::Batch::default();
                let mut removals = 0;
                for chunk in db.scan_prefix(prefix).keys().take(REMOVALS_MAX) {
                    let chunk = chunk?;
                    if belongs(&chunk) {
                        batch.remove(chunk);
                        removals += 1;
                    }
                }
                if removals == 0 {
                    break;
                }
                db.apply_batch(batch)?;
            }
            db.flush()?;
            Ok(())
        })
    }
}

/// The value of a key, if all its chunks are there and are what was put.
fn read_value(db: &sled::Db, key: &[u8]) -> Result<Option<Vec<u8>>, sled::Error> {
    let Some(first) = db.get(chunk_key(key, 0))? else {
        return Ok(None);
    };
    let Some((header, bytes)) = first.split_first_chunk::<HEADER_BYTES>() else {
        return Ok(None);
    };
    let [l0, l1, l2, l3, crc @ ..] = *header;
    let (len, crc) = (u32::from_le_bytes([l0, l1, l2, l3]) as usize, u32::from_le_bytes(crc));

    let mut value = bytes.to_vec();
    for number in 1.. {
        if value.len() >= len {
            break;
        }
        match db.get(chunk_key(key, number))? {
            Some(chunk) => value.extend_from_slice(&chunk),
            None => return Ok(None),
        }
    }
    Ok((value.len() == len && crc32fast::hash(&value) == crc).then_some(value))
}

/// Puts the value, in chunks, in the place of all chunks of the key.
fn add_to(batch: &mut sled::Batch, db: &sled::Db, change: &Change) -> Result<(), sled::Error> {
    let key = &change.key;
    for chunk in db.range(chunk_key(key, 0)..=chunk_key(key, CHUNKS_MAX)).keys() {
        let chunk = chunk?;
        // Chunks of longer keys may lie between.
        if chunk.len() == key.len() + NUMBER_BYTES {
            batch.remove(chunk);
        }
    }
    let Some(value) = &change.value else { return Ok(()) };
    let mut framed = Vec::with_capacity(HEADER_BYTES + value.len());
    framed.extend((value.len() as u32).to_le_bytes());
    framed.extend(crc32fast::hash(value).to_le_bytes());
    framed.extend(value);
    for (number, chunk) in (0..).zip(framed.chunks(CHUNK_BYTES)) {
        batch.insert(chunk_key(key, number), chunk);
    }
    Ok(())
}

fn chunk_key(key: &[u8], number: u32) -> Vec<u8> {
    [key, &number.to_be_bytes()].concat()
}

/// The first key behind all that begin with `prefix`; none when there is no such key.
fn behind_all(prefix: &[u8]) -> Option<Vec<u8>> {
    let (last, before) = prefix.split_last()?;
    match last.checked_add(1) {
        Some(next) => Some([before, &[next]].concat()),
        None => behind_all(before),
    }
}

fn key_and_number(chunk: &[u8]) -> Option<(&[u8], &[u8; NUMBER_BYTES])> {
    chunk.split_last_chunk()
}

/// Closes sled, which flushes and may panic over it; there is nobody left to tell.
fn close(db: sled::Db) {
    let _ = catch_unwind(AssertUnwindSafe(|| drop(db)));
}

/// Whether somebody else has the directory. sled has no kind for it, only words.
fn is_locked(error: &io::Error) -> bool {
    error.to_string().starts_with("could not acquire lock")
}

/// Does `work` and turns a panic of sled's into an error.
fn guarded<T>(work: impl FnOnce() -> Result<T, sled::Error>) -> Result<T, Failure> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(done) => Ok(done?),
        Err(_) => Err(Failure::Damaged("sled panicked".to_owned())),
    }
}

#[cfg(test)]
mod tests;

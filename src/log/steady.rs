//! A file that can be read to its end whatever the disk refuses: what cannot be read is zeros, and noted.
//!
//! It reads by calls and never through a map: a mapped page that the disk cannot read kills the process. What is near
//! the last read is kept, so that a walk in small steps costs few calls.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::vfs::{DiskFile, Map};

/// What is read at once, in bytes.
const WINDOW_BYTES: u64 = 64 * 1024;

/// What a disk loses as one piece, in bytes.
const SECTOR_BYTES: usize = 512;

/// Bytes that the disk did not give.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unreadable {
    pub(crate) offset: u64,
    pub(crate) end: u64,
    /// What the system said.
    pub(crate) why: String,
}

#[derive(Debug)]
pub(super) struct SteadyFile {
    file: Arc<dyn DiskFile>,
    /// The offset that its first byte stands for: more than 0 in a copy of what stood further back in a file.
    base: u64,
    /// The offset that its end stands for.
    len: u64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    window_at: u64,
    window: Vec<u8>,
    unreadable: Vec<Unreadable>,
}

impl SteadyFile {
    pub(super) fn new(file: Arc<dyn DiskFile>, base: u64, len: u64) -> SteadyFile {
        SteadyFile { file, base, len, state: Mutex::default() }
    }

    /// What could not be read so far, in the order in which it was noticed.
    pub(super) fn unreadable(&self) -> Vec<Unreadable> {
        self.state().unreadable.clone()
    }

    /// Forgets what was read: a writer may have added to it.
    pub(super) fn refresh(&self) {
        self.state().window.clear();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // The lock guards a copy of bytes and a list: a panic leaves both as they were or one entry longer.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Fills `buffer`, sector by sector if it cannot be had as a whole.
    fn fill(&self, buffer: &mut [u8], offset: u64, unreadable: &mut Vec<Unreadable>) {
        if self.file.read_exact_at(buffer, offset - self.base).is_ok() {
            return;
        }
        let (mut at, mut rest) = (offset, buffer);
        while !rest.is_empty() {
            let to_boundary = SECTOR_BYTES - (at % SECTOR_BYTES as u64) as usize;
            let (sector, after) = rest.split_at_mut(to_boundary.min(rest.len()));
            let end = at + sector.len() as u64;
            if let Err(error) = self.file.read_exact_at(sector, at - self.base) {
                sector.fill(0);
                note(unreadable, Unreadable { offset: at, end, why: error.to_string() });
            }
            (at, rest) = (end, after);
        }
    }
}

/// Adds to a list what is not in it, joined with what it touches.
fn note(unreadable: &mut Vec<Unreadable>, found: Unreadable) {
    if unreadable.iter().any(|known| known.offset <= found.offset && found.end <= known.end) {
        return;
    }
    match unreadable.iter_mut().find(|known| known.offset <= found.offset && found.offset <= known.end) {
        Some(known) => known.end = found.end,
        None => unreadable.push(found),
    }
}

impl DiskFile for SteadyFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.len)
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let end =
            offset.checked_add(buffer.len() as u64).filter(|end| *end <= self.len && offset >= self.base);
        let Some(end) = end else { return Err(io::ErrorKind::UnexpectedEof.into()) };
        let mut state = self.state();
        let State { window_at, window, unreadable } = &mut *state;
        if buffer.len() as u64 >= WINDOW_BYTES {
            self.fill(buffer, offset, unreadable);
            return Ok(());
        }
        if offset < *window_at || end > *window_at + window.len() as u64 {
            *window_at = (offset - offset % SECTOR_BYTES as u64).max(self.base);
            let len = (WINDOW_BYTES + SECTOR_BYTES as u64).min(self.len - *window_at);
            window.resize(len as usize, 0);
            self.fill(window, *window_at, unreadable);
        }
        let start = (offset - *window_at) as usize;
        buffer.copy_from_slice(&window[start..start + buffer.len()]);
        Ok(())
    }

    fn write_all_at(&self, _: &[u8], _: u64) -> io::Result<()> {
        Err(io::ErrorKind::PermissionDenied.into())
    }

    fn allocate(&self, _: u64) -> io::Result<()> {
        Err(io::ErrorKind::PermissionDenied.into())
    }

    fn set_len(&self, _: u64) -> io::Result<()> {
        Err(io::ErrorKind::PermissionDenied.into())
    }

    fn sync_data(&self) -> io::Result<()> {
        Err(io::ErrorKind::PermissionDenied.into())
    }

    fn try_lock(&self) -> io::Result<bool> {
        self.file.try_lock()
    }

    fn map(&self, _: u64) -> io::Result<Map> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

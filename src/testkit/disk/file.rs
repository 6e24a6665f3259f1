//! A handle on a file of the simulated disk: the calls that read, write and sync it.
//!
//! A call counts first, then fails if it is set to, and only then does what it is for.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use super::fault::Fault;
use super::image::SECTOR_BYTES;
use super::names::FileId;
use super::{State, lock};
use crate::testkit::Rng;
use crate::vfs::{DiskFile, Map};

/// A handle on a file. It stays good when the file is renamed or removed.
#[derive(Debug)]
pub(super) struct SimFile {
    state: Arc<Mutex<State>>,
    file: FileId,
    handle: u64,
    writable: bool,
}

impl SimFile {
    pub(super) fn new(state: &Arc<Mutex<State>>, file: FileId, handle: u64, writable: bool) -> SimFile {
        SimFile { state: Arc::clone(state), file, handle, writable }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    fn lock_to_write(&self) -> io::Result<MutexGuard<'_, State>> {
        match self.writable {
            true => Ok(self.lock()),
            false => Err(io::ErrorKind::PermissionDenied.into()),
        }
    }
}

impl DiskFile for SimFile {
    fn len(&self) -> io::Result<u64> {
        let mut state = self.lock();
        state.look()?;
        Ok(state.seen(self.file).len())
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let (image, fault, got) = {
            let mut state = self.lock();
            let fault = state.reads.next();
            let got = match fault {
                None => buffer.len(),
                Some(Fault::ShortRead) => short(&mut state.rng, offset, buffer.len()),
                Some(_) => 0,
            };
            (state.seen(self.file), fault, got)
        };
        // What a call that fails has already put into the buffer is nobody's data.
        match (image.read(&mut buffer[..got], offset), fault) {
            (true, None) => Ok(()),
            (false, None) => Err(io::ErrorKind::UnexpectedEof.into()),
            (_, Some(fault)) => Err(fault.error()),
        }
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut state = self.lock_to_write()?;
        let fault = state.next_fault();
        if fault.is_none() {
            state.check_room(self.file, offset + bytes.len() as u64)?;
        }
        let written = match fault {
            None => bytes,
            Some(Fault::ShortWrite) => &bytes[..short(&mut state.rng, offset, bytes.len())],
            Some(_) => &[],
        };
        if !written.is_empty() {
            state.image(self.file).write(written, offset);
        }
        fault.map_or(Ok(()), |fault| Err(fault.error()))
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        let mut state = self.lock_to_write()?;
        state.operate()?;
        state.check_room(self.file, len)?;
        if state.seen(self.file).len() < len {
            state.image(self.file).set_len(len);
        }
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = self.lock_to_write()?;
        state.operate()?;
        state.check_room(self.file, len)?;
        let cut = state.maps.values().any(|(file, mapped)| *file == self.file && *mapped > len);
        assert!(!cut, "a mapped file is shortened: on the system's disk its readers would be killed");
        state.image(self.file).set_len(len);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.lock();
        let fault = state.next_fault();
        match fault {
            None => state.image(self.file).sync(),
            Some(Fault::SyncLies) => state.image(self.file).forget_unsynced(),
            Some(_) => {}
        }
        fault.map_or(Ok(()), |fault| Err(fault.error()))
    }

    fn try_lock(&self) -> io::Result<bool> {
        Ok(*self.lock().locks.entry(self.file).or_insert(self.handle) == self.handle)
    }

    fn map(&self, len: u64) -> io::Result<Map> {
        let mut state = self.lock();
        state.look()?;
        if state.seen(self.file).len() < len {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let handle = state.next_id();
        state.maps.insert(handle, (self.file, len));
        let file = SimFile::new(&self.state, self.file, handle, false);
        Ok(Map::from_file(Arc::new(file), len))
    }
}

impl Drop for SimFile {
    fn drop(&mut self) {
        let mut state = self.lock();
        state.locks.retain(|_, holder| *holder != self.handle);
        state.maps.remove(&self.handle);
    }
}

/// How many bytes of a write or a read get through when it stops where a sector ends.
fn short(rng: &mut Rng, offset: u64, len: usize) -> usize {
    let sectors = (offset + len as u64).div_ceil(SECTOR_BYTES) - offset / SECTOR_BYTES;
    let end = (offset / SECTOR_BYTES + rng.below(sectors)) * SECTOR_BYTES;
    end.saturating_sub(offset) as usize
}

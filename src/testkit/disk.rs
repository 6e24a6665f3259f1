//! A disk in memory that can be crashed, and whose operations can be made to fail.
//!
//! Bytes reach stable storage by `sync_data`, names by `sync_dir`, and nothing does so by itself until a crash, when
//! anything may have. Which of it has is drawn from a seed. Reading and writing are what the system's disk does; what
//! a store makes of a crash is the store's business.
//!
//! Invariant: what was synced, and not written since, is the same after every crash.

mod damage;
mod fault;
mod file;
mod image;
mod names;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use self::fault::Operations;
use self::file::SimFile;
use self::image::{Image, Keep};
use self::names::{FileId, Names, dir_of};
use super::Rng;
use crate::vfs::{Disk, DiskFile, OpenMode};

pub use self::fault::Fault;
pub use self::image::SECTOR_BYTES;

/// A disk in memory. A clone is the same disk; a crash makes another one and leaves this as it is, so that one moment
/// can be crashed in many ways.
///
/// Operations that change the disk are counted: making directories and files, `rename`, `remove`, `write_all_at`,
/// `allocate`, `set_len`, `sync_data` and `sync_dir`. Calls that only look are counted as reads, those through a map
/// included. Each of either can be made to fail. A directory is durable as soon as it is made, because the system's disk
/// syncs the one above it. Shortening a file while it is mapped is a panic: on the system's disk it would kill whoever
/// reads the map.
#[derive(Debug, Clone)]
pub struct SimDisk {
    state: Arc<Mutex<State>>,
}

struct State {
    dirs: BTreeSet<PathBuf>,
    names: Names,
    /// Shared with the moments that were recorded, until one side changes.
    files: BTreeMap<FileId, Arc<Image>>,
    /// Which handle holds the lock of a file.
    locks: BTreeMap<FileId, u64>,
    /// Which handles are maps: of which file, and how much of it.
    maps: BTreeMap<u64, (FileId, u64)>,
    ids_given: u64,
    operations: Operations,
    reads: Operations,
    /// The operation after which nothing more reaches the disk.
    last_operation: Option<u64>,
    capacity: Option<u64>,
    rng: Rng,
    /// The disk before each operation, while that is recorded.
    moments: Option<Vec<SimDisk>>,
}

impl SimDisk {
    /// An empty disk. The seed decides what is left to chance when an operation fails, and what the disk takes for
    /// random bytes: a store that is made on two disks of one seed is the same one.
    pub fn new(seed: u64) -> SimDisk {
        SimDisk::from(State {
            dirs: BTreeSet::from(["".into(), "/".into()]),
            names: Names::default(),
            files: BTreeMap::new(),
            locks: BTreeMap::new(),
            maps: BTreeMap::new(),
            ids_given: 0,
            operations: Operations::default(),
            reads: Operations::default(),
            last_operation: None,
            capacity: None,
            rng: Rng::new(seed),
            moments: None,
        })
    }

    /// The disk after a power cut.
    ///
    /// Of what was not synced, each sector holds its durable bytes or any of those written since, each file has its
    /// durable length or any it has had since, and each change of a name happened or did not. Some seeds lose nearly
    /// everything and some nearly nothing.
    pub fn crash(&self, seed: u64) -> SimDisk {
        let mut rng = Rng::new(seed);
        let quarters = rng.below(5);
        let crashed = self.lock().after_crash(&mut Keep::Some { rng: &mut rng, quarters }, seed);
        SimDisk::from(crashed)
    }

    /// The disk after a power cut that took everything that was not synced.
    pub fn crash_keeping_nothing(&self) -> SimDisk {
        SimDisk::from(self.lock().after_crash(&mut Keep::Nothing, 0))
    }

    /// The disk after the process was killed: the system still has all that was written, and what was not synced is
    /// still to be.
    pub fn crash_keeping_all(&self) -> SimDisk {
        SimDisk::from(self.lock().after_kill())
    }

    /// Begins to record the disk as it is before each operation. Each moment can then be crashed in many ways, so that
    /// one run of a workload is enough to crash at every operation of it.
    pub fn record(&self) {
        self.lock().moments = Some(Vec::new());
    }

    /// The recorded moments, and the disk as it is: one before each operation, and one after the last.
    pub fn moments(&self) -> Vec<SimDisk> {
        let mut state = self.lock();
        let mut moments = state.moments.take().unwrap_or_default();
        moments.push(SimDisk::from(state.after_kill()));
        moments
    }

    /// Lets the `n`-th operation from now fail; 1 is the next. Several can be set to fail.
    pub fn fail_operation(&self, n: u64, fault: Fault) {
        self.lock().operations.fail(n, fault);
    }

    /// How many operations there were, those that failed included.
    pub fn operations(&self) -> u64 {
        self.lock().operations.count()
    }

    /// Lets the `n`-th read from now fail; 1 is the next. Several can be set to fail.
    pub fn fail_read(&self, n: u64, fault: Fault) {
        self.lock().reads.fail(n, fault);
    }

    /// How many reads there were, those that failed included.
    pub fn reads(&self) -> u64 {
        self.lock().reads.count()
    }

    /// How many operations and reads have failed because they were set to, or because the disk was full.
    pub fn failures(&self) -> u64 {
        let state = self.lock();
        state.operations.failures() + state.reads.failures()
    }

    /// Takes back every failure that is still to come.
    pub fn fail_no_more(&self) {
        let mut state = self.lock();
        state.operations.fail_no_more();
        state.reads.fail_no_more();
    }

    /// Lets the power go out once `n` more operations are done: every one after them fails and changes nothing. What
    /// they leave is what [`crash`](Self::crash) makes of the disk then.
    pub fn cut_power_after(&self, n: u64) {
        let mut state = self.lock();
        state.last_operation = Some(state.operations.count() + n);
    }

    /// Whether an operation has come after the power went out.
    pub fn is_without_power(&self) -> bool {
        let state = self.lock();
        state.last_operation.is_some_and(|last| state.operations.count() > last)
    }

    /// Lets the disk be full once its files are `bytes` long together. Default: never.
    pub fn set_capacity(&self, bytes: u64) {
        self.lock().capacity = Some(bytes);
    }

    /// The paths of all files, sorted.
    pub fn paths(&self) -> Vec<PathBuf> {
        self.lock().names.iter().map(|(path, _)| path.clone()).collect()
    }

    /// The bytes of a file, as a process sees them.
    pub fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let state = self.lock();
        let file = state.file_at(path)?;
        let image = state.seen(file);
        let mut bytes = vec![0; image.len() as usize];
        image.read(&mut bytes, 0);
        Ok(bytes)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

impl From<State> for SimDisk {
    fn from(state: State) -> SimDisk {
        SimDisk { state: Arc::new(Mutex::new(state)) }
    }
}

/// A test that panics on one thread must still be able to close its files on others.
fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for State {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the bytes: a failed test prints its disk.
        let paths: Vec<_> = self.names.iter().map(|(path, _)| path).collect();
        out.debug_struct("State")
            .field("paths", &paths)
            .field("operations", &self.operations)
            .finish_non_exhaustive()
    }
}

impl State {
    fn next_id(&mut self) -> u64 {
        self.ids_given += 1;
        self.ids_given
    }

    /// Counts an operation, which fails if it is set to.
    fn operate(&mut self) -> io::Result<()> {
        self.next_fault().map_or(Ok(()), |fault| Err(fault.error()))
    }

    /// Counts an operation, and tells how it fails if it does.
    fn next_fault(&mut self) -> Option<Fault> {
        if let Some(mut moments) = self.moments.take() {
            moments.push(SimDisk::from(self.after_kill()));
            self.moments = Some(moments);
        }
        let fault = self.operations.next();
        let is_beyond = self.last_operation.is_some_and(|last| self.operations.count() > last);
        if is_beyond { Some(Fault::Error(io::ErrorKind::NotConnected)) } else { fault }
    }

    /// Counts a read, which fails if it is set to.
    fn look(&mut self) -> io::Result<()> {
        self.reads.next().map_or(Ok(()), |fault| Err(fault.error()))
    }

    fn file_at(&self, path: &Path) -> io::Result<FileId> {
        self.names.get(path).ok_or(io::ErrorKind::NotFound.into())
    }

    fn image_at(&mut self, path: &Path) -> io::Result<&mut Image> {
        let file = self.file_at(path)?;
        Ok(self.image(file))
    }

    fn image(&mut self, file: FileId) -> &mut Image {
        Arc::make_mut(self.files.entry(file).or_default())
    }

    /// A file, to be looked at only.
    fn seen(&self, file: FileId) -> Arc<Image> {
        self.files.get(&file).cloned().unwrap_or_default()
    }

    fn check_dir(&self, dir: &Path) -> io::Result<()> {
        match self.dirs.contains(dir) {
            true => Ok(()),
            false => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// Refuses a length for which the disk has no room.
    fn check_room(&mut self, file: FileId, len: u64) -> io::Result<()> {
        let growth = len.saturating_sub(self.seen(file).len());
        let Some(capacity) = self.capacity.filter(|_| growth > 0) else {
            return Ok(());
        };
        let named = self.names.iter().filter_map(|(_, file)| self.files.get(&file));
        match named.map(|image| image.len()).sum::<u64>() + growth > capacity {
            true => Err(self.operations.refuse(Fault::NoSpace)),
            false => Ok(()),
        }
    }

    fn after_crash(&self, keep: &mut Keep<'_>, seed: u64) -> State {
        let names = self.names.after_crash(keep);
        let images = names.iter().filter_map(|(_, file)| Some((file, self.files.get(&file)?)));
        let files = images.map(|(file, image)| (file, Arc::new(image.after_crash(keep)))).collect();
        // The seed alone would give the same salts again after two crashes of one seed.
        let rng = Rng::new(seed ^ self.rng.clone().next_u64());
        State { names, files, rng, ..self.after_kill() }
    }

    fn after_kill(&self) -> State {
        State {
            dirs: self.dirs.clone(),
            names: self.names.clone(),
            files: self.files.clone(),
            locks: BTreeMap::new(),
            maps: BTreeMap::new(),
            ids_given: self.ids_given,
            operations: Operations::default(),
            reads: Operations::default(),
            last_operation: None,
            capacity: self.capacity,
            rng: self.rng.clone(),
            moments: None,
        }
    }
}

impl Disk for SimDisk {
    fn create_dirs(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.lock();
        if state.dirs.contains(dir) {
            return Ok(());
        }
        state.operate()?;
        if dir.ancestors().any(|dir| state.names.get(dir).is_some()) {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        state.dirs.extend(dir.ancestors().map(Path::to_owned));
        Ok(())
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let mut state = self.lock();
        state.look()?;
        state.check_dir(dir)?;
        let paths = state.names.iter().map(|(path, _)| path).chain(&state.dirs);
        let names = paths.filter(|path| dir_of(path) == dir).filter_map(|path| path.file_name()?.to_str());
        let sorted: BTreeSet<String> = names.map(str::to_owned).collect();
        Ok(sorted.into_iter().collect())
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        let mut state = self.lock();
        state.look()?;
        Ok(state.dirs.contains(path) || state.names.get(path).is_some())
    }

    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.lock();
        state.check_dir(dir_of(path))?;
        if state.dirs.contains(path) {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        let file = match (state.names.get(path), mode) {
            (Some(_), OpenMode::CreateNew) => return Err(io::ErrorKind::AlreadyExists.into()),
            (Some(file), _) => {
                state.look()?;
                file
            }
            (None, OpenMode::Read | OpenMode::Write) => return Err(io::ErrorKind::NotFound.into()),
            (None, OpenMode::Create | OpenMode::CreateNew) => {
                state.operate()?;
                let file = state.next_id();
                state.names.name(path, file);
                state.files.insert(file, Arc::default());
                file
            }
        };
        let handle = state.next_id();
        let writable = mode != OpenMode::Read;
        Ok(Arc::new(SimFile::new(&self.state, file, handle, writable)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.lock();
        state.operate()?;
        state.check_dir(dir_of(to))?;
        let file = state.file_at(from)?;
        state.names.rename(from, to, file);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.lock();
        state.operate()?;
        state.file_at(path)?;
        state.names.remove(path);
        Ok(())
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.lock();
        state.check_dir(dir)?;
        let fault = state.next_fault();
        match fault {
            None => state.names.sync(dir),
            Some(Fault::SyncLies) => state.names.forget_unsynced(dir),
            Some(_) => {}
        }
        fault.map_or(Ok(()), |fault| Err(fault.error()))
    }

    fn random(&self) -> [u8; 16] {
        let rng = &mut self.lock().rng;
        (u128::from(rng.next_u64()) << 64 | u128::from(rng.next_u64())).to_le_bytes()
    }

    fn native_dir(&self, _: &Path) -> Option<PathBuf> {
        None
    }
}

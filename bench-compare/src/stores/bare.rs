//! The limit: a bare framed log. A frame is a length, a checksum and bytes; space is reserved in files of 64 MiB; whoever finds
//! nobody writing writes for all who wait, with one `write` and one `fdatasync`. No index, no ids, no streams.

use std::collections::VecDeque;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use crate::event::{Event, TYPE};
use crate::store::{Appends, Contender, Outcome, Result, Setup, Store, look_at};

pub const CONTENDER: Contender = Contender {
    name: "bare log",
    about: "CRC, reserved space, one fdatasync a group; no index",
    open: |dir, setup| Ok(Box::new(Bare::open(dir, setup)?)),
};

/// Length and checksum.
pub const HEADER_BYTES: usize = 8;
/// What is read at once; more than the longest frame.
const READ_BYTES: usize = 256 << 10;

struct Bare(Arc<Log>);

/// The log itself, for whoever stands on it.
pub struct Log {
    dir: PathBuf,
    setup: Setup,
    state: Mutex<State>,
    /// What waited is on stable storage, or a thread that only writes has work.
    moved: Condvar,
    end: Mutex<End>,
}

/// Where the next bytes go.
struct End {
    file: Arc<File>,
    number: u64,
    at: u64,
}

/// Where a frame lies, with its header.
pub struct Place {
    pub file: Arc<File>,
    pub at: u64,
}

#[derive(Default)]
struct State {
    waiting: Vec<u8>,
    /// Counted in appends.
    queued: u64,
    durable: u64,
    writing: bool,
    /// Nothing is acknowledged any more.
    failed: bool,
    closed: bool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn create(dir: &Path, number: u64, bytes: u64) -> Result<File> {
    let file =
        File::options().read(true).write(true).create_new(true).open(dir.join(format!("{number:08}")))?;
    rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, bytes)?;
    file.sync_all()?;
    File::open(dir)?.sync_all()?;
    Ok(file)
}

impl Bare {
    fn open(dir: &Path, setup: Setup) -> Result<Bare> {
        Ok(Bare(Arc::new(Log::open(dir, setup)?)))
    }
}

/// Writes frames: each of a stream's name, an event's type, its metadata and its data.
fn encode(stream: &str, events: &[Event], out: &mut Vec<u8>) {
    for event in events {
        let start = out.len();
        encode_frame(&[stream.as_bytes(), TYPE.as_bytes(), &event.metadata, &event.data], out);
        seal(&mut out[start..]);
    }
}

/// Writes a frame of these parts, whose checksum is to come.
pub fn encode_frame(parts: &[&[u8]], out: &mut Vec<u8>) {
    let start = out.len();
    out.extend([0; HEADER_BYTES]);
    for part in parts {
        out.extend((part.len() as u16).to_le_bytes());
        out.extend_from_slice(part);
    }
    let len = (out.len() - start - HEADER_BYTES) as u32;
    out[start..start + 4].copy_from_slice(&len.to_le_bytes());
}

/// Gives a frame its checksum.
pub fn seal(frame: &mut [u8]) {
    let (header, parts) = frame.split_at_mut(HEADER_BYTES);
    header[4..].copy_from_slice(&crc32fast::hash(parts).to_le_bytes());
}

impl Log {
    pub fn open(dir: &Path, setup: Setup) -> Result<Log> {
        std::fs::create_dir_all(dir)?;
        let number = std::fs::read_dir(dir)?.count() as u64;
        let end = End { file: Arc::new(create(dir, number, setup.file_bytes)?), number, at: 0 };
        let (state, moved, end) = (Mutex::default(), Condvar::new(), Mutex::new(end));
        Ok(Log { dir: dir.to_owned(), setup, state, moved, end })
    }

    fn enqueue(&self, frame: &[u8]) -> (MutexGuard<'_, State>, u64) {
        let mut state = lock(&self.state);
        state.waiting.extend_from_slice(frame);
        state.queued += 1;
        let mine = state.queued;
        (state, mine)
    }

    /// Writes what waits, once.
    fn write<'a>(&'a self, mut state: MutexGuard<'_, State>) -> Result<MutexGuard<'a, State>> {
        state.writing = true;
        let (bytes, through) = (std::mem::take(&mut state.waiting), state.queued);
        drop(state);
        let written = self.write_bytes(&bytes);
        let mut state = lock(&self.state);
        state.writing = false;
        match written {
            Ok(_) => state.durable = through,
            Err(_) => state.failed = true,
        }
        self.moved.notify_all();
        written.map(|_| state)
    }

    /// Writes whole frames and syncs them; tells where the first of them lies.
    pub fn write_bytes(&self, bytes: &[u8]) -> Result<Place> {
        let mut end = lock(&self.end);
        if end.at + bytes.len() as u64 > self.setup.file_bytes {
            end.number += 1;
            end.file = Arc::new(create(&self.dir, end.number, self.setup.file_bytes)?);
            end.at = 0;
        }
        end.file.write_all_at(bytes, end.at)?;
        end.file.sync_data()?;
        let place = Place { file: end.file.clone(), at: end.at };
        end.at += bytes.len() as u64;
        Ok(place)
    }

    fn wait<'a>(&'a self, mut state: MutexGuard<'a, State>, mine: u64, may_write: bool) -> Result<()> {
        while state.durable < mine {
            if state.failed {
                return Err("a write failed before this one".into());
            }
            state = match state.writing || !may_write {
                true => self.moved.wait(state).unwrap_or_else(PoisonError::into_inner),
                false => self.write(state)?,
            };
        }
        Ok(())
    }

    /// Writes for others until it is closed.
    fn write_for_others(&self) -> Result<()> {
        let mut state = lock(&self.state);
        while !state.closed {
            state = match state.waiting.is_empty() {
                true => self.moved.wait(state).unwrap_or_else(PoisonError::into_inner),
                false => self.write(state)?,
            };
        }
        Ok(())
    }

    /// Calls `on_frame` with each frame's place and bytes, in order.
    pub fn frames(&self, mut on_frame: impl FnMut(&Place, &[u8])) -> Result<u64> {
        let mut names: Vec<_> =
            std::fs::read_dir(&self.dir)?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
        names.sort_unstable();
        let (mut count, mut bytes) = (0, vec![0; READ_BYTES]);
        for file in names {
            let mut place = Place { file: Arc::new(File::open(file)?), at: 0 };
            let len = place.file.metadata()?.len();
            while place.at < len {
                let here = READ_BYTES.min((len - place.at) as usize);
                place.file.read_exact_at(&mut bytes[..here], place.at)?;
                let before = count;
                self.frames_of(&bytes[..here], &mut place, &mut count, &mut on_frame)?;
                if count == before {
                    break;
                }
            }
        }
        Ok(count)
    }

    /// The same for some bytes, which begin at `place`; leaves it behind the last whole frame.
    fn frames_of(
        &self,
        bytes: &[u8],
        place: &mut Place,
        count: &mut u64,
        on_frame: &mut impl FnMut(&Place, &[u8]),
    ) -> Result<()> {
        let mut rest = bytes;
        while let Some((header, behind)) = rest.split_first_chunk::<HEADER_BYTES>() {
            let len = u32::from_le_bytes(header[..4].try_into()?) as usize;
            if len == 0 || len > behind.len() {
                break;
            }
            if self.setup.checked
                && crc32fast::hash(&behind[..len]) != u32::from_le_bytes(header[4..].try_into()?)
            {
                return Err("a checksum is wrong".into());
            }
            on_frame(place, &behind[..len]);
            *count += 1;
            place.at += (HEADER_BYTES + len) as u64;
            rest = &behind[len..];
        }
        Ok(())
    }
}

impl Store for Bare {
    fn append(&self, stream: &str, events: Vec<Event>) -> Result<()> {
        let mut frame = Vec::with_capacity(events.len() * 400);
        encode(stream, &events, &mut frame);
        let (state, mine) = self.0.enqueue(&frame);
        self.0.wait(state, mine, true)
    }

    /// It has no versions: each append is one success.
    fn append_at(&self, stream: &str, version: u64, event: Event) -> Option<Result<Outcome>> {
        Some(self.append(stream, vec![event]).map(|()| Ok(version + 1)))
    }

    fn append_in_flight(&self, appends: &mut Appends, depth: usize) -> Option<Result<()>> {
        lock(&self.0.state).closed = false;
        let log = self.0.clone();
        let writer = std::thread::spawn(move || log.write_for_others());
        let (mut under_way, mut frame) = (VecDeque::with_capacity(depth), Vec::new());
        let run = || {
            for (stream, event) in appends {
                if under_way.len() == depth
                    && let Some(oldest) = under_way.pop_front()
                {
                    self.0.wait(lock(&self.0.state), oldest, false)?;
                }
                frame.clear();
                encode(&stream, &[event], &mut frame);
                let (state, mine) = self.0.enqueue(&frame);
                if !state.writing {
                    self.0.moved.notify_all();
                }
                under_way.push_back(mine);
            }
            under_way.iter().try_for_each(|mine| self.0.wait(lock(&self.0.state), *mine, false))
        };
        let done = run();
        lock(&self.0.state).closed = true;
        self.0.moved.notify_all();
        let written = writer.join().unwrap_or_else(|_| Err("the writer panicked".into()));
        Some(written.and(done))
    }

    fn load(&self, events: &mut Appends) -> Result<&'static str> {
        let mut bytes = Vec::new();
        for (stream, event) in events {
            encode(&stream, &[event], &mut bytes);
            if bytes.len() >= 1000 * 360 {
                self.0.write_bytes(&bytes)?;
                bytes.clear();
            }
        }
        self.0.write_bytes(&bytes)?;
        Ok("1,000 events a write, each synced")
    }

    fn replay(&self) -> Result<u64> {
        let mut sum = 0_u64;
        let count = self.0.frames(|_, frame| sum = sum.wrapping_add(look_at(frame)))?;
        std::hint::black_box(sum);
        Ok(count)
    }

    fn read(&self, _: &str) -> Result<u64> {
        Err("the bare log has no streams".into())
    }

    fn close(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}

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
const HEADER_BYTES: usize = 8;
/// What is read at once; more than the longest frame.
const READ_BYTES: usize = 256 << 10;

struct Bare(Arc<Log>);

struct Log {
    dir: PathBuf,
    setup: Setup,
    state: Mutex<State>,
    /// What waited is on stable storage, or a thread that only writes has work.
    moved: Condvar,
    file: Mutex<(File, u64, u64)>,
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
        std::fs::create_dir_all(dir)?;
        let number = std::fs::read_dir(dir)?.count() as u64;
        let file = Mutex::new((create(dir, number, setup.file_bytes)?, number, 0));
        let log = Log { dir: dir.to_owned(), setup, state: Mutex::default(), moved: Condvar::new(), file };
        Ok(Bare(Arc::new(log)))
    }
}

fn encode(stream: &str, events: &[Event], out: &mut Vec<u8>) {
    for event in events {
        let start = out.len();
        out.extend([0; HEADER_BYTES]);
        for part in [stream.as_bytes(), TYPE.as_bytes(), &event.metadata, &event.data] {
            out.extend((part.len() as u16).to_le_bytes());
            out.extend(part);
        }
        let len = (out.len() - start - HEADER_BYTES) as u32;
        let crc = crc32fast::hash(&out[start + HEADER_BYTES..]);
        out[start..start + 4].copy_from_slice(&len.to_le_bytes());
        out[start + 4..start + 8].copy_from_slice(&crc.to_le_bytes());
    }
}

impl Log {
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
            Ok(()) => state.durable = through,
            Err(_) => state.failed = true,
        }
        self.moved.notify_all();
        written.map(|()| state)
    }

    fn write_bytes(&self, bytes: &[u8]) -> Result<()> {
        let mut at_end = lock(&self.file);
        let (file, number, end) = &mut *at_end;
        if *end + bytes.len() as u64 > self.setup.file_bytes {
            *number += 1;
            *file = create(&self.dir, *number, self.setup.file_bytes)?;
            *end = 0;
        }
        file.write_all_at(bytes, *end)?;
        file.sync_data()?;
        *end += bytes.len() as u64;
        Ok(())
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

    /// Calls `on_frame` with each frame's bytes, in order.
    fn frames(&self, mut on_frame: impl FnMut(&[u8])) -> Result<u64> {
        let mut names: Vec<_> =
            std::fs::read_dir(&self.dir)?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
        names.sort_unstable();
        let (mut count, mut bytes) = (0, vec![0; READ_BYTES]);
        for file in names {
            let file = File::open(file)?;
            let len = file.metadata()?.len();
            let mut at = 0;
            while at < len {
                let here = READ_BYTES.min((len - at) as usize);
                file.read_exact_at(&mut bytes[..here], at)?;
                let whole = self.frames_of(&bytes[..here], &mut count, &mut on_frame)?;
                if whole == 0 {
                    break;
                }
                at += whole as u64;
            }
        }
        Ok(count)
    }

    /// The same for some bytes; tells how many of them are whole frames.
    fn frames_of(&self, bytes: &[u8], count: &mut u64, on_frame: &mut impl FnMut(&[u8])) -> Result<usize> {
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
            on_frame(&behind[..len]);
            *count += 1;
            rest = &behind[len..];
        }
        Ok(bytes.len() - rest.len())
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
        let count = self.0.frames(|frame| sum = sum.wrapping_add(look_at(frame)))?;
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

//! Damage to sled's files: a directory with events, snapshots and a table, and what a damaged copy of it may answer.
//!
//! A snapshot that is asked for is one that was put for that stream at that version, or none; events are as they were;
//! the table is as it was or made again; a new snapshot can be put, and is there in the next life. Whether an answer comes at all, and how much memory it
//! takes, the caller watches: nothing in a process can stop a loop in itself.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::{guarded, stream, table, told};
use crate::testkit::{Numbered, Placed, Rng, placed};
use crate::vfs::{Disk, OpenMode, RealDisk};
use crate::{EventStore, ExpectedVersion, Options, SEGMENT_BYTES_MIN, StreamVersion};

const STREAMS: u64 = 8;
const EVENTS_OF_A_STREAM: u64 = 4;

/// Lengths of states: none, small ones, and such as take several chunks.
const LENGTHS: [usize; 6] = [0, 1, 700, 5_000, 40_000, 100_000];

/// Damages to one directory.
const DAMAGES_MAX: u64 = 3;

/// The longest range that is overwritten, and the longest file that is made up.
const RANGE_BYTES_MAX: u64 = 8192;

/// Files by their paths below the directory that they are in.
type Files = BTreeMap<PathBuf, Vec<u8>>;

/// A directory with events and snapshots, at several moments of its life.
#[derive(Debug)]
pub struct Snapshotted {
    /// All files of the store, once for each way in which it may have ended.
    ends: Vec<Files>,
    /// Files of `meta` from earlier, and from another store.
    strange: Vec<(PathBuf, Vec<u8>)>,
    events: Vec<Placed>,
    /// Every state that was ever put, by stream and version.
    put: BTreeMap<(u64, u64), Vec<Bytes>>,
}

/// What came of damage to `meta`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Kept {
    /// Streams whose newest snapshot was there.
    pub newest: u64,
    /// Streams with an older one.
    pub older: u64,
    /// Streams with none.
    pub none: u64,
    /// Directories that were moved aside.
    pub aside: u64,
    /// Tables that were there.
    pub tables: u64,
}

impl std::ops::AddAssign for Kept {
    fn add_assign(&mut self, other: Kept) {
        self.newest += other.newest;
        self.older += other.older;
        self.none += other.none;
        self.aside += other.aside;
        self.tables += other.tables;
    }
}

impl std::fmt::Display for Kept {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Kept { newest, older, none, aside, tables } = self;
        write!(out, "snapshots: {newest} newest, {older} older, {none} lost; {tables} tables kept; ")?;
        write!(out, "{aside} directories moved aside")
    }
}

fn options(dir: &Path) -> Options {
    Options::new(dir).segment_bytes(SEGMENT_BYTES_MIN).background(false)
}

fn name_of(number: u64) -> String {
    format!("s-{number}")
}

/// Bytes that tell by themselves where they belong.
fn state(stream: u64, version: u64, generation: u64) -> Bytes {
    let len = LENGTHS[(stream + version + generation) as usize % LENGTHS.len()];
    let mut state = format!("{stream} {version} {generation} ").into_bytes();
    state.extend((0..len).map(|at| (at % 251) as u8 ^ (stream * 16 + version) as u8));
    state.into()
}

impl Snapshotted {
    /// Makes the store in two directories below `dir`, which must be empty.
    ///
    /// # Errors
    ///
    /// What went wrong meanwhile; nothing should.
    pub fn new(dir: &Path) -> Result<Snapshotted, String> {
        let mut made =
            Snapshotted { ends: Vec::new(), strange: Vec::new(), events: Vec::new(), put: BTreeMap::new() };
        let other = dir.join("other");
        made.live(&other, &[9])?;
        made.strange = meta_files(&read_files(&other)?);
        made.ends.clear();
        made.put.clear();
        made.live(&dir.join("store"), &[0, 1, 2])?;
        // Their last moment is none of their own past.
        let (_, earlier) = made.ends.split_last().ok_or("the store was never closed")?;
        made.strange.extend(earlier.iter().flat_map(meta_files));
        Ok(made)
    }

    /// One life for each generation of snapshots. What a process that was killed would leave of one is an end, too.
    fn live(&mut self, dir: &Path, generations: &[u64]) -> Result<(), String> {
        for generation in generations {
            let store = EventStore::open(options(dir)).map_err(told)?;
            for number in 0..STREAMS {
                self.live_stream(&store, number, *generation)?;
            }
            table::bring_up_to_date(&store)?;
            self.events = placed(&store).map_err(told)?;
            let unclosed = read_files(dir)?;
            store.close().map_err(told)?;
            self.ends = vec![unclosed, read_files(dir)?];
        }
        Ok(())
    }

    fn live_stream(&mut self, store: &EventStore, number: u64, generation: u64) -> Result<(), String> {
        let name = stream(&name_of(number))?;
        if store.stream(&name).map_err(told)?.is_none() {
            let event = |n| Numbered { number: number * EVENTS_OF_A_STREAM + n, bytes: 100 }.to_event();
            store
                .append_to(&name, ExpectedVersion::None, (0..EVENTS_OF_A_STREAM).map(event))
                .map_err(told)?;
        }
        // Some versions get another state in the place of one that they had.
        for version in (1..=EVENTS_OF_A_STREAM).filter(|version| *version > generation % 3) {
            let state = state(number, version, generation);
            store.put_snapshot(&name, StreamVersion::new(version), state.clone()).map_err(told)?;
            self.put.entry((number, version)).or_default().push(state);
        }
        Ok(())
    }

    /// Damages a copy in `dir`, which must be empty, as `seed` draws it, and asks it. The files are not the same from one
    /// [`Snapshotted`] to the next, so a seed alone does not bring a finding back.
    ///
    /// # Errors
    ///
    /// What was done to it, and what it answered and may not.
    pub fn sample(&self, seed: u64, dir: &Path) -> Result<Kept, String> {
        let done = self.put_damaged(seed, dir)?;
        guarded(|| self.ask(dir)).map_err(|fault| format!("{done}: {fault}"))
    }

    /// Puts the damaged copy of a seed into `dir`, which must be empty, and says what was done to it.
    ///
    /// # Errors
    ///
    /// When the system refuses.
    pub fn put_damaged(&self, seed: u64, dir: &Path) -> Result<String, String> {
        let mut rng = Rng::new(seed);
        let files = &self.ends[rng.below(self.ends.len() as u64) as usize];
        write_files(dir, files).map_err(told)?;
        let mut done = Vec::new();
        for _ in 0..=rng.below(DAMAGES_MAX) {
            let database = if rng.below(3) == 0 { "tables" } else { "meta" };
            done.push(self.damage(&dir.join(database), &mut rng).map_err(told)?);
        }
        Ok(done.join(", "))
    }

    /// Asks a copy in `dir`, which must be empty, of a damaged directory.
    ///
    /// # Errors
    ///
    /// What it answered and may not.
    pub fn ask_copy(&self, of: &Path, dir: &Path) -> Result<Kept, String> {
        write_files(dir, &read_files(of)?).map_err(told)?;
        guarded(|| self.ask(dir))
    }

    /// Two lives: in the first a new snapshot is put, in the second it is there.
    fn ask(&self, dir: &Path) -> Result<Kept, String> {
        let mut kept = Kept::default();
        let store = EventStore::open(options(dir)).map_err(told)?;
        for number in 0..STREAMS {
            match self.newest(&store, number)? {
                Some(EVENTS_OF_A_STREAM) => kept.newest += 1,
                Some(_) => kept.older += 1,
                None => kept.none += 1,
            }
        }
        self.check_events(&store)?;
        kept.tables += u64::from(table::bring_up_to_date(&store)?);
        let (number, version) = (STREAMS - 1, EVENTS_OF_A_STREAM);
        let (name, new) = (stream(&name_of(number))?, state(number, version, 1000));
        store.put_snapshot(&name, StreamVersion::new(version), new.clone()).map_err(told)?;
        holds(&store, number, &new)?;
        store.close().map_err(told)?;

        let store = EventStore::open(options(dir)).map_err(told)?;
        holds(&store, number, &new).map_err(|fault| format!("after reopening, {fault}"))?;
        for number in 0..number {
            self.newest(&store, number)?;
        }
        self.check_events(&store)?;
        table::bring_up_to_date(&store)?;
        store.close().map_err(told)?;
        let names = RealDisk.list(dir).map_err(told)?;
        kept.aside = names.iter().filter(|name| name.contains(".damaged-")).count() as u64;
        Ok(kept)
    }

    /// The version of a stream's newest snapshot, which must be one that was put.
    fn newest(&self, store: &EventStore, number: u64) -> Result<Option<u64>, String> {
        let found = store.latest_snapshot(&stream(&name_of(number))?);
        let Some(found) = found.map_err(|error| format!("asking for stream {number}: {error}"))? else {
            return Ok(None);
        };
        let version = found.version.get();
        let was_put = self.put.get(&(number, version)).is_some_and(|put| put.contains(&found.state));
        match was_put {
            true => Ok(Some(version)),
            false => Err(format!("stream {number}, version {version} has a state that nobody put")),
        }
    }

    fn check_events(&self, store: &EventStore) -> Result<(), String> {
        match placed(store).map_err(told)? == self.events {
            true => Ok(()),
            false => Err("events are not what they were".to_owned()),
        }
    }

    /// Damages one file of a database, and says how.
    fn damage(&self, meta: &Path, rng: &mut Rng) -> std::io::Result<String> {
        let files = read_files(meta).map_err(std::io::Error::other)?;
        let any = |rng: &mut Rng| files.iter().nth(rng.below(files.len() as u64) as usize);
        let Some((path, bytes)) = any(rng) else { return Ok("nothing is left".to_owned()) };
        let (at, len) = range(bytes, rng);
        let mut changed = bytes.clone();
        let what = match rng.below(12) {
            0 | 1 => {
                changed.get_mut(at).into_iter().for_each(|byte| *byte ^= 1 << rng.below(8));
                format!("a bit of byte {at}")
            }
            2 => {
                let flips = 2 + rng.below(20);
                for _ in 0..flips {
                    let (at, _) = range(bytes, rng);
                    changed.get_mut(at).into_iter().for_each(|byte| *byte ^= 1 << rng.below(8));
                }
                format!("{flips} bits")
            }
            3 => {
                let fill = [0, 0xff, rng.next_u64() as u8][rng.below(3) as usize];
                changed[at..at + len].fill(fill);
                format!("{len} bytes of {fill} at {at}")
            }
            4 => {
                changed[at..at + len].fill_with(|| rng.next_u64() as u8);
                format!("{len} bytes of anything at {at}")
            }
            5 => {
                let (to, _) = range(bytes, rng);
                changed.copy_within(at..(at + len).min(bytes.len() - to + at), to);
                format!("{len} bytes at {at} also at {to}")
            }
            6 => {
                changed.truncate(at);
                format!("cut to {at} bytes")
            }
            7 => {
                changed.resize(bytes.len() + len, rng.next_u64() as u8);
                format!("longer by {len} bytes")
            }
            8 => {
                RealDisk.remove(&meta.join(path))?;
                return Ok(format!("{} removed", path.display()));
            }
            9 => {
                let Some((other, others)) = any(rng) else { return Ok(String::new()) };
                write_file(&meta.join(other), bytes)?;
                changed = others.clone();
                format!("swapped with {}", other.display())
            }
            10 => {
                let (strange, bytes) = &self.strange[rng.below(self.strange.len() as u64) as usize];
                write_file(&meta.join(strange), bytes)?;
                return Ok(format!("another {}", strange.display()));
            }
            _ => return garbage(meta, bytes, rng),
        };
        write_file(&meta.join(path), &changed)?;
        Ok(format!("{}: {what}", path.display()))
    }
}

/// The newest snapshot of a stream is `new`.
fn holds(store: &EventStore, number: u64, new: &Bytes) -> Result<(), String> {
    let found = store.latest_snapshot(&stream(&name_of(number))?).map_err(told)?;
    match found.is_some_and(|found| found.state == *new && found.version.get() == EVENTS_OF_A_STREAM) {
        true => Ok(()),
        false => Err("the snapshot that was put is not there".to_owned()),
    }
}

/// A place in bytes and how much to take there, mostly where bytes are in use or begin: an empty file has neither.
fn range(bytes: &[u8], rng: &mut Rng) -> (usize, usize) {
    let used = super::used(bytes).max(1).min(bytes.len() as u64);
    let within = [64.min(used), used, used, bytes.len() as u64][rng.below(4) as usize];
    let at = rng.below(within) as usize;
    let longest = [1, 16, 512, RANGE_BYTES_MAX][rng.below(4) as usize];
    let len = 1 + rng.below(longest) as usize;
    (at, len.min(bytes.len() - at))
}

/// Puts a file there that sled did not make, or one of its own under another name.
fn garbage(meta: &Path, of_another: &[u8], rng: &mut Rng) -> std::io::Result<String> {
    let number = rng.next_u64() >> (rng.below(64));
    let name = match rng.below(8) {
        0 => "snap.FFFFFFFFFFFFFFFF".to_owned(),
        1 => "snap.7FFFFFFFFFFFFFFF".to_owned(),
        2 => format!("snap.{number:016X}"),
        3 => format!("snap.{number:016X}.generating"),
        4 => "snap.of nothing".to_owned(),
        5 => format!("blobs/{number}"),
        6 => "blobs/no number".to_owned(),
        _ => "a file that nobody knows".to_owned(),
    };
    let bytes = match rng.below(3) {
        0 => Vec::new(),
        1 => (0..rng.below(RANGE_BYTES_MAX)).map(|_| rng.next_u64() as u8).collect(),
        _ => of_another.to_vec(),
    };
    write_file(&meta.join(&name), &bytes)?;
    Ok(format!("{} bytes in the new file {name}", bytes.len()))
}

/// The files of `meta` among those of a store, below `meta`.
fn meta_files(files: &Files) -> Vec<(PathBuf, Vec<u8>)> {
    let below =
        |(path, bytes): (&PathBuf, &Vec<u8>)| Some((path.strip_prefix("meta").ok()?.into(), bytes.clone()));
    files.iter().filter_map(below).collect()
}

/// Every file below a directory.
fn read_files(dir: &Path) -> Result<Files, String> {
    let (mut files, mut dirs) = (Files::new(), vec![PathBuf::new()]);
    while let Some(below) = dirs.pop() {
        for name in RealDisk.list(&dir.join(&below)).map_err(told)? {
            let path = below.join(name);
            if dir.join(&path).is_dir() {
                dirs.push(path);
                continue;
            }
            match read_file(&dir.join(&path)) {
                Ok(bytes) => drop(files.insert(path, bytes)),
                // sled has removed it meanwhile.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(told(error)),
            }
        }
    }
    Ok(files)
}

fn read_file(path: &Path) -> std::io::Result<Vec<u8>> {
    let file = RealDisk.open(path, OpenMode::Read)?;
    let mut bytes = vec![0; file.len()? as usize];
    file.read_exact_at(&mut bytes, 0)?;
    Ok(bytes)
}

fn write_files(dir: &Path, files: &Files) -> std::io::Result<()> {
    files.iter().try_for_each(|(path, bytes)| write_file(&dir.join(path), bytes))
}

/// Writes what is not zero: segments and sled's file are long and mostly empty.
fn write_file(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    RealDisk.create_dirs(path.parent().unwrap_or(Path::new("")))?;
    let file = RealDisk.open(path, OpenMode::Create)?;
    file.set_len(0)?;
    file.write_all_at(&bytes[..super::used(bytes) as usize], 0)?;
    file.set_len(bytes.len() as u64)
}

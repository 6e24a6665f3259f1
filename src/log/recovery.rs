//! Finding the log again: which segment is active, how far it is whole, and whether anything acknowledged is missing.
//!
//! P is the last position of the active segment's valid prefix; D the last position known to be durable, from any
//! valid frame or STATE. D <= P is a torn tail, which opens by itself; D > P is damage, which refuses to be written to.

mod find;
mod mend;

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub(super) use self::find::durable_beyond;
use self::find::{Above, Last, chain_back, dense, durable_between, find_last};
use self::mend::{create, write_again, zero_tail};
use super::lock::Lock;
use super::log_dir;
use super::names::{LogName, segment_numbers, segment_path};
use super::prewriting::Prewriting;
use super::scan::{Frame, Scanned, scan};
use super::segment::Segment;
use super::state::{self, StateFile};
use super::writer::{LogWriter, Roll};
use crate::error::{Error, OpenError};
use crate::format::segment::FRAMES_AT;
use crate::format::state::State;
use crate::format::{FrameFault, FrameKind, NUMBER_MAX, SegmentNumber};
use crate::model::{HistoryId, Position, Timestamp};
use crate::vfs::{Disk, OpenMode};

/// How far apart the epochs of two openings are at most: so far that two are never the same by chance, and that billions
/// of them stay below the largest number.
const EPOCH_STEP_MAX: u64 = 1 << 28;

/// A segment that was found, and what the one after it, or its own end, says of it.
#[derive(Debug, Clone)]
pub(crate) struct FoundSegment {
    pub(crate) segment: Arc<Segment>,
    /// The position of its first event.
    pub(crate) first: Position,
    /// Offset and header checksum of its SEAL; none in the active segment.
    pub(crate) sealed: Option<(u64, u32)>,
}

/// What a crash left behind the last whole append. None of it was acknowledged; it was set aside when the store opened.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TornTail {
    /// The segment file.
    pub path: PathBuf,
    /// Where in it.
    pub offset: u64,
    /// A copy of the bytes, for whoever wants to look at them; it can be deleted. None when the disk was full.
    pub kept_in: Option<PathBuf>,
}

/// Damage at the end of the log that took acknowledged events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Lost {
    pub(crate) path: PathBuf,
    pub(crate) offset: u64,
    pub(crate) what: String,
    pub(crate) readable: Position,
    pub(crate) durable: Position,
}

impl Lost {
    /// What a reader is told who would reach the lost events.
    pub(crate) fn to_error(&self) -> Error {
        let Lost { path, offset, what, readable, durable } = self;
        let what =
            format!("{what}; readable up to position {readable}, but position {durable} was acknowledged");
        Error::damaged(path, *offset, what)
    }
}

/// The log as it was found and mended.
#[derive(Debug)]
pub(crate) struct Recovered {
    pub(crate) segments: Vec<FoundSegment>,
    pub(crate) roll: Roll,
    pub(crate) history: HistoryId,
    /// The last position that readers may see.
    pub(crate) visible: Position,
    pub(crate) last_time: Timestamp,
    /// The position of the last event before the last segment that is a stream's settings.
    pub(crate) settings: Position,
    pub(crate) torn: Option<TornTail>,
    /// Acknowledged events that cannot be read. Only a log that is read can be opened with some.
    pub(crate) lost: Option<Lost>,
    /// None when the log is only read.
    pub(crate) writer: Option<LogWriter>,
}

/// How to find a log.
pub(crate) struct Search<'a> {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) dir: &'a Path,
    pub(crate) segment_bytes: u64,
    /// The writer is to write zeros ahead of the log.
    pub(crate) prewrites: bool,
    pub(crate) read_only: bool,
    pub(crate) create: bool,
}

/// Finds the log in a directory, makes one where there is none, and hands each whole frame of its last segment to
/// `visit`, which is told the segment at its OPEN frame.
pub(crate) fn recover(
    search: &Search<'_>,
    visit: &mut dyn FnMut(&Segment, &Frame) -> Result<(), Error>,
) -> Result<Recovered, OpenError> {
    let log_dir = log_dir(search.dir);
    let disk = search.disk.as_ref();
    let exists = disk.exists(&log_dir).map_err(|error| Error::io("look for", &log_dir, error))?;
    if !exists && (search.read_only || !search.create) {
        return Err(OpenError::NotFound { path: search.dir.to_owned() });
    }
    let lock = if search.read_only { None } else { Some(take_lock(search, &log_dir, exists)?) };
    if lock.is_some() {
        remove_temporary(disk, &log_dir)?;
    }
    // Before the log: what a writer beside us adds later must not count as missing.
    let state = state::read(disk, search.dir)?;
    let numbers = dense(&log_dir, segment_numbers(disk, &log_dir)?)?;
    let mode = if search.read_only { OpenMode::Read } else { OpenMode::Write };
    let Last { active, above } = find_last(disk, &log_dir, &numbers, mode)?;
    let Some(active) = active else {
        refuse_if_events_are_missing(&log_dir, &above, state.as_ref())?;
        return match lock {
            Some(lock) if search.create => create(search, log_dir, lock, visit),
            _ => Err(OpenError::NotFound { path: search.dir.to_owned() }),
        };
    };
    if !search.read_only {
        // Also because what counts as written, below, is asked of the file system.
        active.file()?.sync_data().map_err(|error| Error::io("sync", &active.path, error))?;
        disk.sync_dir(&log_dir).map_err(|error| Error::io("sync", &log_dir, error))?;
    }
    let active = Arc::new(active);
    let tail = read_tail(&active, above, state.as_ref(), !search.read_only, visit)?;
    let segments = chain_back(disk, &log_dir, &numbers, &active, &tail.scanned, mode)?;
    let roll = Roll {
        disk: search.disk.clone(),
        log_dir,
        store: active.header.store,
        term_key: active.header.term_key,
        segment_bytes: search.segment_bytes,
        prewrites: search.prewrites,
    };
    finish(search, segments, roll, tail, state, lock)
}

/// Without a segment in use there is nothing, or a store whose making was cut short; unless something names a position
/// that was durable.
fn refuse_if_events_are_missing(
    log_dir: &Path,
    above: &[Above],
    state: Option<&State>,
) -> Result<(), OpenError> {
    let first = above.last();
    let of_state = state.filter(|state| first.is_none_or(|first| first.segment.header.store == state.store));
    let of_frames = above.iter().map(|above| above.durable);
    let durable = of_frames.chain(of_state.map(|state| state.durable)).max().unwrap_or_default();
    if durable == Position::START {
        return Ok(());
    }
    let what = first.map_or_else(|| "the segment is missing".to_owned(), |first| no_open(&first.fault));
    let path = segment_path(log_dir, SegmentNumber::FIRST);
    Err(Error::damaged(path, FRAMES_AT, format!("{what}, but position {durable} was acknowledged")).into())
}

fn no_open(fault: &FrameFault) -> String {
    format!("no valid OPEN frame begins the segment: {fault}")
}

fn take_lock(search: &Search<'_>, log_dir: &Path, was_there: bool) -> Result<Lock, OpenError> {
    let disk = search.disk.as_ref();
    disk.create_dirs(log_dir).map_err(|error| Error::io("create", log_dir, error))?;
    let lock = Lock::take(disk, search.dir)?;
    // The directory may be new: its names must be as durable as what is written below them.
    let parent = search.dir.parent().filter(|parent| !parent.as_os_str().is_empty());
    for dir in [Some(search.dir), parent].into_iter().flatten() {
        match disk.sync_dir(dir) {
            // What is above a store that was there before may be somebody else's.
            Err(error) if was_there && Some(dir) == parent && is_not_ours(&error) => {}
            synced => synced.map_err(|error| Error::io("sync", dir, error))?,
        }
    }
    Ok(lock)
}

fn is_not_ours(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::PermissionDenied | io::ErrorKind::InvalidInput | io::ErrorKind::ReadOnlyFilesystem
    )
}

/// Removes what was being made when the store last stopped: a file gets its own name only when it is whole.
fn remove_temporary(disk: &dyn Disk, log_dir: &Path) -> Result<(), Error> {
    let names = disk.list(log_dir).map_err(|error| Error::io("list", log_dir, error))?;
    for name in names.iter().filter(|name| LogName::of(name) == LogName::Temporary) {
        let path = log_dir.join(name);
        disk.remove(&path).map_err(|error| Error::io("remove", &path, error))?;
    }
    Ok(())
}

/// The last segment, read to its end.
struct Tail {
    scanned: Scanned,
    /// The segments above it, which nothing acknowledged is in unless `durable` says so.
    above: Vec<Above>,
    /// The last position known to be durable.
    durable: Position,
    /// Where the bytes begin that may never have reached stable storage, although they can be read.
    unproven_from: u64,
    /// Where bytes that are no frame end; none when only zeros follow.
    garbage_end: Option<u64>,
}

fn read_tail(
    active: &Arc<Segment>,
    above: Vec<Above>,
    state: Option<&State>,
    is_synced: bool,
    visit: &mut dyn FnMut(&Segment, &Frame) -> Result<(), Error>,
) -> Result<Tail, OpenError> {
    let known = |open: HistoryId| {
        state
            .filter(|state| state.store == active.header.store && state.history == open)
            .map_or(Position::START, |state| state.durable)
    };
    let mut unproven: VecDeque<(u64, Position)> = VecDeque::new();
    let scanned = scan(active, |frame| {
        let last = match frame.header.kind {
            FrameKind::Data | FrameKind::Removed => frame.header.next_position().previous(),
            // Nothing names a control frame as durable but the frames behind it.
            FrameKind::Open | FrameKind::Seal | FrameKind::Close => frame.header.first,
        };
        unproven.push_back((frame.offset, last));
        while unproven.front().is_some_and(|(_, last)| *last <= frame.header.durable) {
            unproven.pop_front();
        }
        visit(active, frame)
    })?
    .ok_or_else(|| active.damaged(FRAMES_AT, "the OPEN frame is gone"))?;

    let garbage_end = match scanned.sealed {
        Some(_) => None,
        None if is_synced => active.end_of_bytes_written(scanned.end)?,
        None => active.end_of_bytes(scanned.end)?,
    };
    let here = match garbage_end {
        Some(end) => durable_between(active, scanned.end, end)?,
        None => Position::START,
    };
    let beyond = above.iter().map(|above| above.durable).fold(here, Position::max);
    let durable = known(scanned.open.history).max(scanned.durable).max(beyond);
    let unproven_from = unproven.front().map_or(scanned.end, |(offset, _)| *offset);
    Ok(Tail { scanned, above, durable, unproven_from, garbage_end })
}

/// Draws the conclusion from P and D, and mends what a crash left.
fn finish(
    search: &Search<'_>,
    segments: Vec<FoundSegment>,
    roll: Roll,
    tail: Tail,
    state: Option<State>,
    lock: Option<Lock>,
) -> Result<Recovered, OpenError> {
    let Tail { scanned, durable, .. } = &tail;
    let readable = scanned.next.previous();
    let active = segments.last().expect("the active segment was found").segment.clone();
    let (history, settings, last_time) = (scanned.open.history, scanned.open.settings, scanned.last_time);
    let lost = if *durable > readable { lost(&active, &tail, &roll.log_dir)? } else { None };
    let Some(lock) = lock else {
        let visible = readable.min(*durable);
        let (torn, writer) = (None, None);
        return Ok(Recovered { segments, roll, history, visible, last_time, settings, torn, lost, writer });
    };
    if let Some(Lost { path, offset, what, readable, durable }) = lost {
        return Err(OpenError::AcknowledgedLoss { path, offset, what, readable, durable });
    }
    let (scanned, garbage_end, unproven_from) = (tail.scanned, tail.garbage_end, tail.unproven_from);
    for above in tail.above {
        let path = &above.segment.path.clone();
        // Not every system removes a file that is open.
        drop(above);
        roll.disk.remove(path).map_err(|error| Error::io("remove", path, error))?;
    }
    let torn = match garbage_end {
        Some(end) => Some(zero_tail(roll.disk.as_ref(), &roll.log_dir, &active, scanned.end, end)?),
        None => None,
    };
    write_again(&active, unproven_from, scanned.end)?;
    let mut writer = LogWriter {
        history,
        store: roll.store,
        end: scanned.end,
        written: scanned.end,
        prewriting: Prewriting::new(roll.prewrites, scanned.end),
        chain: scanned.chain,
        epoch: next_epoch(scanned.epoch, &roll),
        next: scanned.next,
        durable: readable,
        last_time,
        so_far: scanned.so_far,
        sealed_at: scanned.sealed.map(|(offset, _)| offset),
        settings,
        closed: scanned.closed,
        staged: Vec::new(),
        state: StateFile::open(roll.disk.as_ref(), search.dir)?,
        state_sequence: state.map_or(0, |state| state.sequence),
        segment: active,
        _lock: lock,
    };
    writer.note_durable()?;
    Ok(Recovered {
        segments,
        roll,
        history,
        visible: readable,
        last_time,
        settings,
        torn,
        lost: None,
        writer: Some(writer),
    })
}

/// An epoch above those that were read, by a step that nobody can foretell.
///
/// A torn tail may hold whole frames of an epoch that nobody reads. Were it given again, a writer could make the same
/// append at the same time and place as the one before it, and such a frame would continue it, if the zeros written over
/// the tail were lost by a sync that failed.
fn next_epoch(last: u64, roll: &Roll) -> u64 {
    let step = 1 + u128::from_le_bytes(roll.disk.random()) as u64 % EPOCH_STEP_MAX;
    (last + step).min(NUMBER_MAX)
}

/// Where the log breaks off before the last position known to be durable. None when it goes on there after all: a
/// writer beside us has added what was not there when its place was looked at.
fn lost(active: &Segment, tail: &Tail, log_dir: &Path) -> Result<Option<Lost>, Error> {
    let Tail { scanned, above, durable, .. } = tail;
    let (path, offset, what) = match (scanned.sealed, above.last()) {
        (None, _) if segment_goes_on(active, scanned)? => return Ok(None),
        (None, _) => {
            let fault = scanned.fault.map_or_else(String::new, |fault| fault.to_string());
            (active.path.clone(), scanned.end, fault)
        }
        (Some(_), Some(above)) if above.has_begun()? => return Ok(None),
        (Some(_), Some(above)) => (above.segment.path.clone(), FRAMES_AT, no_open(&above.fault)),
        (Some(_), None) => {
            (segment_path(log_dir, active.number().next()), 0, "the segment is missing".to_owned())
        }
    };
    Ok(Some(Lost { path, offset, what, readable: scanned.next.previous(), durable: *durable }))
}

fn segment_goes_on(active: &Segment, scanned: &Scanned) -> Result<bool, Error> {
    Ok(active.frame(scanned.end)?.is_ok_and(|frame| scanned.clone().take(&frame).is_ok()))
}

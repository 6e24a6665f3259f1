//! Finding the log again: which segment is active, how far it is whole, and whether anything acknowledged is missing.
//!
//! P is the last position of the active segment's valid prefix; D the last position known to be durable, from any
//! valid frame or STATE. D <= P is a torn tail, which opens by itself; D > P is damage, which refuses to be written to.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::lock::Lock;
use super::log_dir;
use super::scan::{Frame, Scanned, scan};
use super::segment::{Segment, segment_number, segment_path};
use super::state::{self, StateFile};
use super::writer::{LogWriter, Roll};
use crate::error::{Error, OpenError};
use crate::format::control::{Seal, decode_seal};
use crate::format::frame::{HEADER_LEN, TRAILER_LEN};
use crate::format::segment::FRAMES_AT;
use crate::format::state::State;
use crate::format::{FrameFault, FrameKind, SegmentNumber, StoreId};
use crate::model::{HistoryId, Position, Timestamp};
use crate::vfs::{Disk, OpenMode};

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
    /// A copy of the bytes, for whoever wants to look at them; it can be deleted.
    pub kept_in: PathBuf,
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

/// The log as it was found and mended.
#[derive(Debug)]
pub(crate) struct Recovered {
    pub(crate) segments: Vec<FoundSegment>,
    pub(crate) roll: Roll,
    pub(crate) history: HistoryId,
    /// The last position that readers may see.
    pub(crate) visible: Position,
    pub(crate) last_time: Timestamp,
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
    let lock = if search.read_only { None } else { Some(take_lock(search, &log_dir)?) };
    if lock.is_some() {
        remove_temporary(disk, &log_dir)?;
    }
    let numbers = segment_numbers(disk, &log_dir)?;
    if numbers.is_empty() {
        return match lock {
            Some(lock) if search.create => create(search, log_dir, lock, visit),
            _ => Err(OpenError::NotFound { path: search.dir.to_owned() }),
        };
    }
    let mode = if search.read_only { OpenMode::Read } else { OpenMode::Write };
    let state = state::read(disk, search.dir)?;
    let (active, blanks) = find_active(disk, &log_dir, &numbers, mode, state.as_ref())?;
    if !search.read_only {
        for number in blanks {
            let path = segment_path(&log_dir, number);
            disk.remove(&path).map_err(|error| Error::io("remove", &path, error))?;
        }
        active.file.sync_data().map_err(|error| Error::io("sync", &active.path, error))?;
        disk.sync_dir(&log_dir).map_err(|error| Error::io("sync", &log_dir, error))?;
    }
    let active = Arc::new(active);
    let tail = read_tail(&active, state.as_ref(), visit)?;
    let segments = chain_back(disk, &log_dir, &numbers, &active, &tail.scanned, mode)?;
    let roll = Roll {
        disk: search.disk.clone(),
        log_dir,
        store: active.header.store,
        term_key: active.header.term_key,
        segment_bytes: search.segment_bytes,
    };
    finish(search, segments, roll, tail, state, lock)
}

fn take_lock(search: &Search<'_>, log_dir: &Path) -> Result<Lock, OpenError> {
    let disk = search.disk.as_ref();
    disk.create_dirs(log_dir).map_err(|error| Error::io("create", log_dir, error))?;
    let lock = Lock::take(disk, search.dir)?;
    // The directory may be new: its names must be as durable as what is written below them.
    let parent = search.dir.parent().filter(|parent| !parent.as_os_str().is_empty());
    for dir in [Some(search.dir), parent].into_iter().flatten() {
        disk.sync_dir(dir).map_err(|error| Error::io("sync", dir, error))?;
    }
    Ok(lock)
}

/// Removes what was being made when the store last stopped: a file gets its own name only when it is whole.
fn remove_temporary(disk: &dyn Disk, log_dir: &Path) -> Result<(), Error> {
    let names = disk.list(log_dir).map_err(|error| Error::io("list", log_dir, error))?;
    for name in names.iter().filter(|name| name.ends_with(".tmp")) {
        let path = log_dir.join(name);
        disk.remove(&path).map_err(|error| Error::io("remove", &path, error))?;
    }
    Ok(())
}

/// The numbers of the segment files, which must have no hole.
fn segment_numbers(disk: &dyn Disk, log_dir: &Path) -> Result<Vec<SegmentNumber>, OpenError> {
    let names = disk.list(log_dir).map_err(|error| Error::io("list", log_dir, error))?;
    let mut numbers: Vec<_> = names.iter().filter_map(|name| segment_number(name)).collect();
    numbers.sort();
    let expected = (1..).map(SegmentNumber);
    match numbers.iter().copied().zip(expected).find(|(found, wanted)| found != wanted) {
        Some((found, wanted)) => {
            let path = segment_path(log_dir, wanted);
            Err(Error::damaged(path, 0, format!("the segment is missing, but segment {found} is there"))
                .into())
        }
        None => Ok(numbers),
    }
}

/// The highest segment with a valid OPEN, and the numbers of those above it, which hold nothing.
fn find_active(
    disk: &dyn Disk,
    log_dir: &Path,
    numbers: &[SegmentNumber],
    mode: OpenMode,
    state: Option<&State>,
) -> Result<(Segment, Vec<SegmentNumber>), OpenError> {
    let mut blanks = Vec::new();
    for number in numbers.iter().rev() {
        let segment = Segment::open(disk, log_dir, *number, mode)?;
        match segment.frame(FRAMES_AT)? {
            Ok(frame) if frame.header.kind == FrameKind::Open => return Ok((segment, blanks)),
            found => {
                let fault = found.err().unwrap_or(FrameFault::Magic);
                refuse_if_it_held_something(&segment, fault, state)?;
                blanks.push(*number);
            }
        }
    }
    let path = segment_path(log_dir, SegmentNumber::FIRST);
    Err(Error::damaged(path, FRAMES_AT, "no segment begins with a valid OPEN frame").into())
}

/// A segment without a valid OPEN is a blank one or a torn first write, unless something says that it was in use.
fn refuse_if_it_held_something(
    segment: &Segment,
    fault: FrameFault,
    state: Option<&State>,
) -> Result<(), OpenError> {
    let in_use =
        state.is_some_and(|state| state.store == segment.header.store && state.segment >= segment.number());
    let later = search_beyond(segment, FRAMES_AT)?;
    if in_use || later.is_some_and(|frame| frame.first <= frame.durable) {
        return Err(segment.damaged(FRAMES_AT, format!("its OPEN frame is damaged: {fault}")).into());
    }
    Ok(())
}

/// What a valid frame header behind a damaged place tells.
struct Beyond {
    first: Position,
    durable: Position,
}

/// Looks for valid frame headers behind `from`: they tell which positions were durable when they were built. Of
/// several, the one that tells of the largest durable position.
fn search_beyond(segment: &Segment, from: u64) -> Result<Option<Beyond>, Error> {
    let Some(end) = segment.end_of_bytes(from)? else { return Ok(None) };
    let mut best: Option<Beyond> = None;
    let magic = *b"ANFR";
    for offset in (from..end).step_by(8) {
        let mut start = [0; 4];
        if segment.read(&mut start, offset).is_err() || start != magic {
            continue;
        }
        if let Ok((header, _)) = segment.frame_header(offset)?
            && best.as_ref().is_none_or(|best| header.durable > best.durable)
        {
            best = Some(Beyond { first: header.first, durable: header.durable });
        }
    }
    Ok(best)
}

/// The last segment, read to its end.
struct Tail {
    scanned: Scanned,
    /// The last position known to be durable.
    durable: Position,
    /// Where the bytes begin that may never have reached stable storage, although they can be read.
    unproven_from: u64,
    /// Where bytes that are no frame end; none when only zeros follow.
    garbage_end: Option<u64>,
}

fn read_tail(
    active: &Arc<Segment>,
    state: Option<&State>,
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
            FrameKind::Data => frame.header.next_position().previous(),
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

    let beyond = if scanned.sealed.is_some() { None } else { search_beyond(active, scanned.end)? };
    let durable = known(scanned.open.history)
        .max(scanned.durable)
        .max(beyond.map_or(Position::START, |beyond| beyond.durable));
    let garbage_end = match scanned.sealed {
        Some(_) => None,
        None => active.end_of_bytes(scanned.end)?,
    };
    let unproven_from = unproven.front().map_or(scanned.end, |(offset, _)| *offset);
    Ok(Tail { scanned, durable, unproven_from, garbage_end })
}

/// Opens the segments before the active one, from it backwards: each OPEN tells where the SEAL before it is.
fn chain_back(
    disk: &dyn Disk,
    log_dir: &Path,
    numbers: &[SegmentNumber],
    active: &Arc<Segment>,
    scanned: &Scanned,
    mode: OpenMode,
) -> Result<Vec<FoundSegment>, OpenError> {
    let mut found =
        vec![FoundSegment { segment: active.clone(), first: scanned.first, sealed: scanned.sealed }];
    let (mut open, mut chain) = (scanned.open, scanned.first_chain);
    for number in numbers.iter().rev().filter(|number| **number < active.number()) {
        let segment = Arc::new(Segment::open(disk, log_dir, *number, mode)?);
        if segment.header.store != active.header.store {
            return Err(segment.damaged(0, "the segment belongs to another store").into());
        }
        let sealed = read_seal(&segment, open.seal_at, chain, found[0].first)?;
        let first = match segment.frame(FRAMES_AT)? {
            Ok(frame) if frame.header.kind == FrameKind::Open => frame,
            other => {
                let what = other.err().unwrap_or(FrameFault::Magic).to_string();
                return Err(segment.damaged(FRAMES_AT, what).into());
            }
        };
        open =
            super::scan::open_of(&first).ok_or_else(|| segment.damaged(FRAMES_AT, "the OPEN has no body"))?;
        chain = first.header.chain;
        found.insert(0, FoundSegment { segment, first: first.header.first, sealed: Some(sealed) });
    }
    Ok(found)
}

/// Checks that a segment ends in the SEAL that the segment after it names.
fn read_seal(segment: &Segment, seal_at: u64, chain: u32, next: Position) -> Result<(u64, u32), OpenError> {
    let what = match segment.frame(seal_at)? {
        Ok(frame) if frame.header.kind == FrameKind::Seal => {
            if frame.header_crc == chain && frame.header.first == next && decode_seal(frame.body()).is_some()
            {
                return Ok((seal_at, chain));
            }
            "its SEAL does not match the segment after it".to_owned()
        }
        Ok(_) => "another frame stands where its SEAL should be".to_owned(),
        Err(fault) => format!("its SEAL is damaged: {fault}"),
    };
    Err(segment.damaged(seal_at, what).into())
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
    let (history, last_time) = (scanned.open.history, scanned.last_time);
    let lost = (*durable > readable).then(|| Lost {
        path: active.path.clone(),
        offset: scanned.end,
        what: scanned.fault.map_or_else(|| "the log ends here".to_owned(), |fault| fault.to_string()),
        readable,
        durable: *durable,
    });
    let Some(lock) = lock else {
        let visible = readable.min(*durable);
        return Ok(Recovered { segments, roll, history, visible, last_time, torn: None, lost, writer: None });
    };
    if let Some(Lost { path, offset, what, readable, durable }) = lost {
        return Err(OpenError::AcknowledgedLoss { path, offset, what, readable, durable });
    }
    let torn = match tail.garbage_end {
        Some(end) => Some(zero_tail(roll.disk.as_ref(), &roll.log_dir, &active, scanned.end, end)?),
        None => None,
    };
    write_again(&active, tail.unproven_from, scanned.end)?;
    let mut writer = LogWriter {
        history,
        store: roll.store,
        end: scanned.end,
        written: scanned.end,
        chain: scanned.chain,
        epoch: scanned.epoch + 1,
        next: scanned.next,
        durable: readable,
        last_time,
        so_far: scanned.so_far,
        sealed_at: scanned.sealed.map(|(offset, _)| offset),
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
        torn,
        lost: None,
        writer: Some(writer),
    })
}

/// Keeps a copy of a torn tail, then overwrites it with zeros, so that its bytes can never pass for frames.
fn zero_tail(
    disk: &dyn Disk,
    log_dir: &Path,
    segment: &Segment,
    from: u64,
    to: u64,
) -> Result<TornTail, Error> {
    let kept_in = log_dir.join(format!("tail-{:010}-{from}.bin", segment.number()));
    let bytes = segment.slice(from, (to - from) as usize)?;
    let copy = disk.open(&kept_in, OpenMode::Create).map_err(|error| Error::io("create", &kept_in, error))?;
    copy.write_all_at(&bytes, 0)
        .and_then(|()| copy.sync_data())
        .map_err(|error| Error::io("write", &kept_in, error))?;
    drop(bytes);
    let write = |bytes: &[u8], at| {
        segment.file.write_all_at(bytes, at).map_err(|error| Error::io("write", &segment.path, error))
    };
    let zeros = vec![0; 1 << 16];
    for at in (from..to).step_by(zeros.len()) {
        write(&zeros[..zeros.len().min((to - at) as usize)], at)?;
    }
    segment.file.sync_data().map_err(|error| Error::io("sync", &segment.path, error))?;
    disk.sync_dir(log_dir).map_err(|error| Error::io("sync", log_dir, error))?;
    Ok(TornTail { path: segment.path.clone(), offset: from, kept_in })
}

/// Writes the identical bytes again and syncs: a sync that failed before a crash may have left pages that read well
/// but count as clean, and would be lost with the power.
fn write_again(segment: &Segment, from: u64, to: u64) -> Result<(), Error> {
    if from == to {
        return Ok(());
    }
    let bytes = segment.slice(from, (to - from) as usize)?.to_vec();
    segment
        .file
        .write_all_at(&bytes, from)
        .and_then(|()| segment.file.sync_data())
        .map_err(|error| Error::io("write", &segment.path, error))
}

/// Makes the first segment of a new store.
fn create(
    search: &Search<'_>,
    log_dir: PathBuf,
    lock: Lock,
    visit: &mut dyn FnMut(&Segment, &Frame) -> Result<(), Error>,
) -> Result<Recovered, OpenError> {
    let store = StoreId(*uuid::Uuid::new_v4().as_bytes());
    let roll = Roll {
        disk: search.disk.clone(),
        log_dir,
        store,
        term_key: *uuid::Uuid::new_v4().as_bytes(),
        segment_bytes: search.segment_bytes,
    };
    let segment = roll.blank(SegmentNumber::FIRST, (HEADER_LEN + TRAILER_LEN) as u64)?.into_segment();
    let history = HistoryId::generate();
    let mut writer = LogWriter {
        history,
        store,
        segment: segment.clone(),
        end: FRAMES_AT,
        written: FRAMES_AT,
        chain: 0,
        epoch: 1,
        next: Position::new(1),
        durable: Position::START,
        last_time: Timestamp::from_nanos(i64::MIN),
        so_far: Seal::default(),
        sealed_at: None,
        closed: false,
        staged: Vec::new(),
        state: StateFile::open(search.disk.as_ref(), search.dir)?,
        state_sequence: 0,
        _lock: lock,
    };
    writer.open_in(segment.clone(), 0);
    writer.flush()?;
    writer.note_durable()?;
    search.disk.sync_dir(search.dir).map_err(|error| Error::io("sync", search.dir, error))?;
    let open = segment.frame(FRAMES_AT)?.map_err(|fault| segment.damaged(FRAMES_AT, fault))?;
    visit(&segment, &open)?;
    let segments = vec![FoundSegment { segment, first: Position::new(1), sealed: None }];
    let (visible, last_time) = (Position::START, writer.last_time());
    Ok(Recovered {
        segments,
        roll,
        history,
        visible,
        last_time,
        torn: None,
        lost: None,
        writer: Some(writer),
    })
}

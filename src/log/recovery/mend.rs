//! Mending what a crash left, and making the first segment where nothing is.

use std::path::{Path, PathBuf};

use super::{FoundSegment, Recovered, Search, TornTail};
use crate::error::{Error, OpenError};
use crate::format::control::Seal;
use crate::format::frame::{HEADER_LEN, TRAILER_LEN};
use crate::format::segment::FRAMES_AT;
use crate::format::{SegmentNumber, StoreId};
use crate::log::lock::Lock;
use crate::log::names::tail_path;
use crate::log::prewriting::Prewriting;
use crate::log::scan::Frame;
use crate::log::segment::Segment;
use crate::log::state::StateFile;
use crate::log::writer::{LogWriter, Roll};
use crate::model::{HistoryId, Position, Timestamp};
use crate::vfs::{Disk, OpenMode};

/// Keeps a copy of a torn tail, then overwrites it with zeros, so that its bytes can never pass for frames.
pub(super) fn zero_tail(
    disk: &dyn Disk,
    log_dir: &Path,
    segment: &Segment,
    from: u64,
    to: u64,
) -> Result<TornTail, Error> {
    let bytes = segment.slice(from, (to - from) as usize)?;
    let kept_in = keep_copy(disk, log_dir, segment.number(), from, &bytes)?;
    drop(bytes);
    let file = segment.file()?;
    let write = |bytes: &[u8], at| {
        file.write_all_at(bytes, at).map_err(|error| Error::io("write", &segment.path, error))
    };
    let zeros = vec![0; 1 << 16];
    for at in (from..to).step_by(zeros.len()) {
        write(&zeros[..zeros.len().min((to - at) as usize)], at)?;
    }
    file.sync_data().map_err(|error| Error::io("sync", &segment.path, error))?;
    disk.sync_dir(log_dir).map_err(|error| Error::io("sync", log_dir, error))?;
    Ok(TornTail { path: segment.path.clone(), offset: from, kept_in })
}

/// Copies a torn tail to a file of its own. None when there is no space for it: a full disk must not keep the store from
/// opening, and nothing in a torn tail was acknowledged.
fn keep_copy(
    disk: &dyn Disk,
    log_dir: &Path,
    number: SegmentNumber,
    from: u64,
    bytes: &[u8],
) -> Result<Option<PathBuf>, Error> {
    let path = free_name(disk, log_dir, number, from)?;
    let copy = disk.open(&path, OpenMode::CreateNew);
    let kept = copy.and_then(|copy| copy.write_all_at(bytes, 0).and_then(|()| copy.sync_data()));
    match kept.map_err(|error| Error::io("write", &path, error).or_no_space()) {
        Ok(()) => Ok(Some(path)),
        Err(Error::NoSpace { .. }) => {
            // It may not even have been made.
            let _ = disk.remove(&path);
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// A name for a tail that no file has: the copy of a first crash is whole, that of a second during mending may not be.
fn free_name(disk: &dyn Disk, log_dir: &Path, number: SegmentNumber, from: u64) -> Result<PathBuf, Error> {
    let mut copy = 1;
    loop {
        let path = tail_path(log_dir, number, from, copy);
        if !disk.exists(&path).map_err(|error| Error::io("look for", &path, error))? {
            return Ok(path);
        }
        copy += 1;
    }
}

/// Writes the identical bytes again and syncs: a sync that failed before a crash may have left pages that read well
/// but count as clean, and would be lost with the power.
pub(super) fn write_again(segment: &Segment, from: u64, to: u64) -> Result<(), Error> {
    if from == to {
        return Ok(());
    }
    let bytes = segment.slice(from, (to - from) as usize)?.to_vec();
    let file = segment.file()?;
    file.write_all_at(&bytes, from)
        .and_then(|()| file.sync_data())
        .map_err(|error| Error::io("write", &segment.path, error))
}

/// Makes the first segment of a new store.
pub(super) fn create(
    search: &Search<'_>,
    log_dir: PathBuf,
    lock: Lock,
    visit: &mut dyn FnMut(&Segment, &Frame) -> Result<(), Error>,
) -> Result<Recovered, OpenError> {
    let store = StoreId(search.disk.random());
    let roll = Roll {
        disk: search.disk.clone(),
        log_dir,
        store,
        term_key: search.disk.random(),
        segment_bytes: search.segment_bytes,
        prewrites: search.prewrites,
    };
    let blank = roll.blank(SegmentNumber::FIRST, (HEADER_LEN + TRAILER_LEN) as u64)?;
    let segment = blank.segment().clone();
    let history = HistoryId::from_bytes(search.disk.random());
    let mut writer = LogWriter {
        history,
        store,
        segment: segment.clone(),
        end: FRAMES_AT,
        written: FRAMES_AT,
        prewriting: Prewriting::new(roll.prewrites, FRAMES_AT),
        chain: 0,
        epoch: 1,
        next: Position::new(1),
        durable: Position::START,
        last_time: Timestamp::from_nanos(i64::MIN),
        so_far: Seal::default(),
        sealed_at: None,
        settings: Position::START,
        closed: false,
        staged: Vec::new(),
        state: StateFile::open(search.disk.as_ref(), search.dir)?,
        state_sequence: 0,
        _lock: lock,
    };
    writer.open_in(&blank, 0);
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
        settings: Position::START,
        torn: None,
        lost: None,
        writer: Some(writer),
    })
}

//! Copying the log: sealed segments that are not there yet, and of the last one what is visible.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::BackupReport;
use super::manifest::Manifest;
use crate::error::{Error, OpenError};
use crate::format::control::SEAL_LEN;
use crate::format::segment::{FRAMES_AT, HEADER_COPY_AT};
use crate::format::{FrameKind, event};
use crate::index::{Part, Place};
use crate::log::{Frame, Segment, log_dir, remember_durable, scan, segment_path};
use crate::model::{HistoryId, Position, Timestamp};
use crate::vfs::{Disk, OpenMode};

/// How much is copied at once, in bytes.
const STEP: usize = 1 << 20;

/// What a backup is made of.
pub(crate) struct Source<'a> {
    pub(crate) disk: &'a dyn Disk,
    pub(crate) parts: Arc<Vec<Arc<Part>>>,
    /// The last position that goes into it.
    pub(crate) position: Position,
    pub(crate) history: HistoryId,
    pub(crate) now: Timestamp,
}

/// Makes `out` a backup of the source, or brings the backup there up to it.
pub(crate) fn back_up(source: &Source<'_>, out: &Path) -> Result<BackupReport, Error> {
    let first = source.parts.first().ok_or_else(|| Error::invalid("there is nothing to back up"))?;
    let manifest = |position| Manifest::new(first.segment.header.store, source.history, position, source.now);
    begin(source, out, &manifest(Position::START))?;
    let log = log_dir(out);
    let mut report = BackupReport { position: source.position, segments: 0, copied: 0, bytes: 0 };
    let mut last = None;
    for part in source.parts.iter() {
        let Some(end) = end_of(part, source.position)? else { break };
        report.segments += 1;
        last = Some(part);
        let path = segment_path(&log, part.segment.number());
        if part.seal_place().is_none() || !is_there(source.disk, &log, part)? {
            copy(source.disk, &part.segment, end, &path)?;
            report.copied += 1;
            report.bytes += end;
        }
    }
    let dir = &log;
    source.disk.sync_dir(dir).map_err(|error| Error::io("sync", dir, error))?;
    if let Some(last) = last {
        remember_durable(source.disk, out, &last.segment, source.history, source.position)?;
    }
    manifest(source.position).write(source.disk, out)?;
    Ok(report)
}

/// Makes the directory ready, or refuses one that holds something else.
fn begin(source: &Source<'_>, out: &Path, manifest: &Manifest) -> Result<(), Error> {
    let disk = source.disk;
    let log = log_dir(out);
    if let Some(found) = Manifest::read(disk, out)? {
        if (&found.store, &found.history) != (&manifest.store, &manifest.history) {
            let what = format!(
                "{} holds a backup of another store or history; choose another directory",
                out.display()
            );
            return Err(Error::invalid(what));
        }
        if found.position > source.position.get() {
            let what = format!(
                "the backup in {} reaches position {}, beyond this store, which ends at {}",
                out.display(),
                found.position,
                source.position
            );
            return Err(Error::invalid(what));
        }
        return Ok(());
    }
    let exists = disk.exists(out).map_err(|error| Error::io("look for", out, error))?;
    if exists && !disk.list(out).map_err(|error| Error::io("list", out, error))?.is_empty() {
        let what = format!("{} is not empty and no backup; choose another directory", out.display());
        return Err(Error::invalid(what));
    }
    disk.create_dirs(&log).map_err(|error| Error::io("create", &log, error))?;
    manifest.write(disk, out)
}

/// Up to where a part goes into a backup that ends at `position`; none when nothing of it does.
fn end_of(part: &Part, position: Position) -> Result<Option<u64>, Error> {
    match part.seal_place() {
        Some(sealed) if sealed.next <= position.next() => Ok(Some(sealed.at + SEAL_LEN as u64)),
        // The first segment goes with its OPEN, so that a backup of an empty store can be restored, too.
        _ if part.first > position && part.number() > 1 => Ok(None),
        _ if part.first > position => {
            let open = part.segment.frame(FRAMES_AT)?;
            open.map(|open| Some(open.end())).map_err(|fault| part.segment.damaged(FRAMES_AT, fault))
        }
        _ => end_of_frame(part, part.place(position.since(part.first) as u32)?).map(Some),
    }
}

/// Where the frame ends that has, or stands for, the event at a place.
fn end_of_frame(part: &Part, place: Place) -> Result<u64, Error> {
    let mut at = u64::from(place.offset());
    if !place.is_removed() {
        at -= u64::from(event::frame_back(&part.record(place.offset())?));
    }
    let frame = part.segment.frame(at)?.map_err(|fault| part.segment.damaged(at, fault))?;
    Ok(frame.end())
}

/// Whether the backup has a sealed segment as it is now.
fn is_there(disk: &dyn Disk, log: &Path, part: &Part) -> Result<bool, Error> {
    let Some(sealed) = part.seal_place() else { return Ok(false) };
    let path = segment_path(log, part.segment.number());
    if !disk.exists(&path).map_err(|error| Error::io("look for", &path, error))? {
        return Ok(false);
    }
    // One that cannot be read is copied again.
    let Ok(copy) = Segment::open(disk, log, part.segment.number(), OpenMode::Read) else { return Ok(false) };
    let is_sealed = |frame: Frame| frame.header.kind == FrameKind::Seal && frame.header_crc == sealed.crc;
    Ok(copy.header == part.segment.header && copy.frame(sealed.at)?.is_ok_and(is_sealed))
}

/// Copies a segment up to `end`, and reads the copy back. It gets its name once it is whole on stable storage.
pub(super) fn copy(disk: &dyn Disk, segment: &Segment, end: u64, path: &Path) -> Result<(), Error> {
    let temporary = path.with_extension("seg.tmp");
    let file =
        disk.open(&temporary, OpenMode::Create).map_err(|error| Error::io("create", &temporary, error))?;
    let write = |bytes: &[u8], at| {
        file.write_all_at(bytes, at).map_err(|error| Error::io("write", &temporary, error).or_no_space())
    };
    file.set_len(0).map_err(|error| Error::io("create", &temporary, error))?;
    // One copy of the header may be damaged; what was read of it is whole.
    write(&segment.header.encode(), 0)?;
    write(&segment.header.encode(), HEADER_COPY_AT)?;
    for at in (FRAMES_AT..end).step_by(STEP) {
        write(&segment.slice(at, STEP.min((end - at) as usize))?, at)?;
    }
    file.set_len(segment.header.capacity)
        .and_then(|()| file.sync_data())
        .map_err(|error| Error::io("sync", &temporary, error))?;
    check(segment, Segment::new(segment.header.clone(), temporary.clone(), file)?, end)?;
    disk.rename(&temporary, path).map_err(|error| Error::io("rename", &temporary, error))
}

/// Reads a copy to its end. What is wrong in it is wrong in what was copied.
fn check(segment: &Segment, copy: Segment, end: u64) -> Result<(), Error> {
    let found = scan(&copy, |_| Ok(()))?;
    match found {
        Some(scanned) if scanned.end == end => Ok(()),
        Some(scanned) => {
            let what = scanned.fault.map_or_else(|| "it ends here".to_owned(), |fault| fault.to_string());
            Err(segment.damaged(scanned.end, what))
        }
        None => Err(segment.damaged(FRAMES_AT, "no valid OPEN frame begins the segment")),
    }
}

/// The segment files in a directory, opened, rising.
pub(super) fn segments(disk: &dyn Disk, dir: &Path) -> Result<Vec<Segment>, OpenError> {
    let log = log_dir(dir);
    let numbers = crate::log::segment_numbers(disk, &log)?;
    numbers.into_iter().map(|number| Segment::open(disk, &log, number, OpenMode::Read)).collect()
}

/// Where a segment lies in a store.
pub(super) fn path_of(dir: &Path, segment: &Segment) -> PathBuf {
    segment_path(&log_dir(dir), segment.number())
}

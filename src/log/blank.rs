//! A segment made ahead of need: created, allocated, synced and named, without a single frame in it.

use std::path::Path;
use std::sync::Arc;

use super::names::segment_path;
use super::prewriting;
use super::segment::Segment;
use super::writer::room_of;
use crate::error::Error;
use crate::format::control::OPEN_LEN;
use crate::format::segment::{FRAMES_AT, HEADER_COPY_AT};
use crate::format::{SegmentHeader, SegmentNumber};
use crate::vfs::{Disk, OpenMode};

/// A segment without frames, ready to be written to.
#[derive(Debug)]
pub(crate) struct Blank {
    segment: Arc<Segment>,
    /// Up to where it was written, zeros included.
    written: u64,
}

impl Blank {
    /// Makes the file under a temporary name, and gives it its own once it is whole on stable storage. A file of that
    /// number without frames is replaced, unless there is no space.
    pub(crate) fn create(disk: &dyn Disk, log_dir: &Path, header: SegmentHeader) -> Result<Blank, Error> {
        let path = segment_path(log_dir, header.number);
        let temporary = path.with_extension("seg.tmp");
        let made = write_blank(disk, &temporary, &header).and_then(|file| {
            disk.rename(&temporary, &path).map_err(|error| Error::io("rename", &temporary, error))?;
            Ok(file)
        });
        let file = made.map_err(|error| {
            // Space that a failed attempt reserved would keep the disk full; if this fails too, the next open removes the
            // file.
            let _ = disk.remove(&temporary);
            error.or_no_space()
        })?;
        // From here on the file of that number is this one, for want of space or not.
        disk.sync_dir(log_dir).map_err(|error| Error::io("sync", log_dir, error))?;
        Ok(Blank { segment: Arc::new(Segment::new(header, path, file)?), written: FRAMES_AT })
    }

    /// Writes zeros ahead of the log, until `enough` says so. After a failure nothing may be acknowledged in this file.
    pub(crate) fn prewrite(self, enough: impl Fn() -> bool) -> Result<Blank, Error> {
        let written = prewriting::prewrite(&self.segment, enough)?;
        Ok(Blank { written, ..self })
    }

    pub(crate) fn number(&self) -> SegmentNumber {
        self.segment.number()
    }

    /// How long a frame may be that is to be the first after OPEN, SEAL and CLOSE having their place too.
    pub(crate) fn room(&self) -> u64 {
        room_of(self.segment.header.capacity, FRAMES_AT + OPEN_LEN as u64)
    }

    pub(super) fn segment(&self) -> &Arc<Segment> {
        &self.segment
    }

    /// Up to where it was written, zeros included.
    pub(super) fn written(&self) -> u64 {
        self.written
    }
}

fn write_blank(
    disk: &dyn Disk,
    path: &Path,
    header: &SegmentHeader,
) -> Result<Arc<dyn crate::vfs::DiskFile>, Error> {
    if disk.exists(path).map_err(|error| Error::io("look for", path, error))? {
        disk.remove(path).map_err(|error| Error::io("remove", path, error))?;
    }
    let file = disk.open(path, OpenMode::CreateNew).map_err(|error| Error::io("create", path, error))?;
    file.allocate(header.capacity).map_err(|error| Error::io("allocate", path, error))?;
    for offset in [0, HEADER_COPY_AT] {
        file.write_all_at(&header.encode(), offset).map_err(|error| Error::io("write", path, error))?;
    }
    file.sync_data().map_err(|error| Error::io("sync", path, error))?;
    Ok(file)
}

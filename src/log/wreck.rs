//! A segment file opened whatever is wrong with it: without a header, too short, with sectors that cannot be read.
//!
//! What it lacks is taken from what is there: the length from the file, and the salt, if both headers are gone, from
//! the frames themselves. Everything that had to be put up with is told in `faults`.

use std::path::Path;
use std::sync::Arc;

use super::segment::Segment;
use super::steady::{SteadyFile, Unreadable};
use crate::error::{Error, OpenError};
use crate::format::frame::{self, FrameHeader};
use crate::format::segment::{FRAMES_AT, HEADER_COPY_AT, HEADER_LEN, Rewritten};
use crate::format::{HeaderFault, SegmentHeader, SegmentNumber, StoreId};
use crate::vfs::{Disk, DiskFile, Map, OpenMode};

/// A segment file, readable as far as it goes.
#[derive(Debug)]
pub(crate) struct Wreck {
    /// With a header that may be made up; its capacity is what the file has of it.
    pub(crate) segment: Segment,
    /// Whether a copy of the header is whole. Otherwise store, number and term key are not known.
    pub(crate) has_header: bool,
    /// What is wrong with headers and length: where, and what.
    pub(crate) faults: Vec<(u64, String)>,
    file: Arc<SteadyFile>,
}

impl Wreck {
    /// Opens a segment file. `number` is the one of its name, for a file that does not tell.
    ///
    /// # Errors
    ///
    /// [`OpenError::Version`] for a file of a later version, and [`Error::Io`] when it cannot be opened at all.
    pub(crate) fn open(disk: &dyn Disk, path: &Path, number: SegmentNumber) -> Result<Wreck, OpenError> {
        let file = disk.open(path, OpenMode::Read).map_err(|error| Error::io("open", path, error))?;
        let len = file.len().map_err(|error| Error::io("measure", path, error))?;
        let file = Arc::new(SteadyFile::new(file, 0, len));
        let mut faults = Vec::new();
        let found = read_headers(path, file.as_ref(), len, &mut faults)?;
        let has_header = found.is_some();
        let mut header = found.unwrap_or(unknown(number, len));
        if len < header.capacity {
            faults.push((len, format!("the file has {len} bytes, wanted {}", header.capacity)));
            header.capacity = len;
        }
        let mut wreck = Wreck::over(path, header, file, len);
        (wreck.has_header, wreck.faults) = (has_header, faults);
        if !has_header && let Some(salt) = wreck.salt_of_frames(FRAMES_AT)? {
            wreck.segment.header.salt = salt;
            if let Some((_, what)) = wreck.faults.last_mut() {
                what.push_str("; its salt was taken from its frames");
            }
        }
        Ok(wreck)
    }

    /// Bytes that were copied from `base` on out of a segment. `header` is that segment's, if it is known.
    pub(crate) fn of_copy(
        path: &Path,
        file: Arc<dyn DiskFile>,
        base: u64,
        header: Option<SegmentHeader>,
    ) -> Result<Wreck, Error> {
        let len = file.len().map_err(|error| Error::io("measure", path, error))?;
        let end = base.saturating_add(len);
        let file = Arc::new(SteadyFile::new(file, base, end));
        let has_header = header.is_some();
        let header = SegmentHeader { capacity: end, ..header.unwrap_or(unknown(SegmentNumber::FIRST, end)) };
        let mut wreck = Wreck::over(path, header, file, end);
        if !has_header && let Some(salt) = wreck.salt_of_frames(base)? {
            (wreck.has_header, wreck.segment.header.salt) = (true, salt);
        }
        Ok(wreck)
    }

    fn over(path: &Path, header: SegmentHeader, file: Arc<SteadyFile>, len: u64) -> Wreck {
        let map = Map::from_file(file.clone(), len);
        let segment = Segment::over(header, path.to_owned(), file.clone(), map);
        Wreck { segment, has_header: true, faults: Vec::new(), file }
    }

    /// What the disk would not give of what was asked for so far.
    pub(crate) fn unreadable(&self) -> Vec<Unreadable> {
        self.file.unreadable()
    }

    /// Looks at the file anew: a writer may have added to it.
    pub(crate) fn refresh(&self) {
        self.file.refresh();
    }

    /// Whether it can be a segment of the store that `header` is of.
    pub(crate) fn is_of(&self, store: Option<StoreId>) -> bool {
        !self.has_header || store.is_none_or(|store| store == self.segment.header.store)
    }

    /// The salt under which two frames are whole headers, the second right behind the first.
    fn salt_of_frames(&self, from: u64) -> Result<Option<u64>, Error> {
        let segment = &self.segment;
        let Some(end) = segment.end_of_bytes(from)? else { return Ok(None) };
        for offset in (from..end.saturating_sub(frame::HEADER_LEN as u64)).step_by(8) {
            let bytes = segment.array::<{ frame::HEADER_LEN }>(offset)?;
            if !frame::begins_like_a_frame([bytes[0], bytes[1], bytes[2], bytes[3]]) {
                continue;
            }
            let salt = frame::salt_of(&bytes, offset);
            let Ok((first, crc)) = FrameHeader::decode(&bytes, salt, offset) else { continue };
            let behind = offset + u64::from(first.len);
            if behind > segment.header.capacity.saturating_sub(frame::HEADER_LEN as u64) {
                continue;
            }
            if FrameHeader::decode(&segment.array(behind)?, salt, behind)
                .is_ok_and(|(second, _)| second.chain == crc)
            {
                return Ok(Some(salt));
            }
        }
        Ok(None)
    }
}

/// The header of a file that tells nothing but its length.
fn unknown(number: SegmentNumber, capacity: u64) -> SegmentHeader {
    let rewritten = Rewritten::default();
    SegmentHeader { store: StoreId([0; 16]), number, salt: 0, capacity, term_key: [0; 16], rewritten }
}

/// Reads both copies of the header; the first whole one counts, and what is wrong with the other is a fault.
fn read_headers(
    path: &Path,
    file: &SteadyFile,
    len: u64,
    faults: &mut Vec<(u64, String)>,
) -> Result<Option<SegmentHeader>, OpenError> {
    let mut found: Option<SegmentHeader> = None;
    for offset in [0, HEADER_COPY_AT] {
        let mut bytes = [0; HEADER_LEN];
        let fits = offset + HEADER_LEN as u64 <= len;
        if !fits || file.read_exact_at(&mut bytes, offset).is_err() {
            faults.push((offset, "a copy of the header is cut off".to_owned()));
            continue;
        }
        let what = match SegmentHeader::decode(&bytes) {
            Ok(header) if header.capacity < FRAMES_AT => {
                format!("a copy of the header has a capacity of {}, which cannot be", header.capacity)
            }
            Ok(header) if found.as_ref().is_some_and(|first| *first != header) => {
                "the two copies of the header differ; the first counts".to_owned()
            }
            Ok(header) => {
                found.get_or_insert(header);
                continue;
            }
            Err(fault @ (HeaderFault::Version { .. } | HeaderFault::Features { .. })) => {
                return Err(OpenError::Version { path: path.to_owned(), found: fault.to_string() });
            }
            Err(fault) => format!("a copy of the header is damaged: {fault}"),
        };
        faults.push((offset, what));
    }
    Ok(found)
}

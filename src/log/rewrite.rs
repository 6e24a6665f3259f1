//! Writing a sealed segment anew, without some of its events.
//!
//! The new file gets the old one's name only when it is whole on stable storage, so that a crash leaves one of the two.
//! Which events go is not known here.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::names::segment_path;
use super::scan::Frame;
use super::segment::Segment;
use crate::error::Error;
use crate::format::control::{self, Seal};
use crate::format::frame::{HEADER_LEN, TRAILER_LEN, encode_trailer};
use crate::format::removed::{self, LastVersion};
use crate::format::segment::{FRAMES_AT, HEADER_COPY_AT, Rewritten};
use crate::format::{FrameHeader, FrameKind, SegmentHeader, event};
use crate::model::Position;
use crate::vfs::{Disk, DiskFile, OpenMode};

/// How much is gathered before it is written, in bytes.
const BUFFER_BYTES: usize = 1 << 20;

/// A segment that is being written anew.
pub(crate) struct Rewrite<'a> {
    disk: &'a dyn Disk,
    old: &'a Segment,
    temporary: PathBuf,
    file: Arc<dyn DiskFile>,
    salt: u64,
    /// Where the next frame will stand, and up to where the file is written.
    end: u64,
    written: u64,
    buffer: Vec<u8>,
    chain: u32,
    so_far: Seal,
    /// Removed events that no frame stands for yet.
    removed: Option<FrameHeader>,
    /// The streams that the next REMOVED frame names.
    last_versions: Vec<u8>,
}

/// Where the SEAL of a segment stands, and its header checksum.
pub(crate) type SealPlace = (u64, u32);

impl<'a> Rewrite<'a> {
    /// Begins with the OPEN of the old segment. `last_versions` are the streams that are known only by their versions from
    /// now on: there is a removed event for each.
    pub(crate) fn begin<'b>(
        disk: &'a dyn Disk,
        old: &'a Segment,
        open: &Frame,
        last_versions: impl Iterator<Item = LastVersion<'b>>,
    ) -> Result<Rewrite<'a>, Error> {
        let temporary = old.path.with_extension("seg.tmp");
        let file = disk
            .open(&temporary, OpenMode::Create)
            .and_then(|file| file.set_len(0).map(|()| file))
            .map_err(|error| Error::io("create", &temporary, error))?;
        let mut rows = Vec::new();
        last_versions.for_each(|last| removed::push(&mut rows, last));
        removed::finish(&mut rows);
        let mut rewrite = Rewrite {
            disk,
            old,
            temporary,
            file,
            salt: u128::from_le_bytes(disk.random()) as u64,
            end: FRAMES_AT,
            written: FRAMES_AT,
            buffer: Vec::new(),
            chain: open.header.chain,
            so_far: Seal::default(),
            removed: None,
            last_versions: rows,
        };
        rewrite.control(open.header, open.body())?;
        Ok(rewrite)
    }

    /// Keeps records that stood one behind the other in the frame `of`, the first at position `first`.
    pub(crate) fn keep(&mut self, of: &FrameHeader, first: Position, records: &[&[u8]]) -> Result<(), Error> {
        self.end_removed()?;
        let mut frame = vec![0; HEADER_LEN];
        let mut body_crc = crc32fast::Hasher::new();
        for record in records {
            let start = frame.len();
            frame.extend_from_slice(record);
            let crc = event::move_to(
                &mut frame[start..],
                start as u32,
                event::position(record),
                event::version(record),
            );
            body_crc.update(&crc.to_le_bytes());
        }
        let len = (frame.len() + TRAILER_LEN) as u32;
        let (count, chain, body_crc) = (records.len() as u32, self.chain, body_crc.finalize());
        let header = FrameHeader { len, count, first, chain, body_crc, ..*of };
        let (bytes, crc) = header.encode(self.salt, self.end);
        frame[..HEADER_LEN].copy_from_slice(&bytes);
        frame.extend_from_slice(&encode_trailer(len, crc));
        self.so_far.add(count, header.commit_time);
        self.chain = crc;
        self.put(&frame)
    }

    /// Leaves out the events from position `first` on that stood in the frame `of`, or that it stands for.
    pub(crate) fn remove(&mut self, of: &FrameHeader, first: Position, count: u32) -> Result<(), Error> {
        if count == 0 {
            return Ok(());
        }
        let before = self.removed.map(|run| (run.first, run.count));
        let (first, before) = before.unwrap_or((first, 0));
        self.removed = Some(FrameHeader { kind: FrameKind::Removed, first, count: before + count, ..*of });
        Ok(())
    }

    /// Ends with the SEAL of the old segment, and puts the new one in its place.
    pub(crate) fn finish(mut self, seal: &Frame, old_seal: SealPlace) -> Result<(Segment, SealPlace), Error> {
        self.end_removed()?;
        let at = self.end;
        let body = control::seal_body(&self.so_far);
        self.control(seal.header, &body)?;
        let (crc, old) = (self.chain, &self.old.header);
        let (old_seal_at, old_seal_crc) = match old.is_rewritten() {
            true => (old.rewritten.old_seal_at, old.rewritten.old_seal_crc),
            false => old_seal,
        };
        let header = SegmentHeader {
            salt: self.salt,
            capacity: self.end.next_multiple_of(4096),
            rewritten: Rewritten {
                generation: old.rewritten.generation + 1,
                old_seal_crc,
                old_seal_at,
                seal_at: at,
            },
            ..old.clone()
        };
        self.write_out()?;
        let write = |bytes: &[u8], offset| {
            self.file.write_all_at(bytes, offset).map_err(|error| Error::io("write", &self.temporary, error))
        };
        write(&header.encode(), 0)?;
        write(&header.encode(), HEADER_COPY_AT)?;
        self.file
            .set_len(header.capacity)
            .and_then(|()| self.file.sync_data())
            .map_err(|error| Error::io("sync", &self.temporary, error))?;
        let path = &self.old.path;
        self.disk
            .rename(&self.temporary, path)
            .map_err(|error| Error::io("rename", &self.temporary, error))?;
        let dir = path.parent().unwrap_or(Path::new("."));
        self.disk.sync_dir(dir).map_err(|error| Error::io("sync", dir, error))?;
        debug_assert_eq!(*path, segment_path(dir, header.number));
        Ok((Segment::new(header, path.clone(), self.file.clone())?, (at, crc)))
    }

    /// Gives up: the old segment stays.
    pub(crate) fn abandon(self) {
        // If this fails, the next open removes it.
        let _ = self.disk.remove(&self.temporary);
    }

    /// Puts the frame that stands for removed events.
    fn end_removed(&mut self) -> Result<(), Error> {
        let Some(header) = self.removed.take() else { return Ok(()) };
        let body = std::mem::take(&mut self.last_versions);
        self.control(header, &body)
    }

    fn control(&mut self, header: FrameHeader, body: &[u8]) -> Result<(), Error> {
        let mut out = Vec::new();
        let header = FrameHeader { chain: self.chain, ..header };
        self.chain = control::encode(&mut out, header, body, self.salt, self.end);
        self.put(&out)
    }

    fn put(&mut self, frame: &[u8]) -> Result<(), Error> {
        self.buffer.extend_from_slice(frame);
        self.end += frame.len() as u64;
        if self.buffer.len() >= BUFFER_BYTES { self.write_out() } else { Ok(()) }
    }

    fn write_out(&mut self) -> Result<(), Error> {
        self.file
            .write_all_at(&self.buffer, self.written)
            .map_err(|error| Error::io("write", &self.temporary, error).or_no_space())?;
        self.written = self.end;
        self.buffer.clear();
        Ok(())
    }
}

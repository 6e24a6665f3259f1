//! The end of the log: frames are staged, written and synced here, and here one segment follows another.
//!
//! Invariant: no byte goes into a segment before the SEAL of the one before it is on stable storage.

use std::path::PathBuf;
use std::sync::Arc;

use super::blank::Blank;
use super::lock::Lock;
use super::prewriting::{self, Prewriting};
use super::segment::Segment;
use super::state::StateFile;
use crate::error::Error;
use crate::format::control::{self, CLOSE_LEN, Open, SEAL_LEN, Seal};
use crate::format::frame::{HEADER_LEN, TRAILER_LEN, encode_trailer};
use crate::format::segment::{FRAMES_AT, Rewritten};
use crate::format::state::State;
use crate::format::{FrameHeader, FrameKind, SegmentHeader, SegmentNumber, StoreId};
use crate::model::{HistoryId, Position, Timestamp};
use crate::vfs::Disk;

/// How long a frame may be that is to stand at `end` of a segment: SEAL and CLOSE always keep their place.
pub(super) fn room_of(capacity: u64, end: u64) -> u64 {
    capacity.saturating_sub(end + (SEAL_LEN + CLOSE_LEN) as u64)
}

/// What all segments of a store have in common, and where they lie.
#[derive(Debug, Clone)]
pub(crate) struct Roll {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) log_dir: PathBuf,
    pub(crate) store: StoreId,
    pub(crate) term_key: [u8; 16],
    pub(crate) segment_bytes: u64,
    /// Zeros are written over reserved space before the log comes there.
    pub(crate) prewrites: bool,
}

impl Roll {
    /// Makes the segment of this number, with room for a first frame of `frame_len` bytes.
    pub(crate) fn blank(&self, number: SegmentNumber, frame_len: u64) -> Result<Blank, Error> {
        let needed = FRAMES_AT + (control::OPEN_LEN + SEAL_LEN + CLOSE_LEN) as u64 + frame_len;
        let header = SegmentHeader {
            store: self.store,
            number,
            salt: u128::from_le_bytes(self.disk.random()) as u64,
            capacity: self.segment_bytes.max(needed).next_multiple_of(4096),
            term_key: self.term_key,
            rewritten: Rewritten::default(),
        };
        Blank::create(self.disk.as_ref(), &self.log_dir, header)
    }
}

/// Where the log goes on.
#[derive(Debug)]
pub(crate) struct LogWriter {
    pub(super) history: HistoryId,
    pub(super) store: StoreId,
    pub(super) segment: Arc<Segment>,
    /// Where the next staged frame will stand.
    pub(super) end: u64,
    /// Up to where the file is written.
    pub(super) written: u64,
    pub(super) prewriting: Prewriting,
    pub(super) chain: u32,
    pub(super) epoch: u64,
    pub(super) next: Position,
    pub(super) durable: Position,
    pub(super) last_time: Timestamp,
    pub(super) so_far: Seal,
    pub(super) sealed_at: Option<u64>,
    /// The position of the last event that is a stream's settings, for the next OPEN.
    pub(super) settings: Position,
    pub(super) closed: bool,
    pub(super) staged: Vec<u8>,
    pub(super) state: StateFile,
    pub(super) state_sequence: u64,
    pub(super) _lock: Lock,
}

impl LogWriter {
    /// The position that the next staged event gets.
    pub(crate) fn next(&self) -> Position {
        self.next
    }

    /// The commit time of the last frame.
    pub(crate) fn last_time(&self) -> Timestamp {
        self.last_time
    }

    /// Notes that the event at this position is a stream's settings.
    pub(crate) fn note_settings(&mut self, position: Position) {
        self.settings = self.settings.max(position);
    }

    /// The active segment.
    pub(crate) fn segment(&self) -> &Arc<Segment> {
        &self.segment
    }

    /// Whether a data frame of `len` bytes has no room in the active segment.
    pub(crate) fn needs_roll(&self, len: usize) -> bool {
        self.sealed_at.is_some() || len as u64 > room_of(self.segment.header.capacity, self.end)
    }

    /// Whether more than half of the active segment is used.
    pub(crate) fn is_half_full(&self) -> bool {
        self.end > self.segment.header.capacity / 2
    }

    /// Whether the active segment ends with a SEAL already, so that the next frame begins another.
    pub(crate) fn is_sealed(&self) -> bool {
        self.sealed_at.is_some()
    }

    /// The bytes of the frames in the active segment: what an open reads.
    pub(crate) fn frames_bytes(&self) -> u64 {
        self.end - FRAMES_AT
    }

    fn header(&self, kind: FrameKind) -> FrameHeader {
        FrameHeader {
            kind,
            len: 0,
            count: 0,
            first: self.next,
            durable: self.durable,
            commit_time: self.last_time,
            epoch: self.epoch,
            chain: self.chain,
            body_crc: 0,
        }
    }

    /// Puts a data frame behind what is staged and tells its offset. `frame` has room for header and trailer around
    /// its records, and [`needs_roll`](Self::needs_roll) has said no.
    pub(crate) fn stage(&mut self, frame: &mut [u8], count: u32, body_crc: u32, time: Timestamp) -> u64 {
        self.last_time = self.last_time.max(time);
        let len = frame.len() as u32;
        let header = FrameHeader { len, count, body_crc, ..self.header(FrameKind::Data) };
        let offset = self.end;
        let (bytes, crc) = header.encode(self.segment.header.salt, offset);
        frame[..HEADER_LEN].copy_from_slice(&bytes);
        let trailer_at = frame.len() - TRAILER_LEN;
        frame[trailer_at..].copy_from_slice(&encode_trailer(len, crc));

        self.staged.extend_from_slice(frame);
        self.so_far.add(count, self.last_time);
        self.took(u64::from(len), crc);
        self.next = header.next_position();
        self.closed = false;
        offset
    }

    /// Puts a frame behind what is staged that stands for `count` events which were removed. `body` names streams, and
    /// [`needs_roll`](Self::needs_roll) has said no.
    pub(crate) fn stage_removed(&mut self, count: u32, body: &[u8], time: Timestamp) {
        self.last_time = self.last_time.max(time);
        let header = FrameHeader { count, ..self.header(FrameKind::Removed) };
        let (salt, end, before) = (self.segment.header.salt, self.end, self.staged.len());
        let crc = control::encode(&mut self.staged, header, body, salt, end);
        self.took((self.staged.len() - before) as u64, crc);
        self.next = header.next_position();
        self.closed = false;
    }

    fn stage_control(&mut self, kind: FrameKind, body: &[u8]) {
        let (header, salt, end, before) =
            (self.header(kind), self.segment.header.salt, self.end, self.staged.len());
        let crc = control::encode(&mut self.staged, header, body, salt, end);
        self.took((self.staged.len() - before) as u64, crc);
    }

    fn took(&mut self, len: u64, crc: u32) {
        self.end += len;
        self.chain = crc;
    }

    /// Writes what is staged and waits until it is on stable storage. After an error the log must not be written to.
    pub(crate) fn flush(&mut self) -> Result<(), Error> {
        if self.staged.is_empty() {
            return Ok(());
        }
        let path = &self.segment.path;
        let file = self.segment.file()?;
        let end = self.prewriting.end_of_write(self.end, self.segment.header.capacity);
        file.write_all_at(&self.staged, self.written)
            .and_then(|()| prewriting::write_zeros(file.as_ref(), self.end..end))
            .map_err(|error| Error::io("write", path, error))?;
        file.sync_data().map_err(|error| Error::io("sync", path, error))?;
        self.prewriting.wrote_through(end);
        self.written = self.end;
        // A large append must not hold its memory for ever.
        self.staged.clear();
        self.staged.shrink_to(1 << 20);
        self.durable = self.next.previous();
        Ok(())
    }

    /// Remembers the durable position outside the log. It helps the next open to tell a torn tail from damage, and
    /// processes that only read to see how far they may.
    pub(crate) fn note_durable(&mut self) -> Result<(), Error> {
        self.state_sequence += 1;
        self.state.write(&State {
            store: self.store,
            history: self.history,
            sequence: self.state_sequence,
            segment: self.segment.number(),
            durable: self.durable,
        })
    }

    /// Seals the active segment, if it is not, and goes on in `blank`, whose OPEN is staged. Tells where the SEAL is.
    pub(crate) fn roll(&mut self, blank: Blank) -> Result<(u64, u32), Error> {
        assert!(self.staged.is_empty(), "a roll follows a flush");
        assert_eq!(blank.number(), self.segment.number().next(), "segments have no holes");
        let seal_at = match self.sealed_at {
            Some(seal_at) => seal_at,
            None => {
                let seal_at = self.end;
                let body = control::seal_body(&self.so_far);
                self.stage_control(FrameKind::Seal, &body);
                self.flush()?;
                seal_at
            }
        };
        let seal = (seal_at, self.chain);
        self.open_in(&blank, seal_at);
        Ok(seal)
    }

    /// Goes on in `blank` as another history, and makes that durable.
    pub(crate) fn begin_history(&mut self, history: HistoryId, blank: Blank) -> Result<(), Error> {
        self.history = history;
        self.roll(blank)?;
        self.flush()
    }

    /// Makes `blank` the active segment and stages its OPEN.
    pub(super) fn open_in(&mut self, blank: &Blank, seal_at: u64) {
        self.segment = blank.segment().clone();
        self.prewriting = Prewriting::new(self.prewriting.is_wanted(), blank.written());
        self.end = FRAMES_AT;
        self.written = FRAMES_AT;
        self.so_far = Seal::default();
        self.sealed_at = None;
        self.closed = false;
        let body = control::open_body(&Open { history: self.history, seal_at, settings: self.settings });
        self.stage_control(FrameKind::Open, &body);
    }

    /// Marks the log as cleanly closed, so that the next open knows that nothing is missing.
    pub(crate) fn close(&mut self) -> Result<(), Error> {
        let fits = self.end + (SEAL_LEN + CLOSE_LEN) as u64 <= self.segment.header.capacity;
        if !self.closed && self.sealed_at.is_none() && fits {
            self.stage_control(FrameKind::Close, &[]);
            self.flush()?;
            self.closed = true;
        }
        self.note_durable()?;
        self.state.sync()
    }
}

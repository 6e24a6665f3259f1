//! The new store: frames are written as a log is, with the commit times that events had.

use std::path::Path;

use bytes::Bytes;

use crate::error::{Error, OpenError};
use crate::format::event;
use crate::format::frame::{HEADER_LEN, TRAILER_LEN};
use crate::lifecycle::holds_settings;
use crate::log::{LogWriter, Recovered, Roll, Search, recover};
use crate::model::{HistoryId, Position, StreamVersion, Timestamp};
use crate::options::Options;

/// What is written and synced at once, in bytes.
const GROUP_BYTES: usize = 4 << 20;

/// A record and the version that it gets.
pub(super) struct Moved {
    pub(super) record: Bytes,
    pub(super) version: StreamVersion,
}

fn holds_settings_of(record: &[u8]) -> bool {
    event::found_by(record).is_some_and(|found| holds_settings(found.stream))
}

pub(super) struct Target {
    writer: LogWriter,
    roll: Roll,
    history: HistoryId,
    staged_bytes: usize,
}

impl Target {
    /// Makes an empty store.
    pub(super) fn create(options: &Options, out: &Path) -> Result<Target, OpenError> {
        let search = Search {
            disk: options.disk.clone(),
            dir: out,
            segment_bytes: options.segment_bytes,
            prewrites: false,
            read_only: false,
            create: true,
        };
        let Recovered { roll, history, writer, .. } = recover(&search, &mut |_, _| Ok(()))?;
        let writer = writer.ok_or(Error::ReadOnly)?;
        Ok(Target { writer, roll, history, staged_bytes: 0 })
    }

    pub(super) fn history(&self) -> HistoryId {
        self.history
    }

    /// The position that the next event gets.
    pub(super) fn next(&self) -> Position {
        self.writer.next()
    }

    /// Appends events in one frame that says it was committed at `time`.
    pub(super) fn append(&mut self, events: &[Moved], time: Timestamp) -> Result<(), Error> {
        let mut frame = vec![0; HEADER_LEN];
        let mut body_crc = crc32fast::Hasher::new();
        for (place, moved) in events.iter().enumerate() {
            let start = frame.len();
            frame.extend_from_slice(&moved.record);
            let position = self.next().advanced(place as u64);
            let crc = event::move_to(&mut frame[start..], start as u32, position, moved.version);
            body_crc.update(&crc.to_le_bytes());
        }
        frame.extend_from_slice(&[0; TRAILER_LEN]);
        self.make_room(frame.len())?;
        self.writer.stage(&mut frame, events.len() as u32, body_crc.finalize(), time);
        if events.iter().any(|moved| holds_settings_of(&moved.record)) {
            self.writer.note_settings(self.writer.next().previous());
        }
        self.staged(frame.len())
    }

    /// Notes that `count` events had been removed at `time`, and with `body` where streams stood.
    pub(super) fn append_removed(&mut self, count: u32, body: &[u8], time: Timestamp) -> Result<(), Error> {
        let len = HEADER_LEN + body.len() + TRAILER_LEN;
        self.make_room(len)?;
        self.writer.stage_removed(count, body, time);
        self.staged(len)
    }

    /// Goes on in the next segment if this one has no room for so many bytes.
    pub(super) fn make_room(&mut self, len: usize) -> Result<(), Error> {
        if self.writer.needs_roll(len) {
            self.flush()?;
            let number = self.writer.segment().number().next();
            let blank = self.roll.blank(number, len as u64)?;
            self.writer.roll(blank)?;
        }
        Ok(())
    }

    fn staged(&mut self, len: usize) -> Result<(), Error> {
        self.staged_bytes += len;
        if self.staged_bytes >= GROUP_BYTES { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), Error> {
        self.staged_bytes = 0;
        self.writer.flush()
    }

    /// Makes everything durable and marks the log as cleanly closed.
    pub(super) fn finish(mut self) -> Result<u64, Error> {
        self.flush()?;
        self.writer.close()?;
        Ok(self.next().previous().get())
    }
}

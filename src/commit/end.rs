//! The end of the log, with the index that grows with it. Only the leader touches it, and whoever closes.

use std::sync::Arc;

use super::committer::Shared;
use crate::error::Error;
use crate::index::{MemoryIndex, Part, Sealed};
use crate::log::{Blank, LogWriter};

/// Where events are appended, and where they are indexed.
pub(super) struct End {
    pub(super) writer: LogWriter,
    pub(super) memory: Arc<MemoryIndex>,
    pub(super) part: Arc<Part>,
}

impl End {
    /// The next segment: the one that was made ahead, or a larger one if the frame has no room in that.
    pub(super) fn blank(&self, shared: &Shared, frame_len: u64) -> Result<Blank, Error> {
        let Shared { next_segment, roll, .. } = shared;
        let ahead = match next_segment.take() {
            Some(blank) if blank.room() >= frame_len => return Ok(blank),
            ahead => ahead,
        };
        let larger = roll.blank(self.writer.segment().number().next(), frame_len);
        if let (Err(Error::NoSpace { .. }), Some(ahead), Some(promise)) =
            (&larger, ahead, next_segment.promise())
        {
            // It is still there for appends that have room in it.
            promise.keep(ahead);
        }
        larger
    }

    /// Seals the active segment and goes on in `blank`, whose OPEN is staged.
    pub(super) fn roll(&mut self, shared: &Shared, blank: Blank) -> Result<(), Error> {
        let (at, crc) = self.writer.roll(blank)?;
        let next = self.writer.next();
        self.part.seal(Sealed { at, crc, next });
        let sealed = self.part.clone();
        let segment = self.writer.segment().clone();
        let memory = Arc::new(MemoryIndex::new(segment.header.capacity, shared.budget.index_bytes_max()));
        let part = Arc::new(Part::active(segment, next, memory.clone(), shared.indexing.clone()));
        self.memory = memory;
        self.part = part.clone();
        shared.catalog.push(part);
        shared.finish(sealed);
        Ok(())
    }
}

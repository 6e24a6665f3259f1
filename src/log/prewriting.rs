//! Zeros written over reserved space before the log comes there.
//!
//! Space that is only reserved costs a sync more than space that was written once: file systems keep it as extents to be
//! converted, and convert some of them at every sync. Zeros written in large pieces pay that once for many appends.
//! They say nothing: reserved space reads as zeros, too, so whoever opens a log cannot tell the difference.

use std::io;
use std::ops::Range;

use super::segment::Segment;
use crate::error::Error;
use crate::format::segment::FRAMES_AT;
use crate::vfs::DiskFile;

/// How much an append writes ahead of itself: few appends meet a new piece, and none waits long for one.
const PIECE_BYTES: u64 = 256 << 10;

/// How much is written at a time where nobody waits for it: a sync of the log meanwhile waits for no more than this.
const ASIDE_BYTES: u64 = 128 << 10;

/// How much a call writes. A system may remember what a call wrote as one page, however large, and go through the whole of
/// it at each small write into it; through a page of this size it goes in no time.
const CALL_BYTES: usize = 64 << 10;

/// How far the active segment was written, the zeros ahead included.
#[derive(Debug)]
pub(super) struct Prewriting {
    wanted: bool,
    through: u64,
}

impl Prewriting {
    /// Of a segment that was written up to `through`.
    pub(super) fn new(wanted: bool, through: u64) -> Prewriting {
        Prewriting { wanted, through }
    }

    /// Up to where the next write is to go when what it writes ends at `end`.
    pub(super) fn end_of_write(&self, end: u64, capacity: u64) -> u64 {
        if !self.wanted || end <= self.through {
            return end;
        }
        end.next_multiple_of(PIECE_BYTES).min(capacity)
    }

    pub(super) fn is_wanted(&self) -> bool {
        self.wanted
    }

    /// Notes that a write went so far.
    pub(super) fn wrote_through(&mut self, end: u64) {
        self.through = self.through.max(end);
    }
}

/// Writes zeros over a segment without frames, piece by piece, until `enough` says so. Tells up to where.
pub(super) fn prewrite(segment: &Segment, enough: impl Fn() -> bool) -> Result<u64, Error> {
    let (file, path, capacity) = (segment.file()?, &segment.path, segment.header.capacity);
    let mut through = FRAMES_AT;
    while through < capacity && !enough() {
        let end = (through + 1).next_multiple_of(ASIDE_BYTES).min(capacity);
        write_zeros(file.as_ref(), through..end).map_err(|error| Error::io("write", path, error))?;
        // Piece by piece, so that a sync of the log never waits behind all of them.
        file.sync_data().map_err(|error| Error::io("sync", path, error))?;
        through = end;
    }
    Ok(through)
}

/// Writes zeros over a range of a file.
pub(super) fn write_zeros(file: &dyn DiskFile, range: Range<u64>) -> io::Result<()> {
    static ZEROS: [u8; CALL_BYTES] = [0; CALL_BYTES];
    let mut at = range.start;
    while at < range.end {
        let end = (at + 1).next_multiple_of(CALL_BYTES as u64).min(range.end);
        file.write_all_at(&ZEROS[..(end - at) as usize], at)?;
        at = end;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_goes_to_the_end_of_its_piece_once() {
        let mut prewriting = Prewriting::new(true, FRAMES_AT);
        let capacity = 3 * PIECE_BYTES - 4096;
        let first = prewriting.end_of_write(FRAMES_AT + 400, capacity);
        assert_eq!(first, PIECE_BYTES);
        prewriting.wrote_through(first);
        assert_eq!(prewriting.end_of_write(PIECE_BYTES, capacity), PIECE_BYTES);
        assert_eq!(prewriting.end_of_write(PIECE_BYTES + 1, capacity), 2 * PIECE_BYTES);
        assert_eq!(prewriting.end_of_write(2 * PIECE_BYTES + 1, capacity), capacity);
    }

    #[test]
    fn nothing_is_written_ahead_that_nobody_wants() {
        assert_eq!(Prewriting::new(false, 0).end_of_write(400, PIECE_BYTES), 400);
    }
}

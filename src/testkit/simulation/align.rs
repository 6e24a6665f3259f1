//! Appends whose frames end where a sector ends: then a frame survives, or is written over, without its neighbours.
//!
//! Without help one frame in 64 does. Only sizes are chosen here; what is appended, and where, stays as it was drawn.

use std::path::Path;

use super::super::disk::{SECTOR_BYTES, SimDisk};
use super::super::model::{Attempt, Numbered, Write};
use crate::format::event;
use crate::format::frame::{HEADER_LEN, TRAILER_LEN};

/// Makes the last event of each attempt longer, so that its frame ends where a sector does, if all of them are admitted.
pub(super) fn align(disk: &SimDisk, group: &mut [Attempt]) {
    let mut end = end_of_log(disk);
    for attempt in group {
        let over = (end + frame_len(attempt)) % SECTOR_BYTES;
        let last = attempt.writes.last_mut().and_then(|write| write.events.last_mut());
        if let Some(last) = last.filter(|_| over > 0) {
            last.bytes += (SECTOR_BYTES - over) as usize;
        }
        end += frame_len(attempt);
    }
}

/// Where the next frame will stand.
fn end_of_log(disk: &SimDisk) -> u64 {
    let used = |path: &Path| {
        let bytes = disk.read(path).ok()?;
        bytes.iter().rposition(|byte| *byte != 0).map(|last| (last as u64 + 1).next_multiple_of(8))
    };
    let last = disk.paths().into_iter().rfind(|path| path.extension().is_some_and(|name| name == "seg"));
    last.and_then(|path| used(&path)).unwrap_or(0)
}

fn frame_len(attempt: &Attempt) -> u64 {
    let records =
        attempt.writes.iter().flat_map(|write| write.events.iter().map(|event| record_len(write, *event)));
    (HEADER_LEN + TRAILER_LEN) as u64 + records.sum::<u64>()
}

fn record_len(write: &Write, numbered: Numbered) -> u64 {
    let event = numbered.to_event();
    let texts = [write.stream.as_str(), event.event_type.as_str(), "application/octet-stream"];
    let texts: usize = texts.iter().map(|text| text.len()).sum();
    let id = format!("n{}", numbered.number).len();
    ((event::HEADER_LEN + texts + id + numbered.bytes) as u64).next_multiple_of(8)
}

//! What is known to have been acknowledged, gathered before anything else is looked at.
//!
//! Whatever was durable when it was asked must be whole when it is read later, also beside a process that writes.

use std::path::Path;

use super::names::{segment_numbers, segment_path};
use super::recovery::durable_beyond;
use super::wreck::Wreck;
use super::{log_dir, state};
use crate::error::{Error, OpenError};
use crate::format::segment::FRAMES_AT;
use crate::format::{SegmentNumber, StoreId};
use crate::model::Position;
use crate::vfs::Disk;

/// What the files of a store say of its end.
#[derive(Debug)]
pub(crate) struct Evidence {
    /// The segment files, by the numbers of their names.
    pub(crate) numbers: Vec<SegmentNumber>,
    /// The last one that holds a frame; none when none does.
    pub(crate) last_used: Option<SegmentNumber>,
    /// The last position known to be durable.
    pub(crate) durable: Position,
    /// The store that most of the segments are of.
    pub(crate) store: Option<StoreId>,
    /// The key of its term hash.
    pub(crate) term_key: [u8; 16],
}

impl Evidence {
    /// Looks at STATE, at the headers of all segments, and through the last that is in use.
    pub(crate) fn gather(disk: &dyn Disk, dir: &Path) -> Result<Evidence, OpenError> {
        let log_dir = log_dir(dir);
        let state = state::read(disk, dir)?;
        let exists = disk.exists(&log_dir).map_err(|error| Error::io("look for", &log_dir, error))?;
        let numbers = if exists { segment_numbers(disk, &log_dir)? } else { Vec::new() };
        if numbers.is_empty() {
            return Err(OpenError::NotFound { path: dir.to_owned() });
        }
        let (store, term_key) = store_of(disk, &log_dir, &numbers, state.map(|state| state.store))?;
        let (mut last_used, mut durable) = (None, Position::START);
        for number in numbers.iter().rev() {
            let wreck = Wreck::open(disk, &segment_path(&log_dir, *number), *number)?;
            if wreck.is_of(store) && holds_a_frame(&wreck)? {
                last_used = Some(*number);
                durable = durable_beyond(&wreck.segment, FRAMES_AT)?;
                break;
            }
        }
        if let Some(state) = state.filter(|state| store.is_none_or(|store| store == state.store)) {
            durable = durable.max(state.durable);
        }
        Ok(Evidence { numbers, last_used, durable, store, term_key })
    }
}

/// The store that the segments are of, with the key of its term hash: STATE's if a segment has it, or the one that most
/// have.
fn store_of(
    disk: &dyn Disk,
    log_dir: &Path,
    numbers: &[SegmentNumber],
    of_state: Option<StoreId>,
) -> Result<(Option<StoreId>, [u8; 16]), OpenError> {
    let mut stores: Vec<(StoreId, [u8; 16], u64)> = Vec::new();
    for number in numbers {
        let wreck = Wreck::open(disk, &segment_path(log_dir, *number), *number)?;
        let header = &wreck.segment.header;
        match stores.iter_mut().find(|(store, _, _)| *store == header.store) {
            _ if !wreck.has_header => {}
            Some((_, _, count)) => *count += 1,
            None => stores.push((header.store, header.term_key, 1)),
        }
    }
    let named = stores.iter().find(|(store, _, _)| Some(*store) == of_state);
    // Of equally many, the one that comes first.
    let chosen = named.or(stores.iter().rev().max_by_key(|(_, _, count)| *count));
    Ok(chosen.map_or((None, [0; 16]), |(store, key, _)| (Some(*store), *key)))
}

fn holds_a_frame(wreck: &Wreck) -> Result<bool, Error> {
    let segment = &wreck.segment;
    if segment.frame_header(FRAMES_AT)?.is_ok() {
        return Ok(true);
    }
    let Some(end) = segment.end_of_bytes(FRAMES_AT)? else { return Ok(false) };
    for offset in (FRAMES_AT..end).step_by(8) {
        if segment.frame_header(offset)?.is_ok() {
            return Ok(true);
        }
    }
    Ok(false)
}

//! Backup: the log up to a position, copied to another directory while the store is at work, and made a store again there.
//!
//! A backup is a directory with segments, like a store, and can be opened for reading. Sealed segments never change but by a
//! scavenge, so that each is copied once and a later backup into the same directory takes what is new. At any moment the
//! directory holds a prefix of the log. A restore copies it and begins a new history, so that cursors and snapshots of the old
//! one are told apart.
//!
//! Promise: what a backup says it holds has been read back and checked.

mod copy;
mod manifest;
mod restore;

pub(crate) use self::copy::{Source, back_up};
pub(crate) use self::manifest::refuse_writing;

use crate::model::Position;

pub use self::restore::{Restore, RestoreReport};

/// What a backup holds, and what was done for it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct BackupReport {
    /// The last position in it.
    pub position: Position,
    /// How many segments it has.
    pub segments: u64,
    /// How many of them were copied now; the others were there.
    pub copied: u64,
    /// The bytes that were copied.
    pub bytes: u64,
}

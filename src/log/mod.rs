//! The log: numbered segment files, written at one end, synced, sealed, and found again after a crash.
//!
//! The log knows frames and positions. Which stream an event belongs to is the `index`'s business, and when to sync
//! is the `commit`'s.

mod blank;
mod evidence;
mod lock;
mod names;
mod prewriting;
mod records;
mod recovery;
mod rewrite;
mod scan;
mod segment;
mod state;
mod steady;
mod survey;
pub(crate) mod unfinished;
mod wreck;
mod writer;

pub(crate) use blank::Blank;
pub(crate) use evidence::Evidence;
pub(crate) use lock::Lock;
pub(crate) use names::{LogName, segment_numbers, segment_path};
pub(crate) use records::{Record, Records, told};
pub use recovery::TornTail;
pub(crate) use recovery::{FoundSegment, Lost, Recovered, Search, recover};
pub(crate) use rewrite::Rewrite;
pub(crate) use scan::{Frame, Scanned, scan};
pub(crate) use segment::Segment;
pub(crate) use state::{remember_durable, state_path};
pub(crate) use survey::{Before, Met, Survey, What};
pub(crate) use wreck::Wreck;
pub(crate) use writer::{LogWriter, Roll};

use std::path::{Path, PathBuf};

/// The directory of the segments.
pub(crate) fn log_dir(dir: &Path) -> PathBuf {
    dir.join("log")
}

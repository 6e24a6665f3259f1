//! What a scavenge is asked to do, and what it did.

use crate::error::Error;

/// How to scavenge.
///
/// ```
/// # use annals::{EventStore, Options, Scavenge};
/// # let dir = tempfile::tempdir()?;
/// # let store = EventStore::open(Options::new(dir.path()))?;
/// let report = store.scavenge(&Scavenge::new().dry_run(true))?;
/// println!("{} of {} bytes could be won", report.bytes_before - report.bytes_after, report.bytes_before);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct Scavenge {
    pub(super) dry_run: bool,
    pub(super) everything: bool,
}

impl Scavenge {
    /// Gives back what is worth it: at least a tenth of a segment.
    pub fn new() -> Scavenge {
        Scavenge::default()
    }

    /// Only says what could be won. Default: off.
    #[must_use]
    pub fn dry_run(mut self, dry_run: bool) -> Scavenge {
        self.dry_run = dry_run;
        self
    }

    /// Removes every event that is no longer shown, however little that gives back: when bytes have to be gone, as by law.
    /// Default: off. What stands in the last segment stays until the log goes on in the next.
    #[must_use]
    pub fn everything(mut self, everything: bool) -> Scavenge {
        self.everything = everything;
        self
    }
}

/// What a scavenge did, or with [`Scavenge::dry_run`] would do.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ScavengeReport {
    /// How many sealed segments were looked at.
    pub segments: u64,
    /// How many of them were written anew.
    pub rewritten: u64,
    /// How many events were removed.
    pub removed: u64,
    /// The bytes of the segments before, space that was only reserved not counted.
    pub bytes_before: u64,
    /// And after.
    pub bytes_after: u64,
    /// Segments that were left as they are because they are damaged: run `annals verify`.
    pub damaged: Vec<Error>,
    /// Every segment was looked at.
    pub is_finished: bool,
}

impl Default for ScavengeReport {
    fn default() -> ScavengeReport {
        ScavengeReport {
            segments: 0,
            rewritten: 0,
            removed: 0,
            bytes_before: 0,
            bytes_after: 0,
            damaged: Vec::new(),
            is_finished: true,
        }
    }
}

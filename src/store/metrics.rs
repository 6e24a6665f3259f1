//! What a store tells of itself to whoever watches it, at the cost of reading a few numbers.

use super::EventStore;
use crate::commit::CommitMetrics;
use crate::model::Position;

/// How a store is doing, as numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoreMetrics {
    /// What has been committed since it was opened; nothing when it is only read.
    pub commits: CommitMetrics,
    /// The last position that readers see.
    pub visible: Position,
    /// The last position known to be on stable storage.
    pub durable: Position,
    /// The count of segments.
    pub segments: u64,
}

impl EventStore {
    /// Numbers for whoever watches the store. Looks at nothing on disk.
    ///
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// # let store = annals::EventStore::open(annals::Options::new(dir.path()))?;
    /// assert_eq!(store.metrics().commits.appends, 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn metrics(&self) -> StoreMetrics {
        let core = self.core();
        let (visible, parts) = core.reader.snapshot();
        let commits = core.committer.as_ref().map(|committer| committer.metrics()).unwrap_or_default();
        // Every event is on stable storage before anybody sees it.
        StoreMetrics { commits, visible, durable: visible, segments: parts.len() as u64 }
    }
}

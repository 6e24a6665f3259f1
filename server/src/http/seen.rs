//! What a file looked like when it was read, to know when to read it again.

use std::path::Path;
use std::time::SystemTime;

/// When a file was changed, and how long it was; none when nobody could tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seen(Option<(SystemTime, u64)>);

impl Seen {
    /// Looks at a file without reading it.
    pub(super) fn of(path: &Path) -> Seen {
        let look = || {
            let metadata = std::fs::metadata(path).ok()?;
            Some((metadata.modified().ok()?, metadata.len()))
        };
        Seen(look())
    }
}

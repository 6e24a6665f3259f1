//! How much of its disk the store takes, and how much is left.

use std::fs::{self, Metadata};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use super::app::App;
use super::exposition::Exposition;

/// How deep directories are looked into; a store has two levels, and its databases one more.
const LEVELS_MAX: usize = 4;

/// What was found the last time somebody looked.
#[derive(Debug, Default)]
pub(crate) struct Disk {
    used: AtomicU64,
    free: AtomicU64,
}

impl Disk {
    /// Looks. It takes a moment for each file of the store.
    pub(super) fn look(&self, app: &App) {
        self.used.store(used(app.to_read.dir(), LEVELS_MAX), Ordering::Relaxed);
        self.free.store(app.to_read.free_bytes().unwrap_or(0), Ordering::Relaxed);
    }

    pub(super) fn expose(&self, out: &mut Exposition) {
        let (used, free) = (self.used.load(Ordering::Relaxed), self.free.load(Ordering::Relaxed));
        out.single(
            "annals_disk_used_bytes",
            "gauge",
            "Bytes on disk that the store's directory takes.",
            used,
        );
        out.single("annals_disk_free_bytes", "gauge", "Bytes that are free where the store is.", free);
    }
}

/// What a directory takes. A file that goes away meanwhile takes nothing.
fn used(dir: &Path, levels: usize) -> u64 {
    let Ok(entries) = fs::read_dir(dir) else { return 0 };
    let of_entry = |entry: fs::DirEntry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() && levels > 1 => used(&entry.path(), levels - 1),
        Ok(metadata) if metadata.is_file() => taken(&metadata),
        _ => 0,
    };
    entries.flatten().map(of_entry).sum()
}

/// The blocks of a file, which may be fewer than it is long.
#[cfg(unix)]
fn taken(metadata: &Metadata) -> u64 {
    use std::os::unix::fs::MetadataExt as _;

    metadata.blocks() * 512
}

#[cfg(not(unix))]
fn taken(metadata: &Metadata) -> u64 {
    metadata.len()
}

//! The bytes of one simulated file: what the process sees, what is durable, and what may be on its way.
//!
//! A sector is written wholly or not at all. Until a sync, each version that a sector has had since the last one may
//! be the one that a power cut leaves behind, and so may each length that the file has had.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::Rng;

/// What a disk reads and writes at once, in bytes: it is old or new as a whole.
pub const SECTOR_BYTES: u64 = 512;

/// How many un-synced versions of a sector, and of a length, are remembered: the newest ones. A file that is written
/// for hours without a sync would fill the memory otherwise.
const VERSIONS_MAX: usize = 16;

pub(super) type Sector = Arc<[u8; SECTOR_BYTES as usize]>;

/// How much of what was not synced a crash keeps.
pub(super) enum Keep<'a> {
    Nothing,
    /// Each thing is kept in so many of four cases.
    Some {
        rng: &'a mut Rng,
        quarters: u64,
    },
}

impl Keep<'_> {
    /// The version that a crash leaves: the durable one (none) or one of the later ones.
    fn choose(&mut self, later: usize) -> Option<usize> {
        match self {
            Keep::Nothing => None,
            Keep::Some { rng, quarters } => {
                (later > 0 && rng.chance(*quarters, 4)).then(|| rng.below(later as u64) as usize)
            }
        }
    }

    /// Whether a crash keeps a change that is there or not.
    pub(super) fn keeps(&mut self) -> bool {
        self.choose(1).is_some()
    }
}

/// One file. Sectors that are not in a table are zero.
#[derive(Debug, Clone, Default)]
pub(super) struct Image {
    current: BTreeMap<u64, Sector>,
    current_len: u64,
    durable: BTreeMap<u64, Sector>,
    durable_len: u64,
    /// What a sector held on the disk before what it holds there.
    earlier: BTreeMap<u64, Sector>,
    /// What the sectors have held since the last sync, oldest first.
    unsynced: BTreeMap<u64, Vec<Sector>>,
    /// How long the file has been since the last sync, oldest first.
    unsynced_lens: Vec<u64>,
}

impl Image {
    /// A file whose bytes are all durable.
    pub(super) fn synced(bytes: &[u8]) -> Image {
        let mut image = Image::default();
        image.write(bytes, 0);
        image.sync();
        image
    }

    pub(super) fn len(&self) -> u64 {
        self.current_len
    }

    /// Fills `buffer` from `offset`; false when the file ends before.
    pub(super) fn read(&self, buffer: &mut [u8], offset: u64) -> bool {
        let reaches = offset.checked_add(buffer.len() as u64).is_some_and(|end| end <= self.current_len);
        if reaches {
            for (sector, within, part) in parts(offset, buffer.len()) {
                match self.current.get(&sector) {
                    Some(bytes) => buffer[part.clone()].copy_from_slice(&bytes[within..within + part.len()]),
                    None => buffer[part].fill(0),
                }
            }
        }
        reaches
    }

    pub(super) fn write(&mut self, bytes: &[u8], offset: u64) {
        for (sector, within, part) in parts(offset, bytes.len()) {
            let mut whole = self.current.get(&sector).map_or([0; SECTOR_BYTES as usize], |bytes| **bytes);
            whole[within..within + part.len()].copy_from_slice(&bytes[part]);
            self.put(sector, Arc::new(whole));
        }
        // A write into a file whose last sync failed brings its length back on the way to the disk.
        self.set_current_len(self.current_len.max(offset + bytes.len() as u64));
    }

    /// Changes the length. What is cut off reads as zero if the file grows again.
    pub(super) fn set_len(&mut self, len: u64) {
        let cut: Vec<u64> = self.current.range(len / SECTOR_BYTES..).map(|(sector, _)| *sector).collect();
        for sector in cut {
            let kept = len.saturating_sub(sector * SECTOR_BYTES).min(SECTOR_BYTES) as usize;
            if let Some(bytes) = self.current.get(&sector) {
                let mut whole = **bytes;
                whole[kept..].fill(0);
                self.put(sector, Arc::new(whole));
            }
        }
        self.set_current_len(len);
    }

    fn put(&mut self, sector: u64, bytes: Sector) {
        let versions = self.unsynced.entry(sector).or_default();
        remember(versions, Arc::clone(&bytes));
        self.current.insert(sector, bytes);
    }

    fn set_current_len(&mut self, len: u64) {
        self.current_len = len;
        if !self.unsynced_lens.is_empty() || len != self.durable_len {
            remember(&mut self.unsynced_lens, len);
        }
    }

    /// Makes durable what was written since the last sync, whether that one succeeded or not.
    pub(super) fn sync(&mut self) {
        for (sector, versions) in std::mem::take(&mut self.unsynced) {
            if let Some(newest) = versions.last() {
                self.reach_disk(sector, Arc::clone(newest));
            }
        }
        if let Some(len) = self.unsynced_lens.pop() {
            self.durable_len = len;
        }
        self.unsynced_lens.clear();
    }

    fn reach_disk(&mut self, sector: u64, bytes: Sector) {
        let before = self.durable.insert(sector, bytes);
        self.earlier.insert(sector, before.unwrap_or_else(zeros));
    }

    /// Takes what was written since the last sync for synced, though it is not.
    pub(super) fn forget_unsynced(&mut self) {
        self.unsynced.clear();
        self.unsynced_lens.clear();
    }

    /// The file that a power cut leaves behind.
    pub(super) fn after_crash(&self, keep: &mut Keep<'_>) -> Image {
        let len = keep.choose(self.unsynced_lens.len()).map_or(self.durable_len, |at| self.unsynced_lens[at]);
        let (durable, earlier) = (self.durable.clone(), self.earlier.clone());
        let mut image = Image { durable, earlier, current_len: u64::MAX, ..Image::default() };
        for (sector, versions) in &self.unsynced {
            if let Some(at) = keep.choose(versions.len()) {
                image.reach_disk(*sector, Arc::clone(&versions[at]));
            }
        }
        image.current = image.durable.clone();
        image.set_len(len);
        image.settle();
        image
    }

    /// Whether the file reaches into a sector.
    pub(super) fn has(&self, sector: u64) -> bool {
        sector.checked_mul(SECTOR_BYTES).is_some_and(|start| start < self.current_len)
    }

    /// What the process sees of a sector.
    pub(super) fn sector(&self, sector: u64) -> Sector {
        self.current.get(&sector).cloned().unwrap_or_else(zeros)
    }

    /// What a sector held on the disk before what it holds there; zeros, if it was never written twice.
    pub(super) fn sector_before(&self, sector: u64) -> Sector {
        self.earlier.get(&sector).cloned().unwrap_or_else(zeros)
    }

    /// Changes every version of a sector.
    pub(super) fn change(&mut self, sector: u64, change: impl Fn(&mut [u8; SECTOR_BYTES as usize])) {
        let current = self.current.entry(sector).or_insert_with(zeros);
        let durable = self.durable.entry(sector).or_insert_with(zeros);
        let unsynced = self.unsynced.get_mut(&sector).into_iter().flatten();
        for version in [current, durable].into_iter().chain(unsynced) {
            change(Arc::make_mut(version));
        }
    }

    /// Makes durable what the process sees.
    pub(super) fn settle(&mut self) {
        self.current.retain(|sector, _| sector * SECTOR_BYTES < self.current_len);
        self.durable = self.current.clone();
        self.durable_len = self.current_len;
        self.forget_unsynced();
    }
}

fn zeros() -> Sector {
    Arc::new([0; SECTOR_BYTES as usize])
}

/// Adds a version unless it is the newest already.
fn remember<T: PartialEq>(versions: &mut Vec<T>, version: T) {
    if versions.last() == Some(&version) {
        return;
    }
    if versions.len() == VERSIONS_MAX {
        versions.remove(0);
    }
    versions.push(version);
}

/// Cuts `len` bytes at `offset` where sectors end: the sector, where in it, and which of the bytes.
fn parts(offset: u64, len: usize) -> impl Iterator<Item = (u64, usize, std::ops::Range<usize>)> {
    let mut done = 0;
    std::iter::from_fn(move || {
        let at = offset + done as u64;
        let within = (at % SECTOR_BYTES) as usize;
        let end = len.min(done + SECTOR_BYTES as usize - within);
        let part = done..end;
        done = end;
        (!part.is_empty()).then_some((at / SECTOR_BYTES, within, part))
    })
}

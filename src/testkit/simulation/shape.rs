//! What a seed draws: how large things are, how processes end, and which calls fail.

use std::io::ErrorKind;

use super::super::disk::Fault;
use super::super::rng::Rng;

/// The shape of one life.
#[derive(Debug)]
pub(super) struct Shape {
    pub(super) streams: u64,
    pub(super) event_bytes_max: u64,
    /// How many processes there are, before the last one that is left in peace.
    pub(super) processes: u64,
    /// How many steps each of them takes.
    pub(super) steps: u64,
    /// How many appends a group has at most.
    pub(super) group_max: u64,
    /// One process in so many leaves a store of which a copy is damaged.
    pub(super) damage_one_in: u64,
    /// One process in so many meets calls that fail.
    fault_one_in: u64,
    /// Out of four: how often the frames of a group end where sectors end.
    pub(super) aligned: u64,
    /// One process in so many ends its work early after a step.
    pub(super) patience: u64,
    /// Out of four: how often the power goes out while the store is being opened.
    early: u64,
}

/// How a process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// It closes the store.
    Close,
    /// It is killed; what it has written is written.
    Kill,
    /// The power goes out after so many operations, or when it has done its work.
    PowerCut { after: u64 },
}

/// Operations in which a store is opened and mended.
const OPENING_OPERATIONS: u64 = 16;

impl Shape {
    pub(super) fn draw(rng: &mut Rng) -> Shape {
        Shape {
            streams: 1 + rng.below(6),
            event_bytes_max: [100, 700, 2500, 9000][rng.below(4) as usize],
            processes: 2 + rng.below(4),
            steps: [5, 14, 30][rng.below(3) as usize],
            group_max: 1 + rng.below(4),
            damage_one_in: 2 + rng.below(4),
            fault_one_in: 1 + rng.below(6),
            aligned: rng.below(5),
            patience: [6, 12, 100][rng.below(3) as usize],
            early: rng.below(4),
        }
    }

    pub(super) fn ending(&self, rng: &mut Rng) -> Ending {
        match rng.below(8) {
            0 | 1 => Ending::Close,
            2 => Ending::Kill,
            _ if rng.chance(self.early, 4) => Ending::PowerCut { after: rng.below(OPENING_OPERATIONS) },
            _ => Ending::PowerCut { after: rng.below(4 * self.steps + OPENING_OPERATIONS) },
        }
    }

    /// Which operations fail, counted from the next one, and how.
    pub(super) fn faults(&self, rng: &mut Rng) -> Vec<(u64, Fault)> {
        if !rng.chance(1, self.fault_one_in) {
            return Vec::new();
        }
        let opening = rng.chance(1, 2);
        let range = if opening { OPENING_OPERATIONS } else { 3 * self.steps + OPENING_OPERATIONS };
        let count = 1 + rng.below(3);
        let fault = |rng: &mut Rng| match rng.below(6) {
            0 => Fault::Error(ErrorKind::Other),
            1 => Fault::NoSpace,
            2 => Fault::ShortWrite,
            _ => Fault::SyncLies,
        };
        (0..count).map(|_| (1 + rng.below(range), fault(rng))).collect()
    }

    /// Which reads fail, counted from the next one, and how.
    pub(super) fn read_faults(&self, rng: &mut Rng) -> Vec<(u64, Fault)> {
        if !rng.chance(1, 2 * self.fault_one_in) {
            return Vec::new();
        }
        let range = [40, 400, 4000][rng.below(3) as usize];
        let fault = |rng: &mut Rng| match rng.below(2) {
            0 => Fault::ShortRead,
            _ => Fault::Error(ErrorKind::Other),
        };
        (0..1 + rng.below(4)).map(|_| (1 + rng.below(range), fault(rng))).collect()
    }
}

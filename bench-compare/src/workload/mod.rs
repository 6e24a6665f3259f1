//! The workloads: what is done to a store, and what is measured of it.

mod million;
mod slices;

use std::path::Path;
use std::time::Duration;

use crate::event::stream;
use crate::figures::Figures;
use crate::store::{Contender, Result, Setup, Store};
pub use million::WAITS;
pub use slices::{Sample, figures_of};

/// Something that is done to a store.
pub struct Workload {
    pub name: &'static str,
    pub about: &'static str,
    pub run: Run,
}

/// How it runs.
pub enum Run {
    /// All stores in one process, each for a slice of the time in turn: what the disk does meanwhile, it does to all. A slice
    /// without a sample says that the store cannot do it.
    Slices { count: u64, setup: Setup, slice: Slice },
    /// One store in a process and a directory of its own.
    Alone(Whole),
    /// The same, on what the workload before it has left in the directory.
    After(Whole),
    /// As `After`, and the process is killed once it says that it waits.
    Killed(Whole),
}

type Slice = fn(&dyn Store, u64) -> Result<Option<Sample>>;
/// It may take so long before it is cut short.
type Whole = fn(&Contender, &Path, Duration) -> Result<Figures>;

const STREAMS: u64 = 100_000;
const LOADED: u64 = 1_000_000;

const DEFAULT: Setup = Setup { checked: true, file_bytes: 64 << 20 };
const SMALL_FILES: Setup = Setup { file_bytes: 4 << 20, ..DEFAULT };

const fn sliced(name: &'static str, about: &'static str, count: u64, slice: Slice) -> Workload {
    Workload { name, about, run: Run::Slices { count, setup: DEFAULT, slice } }
}

const fn whole(name: &'static str, about: &'static str, run: Run) -> Workload {
    Workload { name, about, run }
}

pub const WORKLOADS: &[Workload] = &[
    sliced("append-1", "one writer, one event an append", 100, |store, n| slices::append(store, n, 1, 100)),
    sliced("append-8", "8 threads, one event an append", 20, |store, n| slices::append(store, n, 8, 2_000)),
    sliced("append-32", "32 threads, one event an append", 20, |store, n| {
        slices::append(store, n, 32, 4_000)
    }),
    sliced("append-128", "128 threads, one event an append", 20, |store, n| {
        slices::append(store, n, 128, 8_000)
    }),
    sliced("in-flight-128", "one thread, 128 appends of one event under way", 20, slices::in_flight),
    sliced("append-100-events", "one writer, 100 events an append", 40, slices::append_many),
    sliced("contended", "8 threads append to one stream at its version, and retry", 20, slices::contended),
    whole(
        "append-while-rolling",
        "one writer, files of 4 MiB",
        Run::Slices { count: 100, setup: SMALL_FILES, slice: |store, n| slices::append(store, n, 1, 600) },
    ),
    sliced(
        "follow",
        "one writer and one follower in the process: from the call to the follower",
        10,
        slices::follow,
    ),
    whole("load", "1,000,000 events of 100,000 streams", Run::Alone(million::load)),
    whole(
        "replay",
        "all events of the reopened store, checked",
        Run::After(|c, dir, most| million::replay(c, dir, most, true)),
    ),
    whole(
        "replay-unchecked",
        "the same without checksums",
        Run::After(|c, dir, most| million::replay(c, dir, most, false)),
    ),
    whole("read-streams", "whole streams of 10 events, at random", Run::After(million::read_streams)),
    whole("reopen", "open after a clean close, and read one stream", Run::After(million::reopen)),
    whole("fill", "append until the process is killed", Run::Killed(million::fill)),
    whole("reopen-killed", "open after the kill, and read one stream", Run::After(million::reopen)),
];

impl Workload {
    /// Whether it reads what others have left.
    pub fn goes_on(&self) -> bool {
        matches!(self.run, Run::After(_) | Run::Killed(_))
    }

    /// Whether others read what it leaves.
    pub fn prepares(&self) -> bool {
        matches!(self.run, Run::Alone(_) | Run::Killed(_))
    }
}

/// The streams that appends go to: many, and never two in a row.
pub fn some_stream(number: u64) -> String {
    stream(some(number))
}

fn some(number: u64) -> u64 {
    number.wrapping_mul(7919) % STREAMS
}

//! How a store is opened: where, with which limits, on which disk and by which clock.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::budget::Budget;
use crate::clock::{Clock, SystemClock};
use crate::vfs::{Disk, RealDisk};

/// The smallest segment: room for a few hundred small events.
pub const SEGMENT_BYTES_MIN: u64 = 64 * 1024;

/// The largest segment: offsets within one are 32-bit.
pub const SEGMENT_BYTES_MAX: u64 = 1024 * 1024 * 1024;

/// The largest append that any limit allows: a frame has a 32-bit length, with room to spare.
pub(crate) const APPEND_BYTES_MAX: u64 = 256 << 20;

/// The largest snapshot that any limit allows: its envelope must fit, too.
pub(crate) const SNAPSHOT_BYTES_MAX: u64 = 128 << 20;

/// How large things may be. Each limit is named in the error that it causes.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// The bytes of one append, as stored. Default: 16 MiB; at most 256 MiB.
    pub append_bytes_max: u64,
    /// The bytes of one event's data and metadata. Default: 4 MiB.
    pub event_bytes_max: u64,
    /// The events of one append. Default: 10,000.
    pub append_events_max: u64,
    /// The bytes of one snapshot. Default: 16 MiB; at most 128 MiB.
    pub snapshot_bytes_max: u64,
    /// The bytes of appends that wait for the disk at one time; further callers wait. Default: 64 MiB; at most an eighth of
    /// [`Options::memory_bytes`].
    pub queue_bytes_max: u64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            append_bytes_max: 16 << 20,
            event_bytes_max: 4 << 20,
            append_events_max: 10_000,
            snapshot_bytes_max: 16 << 20,
            queue_bytes_max: 64 << 20,
        }
    }
}

/// How long a store keeps its events, whatever their streams say. Whole segments go, the oldest first, and never the one
/// of the newest event; the versions of streams and the store's own events stay. Default: everything is kept.
///
/// What goes is gone: readers and subscribers who have not come so far are told of the gap
/// ([`Delivery::Skipped`](crate::Delivery::Skipped)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Retention {
    /// Segments go whose last event was committed longer than this before the newest event of the store.
    pub max_age: Option<Duration>,
    /// The oldest segments go while the log is larger than this, in bytes, indexes not counted.
    pub max_bytes: Option<u64>,
}

impl Retention {
    pub(crate) fn keeps_everything(&self) -> bool {
        *self == Retention::default()
    }
}

/// How to open a store.
///
/// ```no_run
/// use annals::{EventStore, Options};
///
/// let store = EventStore::open(Options::new("data").segment_bytes(16 << 20))?;
/// # Ok::<(), annals::OpenError>(())
/// ```
#[derive(Clone)]
pub struct Options {
    pub(crate) dir: PathBuf,
    pub(crate) segment_bytes: u64,
    pub(crate) limits: Limits,
    pub(crate) budget: Budget,
    pub(crate) read_only: bool,
    pub(crate) create: bool,
    pub(crate) background: bool,
    pub(crate) prewrite: bool,
    pub(crate) warming_wait_max: Duration,
    pub(crate) repeat_window: u64,
    pub(crate) idempotency_window: Duration,
    pub(crate) unsealed_bytes_max: u64,
    pub(crate) retention: Retention,
    pub(crate) snapshots_kept: usize,
    pub(crate) verify_reads: bool,
    pub(crate) allow_clock_jump: bool,
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Options {
    /// The store in `dir`, which is made when it is not there.
    pub fn new(dir: impl AsRef<Path>) -> Options {
        Options {
            dir: dir.as_ref().to_owned(),
            segment_bytes: 64 << 20,
            limits: Limits::default(),
            budget: Budget::default(),
            read_only: false,
            create: true,
            background: true,
            prewrite: true,
            warming_wait_max: Duration::from_secs(10),
            repeat_window: 100_000,
            idempotency_window: Duration::from_secs(24 * 3600),
            unsealed_bytes_max: 8 << 20,
            retention: Retention::default(),
            snapshots_kept: 3,
            verify_reads: true,
            allow_clock_jump: false,
            disk: Arc::new(RealDisk),
            clock: Arc::new(SystemClock),
        }
    }

    /// The size of a segment file in bytes. Default: 64 MiB; from 64 KiB to 1 GiB.
    ///
    /// Small segments are made and indexed sooner; large ones make reads of long streams touch fewer files.
    /// It applies to segments made from now on.
    #[must_use]
    pub fn segment_bytes(mut self, bytes: u64) -> Options {
        self.segment_bytes = bytes.clamp(SEGMENT_BYTES_MIN, SEGMENT_BYTES_MAX);
        self
    }

    /// The bytes that are free where the store is; none when nobody can tell.
    pub fn free_bytes(&self) -> Option<u64> {
        self.disk.free_bytes(&self.dir)
    }

    /// The directory of the store.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// How large appends, events and snapshots may be.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Options {
        self.limits = limits;
        self
    }

    /// The memory that the store keeps to, in bytes, whatever it holds. Default: 256 MiB; at least 16 MiB.
    ///
    /// Counted is what only this process has: indexes of segments that are written to, appends that wait, caches. Mapped
    /// files are the system's page cache and are not counted, nor are events and snapshots that the application keeps. A
    /// smaller budget makes segments end sooner when their events have many streams and tags, and callers wait sooner.
    #[must_use]
    pub fn memory_bytes(mut self, bytes: u64) -> Options {
        self.budget = Budget::new(bytes);
        self
    }

    /// Opens for reading only. Default: off.
    ///
    /// Nothing in the directory is changed, another process may write to it, and what is visible is what was durable
    /// when the store was opened.
    #[must_use]
    pub fn read_only(mut self, read_only: bool) -> Options {
        self.read_only = read_only;
        self
    }

    /// Makes a store where there is none. Default: on.
    #[must_use]
    pub fn create(mut self, create: bool) -> Options {
        self.create = create;
        self
    }

    /// Prepares the next segment and builds indexes on threads of their own. Default: on.
    ///
    /// Off does that work inside the append that needs it, and allocates nothing ahead: right for a program that
    /// appends a few events and ends.
    #[must_use]
    pub fn background(mut self, background: bool) -> Options {
        self.background = background;
        self
    }

    /// Writes zeros over the reserved space of a segment before events come there, in pieces of 256 KiB and less. Default: on.
    ///
    /// A sync then has no reserved blocks to convert: groups of 4 KiB and more become durable in about half the time on ext4.
    /// The price is that each byte of the log is written twice. Off is right where that wear counts more than the time, and
    /// on file systems that never write in place (btrfs, ZFS), which gain nothing.
    #[must_use]
    pub fn prewrite(mut self, prewrite: bool) -> Options {
        self.prewrite = prewrite;
        self
    }

    /// How long an operation may wait for indexes that were missing when the store was opened. Default: 10 s.
    ///
    /// They are built in the background, newest first, and meanwhile reads by position work as ever. What cannot be
    /// decided without them, as where a stream stands, waits while all of them will be there in this time, and else is
    /// refused at once with [`Error::Warming`](crate::Error::Warming).
    #[must_use]
    pub fn warming_wait_max(mut self, wait: Duration) -> Options {
        self.warming_wait_max = wait;
        self
    }

    /// Among how many of the newest events the ids of new events are looked up, at least. Default: 100,000.
    ///
    /// An append whose events are all there, with the ids that their writer gave them, is answered with the receipt that it
    /// would have got the first time ([`Receipt::repeated`](crate::Receipt::repeated)); one event with the id of another is
    /// refused. Both also hold after the store was closed or killed. An append that expects versions of its streams is
    /// recognised however long ago it was made. 0 looks up no id.
    #[must_use]
    pub fn repeat_window(mut self, events: u64) -> Options {
        self.repeat_window = events;
        self
    }

    /// How long the key of an append is looked for ([`Append::idempotency_key`](crate::Append::idempotency_key)), counted
    /// from its commit. Default: 24 hours. A later append under the same key is made like any other.
    #[must_use]
    pub fn idempotency_window(mut self, window: Duration) -> Options {
        self.idempotency_window = window;
        self
    }

    /// How many bytes of events a clean close may leave in the segment that was written to last. Default: 8 MiB.
    ///
    /// Opening a store reads and indexes that segment, about 3 GB a second. When it has more, the store seals it as it closes,
    /// and the next opening finds an index; closing then takes some tens of milliseconds longer. Less makes opening faster
    /// still, and leaves more and smaller segments where a store is closed often.
    #[must_use]
    pub fn unsealed_bytes_max(mut self, bytes: u64) -> Options {
        self.unsealed_bytes_max = bytes;
        self
    }

    /// How long events are kept. Default: for ever.
    ///
    /// It is looked at when the store is opened and whenever a segment is full, on a thread of its own; with
    /// [`Options::background`] off only by [`EventStore::scavenge`](crate::EventStore::scavenge).
    #[must_use]
    pub fn retention(mut self, retention: Retention) -> Options {
        self.retention = retention;
        self
    }

    /// How many snapshots of one stream are kept, the newest ones. Default: 3; at least 1.
    ///
    /// More take space, and shorten replays up to an earlier version; a single one leaves nothing to fall back on.
    #[must_use]
    pub fn snapshots_kept(mut self, count: usize) -> Options {
        self.snapshots_kept = count.max(1);
        self
    }

    /// Checks the checksum of every event that is read. Default: on.
    ///
    /// Off makes replays faster, and lets a byte that rotted since it was written through.
    #[must_use]
    pub fn verify_reads(mut self, verify: bool) -> Options {
        self.verify_reads = verify;
        self
    }

    /// Accepts a clock that is more than a year ahead of the last commit. Default: off.
    ///
    /// Commit times never decrease, so one boot in a wrong year would stamp every later event with it. Off refuses
    /// to open the store for writing in that case.
    #[must_use]
    pub fn allow_clock_jump(mut self, allow: bool) -> Options {
        self.allow_clock_jump = allow;
        self
    }

    /// The disk to keep the store on. Default: the system's.
    #[must_use]
    pub fn disk(mut self, disk: Arc<dyn Disk>) -> Options {
        self.disk = disk;
        self
    }

    /// The clock to take commit times from. Default: the system's.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Options {
        self.clock = clock;
        self
    }
}

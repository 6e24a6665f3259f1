//! Salvage: every event of a damaged store that can be proved, in a new store, and a report of the rest.
//!
//! The damaged directory is only read. An event is proved by its own checksum and by the frame that it stands in:
//! one with a whole header, or one that begins where the frame before it ends and whose positions continue. In the new
//! store positions and versions count without holes again, and the history is a new one, so that cursors of the old
//! store are refused; stream, id, type, times, metadata and data are byte for byte what they were. `docs/bad-day.md` is
//! for those who need it.
//!
//! Promise: each position that was ever taken is kept or named as lost, and the new store opens only once it is whole.

mod account;
mod copy;
mod report;
mod target;

use std::path::Path;

use self::copy::Copy;
use self::report::ReportFile;
use self::target::Target;
use crate::error::{Error, OpenError};
use crate::log::unfinished::{self, Making};
use crate::log::{Evidence, Lock};
use crate::options::Options;

pub use self::report::{Loss, SalvageReport};

/// What a salvage writes beside the new log: what was lost, and which positions became which.
const REPORT: &str = "salvage-report.ndjson";

/// Copies what can be proved out of a damaged store.
///
/// ```
/// # use annals::{Append, Data, EventStore, EventType, ExpectedVersion, NewEvent, Options, Salvage, StreamName};
/// # let dir = tempfile::tempdir()?;
/// # let (damaged, new) = (dir.path().join("damaged"), dir.path().join("new"));
/// # let store = EventStore::open(Options::new(&damaged))?;
/// # let event = NewEvent::new(EventType::parse("order.created")?, Data::json(&())?);
/// # store.append_to(&StreamName::parse("order-1")?, ExpectedVersion::None, [event])?;
/// # store.close()?;
/// let report = Salvage::of(&Options::new(&damaged)).copy_to(&new)?;
/// assert_eq!((report.events, report.lost), (1, 0));
/// assert_eq!(EventStore::open(Options::new(&new))?.head().get(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Salvage {
    options: Options,
    whole_appends: bool,
}

impl Salvage {
    /// Out of the store that `options` name. Their segment size is that of the new store.
    pub fn of(options: &Options) -> Salvage {
        Salvage { options: options.clone(), whole_appends: false }
    }

    /// Leaves out events whose append lost others. Default: off.
    ///
    /// Off keeps every event that can be proved, so that of an append that was atomic a part may be there. Both ways
    /// the report names each such append.
    #[must_use]
    pub fn whole_appends(mut self, whole: bool) -> Salvage {
        self.whole_appends = whole;
        self
    }

    /// Makes a new store in `out`, which must not exist or be empty.
    ///
    /// Interrupted at any point, it leaves a directory that does not open and says why: delete it and begin again. It
    /// takes up to 76 bytes of memory for each stream, and three times the largest append or the longest damaged stretch.
    ///
    /// # Errors
    ///
    /// [`OpenError::NotFound`] where there is no store, [`OpenError::Locked`] while a process writes to it,
    /// [`Error::Invalid`] when `out` is not empty or lies inside the damaged directory, and [`Error::Io`].
    pub fn copy_to(&self, out: impl AsRef<Path>) -> Result<SalvageReport, OpenError> {
        let (disk, from, out) = (&self.options.disk, &self.options.dir, out.as_ref());
        unfinished::check(disk.as_ref(), from)?;
        let _no_writer = Lock::keep_out_writers(disk.as_ref(), from)?;
        let evidence = Evidence::gather(disk.as_ref(), from)?;
        self.check_out(out)?;
        disk.create_dirs(out).map_err(|error| Error::io("create", out, error))?;
        let text = format!(
            "A salvage of {} into this directory is under way, or was interrupted.\n\
             Until it is finished, this is no store. Delete the directory and salvage again.\n",
            from.display()
        );
        unfinished::mark(disk.as_ref(), out, Making::Salvage, &text)?;
        let target = Target::create(&self.options, out)?;
        let report = ReportFile::create(disk.as_ref(), out.join(REPORT), from, target.history())?;
        let report = Copy::new(self, evidence, target, report).run()?;
        unfinished::unmark(disk.as_ref(), out, Making::Salvage)?;
        Ok(report)
    }

    fn check_out(&self, out: &Path) -> Result<(), OpenError> {
        let (disk, from) = (&self.options.disk, &self.options.dir);
        if out.starts_with(from) {
            let what = format!("{} lies inside {}, which is only read", out.display(), from.display());
            return Err(Error::invalid(what).into());
        }
        unfinished::check_new(disk.as_ref(), out)
    }
}

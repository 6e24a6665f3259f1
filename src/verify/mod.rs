//! Verify: reads every byte of a store and says everything that is not as `docs/format.md` wants it. Changes nothing.
//!
//! It goes on behind damage, to the end. [`VerifyReport::of`] checks checksums and order, [`VerifyReport::deep`] also
//! what the bytes say: versions, texts, and each entry of each index.
//!
//! Promise: what a reader would be refused is among the faults, and a writer at work is not.

mod deep;
mod leftovers;
mod report;
mod segment;

use std::ops::ControlFlow;
use std::path::PathBuf;

use self::deep::Deep;
use self::segment::SegmentCheck;
use crate::error::{Error, OpenError};
use crate::format::SegmentNumber;
use crate::format::segment::FRAMES_AT;
use crate::log::{Before, Evidence, Lost, Search, Wreck, log_dir, recover, segment_path, unfinished};
use crate::options::Options;

pub use self::report::{Fault, Note, VerifyProgress, VerifyReport};

impl VerifyReport {
    /// Reads every byte of the log and its indexes, and checks every checksum, the order of frames and the counts of
    /// every SEAL. Another process may write to the store meanwhile.
    ///
    /// It takes about as long as reading the files, and memory for the largest append or the longest damaged stretch.
    ///
    /// ```
    /// # use annals::{EventStore, Options, VerifyReport};
    /// # let dir = tempfile::tempdir()?;
    /// # EventStore::open(Options::new(dir.path()))?.close()?;
    /// let report = VerifyReport::of(&Options::new(dir.path()))?;
    /// assert!(report.faults.is_empty());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`OpenError::NotFound`] where there is no store, and [`Error::Io`] when the system refuses to read.
    pub fn of(options: &Options) -> Result<VerifyReport, OpenError> {
        VerifyReport::unwatched(options, false)
    }

    /// As [`VerifyReport::of`], and also checks what the bytes say: that versions count without a hole in each stream,
    /// that texts are texts and JSON is JSON, and that each index says what one built anew from the log says. Names the
    /// files that nobody needs.
    ///
    /// It reads each sealed segment twice, and takes up to 76 bytes of memory for each stream beside what building an
    /// index takes. Snapshots are not looked at: their database cannot be opened without writing to it, and one that
    /// does not fit the events is never returned.
    ///
    /// # Errors
    ///
    /// As [`VerifyReport::of`].
    pub fn deep(options: &Options) -> Result<VerifyReport, OpenError> {
        VerifyReport::unwatched(options, true)
    }

    fn unwatched(options: &Options, deep: bool) -> Result<VerifyReport, OpenError> {
        let report = verify(options, deep, &mut |_| ControlFlow::Continue(()))?;
        Ok(report.expect("only a break ends it"))
    }

    /// As [`VerifyReport::deep`], or as [`VerifyReport::of`], and says after each segment how far it is. None when `watch`
    /// ended it.
    ///
    /// ```
    /// # use std::ops::ControlFlow;
    /// # use annals::{EventStore, Options, VerifyReport};
    /// # let dir = tempfile::tempdir()?;
    /// # EventStore::open(Options::new(dir.path()))?.close()?;
    /// let report = VerifyReport::watched(&Options::new(dir.path()), false, |progress| {
    ///     println!("{} of {} segments", progress.report.segments, progress.segments);
    ///     ControlFlow::Continue(())
    /// })?;
    /// assert!(report.is_some_and(|report| report.is_clean()));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`VerifyReport::of`].
    pub fn watched(
        options: &Options,
        deep: bool,
        mut watch: impl FnMut(VerifyProgress<'_>) -> ControlFlow<()>,
    ) -> Result<Option<VerifyReport>, OpenError> {
        verify(options, deep, &mut watch)
    }
}

/// Who is told how far it is, and may end it.
type Watch<'a> = dyn FnMut(VerifyProgress<'_>) -> ControlFlow<()> + 'a;

fn verify(options: &Options, deep: bool, watch: &mut Watch<'_>) -> Result<Option<VerifyReport>, OpenError> {
    let evidence = Evidence::gather(options.disk.as_ref(), &options.dir)?;
    let mut verifier = Verifier {
        options,
        deep: deep.then(|| Deep::new(&evidence.term_key)),
        evidence,
        report: VerifyReport::default(),
        before: Before::FIRST,
        gap: None,
        end: None,
    };
    if let Err(OpenError::Unfinished { path }) = unfinished::check(options.disk.as_ref(), &options.dir) {
        verifier.report.fault(path, 0, "the salvage into this directory was not finished");
    }
    let mut wanted = SegmentNumber::FIRST;
    let numbers = verifier.evidence.numbers.clone();
    let segments = numbers.len() as u64;
    for number in numbers {
        verifier.missing(wanted, number);
        verifier.segment(number)?;
        wanted = number.next();
        if watch(VerifyProgress { report: &verifier.report, segments }).is_break() {
            return Ok(None);
        }
    }
    verifier.end(wanted);
    if deep {
        leftovers::look_at(
            options,
            &verifier.evidence,
            verifier.before.next.previous(),
            &mut verifier.report,
        )?;
    }
    let mut report = verifier.report;
    if let Some(deep) = verifier.deep {
        report.streams = deep.streams();
        report.faults_left_out = deep.left_out();
    }
    if report.faults.is_empty() {
        check_as_reader(options, &mut report)?;
    }
    Ok(Some(report))
}

/// What is carried from segment to segment.
struct Verifier<'a> {
    options: &'a Options,
    evidence: Evidence,
    report: VerifyReport,
    deep: Option<Deep>,
    before: Before,
    /// The fault that explains positions that are missing before the next frame.
    gap: Option<usize>,
    /// Where the log ends, and what stands there.
    end: Option<(PathBuf, u64, String)>,
}

impl Verifier<'_> {
    /// Tells of the segments from `wanted` to before `found`.
    fn missing(&mut self, wanted: SegmentNumber, found: SegmentNumber) {
        if wanted < found {
            let path = segment_path(&log_dir(&self.options.dir), wanted);
            let what = match wanted.next() == found {
                true => format!("the segment is missing, but segment {found} is there"),
                false => format!("the segments from {wanted} to before {found} are missing"),
            };
            self.gap.get_or_insert(self.report.faults.len());
            self.report.fault(path, 0, what);
            self.before.chain = None;
        }
    }

    fn segment(&mut self, number: SegmentNumber) -> Result<(), OpenError> {
        let path = segment_path(&log_dir(&self.options.dir), number);
        let wreck = Wreck::open(self.options.disk.as_ref(), &path, number)?;
        self.report.segments += 1;
        for (offset, what) in &wreck.faults {
            self.report.fault(&path, *offset, what);
        }
        let of_another = if !wreck.is_of(self.evidence.store) {
            Some("the segment belongs to another store".to_owned())
        } else if wreck.segment.number() != number {
            Some(format!("it is segment {}, wanted segment {number}", wreck.segment.number()))
        } else {
            None
        };
        if let Some(what) = of_another {
            self.gap.get_or_insert(self.report.faults.len());
            self.report.fault(&path, 0, what);
            self.before.chain = None;
        } else if self.evidence.last_used.is_none_or(|last| number > last) {
            self.unused(&wreck)?;
        } else {
            SegmentCheck::new(self, &wreck, number).run()?;
        }
        for unreadable in wreck.unreadable() {
            let what = format!("bytes up to {} cannot be read: {}", unreadable.end, unreadable.why);
            self.report.fault(&path, unreadable.offset, what);
        }
        Ok(())
    }

    /// A segment behind the last that is in use: made ahead of need, or its first write was torn, or it is damaged.
    fn unused(&mut self, wreck: &Wreck) -> Result<(), Error> {
        let segment = &wreck.segment;
        let fault = segment.frame(FRAMES_AT)?.err().map_or_else(String::new, |fault| fault.to_string());
        let what = format!("no valid OPEN frame begins the segment: {fault}");
        if segment.end_of_bytes(FRAMES_AT)?.is_some() {
            self.report.note(&segment.path, "a first write that was torn; the next writer removes the file");
        }
        self.end.get_or_insert((segment.path.clone(), FRAMES_AT, what));
        Ok(())
    }

    /// Tells what is missing at the end of the log. `behind` is the segment that would come next.
    fn end(&mut self, behind: SegmentNumber) {
        let (first, last) = (self.before.next, self.evidence.durable);
        if first > last {
            return;
        }
        let (path, offset, what) = self.end.take().unwrap_or_else(|| {
            let path = segment_path(&log_dir(&self.options.dir), behind);
            (path, 0, "the segment is missing".to_owned())
        });
        let what = format!(
            "{what}; readable up to position {}, but position {last} was acknowledged",
            first.previous()
        );
        self.report.fault(path, offset, what).of_positions(first, last);
    }
}

/// Opens the log as a reader would: the ends of segments must fit, and nothing acknowledged be missing.
fn check_as_reader(options: &Options, report: &mut VerifyReport) -> Result<(), OpenError> {
    let search = Search {
        disk: options.disk.clone(),
        dir: &options.dir,
        segment_bytes: options.segment_bytes,
        prewrites: false,
        read_only: true,
        create: false,
    };
    let found = recover(&search, &mut |_, _| Ok(())).map(|recovered| recovered.lost);
    let error = match found {
        Ok(lost) => lost.as_ref().map(Lost::to_error),
        Err(OpenError::Store(error)) => Some(error),
        Err(error) => return Err(error),
    };
    match error {
        None => Ok(()),
        Some(Error::Damaged { path, offset, what }) => {
            report.fault(path, offset, what);
            Ok(())
        }
        Some(error) => Err(error.into()),
    }
}

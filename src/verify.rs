//! Verify: reads every byte of a store and says everything that is not as `docs/format.md` wants it. Changes nothing.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::{Error, OpenError};
use crate::format::segment::FRAMES_AT;
use crate::format::{FrameKind, SegmentNumber};
use crate::index::{Indexing, Part, Sealed, TermHasher};
use crate::log::{Lost, Scanned, Search, Segment, log_dir, recover, scan, segment_number, segment_path};
use crate::options::Options;
use crate::vfs::OpenMode;

/// One thing that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Fault {
    /// The file.
    pub path: PathBuf,
    /// Where in it.
    pub offset: u64,
    /// What was wanted and what was found.
    pub what: String,
}

/// What `verify` found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct VerifyReport {
    /// Every fault.
    pub faults: Vec<Fault>,
    /// How many segments were read.
    pub segments: u64,
    /// How many frames.
    pub frames: u64,
    /// How many events.
    pub events: u64,
    /// How many bytes of frames.
    pub bytes: u64,
}

impl VerifyReport {
    /// Reads every byte of the store that `options` name. Another process may write to it meanwhile.
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
        let log_dir = log_dir(&options.dir);
        let numbers = numbers(options, &log_dir)?;
        let mut report = VerifyReport::default();
        let mut before: Option<Scanned> = None;
        for number in &numbers {
            let place = place_of(options, &log_dir, *number, &numbers);
            let scanned = match report.read_segment(options, &log_dir, *number, place) {
                Ok(scanned) => scanned,
                Err(OpenError::Store(Error::Damaged { path, offset, what })) => {
                    report.fault(path, offset, what);
                    None
                }
                Err(error) => return Err(error),
            };
            if let (Some(before), Some(scanned)) = (&before, &scanned) {
                report.check_order(&segment_path(&log_dir, *number), before, scanned);
            }
            before = scanned;
        }
        if report.faults.is_empty() {
            report.check_end(options)?;
        }
        Ok(report)
    }

    fn fault(&mut self, path: impl Into<PathBuf>, offset: u64, what: impl Into<String>) {
        self.faults.push(Fault { path: path.into(), offset, what: what.into() });
    }

    /// Reads one segment and its index. None when it holds no frame, as one that was made ahead of need.
    fn read_segment(
        &mut self,
        options: &Options,
        log_dir: &Path,
        number: SegmentNumber,
        place: Place,
    ) -> Result<Option<Scanned>, OpenError> {
        let segment = Segment::open(options.disk.as_ref(), log_dir, number, OpenMode::Read)?;
        let (mut frames, mut events) = (0, 0);
        let scanned = scan(&segment, |frame| {
            frames += 1;
            events += if frame.header.kind == FrameKind::Data { u64::from(frame.header.count) } else { 0 };
            Ok(())
        })?;
        self.segments += 1;
        self.frames += frames;
        self.events += events;
        let Some(scanned) = scanned else {
            // In the last one it may be a first write that is under way, or torn: the end of the log is looked at by itself.
            if place != Place::Last {
                self.fault(&segment.path, FRAMES_AT, "no valid OPEN frame begins the segment");
            }
            return Ok(None);
        };
        self.bytes += scanned.end - FRAMES_AT;
        match scanned.sealed {
            Some((at, crc)) => {
                self.check_index(options, segment, &scanned, Sealed { at, crc, next: scanned.next })
            }
            None if place == Place::Followed => {
                let next = segment_path(log_dir, number.next());
                let fault = scanned.fault.map_or_else(String::new, |fault| fault.to_string());
                let what = format!("the segment ends without SEAL, but {} follows: {fault}", next.display());
                self.fault(&segment.path, scanned.end, what);
            }
            // The end of the log is looked at by itself.
            None => {}
        }
        Ok(Some(scanned))
    }

    fn check_index(&mut self, options: &Options, segment: Segment, scanned: &Scanned, sealed: Sealed) {
        let path = segment.path.with_extension("idx");
        let hasher = TermHasher::new(&segment.header.term_key);
        let indexing = Indexing { disk: options.disk.clone(), hasher, read_only: true };
        let part = Part::sealed(Arc::new(segment), scanned.first, sealed, Arc::new(indexing));
        if !part.index_is_whole() {
            self.fault(
                path,
                0,
                "the index does not fit its segment; it is rebuilt when it is used, or delete it",
            );
        }
    }

    /// Checks that one segment continues the one before it.
    fn check_order(&mut self, path: &Path, before: &Scanned, scanned: &Scanned) {
        let offset = FRAMES_AT;
        // Without SEAL it was still being written to when it was read, and its events since then are not counted.
        let Some((_, seal_crc)) = before.sealed else { return };
        if scanned.first != before.next {
            let what = format!("the segment begins at position {}, wanted {}", scanned.first, before.next);
            self.fault(path, offset, what);
        }
        if seal_crc != scanned.first_chain {
            self.fault(path, offset, "the segment does not continue the one before it");
        }
    }

    /// Opens the log as a reader would: the ends of segments must fit, and nothing acknowledged be missing.
    fn check_end(&mut self, options: &Options) -> Result<(), OpenError> {
        let search = Search {
            disk: options.disk.clone(),
            dir: &options.dir,
            segment_bytes: options.segment_bytes,
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
                self.fault(path, offset, what);
                Ok(())
            }
            Some(error) => Err(error.into()),
        }
    }
}

/// What stands behind a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Nothing.
    Last,
    /// One that was made ahead of need, and holds nothing.
    BeforeBlank,
    /// One that is in use, so that this one must end in a SEAL.
    Followed,
}

/// Looked up before the segment is read: a writer seals it before it uses the next one.
fn place_of(options: &Options, log_dir: &Path, number: SegmentNumber, numbers: &[SegmentNumber]) -> Place {
    if numbers.last() == Some(&number) {
        return Place::Last;
    }
    let next = Segment::open(options.disk.as_ref(), log_dir, number.next(), OpenMode::Read);
    match next.is_ok_and(|next| matches!(next.end_of_bytes(FRAMES_AT), Ok(None))) {
        true => Place::BeforeBlank,
        false => Place::Followed,
    }
}

/// The numbers of the segment files that are there.
fn numbers(options: &Options, log_dir: &Path) -> Result<Vec<SegmentNumber>, OpenError> {
    let exists = options.disk.exists(log_dir).map_err(|error| Error::io("look for", log_dir, error))?;
    let names = if exists { options.disk.list(log_dir) } else { Ok(Vec::new()) };
    let names = names.map_err(|error| Error::io("list", log_dir, error))?;
    let mut numbers: Vec<_> = names.iter().filter_map(|name| segment_number(name)).collect();
    numbers.sort();
    if numbers.is_empty() { Err(OpenError::NotFound { path: options.dir.clone() }) } else { Ok(numbers) }
}

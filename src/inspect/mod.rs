//! Inspect: what stands in one file of a store, in order, for people who have to look at it.
//!
//! A file is read by itself, wherever it lies: no store is opened and nothing is written. What it means for the store
//! is `verify`'s business.

mod index;
mod segment;
mod small;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use self::index::IndexWalk;
use self::segment::SegmentWalk;
use crate::error::{Error, OpenError};
use crate::format::segment::HEADER_COPY_AT;
use crate::format::{SegmentNumber, index as index_format, segment as segment_format, state};
use crate::log::LogName;
use crate::vfs::{Disk, DiskFile, OpenMode, RealDisk};

/// One thing in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// Where it begins.
    pub offset: u64,
    /// What it is: a header, a frame, an event.
    pub what: &'static str,
    /// Whether it lies within the finding before it, as an event in its frame.
    pub is_part: bool,
    /// What it says, by name.
    pub fields: Vec<(&'static str, String)>,
    /// What is wrong with it.
    pub fault: Option<String>,
}

impl Finding {
    fn new(offset: u64, what: &'static str) -> Finding {
        Finding { offset, what, is_part: false, fields: Vec::new(), fault: None }
    }

    fn with(mut self, name: &'static str, value: impl ToString) -> Finding {
        self.fields.push((name, value.to_string()));
        self
    }

    fn wrong(mut self, fault: Option<impl ToString>) -> Finding {
        self.fault = fault.map(|fault| fault.to_string());
        self
    }
}

/// How to look at a file.
///
/// ```
/// # use annals::{EventStore, Inspect, Options};
/// # let dir = tempfile::tempdir()?;
/// # EventStore::open(Options::new(dir.path()))?.close()?;
/// for finding in Inspect::file(dir.path().join("log/0000000001.seg")).read()? {
///     let finding = finding?;
///     println!("{} {}", finding.offset, finding.what);
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Inspect {
    path: PathBuf,
    disk: Arc<dyn Disk>,
    parts: bool,
    from: u64,
}

impl Inspect {
    /// A segment, an index, STATE, LOCK or a tail file.
    pub fn file(path: impl AsRef<Path>) -> Inspect {
        Inspect { path: path.as_ref().to_owned(), disk: Arc::new(RealDisk), parts: false, from: 0 }
    }

    /// Shows each event of a frame, and each term of an index. Default: off.
    #[must_use]
    pub fn parts(mut self, parts: bool) -> Inspect {
        self.parts = parts;
        self
    }

    /// Begins at an offset of a segment instead of its header. Default: 0.
    #[must_use]
    pub fn from(mut self, offset: u64) -> Inspect {
        self.from = offset;
        self
    }

    /// The disk that the file is on. Default: the system's.
    #[must_use]
    pub fn disk(mut self, disk: Arc<dyn Disk>) -> Inspect {
        self.disk = disk;
        self
    }

    /// Opens the file. It is read as the findings are asked for, in bounded memory: the largest frame, or
    /// the longest damaged stretch.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] when it cannot be read, [`Error::Invalid`] when it is no file of annals, and
    /// [`OpenError::Version`] when a later annals wrote it.
    pub fn read(self) -> Result<Findings, OpenError> {
        let (disk, path) = (self.disk.as_ref(), &self.path);
        let file = disk.open(path, OpenMode::Read).map_err(|error| Error::io("open", path, error))?;
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let walk = match Kind::of(name, file.as_ref()) {
            Some(Kind::Segment) => {
                let number = LogName::segment(name).unwrap_or(SegmentNumber::FIRST);
                Walk::Segment(Box::new(SegmentWalk::of_segment(disk, path, number, self.from, self.parts)?))
            }
            Some(Kind::Tail { number, base }) => {
                let walk = SegmentWalk::of_tail(disk, path, file, (number, base), self.from, self.parts)?;
                Walk::Segment(Box::new(walk))
            }
            Some(Kind::Index) => Walk::Index(IndexWalk::new(path, file, self.parts)?),
            Some(Kind::State) => Walk::Made(small::state(file.as_ref()).into_iter()),
            Some(Kind::Lock) => Walk::Made(small::lock(file.as_ref()).into_iter()),
            None => {
                let what = format!(
                    "{} is no segment, index, STATE, LOCK or tail file of annals, by its name or its first bytes",
                    path.display()
                );
                return Err(Error::invalid(what).into());
            }
        };
        Ok(Findings { walk })
    }
}

/// What stands in a file, one thing after the other. After an error it ends.
pub struct Findings {
    walk: Walk,
}

enum Walk {
    Segment(Box<SegmentWalk>),
    Index(IndexWalk),
    Made(std::vec::IntoIter<Finding>),
    Ended,
}

impl Iterator for Findings {
    type Item = Result<Finding, Error>;

    fn next(&mut self) -> Option<Result<Finding, Error>> {
        let found = match &mut self.walk {
            Walk::Segment(walk) => walk.next_finding(),
            Walk::Index(walk) => walk.next_finding(),
            Walk::Made(findings) => Ok(findings.next()),
            Walk::Ended => Ok(None),
        };
        if !matches!(found, Ok(Some(_))) {
            self.walk = Walk::Ended;
        }
        found.transpose()
    }
}

impl std::fmt::Debug for Findings {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Findings").finish_non_exhaustive()
    }
}

/// What kind of file it is.
enum Kind {
    Segment,
    Index,
    State,
    Lock,
    /// Cut out of segment `number` at `base`.
    Tail {
        number: SegmentNumber,
        base: u64,
    },
}

impl Kind {
    /// By the first bytes, whatever the name; where they are damaged, by the name.
    fn of(name: &str, file: &dyn DiskFile) -> Option<Kind> {
        for offset in [0, HEADER_COPY_AT] {
            let mut magic = [0; 8];
            if file.read_exact_at(&mut magic, offset).is_err() {
                continue;
            }
            match magic {
                segment_format::MAGIC => return Some(Kind::Segment),
                index_format::MAGIC => return Some(Kind::Index),
                state::MAGIC => return Some(Kind::State),
                _ if offset == 0 && magic.starts_with(b"process ") => return Some(Kind::Lock),
                _ => {}
            }
        }
        match name {
            "STATE" => Some(Kind::State),
            "LOCK" => Some(Kind::Lock),
            _ if name.ends_with(".seg") => Some(Kind::Segment),
            _ if name.ends_with(".idx") => Some(Kind::Index),
            _ => match LogName::of(name) {
                LogName::Tail { number, offset } => Some(Kind::Tail { number, base: offset }),
                _ => None,
            },
        }
    }
}

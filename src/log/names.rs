//! The names in the log's directory: what a file is by its name, and the names of segments and tails.
//!
//! What stands in a file is not known here; a name may lie.

use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::format::SegmentNumber;
use crate::vfs::Disk;

/// What a file in the log's directory is, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogName {
    Segment(SegmentNumber),
    Index(SegmentNumber),
    /// A copy of what stood behind the last whole frame, at `offset` of a segment.
    Tail {
        number: SegmentNumber,
        offset: u64,
    },
    /// A file that is being made.
    Temporary,
    /// Not a name that the log gives.
    Other,
}

impl LogName {
    pub(crate) fn of(name: &str) -> LogName {
        let found = match name.rsplit_once('.') {
            Some((digits, "seg")) => number(digits).map(LogName::Segment),
            Some((digits, "idx")) => number(digits).map(LogName::Index),
            Some((tail, "bin")) => of_tail(tail),
            Some((_, "tmp")) => Some(LogName::Temporary),
            _ => None,
        };
        found.unwrap_or(LogName::Other)
    }

    /// The number of a segment.
    pub(crate) fn segment(name: &str) -> Option<SegmentNumber> {
        match LogName::of(name) {
            LogName::Segment(number) => Some(number),
            _ => None,
        }
    }
}

/// A number as names have it: no other digits stand for the same.
fn number(digits: &str) -> Option<SegmentNumber> {
    let number = digits.parse().ok().filter(|number| *number > 0)?;
    (format!("{number:010}") == digits).then_some(SegmentNumber(number))
}

/// A tail's number and offset; a third part counts the tails that stood at one place.
fn of_tail(name: &str) -> Option<LogName> {
    let mut parts = name.strip_prefix("tail-")?.split('-');
    let (number, offset) = (number(parts.next()?)?, parts.next()?.parse().ok()?);
    let copy: Option<Result<u32, _>> = parts.next().map(str::parse);
    let is_whole = parts.next().is_none() && copy.is_none_or(|copy| copy.is_ok_and(|copy| copy > 1));
    is_whole.then_some(LogName::Tail { number, offset })
}

/// Where a segment lies.
pub(crate) fn segment_path(log_dir: &Path, number: SegmentNumber) -> PathBuf {
    log_dir.join(format!("{number:010}.seg"))
}

/// Where copy `copy`, counted from 1, of what stood at an offset of a segment lies.
pub(crate) fn tail_path(log_dir: &Path, number: SegmentNumber, offset: u64, copy: u32) -> PathBuf {
    match copy {
        1 => log_dir.join(format!("tail-{number:010}-{offset}.bin")),
        _ => log_dir.join(format!("tail-{number:010}-{offset}-{copy}.bin")),
    }
}

/// The numbers of the segment files in a directory, rising.
pub(crate) fn segment_numbers(disk: &dyn Disk, log_dir: &Path) -> Result<Vec<SegmentNumber>, Error> {
    let names = disk.list(log_dir).map_err(|error| Error::io("list", log_dir, error))?;
    let mut numbers: Vec<_> = names.iter().filter_map(|name| LogName::segment(name)).collect();
    numbers.sort();
    Ok(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_the_log_gives_is_known_again_and_no_other_is() {
        let known = |path: PathBuf| LogName::of(&path.file_name().unwrap().to_string_lossy());
        let dir = Path::new("log");
        for number in [1, 42, 9_999_999_999, 10_000_000_000].map(SegmentNumber) {
            let segment = segment_path(dir, number);
            assert_eq!(known(segment.with_extension("idx")), LogName::Index(number));
            assert_eq!(known(segment.with_extension("seg.tmp")), LogName::Temporary);
            assert_eq!(known(segment), LogName::Segment(number));
            for copy in [1, 2, 30] {
                let tail = known(tail_path(dir, number, 8288, copy));
                assert_eq!(tail, LogName::Tail { number, offset: 8288 }, "copy {copy}");
            }
        }
        let others = [
            "0000000000.seg",
            "1.seg",
            "+000000001.seg",
            "00000000001.seg",
            "0000000001.SEG",
            ".seg",
            "x.idx",
            "tail-0000000001.bin",
            "tail-1-8288.bin",
            "tail-0000000001-8288-1.bin",
            "tail-0000000001-8288-2-3.bin",
            "tail-0000000001-x.bin",
            "seg",
            "",
        ];
        assert!(others.iter().all(|name| LogName::of(name) == LogName::Other));
    }
}

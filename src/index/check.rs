//! Checking the index file of a sealed segment: its checksums, and that it says what the log says.
//!
//! Nothing here mends: an index that is wrong is built again by whoever uses it. Files are read by calls, not mapped,
//! until their checksums are known to be right.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::build::{encode, read_segment, wanted};
use super::file::FileIndex;
use super::memory::Previous;
use super::part::Sealed;
use super::term::TermHasher;
use crate::error::Error;
use crate::format::HeaderFault;
use crate::format::index::{BLOCK, HEADER_LEN, INDEX_VERSION, IndexHeader};
use crate::log::Segment;
use crate::model::Position;
use crate::vfs::{Disk, DiskFile, OpenMode};

/// The sections and what comes after them, in their order.
pub(crate) const SECTION_NAMES: [&str; 9] = [
    "the offsets",
    "the term directory",
    "the term table",
    "the postings",
    "the id directory",
    "the id table",
    "the filter",
    "the times",
    "the block checksums",
];

type Opened = (Arc<dyn DiskFile>, u64);

/// Something that is wrong with an index file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct IndexFault {
    pub(crate) offset: u64,
    pub(crate) what: String,
}

impl IndexFault {
    fn new(offset: u64, what: impl Into<String>) -> IndexFault {
        IndexFault { offset, what: what.into() }
    }
}

/// An index file to be checked.
pub(crate) struct IndexCheck<'a> {
    pub(crate) path: PathBuf,
    disk: &'a dyn Disk,
    segment: &'a Segment,
    wanted: IndexHeader,
}

impl<'a> IndexCheck<'a> {
    /// Of a segment whose first position and SEAL are known.
    pub(crate) fn new(
        disk: &'a dyn Disk,
        segment: &'a Segment,
        first: Position,
        sealed: Sealed,
    ) -> IndexCheck<'a> {
        let events = sealed.next.since(first) as u32;
        let wanted = wanted(segment, first, sealed.crc, events);
        IndexCheck { path: segment.path.with_extension("idx"), disk, segment, wanted }
    }

    /// Checks every byte against its checksum, and the header against the segment. A file that is not there is right.
    pub(crate) fn blocks(&self) -> Result<Vec<IndexFault>, Error> {
        let Some((file, len)) = self.open()? else { return Ok(Vec::new()) };
        let header = match read_header(file.as_ref()) {
            Ok(Some(header)) => header,
            Ok(None) => return Ok(Vec::new()),
            Err(fault) => return Ok(vec![fault]),
        };
        if !header.is_about(&self.wanted) {
            return Ok(vec![IndexFault::new(
                0,
                "the header is that of another index: it does not fit its segment",
            )]);
        }
        if len != header.file_len() {
            let what = format!("the file has {len} bytes, wanted {}", header.file_len());
            return Ok(vec![IndexFault::new(len.min(header.file_len()), what)]);
        }
        Ok(check_blocks(file.as_ref(), &header))
    }

    /// Compares every entry with one built from the log. The log must be whole, and the checksums right.
    ///
    /// `previous` tells which segment before this one holds a stream; without it, what the file says of that is taken.
    pub(crate) fn entries(
        &self,
        hasher: &TermHasher,
        previous: Option<&dyn Fn(u128) -> u64>,
    ) -> Result<Option<IndexFault>, Error> {
        let Some((file, len)) = self.open()? else { return Ok(None) };
        let unusable = || Some(IndexFault::new(0, "the index does not fit its segment"));
        if let Ok(None) = read_header(file.as_ref()) {
            return Ok(None);
        }
        let Ok(found) = FileIndex::open(self.disk, &self.path, &self.wanted) else { return Ok(unusable()) };
        let memory = read_segment(self.segment, hasher)?;
        let number = self.segment.number().0;
        let built = encode(&memory, self.segment, self.wanted.clone(), |hash| {
            let row = found.term(hash).ok().flatten().and_then(|row| row.stream);
            match row.map_or(0, |stream| stream.back) {
                // A link that was not known is none that could be wrong.
                0 => Previous::Unknown,
                back => {
                    Previous::Segment(previous.map_or(number - back.min(number), |previous| previous(hash)))
                }
            }
        })?;
        if len != built.len() as u64 {
            let what = format!("the file has {len} bytes, wanted {}", built.len());
            return Ok(Some(IndexFault::new(len.min(built.len() as u64), what)));
        }
        let mut bytes = [0; BLOCK];
        // The header last: its checksum differs wherever anything does.
        let blocks = built.chunks(BLOCK).enumerate();
        for (number, wanted) in blocks.clone().skip(1).chain(blocks.take(1)) {
            let (at, found) = ((number * BLOCK) as u64, &mut bytes[..wanted.len()]);
            read(&self.path, file.as_ref(), found, at)?;
            if let Some(place) = found.iter().zip(wanted).position(|(found, wanted)| found != wanted) {
                let offset = at + place as u64;
                let what = format!("{} says something else than the log", section_of(&built, offset));
                return Ok(Some(IndexFault::new(offset, what)));
            }
        }
        Ok(None)
    }

    /// The file and its length.
    fn open(&self) -> Result<Option<Opened>, Error> {
        let path = &self.path;
        let file = match self.disk.open(path, OpenMode::Read) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::io("open", path, error)),
        };
        let len = file.len().map_err(|error| Error::io("measure", path, error))?;
        Ok(Some((file, len)))
    }
}

fn read(path: &Path, file: &dyn DiskFile, buffer: &mut [u8], offset: u64) -> Result<(), Error> {
    file.read_exact_at(buffer, offset).map_err(|error| Error::io("read", path, error))
}

/// The header; none of an index of an earlier version, which is no fault: it is built again when it is used.
fn read_header(file: &dyn DiskFile) -> Result<Option<IndexHeader>, IndexFault> {
    let mut bytes = [0; HEADER_LEN];
    file.read_exact_at(&mut bytes, 0).map_err(|error| IndexFault::new(0, format!("the header: {error}")))?;
    match IndexHeader::decode(&bytes) {
        Ok(header) => Ok(Some(header)),
        Err(HeaderFault::IndexVersion { found }) if found < INDEX_VERSION => Ok(None),
        Err(fault) => Err(IndexFault::new(0, fault.to_string())),
    }
}

/// Every block that does not have its checksum.
pub(crate) fn check_blocks(file: &dyn DiskFile, header: &IndexHeader) -> Vec<IndexFault> {
    let at = header.checksums_at();
    let mut checksums = vec![0; header.blocks() * 4];
    if let Err(error) = file.read_exact_at(&mut checksums, at) {
        return vec![IndexFault::new(at, format!("the block checksums: {error}"))];
    }
    let found = crc32fast::hash(&checksums);
    if found != header.blocks_crc {
        let what =
            format!("checksum of the block checksums {found:#010x}, wanted {:#010x}", header.blocks_crc);
        return vec![IndexFault::new(at, what)];
    }
    let mut faults = Vec::new();
    for (number, wanted) in checksums.chunks_exact(4).enumerate() {
        let wanted = u32::from_le_bytes([wanted[0], wanted[1], wanted[2], wanted[3]]);
        let offset = ((number + 1) * BLOCK) as u64;
        let mut block = [0; BLOCK];
        match file.read_exact_at(&mut block, offset) {
            Ok(()) if crc32fast::hash(&block) == wanted => {}
            Ok(()) => {
                let found = crc32fast::hash(&block);
                faults.push(IndexFault::new(
                    offset,
                    format!("block checksum {found:#010x}, wanted {wanted:#010x}"),
                ));
            }
            Err(error) => faults.push(IndexFault::new(offset, format!("a block cannot be read: {error}"))),
        }
    }
    faults
}

/// What stands at an offset of an index file.
fn section_of(built: &[u8], offset: u64) -> &'static str {
    let header = built.first_chunk().and_then(|bytes| IndexHeader::decode(bytes).ok());
    let layout = header.map(|header| header.layout()).unwrap_or_default();
    match layout.iter().rposition(|at| *at <= offset) {
        Some(section) if offset >= BLOCK as u64 => SECTION_NAMES[section],
        _ => "the header",
    }
}

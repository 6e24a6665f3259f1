//! An index file: its header, its sections, blocks that are damaged, and the terms that it names by hash.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Finding;
use crate::error::Error;
use crate::format::index::row::{TermRow, known_bytes};
use crate::format::index::{HEADER_LEN, IndexHeader, Section};
use crate::index::{SECTION_NAMES, check_blocks};
use crate::vfs::DiskFile;

pub(super) struct IndexWalk {
    made: VecDeque<Finding>,
    rows: Option<Rows>,
}

impl IndexWalk {
    pub(super) fn new(path: &Path, file: Arc<dyn DiskFile>, parts: bool) -> Result<IndexWalk, Error> {
        let len = file.len().map_err(|error| Error::io("measure", path, error))?;
        let mut walk = IndexWalk { made: VecDeque::new(), rows: None };
        let mut bytes = [0; HEADER_LEN];
        let header = match file.read_exact_at(&mut bytes, 0) {
            Ok(()) => IndexHeader::decode(&bytes).map_err(|fault| fault.to_string()),
            Err(error) => Err(format!("it cannot be read: {error}")),
        };
        let header = match header {
            Ok(header) => header,
            Err(fault) => {
                walk.made.push_back(Finding::new(0, "index header").wrong(Some(fault)));
                return Ok(walk);
            }
        };
        walk.made.push_back(of_header(&header));
        if len != header.file_len() {
            let what = format!("the file has {len} bytes, wanted {}", header.file_len());
            walk.made.push_back(Finding::new(len, "the end of the file").wrong(Some(what)));
            return Ok(walk);
        }
        let begins = header.layout();
        let ends = begins[1..].iter().copied().chain([len]);
        for ((name, begin), end) in SECTION_NAMES.into_iter().zip(begins).zip(ends) {
            walk.made.push_back(Finding::new(begin, name).with("end", end));
        }
        for fault in check_blocks(file.as_ref(), &header) {
            walk.made.push_back(Finding::new(fault.offset, "a block").wrong(Some(fault.what)));
        }
        walk.rows = parts.then(|| Rows {
            path: path.to_owned(),
            file,
            header,
            slot: 0,
            held: Vec::new(),
            at: 0,
            from: 0,
        });
        Ok(walk)
    }

    pub(super) fn next_finding(&mut self) -> Result<Option<Finding>, Error> {
        if let Some(made) = self.made.pop_front() {
            return Ok(Some(made));
        }
        let Some(rows) = &mut self.rows else { return Ok(None) };
        let finding = rows.next_row()?;
        if finding.as_ref().is_none_or(|finding| finding.fault.is_some()) {
            self.rows = None;
        }
        Ok(finding)
    }
}

/// A walk over the term table, as the directory leads to it.
struct Rows {
    path: PathBuf,
    file: Arc<dyn DiskFile>,
    header: IndexHeader,
    /// The next entry of the directory.
    slot: u64,
    /// The rows that the entry before it leads to, how far they have been told, and where in the file they begin.
    held: Vec<u8>,
    at: usize,
    from: u64,
}

impl Rows {
    fn next_row(&mut self) -> Result<Option<Finding>, Error> {
        let bits = self.header.term_bits.min(32);
        while self.at == self.held.len() {
            if self.slot >> bits > 0 {
                return Ok(None);
            }
            if !self.take_slot()? {
                return Ok(Some(self.broken("the directory leads out of the term table")));
            }
        }
        let like = (self.slot - 1).checked_shl(64 - bits).unwrap_or(0);
        let mut rest = &self.held[self.at..];
        let row = TermRow::decode(&mut rest, known_bytes(bits), u128::from(like) << 64);
        let Some(row) = row else { return Ok(Some(self.broken("a row is cut off"))) };
        let offset = self.from + self.at as u64;
        self.at = self.held.len() - rest.len();
        let what = if row.stream.is_some() { "stream" } else { "term" };
        let mut finding = Finding::new(offset, what)
            .with("hash", format_args!("{:032x}", row.hash))
            .with("count", row.count);
        if let Some(stream) = row.stream {
            finding = finding.with("first_version", stream.first).with("bytes", stream.bytes);
            finding = finding.with("segments_back", stream.back);
        }
        Ok(Some(Finding { is_part: true, ..finding }))
    }

    /// Takes the rows of the next entry of the directory; false when it leads nowhere.
    fn take_slot(&mut self) -> Result<bool, Error> {
        let layout = self.header.layout();
        let begin = layout[Section::TermDirectory as usize] + self.slot * 4;
        let (from, to) = (self.number(begin)?, self.number(begin + 4)?);
        self.slot += 1;
        if from > to || to > self.header.rows_len {
            return Ok(false);
        }
        self.held = vec![0; (to - from) as usize];
        self.at = 0;
        self.from = layout[Section::Terms as usize] + u64::from(from);
        self.file
            .read_exact_at(&mut self.held, self.from)
            .map_err(|error| Error::io("read", &self.path, error))?;
        Ok(true)
    }

    fn number(&self, at: u64) -> Result<u32, Error> {
        let mut bytes = [0; 4];
        self.file.read_exact_at(&mut bytes, at).map_err(|error| Error::io("read", &self.path, error))?;
        Ok(u32::from_le_bytes(bytes))
    }

    fn broken(&self, what: &str) -> Finding {
        Finding::new(self.from + self.at as u64, "the term table").wrong(Some(what.to_owned()))
    }
}

fn of_header(header: &IndexHeader) -> Finding {
    Finding::new(0, "index header")
        .with("segment", header.number)
        .with("store", uuid::Uuid::from_bytes(header.store.0))
        .with("salt", format_args!("{:#018x}", header.salt))
        .with("generation", header.generation)
        .with("seal_crc", format_args!("{:#010x}", header.seal_crc))
        .with("first_position", header.first)
        .with("events", header.events)
        .with("streams", header.streams)
        .with("terms", header.terms)
}

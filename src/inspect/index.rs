//! An index file: its header, its sections, blocks that are damaged, and the streams that it names by hash.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Finding;
use crate::error::Error;
use crate::format::index::{HEADER_LEN, IndexHeader, STREAM_LEN, Section, StreamRow};
use crate::index::check_blocks;
use crate::vfs::DiskFile;

pub(super) struct IndexWalk {
    path: PathBuf,
    file: Arc<dyn DiskFile>,
    made: VecDeque<Finding>,
    /// Where the stream table is, which row comes next, and how many there are.
    rows: (u64, u32, u32),
}

impl IndexWalk {
    pub(super) fn new(path: &Path, file: Arc<dyn DiskFile>, parts: bool) -> Result<IndexWalk, Error> {
        let len = file.len().map_err(|error| Error::io("measure", path, error))?;
        let mut walk =
            IndexWalk { path: path.to_owned(), file: file.clone(), made: VecDeque::new(), rows: (0, 0, 0) };
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
        let fits = len == header.file_len();
        if !fits {
            let what = format!("the file has {len} bytes, wanted {}", header.file_len());
            walk.made.push_back(Finding::new(len, "the end of the file").wrong(Some(what)));
            return Ok(walk);
        }
        let at = header.layout();
        let names = ["offsets", "stream directory", "stream table", "postings", "id directory", "id table"];
        for (name, ends) in names.into_iter().zip(at.windows(2)) {
            walk.made.push_back(Finding::new(ends[0], name).with("end", ends[1]));
        }
        walk.made.push_back(Finding::new(at[6], "block checksums").with("end", len));
        for fault in check_blocks(file.as_ref(), &header) {
            walk.made.push_back(Finding::new(fault.offset, "a block").wrong(Some(fault.what)));
        }
        if parts {
            walk.rows = (at[Section::Streams as usize], 0, header.streams);
        }
        Ok(walk)
    }

    pub(super) fn next_finding(&mut self) -> Result<Option<Finding>, Error> {
        if let Some(made) = self.made.pop_front() {
            return Ok(Some(made));
        }
        let (table, number, rows) = self.rows;
        if number >= rows {
            return Ok(None);
        }
        self.rows.1 += 1;
        let offset = table + u64::from(number) * STREAM_LEN as u64;
        let mut bytes = [0; STREAM_LEN];
        self.file.read_exact_at(&mut bytes, offset).map_err(|error| Error::io("read", &self.path, error))?;
        let row = StreamRow::decode(&bytes);
        let finding = Finding::new(offset, "stream")
            .with("hash", format_args!("{:032x}", row.hash))
            .with("first_version", row.first)
            .with("count", row.count)
            .with("bytes", row.bytes)
            .with("previous_segment", row.previous);
        Ok(Some(Finding { is_part: true, ..finding }))
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
}

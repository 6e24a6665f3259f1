//! Seeds out of the files of a store that was written once: its headers, frames, records and texts.
//!
//! The caller reads the files, since a crate that was published comes without its golden directories.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::bytes::moved_frame;
use crate::format::segment::{self, FRAMES_AT, SegmentHeader};
use crate::format::state::{SLOT_LEN, SLOT_STRIDE};
use crate::format::{FrameHeader, FrameKind, event, frame, index};
use crate::model::{Labels, Timestamp};

/// The longest seed that is taken: longer ones cost more time than they find.
const SEED_BYTES_MAX: usize = 2048;

/// What the files hold that is a seed, by the name of the target.
pub fn seeds_in(files: &[(PathBuf, Vec<u8>)]) -> BTreeMap<&'static str, Vec<Vec<u8>>> {
    let mut cut = Cut::default();
    for (path, bytes) in files {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("seg") => cut.segment(bytes),
            Some("idx") => cut.index(bytes),
            _ if path.ends_with("STATE") => cut.state(bytes),
            _ => {}
        }
    }
    for seeds in cut.0.values_mut() {
        seeds.sort_unstable();
        seeds.dedup();
    }
    cut.0
}

#[derive(Default)]
struct Cut(BTreeMap<&'static str, Vec<Vec<u8>>>);

impl Cut {
    fn add(&mut self, target: &'static str, bytes: &[u8]) {
        if bytes.len() <= SEED_BYTES_MAX {
            self.0.entry(target).or_default().push(bytes.to_vec());
        }
    }

    fn state(&mut self, bytes: &[u8]) {
        for at in [0, SLOT_STRIDE as usize] {
            self.add("state", bytes.get(at..at + SLOT_LEN).unwrap_or_default());
        }
    }

    fn index(&mut self, bytes: &[u8]) {
        self.add("index_header", bytes.get(..index::HEADER_LEN).unwrap_or_default());
        let Some(header) = bytes.first_chunk().and_then(|header| index::IndexHeader::decode(header).ok())
        else {
            return;
        };
        let at = header.layout()[index::Section::Terms as usize] as usize;
        let mut rows = bytes.get(at..at + header.rows_len as usize).unwrap_or_default();
        let known = index::row::known_bytes(header.term_bits);
        while !rows.is_empty() {
            let begin = rows;
            if index::row::TermRow::decode(&mut rows, known, 0).is_none() {
                return;
            }
            let row = &begin[..begin.len() - rows.len()];
            // The target takes the count of known bytes from the first.
            self.add("index_entry", &[&[known as u8], row].concat());
        }
    }

    fn segment(&mut self, bytes: &[u8]) {
        let Some(start) = bytes.first_chunk::<{ segment::HEADER_LEN }>() else { return };
        self.add("segment_header", start);
        let Ok(header) = SegmentHeader::decode(start) else { return };
        let mut at = FRAMES_AT as usize;
        while let Some(start) = bytes.get(at..).and_then(<[u8]>::first_chunk)
            && let Ok((frame, _)) = FrameHeader::decode(start, header.salt, at as u64)
            && let Some(whole) = bytes.get(at..at + frame.len as usize)
        {
            self.add("frame", &moved_frame(whole, frame));
            if frame.kind == FrameKind::Data {
                self.records(&whole[frame::HEADER_LEN..], frame.count);
            }
            at += whole.len();
        }
    }

    fn records(&mut self, body: &[u8], count: u32) {
        let mut at = 0;
        for _ in 0..count {
            let Ok(record) = event::record_at(body, at) else { return };
            self.add("event", record);
            at += record.len();
            let Ok(read) = event::decode(record.to_vec().into(), Timestamp::default()) else { continue };
            self.add("labels", Labels::pack(read.labels()).as_bytes());
            self.add("data", read.data());
            self.add("metadata", read.metadata().unwrap_or_default().as_bytes());
            for name in [read.stream(), read.event_type(), &read.id().to_string()] {
                self.add("names", name.as_bytes());
            }
            self.add("timestamp", read.timestamp().to_string().as_bytes());
        }
    }
}

//! Building the index of a sealed segment out of the segment alone.

use std::collections::HashMap;
use std::path::Path;

use super::memory::{MemoryIndex, NewEntry, Previous};
use super::term::TermHasher;
use crate::error::Error;
use crate::format::event;
use crate::format::index::{BLOCK, IndexHeader, StreamRow, directory_bits, encode_id};
use crate::format::{FrameKind, StoreId};
use crate::log::{Frame, Scanned, Segment, scan};
use crate::model::StreamVersion;
use crate::vfs::{Disk, OpenMode};

/// What the index says, before it has a form.
struct Tables {
    offsets: Vec<u32>,
    /// For each event, its stream's place in `rows`.
    stream_of: Vec<u32>,
    rows: Vec<StreamRow>,
    ids: Vec<(u64, u32)>,
}

/// Adds the events of a frame to the index of the active segment.
pub(crate) fn add_frame(index: &MemoryIndex, frame: &Frame, hasher: &TermHasher) {
    if frame.header.kind != FrameKind::Data {
        return;
    }
    for (offset, record) in frame.records() {
        let Some((stream, id)) = event::stream_and_id(record) else { continue };
        let version = event::version(record);
        index.insert(NewEntry {
            offset,
            stream: hasher.stream(stream),
            version,
            id: hasher.id(id),
            bytes: record.len() as u32,
            previous: if version == StreamVersion::new(1) { Previous::None } else { Previous::Unknown },
        });
    }
}

/// Builds the index file of a sealed segment. `previous` tells which segment before this one holds a stream.
pub(super) fn build_file(
    disk: &dyn Disk,
    path: &Path,
    segment: &Segment,
    header: IndexHeader,
    hasher: &TermHasher,
    previous: impl Fn(u128) -> Result<u64, Error>,
) -> Result<(), Error> {
    let mut tables = read_tables(segment, hasher)?;
    if tables.offsets.len() != header.events as usize {
        let what = format!("{} events could be read, wanted {}", tables.offsets.len(), header.events);
        return Err(segment.damaged(0, what));
    }
    for row in tables.rows.iter_mut().filter(|row| row.first > StreamVersion::new(1)) {
        row.previous = previous(row.hash)?;
    }
    let bytes = encode(tables, header);
    let temporary = path.with_extension("idx.tmp");
    let file =
        disk.open(&temporary, OpenMode::Create).map_err(|error| Error::io("create", &temporary, error))?;
    file.set_len(0)
        .and_then(|()| file.write_all_at(&bytes, 0))
        .and_then(|()| file.sync_data())
        .map_err(|error| Error::io("write", &temporary, error))?;
    disk.rename(&temporary, path).map_err(|error| Error::io("rename", &temporary, error))?;
    let dir = path.parent().unwrap_or(Path::new("."));
    disk.sync_dir(dir).map_err(|error| Error::io("sync", dir, error))
}

fn read_tables(segment: &Segment, hasher: &TermHasher) -> Result<Tables, Error> {
    let mut tables = Tables { offsets: Vec::new(), stream_of: Vec::new(), rows: Vec::new(), ids: Vec::new() };
    let mut known: HashMap<u128, u32> = HashMap::new();
    let scanned = scan(segment, |frame| {
        if frame.header.kind == FrameKind::Data {
            for (offset, record) in frame.records() {
                tables.add(offset, record, hasher, &mut known);
            }
        }
        Ok(())
    })?;
    check_whole(segment, scanned)?;
    Ok(tables)
}

/// Whether a walk over a sealed segment came to its SEAL. An index of less would hide events.
pub(super) fn check_whole(segment: &Segment, scanned: Option<Scanned>) -> Result<(), Error> {
    match scanned {
        Some(scanned) if scanned.sealed.is_some() => Ok(()),
        Some(scanned) => {
            let what = scanned.fault.map_or_else(String::new, |fault| fault.to_string());
            Err(segment.damaged(scanned.end, what))
        }
        None => Err(segment.damaged(crate::format::segment::FRAMES_AT, "the OPEN frame is damaged")),
    }
}

impl Tables {
    fn add(&mut self, offset: u32, record: &[u8], hasher: &TermHasher, known: &mut HashMap<u128, u32>) {
        let Some((stream, id)) = event::stream_and_id(record) else { return };
        let hash = hasher.stream(stream);
        let number = *known.entry(hash).or_insert_with(|| {
            let first = event::version(record);
            self.rows.push(StreamRow { hash, first, bytes: 0, previous: 0, postings: 0, count: 0 });
            self.rows.len() as u32 - 1
        });
        let row = &mut self.rows[number as usize];
        row.count += 1;
        row.bytes += record.len() as u64;
        self.offsets.push(offset);
        self.stream_of.push(number);
        self.ids.push((hasher.id(id), offset));
    }

    /// Brings the rows into the order of their hashes and the postings into the order of the rows.
    fn sort(&mut self) -> Vec<u32> {
        let mut order: Vec<u32> = (0..self.rows.len() as u32).collect();
        order.sort_unstable_by_key(|number| self.rows[*number as usize].hash);
        let mut at = 0;
        for number in &order {
            let row = &mut self.rows[*number as usize];
            row.postings = at;
            at += row.count;
        }
        let mut next: Vec<u32> = self.rows.iter().map(|row| row.postings).collect();
        let mut postings = vec![0; self.offsets.len()];
        for (offset, number) in self.offsets.iter().zip(&self.stream_of) {
            let slot = &mut next[*number as usize];
            postings[*slot as usize] = *offset;
            *slot += 1;
        }
        self.rows.sort_unstable_by_key(|row| row.hash);
        self.ids.sort_unstable();
        postings
    }
}

/// For each value of the first `bits` bits, the first of the sorted hashes that has them or more; and the end.
fn directory(hashes: impl ExactSizeIterator<Item = u64>, bits: u32) -> Vec<u32> {
    let len = hashes.len() as u32;
    let mut slots = vec![0; (1_usize << bits) + 1];
    let mut filled = 0;
    for (number, hash) in hashes.enumerate() {
        let slot = if bits == 0 { 0 } else { (hash >> (64 - bits)) as usize };
        while filled < slot {
            filled += 1;
            slots[filled] = number as u32;
        }
    }
    slots[filled + 1..].fill(len);
    slots
}

fn encode(mut tables: Tables, header: IndexHeader) -> Vec<u8> {
    let postings = tables.sort();
    let mut header = IndexHeader {
        streams: tables.rows.len() as u32,
        stream_bits: directory_bits(tables.rows.len()),
        id_bits: directory_bits(tables.ids.len()),
        ..header
    };
    let layout = header.layout();
    let mut out = Vec::with_capacity(header.file_len() as usize);
    let numbers = |out: &mut Vec<u8>, numbers: &[u32]| {
        numbers.iter().for_each(|number| out.extend_from_slice(&number.to_le_bytes()));
    };
    out.resize(layout[0] as usize, 0);
    numbers(&mut out, &tables.offsets);
    out.resize(layout[1] as usize, 0);
    numbers(&mut out, &directory(tables.rows.iter().map(|row| (row.hash >> 64) as u64), header.stream_bits));
    out.resize(layout[2] as usize, 0);
    tables.rows.iter().for_each(|row| out.extend_from_slice(&row.encode()));
    out.resize(layout[3] as usize, 0);
    numbers(&mut out, &postings);
    out.resize(layout[4] as usize, 0);
    numbers(&mut out, &directory(tables.ids.iter().map(|(hash, _)| *hash), header.id_bits));
    out.resize(layout[5] as usize, 0);
    tables.ids.iter().for_each(|(hash, offset)| out.extend_from_slice(&encode_id(*hash, *offset)));
    out.resize(layout[6] as usize, 0);

    let checksums: Vec<u32> = out[BLOCK..].chunks_exact(BLOCK).map(crc32fast::hash).collect();
    let blocks_at = out.len();
    numbers(&mut out, &checksums);
    header.blocks_crc = crc32fast::hash(&out[blocks_at..]);
    out[..crate::format::index::HEADER_LEN].copy_from_slice(&header.encode());
    out
}

/// What an index file about a segment must say of it; the rest is known once it is built.
pub(super) fn wanted(
    segment: &Segment,
    store: StoreId,
    first: crate::model::Position,
    seal_crc: u32,
    events: u32,
) -> IndexHeader {
    IndexHeader {
        store,
        number: segment.number(),
        salt: segment.header.salt,
        generation: segment.header.generation,
        seal_crc,
        first,
        events,
        streams: 0,
        stream_bits: 0,
        id_bits: 0,
        blocks_crc: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_leads_to_every_hash() {
        for (count, bits) in [(0_u64, 0), (1, 0), (1, 3), (100, 4), (1000, 7)] {
            let mut hashes: Vec<u64> = (0..count).map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15)).collect();
            hashes.sort_unstable();
            let slots = directory(hashes.iter().copied(), bits);
            for (number, hash) in hashes.iter().enumerate() {
                let slot = if bits == 0 { 0 } else { (hash >> (64 - bits)) as usize };
                assert!((slots[slot]..slots[slot + 1]).contains(&(number as u32)));
            }
            assert_eq!(slots.last(), Some(&(count as u32)));
        }
    }
}

//! Building the index file of a sealed segment, out of its index in memory.

use super::memory::{MemoryIndex, Previous};
use super::place::Place;
use super::refill::Refill;
use super::term::TermHasher;
use crate::error::Error;
use crate::format::event;
use crate::format::index::filter::{self, BLOCK_LEN};
use crate::format::index::row::{StreamRow, TermRow, known_bytes};
use crate::format::index::{
    BLOCK, HEADER_LEN, IndexHeader, TIME_STEP, directory_bits, encode_id, postings, slot,
};
use crate::log::{Scanned, Segment, scan};
use crate::model::{Position, StreamVersion, Timestamp};

/// Reads a sealed segment into an index.
pub(super) fn read_segment(segment: &Segment, hasher: &TermHasher) -> Result<MemoryIndex, Error> {
    let mut refill = Refill::new(MemoryIndex::new(segment.header.capacity, u64::MAX), hasher.clone());
    let scanned = scan(segment, |frame| {
        refill.add(frame);
        Ok(())
    })?;
    check_whole(segment, scanned)?;
    Ok(refill.finish())
}

/// Whether a walk over a sealed segment came to its SEAL. An index of less would hide events.
fn check_whole(segment: &Segment, scanned: Option<Scanned>) -> Result<(), Error> {
    let Some(scanned) = scanned else {
        return Err(
            segment.damaged(crate::format::segment::FRAMES_AT, "no valid OPEN frame begins the segment")
        );
    };
    match scanned.sealed {
        Some(_) => Ok(()),
        None => {
            let fault = scanned.fault.map_or_else(|| "it has no SEAL".to_owned(), |fault| fault.to_string());
            Err(segment.damaged(scanned.end, fault))
        }
    }
}

/// The bytes of the index file of `segment`, whose events `index` holds. `header` says what [`wanted`] knows; `previous`
/// tells where a stream lay before this segment, and is asked where `index` does not know.
pub(super) fn encode(
    index: &MemoryIndex,
    segment: &Segment,
    header: IndexHeader,
    previous: impl Fn(u128) -> Previous,
) -> Result<Vec<u8>, Error> {
    if index.events() != header.events {
        let what = format!("{} events could be read, wanted {}", index.events(), header.events);
        return Err(segment.damaged(0, what));
    }
    let terms = Terms::gather(index, segment.number().0, previous);
    let ids = Ids::gather(index);
    let header = IndexHeader {
        terms: terms.count,
        streams: terms.streams,
        begun: terms.begun,
        term_bits: terms.bits,
        id_bits: ids.bits,
        filter_blocks: (terms.filter.len() / BLOCK_LEN) as u32,
        rows_len: length(segment, terms.rows.len())?,
        postings_len: length(segment, terms.postings.len())?,
        removed: index.events() - ids.count,
        ..header
    };
    let sections = [
        numbers((0..index.events()).map(|ordinal| index.place(ordinal).number())),
        numbers(terms.directory),
        terms.rows,
        terms.postings,
        numbers(ids.directory),
        ids.entries,
        terms.filter,
        times(index, segment)?,
    ];
    Ok(put_together(header, sections))
}

/// A length that the header can say.
fn length(segment: &Segment, len: usize) -> Result<u32, Error> {
    u32::try_from(len).map_err(|_| {
        let path = segment.path.display();
        Error::invalid(format!("the events of {path} have more terms than an index can hold"))
    })
}

/// Header, sections and checksums, each where the format wants it.
fn put_together(mut header: IndexHeader, sections: [Vec<u8>; 8]) -> Vec<u8> {
    let layout = header.layout();
    let mut out = Vec::with_capacity(header.file_len() as usize);
    for (at, section) in layout.iter().zip(sections) {
        out.resize(*at as usize, 0);
        out.extend_from_slice(&section);
    }
    out.resize(header.checksums_at() as usize, 0);
    let checksums = numbers(out[BLOCK..].chunks_exact(BLOCK).map(crc32fast::hash).collect::<Vec<_>>());
    header.blocks_crc = crc32fast::hash(&checksums);
    out.extend_from_slice(&checksums);
    out[..HEADER_LEN].copy_from_slice(&header.encode());
    out
}

fn numbers(numbers: impl IntoIterator<Item = u32>) -> Vec<u8> {
    numbers.into_iter().flat_map(u32::to_le_bytes).collect()
}

/// The commit time of every event whose ordinal is a multiple of [`TIME_STEP`].
fn times(index: &MemoryIndex, segment: &Segment) -> Result<Vec<u8>, Error> {
    let mut out = Vec::new();
    for ordinal in (0..index.events()).step_by(TIME_STEP as usize) {
        let time = commit_time(segment, index.place(ordinal))?;
        out.extend_from_slice(&time.as_nanos().to_le_bytes());
    }
    Ok(out)
}

/// When what is at a place was committed: its frame says it.
pub(super) fn commit_time(segment: &Segment, place: Place) -> Result<Timestamp, Error> {
    let mut frame = u64::from(place.offset());
    if !place.is_removed() {
        let record = segment.array::<{ event::HEADER_LEN }>(frame)?;
        frame = frame.saturating_sub(event::frame_back(&record).into());
    }
    let header = segment.frame_header(frame)?;
    header.map(|(header, _)| header.commit_time).map_err(|fault| segment.damaged(frame, fault))
}

/// What is found by terms.
struct Terms {
    count: u32,
    streams: u32,
    begun: u32,
    bits: u32,
    directory: Vec<u32>,
    rows: Vec<u8>,
    postings: Vec<u8>,
    filter: Vec<u8>,
}

impl Terms {
    fn gather(index: &MemoryIndex, segment: u64, previous: impl Fn(u128) -> Previous) -> Terms {
        let mut sorted: Vec<(u128, u32)> =
            (0..index.terms()).map(|number| (index.hash_of(number), number)).collect();
        sorted.sort_unstable();
        let bits = directory_bits(sorted.len());
        let filter_blocks = filter::blocks_for(sorted.len() as u32);
        let mut terms = Terms {
            count: sorted.len() as u32,
            streams: 0,
            begun: 0,
            bits,
            directory: Vec::with_capacity((1 << bits) + 1),
            rows: Vec::new(),
            postings: Vec::new(),
            filter: vec![0; filter_blocks as usize * BLOCK_LEN],
        };
        let (filter, _) = terms.filter.as_chunks_mut::<BLOCK_LEN>();
        let mut ordinals = Vec::new();
        for (hash, number) in sorted {
            while terms.directory.len() as u64 <= slot((hash >> 64) as u64, bits) {
                terms.directory.push(terms.rows.len() as u32);
            }
            filter::add(&mut filter[filter::block_of(hash, filter_blocks) as usize], hash);
            let Some(here) = index.term_of(number, u32::MAX) else { continue };
            ordinals.clear();
            index.ordinals(&here, 0, here.count, &mut ordinals);
            let at = terms.postings.len() as u32;
            if here.count > 1 {
                postings::encode(&ordinals, &mut terms.postings);
            }
            let stream = index.stream_facts(&here).map(|facts| {
                let known = match facts.previous {
                    _ if facts.first == StreamVersion::new(1) => Previous::None,
                    Previous::None | Previous::Unknown => previous(hash),
                    known => known,
                };
                let back = if let Previous::Segment(number) = known { segment - number } else { 0 };
                StreamRow { first: facts.first, bytes: facts.bytes, back }
            });
            terms.streams += u32::from(stream.is_some());
            let begins = here.count > 0 && stream.is_some_and(|stream| stream.first == StreamVersion::new(1));
            terms.begun += u32::from(begins);
            let postings = if here.count == 1 { ordinals[0] } else { at };
            TermRow { hash, count: here.count, postings, stream }.encode(known_bytes(bits), &mut terms.rows);
        }
        terms.directory.resize((1 << bits) + 1, terms.rows.len() as u32);
        terms
    }
}

/// What is found by ids.
struct Ids {
    count: u32,
    bits: u32,
    directory: Vec<u32>,
    entries: Vec<u8>,
}

impl Ids {
    fn gather(index: &MemoryIndex) -> Ids {
        let held: Vec<u32> =
            (0..index.events()).filter(|ordinal| !index.place(*ordinal).is_removed()).collect();
        let (count, bits) = (held.len() as u32, directory_bits(held.len()));
        let mut ids =
            Ids { count, bits, directory: Vec::with_capacity((1 << bits) + 1), entries: Vec::new() };
        let of = |ordinal| (slot(index.id_of(ordinal), bits), index.id_of(ordinal) as u32, ordinal);
        let mut sorted: Vec<(u64, u32, u32)> = held.into_iter().map(of).collect();
        sorted.sort_unstable();
        for (number, (slot, hash, ordinal)) in (0..).zip(sorted) {
            while ids.directory.len() as u64 <= slot {
                ids.directory.push(number);
            }
            ids.entries.extend_from_slice(&encode_id(hash, ordinal));
        }
        ids.directory.resize((1 << bits) + 1, count);
        ids
    }
}

/// What an index file about a segment must say of it; the rest is known once it is built.
pub(super) fn wanted(segment: &Segment, first: Position, seal_crc: u32, events: u32) -> IndexHeader {
    IndexHeader {
        store: segment.header.store,
        number: segment.number(),
        salt: segment.header.salt,
        generation: segment.header.rewritten.generation,
        seal_crc,
        first,
        events,
        terms: 0,
        streams: 0,
        begun: 0,
        term_bits: 0,
        id_bits: 0,
        filter_blocks: 0,
        rows_len: 0,
        postings_len: 0,
        removed: 0,
        blocks_crc: 0,
    }
}

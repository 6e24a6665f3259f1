//! The index of the active segment: one writer adds, any number of readers look, and nobody waits.
//!
//! Every event is a node. Nodes of one stream are linked to the one before and, by a jump, to one much further back, so
//! that any version is found in logarithmic time although nothing is ever moved.
//!
//! Invariant: a node or entry is complete before a reader can reach it, and its links never change afterwards.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use crate::model::StreamVersion;

/// Nodes or entries of one allocation.
const CHUNK: usize = 4096;

/// Stands for "no node" and "no entry". Ordinals count from 0 and stay far below.
const NONE: u32 = u32::MAX;

/// Where the segment before this one that holds a stream is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Previous {
    /// The stream begins in this segment.
    None,
    /// In the segment of this number.
    Segment(u64),
    /// Nobody has looked yet.
    Unknown,
}

impl Previous {
    fn to_number(self) -> u64 {
        match self {
            Previous::None => 0,
            Previous::Segment(number) => number,
            Previous::Unknown => u64::MAX,
        }
    }

    pub(super) fn from_number(number: u64) -> Previous {
        match number {
            0 => Previous::None,
            u64::MAX => Previous::Unknown,
            number => Previous::Segment(number),
        }
    }
}

/// An event to be added.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NewEntry {
    pub(crate) offset: u32,
    pub(crate) stream: u128,
    pub(crate) version: StreamVersion,
    pub(crate) id: u64,
    pub(crate) bytes: u32,
    /// Only asked for the first event of a stream in this segment.
    pub(crate) previous: Previous,
}

/// The events of one stream in the segment, as far as a reader may see.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StreamNodes {
    pub(crate) first: StreamVersion,
    pub(crate) count: u32,
    /// The bytes of the stream's records here; may count a record that is just being added.
    pub(crate) bytes: u64,
    pub(crate) previous: Previous,
    last: u32,
}

#[derive(Default)]
struct Node {
    offset: AtomicU32,
    /// The node before it in its stream.
    back: AtomicU32,
    /// A node further back, or `back` again.
    jump: AtomicU32,
    /// How many nodes of its stream come before it.
    local: AtomicU32,
    next_id: AtomicU32,
    id_low: AtomicU32,
}

#[derive(Default)]
struct Entry {
    hash_high: AtomicU64,
    hash_low: AtomicU64,
    first: AtomicU64,
    previous: AtomicU64,
    bytes: AtomicU64,
    /// The newest node. Stored last: who sees it sees the node whole.
    last: AtomicU32,
    next: AtomicU32,
}

impl Entry {
    fn hash(&self) -> u128 {
        u128::from(self.hash_high.load(Ordering::Relaxed)) << 64
            | u128::from(self.hash_low.load(Ordering::Relaxed))
    }
}

/// Grows by chunks that never move.
struct Chunks<T>(Box<[OnceLock<Box<[T]>>]>);

impl<T: Default> Chunks<T> {
    fn new(len_max: usize) -> Chunks<T> {
        Chunks((0..len_max.div_ceil(CHUNK)).map(|_| OnceLock::new()).collect())
    }

    fn get(&self, at: u32) -> &T {
        let chunk = self.0[at as usize / CHUNK].get().expect("what a reader can reach was allocated before");
        &chunk[at as usize % CHUNK]
    }

    /// The same for the writer, which may be the first to come there.
    fn reserve(&self, at: u32) -> &T {
        let chunk = self.0[at as usize / CHUNK].get_or_init(|| (0..CHUNK).map(|_| T::default()).collect());
        &chunk[at as usize % CHUNK]
    }
}

/// The index of one segment that is being written.
pub(crate) struct MemoryIndex {
    nodes: Chunks<Node>,
    entries: Chunks<Entry>,
    stream_buckets: Box<[AtomicU32]>,
    id_buckets: Box<[AtomicU32]>,
    /// Counts, told after what they count is complete.
    events: AtomicU32,
    streams: AtomicU32,
}

impl MemoryIndex {
    /// An index for a segment of `capacity` bytes.
    pub(crate) fn new(capacity: u64) -> MemoryIndex {
        let events_max = (capacity / crate::format::event::HEADER_LEN as u64) as usize + 1;
        let buckets = (events_max / 8).next_power_of_two().clamp(1 << 10, 1 << 18);
        let empty = || (0..buckets).map(|_| AtomicU32::new(NONE)).collect();
        MemoryIndex {
            nodes: Chunks::new(events_max),
            entries: Chunks::new(events_max),
            stream_buckets: empty(),
            id_buckets: empty(),
            events: AtomicU32::new(0),
            streams: AtomicU32::new(0),
        }
    }

    /// How many events were added.
    pub(crate) fn events(&self) -> u32 {
        self.events.load(Ordering::Acquire)
    }

    /// Adds the next event. Only the one writer calls this.
    pub(crate) fn insert(&self, new: NewEntry) {
        let ordinal = self.events.load(Ordering::Relaxed);
        let node = self.nodes.reserve(ordinal);
        node.offset.store(new.offset, Ordering::Relaxed);

        let id_bucket = &self.id_buckets[bucket(new.id, self.id_buckets.len())];
        node.id_low.store(new.id as u32, Ordering::Relaxed);
        node.next_id.store(id_bucket.load(Ordering::Relaxed), Ordering::Relaxed);

        let entry = match self.entry(new.stream) {
            Some(entry) => {
                self.link(node, entry.last.load(Ordering::Relaxed));
                entry
            }
            None => self.add_entry(&new, node),
        };
        entry.bytes.fetch_add(u64::from(new.bytes), Ordering::Relaxed);
        entry.last.store(ordinal, Ordering::Release);
        if node.local.load(Ordering::Relaxed) == 0 {
            self.publish_entry(new.stream);
        }
        id_bucket.store(ordinal, Ordering::Release);
        self.events.store(ordinal + 1, Ordering::Release);
    }

    /// Links a node behind `last`, the newest of its stream. A jump spans as far as two equal jumps before it.
    fn link(&self, node: &Node, last: u32) {
        let back = self.nodes.get(last);
        let jump = self.nodes.get(back.jump.load(Ordering::Relaxed));
        let beyond = self.nodes.get(jump.jump.load(Ordering::Relaxed));
        let local = |node: &Node| node.local.load(Ordering::Relaxed);
        let equal_spans = local(back) - local(jump) == local(jump) - local(beyond);
        let target = if equal_spans { jump.jump.load(Ordering::Relaxed) } else { last };
        node.back.store(last, Ordering::Relaxed);
        node.jump.store(target, Ordering::Relaxed);
        node.local.store(local(back) + 1, Ordering::Relaxed);
    }

    /// Fills the entry of a stream's first node here, which links to itself. It is reachable once published.
    fn add_entry(&self, new: &NewEntry, node: &Node) -> &Entry {
        let ordinal = self.events.load(Ordering::Relaxed);
        node.back.store(ordinal, Ordering::Relaxed);
        node.jump.store(ordinal, Ordering::Relaxed);
        node.local.store(0, Ordering::Relaxed);
        let entry = self.entries.reserve(self.streams.load(Ordering::Relaxed));
        entry.hash_high.store((new.stream >> 64) as u64, Ordering::Relaxed);
        entry.hash_low.store(new.stream as u64, Ordering::Relaxed);
        entry.first.store(new.version.get(), Ordering::Relaxed);
        entry.previous.store(new.previous.to_number(), Ordering::Relaxed);
        entry
    }

    fn publish_entry(&self, hash: u128) {
        let number = self.streams.load(Ordering::Relaxed);
        let bucket = &self.stream_buckets[bucket((hash >> 64) as u64, self.stream_buckets.len())];
        self.entries.get(number).next.store(bucket.load(Ordering::Relaxed), Ordering::Relaxed);
        bucket.store(number, Ordering::Release);
        self.streams.store(number + 1, Ordering::Release);
    }

    fn entry(&self, hash: u128) -> Option<&Entry> {
        let bucket = &self.stream_buckets[bucket((hash >> 64) as u64, self.stream_buckets.len())];
        let mut at = bucket.load(Ordering::Acquire);
        while at != NONE {
            let entry = self.entries.get(at);
            if entry.hash() == hash {
                return Some(entry);
            }
            at = entry.next.load(Ordering::Relaxed);
        }
        None
    }

    /// The offset of the event with this ordinal, which has been added.
    pub(crate) fn offset(&self, ordinal: u32) -> u32 {
        self.nodes.get(ordinal).offset.load(Ordering::Relaxed)
    }

    /// A stream's events among the first `events` of the segment.
    pub(crate) fn stream(&self, hash: u128, events: u32) -> Option<StreamNodes> {
        self.nodes_of(self.entry(hash)?, events)
    }

    fn nodes_of(&self, entry: &Entry, events: u32) -> Option<StreamNodes> {
        let mut last = entry.last.load(Ordering::Acquire);
        while last >= events {
            let node = self.nodes.get(last);
            if node.local.load(Ordering::Relaxed) == 0 {
                return None;
            }
            last = node.back.load(Ordering::Relaxed);
        }
        Some(StreamNodes {
            first: StreamVersion::new(entry.first.load(Ordering::Relaxed)),
            count: self.nodes.get(last).local.load(Ordering::Relaxed) + 1,
            bytes: entry.bytes.load(Ordering::Relaxed),
            previous: Previous::from_number(entry.previous.load(Ordering::Relaxed)),
            last,
        })
    }

    /// Appends to `out` the offsets of a stream's events number `from` to `to` here, counted from 0, `to` exclusive.
    pub(crate) fn offsets_of(&self, stream: &StreamNodes, from: u32, to: u32, out: &mut Vec<u32>) {
        let start = out.len();
        let mut at = self.seek(stream.last, to - 1);
        for _ in from..to {
            let node = self.nodes.get(at);
            out.push(node.offset.load(Ordering::Relaxed));
            at = node.back.load(Ordering::Relaxed);
        }
        out[start..].reverse();
    }

    /// The node of number `local` of the stream that `at` belongs to, at or before it.
    fn seek(&self, mut at: u32, local: u32) -> u32 {
        loop {
            let node = self.nodes.get(at);
            if node.local.load(Ordering::Relaxed) <= local {
                return at;
            }
            let jump = node.jump.load(Ordering::Relaxed);
            let short = self.nodes.get(jump).local.load(Ordering::Relaxed) >= local;
            at = if short { jump } else { node.back.load(Ordering::Relaxed) };
        }
    }

    /// The offsets of events whose ids may have this hash.
    pub(crate) fn ids(&self, hash: u64) -> Vec<u32> {
        let mut found = Vec::new();
        let mut at = self.id_buckets[bucket(hash, self.id_buckets.len())].load(Ordering::Acquire);
        while at != NONE {
            let node = self.nodes.get(at);
            if node.id_low.load(Ordering::Relaxed) == hash as u32 {
                found.push(node.offset.load(Ordering::Relaxed));
            }
            at = node.next_id.load(Ordering::Relaxed);
        }
        found
    }

    /// The offsets of the first events of streams that begin in this segment, in order.
    pub(crate) fn beginnings(&self, events: u32) -> Vec<u32> {
        let mut offsets: Vec<u32> = (0..self.streams.load(Ordering::Acquire))
            .filter_map(|number| self.nodes_of(self.entries.get(number), events))
            .filter(|nodes| nodes.first == StreamVersion::new(1))
            .map(|nodes| self.offset(self.seek(nodes.last, 0)))
            .collect();
        offsets.sort_unstable();
        offsets
    }
}

/// The bucket of a hash: its highest bits.
fn bucket(hash: u64, buckets: usize) -> usize {
    (hash >> (64 - buckets.ilog2())) as usize
}

impl std::fmt::Debug for MemoryIndex {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("MemoryIndex").field("events", &self.events()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(streams: u64, events: u32) -> MemoryIndex {
        let index = MemoryIndex::new(1 << 20);
        for n in 0..events {
            let stream = u64::from(n) % streams;
            let version = u64::from(n) / streams + 1;
            index.insert(NewEntry {
                offset: n * 8,
                stream: u128::from(stream) << 64 | 1,
                version: StreamVersion::new(version),
                id: u64::from(n) << 32 | u64::from(n),
                bytes: 8,
                previous: Previous::None,
            });
        }
        index
    }

    #[test]
    fn every_version_of_every_stream_is_found() {
        for streams in [1, 3, 500] {
            let index = filled(streams, 10_000);
            for stream in 0..streams {
                let nodes = index.stream(u128::from(stream) << 64 | 1, 10_000).expect("has events");
                let wanted: Vec<u32> =
                    (0..10_000).filter(|n| u64::from(*n) % streams == stream).map(|n| n * 8).collect();
                assert_eq!(nodes.count as usize, wanted.len());
                for from in (0..nodes.count).step_by(17) {
                    let to = (from + 5).min(nodes.count);
                    let mut found = Vec::new();
                    index.offsets_of(&nodes, from, to, &mut found);
                    assert_eq!(found, wanted[from as usize..to as usize]);
                }
            }
        }
    }

    #[test]
    fn a_reader_does_not_see_beyond_its_bound() {
        let index = filled(3, 9);
        let nodes = index.stream(2 << 64 | 1, 5).expect("has an event below the bound");
        assert_eq!((nodes.count, nodes.first), (1, StreamVersion::new(1)));
        assert!(index.stream(2 << 64 | 1, 2).is_none());
        assert_eq!(index.beginnings(2), [0, 8]);
        assert_eq!(index.beginnings(9), [0, 8, 16]);
    }

    #[test]
    fn ids_are_found() {
        let index = filled(3, 100);
        assert_eq!(index.ids(7 << 32 | 7), [56]);
        assert!(index.ids(200).is_empty());
    }
}

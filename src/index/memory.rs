//! The index of the active segment: one writer adds, any number of readers look, and nobody waits.
//!
//! An event is named by its ordinal. Each term has an entry with the ordinals of its events, in blocks that double: the
//! event of number n > 0 lies in the block of size 2^⌊log2 n⌋. Each block names the one before, so that any number is
//! found in logarithmic time although nothing is ever moved.
//!
//! Invariant: what a reader can reach is complete, and never changes afterwards.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::place::Place;
use super::term::RecordTerms;
use crate::model::StreamVersion;
use crate::vfs::fetch;

/// What one allocation holds. Little where Miri watches, so that it sees more than one.
const CHUNK: usize = if cfg!(miri) { 16 } else { 4096 };

/// Stands for "no event", "no entry" and "no block". All are counted from 0 and stay far below.
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

    fn from_number(number: u64) -> Previous {
        match number {
            0 => Previous::None,
            u64::MAX => Previous::Unknown,
            number => Previous::Segment(number),
        }
    }
}

/// An event to be added.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NewEntry<'a> {
    pub(crate) offset: u32,
    pub(crate) bytes: u32,
    pub(crate) version: StreamVersion,
    pub(crate) terms: &'a RecordTerms,
    /// Only asked for the first event of a stream in this segment.
    pub(crate) previous: Previous,
}

/// What is known of a stream beside its events.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StreamFacts {
    /// The version of its first event in the segment.
    pub(crate) first: StreamVersion,
    /// The bytes of its records here; may count a record that is just being added.
    pub(crate) bytes: u64,
    pub(crate) previous: Previous,
}

/// The events of one term, as far as a reader may see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TermHere {
    /// Which entry.
    entry: u32,
    /// How many events.
    pub(crate) count: u32,
}

#[derive(Default)]
struct Event {
    offset: AtomicU32,
    id: AtomicU64,
    /// The event before it in the bucket of its id.
    next_id: AtomicU32,
}

/// As large as what a processor fetches at once, and where that begins.
#[derive(Default)]
#[repr(align(64))]
struct Entry {
    hash_high: AtomicU64,
    hash_low: AtomicU64,
    /// The ordinal of its first event.
    first_ordinal: AtomicU32,
    /// The newest block of ordinals behind the first, as a word.
    block: AtomicU64,
    /// Told after the ordinals that it counts are complete.
    count: AtomicU32,
    /// The entry before it in its bucket.
    next: AtomicU32,
    /// Only a stream's: the version of its first event here. 0 for other terms.
    first: AtomicU64,
    previous: AtomicU64,
    bytes: AtomicU64,
    /// 1 for a stream whose version is known from a REMOVED frame, so that it has one without an event here.
    has_past: AtomicU32,
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

    fn bytes(len: u32) -> u64 {
        (len as usize).next_multiple_of(CHUNK) as u64 * size_of::<T>() as u64
    }
}

/// The index of one segment that is being written.
pub(crate) struct MemoryIndex {
    event_list: Chunks<Event>,
    entries: Chunks<Entry>,
    /// Ordinals; each block begins with the number of the block before it.
    blocks: Chunks<AtomicU32>,
    term_buckets: Box<[AtomicU32]>,
    id_buckets: Box<[AtomicU32]>,
    /// Counts, told after what they count is complete.
    events: AtomicU32,
    terms: AtomicU32,
    /// Only the writer's.
    blocks_len: AtomicU32,
}

impl MemoryIndex {
    /// An index for a segment of `capacity` bytes that is meant to stay below `bytes_max`.
    pub(crate) fn new(capacity: u64, bytes_max: u64) -> MemoryIndex {
        let events_max = (capacity / crate::format::event::HEADER_LEN as u64) as usize + 1;
        // Each record has a stream, a category and a type, and no label is shorter than two bytes.
        let terms_max = events_max * 3 + capacity as usize / 2;
        // Both tables of buckets together take an eighth of the memory at most.
        let affordable = usize::try_from(bytes_max / 64).unwrap_or(usize::MAX).max(1 << 10);
        let wanted = (events_max / 8).next_power_of_two().clamp(1 << 10, 1 << 18);
        let buckets = if wanted <= affordable { wanted } else { 1 << affordable.ilog2() };
        let empty = || (0..buckets).map(|_| AtomicU32::new(NONE)).collect();
        MemoryIndex {
            event_list: Chunks::new(events_max),
            entries: Chunks::new(terms_max),
            // Blocks double, so at most half of them is free; and each has one number more.
            blocks: Chunks::new(terms_max * 3),
            term_buckets: empty(),
            id_buckets: empty(),
            events: AtomicU32::new(0),
            terms: AtomicU32::new(0),
            blocks_len: AtomicU32::new(0),
        }
    }

    /// How many events were added.
    pub(crate) fn events(&self) -> u32 {
        self.events.load(Ordering::Acquire)
    }

    /// How many terms there are.
    pub(crate) fn terms(&self) -> u32 {
        self.terms.load(Ordering::Acquire)
    }

    /// The memory that it takes.
    pub(crate) fn bytes(&self) -> u64 {
        let buckets = (self.term_buckets.len() + self.id_buckets.len()) as u64 * 4;
        buckets
            + Chunks::<Event>::bytes(self.events())
            + Chunks::<Entry>::bytes(self.terms())
            + Chunks::<AtomicU32>::bytes(self.blocks_len.load(Ordering::Relaxed))
    }

    /// The memory that an event with these terms takes at most.
    pub(crate) fn bytes_of(terms: &RecordTerms) -> u64 {
        (size_of::<Event>() + terms.count() * size_of::<Entry>()) as u64
    }

    /// Adds as many events as a REMOVED frame stands for, which begins at `offset`.
    pub(crate) fn insert_removed(&self, offset: u32, count: u32) {
        let from = self.events.load(Ordering::Relaxed);
        for ordinal in from..from + count {
            let event = self.event_list.reserve(ordinal);
            event.offset.store(Place::removed(offset).number(), Ordering::Relaxed);
        }
        self.events.store(from + count, Ordering::Release);
    }

    /// Adds a stream of which every event up to `version` has been removed. Only while no reader looks.
    pub(crate) fn insert_past(&self, stream: u128, version: StreamVersion) {
        let entry = match self.entry(stream) {
            Some((_, entry)) => entry,
            None => self.add_entry(stream, |entry| {
                entry.previous.store(Previous::Unknown.to_number(), Ordering::Relaxed);
            }),
        };
        entry.has_past.store(1, Ordering::Relaxed);
        if entry.count.load(Ordering::Relaxed) == 0 {
            entry.first.store(version.next().get(), Ordering::Relaxed);
        }
    }

    /// Adds the next event. Only the one writer calls this.
    pub(crate) fn insert(&self, new: NewEntry<'_>) {
        let ordinal = self.events.load(Ordering::Relaxed);
        let event = self.event_list.reserve(ordinal);
        event.offset.store(new.offset, Ordering::Relaxed);

        let id_bucket = &self.id_buckets[bucket(new.terms.id, self.id_buckets.len())];
        event.id.store(new.terms.id, Ordering::Relaxed);
        event.next_id.store(id_bucket.load(Ordering::Relaxed), Ordering::Relaxed);

        self.add_to_stream(&new, ordinal);
        for hash in new.terms.others() {
            self.add_to(hash, ordinal, |_| {});
        }
        id_bucket.store(ordinal, Ordering::Release);
        self.events.store(ordinal + 1, Ordering::Release);
    }

    fn add_to_stream(&self, new: &NewEntry<'_>, ordinal: u32) {
        let entry = self.add_to(new.terms.stream, ordinal, |entry| {
            entry.first.store(new.version.get(), Ordering::Relaxed);
            entry.previous.store(new.previous.to_number(), Ordering::Relaxed);
        });
        entry.bytes.fetch_add(u64::from(new.bytes), Ordering::Relaxed);
    }

    /// Adds an event to a term. A term that is new here gets an entry, which `fill` completes.
    fn add_to(&self, hash: u128, ordinal: u32, fill: impl Fn(&Entry)) -> &Entry {
        if let Some((_, entry)) = self.entry(hash) {
            let count = entry.count.load(Ordering::Relaxed);
            // A tag that an event carries twice counts once.
            if count == 0 {
                entry.first_ordinal.store(ordinal, Ordering::Relaxed);
                entry.count.store(1, Ordering::Release);
            } else if self.ordinal(entry, count - 1) != ordinal {
                self.push(entry, count, ordinal);
                entry.count.store(count + 1, Ordering::Release);
            }
            return entry;
        }
        self.add_entry(hash, |entry| {
            entry.first_ordinal.store(ordinal, Ordering::Relaxed);
            fill(entry);
            entry.count.store(1, Ordering::Release);
        })
    }

    /// Adds an entry, which `fill` completes before anyone can reach it.
    fn add_entry(&self, hash: u128, fill: impl FnOnce(&Entry)) -> &Entry {
        let number = self.terms.load(Ordering::Relaxed);
        let entry = self.entries.reserve(number);
        entry.hash_high.store((hash >> 64) as u64, Ordering::Relaxed);
        entry.hash_low.store(hash as u64, Ordering::Relaxed);
        entry.block.store(Block { begin: NONE, level: 0 }.to_word(), Ordering::Relaxed);
        fill(entry);
        let bucket = self.bucket_of(hash);
        entry.next.store(bucket.load(Ordering::Relaxed), Ordering::Relaxed);
        bucket.store(number, Ordering::Release);
        self.terms.store(number + 1, Ordering::Release);
        entry
    }

    /// Puts the ordinal of the event of number `at` > 0 behind the others of an entry.
    fn push(&self, entry: &Entry, at: u32, ordinal: u32) {
        let level = at.ilog2();
        let mut block = Block::from_word(entry.block.load(Ordering::Relaxed));
        if at.is_power_of_two() {
            let begin = self.blocks_len.load(Ordering::Relaxed);
            self.blocks_len.store(begin + 1 + (1 << level), Ordering::Relaxed);
            self.blocks.reserve(begin).store(block.begin, Ordering::Relaxed);
            block = Block { begin, level };
            entry.block.store(block.to_word(), Ordering::Release);
        }
        self.blocks.reserve(block.slot(at)).store(ordinal, Ordering::Relaxed);
    }

    /// The newest block of an entry; a reader may see one that is newer than the count it saw.
    fn newest_block(&self, entry: &Entry) -> Block {
        Block::from_word(entry.block.load(Ordering::Acquire))
    }

    fn block_before(&self, block: Block) -> Block {
        Block {
            begin: self.blocks.get(block.begin).load(Ordering::Relaxed),
            level: block.level.saturating_sub(1),
        }
    }

    /// The ordinal of the event of number `at` of an entry.
    fn ordinal(&self, entry: &Entry, at: u32) -> u32 {
        if at == 0 {
            return entry.first_ordinal.load(Ordering::Relaxed);
        }
        let mut block = self.newest_block(entry);
        while block.level > at.ilog2() {
            block = self.block_before(block);
        }
        self.blocks.get(block.slot(at)).load(Ordering::Relaxed)
    }

    /// Says that a term is about to be looked up, and others with it.
    #[inline]
    pub(crate) fn will_look_up(&self, hash: u128) {
        let newest = self.bucket_of(hash).load(Ordering::Acquire);
        if newest != NONE {
            fetch(self.entries.get(newest));
        }
    }

    /// Says that an event with these terms is about to be added, and others with it.
    #[inline]
    pub(crate) fn will_insert(&self, terms: &RecordTerms) {
        self.will_look_up(terms.stream);
        fetch(&self.id_buckets[bucket(terms.id, self.id_buckets.len())]);
    }

    fn bucket_of(&self, hash: u128) -> &AtomicU32 {
        &self.term_buckets[bucket((hash >> 64) as u64, self.term_buckets.len())]
    }

    fn entry(&self, hash: u128) -> Option<(u32, &Entry)> {
        let mut at = self.bucket_of(hash).load(Ordering::Acquire);
        while at != NONE {
            let entry = self.entries.get(at);
            if entry.hash() == hash {
                return Some((at, entry));
            }
            at = entry.next.load(Ordering::Relaxed);
        }
        None
    }

    /// The place of the event with this ordinal, which has been added.
    pub(crate) fn place(&self, ordinal: u32) -> Place {
        Place::from_number(self.event_list.get(ordinal).offset.load(Ordering::Relaxed))
    }

    /// The hash of an event's id.
    pub(super) fn id_of(&self, ordinal: u32) -> u64 {
        self.event_list.get(ordinal).id.load(Ordering::Relaxed)
    }

    /// A term's events among the first `events` of the segment; none when it has none there, and is no stream that is known
    /// by its past alone.
    pub(crate) fn term(&self, hash: u128, events: u32) -> Option<TermHere> {
        let (number, _) = self.entry(hash)?;
        self.term_of(number, events)
    }

    /// The same for the entry of a number, which is below the count of terms.
    pub(super) fn term_of(&self, number: u32, events: u32) -> Option<TermHere> {
        let entry = self.entries.get(number);
        let here = TermHere { entry: number, count: entry.count.load(Ordering::Acquire) };
        let count = self.rank(&here, events);
        let is_known = count > 0 || entry.has_past.load(Ordering::Relaxed) == 1;
        is_known.then_some(TermHere { entry: number, count })
    }

    pub(super) fn hash_of(&self, number: u32) -> u128 {
        self.entries.get(number).hash()
    }

    /// What is known of a stream; none when the term is another.
    pub(crate) fn stream_facts(&self, here: &TermHere) -> Option<StreamFacts> {
        let entry = self.entries.get(here.entry);
        let first = entry.first.load(Ordering::Relaxed);
        (first > 0).then(|| StreamFacts {
            first: StreamVersion::new(first),
            bytes: entry.bytes.load(Ordering::Relaxed),
            previous: Previous::from_number(entry.previous.load(Ordering::Relaxed)),
        })
    }

    /// How many of a term's events have ordinals below `ordinal`.
    pub(crate) fn rank(&self, here: &TermHere, ordinal: u32) -> u32 {
        let entry = self.entries.get(here.entry);
        let (mut low, mut high) = (0, here.count);
        // Most ask for what is visible, which is nearly all.
        while high > 0 && high + 3 > here.count && self.ordinal(entry, high - 1) >= ordinal {
            high -= 1;
        }
        if high > 0 && self.ordinal(entry, high - 1) < ordinal {
            return high;
        }
        while low < high {
            let middle = low + (high - low) / 2;
            if self.ordinal(entry, middle) < ordinal {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    /// Appends to `out` the ordinals of a term's events number `from` to `to`, counted from 0, `to` exclusive.
    pub(crate) fn ordinals(&self, here: &TermHere, from: u32, to: u32, out: &mut Vec<u32>) {
        let entry = self.entries.get(here.entry);
        let start = out.len();
        let mut at = to;
        let mut block = self.newest_block(entry);
        while at > from.max(1) {
            while block.level > (at - 1).ilog2() {
                block = self.block_before(block);
            }
            at -= 1;
            out.push(self.blocks.get(block.slot(at)).load(Ordering::Relaxed));
        }
        if from == 0 && to > 0 {
            out.push(entry.first_ordinal.load(Ordering::Relaxed));
        }
        out[start..].reverse();
    }

    /// The ordinals of events whose ids may have this hash.
    pub(crate) fn ids(&self, hash: u64) -> Vec<u32> {
        let mut found = Vec::new();
        let mut at = self.id_buckets[bucket(hash, self.id_buckets.len())].load(Ordering::Acquire);
        while at != NONE {
            let event = self.event_list.get(at);
            if event.id.load(Ordering::Relaxed) == hash {
                found.push(at);
            }
            at = event.next_id.load(Ordering::Relaxed);
        }
        found
    }
}

/// A block of ordinals: where it begins, and the binary logarithm of its size.
#[derive(Debug, Clone, Copy)]
struct Block {
    begin: u32,
    level: u32,
}

impl Block {
    fn to_word(self) -> u64 {
        u64::from(self.level) << 32 | u64::from(self.begin)
    }

    fn from_word(word: u64) -> Block {
        Block { begin: word as u32, level: (word >> 32) as u32 }
    }

    /// Where the ordinal of the event of number `at` is, which the block holds.
    fn slot(self, at: u32) -> u32 {
        self.begin + 1 + (at - (1 << self.level))
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

    fn stream_hash(stream: u32) -> u128 {
        u128::from(stream) << 100 | 1
    }

    /// The hash of an id whose ordinal this is.
    fn id_hash(n: u32) -> u64 {
        u64::from(n) << 40 | u64::from(n)
    }

    fn insert(index: &MemoryIndex, n: u32, streams: u32) {
        let (stream, id) = (stream_hash(n % streams), id_hash(n));
        let terms = RecordTerms { stream, id, category: 7, event_type: 7, labels: vec![7] };
        index.insert(NewEntry {
            offset: n * 8,
            bytes: 8,
            version: StreamVersion::new(u64::from(n / streams) + 1),
            terms: &terms,
            previous: Previous::None,
        });
    }

    fn filled(streams: u32, events: u32) -> MemoryIndex {
        let index = MemoryIndex::new(1 << 20, 1 << 20);
        (0..events).for_each(|n| insert(&index, n, streams));
        index
    }

    fn ordinals(index: &MemoryIndex, here: &TermHere, from: u32, to: u32) -> Vec<u32> {
        let mut found = Vec::new();
        index.ordinals(here, from, to, &mut found);
        found
    }

    #[test]
    fn every_event_of_every_term_is_found() {
        // An interpreter takes a thousand times as long.
        let events: u32 = if cfg!(miri) { 300 } else { 10_000 };
        for streams in [1, 3, events / 20] {
            let index = filled(streams, events);
            for stream in 0..streams {
                let here = index.term(stream_hash(stream), events).expect("has events");
                let wanted: Vec<u32> = (0..events).filter(|n| n % streams == stream).collect();
                assert_eq!(here.count as usize, wanted.len());
                for from in (0..here.count).step_by(17) {
                    let to = (from + 5).min(here.count);
                    assert_eq!(ordinals(&index, &here, from, to), wanted[from as usize..to as usize]);
                    assert_eq!(index.rank(&here, wanted[from as usize]), from);
                    assert_eq!(index.rank(&here, wanted[from as usize] + 1), from + 1);
                }
            }
            let all = index.term(7, events).expect("has events");
            assert!(index.stream_facts(&all).is_none(), "it is no stream");
            assert_eq!(ordinals(&index, &all, 0, all.count), (0..events).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_reader_does_not_see_beyond_its_bound() {
        let index = filled(3, 9);
        let here = index.term(stream_hash(2), 5).expect("has an event below the bound");
        assert_eq!((here.count, ordinals(&index, &here, 0, 1)), (1, vec![2]));
        assert_eq!(index.stream_facts(&here).expect("is a stream").first, StreamVersion::new(1));
        assert!(index.term(stream_hash(2), 2).is_none());
        assert!(index.term(stream_hash(3), 9).is_none());
    }

    #[test]
    fn readers_on_other_threads_see_every_event_that_was_counted_whole() {
        let events: u32 = if cfg!(miri) { 60 } else { 20_000 };
        let index = MemoryIndex::new(1 << 20, 1 << 20);
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    let mut seen = 0;
                    while seen < events {
                        seen = index.events();
                        let Some(last) = seen.checked_sub(1) else { continue };
                        assert_eq!(index.place(last), Place::record(last * 8));
                        let here = index.term(stream_hash(last % 3), seen).expect("has an event");
                        assert_eq!(here.count, last / 3 + 1);
                        assert_eq!(ordinals(&index, &here, here.count - 1, here.count), [last]);
                        assert!(index.ids(id_hash(last)).contains(&last));
                        std::thread::yield_now();
                    }
                });
            }
            (0..events).for_each(|n| insert(&index, n, 3));
        });
    }

    #[test]
    fn ids_are_found() {
        let index = filled(3, 100);
        assert_eq!(index.ids(id_hash(7)), [7]);
        assert!(index.ids(200).is_empty());
        assert_eq!(index.id_of(7), id_hash(7));
    }
}

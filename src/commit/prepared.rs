//! An append made ready by its caller: checked, encoded, hashed, and looked up, so that the commit has little to do.

use std::collections::HashSet;
use std::collections::hash_map::Entry;

use super::condition::Condition;
use crate::error::AppendError;
use crate::format::event::{self, BodyCrc, Given};
use crate::format::frame::{HEADER_LEN, TRAILER_LEN};
use crate::index::{ByTerm, Head, RecentTerm, RecordTerms, Term, TermHasher};
use crate::lifecycle::holds_settings;
use crate::model::{
    Append, AppendedEvent, Durability, EventId, EventOfStream, ExpectedVersion, FreshIds, IdempotencyKey,
    Label, Labels, Lifecycle, NewEvent, Position, QueryItem, Receipt, StreamName, StreamReceipt,
    StreamVersion, Timestamp,
};
use crate::options::Limits;

/// An append, ready to be admitted.
#[derive(Debug, Default)]
pub(crate) struct Prepared {
    /// Room for the frame's header, the records, room for its trailer.
    pub(super) frame: Vec<u8>,
    pub(super) records: Vec<Record>,
    pub(super) streams: Vec<Stream>,
    /// The streams that it only has an expectation of.
    pub(super) expected: Vec<Stream>,
    pub(super) conditions: Vec<Condition>,
    /// What its writer calls it, and the hash of that.
    pub(super) key: Option<(IdempotencyKey, u128)>,
    /// The newest settings of the store when its conditions were looked at.
    pub(super) conditions_of: Position,
    /// The last segment that its ids were looked up in as it will be for ever.
    pub(super) looked_through: u64,
}

/// What records are made with.
struct With<'a> {
    limits: &'a Limits,
    hasher: &'a TermHasher,
    now: Timestamp,
    types: RecentTerm,
    fresh: FreshIds,
}

/// One record in the frame, still without position and version.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) start: usize,
    pub(super) len: u32,
    pub(super) crc: BodyCrc,
    pub(super) stream: usize,
    pub(super) id: EventId,
    /// The writer gave it; otherwise it is new.
    pub(super) id_given: bool,
    pub(super) timestamp_given: bool,
    pub(super) terms: RecordTerms,
    /// Which of the append's events for its stream it is, counted from 1.
    nth: u64,
}

/// One stream that the append writes to.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) name: StreamName,
    pub(super) hash: u128,
    pub(super) category: u128,
    pub(super) expected: ExpectedVersion,
    pub(super) events: u64,
    pub(super) warmed: Warmed,
    /// Where it stands before the append; known once that is admitted.
    pub(super) head: Option<Head>,
    pub(super) lifecycle: Lifecycle,
    /// The newest settings of the store when it was found out how it is with this stream.
    pub(super) lifecycle_of: Position,
}

/// What the caller has looked up about a stream: its head in the segments up to `through`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Warmed {
    pub(super) head: Option<Head>,
    pub(super) through: u64,
}

impl Stream {
    fn new(
        name: StreamName,
        expected: ExpectedVersion,
        hasher: &TermHasher,
        categories: &mut RecentTerm,
    ) -> Stream {
        let text = name.as_str().as_bytes();
        Stream {
            hash: hasher.stream(text),
            category: hasher.category(text, categories),
            name,
            expected,
            events: 0,
            warmed: Warmed { head: None, through: 0 },
            head: None,
            lifecycle: Lifecycle::default(),
            lifecycle_of: Position::START,
        }
    }

    /// The version it has before the append.
    pub(super) fn version(&self) -> StreamVersion {
        self.head.map_or(StreamVersion::START, |head| head.version)
    }

    /// A receipt without events.
    pub(super) fn receipt(&self) -> StreamReceipt {
        let events = Vec::with_capacity(self.events as usize);
        StreamReceipt { stream: self.name.clone(), version: StreamVersion::START, events }
    }
}

impl Prepared {
    /// Checks `append` against the limits and encodes it.
    pub(crate) fn new(
        append: Append,
        limits: &Limits,
        hasher: &TermHasher,
        now: Timestamp,
    ) -> Result<Prepared, AppendError> {
        check(&append, limits)?;
        let mut categories = RecentTerm::new(Term::Category);
        let mut stream = |(name, expected)| Stream::new(name, expected, hasher, &mut categories);
        let mut frame = Vec::with_capacity(frame_len(&append));
        frame.resize(HEADER_LEN, 0);
        let mut prepared = Prepared {
            frame,
            records: Vec::with_capacity(append.events.len()),
            streams: append.streams.into_iter().map(&mut stream).collect(),
            expected: append.expected.into_iter().map(&mut stream).collect(),
            conditions: append.refused_by.into_iter().map(|by| Condition::new(by, hasher)).collect(),
            key: append.key.map(|key| {
                let hash = hasher.key(key.as_str().as_bytes());
                (key, hash)
            }),
            conditions_of: Position::START,
            looked_through: 0,
        };
        check_named_once(&prepared.streams)?;
        let without_id = append.events.iter().filter(|of_stream| of_stream.event.id.is_none()).count();
        let fresh = FreshIds::new(without_id);
        let mut with = With { limits, hasher, now, types: RecentTerm::new(Term::Type), fresh };
        for EventOfStream { stream, event } in append.events {
            prepared.add(stream, &event, &mut with)?;
        }
        prepared.frame.extend_from_slice(&[0; TRAILER_LEN]);
        Ok(prepared)
    }

    fn add(&mut self, stream: usize, new: &NewEvent, with: &mut With<'_>) -> Result<(), AppendError> {
        let With { limits, hasher, now, types, fresh } = with;
        check_size(new, limits)?;
        let id = new.id.clone().or_else(|| fresh.next()).expect("there is a fresh id for each event without");
        let timestamp = new.timestamp.unwrap_or(*now);
        let entry = &mut self.streams[stream];
        entry.events += 1;
        let key = self.key.as_ref().filter(|_| self.records.is_empty());
        let key = key.map(|(key, _)| (Label::IdempotencyKey, key.as_str()));
        let trace = new.traceparent.as_ref().map(|trace| (Label::Traceparent, trace.as_str()));
        let labels = Labels::pack(key.into_iter().chain(trace));
        let given = Given { stream: &entry.name, id: &id, labels: labels.as_bytes() };
        let (start, crc) = event::encode(&mut self.frame, new, given, timestamp);
        let len = (self.frame.len() - start) as u32;
        let found =
            event::found_by(&self.frame[start..]).expect("a record that was just encoded has its parts");
        let terms = RecordTerms {
            stream: entry.hash,
            id: hasher.id(found.id),
            category: entry.category,
            event_type: types.hash(hasher, found.event_type),
            labels: hasher.labels(found.labels),
        };
        let (id_given, timestamp_given) = (new.id.is_some(), new.timestamp.is_some());
        let nth = entry.events;
        self.records.push(Record { start, len, crc, stream, id, id_given, timestamp_given, terms, nth });
        // Stop early: an append far beyond the limit must not be encoded to its end.
        Bound::append_bytes(limits).check(self.frame.len() as u64)
    }

    /// The version of an event, once the append has its place.
    pub(super) fn version_of(&self, record: &Record) -> StreamVersion {
        self.streams[record.stream].version().advanced(record.nth)
    }

    /// The receipt, once its events have their places, the first of them at `first`.
    pub(super) fn into_receipt(self, first: Position, recorded_at: Timestamp) -> Receipt {
        let mut streams: Vec<StreamReceipt> = self.streams.iter().map(Stream::receipt).collect();
        let mut position = first.previous();
        for record in self.records {
            position = position.next();
            let stream_version = self.streams[record.stream].version().advanced(record.nth);
            let stream = &mut streams[record.stream];
            stream.version = stream_version;
            stream.events.push(AppendedEvent { id: record.id, stream_version, position });
        }
        Receipt { position, recorded_at, durability: Durability::Sync, streams, repeated: false }
    }

    /// Whether its last event is a stream's settings.
    pub(super) fn has_settings(&self) -> bool {
        self.streams.last().is_some_and(|stream| holds_settings(stream.name.as_str().as_bytes()))
    }

    /// Bytes that it holds while it waits.
    pub(super) fn bytes(&self) -> u64 {
        self.frame.len() as u64
    }
}

/// How long the frame of an append will be, its labels not counted that are no part of the metadata.
fn frame_len(append: &Append) -> usize {
    let fresh = EventId::from_uuid([0; 16]);
    let records = append.events.iter().map(|of_stream| {
        let (stream, event) = (&append.streams[of_stream.stream].0, &of_stream.event);
        event::encoded_len(event, Given { stream, id: event.id.as_ref().unwrap_or(&fresh), labels: &[] })
    });
    HEADER_LEN + records.sum::<usize>() + TRAILER_LEN
}

/// A limit, and what is said of whatever passes it.
struct Bound {
    what: &'static str,
    unit: &'static str,
    limit: &'static str,
    max: u64,
}

impl Bound {
    fn append_bytes(limits: &Limits) -> Bound {
        let max = limits.append_bytes_max;
        Bound { what: "an append", unit: "bytes", limit: "append_bytes_max", max }
    }

    /// Of events, and of everything else that an append counts.
    fn append_events(limits: &Limits, unit: &'static str) -> Bound {
        Bound { what: "an append", unit, limit: "append_events_max", max: limits.append_events_max }
    }

    fn event_bytes(limits: &Limits) -> Bound {
        let max = limits.event_bytes_max;
        Bound { what: "an event", unit: "bytes", limit: "event_bytes_max", max }
    }

    fn check(self, size: u64) -> Result<(), AppendError> {
        let Bound { what, unit, limit, max } = self;
        if size <= max {
            return Ok(());
        }
        Err(AppendError::TooLarge { what: what.to_owned(), size, unit, limit, max })
    }
}

/// Checks that an append of this event alone would not be refused for what it is.
pub(crate) fn check_event(
    stream: &StreamName,
    event: &NewEvent,
    id: &EventId,
    limits: &Limits,
) -> Result<(), AppendError> {
    check_owner(stream)?;
    check_size(event, limits)?;
    let size = HEADER_LEN + event::encoded_len(event, Given { stream, id, labels: &[] });
    Bound::append_bytes(limits).check(size as u64)
}

fn check_size(event: &NewEvent, limits: &Limits) -> Result<(), AppendError> {
    let metadata = event.metadata.as_ref().map_or(0, |metadata| metadata.bytes().len());
    let size = event.data.bytes().len() + metadata;
    Bound::event_bytes(limits).check(size as u64)
}

fn check_owner(stream: &StreamName) -> Result<(), AppendError> {
    if !stream.is_system() {
        return Ok(());
    }
    let what = format!("stream {stream} belongs to the store: names that start with `$` are its own");
    Err(AppendError::Invalid { what })
}

fn check_named_once(streams: &[Stream]) -> Result<(), AppendError> {
    // A single one cannot be named twice, and most appends have no other.
    if streams.len() < 2 {
        return Ok(());
    }
    let mut named = ByTerm::with_capacity_and_hasher(streams.len(), Default::default());
    for stream in streams {
        match named.entry(stream.hash) {
            Entry::Vacant(new) => drop(new.insert(())),
            Entry::Occupied(_) => {
                let what = format!("stream {} is named twice; put its events into one write", stream.name);
                return Err(AppendError::Invalid { what });
            }
        }
    }
    Ok(())
}

/// Checks what needs no encoding and no hash.
fn check(append: &Append, limits: &Limits) -> Result<(), AppendError> {
    let invalid = |what: String| Err(AppendError::Invalid { what });
    if append.is_empty() {
        return invalid("an append needs at least one event".to_owned());
    }
    Bound::append_events(limits, "events").check(append.events.len() as u64)?;
    let items = || append.refused_by.iter().flat_map(|refused| &refused.query.items);
    let conditions = (append.expected.len() + append.refused_by.len()) as u64;
    Bound::append_events(limits, "conditions").check(conditions)?;
    if let Some((field, what)) = items().find_map(QueryItem::impossible) {
        return invalid(format!("in a condition, `{field}`: {what}"));
    }
    if items().any(|item| !item.criteria.is_empty()) {
        return invalid(
            "a condition cannot have criteria, which no index knows; give the event a tag, and make that the condition"
                .to_owned(),
        );
    }
    let mut written = vec![false; append.streams.len()];
    append.events.iter().for_each(|event| written[event.stream] = true);
    for (number, (stream, _)) in append.streams.iter().enumerate() {
        if !append.is_system {
            check_owner(stream)?;
        }
        if !written[number] {
            return invalid(format!(
                "stream {stream} gets no event; give it one, or make it a condition (`expecting`)"
            ));
        }
    }
    let mut ids = HashSet::new();
    for of_stream in &append.events {
        if let Some(id) = &of_stream.event.id
            && !ids.insert((of_stream.stream, id))
        {
            let stream = &append.streams[of_stream.stream].0;
            return invalid(format!(
                "two events for stream {stream} have the id {id}; ids are unique in a stream"
            ));
        }
    }
    Ok(())
}

//! Repeats: an append whose events are in the store already is answered with the receipt of the append that wrote them.
//!
//! Only events whose ids the writer gave can be told from others that say the same, unless the append has a key. An append is a
//! repeat if one frame holds exactly its events: where it expects them, or under its key. Where that is, an expected version
//! tells, however long ago it was; without one, ids and keys are looked up among the newest events only.

use std::sync::Arc;

use super::prepared::{Prepared, Record, Stream};
use crate::error::{AppendError, Error};
use crate::format::event::{self, Compared};
use crate::index::{Part, catalog};
use crate::model::{
    AppendedEvent, Durability, ExpectedVersion, Label, Position, Receipt, StreamReceipt, StreamVersion,
    Timestamp, unpack,
};

/// An event in its part.
pub(super) struct Place<'a> {
    part: &'a Arc<Part>,
    ordinal: u32,
}

/// The newest parts that together hold at least so many events.
pub(super) fn window(parts: &[Arc<Part>], visible: Position, events: u64) -> &[Arc<Part>] {
    let (mut from, mut covered) = (parts.len(), 0);
    while from > 0 && covered < events {
        from -= 1;
        covered += u64::from(parts[from].events(visible));
    }
    &parts[from..]
}

/// The newest parts that hold everything that was committed at `since` or later.
pub(super) fn window_since(
    parts: &[Arc<Part>],
    visible: Position,
    since: Timestamp,
) -> Result<&[Arc<Part>], Error> {
    let mut from = parts.len();
    while from > 0 {
        from -= 1;
        let first = parts[from].first;
        if first <= visible && catalog::time_at(parts, first)? < since {
            break;
        }
    }
    Ok(&parts[from..])
}

/// Whether the refusal of an append is one that a repeat of it would meet.
pub(super) fn may_be_of_a_repeat(refusal: &AppendError) -> bool {
    matches!(
        refusal,
        AppendError::Conflict { .. }
            | AppendError::Matched { .. }
            | AppendError::IdTaken { .. }
            | AppendError::KeyTaken { .. }
    )
}

impl Prepared {
    /// Whether its writer gave every event an id, or a key to all of them.
    pub(super) fn can_be_a_repeat(&self) -> bool {
        self.key.is_some() || self.records.iter().all(|record| record.id_given)
    }

    /// The refusal, if a visible append in `among` has its key, and was made at `since` or later.
    pub(super) fn check_key(
        &self,
        parts: &[Arc<Part>],
        among: &[Arc<Part>],
        visible: Position,
        since: Timestamp,
    ) -> Result<Option<AppendError>, Error> {
        let taken = self.place_of_key(parts, among, visible, since)?.is_some();
        Ok(self.key_taken().filter(|_| taken))
    }

    pub(super) fn key_taken(&self) -> Option<AppendError> {
        self.key.as_ref().map(|(key, _)| AppendError::KeyTaken { key: key.clone() })
    }

    /// Where the newest visible append with its key begins, if it was made at `since` or later.
    fn place_of_key<'a>(
        &self,
        parts: &[Arc<Part>],
        among: &'a [Arc<Part>],
        visible: Position,
        since: Timestamp,
    ) -> Result<Option<Place<'a>>, Error> {
        let Some((key, hash)) = &self.key else { return Ok(None) };
        for part in among.iter().rev() {
            let Some(postings) = part.postings(parts, *hash, visible)? else { continue };
            let mut ordinals = Vec::new();
            part.ordinals(parts, &postings, 0, postings.count, &mut ordinals)?;
            for ordinal in ordinals.into_iter().rev() {
                let place = part.place(ordinal)?;
                if part.commit_time(place)? < since {
                    return Ok(None);
                }
                let stored = part.record(place.offset())?;
                let is_it =
                    |(label, text): (Label, &str)| label == Label::IdempotencyKey && text == key.as_str();
                if event::found_by(&stored).is_some_and(|found| unpack(found.labels).any(is_it)) {
                    return Ok(Some(Place { part, ordinal }));
                }
            }
        }
        Ok(None)
    }

    /// The refusal, if a visible event in `among` has the stream and the id of one of its events.
    pub(super) fn check_ids(
        &self,
        parts: &[Arc<Part>],
        among: &[Arc<Part>],
        visible: Position,
    ) -> Result<Option<AppendError>, Error> {
        for record in self.records.iter().filter(|record| record.id_given) {
            if self.place_of_id(record, parts, among, visible)?.is_some() {
                return Ok(Some(self.id_taken(record)));
            }
        }
        Ok(None)
    }

    pub(super) fn id_taken(&self, record: &Record) -> AppendError {
        AppendError::IdTaken { stream: self.streams[record.stream].name.clone(), id: record.id.clone() }
    }

    fn bytes_of(&self, record: &Record) -> &[u8] {
        &self.frame[record.start..record.start + record.len as usize]
    }

    /// Where a visible event with the stream and the id of `record` is.
    fn place_of_id<'a>(
        &self,
        record: &Record,
        parts: &[Arc<Part>],
        among: &'a [Arc<Part>],
        visible: Position,
    ) -> Result<Option<Place<'a>>, Error> {
        for part in among.iter().rev() {
            let ordinals = part.ids(parts, record.terms.id)?;
            for ordinal in ordinals.into_iter().filter(|ordinal| *ordinal < part.events(visible)) {
                let stored = part.record(part.offset(ordinal)?)?;
                let (new, old) = (event::found_by(self.bytes_of(record)), event::found_by(&stored));
                let named = |found: event::FoundBy<'_>| (found.stream.to_owned(), found.id.to_owned());
                // What was deleted was of an earlier life of its stream.
                let is_deleted =
                    event::version(&stored) <= self.streams[record.stream].lifecycle.deleted_through;
                if !is_deleted && new.map(named) == old.map(named) {
                    return Ok(Some(Place { part, ordinal }));
                }
            }
        }
        Ok(None)
    }

    /// The receipt of the append that wrote these events, if there was one. `window` is where ids are looked up, `since` from
    /// when on keys are.
    pub(super) fn first_receipt(
        &self,
        parts: &[Arc<Part>],
        window: &[Arc<Part>],
        visible: Position,
        since: Timestamp,
    ) -> Result<Option<Receipt>, Error> {
        if self.key.is_some() {
            let among = window_since(parts, visible, since)?;
            let place = self.place_of_key(parts, among, visible, since)?;
            return place.map_or(Ok(None), |place| self.receipt_at(place.part, place.ordinal, visible));
        }
        let Some(first) = self.records.first().filter(|_| self.can_be_a_repeat()) else { return Ok(None) };
        let stream = &self.streams[first.stream];
        let place = match first_version(stream) {
            Some(version) => {
                let Some((part, ordinal)) = place_of_version(parts, visible, stream.hash, version)? else {
                    return Ok(None);
                };
                return self.receipt_at(&part, ordinal, visible);
            }
            None => self.place_of_id(first, parts, window, visible)?,
        };
        place.map_or(Ok(None), |place| self.receipt_at(place.part, place.ordinal, visible))
    }

    /// The receipt, if one frame holds exactly these events, beginning with the event number `first` of `part`.
    fn receipt_at(&self, part: &Part, first: u32, visible: Position) -> Result<Option<Receipt>, Error> {
        if u64::from(first) + self.records.len() as u64 > u64::from(part.events(visible)) {
            return Ok(None);
        }
        let mut streams: Vec<StreamReceipt> = self.streams.iter().map(|stream| stream.receipt()).collect();
        let mut of_frame = None;
        let mut position = Position::START;
        for (ordinal, record) in (first..).zip(&self.records) {
            let place = part.place(ordinal)?;
            if place.is_removed() {
                return Ok(None);
            }
            let stored = part.record(place.offset())?;
            let frame_at = u64::from(place.offset()).saturating_sub(event::frame_back(&stored).into());
            let (at, _) = *of_frame.get_or_insert((frame_at, event::position(&stored)));
            let compared = Compared { id: record.id_given, timestamp: record.timestamp_given };
            if at != frame_at || !event::repeats(self.bytes_of(record), &stored, compared) {
                return Ok(None);
            }
            let (stream, version) = (&self.streams[record.stream], event::version(&stored));
            let receipt = &mut streams[record.stream];
            // Under a key it is the same append whatever it expected.
            let is_expected =
                self.key.is_some() || first_version(stream).is_none_or(|first| first == version);
            if receipt.events.is_empty() && !is_expected {
                return Ok(None);
            }
            receipt.version = version;
            position = event::position(&stored);
            let id = match record.id_given {
                true => record.id.clone(),
                false => part.event(place.offset())?.id(),
            };
            receipt.events.push(AppendedEvent { id, stream_version: version, position });
        }
        let Some((frame_at, begins)) = of_frame else { return Ok(None) };
        let segment = &part.segment;
        let (header, _) =
            segment.frame_header(frame_at)?.map_err(|fault| segment.damaged(frame_at, fault))?;
        if header.first != begins || header.count as usize != self.records.len() {
            return Ok(None);
        }
        let durability = Durability::Sync;
        Ok(Some(Receipt { position, recorded_at: header.commit_time, durability, streams, repeated: true }))
    }
}

/// The version of the first event that an append wrote to a stream, by what it expected; none if it may have any.
fn first_version(stream: &Stream) -> Option<StreamVersion> {
    match stream.expected {
        // A stream that was deleted has no events, and goes on behind them.
        ExpectedVersion::None => Some(stream.lifecycle.deleted_through.next()),
        ExpectedVersion::Exactly(version) => Some(version.next()),
        ExpectedVersion::Any | ExpectedVersion::Exists => None,
    }
}

/// Where an event of a stream is.
fn place_of_version(
    parts: &[Arc<Part>],
    visible: Position,
    hash: u128,
    version: StreamVersion,
) -> Result<Option<(Arc<Part>, u32)>, Error> {
    let mut at = catalog::newest(parts, hash, visible)?;
    while let Some((part, here)) = at {
        if version > here.last() {
            return Ok(None);
        }
        if version >= here.first {
            let from = version.since(here.first) as u32;
            let mut ordinal = Vec::with_capacity(1);
            part.ordinals(parts, &here.postings, from, from + 1, &mut ordinal)?;
            return Ok(ordinal.pop().map(|ordinal| (part, ordinal)));
        }
        at = catalog::before(parts, &part, &here, hash)?;
    }
    Ok(None)
}

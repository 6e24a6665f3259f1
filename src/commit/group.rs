//! A group: appends that share one write and one sync. Each is admitted on its own; one's refusal never touches another.

use std::collections::HashSet;
use std::sync::Arc;

use super::admission::Stands;
use super::committer::{Pending, Shared};
use super::end::End;
use super::outcomes::Outcomes;
use super::prepared::{Prepared, Stream};
use super::ticket::Told;
use crate::error::{AppendError, Error};
use crate::index::{ByTerm, Head, MemoryIndex, NewEntry, Part, Previous};
use crate::model::{Lifecycle, Position, Timestamp};

/// A group under way.
pub(super) struct Group<'a> {
    shared: &'a Shared,
    end: &'a mut End,
    now: Timestamp,
    parts: Arc<Vec<Arc<Part>>>,
    /// Where streams stand after what this group has admitted so far.
    heads: ByTerm<Head>,
    admitted: Vec<Admitted>,
    /// The streams and ids of admitted events whose ids were given.
    ids: HashSet<(u128, u64)>,
    /// What the admitted events will add to the index.
    index_bytes_coming: u64,
    /// What is to be told once the state that it rests on is durable.
    outcomes: Outcomes,
}

/// An append that has its place in the log.
pub(super) struct Admitted {
    pub(super) pending: Pending,
    offset: u64,
    first: Position,
    time: Timestamp,
}

impl<'a> Group<'a> {
    pub(super) fn new(shared: &'a Shared, end: &'a mut End, now: Timestamp) -> Group<'a> {
        let parts = shared.catalog.parts();
        // Commit times never decrease, whatever the clock does.
        let now = now.max(end.writer.last_time());
        Group {
            shared,
            end,
            now,
            parts,
            heads: ByTerm::default(),
            admitted: Vec::new(),
            ids: HashSet::new(),
            index_bytes_coming: 0,
            outcomes: Outcomes::default(),
        }
    }

    /// Commits `batch`, in order. If the log fails, that is known before anyone in the batch is told of it.
    pub(super) fn commit(mut self, batch: Vec<Pending>) -> Outcomes {
        let records = batch.iter().flat_map(|pending| &pending.prepared.records);
        records.skip(1).for_each(|record| self.end.memory.will_insert(&record.terms));
        let mut batch = batch.into_iter();
        let committed = batch.try_for_each(|pending| self.take(pending)).and_then(|()| self.flush());
        if let Err(failure) = committed {
            let failure = self.shared.fail(failure);
            let admitted = self.admitted.into_iter().map(|admitted| admitted.pending);
            self.outcomes.fail(admitted.chain(batch), failure);
        }
        self.shared.counters.add_refused(self.outcomes.refused.len() as u64);
        self.outcomes
    }

    /// Admits one append and gives it its place, or notes why not.
    fn take(&mut self, mut pending: Pending) -> Result<(), Error> {
        match self.refusal(&mut pending.prepared) {
            Ok(None) => {}
            Ok(Some(refusal)) => {
                self.outcomes.refused.push((pending, refusal));
                return Ok(());
            }
            Err(error) => {
                pending.fail(error);
                return Ok(());
            }
        }
        let len = pending.prepared.frame.len();
        if self.end.writer.needs_roll(len) || self.index_is_full() {
            let rolled = self.flush().and_then(|()| self.roll(len as u64));
            if let Err(error) = rolled {
                return self.leave(pending, error);
            }
        }
        let first = self.end.writer.next();
        let body_crc = seal_records(&mut pending.prepared, first);
        let count = pending.prepared.records.len() as u32;
        let offset = self.end.writer.stage(&mut pending.prepared.frame, count, body_crc, self.now);
        let segment = self.end.writer.segment().number().0;
        for stream in &pending.prepared.streams {
            let version = stream.version().advanced(stream.events);
            self.heads.insert(stream.hash, Head { version, segment });
        }
        let records = &pending.prepared.records;
        let given = records.iter().filter(|record| record.id_given);
        self.ids.extend(given.map(|record| (record.terms.stream, record.terms.id)));
        self.index_bytes_coming +=
            records.iter().map(|record| MemoryIndex::bytes_of(&record.terms)).sum::<u64>();
        let has_settings = pending.prepared.has_settings();
        self.admitted.push(Admitted { pending, offset, first, time: self.now });
        // What comes behind has to see them, and looks for them in what is durable.
        if has_settings { self.flush() } else { Ok(()) }
    }

    /// Leaves out an append for which no segment could be made. Without space nothing was written, and the log goes on.
    fn leave(&mut self, pending: Pending, error: Error) -> Result<(), Error> {
        let no_space = matches!(error, Error::NoSpace { .. });
        self.outcomes.refused.push((pending, error.clone().into()));
        if no_space {
            self.shared.note_no_space(Some(&error));
            return Ok(());
        }
        Err(error)
    }

    /// Whether the index of the active segment has its share of the memory budget, what is admitted included.
    fn index_is_full(&self) -> bool {
        let holds_something = self.end.memory.events() > 0 || !self.admitted.is_empty();
        let bytes = self.end.memory.bytes() + self.index_bytes_coming;
        holds_something && bytes > self.shared.budget.index_bytes_max()
    }

    /// Why an append is refused, if it is. Notes where its streams stand.
    fn refusal(&self, prepared: &mut Prepared) -> Result<Option<AppendError>, Error> {
        if let Some(refusal) = self.check_key(prepared)? {
            return Ok(Some(refusal));
        }
        for stream in prepared.streams.iter_mut().chain(&mut prepared.expected) {
            stream.head = self.head_of(stream)?;
            let actual = stream.version();
            let deletion = self.lifecycle_of(stream)?.deletion(actual);
            let stands = Stands { stream: &stream.name, expected: stream.expected, actual, deletion };
            if let Err(refusal) = stands.check() {
                return Ok(Some(refusal));
            }
        }
        let visible = self.shared.visible.get();
        // Settings that came since may show what was hidden when the caller looked.
        let looks_again = prepared.conditions_of != self.shared.lifecycles.newest();
        for (number, condition) in prepared.conditions.iter_mut().enumerate() {
            if looks_again {
                condition.begin_again();
            }
            let refusal = condition.check(number, &self.parts, visible, &self.shared.lifecycles)?;
            let mut before = self.admitted.iter();
            let refusal = refusal.or_else(|| {
                before.find_map(|earlier| condition.check_admitted(number, &earlier.pending.prepared))
            });
            if refusal.is_some() {
                return Ok(refusal);
            }
        }
        self.check_ids(prepared)
    }

    /// The refusal, if an append has the same key: in this group, or in a segment that the caller has not looked at as it is
    /// now.
    fn check_key(&self, prepared: &Prepared) -> Result<Option<AppendError>, Error> {
        let Some((_, key)) = prepared.key else { return Ok(None) };
        let has_it =
            |admitted: &Admitted| admitted.pending.prepared.key.as_ref().is_some_and(|(_, of)| *of == key);
        if self.admitted.iter().any(has_it) {
            return Ok(prepared.key_taken());
        }
        let later = self.parts.partition_point(|part| part.number() <= prepared.looked_through);
        let (visible, since) = (self.shared.visible.get(), self.shared.keys_since());
        prepared.check_key(&self.parts, &self.parts[later..], visible, since)
    }

    /// The refusal, if an event has the stream and the id of a new one: in this group, or in a segment that the caller has
    /// not looked at as it is now.
    fn check_ids(&self, prepared: &Prepared) -> Result<Option<AppendError>, Error> {
        if self.shared.repeat_window == 0 {
            return Ok(None);
        }
        for record in prepared.records.iter().filter(|record| record.id_given) {
            let (stream, id) = (record.terms.stream, record.terms.id);
            let mut admitted = self.admitted.iter().flat_map(|admitted| &admitted.pending.prepared.records);
            if self.ids.contains(&(stream, id))
                && admitted.any(|other| other.terms.stream == stream && other.id == record.id)
            {
                return Ok(Some(prepared.id_taken(record)));
            }
        }
        let later = self.parts.partition_point(|part| part.number() <= prepared.looked_through);
        prepared.check_ids(&self.parts, &self.parts[later..], self.shared.visible.get())
    }

    /// How it is with a stream: as its caller has seen it, unless settings of some stream came since.
    fn lifecycle_of(&self, stream: &Stream) -> Result<Lifecycle, Error> {
        match self.shared.lifecycles.newest() == stream.lifecycle_of {
            true => Ok(stream.lifecycle),
            false => self.shared.lifecycles.of(stream.name.as_str()),
        }
    }

    /// Where a stream stands, the appends admitted before included.
    fn head_of(&self, stream: &Stream) -> Result<Option<Head>, Error> {
        if let Some(head) = self.heads.get(&stream.hash) {
            return Ok(Some(*head));
        }
        // Segments that came after the caller looked; their indexes are in memory, or just written.
        let all = Position::new(u64::MAX - 1);
        for part in self.parts.iter().rev().take_while(|part| part.number() > stream.warmed.through) {
            if let Some(here) = part.stream(&self.parts, stream.hash, all)? {
                return Ok(Some(Head { version: here.last(), segment: part.number() }));
            }
        }
        Ok(stream.warmed.head)
    }

    /// Makes what is staged durable, then visible. Now it can be acknowledged.
    fn flush(&mut self) -> Result<(), Error> {
        if self.admitted.is_empty() {
            return Ok(());
        }
        let begun = self.shared.clock.now();
        self.end.writer.flush()?;
        self.count(begun);
        for admitted in &self.admitted {
            admitted.index(&self.end.memory);
        }
        self.index_bytes_coming = 0;
        let last = self.end.writer.next().previous();
        if self.admitted.iter().any(|admitted| admitted.pending.prepared.has_settings()) {
            // The group ends with them. Before anyone is told: whoever knows of them must find them.
            self.end.writer.note_settings(last);
            self.shared.lifecycles.note(last);
        }
        assert_eq!(
            self.end.memory.events(),
            last.next().since(self.end.part.first) as u32,
            "positions have no holes"
        );
        let records = self.admitted.iter().flat_map(|admitted| &admitted.pending.prepared.records);
        self.shared.visible.publish(last, records.map(|record| &record.terms));
        self.outcomes.acknowledged.append(&mut self.admitted);
        self.end.writer.note_durable()
    }

    /// Counts what has just been made durable. A clock that was put back meanwhile took no time.
    fn count(&self, begun: Timestamp) {
        let took = self.shared.clock.now().as_nanos().saturating_sub(begun.as_nanos());
        let prepared = || self.admitted.iter().map(|admitted| &admitted.pending.prepared);
        let events = prepared().map(|prepared| prepared.records.len() as u64).sum();
        let bytes = prepared().map(|prepared| prepared.frame.len() as u64).sum();
        let sync_nanos = u64::try_from(took).unwrap_or(0);
        self.shared.counters.add_group(self.admitted.len() as u64, events, bytes, sync_nanos);
    }

    /// Goes on in the next segment.
    fn roll(&mut self, frame_len: u64) -> Result<(), Error> {
        let blank = self.end.blank(self.shared, frame_len)?;
        self.end.roll(self.shared, blank)?;
        self.shared.note_no_space(None);
        self.parts = self.shared.catalog.parts();
        Ok(())
    }
}

/// Completes the records with their positions and versions; tells the checksum of the frame's body.
fn seal_records(prepared: &mut Prepared, first: Position) -> u32 {
    let mut body_crc = crc32fast::Hasher::new();
    let mut position = first;
    for record in &prepared.records {
        let version = prepared.version_of(record);
        let bytes = &mut prepared.frame[record.start..record.start + record.len as usize];
        let crc = crate::format::event::seal(bytes, record.crc.clone(), position, version);
        body_crc.update(&crc.to_le_bytes());
        position = position.next();
    }
    body_crc.finalize()
}

impl Admitted {
    /// Tells that it is durable and visible.
    pub(super) fn acknowledge(self) {
        let Pending { prepared, teller } = self.pending;
        teller.tell(Told::Acknowledged(prepared, self.first, self.time));
    }

    fn index(&self, memory: &MemoryIndex) {
        let prepared = &self.pending.prepared;
        for record in &prepared.records {
            let head = prepared.streams[record.stream].head;
            memory.insert(NewEntry {
                offset: self.offset as u32 + record.start as u32,
                bytes: record.len,
                version: prepared.version_of(record),
                terms: &record.terms,
                previous: head.map_or(Previous::None, |head| Previous::Segment(head.segment)),
            });
        }
    }
}

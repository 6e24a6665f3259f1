//! The answer to a read: events one after the other, decoded when they are asked for.

use std::sync::Arc;

use super::cursor::{Cursor, StreamBounds};
use super::reader::{Checked, LastFrame, PartList, Reader, removed_among, removed_frame, version_at};
use super::request::{Direction, Read};
use super::selected::Selected;
use crate::error::Error;
use crate::format::event;
use crate::index::{Part, Place};
use crate::lifecycle::Hidden;
use crate::model::{Position, Query, RecordedEvent, StreamName, StreamVersion, Timestamp};

/// The events of a read, up to what was visible when it began. After an error it ends.
///
/// It holds no lock and costs nothing while it is not asked; the events it hands out are slices of the mapped log.
pub struct Events {
    reader: Reader,
    parts: PartList,
    cursor: Cursor,
    places: Vec<Place>,
    at: usize,
    /// The REMOVED frame that was told of last: it stands for many positions.
    removed: Option<(u64, Place)>,
    part: Option<Arc<Part>>,
    last_frame: LastFrame,
    filter: Filter,
    remaining: u64,
    visible: Position,
    /// What is told instead of the end: events beyond it are damaged.
    lost: Option<Error>,
}

/// What the cursor does not see to.
struct Filter {
    direction: Direction,
    after: Position,
    before: Position,
    /// The bounds of versions, where a stream is read.
    from: StreamVersion,
    to: StreamVersion,
    system: bool,
    query: Query,
    /// What is not shown; none when everything is, or the bounds see to it.
    hidden: Option<Hidden>,
}

/// What becomes of an event.
enum Fate {
    Wanted,
    Passed,
    /// It would be wanted, but it is not shown.
    Hidden,
    End,
}

impl Filter {
    #[inline(always)]
    fn fate(&mut self, of: &Checked) -> Result<Fate, Error> {
        let (position, version) = (of.position(), event::version(&of.record));
        let (too_early, too_late) = (position <= self.after, position >= self.before);
        let end = match self.direction {
            Direction::Forward => too_late,
            Direction::Backward => too_early,
        };
        if end {
            return Ok(Fate::End);
        }
        let is_within = !too_early && !too_late && (self.from..=self.to).contains(&version);
        if !is_within || (!self.system && event::is_system(&of.record)) {
            return Ok(Fate::Passed);
        }
        let bounds_see_to_all = self.hidden.is_none() && self.query.matches_all();
        if bounds_see_to_all { Ok(Fate::Wanted) } else { self.fate_by_content(of) }
    }

    fn fate_by_content(&mut self, of: &Checked) -> Result<Fate, Error> {
        let event = of.clone().into_event();
        if !self.query.matches(&event) {
            return Ok(Fate::Passed);
        }
        let is_hidden = Hidden::hides(&mut self.hidden, &event)?;
        Ok(if is_hidden { Fate::Hidden } else { Fate::Wanted })
    }

    /// What lies within the bounds of the positions that a frame stands for.
    fn clip(&self, first: Position, next: Position) -> Option<(Position, Position)> {
        let (first, last) = (first.max(self.after.next()), next.min(self.before).previous());
        (first <= last).then_some((first, last))
    }
}

/// How a stream is shown: from which version on, and from which time on, if age counts.
fn shown_of_stream(
    name: &StreamName,
    version: StreamVersion,
    hidden: &mut Hidden,
    follows: bool,
) -> Result<(StreamVersion, Option<Timestamp>), Error> {
    let lifecycle = hidden.lifecycle(name.as_str())?;
    match lifecycle.deletion(version) {
        Some(deletion) if !follows => Err(Error::Gone { stream: name.clone(), version, deletion }),
        _ => Ok((lifecycle.first_shown(version), lifecycle.shown_since(hidden.newest()?))),
    }
}

impl Events {
    pub(crate) fn new(reader: &Reader, read: Read) -> Result<Events, Error> {
        Events::at(reader, reader.snapshot(), read)
    }

    /// Up to what was visible when the snapshot was taken.
    pub(super) fn at(
        reader: &Reader,
        (visible, parts): (Position, PartList),
        read: Read,
    ) -> Result<Events, Error> {
        read.check()?;
        let mut after = read.after.unwrap_or(Position::START);
        let mut before = read.before.unwrap_or(visible.next()).min(visible.next());
        if let Some(since) = read.since {
            after = after.max(reader.position_at(&parts, visible, since)?.previous());
        }
        if let Some(until) = read.until.and_then(|until| until.as_nanos().checked_add(1)) {
            let end = Timestamp::from_nanos(until);
            before = before.min(reader.position_at(&parts, visible, end)?);
        }
        let mut from = read.from.unwrap_or_default();
        let mut hidden = reader.hidden(&parts, visible);
        if let (Some(name), Some(mut hidden)) = (&read.stream, hidden.take_if(|_| read.stream.is_some())) {
            let version = version_at(&parts, reader.stream_hash(name.as_str()), visible)?;
            let (first, since) = shown_of_stream(name, version, &mut hidden, read.follows)?;
            from = from.max(first);
            if let Some(since) = since {
                after = after.max(reader.position_at(&parts, visible, since)?.previous());
            }
        }
        let lost = lost_to(reader, &read, before > visible)?;
        if let (Some(lost), Direction::Backward) = (&lost, read.direction) {
            return Err(lost.clone());
        }
        let to = read.to.unwrap_or(StreamVersion::new(u64::MAX));
        // A stream without a query is reached by versions, which is more than a plan could do.
        let plan =
            if read.query.matches_all() { None } else { reader.plan(&read.query, read.stream.as_ref()) };
        let cursor = match (&read.stream, plan) {
            (stream, Some(plan)) => {
                if let Some(name) = stream {
                    let hash = reader.stream_hash(name.as_str());
                    let (first, last) = reader.positions_of(&parts, visible, hash, from, to)?;
                    (after, before) = (after.max(first.previous()), before.min(last.next()));
                }
                let (first, last) = (after.next(), before.previous());
                Cursor::Selected(Selected::new(plan, read.direction, visible, first, last))
            }
            (None, None) => Cursor::all(read.direction, after.next(), before.previous()),
            (Some(name), None) => {
                let hash = reader.stream_hash(name.as_str());
                let limit = read.limit.unwrap_or(u64::MAX);
                let bounds = StreamBounds { from, to, after, limit };
                Cursor::stream(reader, &parts, visible, hash, read.direction, &bounds)?
            }
        };
        let (direction, system, query) = (read.direction, read.system, read.query);
        let filter = Filter { direction, after, before, from, to, system, query, hidden };
        Ok(Events {
            reader: reader.clone(),
            parts,
            cursor,
            places: Vec::new(),
            at: 0,
            removed: None,
            part: None,
            last_frame: LastFrame::default(),
            filter,
            remaining: read.limit.unwrap_or(u64::MAX),
            visible,
            lost,
        })
    }

    /// The last position that this read can reach: what was visible when it began.
    pub fn head(&self) -> Position {
        self.visible
    }

    /// Which of the events from `first` to `last` have been removed, if terms led past them; else they are told as they come.
    pub(crate) fn removed_unseen(
        &self,
        first: Position,
        last: Position,
    ) -> Result<Option<(Position, Position)>, Error> {
        match self.cursor {
            Cursor::Selected(_) => removed_among(&self.parts, first, last.min(self.visible)),
            _ => Ok(None),
        }
    }

    /// What comes next, wanted or not; none at the end.
    #[inline(always)]
    fn step(&mut self) -> Result<Option<Met>, Error> {
        while self.at == self.places.len() {
            self.places.clear();
            self.at = 0;
            self.part = self.cursor.refill(&self.parts, &mut self.places)?;
            if self.part.is_none() {
                return Ok(None);
            }
        }
        let part = self.part.as_ref().expect("a place comes with its part");
        let place = self.places[self.at];
        if place.is_removed() {
            self.at += 1;
            let here = Some((part.number(), place));
            if self.removed == here {
                return Ok(Some(Met::Removed(None)));
            }
            let frame = removed_frame(part, place)?;
            self.removed = here;
            return Ok(Some(Met::Removed(self.filter.clip(frame.first, frame.next_position()))));
        }
        let record = self.reader.record(part, place.offset(), &mut self.last_frame)?;
        self.at += 1;
        let fate = self.filter.fate(&record)?;
        Ok(Some(Met::Record(record, fate)))
    }

    /// The next wanted event as `found` makes it, or what `aside` makes of what lies before it, if anything: of each range that
    /// is not shown, and of the last of `patience` events that were not wanted.
    ///
    /// An event is made where it goes to: copying one that was just made takes longer than finding it. For the same reason all that
    /// leads to it is compiled into this loop (`inline(always)`): results handed from function to function are copied each time.
    #[inline(always)]
    fn next_or<T>(
        &mut self,
        patience: u64,
        found: impl FnOnce(Checked) -> T,
        aside: impl Fn(Aside) -> Option<T>,
    ) -> Option<Result<T, Error>> {
        let mut passed = 0;
        while self.remaining > 0 {
            let before = match self.step() {
                Ok(Some(Met::Record(record, Fate::Wanted))) => {
                    self.remaining -= 1;
                    return Some(Ok(found(record)));
                }
                Ok(Some(Met::Record(record, Fate::Passed))) => {
                    passed += 1;
                    (passed == patience).then(|| Aside::Passed(record.position()))
                }
                Ok(Some(Met::Record(record, Fate::Hidden))) => {
                    Some(Aside::Skipped(record.position(), record.position()))
                }
                Ok(Some(Met::Removed(range))) => range.map(|(first, last)| Aside::Skipped(first, last)),
                Ok(Some(Met::Record(_, Fate::End)) | None) => {
                    self.remaining = 0;
                    return self.lost.take().map(Err);
                }
                Err(error) => {
                    self.remaining = 0;
                    return Some(Err(error));
                }
            };
            if let Some(answer) = before.and_then(&aside) {
                return Some(Ok(answer));
            }
        }
        None
    }

    /// The next wanted event, or after `patience` events that were not wanted, how far it has come.
    pub(crate) fn next_within(&mut self, patience: u64) -> Option<Result<Step, Error>> {
        let found = |record: Checked| Step::Event(record.into_event());
        self.next_or(patience, found, |aside| Some(Step::Aside(aside)))
    }
}

/// Why a read misses events, when it would reach beyond those that can be read.
fn lost_to(reader: &Reader, read: &Read, reaches_head: bool) -> Result<Option<Error>, Error> {
    let Some(lost) = reader.lost().filter(|_| reaches_head) else { return Ok(None) };
    if let (Some(name), Some(to)) = (&read.stream, read.to)
        && to <= reader.stream_version(reader.stream_hash(name.as_str()))?
    {
        return Ok(None);
    }
    Ok(Some(lost.clone()))
}

/// What a bounded look at the next events gave.
pub(crate) enum Step {
    Event(RecordedEvent),
    Aside(Aside),
}

/// What lies before the next event.
pub(crate) enum Aside {
    /// Nothing up to this position was wanted.
    Passed(Position),
    /// Events at these positions, both included, are not shown, or were removed.
    Skipped(Position, Position),
}

/// What a read comes by.
enum Met {
    Record(Checked, Fate),
    /// Events that were removed, as far as they are within the bounds and have not been told of.
    Removed(Option<(Position, Position)>),
}

impl Iterator for Events {
    type Item = Result<RecordedEvent, Error>;

    fn next(&mut self) -> Option<Result<RecordedEvent, Error>> {
        self.next_or(u64::MAX, Checked::into_event, |_| None)
    }
}

impl std::fmt::Debug for Events {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Events").field("head", &self.visible).finish_non_exhaustive()
    }
}

//! The history of a run, and the check that what a store holds is one that the history can have led to.
//!
//! The checker knows nothing of how the store works. It compares what callers were told with what is there: an
//! acknowledged append where its receipt says, any other wholly or not at all, and nothing else. Where an append stands,
//! all that it believed holds, and a refusal names what was there. What readers and subscribers saw meanwhile must be
//! what is there.
//!
//! A history goes on over all lives of a store. It takes time in proportion to what it is given, but for sorting it.

mod observation;
mod places;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

pub use self::observation::Observation;
use self::places::Places;
use super::model::{Attempt, Placed};
use crate::error::{AppendError, Error};
use crate::model::{
    AppendedEvent, Durability, EventId, ExpectedVersion, Position, Receipt, StreamName, StreamReceipt,
    StreamVersion, Timestamp,
};

/// What a caller was told of an attempt.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// It is durable.
    Acknowledged(Receipt),
    /// A stream stood elsewhere; nothing was written.
    Conflict {
        /// The stream.
        stream: StreamName,
        /// Where it stood.
        actual: StreamVersion,
    },
    /// An event was there that must not have come; nothing was written.
    Matched {
        /// Which condition it breaks, counted from 0.
        condition: usize,
        /// The first event that breaks it.
        position: Position,
    },
    /// Refused for another reason; nothing was written.
    Refused,
    /// Nobody knows: the log failed, or the power was cut before an answer.
    Unknown,
}

impl Outcome {
    /// The outcome that a receipt means which did not come from the library: where each event stands, in order.
    pub fn acknowledged(
        events: impl IntoIterator<Item = (Position, StreamName, StreamVersion, EventId)>,
    ) -> Outcome {
        let of_event = |(position, stream, stream_version, id)| StreamReceipt {
            stream,
            version: stream_version,
            events: vec![AppendedEvent { id, stream_version, position }],
        };
        let streams: Vec<StreamReceipt> = events.into_iter().map(of_event).collect();
        Outcome::Acknowledged(Receipt {
            position: streams.last().map_or(Position::START, |stream| stream.events[0].position),
            recorded_at: Timestamp::default(),
            durability: Durability::Sync,
            streams,
            repeated: false,
        })
    }

    /// The outcome that an answer of the store means.
    pub fn of(answer: &Result<Receipt, AppendError>) -> Outcome {
        match answer {
            Ok(receipt) => Outcome::Acknowledged(receipt.clone()),
            Err(AppendError::Conflict { stream, actual, .. }) => {
                Outcome::Conflict { stream: stream.clone(), actual: *actual }
            }
            Err(AppendError::Matched { condition, position, .. }) => {
                Outcome::Matched { condition: *condition, position: *position }
            }
            Err(AppendError::Store(Error::Failed { .. })) => Outcome::Unknown,
            Err(_) => Outcome::Refused,
        }
    }
}

/// One attempt with its outcome, and when it began and ended. Times are any numbers that never decrease.
#[derive(Debug, Clone)]
struct Operation {
    attempt: Attempt,
    began: u64,
    /// None while it is under way, or nobody knows whether it is.
    ended: Option<u64>,
    outcome: Outcome,
    /// Where its first event was found, counted from 0, if that settled an unknown outcome.
    settled_at: Option<usize>,
}

impl Operation {
    /// Whether nobody knows what became of it.
    fn is_open(&self) -> bool {
        matches!(self.outcome, Outcome::Unknown) && self.settled_at.is_none()
    }
}

/// A recorded run, over all lives of a store.
#[derive(Debug, Clone, Default)]
pub struct History {
    operations: Vec<Operation>,
    observations: Vec<Observation>,
    /// The latest time that was noted.
    time: u64,
}

impl History {
    /// Notes that an attempt begins, and gives it a number.
    pub fn begin(&mut self, time: u64, attempt: Attempt) -> usize {
        let (ended, outcome) = (None, Outcome::Unknown);
        self.time = self.time.max(time);
        self.operations.push(Operation { attempt, began: time, ended, outcome, settled_at: None });
        self.operations.len() - 1
    }

    /// Notes how the attempt of that number ended.
    pub fn end(&mut self, number: usize, time: u64, outcome: Outcome) {
        self.time = self.time.max(time);
        let operation = &mut self.operations[number];
        operation.ended = Some(time).filter(|_| !matches!(outcome, Outcome::Unknown));
        operation.outcome = outcome;
    }

    /// Notes what a reader or a subscriber saw.
    pub fn observe(&mut self, observation: Observation) {
        self.time = self.time.max(observation.latest());
        self.observations.push(observation);
    }

    /// The history as it was at a time: what was under way has no outcome yet, and what came later is not there.
    pub fn as_of(&self, time: u64) -> History {
        let begun = self.operations.iter().filter(|operation| operation.began <= time).cloned();
        let cut = begun.map(|operation| match operation.ended {
            Some(ended) if ended <= time => operation,
            _ => Operation { ended: None, outcome: Outcome::Unknown, settled_at: None, ..operation },
        });
        let observations = self.observations.iter().filter_map(|observation| observation.until(time));
        History { operations: cut.collect(), observations: observations.collect(), time }
    }

    /// Notes that the store was opened for writing and holds `found`, which was checked. An attempt of unknown outcome
    /// that is there stays there, and ended before anything that comes; one that is not has failed for good, and must
    /// never come back. What was seen so far is let go: it was there, and all that is there has its place from now on.
    ///
    /// Tells how many of unknown outcome are there.
    pub fn settle(&mut self, found: &[Placed]) -> usize {
        let there: HashMap<u64, usize> =
            found.iter().enumerate().map(|(at, held)| (held.event.number, at)).collect();
        self.observations.clear();
        let mut settled = 0;
        for operation in self.operations.iter_mut().filter(|operation| operation.is_open()) {
            let first = operation.attempt.events().next();
            operation.settled_at = first.and_then(|(_, event)| there.get(&event.number).copied());
            operation.ended = Some(self.time);
            match operation.settled_at {
                Some(_) => settled += 1,
                None => operation.outcome = Outcome::Refused,
            }
        }
        settled
    }

    /// How many attempts were acknowledged.
    pub fn acknowledged(&self) -> usize {
        self.count(|outcome| matches!(outcome, Outcome::Acknowledged(_)))
    }

    /// How many attempts came too late: a stream or an event was not as they believed.
    pub fn outrun(&self) -> usize {
        self.count(|outcome| matches!(outcome, Outcome::Conflict { .. } | Outcome::Matched { .. }))
    }

    fn count(&self, is_one: impl Fn(&Outcome) -> bool) -> usize {
        self.operations.iter().filter(|operation| is_one(&operation.outcome)).count()
    }

    /// Checks that `found`, all events of the store in order, is what this history can have led to. The first thing
    /// that cannot be is the error.
    pub fn check(&self, found: &[Placed]) -> Result<(), String> {
        check_versions(found)?;
        let places = Places::find(&self.operations, found)?;
        for (number, operation) in self.operations.iter().enumerate() {
            let place = places.of.get(&number);
            match &operation.outcome {
                Outcome::Acknowledged(receipt) => check_receipt(operation, receipt, place, found)?,
                Outcome::Conflict { stream, actual } => {
                    refuse_written(operation, place)?;
                    self.check_conflict(operation, stream, *actual, &places)?;
                }
                Outcome::Matched { condition, position } => {
                    refuse_written(operation, place)?;
                    self.check_matched(operation, *condition, *position, &places)?;
                }
                Outcome::Refused => refuse_written(operation, place)?,
                Outcome::Unknown => check_settled(operation, place)?,
            }
            if let Some(place) = place {
                check_beliefs(operation, place, &places)?;
            }
        }
        self.check_real_time(&places)?;
        self.check_observations(&places, found)
    }

    /// A stream stood at `actual` at some time while the attempt was under way: the event of that version was there
    /// before it ended, and the next one was not acknowledged before it began.
    fn check_conflict(
        &self,
        operation: &Operation,
        stream: &StreamName,
        actual: StreamVersion,
        places: &Places<'_>,
    ) -> Result<(), String> {
        let breaks =
            |(name, expected): (&StreamName, ExpectedVersion)| name == stream && !expected.holds_at(actual);
        if !operation.attempt.beliefs().any(breaks) {
            return Err(format!("{operation:?} was refused although its expectation holds at {actual}"));
        }
        let owner_of = |version: StreamVersion| {
            let at = places.of_version(stream, version)?;
            Some(&self.operations[places.owner(at)])
        };
        let reached = actual == StreamVersion::START
            || owner_of(actual).is_some_and(|owner| operation.ended.is_none_or(|ended| owner.began <= ended));
        let not_beyond = owner_of(actual.next())
            .is_none_or(|owner| owner.ended.is_none_or(|ended| ended >= operation.began));
        match reached && not_beyond {
            true => Ok(()),
            false => Err(format!("{operation:?}: {stream} never stood at {actual} while it was under way")),
        }
    }

    /// The event that was named is the first that breaks the condition, and was there before the attempt ended.
    fn check_matched(
        &self,
        operation: &Operation,
        condition: usize,
        position: Position,
        places: &Places<'_>,
    ) -> Result<(), String> {
        let Some(broken) = operation.attempt.refused_by.get(condition) else {
            return Err(format!("{operation:?} has no condition {condition}"));
        };
        let first = places.first_match(broken);
        if first.is_none_or(|at| at as u64 + 1 != position.get()) {
            return Err(format!("{operation:?} was refused for {position}, and breaks at {first:?}, from 0"));
        }
        let owner = first.map(|at| &self.operations[places.owner(at)]);
        match owner.is_some_and(|owner| operation.ended.is_none_or(|ended| owner.began <= ended)) {
            true => Ok(()),
            false => Err(format!("{operation:?} was refused for {position} before {owner:?} began")),
        }
    }

    /// What was acknowledged before something else began stands before it.
    fn check_real_time(&self, places: &Places<'_>) -> Result<(), String> {
        // The latest beginning among those that stand before.
        let mut latest: Option<&Operation> = None;
        for number in places.in_order() {
            let operation = &self.operations[number];
            if let (Some(latest), Some(ended)) = (latest, operation.ended)
                && latest.began > ended
            {
                return Err(format!("{operation:?} ended before {latest:?} began, and stands behind it"));
            }
            if latest.is_none_or(|latest| operation.began > latest.began) {
                latest = Some(operation);
            }
        }
        Ok(())
    }
}

/// Versions are dense in each stream.
fn check_versions(found: &[Placed]) -> Result<(), String> {
    let mut versions: BTreeMap<&str, StreamVersion> = BTreeMap::new();
    for (at, held) in found.iter().enumerate() {
        let version = versions.entry(&held.stream).or_default();
        if held.version != version.next() {
            return Err(format!("position {}: {held:?} follows version {version}", at + 1));
        }
        *version = held.version;
    }
    Ok(())
}

/// An acknowledged attempt is there, where its receipt says.
fn check_receipt(
    operation: &Operation,
    receipt: &Receipt,
    place: Option<&Range<usize>>,
    found: &[Placed],
) -> Result<(), String> {
    let Some(place) = place else {
        return Err(format!("{operation:?} was acknowledged and is gone"));
    };
    let events =
        receipt.streams.iter().flat_map(|of| of.events.iter().map(|event| (of.stream.as_str(), event)));
    let mut told: Vec<_> = events
        .map(|(stream, event)| (event.position.get(), stream, event.stream_version, event.id.to_string()))
        .collect();
    told.sort_unstable();
    let held = place.clone().map(|at| {
        let Placed { stream, version, event } = &found[at];
        (at as u64 + 1, stream.as_str(), *version, event.id())
    });
    let ends = |of: &StreamReceipt| of.events.last().is_some_and(|last| last.stream_version == of.version);
    let same =
        held.eq(told) && receipt.position.get() == place.end as u64 && receipt.streams.iter().all(ends);
    if same { Ok(()) } else { Err(format!("{operation:?} stands at {place:?}, counted from 0")) }
}

/// Where an attempt stands, each stream stood as it believed, and nothing had come that it did not want.
fn check_beliefs(operation: &Operation, place: &Range<usize>, places: &Places<'_>) -> Result<(), String> {
    for (stream, expected) in operation.attempt.beliefs() {
        let stood = places.version_before(stream, place.start);
        if !expected.holds_at(stood) {
            return Err(format!("{operation:?} is there, and {stream} stood at {stood} before it"));
        }
    }
    let mut broken =
        operation.attempt.refused_by.iter().filter_map(|condition| places.first_match(condition));
    match broken.find(|at| *at < place.start) {
        None => Ok(()),
        Some(at) => Err(format!("{operation:?} is there behind position {}, which it refuses", at + 1)),
    }
}

/// An attempt that was found once is there for good, and in its place.
fn check_settled(operation: &Operation, place: Option<&Range<usize>>) -> Result<(), String> {
    match operation.settled_at {
        Some(at) if place.is_none_or(|place| place.start != at) => {
            Err(format!("{operation:?} was found at position {}, and stands at {place:?}", at + 1))
        }
        _ => Ok(()),
    }
}

fn refuse_written(operation: &Operation, place: Option<&Range<usize>>) -> Result<(), String> {
    match place {
        None => Ok(()),
        Some(_) => Err(format!("{operation:?} was refused and is there")),
    }
}

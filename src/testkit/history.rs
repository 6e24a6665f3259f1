//! The history of a run, and the check that what a store holds is one that the history can have led to.
//!
//! The checker knows nothing of how the store works. It compares what callers were told with what is there: an
//! acknowledged append where its receipt says, any other wholly or not at all, and nothing else. What readers and
//! subscribers saw meanwhile must be what is there.
//!
//! It takes time in proportion to what it is given, but for sorting it.

mod observation;

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

pub use self::observation::Observation;
use super::model::{Attempt, Placed};
use crate::error::{AppendError, Error};
use crate::model::{Receipt, StreamName, StreamVersion};

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
    /// Refused for another reason; nothing was written.
    Refused,
    /// Nobody knows: the log failed, or the power was cut before an answer.
    Unknown,
}

impl Outcome {
    /// The outcome that an answer of the store means.
    pub fn of(answer: &Result<Receipt, AppendError>) -> Outcome {
        match answer {
            Ok(receipt) => Outcome::Acknowledged(receipt.clone()),
            Err(AppendError::Conflict { stream, actual, .. }) => {
                Outcome::Conflict { stream: stream.clone(), actual: *actual }
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
    /// None while it is under way.
    ended: Option<u64>,
    outcome: Outcome,
    /// Where its first event was found, counted from 0, if that settled an unknown outcome.
    settled_at: Option<usize>,
}

/// A recorded run.
#[derive(Debug, Clone, Default)]
pub struct History {
    operations: Vec<Operation>,
    observations: Vec<Observation>,
}

/// What stands where, as indexes: of operations in the history, and of events in the store.
struct Places<'a> {
    /// The events of each operation that is there.
    of: HashMap<usize, Range<usize>>,
    /// The operation of each event.
    owners: Vec<usize>,
    /// The events of each stream.
    streams: HashMap<&'a str, Vec<usize>>,
}

impl Places<'_> {
    /// The event of a version of a stream. Versions are dense.
    fn of_version(&self, stream: &StreamName, version: StreamVersion) -> Option<usize> {
        let events = self.streams.get(stream.as_str())?;
        events.get((version.get() as usize).checked_sub(1)?).copied()
    }
}

impl History {
    /// Notes that an attempt begins, and gives it a number.
    pub fn begin(&mut self, time: u64, attempt: Attempt) -> usize {
        let (ended, outcome) = (None, Outcome::Unknown);
        self.operations.push(Operation { attempt, began: time, ended, outcome, settled_at: None });
        self.operations.len() - 1
    }

    /// Notes how the attempt of that number ended.
    pub fn end(&mut self, number: usize, time: u64, outcome: Outcome) {
        self.operations[number].ended = Some(time);
        self.operations[number].outcome = outcome;
    }

    /// Notes what a reader or a subscriber saw.
    pub fn observe(&mut self, observation: Observation) {
        self.observations.push(observation);
    }

    /// The history as it was at a time: what was under way has no outcome yet, and what came later is not there.
    pub fn as_of(&self, time: u64) -> History {
        self.between(time, time)
    }

    /// The history of a disk that was copied at some moment from `earliest` to `latest`: what was under way in between
    /// has no outcome.
    pub fn between(&self, earliest: u64, latest: u64) -> History {
        let begun = self.operations.iter().filter(|operation| operation.began <= latest).cloned();
        let cut = begun.map(|operation| match operation.ended {
            Some(ended) if ended <= earliest => operation,
            _ => Operation { ended: None, outcome: Outcome::Unknown, settled_at: None, ..operation },
        });
        let observations = self.observations.iter().filter_map(|observation| observation.until(earliest));
        History { operations: cut.collect(), observations: observations.collect() }
    }

    /// Notes that the store was opened for writing and holds `found`. An attempt of unknown outcome that is there stays
    /// there; one that is not has failed for good, and must never come back.
    pub fn settle(&mut self, found: &[Placed]) {
        let there: HashMap<u64, usize> =
            found.iter().enumerate().map(|(at, held)| (held.event.number, at)).collect();
        let unknown = |operation: &&mut Operation| matches!(operation.outcome, Outcome::Unknown);
        for operation in self.operations.iter_mut().filter(unknown) {
            let first = operation.attempt.events().next();
            operation.settled_at = first.and_then(|(_, event)| there.get(&event.number).copied());
            if operation.settled_at.is_none() {
                operation.outcome = Outcome::Refused;
            }
        }
    }

    /// How many attempts were acknowledged.
    pub fn acknowledged(&self) -> usize {
        let acknowledged = |operation: &&Operation| matches!(operation.outcome, Outcome::Acknowledged(_));
        self.operations.iter().filter(acknowledged).count()
    }

    /// Checks that `found`, all events of the store in order, is what this history can have led to. The first thing
    /// that cannot be is the error.
    pub fn check(&self, found: &[Placed]) -> Result<(), String> {
        check_versions(found)?;
        let places = self.places(found)?;
        for (number, operation) in self.operations.iter().enumerate() {
            let place = places.of.get(&number);
            match &operation.outcome {
                Outcome::Acknowledged(receipt) => check_receipt(operation, receipt, place, found)?,
                Outcome::Conflict { stream, actual } => {
                    refuse_written(operation, place)?;
                    self.check_conflict(operation, stream, *actual, &places)?;
                }
                Outcome::Refused => refuse_written(operation, place)?,
                Outcome::Unknown => check_settled(operation, place)?,
            }
        }
        self.check_real_time(&places)?;
        self.check_observations(&places, found)
    }

    /// Finds each operation's events: all of them, one behind the other, once; and nobody else's.
    fn places<'a>(&self, found: &'a [Placed]) -> Result<Places<'a>, String> {
        let mut owner_of = HashMap::new();
        for (number, operation) in self.operations.iter().enumerate() {
            for (_, event) in operation.attempt.events() {
                owner_of.insert(event.number, number);
            }
        }
        let (mut of, mut owners) = (HashMap::new(), Vec::with_capacity(found.len()));
        let mut at = 0;
        while let Some(first) = found.get(at) {
            let Some(number) = owner_of.get(&first.event.number) else {
                return Err(format!("position {} holds {first:?}, which nobody appended", at + 1));
            };
            let operation = &self.operations[*number];
            let len = operation.attempt.events().count();
            let held = found.get(at..at + len).unwrap_or(&found[at..]);
            let whole = held.len() == len
                && operation
                    .attempt
                    .events()
                    .zip(held)
                    .all(|((stream, event), held)| stream.as_str() == held.stream && event == held.event);
            if !whole {
                return Err(format!("position {}: {operation:?} is there in part: {held:?}", at + 1));
            }
            if of.insert(*number, at..at + len).is_some() {
                return Err(format!("position {}: {operation:?} is there twice", at + 1));
            }
            at += len;
            owners.resize(at, *number);
        }
        let mut streams: HashMap<&str, Vec<usize>> = HashMap::new();
        for (at, held) in found.iter().enumerate() {
            streams.entry(&held.stream).or_default().push(at);
        }
        Ok(Places { of, owners, streams })
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
        let expected = operation.attempt.writes.iter().find(|write| write.stream == *stream);
        if expected.is_none_or(|write| write.expected.holds_at(actual)) {
            return Err(format!("{operation:?} was refused although its expectation holds at {actual}"));
        }
        let owner_of = |version: StreamVersion| {
            let at = places.of_version(stream, version)?;
            Some(&self.operations[places.owners[at]])
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

    /// What was acknowledged before something else began stands before it.
    fn check_real_time(&self, places: &Places<'_>) -> Result<(), String> {
        let mut placed: Vec<_> = places.of.iter().map(|(number, place)| (place.start, *number)).collect();
        placed.sort_unstable();
        // The latest beginning among those that stand before.
        let mut latest: Option<&Operation> = None;
        for (_, number) in placed {
            let operation = &self.operations[number];
            let acknowledged = matches!(operation.outcome, Outcome::Acknowledged(_));
            if let (Some(latest), Some(ended), true) = (latest, operation.ended, acknowledged)
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
    let mut told: Vec<_> = receipt
        .streams
        .iter()
        .flat_map(|stream| stream.events.iter().map(|event| (event.position.get(), &stream.stream, event)))
        .map(|(position, stream, event)| (position, stream.as_str(), event.stream_version))
        .collect();
    told.sort_unstable();
    let held = place.clone().map(|at| (at as u64 + 1, found[at].stream.as_str(), found[at].version));
    let same = held.eq(told) && receipt.position.get() == place.end as u64;
    if same { Ok(()) } else { Err(format!("{operation:?} stands at {place:?}, counted from 0")) }
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

#[cfg(test)]
mod tests {
    use super::super::model::{Model, Numbered, Write};
    use super::*;
    use crate::model::{
        AppendedEvent, Durability, EventId, ExpectedVersion, Position, StreamReceipt, Timestamp,
    };

    /// An attempt to append two events of these numbers to the one stream.
    fn attempt(numbers: [u64; 2]) -> Attempt {
        let stream = StreamName::parse("s").expect("legal");
        let events = numbers.map(|number| Numbered { number, bytes: 1 }).to_vec();
        Attempt { writes: vec![Write { stream, expected: ExpectedVersion::None, events }] }
    }

    pub(super) fn held(attempts: &[[u64; 2]]) -> Vec<Placed> {
        let mut model = Model::default();
        for numbers in attempts {
            let mut any = attempt(*numbers);
            any.writes[0].expected = ExpectedVersion::Any;
            model.append(&any).expect("any version will do");
        }
        model.events().to_vec()
    }

    pub(super) fn receipt(first: u64) -> Outcome {
        let event = |n: u64| AppendedEvent {
            id: EventId::generate(),
            stream_version: StreamVersion::new(n),
            position: Position::new(n),
        };
        let stream = StreamReceipt {
            stream: StreamName::parse("s").expect("legal"),
            version: StreamVersion::new(first + 1),
            events: vec![event(first), event(first + 1)],
        };
        Outcome::Acknowledged(Receipt {
            position: Position::new(first + 1),
            recorded_at: Timestamp::default(),
            durability: Durability::Sync,
            streams: vec![stream],
            repeated: false,
        })
    }

    fn conflict(actual: u64) -> Outcome {
        let stream = StreamName::parse("s").expect("legal");
        Outcome::Conflict { stream, actual: StreamVersion::new(actual) }
    }

    /// A history of attempts, one after the other.
    pub(super) fn history(outcomes: impl IntoIterator<Item = ([u64; 2], Outcome)>) -> History {
        let mut history = History::default();
        for (time, (numbers, outcome)) in outcomes.into_iter().enumerate() {
            let number = history.begin(2 * time as u64, attempt(numbers));
            history.end(number, 2 * time as u64 + 1, outcome);
        }
        history
    }

    #[test]
    fn an_acknowledged_append_must_be_there_whole_and_where_its_receipt_says() {
        let history = history([([1, 2], receipt(1))]);
        assert_eq!(history.check(&held(&[[1, 2]])), Ok(()));
        for wrong in [held(&[]), held(&[[1, 2]])[..1].to_vec(), held(&[[9, 9], [1, 2]]), held(&[[2, 1]])] {
            assert!(history.check(&wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn an_append_of_unknown_outcome_is_there_wholly_or_not_at_all() {
        let history = history([([1, 2], Outcome::Unknown)]);
        assert_eq!(history.check(&held(&[])), Ok(()));
        assert_eq!(history.check(&held(&[[1, 2]])), Ok(()));
        assert!(history.check(&held(&[[1, 2]])[..1]).is_err());
        assert!(history.check(&held(&[[1, 2], [1, 2]])).is_err());
    }

    #[test]
    fn an_append_that_was_not_there_when_the_store_was_opened_must_not_come_back() {
        let mut history = history([([1, 2], receipt(1)), ([3, 4], Outcome::Unknown)]);
        assert_eq!(history.check(&held(&[[1, 2], [3, 4]])), Ok(()));
        history.settle(&held(&[[1, 2]]));
        assert_eq!(history.check(&held(&[[1, 2]])), Ok(()));
        assert!(history.check(&held(&[[1, 2], [3, 4]])).is_err());
    }

    #[test]
    fn an_append_that_was_there_when_the_store_was_opened_stays_where_it_was() {
        let mut history = history([([1, 2], Outcome::Unknown), ([3, 4], Outcome::Unknown)]);
        history.settle(&held(&[[1, 2], [3, 4]]));
        assert_eq!(history.check(&held(&[[1, 2], [3, 4]])), Ok(()));
        for wrong in [&[[1, 2]][..], &[[3, 4]], &[[3, 4], [1, 2]]] {
            assert!(history.check(&held(wrong)).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn what_was_refused_is_not_there() {
        assert!(history([([1, 2], Outcome::Refused)]).check(&held(&[[1, 2]])).is_err());
    }

    #[test]
    fn a_conflict_needs_a_version_that_existed_then() {
        let after = |actual| history([([1, 2], receipt(1)), ([3, 4], conflict(actual))]);
        assert_eq!(after(2).check(&held(&[[1, 2]])), Ok(()));
        for actual in [0, 1, 3] {
            assert!(after(actual).check(&held(&[[1, 2]])).is_err(), "{actual}");
        }
    }

    #[test]
    fn what_was_acknowledged_first_stands_first() {
        let both = |first, second| history([([1, 2], receipt(first)), ([3, 4], receipt(second))]);
        assert_eq!(both(1, 3).check(&held(&[[1, 2], [3, 4]])), Ok(()));
        assert!(both(3, 1).check(&held(&[[3, 4], [1, 2]])).is_err());
    }

    #[test]
    fn a_history_cut_at_a_time_knows_no_later_outcome() {
        let whole = history([([1, 2], receipt(1)), ([3, 4], receipt(3))]);
        assert_eq!(whole.as_of(2).acknowledged(), 1);
        assert_eq!(whole.as_of(2).check(&held(&[[1, 2]])), Ok(()));
        assert!(whole.check(&held(&[[1, 2]])).is_err());
    }
}

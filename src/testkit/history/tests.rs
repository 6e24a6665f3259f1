//! What the checker takes and what it refuses, on the smallest histories that show it.

use std::time::{Duration, Instant};

use super::super::model::{Condition, Model, Numbered, Workload, Write};
use super::*;

fn name(text: &str) -> StreamName {
    StreamName::parse(text).expect("legal")
}

/// An attempt to append two events of these numbers to the one stream.
fn attempt(numbers: [u64; 2], expected: ExpectedVersion) -> Attempt {
    let events = numbers.map(|number| Numbered { number, bytes: 1 }).to_vec();
    Attempt { writes: vec![Write { stream: name("s"), expected, events }], ..Attempt::default() }
}

pub(super) fn held(attempts: &[[u64; 2]]) -> Vec<Placed> {
    let mut model = Model::default();
    for numbers in attempts {
        model.append(&attempt(*numbers, ExpectedVersion::Any)).expect("any version will do");
    }
    model.events().to_vec()
}

/// What is told of two events, whose numbers are their positions, to the one stream.
pub(super) fn receipt(first: u64) -> Outcome {
    let event = |n: u64| {
        let id = EventId::parse(&format!("n{n}")).expect("legal");
        (Position::new(n), name("s"), StreamVersion::new(n), id)
    };
    Outcome::acknowledged([event(first), event(first + 1)])
}

fn conflict(actual: u64) -> Outcome {
    Outcome::Conflict { stream: name("s"), actual: StreamVersion::new(actual) }
}

/// A history of attempts, one after the other. Those that met a conflict expected an empty stream.
pub(super) fn history(outcomes: impl IntoIterator<Item = ([u64; 2], Outcome)>) -> History {
    let attempts = outcomes.into_iter().map(|(numbers, outcome)| match outcome {
        Outcome::Conflict { .. } => (attempt(numbers, ExpectedVersion::None), outcome),
        _ => (attempt(numbers, ExpectedVersion::Any), outcome),
    });
    history_of(attempts)
}

fn history_of(attempts: impl IntoIterator<Item = (Attempt, Outcome)>) -> History {
    let mut history = History::default();
    for (time, (attempt, outcome)) in (0..).step_by(2).zip(attempts) {
        let number = history.begin(time, attempt);
        history.end(number, time + 1, outcome);
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
fn what_is_there_stands_where_it_was_expected_to() {
    let stands = |expected| history_of([(attempt([1, 2], expected), receipt(1))]).check(&held(&[[1, 2]]));
    assert_eq!(stands(ExpectedVersion::None), Ok(()));
    assert!(stands(ExpectedVersion::Exists).is_err());
    assert!(stands(StreamVersion::new(2).into()).is_err());
    // Whether it was acknowledged or only found does not matter.
    let found = history_of([(attempt([1, 2], ExpectedVersion::Exists), Outcome::Unknown)]);
    assert_eq!(found.check(&held(&[])), Ok(()));
    assert!(found.check(&held(&[[1, 2]])).is_err());
}

#[test]
fn of_two_that_expected_the_same_only_one_is_there() {
    let empty = |numbers, outcome| (attempt(numbers, ExpectedVersion::None), outcome);
    let both = history_of([empty([1, 2], receipt(1)), empty([3, 4], receipt(3))]);
    assert!(both.check(&held(&[[1, 2], [3, 4]])).is_err());
    let one = history_of([empty([1, 2], receipt(1)), empty([3, 4], conflict(2))]);
    assert_eq!(one.check(&held(&[[1, 2]])), Ok(()));
}

#[test]
fn what_is_believed_of_a_stream_that_is_not_written_holds() {
    let believing = |expected, outcome| {
        let mut believing = attempt([3, 4], ExpectedVersion::Any);
        believing.expecting.push((name("t"), expected));
        history_of([(attempt([1, 2], ExpectedVersion::Any), receipt(1)), (believing, outcome)])
    };
    let both = held(&[[1, 2], [3, 4]]);
    assert_eq!(believing(ExpectedVersion::None, receipt(3)).check(&both), Ok(()));
    assert!(believing(ExpectedVersion::Exists, receipt(3)).check(&both).is_err());
    let refused = Outcome::Conflict { stream: name("t"), actual: StreamVersion::START };
    assert_eq!(believing(ExpectedVersion::Exists, refused.clone()).check(&both[..2]), Ok(()));
    assert!(believing(ExpectedVersion::None, refused).check(&both[..2]).is_err());
}

/// Two events, and then an attempt that refuses any in a stream behind a position.
fn refusing(stream: Option<&str>, after: u64, outcome: Outcome) -> History {
    let mut refusing = attempt([3, 4], ExpectedVersion::Any);
    let streams = stream.into_iter().map(name).collect();
    refusing.refused_by.push(Condition { streams, after: Position::new(after) });
    history_of([(attempt([1, 2], ExpectedVersion::Any), receipt(1)), (refusing, outcome)])
}

#[test]
fn what_is_there_stands_before_anything_that_it_refuses() {
    let both = held(&[[1, 2], [3, 4]]);
    for (stream, after, holds) in
        [(None, 2, true), (None, 1, false), (Some("s"), 2, true), (Some("s"), 1, false), (Some("t"), 0, true)]
    {
        let checked = refusing(stream, after, receipt(3)).check(&both);
        assert_eq!(checked.is_ok(), holds, "{stream:?} behind {after}: {checked:?}");
    }
}

#[test]
fn what_refuses_an_append_is_the_first_event_that_it_did_not_want() {
    let told = |position| Outcome::Matched { condition: 0, position: Position::new(position) };
    let first = held(&[[1, 2]]);
    assert_eq!(refusing(None, 1, told(2)).check(&first), Ok(()));
    assert_eq!(refusing(Some("s"), 0, told(1)).check(&first), Ok(()));
    for wrong in [refusing(None, 0, told(2)), refusing(Some("t"), 0, told(1)), refusing(None, 2, told(3))] {
        assert!(wrong.check(&first).is_err(), "{wrong:?}");
    }
    let no_such_condition = Outcome::Matched { condition: 1, position: Position::new(2) };
    assert!(refusing(None, 1, no_such_condition).check(&first).is_err());
    assert!(refusing(None, 1, told(2)).check(&held(&[[1, 2], [3, 4]])).is_err(), "refused and there");
}

#[test]
fn what_an_opening_found_ended_before_what_comes_after_it() {
    let after = |actual| {
        let mut history = history([([1, 2], Outcome::Unknown)]);
        assert_eq!(history.settle(&held(&[[1, 2]])), 1);
        let refused = attempt([3, 4], StreamVersion::new(9).into());
        let number = history.begin(history.time + 1, refused);
        history.end(number, history.time + 1, conflict(actual));
        history
    };
    assert_eq!(after(2).check(&held(&[[1, 2]])), Ok(()));
    assert!(after(0).check(&held(&[[1, 2]])).is_err());

    let mut seen = history([([1, 2], Outcome::Unknown)]);
    seen.settle(&held(&[[1, 2]]));
    let mut nothing = Observation::of_all(seen.time + 1, Position::START);
    nothing.reach(seen.time + 2, Position::START);
    seen.observe(nothing);
    assert!(seen.check(&held(&[[1, 2]])).is_err(), "a reader missed what the opening had found");
}

/// A history of so many attempts without a fault, and what it led to.
fn long(attempts: u64) -> (History, Model) {
    let (mut history, mut model) = (History::default(), Model::default());
    let mut workload = Workload::new(1, 50, 100);
    for _ in 0..attempts {
        let mut attempt = workload.next(&model);
        attempt.refused_by.push(Condition { streams: vec![name("s-1"), name("s-2")], after: model.head() });
        let number = history.begin(history.time + 1, attempt.clone());
        let outcome = match model.append(&attempt) {
            Err((stream, actual)) => Outcome::Conflict { stream, actual },
            Ok(last) => {
                let first = last.get() as usize - attempt.events().count();
                Outcome::acknowledged((first..).zip(&model.events()[first..]).map(|(at, held)| {
                    let id = EventId::parse(&held.event.id()).expect("legal");
                    (Position::new(at as u64 + 1), name(&held.stream), held.version, id)
                }))
            }
        };
        history.end(number, history.time + 1, outcome);
    }
    for n in 0..attempts {
        // Readers that begin anywhere, and see a little.
        let after = model.events().len() as u64 * n / attempts;
        let mut observation = Observation::of_all(0, Position::new(after));
        for (position, event) in (after + 1..).zip(&model.events()[after as usize..]).take(3) {
            observation.see(history.time, Position::new(position), event.clone());
        }
        history.observe(observation);
    }
    (history, model)
}

#[test]
fn a_history_of_a_hundred_thousand_attempts_is_checked_in_seconds() {
    let (history, model) = long(100_000);
    let begun = Instant::now();
    assert_eq!(history.check(model.events()), Ok(()));
    // It takes a fraction of a second; with a search through all events for each attempt it would take minutes.
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
}

#[test]
fn a_history_cut_at_a_time_knows_no_later_outcome() {
    let whole = history([([1, 2], receipt(1)), ([3, 4], receipt(3))]);
    assert_eq!(whole.as_of(2).acknowledged(), 1);
    assert_eq!(whole.as_of(2).check(&held(&[[1, 2]])), Ok(()));
    assert!(whole.check(&held(&[[1, 2]])).is_err());
}

//! What one reader or subscriber saw: the events of a stream or of all, from one position to another.
//!
//! It must be what is there, event by event and without a gap, however the store was killed meanwhile: what was visible
//! was durable. And it must reach as far as what had been acknowledged before it was asked for.

use super::{History, Operation, Places};
use crate::model::{Position, StreamName};
use crate::testkit::Placed;

/// What was seen, in the order in which it was seen.
#[derive(Debug, Clone)]
pub struct Observation {
    /// All, if none.
    stream: Option<StreamName>,
    began: u64,
    after: Position,
    seen: Vec<Seen>,
    /// Up to where everything was said to have been seen, and when.
    reached: Option<(Position, u64)>,
    /// When there was no more to see.
    ended: Option<u64>,
}

#[derive(Debug, Clone)]
struct Seen {
    position: Position,
    event: Placed,
    time: u64,
}

impl Observation {
    /// Begins to read or follow all events after a position.
    pub fn of_all(time: u64, after: Position) -> Observation {
        Observation { stream: None, began: time, after, seen: Vec::new(), reached: None, ended: None }
    }

    /// Begins to read or follow a stream's events after a position.
    pub fn of_stream(time: u64, stream: StreamName, after: Position) -> Observation {
        Observation { stream: Some(stream), ..Observation::of_all(time, after) }
    }

    /// Notes an event.
    pub fn see(&mut self, time: u64, position: Position, event: Placed) {
        self.seen.push(Seen { position, event, time });
    }

    /// Notes that there is no event up to this position that was not seen: a read ended, or a subscriber had caught up.
    pub fn reach(&mut self, time: u64, position: Position) {
        self.reached = Some((position, time));
    }

    /// Notes that there was no more, wherever that is: all that was visible when it began was seen.
    pub fn end(&mut self, time: u64) {
        self.ended = Some(time);
    }

    /// Behind which position it goes on.
    pub fn position(&self) -> Position {
        let seen = self.seen.last().map(|seen| seen.position);
        let reached = self.reached.map(|(position, _)| position);
        self.after.max(seen.unwrap_or_default()).max(reached.unwrap_or_default())
    }

    /// How many events were seen.
    pub fn events(&self) -> usize {
        self.seen.len()
    }

    /// When it last learned something.
    pub(super) fn latest(&self) -> u64 {
        let seen = self.seen.last().map_or(0, |seen| seen.time);
        let reached = self.reached.map_or(0, |(_, time)| time);
        self.began.max(seen).max(reached).max(self.ended.unwrap_or_default())
    }

    /// What had been seen at a time; none if it had not begun.
    pub(super) fn until(&self, time: u64) -> Option<Observation> {
        let mut cut = self.clone();
        cut.seen.retain(|seen| seen.time <= time);
        cut.reached = cut.reached.filter(|(_, at)| *at <= time);
        cut.ended = cut.ended.filter(|at| *at <= time);
        (self.began <= time).then_some(cut)
    }
}

impl History {
    /// Checks everything that was seen.
    pub(super) fn check_observations(&self, places: &Places<'_>, found: &[Placed]) -> Result<(), String> {
        let acknowledged = Acknowledged::of(&self.operations, places);
        let all: Vec<usize> = (0..found.len()).collect();
        for observation in &self.observations {
            let events = observation.stream.as_ref().map_or(&all[..], |stream| places.of_stream(stream));
            self.check_seen(observation, events, places, found)
                .and_then(|unseen| acknowledged.check_reached(observation, unseen))
                .map_err(|fault| {
                    let Observation { stream, began, after, .. } = observation;
                    format!("what was seen of {stream:?} behind {after} since {began}: {fault}")
                })?;
        }
        Ok(())
    }

    /// Checks what was seen of `events`, which are indexes of what is there. Tells the first that was not.
    fn check_seen(
        &self,
        observation: &Observation,
        events: &[usize],
        places: &Places<'_>,
        found: &[Placed],
    ) -> Result<Option<Position>, String> {
        let begin = events.partition_point(|at| (*at as u64) < observation.after.get());
        let mut rest = events[begin..].iter();
        for seen in &observation.seen {
            let at = *rest.next().ok_or_else(|| format!("{seen:?} is not there"))?;
            if seen.position.get() != at as u64 + 1 || seen.event != found[at] {
                return Err(format!("{seen:?} was seen where position {} holds {:?}", at + 1, found[at]));
            }
            let owner = &self.operations[places.owner(at)];
            if owner.began > seen.time {
                return Err(format!("{seen:?} was seen before {owner:?} began"));
            }
        }
        let unseen = rest.next().map(|at| Position::new(*at as u64 + 1));
        let reached = observation.reached.map_or(Position::START, |(position, _)| position);
        if reached.get() > found.len() as u64 {
            return Err(format!("{reached} was reached, but there are {} events", found.len()));
        }
        match unseen {
            Some(unseen) if unseen <= reached => {
                Err(format!("{reached} was reached, and position {unseen} was not seen"))
            }
            unseen => Ok(unseen),
        }
    }
}

/// Up to which position everything had been acknowledged, or found by an opening, by time.
struct Acknowledged(Vec<(u64, Position)>);

impl Acknowledged {
    fn of(operations: &[Operation], places: &Places<'_>) -> Acknowledged {
        let steps = places.of.iter();
        let steps = steps.filter_map(|(number, place)| {
            Some((operations[*number].ended?, Position::new(place.end as u64)))
        });
        let mut steps: Vec<(u64, Position)> = steps.collect();
        steps.sort_unstable();
        let mut highest = Position::START;
        for (_, position) in &mut steps {
            highest = highest.max(*position);
            *position = highest;
        }
        Acknowledged(steps)
    }

    /// What was acknowledged before a reader asked was visible to it. `unseen` is the first that it did not see.
    fn check_reached(&self, observation: &Observation, unseen: Option<Position>) -> Result<(), String> {
        let before = self.0.partition_point(|(ended, _)| *ended < observation.began);
        let Some(last) = before.checked_sub(1) else { return Ok(()) };
        let acknowledged = self.0[last].1;
        let reached = observation.reached.map(|(position, _)| position);
        let missed = unseen.filter(|_| observation.ended.is_some());
        match (reached, missed) {
            (Some(reached), _) if reached < acknowledged => Err(format!(
                "it had caught up at {reached}, but {acknowledged} had been acknowledged before it began"
            )),
            (_, Some(missed)) if missed <= acknowledged => {
                Err(format!("it ended before {missed}, which had been acknowledged before it began"))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{held, history, receipt};
    use super::*;

    /// Whether it is right, in a history of two acknowledged appends of two events, to have seen these positions of the
    /// four at these times, and to have reached a position.
    fn seen(observation: Observation, seen: &[(u64, u64)], reached: Option<u64>) -> bool {
        let found = held(&[[1, 2], [3, 4]]);
        let mut history = history([([1, 2], receipt(1)), ([3, 4], receipt(3))]);
        let mut observation = observation;
        for (position, time) in seen {
            observation.see(*time, Position::new(*position), found[*position as usize - 1].clone());
        }
        if let Some(reached) = reached {
            observation.reach(9, Position::new(reached));
        }
        history.observe(observation);
        history.check(&found).is_ok()
    }

    fn all(time: u64, after: u64) -> Observation {
        Observation::of_all(time, Position::new(after))
    }

    #[test]
    fn what_was_seen_is_what_is_there_without_a_gap_or_a_repetition() {
        assert!(seen(all(9, 0), &[(1, 9), (2, 9), (3, 9), (4, 9)], Some(4)));
        assert!(seen(all(9, 2), &[(3, 9)], None));
        assert!(!seen(all(9, 0), &[(1, 9), (3, 9)], None));
        assert!(!seen(all(9, 0), &[(1, 9), (1, 9)], None));
        assert!(!seen(all(9, 0), &[(2, 9), (1, 9)], None));
        assert!(!seen(all(9, 1), &[(1, 9)], None));
    }

    #[test]
    fn what_was_reached_leaves_nothing_out() {
        assert!(seen(all(0, 0), &[(1, 9), (2, 9)], Some(2)));
        assert!(!seen(all(0, 0), &[(1, 9), (2, 9)], Some(3)));
        assert!(!seen(all(0, 0), &[(1, 9), (2, 9), (3, 9), (4, 9)], Some(5)));
    }

    #[test]
    fn what_was_acknowledged_before_a_read_began_is_in_it() {
        assert!(seen(all(3, 0), &[(1, 9), (2, 9)], Some(2)));
        assert!(!seen(all(4, 0), &[(1, 9), (2, 9)], Some(2)));
    }

    #[test]
    fn what_ended_leaves_out_nothing_that_was_acknowledged_before_it_began() {
        let ended = |stream: Option<&str>, began, positions: &[(u64, u64)]| {
            let mut observation = match stream {
                None => all(began, 0),
                Some(name) => {
                    let name = StreamName::parse(name).expect("legal");
                    Observation::of_stream(began, name, Position::START)
                }
            };
            observation.end(9);
            seen(observation, positions, None)
        };
        assert!(ended(None, 3, &[(1, 9), (2, 9)]));
        assert!(!ended(None, 4, &[(1, 9), (2, 9)]));
        assert!(ended(None, 4, &[(1, 9), (2, 9), (3, 9), (4, 9)]));
        assert!(!ended(Some("s"), 4, &[(1, 9), (2, 9), (3, 9)]));
        assert!(ended(Some("t"), 4, &[]));
    }

    #[test]
    fn nothing_is_seen_before_somebody_appends_it() {
        assert!(seen(all(0, 0), &[(1, 0)], None));
        assert!(!seen(all(0, 0), &[(1, 0), (2, 1), (3, 1)], None));
    }

    #[test]
    fn of_a_stream_its_events_are_seen_and_no_others() {
        let stream =
            |name: &str| Observation::of_stream(9, StreamName::parse(name).expect("legal"), Position::START);
        assert!(seen(stream("s"), &[(1, 9), (2, 9), (3, 9), (4, 9)], Some(4)));
        assert!(seen(stream("t"), &[], Some(4)));
        assert!(!seen(stream("s"), &[], Some(4)));
        assert!(!seen(stream("t"), &[(1, 9)], None));
    }

    #[test]
    fn what_was_seen_after_a_cut_is_not_asked_for() {
        let found = held(&[[1, 2], [3, 4]]);
        let mut history = history([([1, 2], receipt(1)), ([3, 4], receipt(3))]);
        let mut observation = all(0, 0);
        for (time, (position, event)) in (1..).zip((1..).zip(&found)) {
            observation.see(time, Position::new(position), event.clone());
        }
        history.observe(observation);
        assert_eq!(history.as_of(2).check(&found[..2]), Ok(()));
        assert!(history.as_of(3).check(&found[..2]).is_err());
    }
}

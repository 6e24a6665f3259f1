//! The model: what a store must do, without a disk. Appends go into a list, or are refused as the store must refuse them.

use std::collections::BTreeMap;

use super::Rng;
use crate::model::{
    Append, ContentType, Data, EventId, EventType, ExpectedVersion, NewEvent, Position, QueryItem,
    RecordedEvent, StreamName, StreamVersion,
};

/// An event that is told from every other by its number: its id and its data are made of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Numbered {
    /// The number.
    pub number: u64,
    /// How many bytes of data it has.
    pub bytes: usize,
}

/// The events of one attempt for one stream, and what the stream is expected to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    /// The stream.
    pub stream: StreamName,
    /// What the attempt believes about it.
    pub expected: ExpectedVersion,
    /// The events, in order.
    pub events: Vec<Numbered>,
}

/// An append that is tried.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Attempt {
    /// What it writes, stream by stream.
    pub writes: Vec<Write>,
    /// What it believes of other streams.
    pub expecting: Vec<(StreamName, ExpectedVersion)>,
    /// What must not have come since it looked.
    pub refused_by: Vec<Condition>,
}

/// A condition on all events: none behind a position is in one of these streams.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// The streams; if there are none, any will do.
    pub streams: Vec<StreamName>,
    /// Behind which position.
    pub after: Position,
}

/// An event where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    /// Its stream.
    pub stream: String,
    /// Its place there.
    pub version: StreamVersion,
    /// The event.
    pub event: Numbered,
}

/// What a store that never fails would hold.
#[derive(Debug, Clone, Default)]
pub struct Model {
    events: Vec<Placed>,
    versions: BTreeMap<String, StreamVersion>,
}

impl Numbered {
    /// Its type.
    pub const TYPE: &str = "numbered";

    /// What its data is.
    pub const CONTENT_TYPE: &str = "application/octet-stream";

    /// What its data repeats. A prime length: no two sectors of an event are alike, and neither are its neighbours'.
    fn pattern(self) -> [u8; 251] {
        std::array::from_fn(|at| (self.number.wrapping_mul(31).wrapping_add(at as u64)) as u8)
    }

    /// Its data.
    pub fn content(self) -> Vec<u8> {
        self.pattern().into_iter().cycle().take(self.bytes).collect()
    }

    /// Its id.
    pub fn id(self) -> String {
        format!("n{}", self.number)
    }

    /// Reads an event that was made of a number, to its last byte; none when it says anything else.
    pub fn of(id: &str, event_type: &str, data: &[u8]) -> Option<Numbered> {
        let number = id.strip_prefix('n')?.parse().ok()?;
        let event = Numbered { number, bytes: data.len() };
        let pattern = event.pattern();
        let same = data.chunks(pattern.len()).all(|part| *part == pattern[..part.len()]);
        (same && event_type == Numbered::TYPE).then_some(event)
    }

    /// The event to append.
    pub fn to_event(self) -> NewEvent {
        let event_type = EventType::parse(Numbered::TYPE).expect("a legal type");
        let content_type = ContentType::parse(Numbered::CONTENT_TYPE).expect("a legal content type");
        let id = EventId::parse(&self.id()).expect("a legal id");
        NewEvent::new(event_type, Data::binary(content_type, self.content())).id(id)
    }
}

impl Placed {
    /// Reads an event that was made of a number, to its last byte; none when it says anything else.
    pub fn of(recorded: &RecordedEvent) -> Option<Placed> {
        let event = Numbered::of(&recorded.id().to_string(), recorded.event_type(), recorded.data())?;
        Some(Placed { stream: recorded.stream().to_owned(), version: recorded.stream_version(), event })
    }
}

impl Attempt {
    /// The append to make.
    pub fn to_append(&self) -> Append {
        self.to_append_of(Numbered::to_event)
    }

    /// The append to make of events that carry something more than their number.
    pub fn to_append_of(&self, to_event: impl Fn(Numbered) -> NewEvent) -> Append {
        let append = self.writes.iter().fold(Append::default(), |append, write| {
            append.and_to(write.stream.clone(), write.expected, write.events.iter().copied().map(&to_event))
        });
        let append = self
            .expecting
            .iter()
            .fold(append, |append, (stream, expected)| append.expecting(stream.clone(), *expected));
        self.refused_by.iter().fold(append, |append, condition| {
            append.fail_if_events_match(condition.to_item(), condition.after)
        })
    }

    /// Each stream that it believes something about, with what it believes, in the order in which a store looks.
    pub fn beliefs(&self) -> impl Iterator<Item = (&StreamName, ExpectedVersion)> {
        let written = self.writes.iter().map(|write| (&write.stream, write.expected));
        written.chain(self.expecting.iter().map(|(stream, expected)| (stream, *expected)))
    }

    /// Its events with their streams, in order.
    pub fn events(&self) -> impl Iterator<Item = (&StreamName, Numbered)> {
        self.writes.iter().flat_map(|write| write.events.iter().map(|event| (&write.stream, *event)))
    }
}

impl Condition {
    /// What none of the events may match.
    pub fn to_item(&self) -> QueryItem {
        let streams = self.streams.iter().map(|stream| stream.as_str().to_owned());
        QueryItem { streams: streams.collect(), ..QueryItem::default() }
    }
}

impl Model {
    /// What the store holds, in order.
    pub fn events(&self) -> &[Placed] {
        &self.events
    }

    /// Where a stream stands.
    pub fn version(&self, stream: &str) -> StreamVersion {
        self.versions.get(stream).copied().unwrap_or_default()
    }

    /// Each stream with where it stands.
    pub fn versions(&self) -> impl Iterator<Item = (&str, StreamVersion)> {
        self.versions.iter().map(|(stream, version)| (stream.as_str(), *version))
    }

    /// The last position.
    pub fn head(&self) -> Position {
        Position::new(self.events.len() as u64)
    }

    /// The model of a store that holds these events.
    pub fn holding(events: Vec<Placed>) -> Model {
        let versions = events.iter().map(|placed| (placed.stream.clone(), placed.version)).collect();
        Model { events, versions }
    }

    /// What an append without conditions on all events must answer: its last position, or the first stream that is not
    /// as expected, and where that stands.
    pub fn append(&mut self, attempt: &Attempt) -> Result<Position, (StreamName, StreamVersion)> {
        for (stream, expected) in attempt.beliefs() {
            let actual = self.version(stream.as_str());
            if !expected.holds_at(actual) {
                return Err((stream.clone(), actual));
            }
        }
        for (stream, event) in attempt.events() {
            let version = self.versions.entry(stream.as_str().to_owned()).or_default();
            *version = version.next();
            self.events.push(Placed { stream: stream.as_str().to_owned(), version: *version, event });
        }
        Ok(self.head())
    }
}

/// Draws attempts: to one and several streams, small and large, with expectations that hold and some that do not.
#[derive(Debug, Clone)]
pub struct Workload {
    rng: Rng,
    numbers: u64,
    streams: u64,
    bytes_max: u64,
}

impl Workload {
    /// The attempts of this seed, over so many streams, with events of up to `bytes_max` bytes.
    pub fn new(seed: u64, streams: u64, bytes_max: u64) -> Workload {
        Workload { rng: Rng::new(seed), numbers: 0, streams, bytes_max }
    }

    /// The next attempt on a store that holds what `model` holds.
    pub fn next(&mut self, model: &Model) -> Attempt {
        let first = self.rng.below(self.streams);
        let mut writes = vec![self.write(first, model)];
        if self.rng.chance(1, 4) && self.streams > 1 {
            let other = (first + 1 + self.rng.below(self.streams - 1)) % self.streams;
            writes.push(self.write(other, model));
        }
        Attempt { writes, ..Attempt::default() }
    }

    fn write(&mut self, stream: u64, model: &Model) -> Write {
        let stream = StreamName::parse(&format!("s-{stream}")).expect("a legal name");
        let stands = model.version(stream.as_str());
        let expected = match self.rng.below(8) {
            0 => ExpectedVersion::None,
            1 => ExpectedVersion::Exists,
            2 => stands.next().into(),
            3..=5 => stands.into(),
            _ => ExpectedVersion::Any,
        };
        let count = 1 + self.rng.below(3);
        Write { stream, expected, events: (0..count).map(|_| self.event()).collect() }
    }

    fn event(&mut self) -> Numbered {
        self.numbers += 1;
        // Small ones in between: several frames in a sector, and frames over many.
        let max = if self.rng.chance(1, 3) { self.bytes_max / 20 } else { self.bytes_max };
        Numbered { number: self.numbers, bytes: self.rng.below(max + 1) as usize }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempt(expected: ExpectedVersion, numbers: &[u64]) -> Attempt {
        let stream = StreamName::parse("s").expect("legal");
        let events = numbers.iter().map(|number| Numbered { number: *number, bytes: 3 }).collect();
        Attempt { writes: vec![Write { stream, expected, events }], ..Attempt::default() }
    }

    #[test]
    fn an_append_is_placed_or_refused_with_where_the_stream_stands() {
        let mut model = Model::default();
        assert_eq!(model.append(&attempt(ExpectedVersion::None, &[1, 2])), Ok(Position::new(2)));
        let refused = model.append(&attempt(ExpectedVersion::None, &[3]));
        assert_eq!(refused.map_err(|(_, actual)| actual), Err(StreamVersion::new(2)));
        assert_eq!(model.events().len(), 2);
        assert_eq!(Model::holding(model.events().to_vec()).version("s"), StreamVersion::new(2));
    }

    #[test]
    fn a_belief_about_a_stream_that_is_not_written_refuses_as_well() {
        let mut model = Model::default();
        let other = StreamName::parse("other").expect("legal");
        let mut believing = attempt(ExpectedVersion::Any, &[1]);
        believing.expecting.push((other.clone(), ExpectedVersion::Exists));
        assert_eq!(model.append(&believing), Err((other, StreamVersion::START)));
        believing.expecting[0].1 = ExpectedVersion::None;
        assert_eq!(model.append(&believing), Ok(Position::new(1)));
        assert_eq!(model.version("other"), StreamVersion::START, "expecting a stream does not make it");
    }

    #[test]
    fn a_seed_draws_the_same_attempts_again() {
        let (mut one, mut two) = (Workload::new(3, 4, 100), Workload::new(3, 4, 100));
        for _ in 0..50 {
            assert_eq!(one.next(&Model::default()), two.next(&Model::default()));
        }
    }
}

//! What to read: which events, from where to where, in which direction.

use crate::error::Error;
use crate::model::{Position, Query, StreamName, StreamVersion, Timestamp};

/// The order of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Direction {
    /// Oldest first.
    #[default]
    Forward,
    /// Newest first.
    Backward,
}

/// A request to read one stream or all events. Bounds that are not set do not bound.
///
/// ```
/// use annals::{Read, StreamName, StreamVersion};
///
/// let last_ten = Read::stream(StreamName::parse("order-1")?).backward().limit(10);
/// let from_five = Read::stream(StreamName::parse("order-1")?).from(StreamVersion::new(5));
/// # Ok::<(), annals::NameError>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct Read {
    pub(crate) stream: Option<StreamName>,
    pub(crate) direction: Direction,
    pub(crate) from: Option<StreamVersion>,
    pub(crate) to: Option<StreamVersion>,
    pub(crate) after: Option<Position>,
    pub(crate) before: Option<Position>,
    pub(crate) since: Option<Timestamp>,
    pub(crate) until: Option<Timestamp>,
    pub(crate) limit: Option<u64>,
    pub(crate) query: Query,
    pub(crate) system: bool,
    /// A deleted stream is read as one without events, as whoever follows it wants.
    pub(crate) follows: bool,
}

impl Read {
    /// Reads every event.
    pub fn all() -> Read {
        Read::default()
    }

    /// Reads one stream.
    pub fn stream(stream: StreamName) -> Read {
        Read { system: stream.is_system(), stream: Some(stream), ..Read::default() }
    }

    /// Newest first.
    #[must_use]
    pub fn backward(self) -> Read {
        self.direction(Direction::Backward)
    }

    /// In this order. Default: oldest first.
    #[must_use]
    pub fn direction(mut self, direction: Direction) -> Read {
        self.direction = direction;
        self
    }

    /// From this version of the stream on, inclusive. Only for one stream.
    #[must_use]
    pub fn from(mut self, version: StreamVersion) -> Read {
        self.from = Some(version);
        self
    }

    /// Up to this version of the stream, inclusive. Only for one stream.
    #[must_use]
    pub fn to(mut self, version: StreamVersion) -> Read {
        self.to = Some(version);
        self
    }

    /// Only events after this position, exclusive.
    #[must_use]
    pub fn after(mut self, position: Position) -> Read {
        self.after = Some(position);
        self
    }

    /// Only events before this position, exclusive.
    #[must_use]
    pub fn before(mut self, position: Position) -> Read {
        self.before = Some(position);
        self
    }

    /// Only events committed at this time or later.
    #[must_use]
    pub fn since(mut self, time: Timestamp) -> Read {
        self.since = Some(time);
        self
    }

    /// Only events committed at this time or earlier.
    #[must_use]
    pub fn until(mut self, time: Timestamp) -> Read {
        self.until = Some(time);
        self
    }

    /// At most this many events.
    #[must_use]
    pub fn limit(mut self, count: u64) -> Read {
        self.limit = Some(count);
        self
    }

    /// Only events that match.
    #[must_use]
    pub fn query(mut self, query: Query) -> Read {
        self.query = query;
        self
    }

    /// Also the events of system streams, whose names start with `$`. Default: only those of named streams.
    #[must_use]
    pub fn system(mut self, system: bool) -> Read {
        self.system = system;
        self
    }

    /// As whoever follows a stream wants it: one that is deleted is empty.
    pub(crate) fn following(mut self) -> Read {
        self.follows = true;
        self
    }

    /// Refuses what cannot be meant.
    pub(crate) fn check(&self) -> Result<(), Error> {
        if self.stream.is_none() && (self.from.is_some() || self.to.is_some()) {
            return Err(Error::invalid(
                "`from` and `to` are versions of one stream; bound all events by `after` and `before`",
            ));
        }
        Ok(())
    }
}

//! What to follow, from where, and what comes of it.

use crate::model::{Position, Query, RecordedEvent, StreamName, StreamVersion};

/// What to follow, and from where.
///
/// ```
/// use annals::{Position, StreamName, Subscribe};
///
/// let everything_to_come = Subscribe::all().after(Position::new(42));
/// let one_stream = Subscribe::stream(StreamName::parse("order-1")?);
/// # Ok::<(), annals::NameError>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct Subscribe {
    pub(super) stream: Option<StreamName>,
    pub(super) after: Position,
    pub(super) after_version: StreamVersion,
    pub(super) query: Query,
    pub(super) system: bool,
}

impl Subscribe {
    /// Every event.
    pub fn all() -> Subscribe {
        Subscribe::default()
    }

    /// One stream.
    pub fn stream(name: StreamName) -> Subscribe {
        Subscribe { stream: Some(name), ..Subscribe::default() }
    }

    /// Only events after this position. Default: from the beginning.
    #[must_use]
    pub fn after(mut self, position: Position) -> Subscribe {
        self.after = position;
        self
    }

    /// Only events after this version; means something for one stream only. Default: from the beginning.
    #[must_use]
    pub fn after_version(mut self, version: StreamVersion) -> Subscribe {
        self.after_version = version;
        self
    }

    /// Only events that match. Default: all.
    #[must_use]
    pub fn query(mut self, query: Query) -> Subscribe {
        self.query = query;
        self
    }

    /// Also the events of system streams, whose names start with `$`. Default: only those of named streams.
    #[must_use]
    pub fn system(mut self, system: bool) -> Subscribe {
        self.system = system;
        self
    }
}

/// What a subscription delivers.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Delivery {
    /// An event: each that matches once, in order.
    Event(RecordedEvent),
    /// Every event up to this position has been delivered or does not match; what follows is new. Told when the end is
    /// reached for the first time, and each time it is reached again after events.
    CaughtUp(Position),
    /// Events between these positions, both included, were removed or are not shown any more, as the settings of their
    /// streams or the retention of the store want it. Told before what comes behind them. For one stream, and in segments
    /// that a scavenge has rewritten, the range may hold events that do not concern the subscriber.
    Skipped {
        /// The first of the positions.
        from: Position,
        /// The last of them.
        to: Position,
    },
    /// Every event up to this position has been delivered or does not match. Told during long stretches without a match,
    /// so that a later subscription need not look at them again.
    Checkpoint(Position),
}

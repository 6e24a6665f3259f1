//! As of when: a moment in the past of a stream.

use crate::error::Error;
use crate::model::{Deletion, Position, StreamName, StreamVersion, Timestamp};
use crate::read::Read;
use crate::store::EventStore;

/// The moment whose state is wanted. The moment itself is included.
///
/// ```
/// use annals::{AsOf, Timestamp};
///
/// let end_of_june = AsOf::Recorded(Timestamp::parse("2026-06-30T23:59:59.999999999Z")?);
/// # Ok::<(), annals::TimestampError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AsOf {
    /// When the stream stood at this version.
    Version(StreamVersion),
    /// When the store stood at this position.
    Position(Position),
    /// What the store knew at this time: all that was committed by then.
    Recorded(Timestamp),
    /// What had occurred by this time, as the writers of the events say, whenever it was committed. Every event of the stream
    /// is looked at, and no snapshot helps.
    Occurred(Timestamp),
}

/// Which events of a stream make the state.
#[derive(PartialEq, Eq)]
pub(super) struct Bounds {
    /// None after this version.
    pub(super) version: StreamVersion,
    /// None that occurred after this time.
    pub(super) occurred: Option<Timestamp>,
}

impl Bounds {
    /// All events that are there.
    pub(super) const NONE: Bounds = Bounds { version: StreamVersion::new(u64::MAX), occurred: None };

    pub(super) fn of(as_of: AsOf, store: &EventStore, stream: &StreamName) -> Result<Bounds, Error> {
        let newest = Read::stream(stream.clone()).backward().limit(1);
        let newest = match as_of {
            AsOf::Version(version) => return Ok(Bounds { version, occurred: None }),
            AsOf::Occurred(time) => return Ok(Bounds { occurred: Some(time), ..Bounds::NONE }),
            AsOf::Position(position) => newest.before(position.next()),
            AsOf::Recorded(time) => newest.until(time),
        };
        let last = match store.read(newest) {
            // What was deleted since is gone from the past, too.
            Err(Error::Gone { deletion: Deletion::Soft, .. }) => None,
            events => events?.next().transpose()?,
        };
        let version = last.map_or(StreamVersion::START, |event| event.stream_version());
        Ok(Bounds { version, occurred: None })
    }
}

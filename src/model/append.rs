//! An append: what one atomic request writes, and the receipt it gets.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::{
    EventId, ExpectedVersion, IdempotencyKey, NewEvent, Position, Query, StreamName, StreamVersion, Timestamp,
};

/// For how many events there is room before the first, where it is not known how many come.
const ROOM_EVENTS_MAX: usize = 1024;

/// One atomic request: events for one or several streams, each stream with its expected version.
///
/// Events get their positions in the order in which they were added.
///
/// ```
/// use annals::{Append, Data, EventType, ExpectedVersion, NewEvent, StreamName};
///
/// let event = |name: &str| {
///     Ok::<_, Box<dyn std::error::Error>>(NewEvent::new(EventType::parse(name)?, Data::json(&())?))
/// };
/// let transfer = Append::to(StreamName::parse("account-1")?, ExpectedVersion::Exists, [event("debited")?])
///     .and_to(StreamName::parse("account-2")?, ExpectedVersion::Any, [event("credited")?]);
/// assert_eq!(transfer.len(), 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct Append {
    pub(crate) streams: Vec<(StreamName, ExpectedVersion)>,
    pub(crate) events: Vec<EventOfStream>,
    pub(crate) expected: Vec<(StreamName, ExpectedVersion)>,
    pub(crate) refused_by: Vec<RefusedBy>,
    pub(crate) key: Option<IdempotencyKey>,
    /// The store itself makes it: it may write to system streams.
    pub(crate) is_system: bool,
}

/// A condition on all events of the store: none behind a position matches a query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RefusedBy {
    pub(crate) query: Query,
    pub(crate) after: Position,
}

/// An event and which of the append's streams it goes to.
#[derive(Debug, Clone)]
pub(crate) struct EventOfStream {
    pub(crate) stream: usize,
    pub(crate) event: NewEvent,
}

impl Append {
    /// Events for one stream.
    pub fn to(
        stream: StreamName,
        expected: ExpectedVersion,
        events: impl IntoIterator<Item = NewEvent>,
    ) -> Append {
        Append::default().and_to(stream, expected, events)
    }

    /// The same with events for another stream. A stream is named once; appending to the store checks that.
    #[must_use]
    pub fn and_to(
        mut self,
        stream: StreamName,
        expected: ExpectedVersion,
        events: impl IntoIterator<Item = NewEvent>,
    ) -> Append {
        let stream = self.add_stream(stream, expected);
        let events = events.into_iter();
        if self.events.is_empty() {
            // Most appends end with these.
            self.events.reserve_exact(events.size_hint().0);
        }
        self.events.extend(events.map(|event| EventOfStream { stream, event }));
        self
    }

    /// The same with a condition on a stream that the append need not write to.
    ///
    /// ```
    /// # use annals::{Append, Data, EventType, ExpectedVersion, NewEvent, StreamName, StreamVersion};
    /// # let booked = NewEvent::new(EventType::parse("seat.booked")?, Data::json(&())?);
    /// // Only while nobody has changed the price list that the decision rests on.
    /// let append = Append::to(StreamName::parse("booking-1")?, ExpectedVersion::None, [booked])
    ///     .expecting(StreamName::parse("prices")?, StreamVersion::new(17).into());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn expecting(mut self, stream: StreamName, expected: ExpectedVersion) -> Append {
        self.expected.push((stream, expected));
        self
    }

    /// The same with a condition on all events: the append fails when an event after a position matches a query.
    ///
    /// Read what the decision rests on with the same query, decide, and give the position up to which you have read: the
    /// append succeeds only if nobody has added to it since. Events of system streams never match.
    ///
    /// ```
    /// # use annals::{Append, Data, EventType, ExpectedVersion, NewEvent, Position, QueryItem, StreamName};
    /// # let registered = NewEvent::new(EventType::parse("user.registered")?, Data::json(&())?);
    /// # let seen = Position::START;
    /// // Only while nobody else has registered this address.
    /// let taken = QueryItem { tags: vec!["email:a@example.org".to_owned()], ..QueryItem::default() };
    /// let append = Append::to(StreamName::parse("user-7")?, ExpectedVersion::None, [registered])
    ///     .fail_if_events_match(taken, seen);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn fail_if_events_match(mut self, query: impl Into<Query>, after: Position) -> Append {
        self.refused_by.push(RefusedBy { query: query.into(), after });
        self
    }

    /// The same under a key: an append under it that was made already is not made again, and gets its first receipt
    /// ([`Receipt::repeated`]), also after a crash. It holds for [`Options::idempotency_window`], as long as the events are
    /// stored. Events whose ids are left to the store get the ids of the first time.
    ///
    /// ```
    /// # use annals::{Append, Data, EventStore, EventType, ExpectedVersion, IdempotencyKey, NewEvent, Options, StreamName};
    /// # let dir = tempfile::tempdir()?;
    /// # let store = EventStore::open(Options::new(dir.path()))?;
    /// let paid = NewEvent::new(EventType::parse("order.paid")?, Data::json(&serde_json::json!({"total": 5}))?);
    /// let append = Append::to(StreamName::parse("order-1")?, ExpectedVersion::Any, [paid])
    ///     .idempotency_key(IdempotencyKey::parse("payment-17")?);
    /// let first = store.append(append.clone())?;
    /// let again = store.append(append)?;
    /// assert!(again.repeated && again.position == first.position);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// [`Options::idempotency_window`]: crate::Options::idempotency_window
    #[must_use]
    pub fn idempotency_key(mut self, key: IdempotencyKey) -> Append {
        self.key = Some(key);
        self
    }

    /// Names a stream whose events follow, in any order with those of other streams.
    pub(crate) fn add_stream(&mut self, stream: StreamName, expected: ExpectedVersion) -> usize {
        self.streams.push((stream, expected));
        self.streams.len() - 1
    }

    /// How many events it holds.
    pub fn len(&self) -> usize {
        self.events.len()
    }

    /// Whether it holds no event. Such an append is refused.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }
}

impl FromIterator<(StreamName, NewEvent)> for Append {
    /// Events for any streams, in one order over all of them, whatever versions the streams are at.
    ///
    /// ```
    /// # use annals::{Append, Data, EventType, NewEvent, StreamName};
    /// let event = NewEvent::new(EventType::parse("ticked")?, Data::json(&())?);
    /// let names = ["a", "b", "a"].map(StreamName::parse).into_iter().collect::<Result<Vec<_>, _>>()?;
    /// let append: Append = names.into_iter().map(|name| (name, event.clone())).collect();
    /// assert_eq!(append.len(), 3);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    fn from_iter<I: IntoIterator<Item = (StreamName, NewEvent)>>(events: I) -> Append {
        let events = events.into_iter();
        let mut append = Append::default();
        // An iterator that may end early, as one over results does, knows only how many there are at most.
        let (least, most) = events.size_hint();
        let room = least.max(most.unwrap_or(0).min(ROOM_EVENTS_MAX));
        append.events.reserve(room);
        let mut numbers: HashMap<StreamName, usize> = HashMap::with_capacity(room);
        for (name, event) in events {
            let stream = match numbers.entry(name) {
                Entry::Occupied(number) => *number.get(),
                Entry::Vacant(new) => {
                    let number = append.add_stream(new.key().clone(), ExpectedVersion::Any);
                    *new.insert(number)
                }
            };
            append.events.push(EventOfStream { stream, event });
        }
        append
    }
}

/// What an acknowledgement means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Durability {
    /// The events are on stable storage: they survive a crash of the process, the system and the power.
    #[default]
    Sync,
}

impl Durability {
    /// The word for it in receipts.
    pub fn as_str(self) -> &'static str {
        match self {
            Durability::Sync => "sync",
        }
    }
}

/// Proof of an append: what it wrote, where, and how safe it is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Receipt {
    /// The position of its last event.
    pub position: Position,
    /// When it was committed.
    pub recorded_at: Timestamp,
    /// How safe the events are.
    pub durability: Durability,
    /// Each stream it wrote to, in the order of the request.
    pub streams: Vec<StreamReceipt>,
    /// The events had been written by an earlier append, with the same ids or under the same key: nothing was written now, and
    /// this is the receipt of that append.
    pub repeated: bool,
}

/// What an append did to one stream.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct StreamReceipt {
    /// The stream.
    pub stream: StreamName,
    /// The stream's version after the append.
    pub version: StreamVersion,
    /// The events, in order.
    pub events: Vec<AppendedEvent>,
}

/// One event of a receipt.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct AppendedEvent {
    /// The id, as given or as made by the store.
    pub id: EventId,
    /// Its place in its stream.
    pub stream_version: StreamVersion,
    /// Its place among all events.
    pub position: Position,
}

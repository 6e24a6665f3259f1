//! Receipts as answers: what an append, a publish and a transaction tell of the events they wrote.

use annals::{AppendedEvent, EventId, Position, Receipt, StreamReceipt, StreamVersion};
use serde::{Serialize, Serializer};

/// The answer to an append to one stream.
///
/// It says what [`StreamAnswer`] says, field by field: one within the other would be written by way of a table of its fields.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AppendedAnswer<'a> {
    stream: &'a str,
    stream_version: StreamVersion,
    position: Option<Position>,
    events: Vec<EventAnswer<'a>>,
    durability: &'static str,
}

/// The answer to a transaction.
#[derive(Serialize)]
pub(crate) struct TransactionAnswer<'a> {
    pub(crate) streams: Vec<StreamAnswer<'a>>,
    pub(crate) position: Position,
    pub(crate) durability: &'static str,
}

/// What was written to one stream.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct StreamAnswer<'a> {
    stream: &'a str,
    stream_version: StreamVersion,
    /// The position of the last event.
    position: Option<Position>,
    events: Vec<EventAnswer<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct EventAnswer<'a> {
    #[serde(serialize_with = "shown")]
    event_id: &'a EventId,
    stream_version: StreamVersion,
    position: Position,
}

/// The answer to publishing an event.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PublishedAnswer<'a> {
    #[serde(serialize_with = "shown")]
    event_id: &'a EventId,
    status: &'static str,
    stream: &'a str,
    stream_version: StreamVersion,
    position: Position,
    /// Nobody can subscribe under a name yet.
    subscribers: [&'static str; 0],
}

impl<'a> AppendedAnswer<'a> {
    pub(crate) fn of(receipt: &'a StreamReceipt, durability: &'static str) -> AppendedAnswer<'a> {
        let StreamAnswer { stream, stream_version, position, events } = receipt.into();
        AppendedAnswer { stream, stream_version, position, events, durability }
    }
}

impl<'a> From<&'a StreamReceipt> for StreamAnswer<'a> {
    fn from(receipt: &'a StreamReceipt) -> StreamAnswer<'a> {
        StreamAnswer {
            stream: receipt.stream.as_str(),
            stream_version: receipt.version,
            position: receipt.events.last().map(|event| event.position),
            events: receipt.events.iter().map(EventAnswer::from).collect(),
        }
    }
}

/// Writes an id into the answer itself.
fn shown<S: Serializer>(id: &&EventId, out: S) -> Result<S::Ok, S::Error> {
    out.collect_str(id)
}

impl<'a> From<&'a AppendedEvent> for EventAnswer<'a> {
    fn from(event: &'a AppendedEvent) -> EventAnswer<'a> {
        EventAnswer { event_id: &event.id, stream_version: event.stream_version, position: event.position }
    }
}

impl<'a> PublishedAnswer<'a> {
    /// The answers for all events of a receipt, in the order of their positions, which is that of the request.
    pub(crate) fn all_of(receipt: &'a Receipt) -> Vec<PublishedAnswer<'a>> {
        let of_stream = |stream: &'a StreamReceipt| stream.events.iter().map(|event| Self::of(stream, event));
        let mut answers: Vec<_> = receipt.streams.iter().flat_map(of_stream).collect();
        answers.sort_unstable_by_key(|answer| answer.position);
        answers
    }

    fn of(stream: &'a StreamReceipt, event: &'a AppendedEvent) -> PublishedAnswer<'a> {
        PublishedAnswer {
            event_id: &event.id,
            status: "PUBLISHED",
            stream: stream.stream.as_str(),
            stream_version: event.stream_version,
            position: event.position,
            subscribers: [],
        }
    }
}

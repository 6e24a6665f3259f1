//! Events: as a writer gives them, and as the store hands them out.

use std::fmt;
use std::ops::Range;

use bytes::Bytes;

use super::label::{self, Label};
use super::name::category_of;
use super::{
    Data, EventId, EventType, Metadata, Position, Source, StoredId, StreamVersion, Timestamp, Traceparent,
};

/// An event to be appended.
///
/// ```
/// use annals::{Data, EventType, NewEvent};
///
/// let data = Data::json(&serde_json::json!({"total": 99.95}))?;
/// let event = NewEvent::new(EventType::parse("order.created")?, data);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEvent {
    pub(crate) id: Option<EventId>,
    pub(crate) event_type: EventType,
    pub(crate) timestamp: Option<Timestamp>,
    pub(crate) source: Option<Source>,
    pub(crate) data: Data,
    pub(crate) metadata: Option<Metadata>,
    pub(crate) traceparent: Option<Traceparent>,
}

impl NewEvent {
    /// An event of this type with this data.
    pub fn new(event_type: EventType, data: Data) -> NewEvent {
        NewEvent {
            id: None,
            event_type,
            timestamp: None,
            source: None,
            data,
            metadata: None,
            traceparent: None,
        }
    }

    /// Sets the id, unique within the stream. Default: a new UUID of version 7.
    #[must_use]
    pub fn id(mut self, id: EventId) -> NewEvent {
        self.id = Some(id);
        self
    }

    /// Sets when it occurred. Default: when it is appended.
    #[must_use]
    pub fn timestamp(mut self, timestamp: Timestamp) -> NewEvent {
        self.timestamp = Some(timestamp);
        self
    }

    /// Sets who says so. Default: nobody.
    #[must_use]
    pub fn source(mut self, source: Source) -> NewEvent {
        self.source = Some(source);
        self
    }

    /// Sets the metadata. Default: none.
    #[must_use]
    pub fn metadata(mut self, metadata: Metadata) -> NewEvent {
        self.metadata = Some(metadata);
        self
    }

    /// Sets of which trace the append is part, unless that is said already. Default: none.
    ///
    /// It is kept beside the metadata, and is no part of what the event says: an append that is repeated in another trace is
    /// the same append.
    #[must_use]
    pub fn or_traceparent(mut self, traceparent: &Traceparent) -> NewEvent {
        self.traceparent.get_or_insert_with(|| traceparent.clone());
        self
    }
}

/// How long the parts of an event are in its record, in which they follow each other.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lens {
    /// What comes before the first.
    pub(crate) header: u8,
    pub(crate) stream: u8,
    pub(crate) event_type: u8,
    pub(crate) id: u8,
    pub(crate) source: u8,
    pub(crate) content_type: u8,
    pub(crate) labels: u16,
    pub(crate) metadata: u32,
    /// What comes behind the data, which is the last.
    pub(crate) padding: u8,
    pub(crate) id_is_uuid: bool,
}

impl Lens {
    #[inline]
    pub(crate) fn stream(self) -> Range<usize> {
        let header = usize::from(self.header);
        header..header + usize::from(self.stream)
    }

    #[inline]
    pub(crate) fn event_type(self) -> Range<usize> {
        behind(self.stream(), self.event_type.into())
    }

    #[inline]
    pub(crate) fn id(self) -> Range<usize> {
        behind(self.event_type(), self.id.into())
    }

    #[inline]
    pub(crate) fn source(self) -> Range<usize> {
        behind(self.id(), self.source.into())
    }

    #[inline]
    pub(crate) fn content_type(self) -> Range<usize> {
        behind(self.source(), self.content_type.into())
    }

    #[inline]
    pub(crate) fn labels(self) -> Range<usize> {
        behind(self.content_type(), self.labels.into())
    }

    #[inline]
    pub(crate) fn metadata(self) -> Range<usize> {
        behind(self.labels(), self.metadata as usize)
    }

    /// Of a record of so many bytes.
    #[inline]
    pub(crate) fn data(self, record: usize) -> Range<usize> {
        self.metadata().end..record - usize::from(self.padding)
    }
}

#[inline]
fn behind(part: Range<usize>, len: usize) -> Range<usize> {
    part.end..part.end + len
}

/// An event of the store. It shares the bytes of the log; a clone is cheap, and keeps its map alive.
#[derive(Clone)]
pub struct RecordedEvent {
    pub(crate) position: Position,
    pub(crate) stream_version: StreamVersion,
    pub(crate) timestamp: Timestamp,
    pub(crate) recorded_at: Timestamp,
    pub(crate) record: Bytes,
    pub(crate) lens: Lens,
}

/// The parts of an event, each as [`RecordedEvent`] has it. All but the data and a UUID are texts in UTF-8.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stored<'a> {
    /// Its id.
    pub id: StoredId<'a>,
    /// What kind of fact it is.
    pub event_type: &'a [u8],
    /// The name of its stream.
    pub stream: &'a [u8],
    /// Who says so.
    pub source: Option<&'a [u8]>,
    /// The media type of the data; none means JSON.
    pub content_type: Option<&'a [u8]>,
    /// The metadata, a JSON object as it was written.
    pub metadata: Option<&'a [u8]>,
    /// The data, byte for byte as it was written.
    pub data: &'a [u8],
}

impl RecordedEvent {
    /// Its place among all events.
    pub fn position(&self) -> Position {
        self.position
    }

    /// Its place in its stream.
    pub fn stream_version(&self) -> StreamVersion {
        self.stream_version
    }

    /// When it occurred, as its writer says.
    pub fn timestamp(&self) -> Timestamp {
        self.timestamp
    }

    /// When the store committed it; never before an event of a lower position.
    pub fn recorded_at(&self) -> Timestamp {
        self.recorded_at
    }

    /// The name of its stream.
    pub fn stream(&self) -> &str {
        self.text(self.lens.stream())
    }

    /// The category of its stream: the part of the name before the first `-`, or all of it.
    pub fn category(&self) -> &str {
        category_of(self.stream())
    }

    /// Whether the store itself wrote it: the stream's name starts with `$`.
    pub fn is_system(&self) -> bool {
        self.record[self.lens.stream().start] == b'$'
    }

    /// What kind of fact it is.
    pub fn event_type(&self) -> &str {
        self.text(self.lens.event_type())
    }

    /// Its id, unique in its stream.
    pub fn id(&self) -> EventId {
        match self.stored_id() {
            StoredId::Uuid(uuid) => EventId::from_uuid(*uuid),
            StoredId::Text(_) => {
                EventId::parse(self.text(self.lens.id())).expect("decoding an event checks its id")
            }
        }
    }

    /// Its parts as they are stored, for whoever writes them out as they are: nothing is copied, and that texts are texts, which
    /// was checked when it was read, is not checked again.
    pub fn stored(&self) -> Stored<'_> {
        let part = |part: Range<usize>| &self.record[part];
        let some = |part: Range<usize>| Some(&self.record[part]).filter(|part| !part.is_empty());
        Stored {
            id: self.stored_id(),
            event_type: part(self.lens.event_type()),
            stream: part(self.lens.stream()),
            source: some(self.lens.source()),
            content_type: some(self.lens.content_type()),
            metadata: some(self.lens.metadata()),
            data: self.data(),
        }
    }

    fn stored_id(&self) -> StoredId<'_> {
        let bytes = &self.record[self.lens.id()];
        match <&[u8; 16]>::try_from(bytes) {
            Ok(uuid) if self.lens.id_is_uuid => StoredId::Uuid(uuid),
            _ => StoredId::Text(bytes),
        }
    }

    /// Who says so.
    pub fn source(&self) -> Option<&str> {
        Some(self.text(self.lens.source())).filter(|source| !source.is_empty())
    }

    /// The media type of the data; none means JSON.
    pub fn content_type(&self) -> Option<&str> {
        Some(self.text(self.lens.content_type())).filter(|text| !text.is_empty())
    }

    /// The metadata, a JSON object as it was written.
    pub fn metadata(&self) -> Option<&str> {
        Some(self.text(self.lens.metadata())).filter(|json| !json.is_empty())
    }

    /// The data, byte for byte as it was written.
    pub fn data(&self) -> &[u8] {
        &self.record[self.lens.data(self.record.len())]
    }

    /// The data as a slice that outlives the event. It keeps the segment's map alive.
    pub fn data_bytes(&self) -> Bytes {
        self.record.slice(self.lens.data(self.record.len()))
    }

    /// The data, read as a JSON value of type `T`.
    pub fn json<'a, T: serde::Deserialize<'a>>(&'a self) -> Result<T, serde_json::Error> {
        serde_json::from_slice(self.data())
    }

    /// The fields of the metadata that find the event, with what each is.
    pub fn labels(&self) -> impl Iterator<Item = (Label, &str)> {
        label::unpack(&self.record[self.lens.labels()])
    }

    /// Of which trace its append was part, as its writer said.
    pub fn traceparent(&self) -> Option<&str> {
        self.label(Label::Traceparent)
    }

    /// Its tags.
    pub fn tags(&self) -> impl Iterator<Item = &str> {
        self.labels().filter(|(label, _)| *label == Label::Tag).map(|(_, text)| text)
    }

    /// The first label of one kind.
    pub fn label(&self, wanted: Label) -> Option<&str> {
        self.labels().find(|(label, _)| *label == wanted).map(|(_, text)| text)
    }

    /// The bytes that it is made of.
    pub(crate) fn record(&self) -> &Bytes {
        &self.record
    }

    /// The size of its record in the log, in bytes.
    pub fn record_bytes(&self) -> u64 {
        self.record.len() as u64
    }

    /// Whether `event` says the same. What the writer of `event` left to the store is not compared.
    pub(crate) fn says_the_same_as(&self, event: &NewEvent) -> bool {
        self.event_type() == event.event_type.as_str()
            && self.data() == event.data.bytes().as_ref()
            && self.content_type() == event.data.content_type().map(AsRef::as_ref)
            && self.metadata() == event.metadata.as_ref().map(Metadata::as_json)
            && self.source() == event.source.as_ref().map(AsRef::as_ref)
            && event.id.as_ref().is_none_or(|id| self.id() == *id)
            && event.timestamp.is_none_or(|timestamp| self.timestamp == timestamp)
    }

    fn text(&self, part: Range<usize>) -> &str {
        std::str::from_utf8(&self.record[part]).expect("decoding an event checks that its texts are UTF-8")
    }
}

impl fmt::Debug for RecordedEvent {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("RecordedEvent")
            .field("position", &self.position.get())
            .field("stream", &self.stream())
            .field("stream_version", &self.stream_version.get())
            .field("type", &self.event_type())
            .field("id", &self.id())
            .field("data", &String::from_utf8_lossy(self.data()))
            .finish_non_exhaustive()
    }
}

impl PartialEq for RecordedEvent {
    fn eq(&self, other: &RecordedEvent) -> bool {
        // The record holds position, version, names, times and data; only the commit time lies outside.
        self.record == other.record && self.recorded_at == other.recorded_at
    }
}

//! What an event is: its names, versions, times, data and metadata, and how each is checked.
//!
//! Values here are right by construction: a [`StreamName`] that exists is a legal one. Nothing here knows
//! files, threads or the layout of bytes on disk.

mod append;
mod criterion;
mod data;
mod event;
mod expected;
mod id;
mod label;
mod metadata;
mod name;
mod number;
mod query;
mod settings;
mod timestamp;
mod traceparent;

pub use append::{Append, AppendedEvent, Durability, Receipt, StreamReceipt};
pub use criterion::Criterion;
pub use data::{Data, DataError};
pub use event::{NewEvent, RecordedEvent, Stored};
pub use expected::{ExpectedVersion, ExpectedVersionError};
pub use id::{EventId, HistoryId, StoredId};
pub use label::{LABEL_BYTES_MAX, Label};
pub use metadata::{Metadata, MetadataError, TAG_BYTES_MAX, TAGS_MAX};
pub use name::{ContentType, EventType, IdempotencyKey, NAME_BYTES_MAX, NameError, Source, StreamName};
pub use number::{Position, StreamVersion};
pub use query::{Query, QueryItem};
pub use settings::{Deletion, StreamSettings};
pub use timestamp::{Timestamp, TimestampError, TimestampWriter};
pub use traceparent::Traceparent;

pub(crate) use append::{EventOfStream, RefusedBy};
pub(crate) use event::Lens;
pub(crate) use id::FreshIds;
pub(crate) use label::{Labels, unpack};
pub(crate) use name::check_name;
pub(crate) use settings::Lifecycle;

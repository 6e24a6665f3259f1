//! annals: a persistent event store.
//!
//! Events are facts in order. [`EventStore::append`] writes them durably with optimistic concurrency,
//! [`EventStore::read`] replays a stream or everything, [`EventStore::subscribe`] catches up and then waits for more
//! without ever skipping one.
//!
//! ```
//! use annals::{Append, Data, EventStore, EventType, ExpectedVersion, NewEvent, Options, Read, StreamName};
//!
//! # let dir = tempfile::tempdir()?;
//! # let dir = dir.path();
//! let store = EventStore::open(Options::new(dir))?;
//! let stream = StreamName::parse("order-6789")?;
//! let created = NewEvent::new(EventType::parse("order.created")?, Data::json(&serde_json::json!({"total": 99.95}))?);
//!
//! let receipt = store.append(Append::to(stream.clone(), ExpectedVersion::None, [created]))?;
//! assert_eq!(receipt.position.get(), 1);
//!
//! for event in store.read(Read::stream(stream))? {
//!     let event = event?;
//!     println!("{} {}", event.event_type(), String::from_utf8_lossy(event.data()));
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! On top of that, an application's own enum of events and its [`Aggregate`]s, which a [`Repository`] loads and executes
//! commands on, and [`Projection`]s, which a [`Projector`] keeps up with the log. `docs/guide.md` goes through all of it.
//!
//! The architecture, layer by layer, is in `ARCHITECTURE.md`; every byte on disk in `docs/format.md`.

mod aggregate;
mod backup;
mod budget;
mod clock;
mod commit;
mod error;
mod format;
mod import;
mod index;
mod inspect;
mod lifecycle;
mod log;
mod meta;
mod model;
mod options;
mod projection;
mod read;
mod salvage;
mod scavenge;
mod schema;
mod snapshot;
mod store;
mod subscription;
mod sync;
#[cfg(feature = "testkit")]
pub mod testkit;
mod verify;
mod vfs;

pub use aggregate::{
    Aggregate, AsOf, Context, Decided, ExecuteError, Executed, LoadError, Loaded, Repository, SaveError,
    Scenario, SnapshotPolicy,
};
pub use backup::{BackupReport, Restore, RestoreReport};
pub use budget::MEMORY_BYTES_MIN;
pub use clock::{Clock, ManualClock, SystemClock};
pub use commit::{CommitMetrics, Histogram, Ticket};
pub use error::{AppendError, Error, ImportError, OpenError, SharedIoError, SnapshotError};
pub use import::{BatchReport, ImportReport, Importer};
pub use inspect::{Finding, Findings, Inspect};
pub use log::TornTail;
pub use model::{
    Append, AppendedEvent, ContentType, Criterion, Data, DataError, Deletion, Durability, EventId, EventType,
    ExpectedVersion, ExpectedVersionError, HistoryId, IdempotencyKey, LABEL_BYTES_MAX, Label, Metadata,
    MetadataError, NAME_BYTES_MAX, NameError, NewEvent, Position, Query, QueryItem, Receipt, RecordedEvent,
    Source, Stored, StoredId, StreamName, StreamReceipt, StreamSettings, StreamVersion, TAG_BYTES_MAX,
    TAGS_MAX, Timestamp, TimestampError, TimestampWriter, Traceparent,
};
pub use options::{Limits, Options, Retention, SEGMENT_BYTES_MAX, SEGMENT_BYTES_MIN};
pub use projection::{
    Checkpoint, Cursor, CursorError, Failure, InMemory, OnFailure, Parked, Projection, ProjectionError,
    Projector, ProjectorStatus, ReadModel, Rows, Table,
};
pub use read::{Direction, Events, EventsWithId, Read, StreamInfo, Streams};
pub use salvage::{Loss, Salvage, SalvageReport};
pub use scavenge::{Scavenge, ScavengeReport};
pub use schema::{Schema, SchemaError, UnknownTypes};
pub use snapshot::Snapshot;
pub use store::{EventStore, Health, StoreMetrics, StoreStats};
pub use subscription::{Delivery, Subscribe, Subscription, SubscriptionStream};
pub use verify::{Fault, Note, VerifyProgress, VerifyReport};
pub use vfs::{Disk, DiskFile, Map, OpenMode, RealDisk};

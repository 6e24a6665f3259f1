//! Projections: read models that are made from the log, and kept up with it.
//!
//! A [`Projection`] says what an event changes; a [`ReadModel`] holds what came of it and saves that together with how far it has
//! come, so that no event is missed or counted twice, whenever the process ends. A [`Projector`] brings the two together.
//!
//! Everything a model holds can be made again from position 0.

mod checkpoint;
mod error;
mod in_memory;
mod projector;
mod runner;
mod table;
mod worker;

pub use checkpoint::{Checkpoint, Cursor, CursorError, Parked};
pub use error::ProjectionError;
pub use in_memory::InMemory;
pub use projector::{Projector, ProjectorStatus};
pub use table::{Rows, Table};
#[cfg(feature = "testkit")]
pub(crate) use table::{TABLE_SCHEMA_V1, TableV1};

use crate::model::{Query, RecordedEvent};

/// Why a projection or a model could not do its work: any error.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// What becomes of an event that cannot be projected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnFailure {
    /// The projection stops before it, with the reason. Nothing is overlooked.
    #[default]
    Stop,
    /// The event is set aside with the reason, in the checkpoint, and the projection goes on. After 1,000 of them it stops.
    Park,
}

/// What events become: a read model.
///
/// ```
/// use std::collections::BTreeMap;
/// use annals::{EventStore, Failure, InMemory, Options, Projection, Projector, RecordedEvent};
/// # use annals::{Data, EventType, ExpectedVersion, NewEvent, StreamName};
///
/// /// Counts events by type.
/// struct Types;
///
/// impl Projection for Types {
///     type Model = InMemory<BTreeMap<String, u64>>;
///     const NAME: &'static str = "types";
///
///     fn project(&self, model: &mut Self::Model, event: &RecordedEvent) -> Result<(), Failure> {
///         *model.entry(event.event_type().to_owned()).or_default() += 1;
///         Ok(())
///     }
/// }
///
/// # let dir = tempfile::tempdir()?;
/// let store = EventStore::open(Options::new(dir.path()))?;
/// let types = Projector::start(&store, Types, InMemory::default())?;
/// # let event = NewEvent::new(EventType::parse("order.created")?, Data::json(&())?);
/// let receipt = store.append_to(&StreamName::parse("order-1")?, ExpectedVersion::None, [event])?;
/// types.wait_for(receipt.position, std::time::Duration::from_secs(10))?;
/// assert_eq!(types.read(|model| model["order.created"]), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Projection: Send + Sync + 'static {
    /// What holds what comes of the events: a [`Table`] in the store's directory, [`InMemory`], or the application's own.
    type Model: ReadModel;

    /// Its name, in errors and threads.
    const NAME: &'static str;

    /// The version of what it makes of events. Raise it when that changes: a model of another version is not continued.
    const VERSION: u32 = 1;

    /// Which events concern it. Default: all but those of system streams.
    fn query(&self) -> Query {
        Query::all()
    }

    /// What an event changes.
    ///
    /// # Errors
    ///
    /// When the event cannot be projected; [`Projection::on_failure`] says what happens then. A panic counts as an error.
    fn project(&self, model: &mut Self::Model, event: &RecordedEvent) -> Result<(), Failure>;

    /// What becomes of an event that cannot be projected. Default: the projection stops.
    fn on_failure(&self) -> OnFailure {
        OnFailure::Stop
    }

    /// How many events are saved together at most. Default: 256.
    ///
    /// More make catching up faster, and readers wait longer while a batch is projected.
    fn batch_events_max(&self) -> usize {
        256
    }
}

/// What holds what came of events, and how far that reaches.
///
/// An application that keeps a read model in a database of its own implements this over a transaction: `commit` saves the
/// changes and the checkpoint in one.
pub trait ReadModel: Send + Sync + 'static {
    /// What was saved last; none when nothing was.
    ///
    /// # Errors
    ///
    /// When it cannot be read.
    fn checkpoint(&self) -> Result<Option<Checkpoint>, Failure>;

    /// Saves all changes since the last commit together with the checkpoint: all of it, or nothing.
    ///
    /// # Errors
    ///
    /// When nothing was saved. The projection stops.
    fn commit(&mut self, checkpoint: &Checkpoint) -> Result<(), Failure>;

    /// Forgets the changes since the last commit. Where that is not possible, everything.
    ///
    /// # Errors
    ///
    /// When it cannot. The projection stops.
    fn rollback(&mut self) -> Result<(), Failure>;

    /// Forgets everything, the checkpoint too.
    ///
    /// # Errors
    ///
    /// When it cannot.
    fn clear(&mut self) -> Result<(), Failure>;

    /// Takes the place of the model that was read so far, for good, at once. Default: there is nothing to do.
    ///
    /// # Errors
    ///
    /// When it cannot. The other one stays in its place.
    fn promote(&mut self) -> Result<(), Failure> {
        Ok(())
    }

    /// Whether it may be emptied and made again without asking, when it does not fit the store. Default: no, that is an error.
    fn is_disposable(&self) -> bool {
        false
    }

    /// Why it begins empty, where it had held something. Default: it does not.
    fn lost(&self) -> Option<String> {
        None
    }
}

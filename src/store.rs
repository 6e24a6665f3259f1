//! `EventStore`: the store as its users see it. Each method is a line or two; the work is done in the layers below.

mod keeper;
mod keeping;
mod metrics;
mod open;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;

use crate::clock::Clock;
use crate::commit::{Committer, Ticket};
use crate::error::{AppendError, Error, OpenError, SnapshotError};
use crate::import::Importer;
use crate::lifecycle::Lifecycles;
use crate::log::TornTail;
use crate::meta::Meta;
use crate::model::{
    Append, EventId, ExpectedVersion, HistoryId, NewEvent, Position, Receipt, RecordedEvent, StreamName,
    StreamVersion,
};
use crate::options::{Limits, Options};
use crate::read::{Events, EventsWithId, Read, Reader, StreamInfo, Streams};
use crate::scavenge::Scavenger;
use crate::snapshot::{Snapshot, Snapshots};
use crate::subscription::{Subscribe, Subscription};
use crate::vfs::Disk;

pub use metrics::StoreMetrics;

/// A store of events in one directory.
///
/// A clone is another handle on the same store. The store is closed by [`EventStore::close`], or when the last handle is
/// dropped. Every method may be called from any number of threads.
///
/// ```
/// use annals::{Append, Data, EventStore, EventType, ExpectedVersion, NewEvent, Options, StreamName};
///
/// # let dir = tempfile::tempdir()?;
/// let store = EventStore::open(Options::new(dir.path()))?;
/// let event = NewEvent::new(EventType::parse("order.created")?, Data::json(&serde_json::json!({"total": 5}))?);
/// store.append(Append::to(StreamName::parse("order-1")?, ExpectedVersion::None, [event]))?;
/// assert_eq!(store.head().get(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct EventStore {
    handle: Arc<Handle>,
}

/// Closes the store when the last handle is gone.
struct Handle(Core);

struct Core {
    /// None when the store is only read.
    committer: Option<Arc<Committer>>,
    reader: Reader,
    snapshots: Snapshots,
    lifecycles: Arc<Lifecycles>,
    scavenger: Arc<Scavenger>,
    disk: Arc<dyn Disk>,
    /// Where tables of read models are kept: apart, so that neither costs the other anything.
    tables: Arc<dyn Meta>,
    history: HistoryId,
    torn: Option<TornTail>,
    limits: Limits,
    clock: Arc<dyn Clock>,
    closed: AtomicBool,
}

/// Whether the store takes appends, and if not, why.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Health {
    /// Appends and reads work.
    Ready,
    /// Indexes that were missing when the store was opened are being built. Reads by position work; whatever needs one of
    /// them waits, or is refused with [`Error::Warming`].
    Warming {
        /// How many segments have no index.
        missing: u64,
    },
    /// Reads work; appends are refused for the reason given.
    Degraded {
        /// Why, and what helps.
        reason: String,
    },
}

/// Sizes and counts of a store.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoreStats {
    /// The last visible position, which is the count of events.
    pub events: u64,
    /// The count of streams.
    pub streams: u64,
    /// The count of segment files.
    pub segments: u64,
    /// The bytes of the log up to its last event; space reserved for later ones is not counted.
    pub log_bytes: u64,
    /// The bytes of index files.
    pub index_bytes: u64,
}

impl EventStore {
    /// Opens the store, and makes it where there is none. A torn tail of a crash is mended without asking.
    pub fn open(options: Options) -> Result<EventStore, OpenError> {
        Ok(EventStore { handle: Arc::new(Handle(open::open(options)?)) })
    }

    fn core(&self) -> &Core {
        &self.handle.0
    }

    /// The parts that work while the store is open.
    fn running(&self) -> Result<&Core, Error> {
        let core = self.core();
        if core.closed.load(Ordering::Acquire) { Err(Error::Closed) } else { Ok(core) }
    }

    fn committer(&self) -> Result<&Arc<Committer>, Error> {
        self.running()?.committer.as_ref().ok_or(Error::ReadOnly)
    }

    /// Appends atomically and waits until the events are durable.
    ///
    /// # Errors
    ///
    /// [`AppendError::Conflict`] when a stream is not as expected; then, as with every error but [`Error::Failed`],
    /// nothing was written.
    pub fn append(&self, append: Append) -> Result<Receipt, AppendError> {
        self.committer()?.append(append)
    }

    /// Appends as one group. The answers are in the order of the appends.
    #[cfg(feature = "testkit")]
    pub(crate) fn append_together(&self, appends: Vec<Append>) -> Vec<Result<Receipt, AppendError>> {
        match self.committer() {
            Ok(committer) => committer.append_together(appends),
            Err(error) => appends.iter().map(|_| Err(error.clone().into())).collect(),
        }
    }

    /// Appends events to one stream, atomically, and waits until they are durable.
    ///
    /// ```
    /// # use annals::{Data, EventStore, EventType, ExpectedVersion, NewEvent, Options, StreamName};
    /// # let dir = tempfile::tempdir()?;
    /// # let store = EventStore::open(Options::new(dir.path()))?;
    /// let stream = StreamName::parse("order-1")?;
    /// let event = NewEvent::new(EventType::parse("order.created")?, Data::json(&())?);
    /// let receipt = store.append_to(&stream, ExpectedVersion::None, [event])?;
    /// assert_eq!(receipt.streams[0].version.get(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`EventStore::append`].
    pub fn append_to(
        &self,
        stream: &StreamName,
        expected: ExpectedVersion,
        events: impl IntoIterator<Item = NewEvent>,
    ) -> Result<Receipt, AppendError> {
        self.append(Append::to(stream.clone(), expected, events))
    }

    /// Hands an append over and returns at once with a [`Ticket`], which is a future and can also be waited for.
    ///
    /// Dropping the ticket does not cancel the append. The call itself waits only while the queue is full.
    ///
    /// ```
    /// # use annals::{Append, Data, EventType, ExpectedVersion, NewEvent, StreamName};
    /// # let dir = tempfile::tempdir()?;
    /// # let store = annals::EventStore::open(annals::Options::new(dir.path()))?;
    /// let stream = StreamName::parse("order-1")?;
    /// let event = NewEvent::new(EventType::parse("order.created")?, Data::json(&())?);
    /// let tickets: Result<Vec<_>, _> = (0..100)
    ///     .map(|_| store.submit(Append::to(stream.clone(), ExpectedVersion::Any, [event.clone()])))
    ///     .collect();
    /// for ticket in tickets? {
    ///     ticket.wait()?; // or `ticket.await`
    /// }
    /// assert_eq!(store.head().get(), 100);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// What is known at once: an append that can never succeed, a store that is closed or failed.
    pub fn submit(&self, append: Append) -> Result<Ticket, AppendError> {
        self.committer()?.submit(append)
    }

    /// Reads a stream or all events, up to what is visible now. A stream that does not exist has no events.
    ///
    /// Where acknowledged events at the end of the log are damaged, a store that is open for reading only ends a read
    /// that would reach them with the error, not as if they had never been.
    ///
    /// ```
    /// # use annals::{Read, StreamName, StreamVersion};
    /// # let dir = tempfile::tempdir()?;
    /// # let store = annals::EventStore::open(annals::Options::new(dir.path()))?;
    /// let stream = StreamName::parse("order-1")?;
    /// for event in store.read(Read::stream(stream).from(StreamVersion::new(10)).limit(100))? {
    ///     println!("{}", event?.event_type());
    /// }
    /// let newest = store.read(Read::all().backward())?.next().transpose()?;
    /// assert!(newest.is_none());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] for a request that contradicts itself.
    pub fn read(&self, read: Read) -> Result<Events, Error> {
        Events::new(&self.running()?.reader, read)
    }

    /// The events that have an id and lie after a position, in order. Several streams may each have one; events of system
    /// streams are left out.
    ///
    /// ```
    /// # use annals::{Data, EventId, EventType, ExpectedVersion, NewEvent, Position, StreamName};
    /// # let dir = tempfile::tempdir()?;
    /// # let store = annals::EventStore::open(annals::Options::new(dir.path()))?;
    /// let id = EventId::parse("evt-1")?;
    /// let event = NewEvent::new(EventType::parse("order.created")?, Data::json(&())?).id(id.clone());
    /// store.append_to(&StreamName::parse("order-1")?, ExpectedVersion::None, [event])?;
    /// assert_eq!(store.events_with_id(id, Position::START)?.count(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Closed`]; the events themselves may tell of others.
    pub fn events_with_id(&self, id: EventId, after: Position) -> Result<EventsWithId, Error> {
        Ok(EventsWithId::new(&self.running()?.reader, id, after))
    }

    /// The last visible position.
    pub fn head(&self) -> Position {
        self.core().reader.visible().get()
    }

    /// The id of this line of events.
    pub fn history(&self) -> HistoryId {
        self.core().history
    }

    /// What a crash had left behind the last whole append, if the store was opened after one.
    pub fn torn_tail(&self) -> Option<&TornTail> {
        self.core().torn.as_ref()
    }

    /// What is known of a stream; none when it never existed.
    ///
    /// ```
    /// # use annals::StreamName;
    /// # let dir = tempfile::tempdir()?;
    /// # let store = annals::EventStore::open(annals::Options::new(dir.path()))?;
    /// let info = store.stream(&StreamName::parse("order-1")?)?;
    /// assert!(info.is_none());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Damaged`] or [`Error::Io`] when its first or last event cannot be read, or when it is not among what a
    /// damaged store can still read.
    pub fn stream(&self, name: &StreamName) -> Result<Option<StreamInfo>, Error> {
        self.running()?.reader.stream_info(name)
    }

    /// The streams whose first stored event lies after a position, in the order of these events. System streams are left
    /// out, and streams that show no event.
    ///
    /// With [`StreamInfo::begins_at`] of the last one, the list can be continued later.
    ///
    /// ```
    /// # use annals::Position;
    /// # let dir = tempfile::tempdir()?;
    /// # let store = annals::EventStore::open(annals::Options::new(dir.path()))?;
    /// for info in store.streams(Position::START)? {
    ///     let info = info?;
    ///     println!("{} at version {}", info.name, info.version);
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Closed`]; the list itself may tell of others. Where events at the end of the log are damaged, it ends with
    /// that.
    pub fn streams(&self, after: Position) -> Result<Streams, Error> {
        Ok(Streams::new(&self.running()?.reader, after))
    }

    /// Follows a stream or all events: first what is there, then what comes. See [`Subscription`].
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] when the subscription begins beyond the head: its cursor is another store's.
    pub fn subscribe(&self, subscribe: Subscribe) -> Result<Subscription, Error> {
        Subscription::new(&self.running()?.reader, subscribe)
    }

    /// Saves the state of a stream at a version. It shortens replays and can be lost without harm.
    ///
    /// ```
    /// # use annals::{Data, EventStore, EventType, ExpectedVersion, NewEvent, Options, StreamName, StreamVersion};
    /// # let dir = tempfile::tempdir()?;
    /// # let store = EventStore::open(Options::new(dir.path()))?;
    /// # let stream = StreamName::parse("order-1")?;
    /// # let event = NewEvent::new(EventType::parse("order.created")?, Data::json(&())?);
    /// # store.append_to(&stream, ExpectedVersion::None, [event])?;
    /// store.put_snapshot(&stream, StreamVersion::new(1), b"state".as_slice().into())?;
    /// assert_eq!(store.latest_snapshot(&stream)?.map(|snapshot| snapshot.version), Some(StreamVersion::new(1)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`SnapshotError::Ahead`] when the stream does not reach the version, [`SnapshotError::TooLarge`].
    pub fn put_snapshot(
        &self,
        stream: &StreamName,
        version: StreamVersion,
        state: Bytes,
    ) -> Result<(), SnapshotError> {
        let core = self.running()?;
        core.committer.as_ref().ok_or(Error::ReadOnly)?;
        core.snapshots.put(stream, version, state, core.clock.as_ref())
    }

    /// The newest usable snapshot of a stream; none is never an error, only a longer replay.
    ///
    /// # Errors
    ///
    /// When the event that a snapshot stands for cannot be read.
    pub fn latest_snapshot(&self, stream: &StreamName) -> Result<Option<Snapshot>, SnapshotError> {
        self.snapshot_at(stream, StreamVersion::new(u64::MAX))
    }

    /// The newest usable snapshot of a stream that does not stand for more than a version.
    ///
    /// # Errors
    ///
    /// As [`EventStore::latest_snapshot`].
    pub fn snapshot_at(
        &self,
        stream: &StreamName,
        version: StreamVersion,
    ) -> Result<Option<Snapshot>, SnapshotError> {
        self.running()?.snapshots.newest(stream, version)
    }

    /// Drops the snapshots of a stream.
    ///
    /// # Errors
    ///
    /// When the store is closed or only read.
    pub fn delete_snapshots(&self, stream: &StreamName) -> Result<(), SnapshotError> {
        self.committer()?;
        self.running()?.snapshots.delete(stream)
    }

    /// Where tables of read models are kept.
    pub(crate) fn tables(&self) -> Result<&Arc<dyn Meta>, Error> {
        Ok(&self.running()?.tables)
    }

    /// The clock of the store.
    pub(crate) fn clock(&self) -> &dyn Clock {
        self.core().clock.as_ref()
    }

    /// The version that a stream had when the store stood at `position`.
    pub(crate) fn version_at(&self, stream: &StreamName, position: Position) -> Result<StreamVersion, Error> {
        let reader = &self.running()?.reader;
        reader.stream_version_at(reader.stream_hash(stream.as_str()), position)
    }

    /// The newest event of a stream that has this id.
    pub(crate) fn event_with_id(
        &self,
        stream: &StreamName,
        id: &EventId,
    ) -> Result<Option<RecordedEvent>, Error> {
        self.running()?.reader.event_with_id(stream.as_str(), id)
    }

    /// Starts an import: many events in order, in atomic batches, that can be repeated without harm. See [`Importer`].
    pub fn import(&self) -> Importer {
        let core = self.core();
        Importer::new(self.committer().cloned(), core.reader.clone(), core.limits.clone())
    }

    /// Sizes and counts, of what can be read. Takes time in proportion to the number of streams.
    ///
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// # let store = annals::EventStore::open(annals::Options::new(dir.path()))?;
    /// assert_eq!(store.stats()?.streams, 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// When an index cannot be read or built.
    pub fn stats(&self) -> Result<StoreStats, Error> {
        let (events, segments, sizes) = self.running()?.reader.sizes()?;
        Ok(StoreStats {
            events: events.get(),
            streams: sizes.streams,
            segments,
            log_bytes: sizes.log_bytes,
            index_bytes: sizes.index_bytes,
        })
    }

    /// Whether appends are taken.
    ///
    /// ```
    /// # use annals::Health;
    /// # let dir = tempfile::tempdir()?;
    /// # let store = annals::EventStore::open(annals::Options::new(dir.path()))?;
    /// assert_eq!(store.health(), Health::Ready);
    /// store.close()?;
    /// assert!(matches!(store.health(), Health::Degraded { .. }));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn health(&self) -> Health {
        if let Some(error) = self.trouble() {
            return Health::Degraded { reason: error.to_string() };
        }
        match self.committer().map_or(0, |committer| committer.indexes_missing()) {
            0 => Health::Ready,
            missing => Health::Warming { missing },
        }
    }

    /// Why appends are refused, if they are: the error that the next one would meet.
    ///
    /// ```
    /// # use annals::Error;
    /// # let dir = tempfile::tempdir()?;
    /// # let store = annals::EventStore::open(annals::Options::new(dir.path()))?;
    /// assert!(store.trouble().is_none());
    /// store.close()?;
    /// assert!(matches!(store.trouble(), Some(Error::Closed)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn trouble(&self) -> Option<Error> {
        match (self.core().reader.lost(), self.committer()) {
            (Some(lost), _) => Some(lost.clone()),
            (None, Err(error)) => Some(error),
            (None, Ok(committer)) => committer.trouble(),
        }
    }

    /// Looks whether there is space again for a store that had none, and whether that is still so: appends are taken again then
    /// by [`EventStore::health`], too. An append finds that out by itself; a store that nobody appends to does not.
    ///
    /// It may take as long as making a segment does.
    pub fn look_for_space(&self) -> bool {
        self.committer().is_ok_and(|committer| committer.look_for_space())
    }

    /// The limits the store was opened with.
    pub fn limits(&self) -> &Limits {
        &self.core().limits
    }

    /// Finishes what was submitted, marks the log as cleanly closed and lets go of the directory.
    ///
    /// Later calls on any handle answer [`Error::Closed`]; subscriptions deliver what is left and end.
    ///
    /// # Errors
    ///
    /// When the mark could not be made durable, and [`Error::Failed`] of a store that has failed. Nothing acknowledged is at
    /// risk.
    pub fn close(&self) -> Result<(), Error> {
        self.core().close()
    }
}

impl Core {
    fn close(&self) -> Result<(), Error> {
        self.closed.store(true, Ordering::Release);
        self.scavenger.end();
        let closed = self.committer.as_ref().map_or(Ok(()), |committer| committer.close());
        self.reader.visible().close();
        self.snapshots.close();
        self.tables.close();
        closed
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // Who wants to know calls `close`. What was acknowledged is safe either way.
        let _ = self.0.close();
    }
}

impl std::fmt::Debug for EventStore {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("EventStore").field("head", &self.head()).finish_non_exhaustive()
    }
}

//! The repository: loads aggregates, executes commands on them, and looks into their past.
//!
//! An append expects the version that was loaded, so nothing that was decided rests on a state that has changed meanwhile.
//! Whoever is not first reads only what is new and decides again.

use std::fmt::{self, Display};
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::as_of::{AsOf, Bounds};
use super::context::Context;
use super::error::{ExecuteError, LoadError, SaveError};
use super::saved::{Keeper, SnapshotPolicy};
use super::{Aggregate, backoff};
use crate::error::{AppendError, Error, SnapshotError};
use crate::model::{
    Append, ContentType, Data, Deletion, EventId, EventType, ExpectedVersion, Metadata, NewEvent, Position,
    Receipt, RecordedEvent, Source, StreamName, StreamVersion,
};
use crate::read::Read;
use crate::schema::{Schema, Seen};
use crate::store::EventStore;

/// How often a command is decided again after conflicts, unless set otherwise.
const RETRIES_MAX: u32 = 10;

/// The aggregates of one category in a store. A clone is cheap.
///
/// See [`Aggregate`] for an example.
pub struct Repository<A: Aggregate> {
    store: EventStore,
    schema: Arc<Schema>,
    keeper: Option<Keeper<A>>,
    retries_max: u32,
    source: Option<Source>,
    aggregate: PhantomData<fn() -> A>,
}

/// An aggregate as it stands, or stood, at a version of its stream.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Loaded<A> {
    /// The state.
    pub state: A,
    /// The stream it comes from.
    pub stream: StreamName,
    /// The version of the stream that it stands for; 0 when the stream has no events.
    pub version: StreamVersion,
    /// The version of the snapshot that it began with.
    pub snapshot: Option<StreamVersion>,
    /// How many events were read.
    pub replayed: u64,
    /// How long that took.
    pub replay_time: Duration,
}

/// What executing a command has done.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Executed<A> {
    /// The state after it.
    pub state: A,
    /// The version of the stream after it.
    pub version: StreamVersion,
    /// The receipt of its events; none when there was nothing to do.
    pub receipt: Option<Receipt>,
    /// How often somebody else was first.
    pub retries: u32,
    /// Whether a snapshot was saved; none when none was due.
    pub snapshot: Option<Result<(), SnapshotError>>,
}

impl<A> Executed<A> {
    /// The position of its last event, for waiting until a projection has seen it; none when it added no events.
    pub fn position(&self) -> Option<Position> {
        self.receipt.as_ref().map(|receipt| receipt.position)
    }
}

impl<A: Aggregate> Repository<A> {
    /// The aggregates in `store`, without snapshots, with the schema of an enum that has never changed.
    pub fn new(store: &EventStore) -> Repository<A> {
        Repository {
            store: store.clone(),
            schema: Arc::default(),
            keeper: None,
            retries_max: RETRIES_MAX,
            source: None,
            aggregate: PhantomData,
        }
    }

    /// Sets how stored events become the aggregate's own.
    #[must_use]
    pub fn schema(mut self, schema: impl Into<Arc<Schema>>) -> Repository<A> {
        self.schema = schema.into();
        self
    }

    /// Saves snapshots, and begins replays with them. Default: neither.
    #[must_use]
    pub fn snapshots(mut self, policy: SnapshotPolicy) -> Repository<A>
    where
        A: Serialize + DeserializeOwned,
    {
        self.keeper = Some(Keeper::new(policy));
        self
    }

    /// How often a command is decided again when somebody else was first. Default: 10.
    #[must_use]
    pub fn retries_max(mut self, retries: u32) -> Repository<A> {
        self.retries_max = retries;
        self
    }

    /// Who says so, in every new event. Default: nobody.
    #[must_use]
    pub fn source(mut self, source: Source) -> Repository<A> {
        self.source = Some(source);
        self
    }

    /// The stream of the aggregate with this id: `order-7`.
    ///
    /// # Errors
    ///
    /// [`LoadError::Name`] when the id makes no legal name.
    pub fn stream(&self, id: impl Display) -> Result<StreamName, LoadError> {
        let category = A::CATEGORY;
        if category.contains('-') {
            let what =
                format!("the category `{category}` contains a `-`, which ends the category of a stream");
            return Err(Error::invalid(what).into());
        }
        Ok(StreamName::parse(&format!("{category}-{id}"))?)
    }

    /// The aggregate as it stands. One without events is in its default state, at version 0.
    ///
    /// # Errors
    ///
    /// [`LoadError::Event`] when an event is not what the schema expects.
    pub fn load(&self, id: impl Display) -> Result<Loaded<A>, LoadError> {
        self.load_stream(self.stream(id)?, &Bounds::NONE)
    }

    /// The aggregate as it stood.
    ///
    /// ```
    /// # use annals::{Aggregate, AsOf, EventStore, Options, Repository, StreamVersion};
    /// # #[derive(Default)]
    /// # struct Counter(u64);
    /// # #[derive(serde::Serialize, serde::Deserialize)]
    /// # enum Event { Counted }
    /// # impl Aggregate for Counter {
    /// #     const CATEGORY: &'static str = "counter";
    /// #     type Event = Event;
    /// #     type Command = ();
    /// #     type Error = std::convert::Infallible;
    /// #     fn apply(&mut self, _: Event) { self.0 += 1 }
    /// #     fn decide(&self, _: &()) -> Result<Vec<Event>, Self::Error> { Ok(vec![Event::Counted]) }
    /// # }
    /// # let dir = tempfile::tempdir()?;
    /// # let store = EventStore::open(Options::new(dir.path()))?;
    /// let counters = Repository::<Counter>::new(&store);
    /// for _ in 0..3 {
    ///     counters.execute("a", ())?;
    /// }
    /// let before = counters.load_at("a", AsOf::Version(StreamVersion::new(2)))?;
    /// assert_eq!(before.state.0, 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`Repository::load`].
    pub fn load_at(&self, id: impl Display, as_of: AsOf) -> Result<Loaded<A>, LoadError> {
        let stream = self.stream(id)?;
        let bounds = Bounds::of(as_of, &self.store, &stream)?;
        self.load_stream(stream, &bounds)
    }

    fn load_stream(&self, stream: StreamName, bounds: &Bounds) -> Result<Loaded<A>, LoadError> {
        let keeper = self.keeper.as_ref().filter(|_| bounds.occurred.is_none());
        let saved = keeper.and_then(|keeper| keeper.newest(&self.store, &stream, bounds.version));
        let snapshot = saved.as_ref().map(|(_, version)| *version);
        let (state, version) = saved.unwrap_or_default();
        let replay_time = Duration::ZERO;
        let mut loaded = Loaded { state, stream, version, snapshot, replayed: 0, replay_time };
        self.catch_up(&mut loaded, bounds)?;
        Ok(loaded)
    }

    /// Applies what is new.
    fn catch_up(&self, loaded: &mut Loaded<A>, bounds: &Bounds) -> Result<(), LoadError> {
        let begun = self.store.clock().now();
        let read = Read::stream(loaded.stream.clone()).from(loaded.version.next()).to(bounds.version);
        let events = match self.store.read(read) {
            // It begins anew, at the version that the deleted one had.
            Err(Error::Gone { version, deletion: Deletion::Soft, .. }) => {
                (loaded.state, loaded.version, loaded.snapshot) = (A::default(), version, None);
                return Ok(());
            }
            events => events?,
        };
        let head = events.head();
        for event in events {
            let event = event?;
            if bounds.occurred.is_none_or(|time| event.timestamp() <= time) {
                self.apply(&mut loaded.state, &event).map_err(|source| LoadError::Event {
                    stream: loaded.stream.clone(),
                    version: event.stream_version(),
                    position: event.position(),
                    source,
                })?;
                loaded.replayed += 1;
                loaded.version = event.stream_version();
            }
        }
        if *bounds == Bounds::NONE {
            // Events that are not shown any more count, too.
            loaded.version = loaded.version.max(self.store.version_at(&loaded.stream, head)?);
        }
        let nanos = self.store.clock().now().as_nanos().saturating_sub(begun.as_nanos());
        loaded.replay_time += Duration::from_nanos(u64::try_from(nanos).unwrap_or(0));
        Ok(())
    }

    fn apply(&self, state: &mut A, event: &RecordedEvent) -> Result<(), crate::schema::SchemaError> {
        if self.schema.decode_each(event, |value| state.apply(value))? == Seen::Raw {
            state.apply_raw(event);
        }
        Ok(())
    }

    /// Executes a command: loads the aggregate, decides, and appends what was decided.
    ///
    /// # Errors
    ///
    /// [`ExecuteError::Refused`] when the aggregate does not do it; then nothing was appended.
    pub fn execute(
        &self,
        id: impl Display,
        command: A::Command,
    ) -> Result<Executed<A>, ExecuteError<A::Error>> {
        self.execute_with(id, command, Context::default())
    }

    /// The same in a context, which may be the event that the command answers.
    ///
    /// ```no_run
    /// # use annals::{Aggregate, Context, RecordedEvent, Repository};
    /// # fn example<A: Aggregate<Command = &'static str>>(shipments: Repository<A>, paid: RecordedEvent)
    /// # -> Result<(), Box<dyn std::error::Error>> {
    /// shipments.execute_with("7", "ship", &paid)?;
    /// shipments.execute_with("7", "ship", Context::caused_by(&paid).command_id("ship-7"))?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`Repository::execute`].
    pub fn execute_with(
        &self,
        id: impl Display,
        command: A::Command,
        context: impl Into<Context>,
    ) -> Result<Executed<A>, ExecuteError<A::Error>> {
        let context = context.into();
        let mut loaded = self.load_stream(self.stream(id)?, &Bounds::NONE)?;
        // Made before the first try, so that every try is of the same events.
        let mut ids = Vec::new();
        let mut retries = 0;
        loop {
            if let Some(receipt) = self.executed_before(&loaded.stream, &context)? {
                return Ok(self.executed(loaded, Some(receipt), retries));
            }
            let events = loaded.state.decide(&command).map_err(ExecuteError::Refused)?;
            match self.append(&mut loaded, events, &mut ids, &context) {
                Ok(receipt) => return Ok(self.executed(loaded, receipt, retries)),
                Err(SaveError::Append(AppendError::Conflict { .. })) if retries < self.retries_max => {
                    backoff::wait(retries);
                    retries += 1;
                    self.catch_up(&mut loaded, &Bounds::NONE)?;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn executed(&self, loaded: Loaded<A>, receipt: Option<Receipt>, retries: u32) -> Executed<A> {
        let due = self.keeper.as_ref().is_some_and(|keeper| keeper.is_due(&loaded));
        let snapshot = due.then(|| self.snapshot(&loaded));
        Executed { state: loaded.state, version: loaded.version, receipt, retries, snapshot }
    }

    /// Appends events to an aggregate that was loaded, if its stream has not moved since. None for no events.
    ///
    /// # Errors
    ///
    /// [`AppendError::Conflict`] when somebody else was first: load it again.
    pub fn save(
        &self,
        loaded: &mut Loaded<A>,
        events: Vec<A::Event>,
        context: impl Into<Context>,
    ) -> Result<Option<Receipt>, SaveError> {
        self.append(loaded, events, &mut Vec::new(), &context.into())
    }

    /// Saves a snapshot now, whatever the policy says.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] where [`Repository::snapshots`] was not called.
    pub fn snapshot(&self, loaded: &Loaded<A>) -> Result<(), SnapshotError> {
        let invalid = |what: String| SnapshotError::Store(Error::invalid(what));
        let keeper = self.keeper.as_ref();
        let keeper = keeper.ok_or_else(|| invalid("this repository keeps no snapshots".to_owned()))?;
        let state = keeper.seal(&loaded.state).map_err(|error| invalid(error.to_string()))?;
        self.store.put_snapshot(&loaded.stream, loaded.version, state)
    }

    fn append(
        &self,
        loaded: &mut Loaded<A>,
        events: Vec<A::Event>,
        ids: &mut Vec<EventId>,
        context: &Context,
    ) -> Result<Option<Receipt>, SaveError> {
        if events.is_empty() {
            return Ok(None);
        }
        let mut new = Vec::with_capacity(events.len());
        for (place, event) in events.iter().enumerate() {
            if ids.len() == place {
                ids.push(context.event_id(place + 1).transpose()?.unwrap_or_else(EventId::generate));
            }
            let (stored, version) = self.schema.encode_bare(event)?;
            let metadata = context.metadata(version, A::tags(event))?;
            new.push(self.surrounded(stored, context).id(ids[place].clone()).metadata(metadata));
        }
        let expected = ExpectedVersion::Exactly(loaded.version);
        let receipt = self.store.append(Append::to(loaded.stream.clone(), expected, new))?;
        loaded.version = loaded.version.advanced(events.len() as u64);
        events.into_iter().for_each(|event| loaded.state.apply(event));
        Ok(Some(receipt))
    }

    fn surrounded(&self, event: NewEvent, context: &Context) -> NewEvent {
        let event = match &self.source {
            Some(source) => event.source(source.clone()),
            None => event,
        };
        match context.occurred_at() {
            Some(timestamp) => event.timestamp(timestamp),
            None => event,
        }
    }

    /// The receipt of the command's events, if they are in the stream: the store gives it again to whoever sends them again.
    fn executed_before(
        &self,
        stream: &StreamName,
        context: &Context,
    ) -> Result<Option<Receipt>, ExecuteError<A::Error>> {
        let Some(first) = context.event_id(1).transpose()? else { return Ok(None) };
        let Some(first) = self.store.event_with_id(stream, &first)? else { return Ok(None) };
        let mut events = Vec::new();
        for event in self.store.read(Read::stream(stream.clone()).from(first.stream_version()))? {
            let event = event?;
            if Some(event.id()) != context.event_id(events.len() + 1).transpose()? {
                break;
            }
            events.push(as_new(&event)?);
        }
        let expected = ExpectedVersion::Exactly(first.stream_version().previous());
        let receipt = self.store.append(Append::to(stream.clone(), expected, events));
        Ok(Some(receipt.map_err(SaveError::from)?))
    }
}

/// A stored event as its writer gave it.
fn as_new(event: &RecordedEvent) -> Result<NewEvent, SaveError> {
    let invalid = |what: &dyn Display| SaveError::Append(AppendError::Invalid { what: what.to_string() });
    let data = match event.content_type() {
        Some(content_type) => Data::binary(ContentType::parse(content_type)?, event.data_bytes()),
        None => Data::from_json_bytes(event.data_bytes()).map_err(|error| invalid(&error))?,
    };
    let mut new = NewEvent::new(EventType::parse(event.event_type())?, data)
        .id(event.id())
        .timestamp(event.timestamp());
    if let Some(source) = event.source() {
        new = new.source(Source::parse(source)?);
    }
    if let Some(metadata) = event.metadata() {
        new = new.metadata(Metadata::parse(metadata.to_owned())?);
    }
    Ok(new)
}

impl<A: Aggregate> Clone for Repository<A> {
    fn clone(&self) -> Repository<A> {
        Repository {
            store: self.store.clone(),
            schema: self.schema.clone(),
            keeper: self.keeper.clone(),
            retries_max: self.retries_max,
            source: self.source.clone(),
            aggregate: PhantomData,
        }
    }
}

impl<A: Aggregate> fmt::Debug for Repository<A> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Repository").field("category", &A::CATEGORY).finish_non_exhaustive()
    }
}

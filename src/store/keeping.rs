//! What is kept of a store, and for how long: settings and deletions of streams, scavenges, backups.

use std::ops::ControlFlow;
use std::path::Path;

use super::EventStore;
use super::keeper::Keeper;
use crate::backup::{BackupReport, Source, back_up};
use crate::error::{AppendError, Error};
use crate::model::{Deletion, ExpectedVersion, Position, StreamName, StreamSettings, StreamVersion};
use crate::scavenge::{Scavenge, ScavengeReport};

impl EventStore {
    fn keeper(&self) -> Result<Keeper<'_>, Error> {
        Ok(Keeper { core: self.running()?, committer: self.committer()? })
    }

    /// Whether every event that was ever appended is shown: no stream has settings or was deleted, and no segment was
    /// dropped or rewritten.
    pub fn keeps_everything(&self) -> bool {
        let core = self.core();
        let (_, parts) = core.reader.snapshot();
        core.lifecycles.newest() == Position::START
            && !parts.iter().any(|part| part.segment.header.is_rewritten())
    }

    /// Sets which of a stream's events are shown, in place of what was set before. The stream need not exist yet.
    ///
    /// What is not shown any more is gone for every reader at once; [`EventStore::scavenge`] gives its space back. Until then
    /// wider settings show it again.
    ///
    /// ```
    /// # use annals::{Data, EventStore, EventType, ExpectedVersion, NewEvent, Options, Read, StreamName, StreamSettings};
    /// # let dir = tempfile::tempdir()?;
    /// # let store = EventStore::open(Options::new(dir.path()))?;
    /// # let stream = StreamName::parse("sensor-1")?;
    /// # let event = NewEvent::new(EventType::parse("measured")?, Data::json(&())?);
    /// # store.append_to(&stream, ExpectedVersion::None, vec![event; 5])?;
    /// store.set_stream(&stream, StreamSettings { max_count: Some(2), ..StreamSettings::default() })?;
    /// assert_eq!(store.read(Read::stream(stream.clone()))?.count(), 2);
    /// assert_eq!(store.stream(&stream)?.map(|info| info.version.get()), Some(5));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`AppendError::Gone`] for a stream that was deleted for ever, [`AppendError::Invalid`] for settings that cannot be
    /// meant, and as [`EventStore::append`].
    pub fn set_stream(&self, stream: &StreamName, settings: StreamSettings) -> Result<(), AppendError> {
        self.keeper()?.set(stream, settings)
    }

    /// What a stream is set to, whether it has events yet or not.
    ///
    /// ```
    /// # use annals::{EventStore, Options, StreamName, StreamSettings};
    /// # let dir = tempfile::tempdir()?;
    /// # let store = EventStore::open(Options::new(dir.path()))?;
    /// let stream = StreamName::parse("sensor-1")?;
    /// let newest_two = StreamSettings { max_count: Some(2), ..StreamSettings::default() };
    /// store.set_stream(&stream, newest_two)?;
    /// assert_eq!(store.stream_settings(&stream)?, newest_two);
    /// assert!(store.stream(&stream)?.is_none());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Damaged`] or [`Error::Io`] when the settings cannot be read.
    pub fn stream_settings(&self, stream: &StreamName) -> Result<StreamSettings, Error> {
        Ok(self.running()?.lifecycles.of(stream.as_str())?.settings)
    }

    /// Whether every event that was ever appended to a stream is shown, but for those in segments that the retention of the
    /// store has dropped: the stream never had settings, and was never deleted.
    ///
    /// # Errors
    ///
    /// [`Error::Damaged`] or [`Error::Io`] when that cannot be read.
    pub fn stream_keeps_everything(&self, stream: &StreamName) -> Result<bool, Error> {
        let lifecycles = &self.running()?.lifecycles;
        // In a store without any, nothing is looked up.
        if lifecycles.newest() == Position::START {
            return Ok(true);
        }
        let (_, settings_version) = lifecycles.of_with_version(stream)?;
        Ok(settings_version == StreamVersion::START)
    }

    /// Deletes a stream: its events are gone for every reader. An append makes the stream again; its versions go on, and
    /// snapshots of before are dropped. Tells the version that it stands at.
    ///
    /// ```
    /// # use annals::{Data, Error, EventStore, EventType, ExpectedVersion, NewEvent, Options, Read, StreamName};
    /// # let dir = tempfile::tempdir()?;
    /// # let store = EventStore::open(Options::new(dir.path()))?;
    /// # let stream = StreamName::parse("order-1")?;
    /// # let event = NewEvent::new(EventType::parse("order.created")?, Data::json(&())?);
    /// # store.append_to(&stream, ExpectedVersion::None, [event.clone()])?;
    /// store.delete_stream(&stream, ExpectedVersion::Any)?;
    /// assert!(matches!(store.read(Read::stream(stream.clone())), Err(Error::Gone { .. })));
    ///
    /// let receipt = store.append_to(&stream, ExpectedVersion::None, [event])?;
    /// assert_eq!(receipt.streams[0].version.get(), 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`AppendError::Conflict`] when the stream is not as expected or does not exist, [`AppendError::Gone`] when it was
    /// deleted for ever, and as [`EventStore::append`].
    pub fn delete_stream(
        &self,
        stream: &StreamName,
        expected: ExpectedVersion,
    ) -> Result<StreamVersion, AppendError> {
        self.keeper()?.delete(stream, expected, Deletion::Soft)
    }

    /// Deletes a stream for ever: it takes no event again. Tells the version that it stood at.
    ///
    /// # Errors
    ///
    /// As [`EventStore::delete_stream`].
    pub fn delete_stream_for_ever(
        &self,
        stream: &StreamName,
        expected: ExpectedVersion,
    ) -> Result<StreamVersion, AppendError> {
        self.keeper()?.delete(stream, expected, Deletion::Hard)
    }

    /// Gives back the space of events that are no longer shown, and drops what
    /// [`Options::retention`](crate::Options::retention) does not keep.
    ///
    /// Appends and reads go on meanwhile, and positions and versions stay as they are. It takes about as long as reading the
    /// log and writing what is kept, and space for one segment. See [`Scavenge`].
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] while another one is under way, [`Error::NoSpace`] and [`Error::Io`]; the segments that were written
    /// anew until then stay so. A damaged segment is left as it is and named in the report.
    pub fn scavenge(&self, scavenge: &Scavenge) -> Result<ScavengeReport, Error> {
        self.scavenge_while(scavenge, |_| ControlFlow::Continue(()))
    }

    /// The same, and asks after each segment whether to go on.
    ///
    /// # Errors
    ///
    /// As [`EventStore::scavenge`].
    pub fn scavenge_while(
        &self,
        scavenge: &Scavenge,
        go_on: impl FnMut(&ScavengeReport) -> ControlFlow<()>,
    ) -> Result<ScavengeReport, Error> {
        self.committer()?;
        self.core().scavenger.run(scavenge, go_on)
    }

    /// Copies the log up to what is visible now into `out`: a new directory, or a backup of this store, which then takes only
    /// what is new. Appends, reads and scavenges go on meanwhile. See [`Restore`](crate::Restore).
    ///
    /// Every copy is read back and checked. Interrupted at any point, the directory holds a prefix of the log.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] when `out` holds something else, [`Error::Damaged`] when a segment that is not in the backup yet is
    /// damaged, [`Error::NoSpace`] and [`Error::Io`].
    pub fn back_up(&self, out: impl AsRef<Path>) -> Result<BackupReport, Error> {
        let core = self.running()?;
        let (position, parts) = core.reader.snapshot();
        let (disk, history, now) = (core.disk.as_ref(), core.history, core.clock.now());
        back_up(&Source { disk, parts, position, history, now }, out.as_ref())
    }
}

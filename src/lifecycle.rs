//! What becomes of streams: their settings and deletions, found in the log and remembered.
//!
//! The settings of stream `s` are the newest event of stream `$settings-s` that names it; each such event says all that
//! holds from then on, so that one look finds it. A store without such an event is never asked.
//!
//! Promise: whoever asks after a change was acknowledged gets what it says.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::format::event;
use crate::index::{Catalog, Part, TermHasher, catalog};
use crate::log::Frame;
use crate::model::{
    Data, EventType, Lifecycle, NewEvent, Position, RecordedEvent, StreamName, StreamSettings, StreamVersion,
    Timestamp,
};

/// What the names of streams begin with that hold settings.
const PREFIX: &str = "$settings-";

/// The longest character, in UTF-8.
const CHAR_BYTES_MAX: usize = 4;

/// Streams whose settings are remembered.
const REMEMBERED: usize = 4096;

/// The settings of the streams of one store.
#[derive(Debug)]
pub(crate) struct Lifecycles {
    catalog: Arc<Catalog>,
    hasher: TermHasher,
    /// The position of the newest event that is a stream's settings; 0 while there is none.
    newest: AtomicU64,
    remembered: Box<[Mutex<Remembered>]>,
}

/// What was found for a stream when the newest settings of the store were those at `newest`.
#[derive(Debug, Clone, Copy, Default)]
struct Remembered {
    stream: u128,
    newest: u64,
    lifecycle: Lifecycle,
}

/// The data of an event that is a stream's settings.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Stored {
    stream: String,
    /// In seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max_age: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max_count: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    truncate_before: Option<u64>,
    #[serde(default, skip_serializing_if = "is_zero")]
    deleted_through: u64,
    #[serde(default, skip_serializing_if = "is_false")]
    deleted_for_ever: bool,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

fn is_false(flag: &bool) -> bool {
    !flag
}

/// Why the settings of a stream change, for people who read the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    Set,
    Deleted,
    DeletedForEver,
}

impl Change {
    fn event_type(self) -> &'static str {
        match self {
            Change::Set => "$stream-set",
            Change::Deleted => "$stream-deleted",
            Change::DeletedForEver => "$stream-deleted-for-ever",
        }
    }
}

/// The stream that holds the settings of a stream. A name that would be too long is cut, so that some streams may share
/// one; each event says whose settings it is.
pub(crate) fn stream_of_settings(stream: &StreamName) -> StreamName {
    let mut name = format!("{PREFIX}{stream}");
    while name.len() > crate::model::NAME_BYTES_MAX {
        name.pop();
    }
    StreamName::parse(&name).expect("a legal name that is made longer and cut is one")
}

/// Whether a stream of this name holds settings.
pub(crate) fn holds_settings(stream: &[u8]) -> bool {
    stream.starts_with(PREFIX.as_bytes())
}

/// The settings in `event` for a log in which streams count otherwise: `stands` tells where a stream stood in the old log and
/// stands in the new one. None when they mean the same there. Where it is not known which of a stream's versions are missing,
/// more is shown rather than less.
pub(crate) fn translated(
    event: &RecordedEvent,
    stands: impl FnOnce(&str) -> Option<(StreamVersion, StreamVersion)>,
) -> Option<NewEvent> {
    let mut stored: Stored = serde_json::from_slice(event.data()).ok()?;
    let (old, new) = stands(&stored.stream).filter(|(old, new)| old != new)?;
    let versions = [Some(stored.deleted_through), stored.truncate_before];
    let [deleted_through, truncate_before] = versions.map(|version| {
        version.map(|version| match version.checked_sub(old.get()) {
            Some(beyond) => new.get() + beyond,
            None => version.saturating_sub(old.since(new)),
        })
    });
    stored.deleted_through = deleted_through.unwrap_or_default();
    stored.truncate_before = truncate_before;
    let event_type = EventType::parse(event.event_type()).ok()?;
    let data = Data::json(&stored).expect("texts and numbers are JSON");
    Some(NewEvent::new(event_type, data).id(event.id()).timestamp(event.timestamp()))
}

/// The position of the last event of a frame that is a stream's settings; 0 if none is.
pub(crate) fn last_settings(frame: &Frame) -> Position {
    let settings = frame
        .records()
        .filter(|(_, record)| event::found_by(record).is_some_and(|found| holds_settings(found.stream)));
    settings.map(|(_, record)| event::position(record)).last().unwrap_or_default()
}

/// The event that says how it is with `stream` from now on.
pub(crate) fn event_of(stream: &StreamName, lifecycle: &Lifecycle, change: Change) -> NewEvent {
    let StreamSettings { max_age, max_count, truncate_before } = lifecycle.settings;
    let stored = Stored {
        stream: stream.as_str().to_owned(),
        max_age: max_age.map(|age| age.as_secs()),
        max_count,
        truncate_before: truncate_before.map(StreamVersion::get),
        deleted_through: lifecycle.deleted_through.get(),
        deleted_for_ever: lifecycle.is_hard,
    };
    let event_type = EventType::parse(change.event_type()).expect("is a legal name");
    NewEvent::new(event_type, Data::json(&stored).expect("texts and numbers are JSON"))
}

impl From<Stored> for Lifecycle {
    fn from(stored: Stored) -> Lifecycle {
        Lifecycle {
            settings: StreamSettings {
                max_age: stored.max_age.map(Duration::from_secs),
                max_count: stored.max_count,
                truncate_before: stored.truncate_before.map(StreamVersion::new),
            },
            deleted_through: StreamVersion::new(stored.deleted_through),
            is_hard: stored.deleted_for_ever,
        }
    }
}

impl Lifecycles {
    /// `newest` is the position of the last event of the log that is a stream's settings.
    pub(crate) fn new(catalog: Arc<Catalog>, hasher: TermHasher, newest: Position) -> Lifecycles {
        let remembered = (0..REMEMBERED).map(|_| Mutex::default()).collect();
        Lifecycles { catalog, hasher, newest: AtomicU64::new(newest.get()), remembered }
    }

    /// The position of the newest settings of any stream; 0 when no stream has any.
    pub(crate) fn newest(&self) -> Position {
        Position::new(self.newest.load(Ordering::Acquire))
    }

    /// Notes that the event at this position is a stream's settings. It is indexed, and nobody has been told of it yet.
    pub(crate) fn note(&self, position: Position) {
        self.newest.fetch_max(position.get(), Ordering::AcqRel);
    }

    /// How it is with a stream.
    pub(crate) fn of(&self, stream: &str) -> Result<Lifecycle, Error> {
        // First: the parts that are taken then hold it.
        let newest = self.newest();
        self.of_at(stream, newest, &self.catalog.parts())
    }

    /// How it was with a stream when the newest settings of the store were those at `newest`, which `parts` hold.
    fn of_at(&self, stream: &str, newest: Position, parts: &[Arc<Part>]) -> Result<Lifecycle, Error> {
        if newest == Position::START || stream.starts_with('$') {
            return Ok(Lifecycle::default());
        }
        let hash = self.hasher.stream(stream.as_bytes());
        let slot = &self.remembered[(hash >> 64) as usize % REMEMBERED];
        let held = *slot.lock().unwrap_or_else(PoisonError::into_inner);
        if held.stream == hash && held.newest == newest.get() {
            return Ok(held.lifecycle);
        }
        let lifecycle =
            self.look_up(stream, newest, parts)?.map(|(lifecycle, _)| lifecycle).unwrap_or_default();
        let found = Remembered { stream: hash, newest: newest.get(), lifecycle };
        *slot.lock().unwrap_or_else(PoisonError::into_inner) = found;
        Ok(lifecycle)
    }

    /// How it is with a stream, and at which version the stream stands that says so.
    pub(crate) fn of_with_version(&self, stream: &StreamName) -> Result<(Lifecycle, StreamVersion), Error> {
        let hash = self.hasher.stream(stream_of_settings(stream).as_str().as_bytes());
        let parts = self.catalog.parts();
        let version = catalog::head(&parts, hash)?.map(|head| head.version);
        let found = self.look_up(stream.as_str(), catalog::ALL, &parts)?.map(|(lifecycle, _)| lifecycle);
        Ok((found.unwrap_or_default(), version.unwrap_or_default()))
    }

    /// The newest settings of a stream up to a position of `parts`, and where they stand.
    fn look_up(
        &self,
        stream: &str,
        until: Position,
        parts: &[Arc<Part>],
    ) -> Result<Option<(Lifecycle, Position)>, Error> {
        let name = StreamName::parse(stream).map_err(|error| Error::invalid(error.to_string()))?;
        let hash = self.hasher.stream(stream_of_settings(&name).as_str().as_bytes());
        let mut at = catalog::newest(parts, hash, until)?;
        while let Some((part, here)) = at {
            for number in (0..here.count()).rev() {
                let mut ordinal = Vec::with_capacity(1);
                part.ordinals(parts, &here.postings, number, number + 1, &mut ordinal)?;
                let offset = part.offset(ordinal[0])?;
                let event = part.event(offset)?;
                let stored: Stored = serde_json::from_slice(event.data()).map_err(|error| {
                    part.segment.damaged(offset.into(), format!("settings that cannot be read: {error}"))
                })?;
                if stored.stream == stream {
                    return Ok(Some((stored.into(), event.position())));
                }
            }
            at = catalog::before(parts, &part, &here, hash)?;
        }
        Ok(None)
    }

    /// Whether newer settings of the stream that it names make the settings at `position` of no use. Where several streams
    /// share one for their settings, none is.
    pub(crate) fn is_outdated(&self, stream: &str, data: &[u8], position: Position) -> Result<bool, Error> {
        // A name that was cut is short of the longest by less than a character.
        if stream.len() + CHAR_BYTES_MAX > crate::model::NAME_BYTES_MAX {
            return Ok(false);
        }
        let Ok(stored) = serde_json::from_slice::<Stored>(data) else { return Ok(false) };
        let parts = self.catalog.parts();
        Ok(self.look_up(&stored.stream, catalog::ALL, &parts)?.is_some_and(|(_, newest)| newest > position))
    }
}

/// Which events are not shown, seen from one moment.
#[derive(Debug)]
pub(crate) struct Hidden {
    lifecycles: Arc<Lifecycles>,
    parts: Arc<Vec<Arc<Part>>>,
    visible: Position,
    /// The newest settings of the store at that moment.
    settings: Position,
    /// When the newest event of the store was committed, once that was asked.
    newest: Option<Timestamp>,
}

impl Hidden {
    /// Of the events up to `visible`, which `parts` hold; none while no stream has settings.
    pub(crate) fn new(
        lifecycles: &Arc<Lifecycles>,
        parts: &Arc<Vec<Arc<Part>>>,
        visible: Position,
    ) -> Option<Hidden> {
        // What is noted is not yet visible for a moment.
        let settings = lifecycles.newest().min(visible);
        let has_some = settings > Position::START;
        has_some.then(|| Hidden {
            lifecycles: lifecycles.clone(),
            parts: parts.clone(),
            visible,
            settings,
            newest: None,
        })
    }

    /// How it was with a stream.
    pub(crate) fn lifecycle(&self, stream: &str) -> Result<Lifecycle, Error> {
        self.lifecycles.of_at(stream, self.settings, &self.parts)
    }

    /// When the newest event of the store was committed.
    pub(crate) fn newest(&mut self) -> Result<Timestamp, Error> {
        if let Some(newest) = self.newest {
            return Ok(newest);
        }
        let newest = catalog::time_at(&self.parts, self.visible)?;
        self.newest = Some(newest);
        Ok(newest)
    }

    /// Whether an event is not shown; where nothing is hidden, it is.
    pub(crate) fn hides(hidden: &mut Option<Hidden>, event: &RecordedEvent) -> Result<bool, Error> {
        match hidden {
            Some(hidden) => hidden.has(event.stream(), event.stream_version(), || Ok(event.recorded_at())),
            None => Ok(false),
        }
    }

    /// Whether an event is not shown. `recorded_at` is asked only where age counts.
    pub(crate) fn has(
        &mut self,
        stream: &str,
        version: StreamVersion,
        recorded_at: impl FnOnce() -> Result<Timestamp, Error>,
    ) -> Result<bool, Error> {
        let lifecycle = self.lifecycle(stream)?;
        if lifecycle == Lifecycle::default() {
            return Ok(false);
        }
        let mut head = version;
        if lifecycle.settings.max_count.is_some() {
            let hash = self.lifecycles.hasher.stream(stream.as_bytes());
            head = catalog::newest(&self.parts, hash, self.visible)?.map_or(version, |(_, here)| here.last());
        }
        let (recorded_at, newest) = match lifecycle.settings.max_age {
            Some(_) => (recorded_at()?, self.newest()?),
            None => Default::default(),
        };
        Ok(lifecycle.hides(version, recorded_at, head, newest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_come_back_as_they_were_written() {
        let stream = StreamName::parse("order-1").expect("legal");
        let settings = StreamSettings {
            max_age: Some(Duration::from_secs(86_400)),
            max_count: Some(5),
            truncate_before: Some(StreamVersion::new(7)),
        };
        let whole = Lifecycle { settings, deleted_through: StreamVersion::new(3), is_hard: true };
        for lifecycle in [whole, Lifecycle::default()] {
            let event = event_of(&stream, &lifecycle, Change::Set);
            let stored: Stored = serde_json::from_slice(event.data.bytes()).expect("is JSON");
            assert_eq!(stored.stream, "order-1");
            assert_eq!(Lifecycle::from(stored), lifecycle);
        }
    }

    #[test]
    fn every_stream_has_a_stream_for_its_settings() {
        for name in ["a".to_owned(), "x".repeat(245), "x".repeat(255), "ü".repeat(127)] {
            let settings = stream_of_settings(&StreamName::parse(&name).expect("legal"));
            assert!(settings.is_system() && holds_settings(settings.as_str().as_bytes()), "{settings}");
        }
    }
}

//! Changing what a stream keeps: its settings and its deletion, each written as an event of the store's own.
//!
//! Each such event says all that holds from then on. It is appended on the condition that both the stream and its settings
//! are as they were when it was made; if they are not, it is made again.

use super::Core;
use crate::commit::Committer;
use crate::error::{AppendError, Error};
use crate::lifecycle::{Change, event_of, stream_of_settings};
use crate::model::{Append, Deletion, ExpectedVersion, Lifecycle, StreamName, StreamSettings, StreamVersion};

/// How often a change is made again because something came between.
const TRIES_MAX: u32 = 1000;

/// Changes what streams keep.
pub(super) struct Keeper<'a> {
    pub(super) core: &'a Core,
    pub(super) committer: &'a Committer,
}

/// A stream as it was found.
struct Found {
    version: StreamVersion,
    lifecycle: Lifecycle,
    /// The version of the stream that holds its settings.
    settings_version: StreamVersion,
}

impl Keeper<'_> {
    pub(super) fn set(&self, stream: &StreamName, settings: StreamSettings) -> Result<(), AppendError> {
        check(stream, &settings)?;
        self.change(stream, Change::Set, |found| {
            let first = settings.truncate_before.unwrap_or_default();
            if first > found.version.next() {
                let what = format!(
                    "stream {stream} cannot be truncated before version {first}: it is at version {}",
                    found.version
                );
                return Err(AppendError::Invalid { what });
            }
            let next = Lifecycle { settings, ..found.lifecycle };
            // What says the same as before is not written again.
            Ok((next != found.lifecycle).then_some((next, ExpectedVersion::Any)))
        })?;
        Ok(())
    }

    pub(super) fn delete(
        &self,
        stream: &StreamName,
        expected: ExpectedVersion,
        deletion: Deletion,
    ) -> Result<StreamVersion, AppendError> {
        check(stream, &StreamSettings::default())?;
        let change = match deletion {
            Deletion::Soft => Change::Deleted,
            Deletion::Hard => Change::DeletedForEver,
        };
        let version = self.change(stream, change, |found| {
            let actual = found.version;
            let is_there = actual > StreamVersion::START;
            if !is_there || !expected.holds_at(actual) {
                let expected = if is_there { expected } else { ExpectedVersion::Exists };
                return Err(AppendError::Conflict { stream: stream.clone(), expected, actual });
            }
            let is_hard = deletion == Deletion::Hard;
            if !is_hard && found.lifecycle.deletion(actual) == Some(Deletion::Soft) {
                return Ok(None);
            }
            let next = Lifecycle { deleted_through: actual, is_hard, ..found.lifecycle };
            Ok(Some((next, actual.into())))
        })?;
        // Nothing is lost with them but time, and none of them would be used.
        let _ = self.core.snapshots.delete(stream);
        Ok(version)
    }

    /// Writes what `decide` makes of the stream as it is, which also says at which version the stream has to be. Tells the
    /// version that it was found at.
    fn change(
        &self,
        stream: &StreamName,
        change: Change,
        decide: impl Fn(&Found) -> Result<Option<(Lifecycle, ExpectedVersion)>, AppendError>,
    ) -> Result<StreamVersion, AppendError> {
        let mut tries = 0;
        loop {
            let found = self.find(stream)?;
            if found.lifecycle.is_hard {
                return Err(AppendError::Gone { stream: stream.clone(), version: found.version });
            }
            let Some((next, expected)) = decide(&found)? else { return Ok(found.version) };
            let settings = stream_of_settings(stream);
            let append =
                Append::to(settings, found.settings_version.into(), [event_of(stream, &next, change)])
                    .expecting(stream.clone(), expected);
            tries += 1;
            match self.committer.append(Append { is_system: true, ..append }) {
                Ok(_) => return Ok(found.version),
                Err(AppendError::Conflict { .. }) if tries < TRIES_MAX => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn find(&self, stream: &StreamName) -> Result<Found, Error> {
        // Settings first: if they change meanwhile, the append finds out.
        let (lifecycle, settings_version) = self.core.lifecycles.of_with_version(stream)?;
        let hash = self.core.reader.stream_hash(stream.as_str());
        Ok(Found { version: self.core.reader.stream_version(hash)?, lifecycle, settings_version })
    }
}

/// Refuses what cannot be meant.
fn check(stream: &StreamName, settings: &StreamSettings) -> Result<(), AppendError> {
    let invalid = |what: String| Err(AppendError::Invalid { what });
    if stream.is_system() {
        return invalid(format!("stream {stream} belongs to the store: it cannot be set or deleted"));
    }
    if settings.max_count == Some(0) {
        return invalid("a stream shows at least one event; delete it to show none".to_owned());
    }
    if settings.max_age.is_some_and(|age| age.subsec_nanos() > 0 || age.is_zero()) {
        return invalid("the age of events is counted in whole seconds, at least one".to_owned());
    }
    Ok(())
}

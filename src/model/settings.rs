//! How long a stream keeps its events, and whether it was deleted.

use std::time::Duration;

use super::{StreamVersion, Timestamp};

/// Which events of a stream are shown. What is not shown is as good as gone: no read, no subscription and no condition finds
/// it, and a scavenge gives its space back. The stream's version stays as it is.
///
/// ```
/// use annals::StreamSettings;
///
/// let newest_hundred = StreamSettings { max_count: Some(100), ..StreamSettings::default() };
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StreamSettings {
    /// Only events that were committed at most so long before the newest event of the store. Counted in whole seconds. The
    /// log's own time decides, not the clock, so that two replays of one log show the same.
    pub max_age: Option<Duration>,
    /// Only the newest so many events. At least 1.
    pub max_count: Option<u64>,
    /// Only events of this version and later ones.
    pub truncate_before: Option<StreamVersion>,
}

/// Whether a stream was deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Deletion {
    /// Its events are gone. An append makes the stream again, and its versions go on.
    Soft,
    /// Its events are gone, and it takes none again.
    Hard,
}

/// All that is known of a stream beside its events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Lifecycle {
    pub(crate) settings: StreamSettings,
    /// Deletions took every event up to here.
    pub(crate) deleted_through: StreamVersion,
    /// The last deletion was for ever.
    pub(crate) is_hard: bool,
}

impl Lifecycle {
    /// Whether the stream is deleted, now that it stands at `version`.
    pub(crate) fn deletion(&self, version: StreamVersion) -> Option<Deletion> {
        match self.is_hard {
            true => Some(Deletion::Hard),
            false if version > StreamVersion::START && version <= self.deleted_through => {
                Some(Deletion::Soft)
            }
            false => None,
        }
    }

    /// The first version that is shown, as far as versions decide it, of a stream that stands at `version`.
    pub(crate) fn first_shown(&self, version: StreamVersion) -> StreamVersion {
        if self.is_hard {
            return version.next();
        }
        let first = self.settings.truncate_before.unwrap_or_default().max(self.deleted_through.next());
        match self.settings.max_count {
            Some(count) => first.max(StreamVersion::new(version.next().get().saturating_sub(count))),
            None => first,
        }
    }

    /// Events that were committed before this are not shown, when the newest event of the store was committed at `newest`.
    pub(crate) fn shown_since(&self, newest: Timestamp) -> Option<Timestamp> {
        let nanos = i64::try_from(self.settings.max_age?.as_nanos()).unwrap_or(i64::MAX);
        Some(Timestamp::from_nanos(newest.as_nanos().saturating_sub(nanos)))
    }

    /// Whether an event is not shown, of a stream that stands at `version`.
    pub(crate) fn hides(
        &self,
        event: StreamVersion,
        recorded_at: Timestamp,
        version: StreamVersion,
        newest: Timestamp,
    ) -> bool {
        event < self.first_shown(version) || self.shown_since(newest).is_some_and(|since| recorded_at < since)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(version: u64) -> StreamVersion {
        StreamVersion::new(version)
    }

    #[test]
    fn the_strictest_rule_decides_which_version_is_shown_first() {
        let settings = StreamSettings {
            max_count: Some(3),
            truncate_before: Some(version(5)),
            ..StreamSettings::default()
        };
        let lifecycle = Lifecycle { settings, deleted_through: version(2), is_hard: false };
        assert_eq!(lifecycle.first_shown(version(6)), version(5), "truncated before 5");
        assert_eq!(lifecycle.first_shown(version(10)), version(8), "the newest three");
        let deleted = Lifecycle { deleted_through: version(10), ..lifecycle };
        assert_eq!(deleted.first_shown(version(10)), version(11));
        assert_eq!(Lifecycle::default().first_shown(version(10)), version(1));
    }

    #[test]
    fn a_stream_is_deleted_until_it_gets_an_event_unless_that_was_for_ever() {
        let mut lifecycle = Lifecycle { deleted_through: version(4), ..Lifecycle::default() };
        assert_eq!(lifecycle.deletion(version(4)), Some(Deletion::Soft));
        assert_eq!(lifecycle.deletion(version(5)), None);
        lifecycle.is_hard = true;
        assert_eq!(lifecycle.deletion(version(4)), Some(Deletion::Hard));
        assert_eq!(Lifecycle::default().deletion(StreamVersion::START), None);
    }

    #[test]
    fn age_is_counted_back_from_the_newest_event_of_the_log() {
        let settings = StreamSettings { max_age: Some(Duration::from_secs(10)), ..StreamSettings::default() };
        let lifecycle = Lifecycle { settings, ..Lifecycle::default() };
        let at = |seconds: i64| Timestamp::from_nanos(seconds * 1_000_000_000);
        let hides = |recorded| lifecycle.hides(version(1), at(recorded), version(1), at(100));
        assert!(hides(89) && !hides(90) && !hides(100));
    }
}

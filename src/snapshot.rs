//! Snapshots: a stream's state at a version, saved to shorten a replay. Losing one costs a replay and nothing else.
//!
//! A snapshot is bound to the events that it stands for: it is usable only in the same history, and only while the
//! event at its version is the one it was taken after.

use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::clock::Clock;
use crate::error::{Error, SnapshotError};
use crate::format::event::identity;
use crate::meta::{Meta, MetaError, envelope};
use crate::model::{HistoryId, StreamName, StreamVersion, Timestamp};
use crate::read::Reader;

/// The number of [`SnapshotV1`] in envelopes.
pub(crate) const SCHEMA_V1: u16 = 1;

/// What comes before a stream's name in a key.
const KEYSPACE: &[u8] = b"snapshot\0";

/// The state of a stream at a version.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Snapshot {
    /// The version it stands for.
    pub version: StreamVersion,
    /// When it was saved.
    pub saved_at: Timestamp,
    /// The state, as it was saved.
    pub state: Bytes,
}

/// A snapshot as it is stored. Frozen: another shape is another struct with a number of its own.
#[derive(Serialize, Deserialize)]
pub(crate) struct SnapshotV1 {
    pub(crate) history: [u8; 16],
    pub(crate) version: u64,
    /// The checksum of the event at that version.
    pub(crate) event_crc: u32,
    pub(crate) saved_at: i64,
    pub(crate) state: Bytes,
}

/// Saves and finds snapshots.
#[derive(Debug)]
pub(crate) struct Snapshots {
    meta: Arc<dyn Meta>,
    reader: Reader,
    history: HistoryId,
    bytes_max: u64,
    /// How many of one stream are kept.
    kept_max: usize,
}

impl Snapshots {
    pub(crate) fn new(
        meta: Arc<dyn Meta>,
        reader: Reader,
        history: HistoryId,
        bytes_max: u64,
        kept_max: usize,
    ) -> Snapshots {
        Snapshots { meta, reader, history, bytes_max, kept_max }
    }

    pub(crate) fn put(
        &self,
        stream: &StreamName,
        version: StreamVersion,
        state: Bytes,
        clock: &dyn Clock,
    ) -> Result<(), SnapshotError> {
        let size = state.len() as u64;
        if size > self.bytes_max {
            return Err(SnapshotError::TooLarge { size, max: self.bytes_max });
        }
        let hash = self.reader.stream_hash(stream.as_str());
        let Some(event) = self.reader.event_of_stream(hash, version)? else {
            let actual = self.reader.stream_version(hash)?;
            return Err(SnapshotError::Ahead { stream: stream.clone(), version, actual });
        };
        let stored = SnapshotV1 {
            history: *self.history.as_bytes(),
            version: version.get(),
            event_crc: identity(&event),
            saved_at: clock.now().as_nanos(),
            state,
        };
        let sealed = envelope::seal(SCHEMA_V1, &stored)?;
        let head = self.reader.stream_version(hash)?;
        Ok(keep(self.meta.as_ref(), stream, version, head, self.kept_max, &sealed).map_err(Error::from)?)
    }

    /// Lets go of the directory.
    pub(crate) fn close(&self) {
        self.meta.close();
    }

    /// The newest snapshot that is usable and not above a version. One that is damaged or stands for other events is passed
    /// over.
    pub(crate) fn newest(
        &self,
        stream: &StreamName,
        up_to: StreamVersion,
    ) -> Result<Option<Snapshot>, SnapshotError> {
        let keys = self.meta.scan_prefix(&prefix(stream)).map_err(Error::from)?;
        let last = key(stream, up_to);
        for key in keys.iter().rev().filter(|key| **key <= last) {
            let Some(sealed) = self.meta.get(key).map_err(Error::from)? else { continue };
            let Some(stored) = envelope::open::<SnapshotV1>(SCHEMA_V1, &sealed) else { continue };
            if self.is_usable(stream, &stored)? {
                return Ok(Some(Snapshot {
                    version: StreamVersion::new(stored.version),
                    saved_at: Timestamp::from_nanos(stored.saved_at),
                    state: stored.state,
                }));
            }
        }
        Ok(None)
    }

    fn is_usable(&self, stream: &StreamName, stored: &SnapshotV1) -> Result<bool, Error> {
        if stored.history != *self.history.as_bytes() {
            return Ok(false);
        }
        let (hash, version) = (self.reader.stream_hash(stream.as_str()), StreamVersion::new(stored.version));
        let lifecycle = self.reader.lifecycle(stream.as_str())?;
        if lifecycle.is_hard || version <= lifecycle.deleted_through {
            return Ok(false);
        }
        match self.reader.event_of_stream(hash, version)? {
            Some(event) => Ok(identity(&event) == stored.event_crc),
            // Its event was removed: the history alone says what the state stands for.
            None => Ok(version <= self.reader.stream_version(hash)?),
        }
    }

    pub(crate) fn delete(&self, stream: &StreamName) -> Result<(), SnapshotError> {
        Ok(self.meta.delete_prefix(&prefix(stream)).map_err(Error::from)?)
    }
}

/// Puts a snapshot of a stream that stands at `head`. Drops what can be of no use beside it: versions that the stream does
/// not have, as after an older log was put in the place of a newer one, and all but the newest of the others.
fn keep(
    meta: &dyn Meta,
    stream: &StreamName,
    version: StreamVersion,
    head: StreamVersion,
    kept_max: usize,
    sealed: &[u8],
) -> Result<(), MetaError> {
    let (new, beyond) = (key(stream, version), key(stream, head.next()));
    let mut keys = meta.scan_prefix(&prefix(stream))?;
    if let Err(place) = keys.binary_search(&new) {
        keys.insert(place, new.clone());
    }
    let (held, never) = keys.split_at(keys.partition_point(|key| *key < beyond));
    let (surplus, kept) = held.split_at(held.len().saturating_sub(kept_max));
    surplus.iter().chain(never).try_for_each(|key| meta.delete(key))?;
    // Last: whoever looks at the others may find damage, and then all that was there before is gone.
    if kept.contains(&new) { meta.put(&new, sealed) } else { Ok(()) }
}

/// What the keys of a stream's snapshots begin with. Names hold no control character, so the zero ends them.
fn prefix(stream: &StreamName) -> Vec<u8> {
    [KEYSPACE, stream.as_str().as_bytes(), b"\0"].concat()
}

/// Big-endian, so that keys are in the order of versions.
fn key(stream: &StreamName, version: StreamVersion) -> Vec<u8> {
    [&prefix(stream)[..], &version.get().to_be_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meta::{self, Change};

    /// A `meta` that finds itself damaged when its keys are listed, and begins empty.
    #[derive(Debug)]
    struct Damaged(Arc<dyn Meta>);

    impl Meta for Damaged {
        fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, MetaError> {
            self.0.get(key)
        }

        fn write(&self, changes: &[Change]) -> Result<(), MetaError> {
            self.0.write(changes)
        }

        fn scan_after(
            &self,
            prefix: &[u8],
            after: Option<&[u8]>,
            max: usize,
        ) -> Result<Vec<Vec<u8>>, MetaError> {
            self.0.delete_prefix(b"")?;
            self.0.scan_after(prefix, after, max)
        }

        fn delete_prefix(&self, prefix: &[u8]) -> Result<(), MetaError> {
            self.0.delete_prefix(prefix)
        }

        fn close(&self) {}
    }

    fn stream() -> StreamName {
        StreamName::parse("s").expect("is legal")
    }

    fn versions(meta: &dyn Meta) -> Vec<u64> {
        let of = |version: &u64| meta.get(&key(&stream(), StreamVersion::new(*version)));
        (1..=9).filter(|version| of(version).is_ok_and(|found| found.is_some())).collect()
    }

    fn put(meta: &dyn Meta, version: u64, head: u64) {
        let (version, head) = (StreamVersion::new(version), StreamVersion::new(head));
        keep(meta, &stream(), version, head, 3, b"state").expect("memory takes it");
    }

    #[test]
    fn a_snapshot_outlives_the_damage_that_putting_it_brings_to_light() {
        let meta = Damaged(meta::open(None, 0));
        put(&meta, 3, 5);
        assert_eq!(versions(&meta), [3]);
    }

    #[test]
    fn the_newest_are_kept_and_none_of_a_version_that_the_stream_does_not_have() {
        let meta = meta::open(None, 0);
        for version in [4, 2, 5, 3, 1] {
            put(meta.as_ref(), version, 9);
        }
        assert_eq!(versions(meta.as_ref()), [3, 4, 5]);
        put(meta.as_ref(), 2, 4);
        assert_eq!(versions(meta.as_ref()), [2, 3, 4]);
    }
}

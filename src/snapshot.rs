//! Snapshots: a stream's state at a version, saved to shorten a replay. Losing one costs a replay and nothing else.
//!
//! A snapshot is bound to the events that it stands for: it is usable only in the same history, and only while the
//! event at its version is the one it was taken after.

use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::clock::Clock;
use crate::error::{Error, SnapshotError};
use crate::meta::{Meta, envelope};
use crate::model::{HistoryId, StreamName, StreamVersion, Timestamp};
use crate::read::Reader;

/// The number of [`SnapshotV1`] in envelopes.
pub(crate) const SCHEMA_V1: u16 = 1;

/// Snapshots of one stream that are kept: the newest, and some to fall back on.
const KEPT_MAX: usize = 3;

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
}

impl Snapshots {
    pub(crate) fn new(meta: Arc<dyn Meta>, reader: Reader, history: HistoryId, bytes_max: u64) -> Snapshots {
        Snapshots { meta, reader, history, bytes_max }
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
            event_crc: event.crc(),
            saved_at: clock.now().as_nanos(),
            state,
        };
        let sealed = envelope::seal(SCHEMA_V1, &stored)?;
        self.meta.put(&key(stream, version), &sealed).map_err(Error::from)?;
        Ok(self.drop_surplus(stream, self.reader.stream_version(hash)?)?)
    }

    /// Drops what can be of no use: versions that the stream does not have, as after an older log was put in the place of
    /// a newer one, and all but the newest of the others.
    fn drop_surplus(&self, stream: &StreamName, head: StreamVersion) -> Result<(), Error> {
        let keys = self.meta.scan_prefix(&prefix(stream))?;
        let beyond = key(stream, head.next());
        let (held, never) = keys.split_at(keys.partition_point(|key| *key < beyond));
        let surplus = &held[..held.len().saturating_sub(KEPT_MAX)];
        surplus.iter().chain(never).try_for_each(|key| Ok(self.meta.delete(key)?))
    }

    /// Lets go of the directory.
    pub(crate) fn close(&self) {
        self.meta.close();
    }

    /// The newest snapshot that is usable. One that is damaged or stands for other events is passed over.
    pub(crate) fn latest(&self, stream: &StreamName) -> Result<Option<Snapshot>, SnapshotError> {
        let keys = self.meta.scan_prefix(&prefix(stream)).map_err(Error::from)?;
        for key in keys.iter().rev() {
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
        let hash = self.reader.stream_hash(stream.as_str());
        let event = self.reader.event_of_stream(hash, StreamVersion::new(stored.version))?;
        Ok(event.is_some_and(|event| event.crc() == stored.event_crc))
    }

    pub(crate) fn delete(&self, stream: &StreamName) -> Result<(), SnapshotError> {
        Ok(self.meta.delete_prefix(&prefix(stream)).map_err(Error::from)?)
    }
}

/// What the keys of a stream's snapshots begin with. Names hold no control character, so the zero ends them.
fn prefix(stream: &StreamName) -> Vec<u8> {
    [KEYSPACE, stream.as_str().as_bytes(), b"\0"].concat()
}

/// Big-endian, so that keys are in the order of versions.
fn key(stream: &StreamName, version: StreamVersion) -> Vec<u8> {
    [&prefix(stream)[..], &version.get().to_be_bytes()].concat()
}

//! Saved states: when a snapshot is taken, and what it says about itself.
//!
//! The state is JSON beside the category and the version of the state. A snapshot of another category or version, or one that
//! cannot be read, is passed over: it costs a replay.

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::Aggregate;
use super::repository::Loaded;
use crate::model::{StreamName, StreamVersion};
use crate::store::EventStore;

/// When executing a command also saves a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SnapshotPolicy {
    /// When this many events have come since the last snapshot.
    Every(u64),
    /// When rebuilding the state has taken longer than this.
    ReplayOver(Duration),
}

/// What a snapshot's state holds.
#[derive(Serialize)]
struct Saved<'a, A> {
    aggregate: &'a str,
    version: u32,
    state: &'a A,
}

/// The same, before it is known to be of the right kind.
#[derive(Deserialize)]
struct Found<'a> {
    #[serde(borrow)]
    aggregate: Cow<'a, str>,
    version: u32,
    #[serde(borrow)]
    state: &'a RawValue,
}

/// How the states of an aggregate are saved. Only a state with serde's traits has this.
pub(super) struct Keeper<A> {
    policy: SnapshotPolicy,
    seal: fn(&A) -> Result<Vec<u8>, serde_json::Error>,
    open: fn(&[u8]) -> Option<A>,
}

impl<A> Clone for Keeper<A> {
    fn clone(&self) -> Keeper<A> {
        Keeper { ..*self }
    }
}

impl<A: Aggregate> Keeper<A> {
    pub(super) fn new(policy: SnapshotPolicy) -> Keeper<A>
    where
        A: Serialize + DeserializeOwned,
    {
        Keeper { policy, seal: seal::<A>, open: open::<A> }
    }

    pub(super) fn seal(&self, state: &A) -> Result<Bytes, serde_json::Error> {
        Ok((self.seal)(state)?.into())
    }

    /// The newest state that is of use, up to a version. What goes wrong in finding it costs a replay and nothing else.
    pub(super) fn newest(
        &self,
        store: &EventStore,
        stream: &StreamName,
        mut up_to: StreamVersion,
    ) -> Option<(A, StreamVersion)> {
        while up_to > StreamVersion::START {
            let snapshot = store.snapshot_at(stream, up_to).ok()??;
            if let Some(state) = (self.open)(&snapshot.state) {
                return Some((state, snapshot.version));
            }
            up_to = snapshot.version.previous();
        }
        None
    }

    /// Whether a snapshot is due.
    pub(super) fn is_due(&self, loaded: &Loaded<A>) -> bool {
        match self.policy {
            SnapshotPolicy::Every(events) => {
                loaded.version.since(loaded.snapshot.unwrap_or_default()) >= events.max(1)
            }
            SnapshotPolicy::ReplayOver(time) => loaded.replay_time > time,
        }
    }
}

fn seal<A: Aggregate + Serialize>(state: &A) -> Result<Vec<u8>, serde_json::Error> {
    serde_json::to_vec(&Saved { aggregate: A::CATEGORY, version: A::STATE_VERSION, state })
}

fn open<A: Aggregate + DeserializeOwned>(bytes: &[u8]) -> Option<A> {
    let found: Found<'_> = serde_json::from_slice(bytes).ok()?;
    let is_ours = found.aggregate == A::CATEGORY && found.version == A::STATE_VERSION;
    is_ours.then(|| serde_json::from_str(found.state.get()).ok())?
}

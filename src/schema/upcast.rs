//! Upcasts: what old names and shapes of events have become, step by step.
//!
//! A step leads from one version of a type to the next, or to events of today. The steps that are registered for a type as
//! it is come before its renaming.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::fault::Fault;
use super::{SchemaError, Stored, encode};

/// The steps and new names of an application's types.
#[derive(Debug, Clone, Default)]
pub(super) struct Upcasts {
    names: HashMap<String, String>,
    /// For each type its steps, by the version that they lead from.
    steps: HashMap<String, BTreeMap<u32, Step>>,
}

/// What happens to one version of a type.
#[derive(Clone)]
pub(super) enum Step {
    Change(Arc<Change>),
    Split(Arc<Split>),
}

type Change = dyn Fn(&[u8]) -> Result<Vec<u8>, Fault> + Send + Sync;
type Split = dyn Fn(&[u8]) -> Result<Vec<encode::Encoded>, Fault> + Send + Sync;

impl Step {
    pub(super) fn change<Old, New>(change: impl Fn(Old) -> New + Send + Sync + 'static) -> Step
    where
        Old: DeserializeOwned,
        New: Serialize,
    {
        Step::Change(Arc::new(move |data| Ok(serde_json::to_vec(&change(serde_json::from_slice(data)?))?)))
    }

    pub(super) fn split<Old, E>(split: impl Fn(Old) -> Vec<E> + Send + Sync + 'static) -> Step
    where
        Old: DeserializeOwned,
        E: Serialize,
    {
        Step::Split(Arc::new(move |data| {
            split(serde_json::from_slice(data)?).iter().map(encode::encode).collect()
        }))
    }
}

impl fmt::Debug for Step {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Step::Change(_) => "Change",
            Step::Split(_) => "Split",
        })
    }
}

impl Upcasts {
    pub(super) fn rename(&mut self, old: &str, new: &str) {
        self.names.insert(old.to_owned(), new.to_owned());
    }

    pub(super) fn register(&mut self, event_type: &str, from: u32, step: Step) {
        self.steps.entry(event_type.to_owned()).or_default().insert(from, step);
    }

    /// The version that new events of a type have.
    pub(super) fn version_of(&self, event_type: &str) -> u32 {
        let last = self.steps.get(event_type).and_then(|steps| steps.last_key_value());
        last.map_or(1, |(from, _)| from.saturating_add(1))
    }

    /// Whether events of a type may have to change.
    pub(super) fn concern(&self, event_type: &str) -> bool {
        self.steps.contains_key(event_type) || self.names.contains_key(event_type)
    }

    /// What a stored event has become.
    pub(super) fn follow<'a>(&self, mut stored: Stored<'a>) -> Result<Vec<Stored<'a>>, SchemaError> {
        let mut renamings = 0;
        loop {
            let steps = self.steps.get(&*stored.event_type);
            let next = stored.version.checked_add(1);
            let step = steps.and_then(|steps| steps.get(&stored.version)).zip(next);
            match (step, self.names.get(&*stored.event_type)) {
                (Some((Step::Change(change), next)), _) => {
                    stored.data = Cow::Owned(change(&stored.data).map_err(|fault| stored.error(fault))?);
                    stored.version = next;
                }
                (Some((Step::Split(split), _)), _) => {
                    let parts = split(&stored.data).map_err(|fault| stored.error(fault))?;
                    return Ok(parts.into_iter().map(|part| self.of_today(part)).collect());
                }
                (None, Some(name)) => {
                    renamings += 1;
                    if renamings > self.names.len() {
                        return Err(SchemaError::Circle { event_type: stored.event_type.into_owned() });
                    }
                    stored.event_type = Cow::Owned(name.clone());
                }
                (None, None) => return Ok(vec![stored]),
            }
        }
    }

    fn of_today<'a>(&self, part: encode::Encoded) -> Stored<'a> {
        Stored {
            version: self.version_of(part.event_type),
            event_type: Cow::Borrowed(part.event_type),
            data: Cow::Owned(part.data),
        }
    }
}

//! A model of an application's own, whose saved part outlives it: it counts how often each event was projected, and can be
//! killed before or after any commit.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use annals::{Checkpoint, Failure, OnFailure, Projection, Query, QueryItem, ReadModel, RecordedEvent};

use crate::support::n_of;

/// What is saved.
#[derive(Debug, Default)]
pub(super) struct Saved {
    /// How often each event was projected, by position.
    pub(super) counts: BTreeMap<u64, u64>,
    pub(super) checkpoint: Option<Checkpoint>,
    pub(super) commits: u64,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Ledger {
    saved: Arc<Mutex<Saved>>,
    changes: Vec<u64>,
    /// At which commit it is killed, and whether after saving.
    killed_at: Option<(u64, bool)>,
}

impl Ledger {
    /// One that is killed at a commit, before or after it is saved.
    pub(super) fn killed_at(commit: u64, after: bool) -> Ledger {
        Ledger { killed_at: Some((commit, after)), ..Ledger::default() }
    }

    pub(super) fn saved(&self) -> MutexGuard<'_, Saved> {
        self.saved.lock().expect("nobody panics with it")
    }

    /// What a new process finds.
    pub(super) fn found_again(&self) -> Ledger {
        Ledger { saved: self.saved.clone(), ..Ledger::default() }
    }

    /// The positions that were projected, if each was once.
    pub(super) fn positions(&self) -> Vec<u64> {
        let saved = self.saved();
        assert!(saved.counts.values().all(|count| *count == 1), "{:?}", saved.counts);
        saved.counts.keys().copied().collect()
    }
}

impl ReadModel for Ledger {
    fn checkpoint(&self) -> Result<Option<Checkpoint>, Failure> {
        Ok(self.saved().checkpoint.clone())
    }

    fn commit(&mut self, checkpoint: &Checkpoint) -> Result<(), Failure> {
        let changes = std::mem::take(&mut self.changes);
        let killed_at = self.killed_at;
        let mut saved = self.saved();
        saved.commits += 1;
        let killed = killed_at.filter(|(commit, _)| *commit == saved.commits);
        if killed.is_none_or(|(_, after)| after) {
            changes.into_iter().for_each(|position| *saved.counts.entry(position).or_default() += 1);
            saved.checkpoint = Some(checkpoint.clone());
        }
        if killed.is_some() { Err("killed".into()) } else { Ok(()) }
    }

    fn rollback(&mut self) -> Result<(), Failure> {
        self.changes.clear();
        Ok(())
    }

    fn clear(&mut self) -> Result<(), Failure> {
        self.changes.clear();
        *self.saved() = Saved::default();
        Ok(())
    }
}

/// Counts the events of some streams. Those whose `n` is bad fail after they have changed something.
#[derive(Default)]
pub(super) struct Counting {
    pub(super) bad: Vec<u64>,
    pub(super) panics: bool,
    pub(super) parks: bool,
    pub(super) category: Option<&'static str>,
}

impl Projection for Counting {
    type Model = Ledger;
    const NAME: &'static str = "counting";

    fn query(&self) -> Query {
        match self.category {
            Some(category) => {
                QueryItem { categories: vec![category.to_owned()], ..QueryItem::default() }.into()
            }
            None => Query::all(),
        }
    }

    fn project(&self, ledger: &mut Ledger, event: &RecordedEvent) -> Result<(), Failure> {
        ledger.changes.push(event.position().get());
        if self.bad.contains(&n_of(event)) {
            assert!(!self.panics, "number {} is bad", n_of(event));
            return Err(format!("number {} is bad", n_of(event)).into());
        }
        Ok(())
    }

    fn on_failure(&self) -> OnFailure {
        if self.parks { OnFailure::Park } else { OnFailure::Stop }
    }

    fn batch_events_max(&self) -> usize {
        4
    }
}

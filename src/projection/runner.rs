//! The runner: projects events onto a model, in batches that are saved with how far they reach. It waits for nothing.
//!
//! An event that cannot be projected may have changed half of what it was to change. So the batch is taken back, and the
//! events are projected again from where the model then stands, without that one.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::checkpoint::{Checkpoint, Cursor, CursorError, Parked};
use super::{Failure, OnFailure, Projection, ProjectionError, ReadModel};
use crate::model::{Position, RecordedEvent};
use crate::read::Read;
use crate::store::EventStore;

/// The most events that are set aside.
const PARKED_MAX: usize = 1_000;

/// Projects events onto a model.
pub(super) struct Runner<P> {
    pub(super) store: EventStore,
    pub(super) projection: Arc<P>,
    /// Events that could not be projected, with the reasons.
    bad: BTreeMap<Position, String>,
}

/// How far a model has come.
#[derive(Debug, Clone, Default)]
pub(super) struct Progress {
    /// Everything up to here is in it.
    pub(super) position: Position,
    /// The checkpoint reaches so far.
    saved: Position,
    pub(super) parked: Vec<Parked>,
}

/// What became of a batch.
pub(super) enum Applied {
    Saved,
    /// It was taken back because of one of its events.
    TakenBack,
}

impl<P: Projection> Runner<P> {
    pub(super) fn new(store: EventStore, projection: Arc<P>) -> Runner<P> {
        Runner { store, projection, bad: BTreeMap::new() }
    }

    /// Where the model stands, and why it had to be emptied, if it had.
    pub(super) fn begin(&self, model: &mut P::Model) -> Result<(Progress, Option<String>), ProjectionError> {
        let Some(checkpoint) = model.checkpoint().map_err(failed::<P>)? else {
            return Ok((Progress::default(), model.lost()));
        };
        match self.check(&checkpoint) {
            Ok(()) => {
                let position = checkpoint.cursor.position();
                Ok((Progress { position, saved: position, parked: checkpoint.parked }, model.lost()))
            }
            Err(error @ (ProjectionError::Cursor { .. } | ProjectionError::Version { .. }))
                if model.is_disposable() =>
            {
                model.clear().map_err(failed::<P>)?;
                Ok((Progress::default(), Some(error.to_string())))
            }
            Err(error) => Err(error),
        }
    }

    fn check(&self, checkpoint: &Checkpoint) -> Result<(), ProjectionError> {
        let (name, found, wanted) = (P::NAME, checkpoint.version, P::VERSION);
        if found != wanted {
            return Err(ProjectionError::Version { name, found, wanted });
        }
        checkpoint.cursor.check(&self.store).map_err(unfit::<P>)
    }

    /// Projects what is missing up to a position that is visible. `progress` tells how far it came, also after an error.
    pub(super) fn run_to(
        &mut self,
        model: &mut P::Model,
        progress: &mut Progress,
        target: Position,
    ) -> Result<(), ProjectionError> {
        loop {
            *progress = self.begin(model)?.0;
            if let Applied::Saved = self.pass(model, progress, target)? {
                return Ok(());
            }
        }
    }

    fn pass(
        &mut self,
        model: &mut P::Model,
        progress: &mut Progress,
        target: Position,
    ) -> Result<Applied, ProjectionError> {
        let mut batch: Vec<RecordedEvent> = Vec::new();
        let read = Read::all().query(self.projection.query()).after(progress.position).before(target.next());
        for event in self.store.read(read)? {
            batch.push(event?);
            if batch.len() >= self.projection.batch_events_max() {
                let reached = batch.last().map_or(progress.position, RecordedEvent::position);
                if let Applied::TakenBack = self.apply(model, progress, &batch, reached)? {
                    return Ok(Applied::TakenBack);
                }
                batch.clear();
            }
        }
        let reached = target.max(progress.position);
        self.apply(model, progress, &batch, reached)
    }

    /// Projects a batch, and saves that everything up to `reached` is in the model.
    pub(super) fn apply(
        &mut self,
        model: &mut P::Model,
        progress: &mut Progress,
        batch: &[RecordedEvent],
        reached: Position,
    ) -> Result<Applied, ProjectionError> {
        let mut parked = Vec::new();
        for (place, event) in batch.iter().enumerate() {
            let position = event.position();
            if let Some(reason) = self.bad.get(&position).cloned() {
                let full = progress.parked.len() + parked.len() >= PARKED_MAX;
                if self.projection.on_failure() == OnFailure::Stop || full {
                    self.save(model, progress, parked, &batch[..place], position.previous())?;
                    return Err(ProjectionError::Stopped { name: P::NAME, position, reason });
                }
                parked.push(Parked::new(position, reason));
            } else if let Err(reason) = self.project(model, event) {
                self.bad.insert(position, reason);
                model.rollback().map_err(failed::<P>)?;
                return Ok(Applied::TakenBack);
            }
        }
        self.save(model, progress, parked, batch, reached)?;
        Ok(Applied::Saved)
    }

    /// Projects one event, and tells why it cannot be.
    fn project(&self, model: &mut P::Model, event: &RecordedEvent) -> Result<(), String> {
        // A panic leaves the model as an error does: its changes are taken back.
        match catch_unwind(AssertUnwindSafe(|| self.projection.project(model, event))) {
            Ok(projected) => projected.map_err(|failure| failure.to_string()),
            Err(panic) => {
                let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
                let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
                Err(format!("it panicked: {}", text.unwrap_or_default()))
            }
        }
    }

    fn save(
        &self,
        model: &mut P::Model,
        progress: &mut Progress,
        parked: Vec<Parked>,
        batch: &[RecordedEvent],
        reached: Position,
    ) -> Result<(), ProjectionError> {
        progress.parked.extend(parked);
        if reached > progress.saved || !batch.is_empty() {
            let cursor = match batch.last() {
                Some(last) if last.position() == reached => Cursor::behind(&self.store, last),
                _ => Cursor::at(&self.store, reached).map_err(unfit::<P>)?,
            };
            let checkpoint = Checkpoint::new(cursor, P::VERSION, progress.parked.clone());
            model.commit(&checkpoint).map_err(failed::<P>)?;
            progress.saved = reached;
        }
        progress.position = reached;
        Ok(())
    }
}

pub(super) fn failed<P: Projection>(failure: Failure) -> ProjectionError {
    ProjectionError::Model { name: P::NAME, reason: failure.to_string() }
}

fn unfit<P: Projection>(error: CursorError) -> ProjectionError {
    match error {
        CursorError::Store(error) => error.into(),
        source => ProjectionError::Cursor { name: P::NAME, source },
    }
}

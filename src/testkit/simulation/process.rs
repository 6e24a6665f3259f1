//! One process of a life: it opens the store, checks all that is in it, works on it step by step, and leaves.
//!
//! It holds every answer against the model. An error is none of the store's fault only if a call has failed since the
//! question, or the power is out.

use std::sync::Arc;

use super::super::everything::{Misread, check_reads, placed};
use super::super::history::Outcome;
use super::super::model::{Attempt, Model, Placed};
use super::Life;
use super::align::align;
use crate::error::{AppendError, Error, SnapshotError};
use crate::model::{Receipt, StreamName, StreamVersion};
use crate::options::{Options, SEGMENT_BYTES_MIN};
use crate::store::{EventStore, Health};
use crate::subscription::{Delivery, Subscribe, Subscription};

/// How often an opening or a read that failed is tried again: there are never more failures to come.
const TRIES_MAX: u32 = 40;

/// A process with an open store.
pub(super) struct Process<'a> {
    life: &'a mut Life,
    store: EventStore,
    model: Model,
    subscription: Option<Subscription>,
    /// How many calls had failed when the store was open.
    failures: u64,
    /// An append has failed in a way that lets no other succeed.
    failed: bool,
}

/// How to open the store of a life on a disk of it.
pub(super) fn options(life: &Life) -> Options {
    Options::new("store")
        .disk(Arc::new(life.disk.clone()))
        .clock(Arc::new(life.clock.clone()))
        .segment_bytes(SEGMENT_BYTES_MIN)
        .background(false)
        // Every other life, so that what one leaves is opened by the other.
        .prewrite(life.figures.opened.is_multiple_of(2))
        // Every third one seals its last segment when it closes.
        .unsealed_bytes_max(if life.figures.opened.is_multiple_of(3) { 0 } else { 8 << 20 })
}

impl<'a> Process<'a> {
    /// Opens the store, again if a call fails, and checks what it holds. None when the power goes out before.
    pub(super) fn start(life: &'a mut Life) -> Result<Option<Process<'a>>, String> {
        for _ in 0..TRIES_MAX {
            let failures = life.disk.failures();
            let before = if life.rng.chance(1, 4) { look(life)? } else { Vec::new() };
            life.figures.opened += 1;
            let error = match EventStore::open(options(life)) {
                Ok(store) => return Process::check(life, store, &before).map(Some),
                Err(error) => error,
            };
            if life.disk.is_without_power() {
                return Ok(None);
            }
            if life.disk.failures() == failures {
                return Err(format!("it does not open: {error}"));
            }
            // Space comes back when somebody makes room.
            if life.rng.chance(1, 4) {
                life.disk.set_capacity(u64::MAX);
            }
        }
        Err(format!("it did not open {TRIES_MAX} times"))
    }

    /// The process that nothing happens to.
    pub(super) fn last(life: &'a mut Life) -> Result<Process<'a>, String> {
        life.disk.fail_no_more();
        Process::start(life)?.ok_or_else(|| "the power is out although nobody cut it".to_owned())
    }

    /// Checks what was found, and settles what was unknown by it.
    fn check(life: &'a mut Life, store: EventStore, before: &[Placed]) -> Result<Process<'a>, String> {
        let found = asked(life, || placed(&store))?;
        life.history.check(&found)?;
        if let Some(gone) = life.known.iter().zip(&found).find(|(known, found)| known != found) {
            return Err(format!("{:?} was there, and {:?} stands in its place", gone.0, gone.1));
        }
        if found.len() < life.known.len() {
            return Err(format!("{:?} was there, and is gone", life.known[found.len()]));
        }
        if !found.starts_with(before) {
            return Err(format!("who only read saw {} events, and others than these", before.len()));
        }
        life.history.settle(&found);
        life.unsure.retain(|attempt| {
            attempt.events().all(|(_, event)| found.iter().all(|held| held.event.number != event.number))
        });
        let model = Model::holding(found.clone());
        life.known = found;
        let failures = life.disk.failures();
        Ok(Process { life, store, model, subscription: None, failures, failed: false })
    }

    /// Takes its steps, until the store has failed or the power is out.
    pub(super) fn work(&mut self) -> Result<(), String> {
        for _ in 0..self.life.shape.steps {
            if self.failed || self.life.rng.chance(1, self.life.shape.patience) {
                break;
            }
            self.step()?;
        }
        if self.failed {
            self.check_failed()?;
        }
        if self.life.rng.chance(1, 3) {
            self.read()?;
        }
        Ok(())
    }

    fn step(&mut self) -> Result<(), String> {
        match self.life.rng.below(16) {
            0 => self.subscribe(),
            1 => self.snapshot(),
            2 => {
                self.life.turn_clock();
                Ok(())
            }
            3 if self.life.rng.chance(1, 3) => self.read(),
            4..=11 if !self.life.unsure.is_empty() => {
                // Exactly as it was tried before: whoever does not know repeats it.
                let again = self.life.unsure.remove(0);
                self.append(vec![again])
            }
            _ => {
                let count = 1 + self.life.rng.below(self.life.shape.group_max);
                let mut group: Vec<_> = (0..count).map(|_| self.life.workload.next(&self.model)).collect();
                if self.life.rng.chance(self.life.shape.aligned, 4) {
                    align(&self.life.disk, &mut group);
                }
                self.append(group)
            }
        }
    }

    /// Appends a group, and compares each answer with the model's.
    fn append(&mut self, group: Vec<Attempt>) -> Result<(), String> {
        let failures = self.life.disk.failures();
        let time = self.life.now();
        let numbers: Vec<_> =
            group.iter().map(|attempt| self.life.history.begin(time, attempt.clone())).collect();
        let answers = self.store.append_together(group.iter().map(Attempt::to_append).collect());
        let excused = self.is_excused(failures);
        let time = self.life.now();
        for ((attempt, number), answer) in group.into_iter().zip(numbers).zip(answers) {
            self.life.history.end(number, time, Outcome::of(&answer));
            self.compare(attempt, answer, excused)?;
        }
        self.life.known = self.model.events().to_vec();
        Ok(())
    }

    fn compare(
        &mut self,
        attempt: Attempt,
        answer: Result<Receipt, AppendError>,
        excused: bool,
    ) -> Result<(), String> {
        match answer {
            // What failed may have come after an append that succeeded: the note of its position.
            Err(AppendError::Store(Error::Failed { .. })) if self.is_excused(self.failures) => {
                self.life.unsure.push(attempt);
                self.failed = true;
                Ok(())
            }
            Err(AppendError::Store(Error::NoSpace { .. } | Error::Io { .. })) if excused => Ok(()),
            answer => match (self.model.append(&attempt), answer) {
                (Ok(position), Ok(receipt)) if position == receipt.position => Ok(()),
                (Err((stream, at)), Err(AppendError::Conflict { stream: refused, actual, .. }))
                    if stream == refused && at == actual =>
                {
                    Ok(())
                }
                (wanted, answer) => Err(format!("{attempt:?} was answered by {answer:?}, wanted {wanted:?}")),
            },
        }
    }

    /// Whether an error may be because a call has failed.
    fn is_excused(&self, failures: u64) -> bool {
        self.life.disk.failures() > failures || self.life.disk.is_without_power()
    }

    /// Follows all events as far as there are any: each comes once, in order, and none is left out.
    fn subscribe(&mut self) -> Result<(), String> {
        let failures = self.life.disk.failures();
        if self.subscription.is_none() {
            let subscribe = Subscribe::all().after(self.life.cursor);
            let subscription = self.store.subscribe(subscribe);
            self.subscription = Some(subscription.map_err(|error| format!("a cursor is refused: {error}"))?);
        }
        let Some(subscription) = &mut self.subscription else { return Ok(()) };
        while let Some(delivery) = subscription.try_next() {
            match delivery {
                Ok(Delivery::Event(event)) => {
                    let wanted = self.model.events().get(self.life.cursor.get() as usize);
                    if event.position() != self.life.cursor.next() || Placed::of(&event).as_ref() != wanted {
                        return Err(format!("the subscriber got {event:?} after {}", self.life.cursor));
                    }
                    self.life.cursor = event.position();
                }
                Ok(Delivery::CaughtUp(position) | Delivery::Checkpoint(position)) => {
                    if position > self.life.cursor {
                        return Err(format!(
                            "the subscriber is at {position}, and {} was last",
                            self.life.cursor
                        ));
                    }
                }
                Ok(Delivery::Skipped { from, to }) => {
                    return Err(format!("the subscriber was told that {from} to {to} were removed"));
                }
                Err(_) if self.life.disk.failures() > failures => {
                    self.subscription = None;
                    return Ok(());
                }
                Err(error) => return Err(format!("the subscriber got an error: {error}")),
            }
        }
        match self.life.cursor == self.model.head() {
            true => Ok(()),
            false => Err(format!("the subscriber waits at {} of {}", self.life.cursor, self.model.head())),
        }
    }

    /// Saves the state of a stream, and asks for the latest.
    fn snapshot(&mut self) -> Result<(), String> {
        let failures = self.life.disk.failures();
        let Some((name, version)) = self.model.versions().next() else { return Ok(()) };
        let stream = StreamName::parse(name).expect("an event has a legal stream");
        let state = |version: StreamVersion| version.get().to_le_bytes().to_vec();
        let put = self.store.put_snapshot(&stream, version, state(version).into());
        let latest = put.and_then(|()| self.store.latest_snapshot(&stream));
        match latest {
            Ok(Some(latest)) if latest.version == version && latest.state == state(version) => Ok(()),
            Err(SnapshotError::Store(Error::Io { .. })) if self.is_excused(failures) => Ok(()),
            latest => Err(format!("the snapshot of {name} at {version} is {latest:?}")),
        }
    }

    /// Reads everything in every way.
    fn read(&mut self) -> Result<(), String> {
        let found = asked(self.life, || placed(&self.store))?;
        if found != self.model.events() {
            return Err(format!("{} events are read, wanted {}", found.len(), self.model.head()));
        }
        asked(self.life, || check_reads(&self.store, &found))
    }

    /// After a failure no append is taken, everything can be read, and the store says how it is.
    fn check_failed(&mut self) -> Result<(), String> {
        let attempt = self.life.workload.next(&self.model);
        let answer = self.store.append(attempt.to_append());
        if !matches!(answer, Err(AppendError::Store(Error::Failed { .. }))) {
            return Err(format!("an append after a failure: {answer:?}"));
        }
        if self.store.health() == Health::Ready {
            return Err("it is healthy after a failure".to_owned());
        }
        self.read()
    }

    /// Closes the store; tells whether the mark of it is durable.
    pub(super) fn close(&mut self) -> Result<bool, String> {
        match self.store.close() {
            Ok(()) if self.failed => Err("it was closed as if nothing had failed".to_owned()),
            Ok(()) => Ok(true),
            Err(_) if self.is_excused(self.failures) => Ok(false),
            Err(error) => Err(format!("it cannot be closed: {error}")),
        }
    }

    /// The store as it is, for whoever ends the process.
    pub(super) fn leave(self) -> EventStore {
        self.store
    }

    /// Reads all of it once more, takes an append, and ends.
    pub(super) fn end(mut self) -> Result<(), String> {
        self.read()?;
        self.subscribe()?;
        let attempt = self.life.workload.next(&self.model);
        self.append(vec![attempt])?;
        self.read()
    }
}

/// Asks until no call fails meanwhile. Reading goes on without power: nothing has to reach the disk for it.
fn asked<T>(life: &Life, question: impl Fn() -> Result<T, Misread>) -> Result<T, String> {
    let mut failures = life.disk.failures();
    loop {
        match question() {
            Ok(answer) => return Ok(answer),
            Err(Misread::Refused(_)) if life.disk.failures() > failures => failures = life.disk.failures(),
            Err(misread) => return Err(misread.to_string()),
        }
    }
}

/// Opens the store for reading only, which changes nothing, and tells what it shows.
fn look(life: &mut Life) -> Result<Vec<Placed>, String> {
    let (failures, operations) = (life.disk.failures(), life.disk.operations());
    let store = EventStore::open(options(life).read_only(true));
    let shown = match &store {
        Ok(store) => asked(life, || placed(store))?,
        Err(crate::error::OpenError::NotFound { .. }) if life.known.is_empty() => Vec::new(),
        Err(_) if life.disk.failures() > failures => Vec::new(),
        Err(error) => return Err(format!("it does not open for reading: {error}")),
    };
    drop(store);
    match life.disk.operations() == operations {
        true => Ok(shown),
        false => Err("reading only changed the disk".to_owned()),
    }
}

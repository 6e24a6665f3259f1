//! The committer: takes appends from any number of callers and commits them group by group.
//!
//! Who leads is the `queue`'s business: a blocking caller, or the committer's own thread. While one group syncs, the next
//! forms in the queue.
//!
//! Invariant: whoever is in the queue gets an outcome, also when the log fails or a commit panics.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::ahead::Ahead;
use super::background::Background;
use super::counters::{CommitMetrics, Counters};
use super::end::End;
use super::group::Group;
use super::outcomes::Outcomes;
use super::prepared::{Prepared, Warmed};
use super::queue::{Closed, Leading, May, Queue};
use super::repeat::{self, may_be_of_a_repeat};
use super::ticket::{Outcome, Slot, Teller, Ticket, Told};
use super::visible::Visible;
use crate::budget::Budget;
use crate::clock::Clock;
use crate::error::{AppendError, Error, OpenError};
use crate::index::{Catalog, Indexing, MemoryIndex, Part, catalog};
use crate::lifecycle::Lifecycles;
use crate::log::{Blank, LogWriter, Roll};
use crate::model::{Append, Position, Timestamp};
use crate::options::Limits;

/// The write path of an open store.
pub(crate) struct Committer {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// What callers, the leader and the threads share.
pub(super) struct Shared {
    queue: Queue<Pending>,
    end: Mutex<Option<End>>,
    pub(super) catalog: Arc<Catalog>,
    pub(super) visible: Arc<Visible>,
    pub(super) indexing: Arc<Indexing>,
    pub(super) lifecycles: Arc<Lifecycles>,
    pub(super) roll: Roll,
    pub(super) next_segment: Arc<Ahead<Blank>>,
    background: Background,
    /// Builds the indexes that were missing when the store was opened; slow, so it must not delay new ones.
    rebuild: Background,
    ahead: bool,
    limits: Limits,
    pub(super) budget: Budget,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) counters: Counters,
    /// Among how many of the newest events ids are looked up.
    pub(super) repeat_window: u64,
    idempotency_window: Duration,
    /// How much of the log a clean close leaves to the next open to read.
    unsealed_bytes_max: u64,
    /// What is to be done when a segment has been sealed.
    on_seal: Option<OnSeal>,
    /// It is to be done already.
    on_seal_waits: Arc<AtomicBool>,
    failed: Mutex<Option<String>>,
    no_space: Mutex<Option<Error>>,
}

/// Slow work that follows the sealing of a segment.
pub(crate) type OnSeal = Arc<dyn Fn() + Send + Sync>;

/// An append in the queue or in a group.
pub(super) struct Pending {
    pub(super) prepared: Box<Prepared>,
    pub(super) teller: Teller,
}

impl Pending {
    /// Tells that it is refused. Whoever waits then looks whether it is a repeat: that may read what is long written.
    pub(super) fn refuse(self, refusal: AppendError) {
        let may_repeat = may_be_of_a_repeat(&refusal) && self.prepared.can_be_a_repeat();
        self.teller.tell(match may_repeat {
            true => Told::Refused(refusal, self.prepared),
            false => Told::Outcome(Err(refusal)),
        });
    }

    /// Tells that something failed.
    pub(super) fn fail(self, failure: Error) {
        self.teller.tell(Told::Outcome(Err(failure.into())));
    }
}

/// What a committer is made of.
pub(crate) struct Parts {
    pub(crate) writer: LogWriter,
    pub(crate) memory: Arc<MemoryIndex>,
    pub(crate) part: Arc<Part>,
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) visible: Arc<Visible>,
    pub(crate) indexing: Arc<Indexing>,
    pub(crate) lifecycles: Arc<Lifecycles>,
    pub(crate) roll: Roll,
    pub(crate) limits: Limits,
    pub(crate) budget: Budget,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) repeat_window: u64,
    pub(crate) idempotency_window: Duration,
    pub(crate) unsealed_bytes_max: u64,
    pub(crate) on_seal: Option<OnSeal>,
    pub(crate) background: bool,
}

impl Committer {
    pub(crate) fn start(parts: Parts) -> Result<Committer, OpenError> {
        let shared = Arc::new(Shared {
            queue: Queue::new(parts.limits.queue_bytes_max),
            end: Mutex::new(Some(End { writer: parts.writer, memory: parts.memory, part: parts.part })),
            catalog: parts.catalog,
            visible: parts.visible,
            indexing: parts.indexing,
            lifecycles: parts.lifecycles,
            roll: parts.roll,
            next_segment: Arc::new(Ahead::new()),
            background: Background::start("annals-background", parts.background),
            rebuild: Background::start("annals-rebuild", parts.background),
            ahead: parts.background,
            limits: parts.limits,
            budget: parts.budget,
            clock: parts.clock,
            counters: Counters::default(),
            repeat_window: parts.repeat_window,
            idempotency_window: parts.idempotency_window,
            unsealed_bytes_max: parts.unsealed_bytes_max,
            on_seal: parts.on_seal,
            on_seal_waits: Arc::default(),
            failed: Mutex::default(),
            no_space: Mutex::default(),
        });
        let run = shared.clone();
        let thread = std::thread::Builder::new()
            .name("annals-commit".to_owned())
            .spawn(move || run.queue.stand_by(|batch| run.commit(batch), Outcomes::tell))
            .map_err(|error| Error::io("start the commit thread of", PathBuf::from("annals"), error))?;
        Ok(Committer { shared, thread: Mutex::new(Some(thread)) })
    }

    /// What has been committed so far.
    pub(crate) fn metrics(&self) -> CommitMetrics {
        self.shared.counters.get()
    }

    /// Commits an append and waits for its outcome; the caller's thread may do the work itself.
    pub(crate) fn append(&self, append: Append) -> Outcome {
        let (slot, leading) = self.shared.enqueue(append, May::Lead)?;
        if let Some(leading) = leading {
            leading.lead(|batch| self.shared.commit(batch), Outcomes::tell);
        }
        self.ticket(slot).wait()
    }

    fn ticket(&self, slot: Arc<Slot>) -> Ticket {
        Ticket::new(slot, Some(self.shared.clone()))
    }

    /// Commits appends as one group, as if their callers had met in the queue. For simulations, where nothing happens
    /// by chance.
    #[cfg(feature = "testkit")]
    pub(crate) fn append_together(&self, appends: Vec<Append>) -> Vec<Outcome> {
        // The first of them becomes the leader, so that nobody else takes it before the others are in the queue.
        let mut leading = None;
        let mut queue = |append| {
            let (slot, leads) = self.shared.enqueue(append, May::Lead)?;
            leading = leading.take().or(leads);
            Ok::<_, AppendError>(slot)
        };
        let queued: Vec<_> = appends.into_iter().map(&mut queue).collect();
        if let (Some(leading), Some(last)) = (leading, queued.iter().flatten().last()) {
            leading.lead(|batch| self.shared.commit(batch), Outcomes::tell);
            debug_assert!(last.is_done(), "all of them were in the queue");
        }
        queued.into_iter().map(|slot| self.ticket(slot?).wait()).collect()
    }

    /// Hands an append over.
    pub(crate) fn submit(&self, append: Append) -> Result<Ticket, AppendError> {
        self.shared.enqueue(append, May::OnlyQueue).map(|(slot, _)| self.ticket(slot))
    }

    /// Why appends are refused, if they are.
    pub(crate) fn trouble(&self) -> Option<Error> {
        self.shared.failure().or_else(|| lock(&self.shared.no_space).clone())
    }

    /// Tries to make the next segment when there was no space for it the last time, so that a store that nobody appends to
    /// learns of space as well. Whether there is none.
    pub(crate) fn look_for_space(&self) -> bool {
        let shared = &self.shared;
        if lock(&shared.no_space).is_none() {
            return false;
        }
        let promised = lock(&shared.end)
            .as_ref()
            .and_then(|end| Some((shared.next_segment.promise()?, end.writer.segment().number().next())));
        if let Some((promise, number)) = promised
            && let Ok(blank) = shared.roll.blank(number, 0)
        {
            promise.keep(blank);
        }
        if shared.next_segment.is_made() {
            shared.note_no_space(None);
        }
        lock(&shared.no_space).is_some()
    }

    /// How many indexes of sealed segments are missing and being built.
    pub(crate) fn indexes_missing(&self) -> u64 {
        self.shared.indexing.backlog.missing()
    }

    /// Opens the index of every sealed part, and builds those that are missing, newest first, off the commit path.
    /// Without a thread for it, each is built when it is first asked for.
    pub(crate) fn rebuild_indexes(&self) {
        let shared = self.shared.clone();
        if !self.shared.ahead {
            return;
        }
        self.shared.rebuild.run(move || {
            let parts = shared.catalog.parts();
            let mut missing = Vec::new();
            for part in parts.iter().rev().filter(|part| !part.has_index()) {
                if let Some(sealed) = part.seal_place() {
                    shared.indexing.backlog.add(part.number(), sealed.at);
                    missing.push(part);
                }
            }
            for part in missing {
                if shared.queue.is_closed() {
                    return;
                }
                // If it fails, whoever asks the index is told why.
                let _ = part.move_index_to_disk(&parts);
            }
        });
        self.shared.after_seal();
    }

    /// Finishes the queue, marks the log as closed, and lets go of it. A second call has nothing left to do.
    pub(crate) fn close(&self) -> Result<(), Error> {
        self.shared.queue.close();
        // Held to the end: a second call must neither take the log away from what is queued nor return before the first.
        let mut thread = lock(&self.thread);
        if thread.as_ref().is_some_and(|thread| thread.thread().id() == std::thread::current().id()) {
            // A waker has dropped the last handle. The thread lets go of the log when it ends, without a mark.
            return Ok(());
        }
        if let Some(thread) = thread.take() {
            // A panic of the thread has been reported by the panic hook.
            let _ = thread.join();
        }
        let Some(mut end) = lock(&self.shared.end).take() else { return Ok(()) };
        let closed = match self.shared.failure() {
            None => self.shared.seal_long(&mut end).and_then(|()| end.writer.close()),
            // What a failed log holds beyond the durable position is unknown: the next open finds out.
            Some(failure) => Err(failure),
        };
        // The directory is held on to while the last indexes are written.
        self.shared.background.stop();
        self.shared.rebuild.stop();
        drop(end);
        self.shared.visible.close();
        closed
    }
}

impl Shared {
    fn failure(&self) -> Option<Error> {
        lock(&self.failed).clone().map(|reason| Error::Failed { reason })
    }

    /// Takes no append any more, for this reason; gives the error that everyone is told from now on.
    pub(super) fn fail(&self, error: Error) -> Error {
        let reason = error.reason();
        *lock(&self.failed) = Some(reason.clone());
        Error::Failed { reason }
    }

    pub(super) fn note_no_space(&self, error: Option<&Error>) {
        *lock(&self.no_space) = error.cloned();
    }

    /// Seals the active segment where the next open would have much of it to read. Without space for the next one it stays
    /// as it is.
    fn seal_long(&self, end: &mut End) -> Result<(), Error> {
        let holds_events = end.memory.events() > 0 && !end.writer.is_sealed();
        if !holds_events || end.writer.frames_bytes() <= self.unsealed_bytes_max {
            return Ok(());
        }
        // One that was made ahead is full of zeros, which the next open would have to read. Not every system replaces a file that
        // is open.
        drop(self.next_segment.take());
        match self.roll.blank(end.writer.segment().number().next(), 0) {
            Ok(blank) => end.roll(self, blank),
            Err(_) => Ok(()),
        }
    }

    /// Does what follows the sealing of a segment, on the thread for slow work, if there is one.
    fn after_seal(&self) {
        let wanted = self.ahead && !self.queue.is_closed();
        let Some(on_seal) = self.on_seal.clone().filter(|_| wanted) else { return };
        // One that waits will see what came meanwhile, and nobody waits for it.
        if !self.on_seal_waits.swap(true, Ordering::AcqRel) {
            let waits = self.on_seal_waits.clone();
            self.rebuild.run(move || {
                waits.store(false, Ordering::Release);
                on_seal();
            });
        }
    }

    /// Puts the index of a sealed part on disk, and gives back the space that its segment did not need.
    pub(super) fn finish(&self, part: Arc<Part>) {
        let (catalog, disk) = (self.catalog.clone(), self.indexing.disk.clone());
        self.background.run(move || {
            // If it fails, the index stays in memory, and the next open builds it.
            let _ = part.move_index_to_disk(&catalog.parts());
            if let Some(sealed) = part.seal_place() {
                // If that fails, space is all that is lost.
                let _ = part.segment.release_rest(disk.as_ref(), sealed.at);
            }
        });
        self.after_seal();
    }

    /// Prepares an append and queues it; gives leadership to a caller that has to take it.
    fn enqueue(
        &self,
        append: Append,
        may: May,
    ) -> Result<(Arc<Slot>, Option<Leading<'_, Pending>>), AppendError> {
        if let Some(failure) = self.failure() {
            return Err(failure.into());
        }
        let mut prepared = Prepared::new(append, &self.limits, &self.indexing.hasher, self.clock.now())?;
        // In this order, so that the parts hold all that is visible. What comes into the last of them, or behind it, the leader
        // sees.
        let visible = self.visible.get();
        let parts = self.catalog.parts();
        prepared.looked_through = parts.last().map_or(0, |active| active.number() - 1);
        self.warm(&mut prepared, &parts)?;
        let slot = Arc::new(Slot::default());
        let checked = self
            .check_key(&prepared, &parts, visible)
            .and_then(|()| self.check_conditions(&mut prepared, &parts, visible))
            .and_then(|()| self.check_ids(&prepared, &parts, visible));
        if let Err(refusal) = checked {
            slot.complete(Ok(self.reconsider(refusal, &prepared)?));
            return Ok((slot, None));
        }
        let bytes = prepared.bytes();
        let pending = Pending { prepared: Box::new(prepared), teller: Teller::new(slot.clone()) };
        let leading = self.queue.push(pending, bytes, may).map_err(|Closed| Error::Closed)?;
        Ok((slot, leading))
    }

    /// Looks up the append's streams in the sealed segments, on the caller's thread. The active segment is looked at
    /// when the append is admitted.
    fn warm(&self, prepared: &mut Prepared, parts: &[Arc<Part>]) -> Result<(), Error> {
        let Some((active, sealed)) = parts.split_last() else { return Ok(()) };
        prepared.streams.iter().skip(1).for_each(|stream| active.will_look_up(stream.hash));
        let mut not_here = Vec::new();
        for stream in prepared.streams.iter_mut().chain(&mut prepared.expected) {
            let here = active.stream(parts, stream.hash, Position::new(u64::MAX - 1))?;
            stream.warmed = Warmed { head: None, through: active.number() - 1 };
            stream.lifecycle_of = self.lifecycles.newest();
            stream.lifecycle = self.lifecycles.of(stream.name.as_str())?;
            if here.is_none() && !sealed.is_empty() {
                not_here.push((stream.hash, &mut stream.warmed.head));
            }
        }
        catalog::heads(sealed, not_here)
    }

    /// Looks for events that break the append's conditions, up to what is visible now, on the caller's thread.
    fn check_conditions(
        &self,
        prepared: &mut Prepared,
        parts: &Arc<Vec<Arc<Part>>>,
        visible: Position,
    ) -> Result<(), AppendError> {
        prepared.conditions_of = self.lifecycles.newest();
        for (number, condition) in prepared.conditions.iter_mut().enumerate() {
            if condition.after() > visible {
                let what = format!(
                    "a condition begins after position {}, but the last event is at position {visible}; give the \
                     position up to which you have read",
                    condition.after()
                );
                return Err(AppendError::Invalid { what });
            }
            if let Some(refusal) = condition.check(number, parts, visible, &self.lifecycles)? {
                return Err(refusal);
            }
        }
        Ok(())
    }

    /// Looks for an append with the same key, on the caller's thread.
    fn check_key(
        &self,
        prepared: &Prepared,
        parts: &[Arc<Part>],
        visible: Position,
    ) -> Result<(), AppendError> {
        if prepared.key.is_none() {
            return Ok(());
        }
        let since = self.keys_since();
        let among = repeat::window_since(parts, visible, since)?;
        prepared.check_key(parts, among, visible, since)?.map_or(Ok(()), Err)
    }

    /// From when on the keys of appends are looked for.
    pub(super) fn keys_since(&self) -> Timestamp {
        let nanos = i64::try_from(self.idempotency_window.as_nanos()).unwrap_or(i64::MAX);
        Timestamp::from_nanos(self.clock.now().as_nanos().saturating_sub(nanos))
    }

    /// Looks for events with the ids of new ones among the newest, on the caller's thread.
    fn check_ids(
        &self,
        prepared: &Prepared,
        parts: &[Arc<Part>],
        visible: Position,
    ) -> Result<(), AppendError> {
        let window = repeat::window(parts, visible, self.repeat_window);
        prepared.check_ids(parts, window, visible)?.map_or(Ok(()), Err)
    }

    /// The receipt of the append that a refused one repeats, if it does, or else the refusal.
    pub(super) fn reconsider(&self, refusal: AppendError, prepared: &Prepared) -> Outcome {
        if !may_be_of_a_repeat(&refusal) {
            return Err(refusal);
        }
        let (visible, parts) = (self.visible.get(), self.catalog.parts());
        let window = repeat::window(&parts, visible, self.repeat_window);
        prepared.first_receipt(&parts, window, visible, self.keys_since())?.ok_or(refusal)
    }

    /// Commits a batch as one group. A panic fails the log and goes no further: there has to be somebody to tell those
    /// who wait in the queue.
    fn commit(&self, batch: Vec<Pending>) -> Outcomes {
        catch_unwind(AssertUnwindSafe(|| self.commit_group(batch))).unwrap_or_else(|_| {
            lock(&self.failed).get_or_insert_with(|| "a commit panicked".to_owned());
            Outcomes::default()
        })
    }

    /// Commits a batch as one group, or fails it if the log has failed.
    fn commit_group(&self, batch: Vec<Pending>) -> Outcomes {
        let mut end = lock(&self.end);
        let Some(end) = end.as_mut() else { return Outcomes::default() };
        if self.failure().is_some() {
            return Outcomes::default();
        }
        let outcomes = Group::new(self, end, self.clock.now()).commit(batch);
        let half_full = end.writer.is_half_full() || end.memory.bytes() > self.budget.index_bytes_max() / 2;
        if self.ahead
            && half_full
            && let Some(promise) = self.next_segment.promise()
        {
            let roll = self.roll.clone();
            let number = end.writer.segment().number().next();
            self.background.run(move || {
                let made = roll.blank(number, 0).and_then(|blank| match roll.prewrites {
                    true => blank.prewrite(|| promise.is_wanted()),
                    false => Ok(blank),
                });
                // A failure is no failure yet: the append that needs the segment makes another, or tells why it cannot.
                if let Ok(blank) = made {
                    promise.keep(blank);
                }
            });
        }
        outcomes
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic of a commit is noted as a failure of the log; nothing else is done under these locks.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

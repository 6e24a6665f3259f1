//! Models of what threads do to each other on the write path: every interleaving of a few steps is tried by loom, and
//! every value that a weak memory model lets a thread see.
//!
//! Run them with `RUSTFLAGS="--cfg loom" cargo test --package annals --lib --release models`. A thread that is never woken
//! is a deadlock, which loom reports. `LOOM_MAX_PREEMPTIONS` tries more interleavings of the larger ones than by default.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use loom::sync::Notify;
use loom::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use loom::thread;

use super::ahead::Ahead;
use super::queue::{Closed, May, Queue};
use super::ticket::{Slot, Ticket};
use super::visible::Visible;
use super::waiters::Interest;
use crate::error::{AppendError, Error};
use crate::index::RecordTerms;
use crate::model::Position;

/// Preemptions that are tried in models of three threads and more, which would take too long without a bound.
const PREEMPTIONS_MAX: usize = 3;

/// Tries a model of few steps in every way.
fn model(run: impl Fn() + Sync + Send + 'static) {
    loom::model(run);
}

/// Tries a larger model in every way with a few preemptions.
fn bounded(run: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound.get_or_insert(PREEMPTIONS_MAX);
    builder.check(run);
}

fn at(position: u64) -> Position {
    Position::new(position)
}

/// A task that sleeps until it is woken.
#[derive(Default)]
struct Task {
    woken: Arc<Woken>,
}

struct Woken(Notify);

impl Default for Woken {
    fn default() -> Woken {
        Woken(Notify::new())
    }
}

impl Wake for Woken {
    fn wake(self: Arc<Woken>) {
        self.0.notify();
    }
}

impl Task {
    fn waker(&self) -> Waker {
        Waker::from(self.woken.clone())
    }

    /// Asks, and sleeps, until there is an answer.
    fn run<T>(&self, mut ask: impl FnMut(&Waker) -> Option<T>) -> T {
        let waker = self.waker();
        loop {
            match ask(&waker) {
                Some(answer) => return answer,
                None => self.woken.0.wait(),
            }
        }
    }
}

/// The term that every published event has.
const TERM: u128 = 5;

fn publish(visible: &Visible, position: u64) {
    let event = RecordTerms { stream: TERM, id: 0, category: TERM, event_type: TERM, labels: Vec::new() };
    visible.publish(at(position), [event].iter());
}

fn any_event() -> Interest {
    Interest::AnyEvent
}

fn one_term() -> Interest {
    Interest::Terms([TERM, TERM + 1].into())
}

/// How somebody waits until the position is beyond the seen one.
type Wait = fn(&Visible, Interest, u64);

/// As a future.
fn poll_beyond(visible: &Visible, interest: Interest, seen: u64) {
    let waiter = visible.waiter(interest);
    Task::default().run(|waker| visible.poll_beyond(at(seen), &waiter, waker).then_some(()));
    visible.forget(&waiter);
}

/// As a thread.
fn wait_beyond(visible: &Visible, interest: Interest, seen: u64) {
    let waiter = visible.waiter(interest);
    assert!(visible.wait_beyond(at(seen), &waiter, None));
    visible.forget(&waiter);
}

/// Publishes two positions, each after the event there was stored; a reader must find what it is told of.
fn publication(wait: Wait, interest: fn() -> Interest) {
    bounded(move || {
        let visible = Arc::new(Visible::new(at(0)));
        let events: Arc<[AtomicU64; 2]> = Arc::default();
        let reader = thread::spawn({
            let (visible, events) = (visible.clone(), events.clone());
            move || {
                let mut seen = 0;
                while seen < 2 {
                    wait(&visible, interest(), seen);
                    let now = visible.get().get();
                    assert!(now > seen, "woken although nothing was published");
                    for (event, position) in events.iter().zip(1..=now) {
                        assert_eq!(event.load(Ordering::Relaxed), position, "visible, and not there");
                    }
                    seen = now;
                }
            }
        });
        for (event, position) in events.iter().zip(1..) {
            event.store(position, Ordering::Relaxed);
            publish(&visible, position);
        }
        reader.join().expect("no panic");
        assert_eq!(visible.get(), at(2));
    });
}

#[test]
fn a_thread_that_waits_is_woken_and_finds_all_that_is_visible() {
    publication(wait_beyond, any_event);
}

#[test]
fn a_future_that_waits_is_woken_and_finds_all_that_is_visible() {
    publication(poll_beyond, any_event);
}

#[test]
fn one_that_waits_for_a_term_is_woken_and_finds_all_that_is_visible() {
    publication(wait_beyond, one_term);
    publication(poll_beyond, one_term);
}

#[test]
fn closing_wakes_threads_and_futures_and_what_was_published_before_it_is_seen() {
    bounded(|| {
        let visible = Arc::new(Visible::new(at(0)));
        let waits: [(Wait, Interest); 2] = [(poll_beyond, one_term()), (wait_beyond, any_event())];
        let waiters = waits.map(|(wait, interest)| {
            let visible = visible.clone();
            thread::spawn(move || {
                wait(&visible, interest, 1);
                assert!(visible.is_closed(), "woken by a position that is not beyond the seen one");
                assert_eq!(visible.get(), at(1));
            })
        });
        publish(&visible, 1);
        visible.close();
        waiters.into_iter().for_each(|waiter| waiter.join().expect("no panic"));
        assert_eq!(visible.waiting(), 0);
    });
}

#[test]
fn one_that_is_forgotten_while_others_are_woken_takes_no_wake_up_from_them() {
    bounded(|| {
        let visible = Arc::new(Visible::new(at(0)));
        let waiting = thread::spawn({
            let visible = visible.clone();
            move || {
                wait_beyond(&visible, one_term(), 0);
                assert_eq!(visible.get(), at(1));
            }
        });
        let forgotten = thread::spawn({
            let visible = visible.clone();
            move || {
                let waiter = visible.waiter(one_term());
                visible.poll_beyond(at(0), &waiter, Waker::noop());
                visible.forget(&waiter);
            }
        });
        publish(&visible, 1);
        waiting.join().expect("no panic");
        forgotten.join().expect("no panic");
        assert_eq!(visible.waiting(), 0);
    });
}

#[test]
fn a_future_that_is_polled_with_another_waker_is_woken_by_that_one() {
    bounded(|| {
        let visible = Arc::new(Visible::new(at(0)));
        let publisher = thread::spawn({
            let visible = visible.clone();
            move || publish(&visible, 1)
        });
        let waiter = visible.waiter(one_term());
        if !visible.poll_beyond(at(0), &waiter, Waker::noop()) {
            Task::default().run(|waker| visible.poll_beyond(at(0), &waiter, waker).then_some(()));
        }
        assert_eq!(visible.get(), at(1));
        publisher.join().expect("no panic");
    });
}

fn outcome() -> Result<crate::model::Receipt, AppendError> {
    Err(Error::Closed.into())
}

#[test]
fn a_ticket_tells_its_outcome_to_a_thread_that_waits() {
    model(|| {
        let slot = Arc::new(Slot::default());
        let ticket = Ticket::new(slot.clone(), None);
        let waiter = thread::spawn(move || assert!(ticket.wait().is_err()));
        slot.complete(outcome());
        assert!(slot.is_done());
        waiter.join().expect("no panic");
        assert!(slot.is_done(), "an outcome that was told is still known");
    });
}

#[test]
fn a_ticket_tells_its_outcome_to_a_future_that_is_polled() {
    model(|| {
        let slot = Arc::new(Slot::default());
        let ticket = Ticket::new(slot.clone(), None);
        let waiter = thread::spawn(move || {
            let mut ticket = pin!(ticket);
            let answer =
                Task::default().run(|waker| match ticket.as_mut().poll(&mut Context::from_waker(waker)) {
                    Poll::Ready(answer) => Some(answer),
                    Poll::Pending => None,
                });
            assert!(answer.is_err());
        });
        slot.complete(outcome());
        waiter.join().expect("no panic");
    });
}

#[test]
fn a_ticket_may_be_polled_and_then_waited_for_or_dropped() {
    for waits in [true, false] {
        model(move || {
            let slot = Arc::new(Slot::default());
            let mut ticket = Ticket::new(slot.clone(), None);
            let committer = thread::spawn({
                let slot = slot.clone();
                move || slot.complete(outcome())
            });
            let polled = pin!(&mut ticket).poll(&mut Context::from_waker(Waker::noop()));
            if waits && polled.is_pending() {
                assert!(ticket.wait().is_err());
            }
            committer.join().expect("no panic");
            assert!(slot.is_done());
        });
    }
}

/// A queue of appends with what a committer does: it commits one batch at a time, and gives each append its outcome.
struct Commits {
    queue: Queue<Arc<Slot>>,
    committing: AtomicBool,
    committed: AtomicU64,
}

impl Commits {
    /// With room for so many appends.
    fn new(room: u64) -> Arc<Commits> {
        let (committing, committed) = (AtomicBool::new(false), AtomicU64::new(0));
        Arc::new(Commits { queue: Queue::new(room), committing, committed })
    }

    fn commit(&self, batch: Vec<Arc<Slot>>) -> Vec<Arc<Slot>> {
        assert!(!self.committing.swap(true, Ordering::Relaxed), "two lead at a time");
        self.committed.fetch_add(batch.len() as u64, Ordering::Relaxed);
        self.committing.store(false, Ordering::Relaxed);
        batch
    }

    fn tell(batch: Vec<Arc<Slot>>) {
        batch.into_iter().for_each(|slot| slot.complete(outcome()));
    }

    /// Appends and waits for the outcome, as a caller who may lead; tells whether the queue took it.
    fn append(&self) -> bool {
        let slot = Arc::new(Slot::default());
        match self.queue.push(slot.clone(), 1, May::Lead) {
            Err(Closed) => return false,
            Ok(Some(leading)) => {
                leading.lead(|batch| self.commit(batch), Commits::tell);
                assert!(slot.is_done(), "a leader's own append is in its batch");
            }
            Ok(None) => {}
        }
        drop(Ticket::new(slot, None).wait());
        true
    }

    fn submit(&self) -> Option<Ticket> {
        let slot = Arc::new(Slot::default());
        self.queue.push(slot.clone(), 1, May::OnlyQueue).ok().map(|_| Ticket::new(slot, None))
    }

    /// Runs these callers beside the thread that stands by, closes meanwhile, and counts what was taken in.
    fn run<const N: usize>(self: Arc<Commits>, callers: [fn(&Commits) -> u64; N]) {
        let stands_by = thread::spawn({
            let commits = self.clone();
            move || commits.queue.stand_by(|batch| commits.commit(batch), Commits::tell)
        });
        let callers = callers.map(|call| {
            let commits = self.clone();
            thread::spawn(move || call(&commits))
        });
        self.queue.close();
        stands_by.join().expect("no panic");
        let committed = self.committed.load(Ordering::Relaxed);
        assert!(!self.append() && self.submit().is_none(), "closed, and takes in more");
        let taken: u64 = callers.into_iter().map(|caller| caller.join().expect("no panic")).sum();
        assert_eq!(taken, committed, "not all was committed when the thread that stands by had ended");
    }
}

#[test]
fn every_append_that_a_closing_queue_took_in_is_committed_before_it_is_closed() {
    bounded(|| Commits::new(9).run([|commits| u64::from(commits.append())]));
}

#[test]
fn of_two_callers_one_leads_and_both_get_their_outcomes() {
    bounded(|| {
        let append = |commits: &Commits| u64::from(commits.append());
        Commits::new(9).run([append, append]);
    });
}

#[test]
fn what_is_only_queued_is_committed_by_a_caller_or_by_the_thread_that_stands_by() {
    bounded(|| {
        let submit = |commits: &Commits| {
            let ticket = commits.submit();
            ticket.map_or(0, |ticket| {
                drop(ticket.wait());
                1
            })
        };
        Commits::new(9).run([submit, |commits| u64::from(commits.append())]);
    });
}

#[test]
fn one_that_waits_for_room_gets_it_or_is_told_that_the_queue_was_closed() {
    bounded(|| {
        let submit_two = |commits: &Commits| {
            let tickets = [commits.submit(), commits.submit()];
            let taken = tickets.into_iter().flatten().map(|ticket| drop(ticket.wait()));
            taken.count() as u64
        };
        Commits::new(1).run([submit_two]);
    });
}

#[test]
fn a_leader_that_ends_by_a_panic_leaves_the_rest_to_the_thread_that_stands_by() {
    bounded(|| {
        let commits = Commits::new(9);
        let slot = Arc::new(Slot::default());
        let leading = commits.queue.push(slot.clone(), 1, May::Lead).expect("open").expect("nobody leads");
        let stands_by = thread::spawn({
            let commits = commits.clone();
            move || commits.queue.stand_by(|batch| commits.commit(batch), Commits::tell)
        });
        // As when it unwinds.
        drop(leading);
        drop(Ticket::new(slot, None).wait());
        commits.queue.close();
        stands_by.join().expect("no panic");
    });
}

#[test]
fn what_is_made_ahead_is_waited_for_and_a_broken_promise_is_not() {
    for kept in [true, false] {
        model(move || {
            let ahead = Arc::new(Ahead::new());
            let promise = ahead.promise().expect("nobody has promised");
            let maker = thread::spawn(move || {
                if kept {
                    promise.keep(7);
                }
            });
            assert_eq!(ahead.take(), kept.then_some(7));
            // Another promise begins where the last one ended, whoever is first.
            let second = ahead.promise().expect("the first was taken");
            maker.join().expect("no panic");
            second.keep(8);
            assert_eq!(ahead.take(), Some(8));
        });
    }
}

//! Those who wait for events: for any, or only for events with one of some terms.
//!
//! They are kept by what they wait for, so that an append wakes those it concerns and looks at no others: a hundred
//! thousand subscribers of one stream each cost a commit to another stream nothing. Some of those who wait for terms are
//! also woken now and then without cause, a part of them at a time, so that they can tell how far they have come.
//!
//! Invariant: one that waits has been counted before it looks for the last time. Whoever wakes looks at the counts after
//! it has changed what is waited for, with a fence in between; so one of the two always sees the other.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::task::Waker;

use crate::index::RecordTerms;
use crate::model::Position;
use crate::sync::atomic::{AtomicU64, AtomicUsize, Ordering, fence};
use crate::sync::{Mutex, lock};

/// By how many locks those who wait for terms are kept.
const SHARDS: usize = if cfg!(loom) { 2 } else { 64 };

/// After so many events the next shard is woken without cause; each shard therefore about once in a million events.
const SWEEP_EVENTS: u64 = 16_384;

/// What is waited for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Interest {
    AnyEvent,
    /// Events that have one of these terms.
    Terms(Box<[u128]>),
}

/// One that waits, by the name under which it is known. It is known once, however often it asks.
#[derive(Debug)]
pub(crate) struct Waiter {
    name: u64,
    interest: Interest,
}

/// All who wait.
#[derive(Debug)]
pub(super) struct Waiters {
    for_any: Shard,
    for_terms: [Shard; SHARDS],
    /// How many wakers the shards of terms have together.
    terms: AtomicUsize,
    next_name: AtomicU64,
}

/// Some of those who wait.
#[derive(Debug, Default)]
struct Shard {
    wakers: Mutex<BTreeMap<Key, Waker>>,
    /// How many wakers there are; changed under their lock.
    count: AtomicUsize,
}

/// A term, 0 for any event, and the name of one that waits for it.
type Key = (u128, u64);

/// All names.
fn all_of(term: u128) -> RangeInclusive<Key> {
    (term, 0)..=(term, u64::MAX)
}

impl Waiters {
    pub(super) fn new() -> Waiters {
        Waiters {
            for_any: Shard::default(),
            for_terms: std::array::from_fn(|_| Shard::default()),
            terms: AtomicUsize::new(0),
            next_name: AtomicU64::new(0),
        }
    }

    /// A new one, which does not wait yet.
    pub(super) fn waiter(&self, interest: Interest) -> Waiter {
        Waiter { name: self.next_name.fetch_add(1, Ordering::Relaxed), interest }
    }

    fn shard_of(&self, term: u128) -> &Shard {
        &self.for_terms[term as usize % SHARDS]
    }

    /// From now on `waker` is woken for `waiter`, once, in place of the one it gave before. What is waited for must be
    /// looked at after this.
    pub(super) fn register(&self, waiter: &Waiter, waker: &Waker) {
        match &waiter.interest {
            Interest::AnyEvent => drop(self.for_any.insert((0, waiter.name), waker)),
            Interest::Terms(terms) => {
                for term in terms {
                    let replaced = self.shard_of(*term).insert((*term, waiter.name), waker);
                    self.terms.fetch_add(usize::from(replaced.is_none()), Ordering::Relaxed);
                }
            }
        }
        fence(Ordering::SeqCst);
    }

    /// Wakes it no more.
    pub(super) fn forget(&self, waiter: &Waiter) {
        match &waiter.interest {
            Interest::AnyEvent => drop(self.for_any.remove((0, waiter.name))),
            Interest::Terms(terms) => {
                for term in terms {
                    let removed = self.shard_of(*term).remove((*term, waiter.name));
                    self.terms.fetch_sub(usize::from(removed.is_some()), Ordering::Relaxed);
                }
            }
        }
    }

    /// Wakes whom events concern that were committed behind position `before`, up to `last`.
    pub(super) fn wake<'a>(
        &self,
        committed: impl Iterator<Item = &'a RecordTerms> + Clone,
        before: Position,
        last: Position,
    ) {
        fence(Ordering::SeqCst);
        let mut woken = self.for_any.take_all();
        if self.terms.load(Ordering::Relaxed) > 0 {
            let waited_for = |term: &u128| self.shard_of(*term).is_waited_in();
            // Kind by kind: neighbours are often of one stream, category and type, and only one of them needs to be looked at.
            let kinds: [fn(&RecordTerms) -> u128; 3] =
                [|terms| terms.stream, |terms| terms.category, |terms| terms.event_type];
            let named = kinds.into_iter().flat_map(|kind| committed.clone().map(kind));
            let labels = committed.clone().flat_map(|terms| terms.labels.iter().copied());
            let mut terms: Vec<u128> = named.chain(labels).collect();
            terms.dedup();
            terms.retain(waited_for);
            terms.sort_unstable();
            terms.dedup();
            let mut of_terms: Vec<Waker> =
                terms.into_iter().flat_map(|term| self.shard_of(term).take(all_of(term))).collect();
            let turns = before.get() / SWEEP_EVENTS + 1..=last.get() / SWEEP_EVENTS;
            let turns = turns.take(SHARDS).map(|turn| &self.for_terms[turn as usize % SHARDS]);
            of_terms.extend(turns.flat_map(Shard::take_all));
            self.terms.fetch_sub(of_terms.len(), Ordering::Relaxed);
            woken.append(&mut of_terms);
        }
        woken.into_iter().for_each(Waker::wake);
    }

    /// Wakes everyone.
    pub(super) fn wake_all(&self) {
        fence(Ordering::SeqCst);
        let mut woken = self.for_any.take_all();
        let mut of_terms: Vec<Waker> = self.for_terms.iter().flat_map(Shard::take_all).collect();
        self.terms.fetch_sub(of_terms.len(), Ordering::Relaxed);
        woken.append(&mut of_terms);
        woken.into_iter().for_each(Waker::wake);
    }
}

/// Wakers that are replaced or taken are given out, to be dropped after the lock is let go of: the last of a task drops
/// the task, and with it others that wait here.
impl Shard {
    fn insert(&self, key: Key, waker: &Waker) -> Option<Waker> {
        let mut wakers = lock(&self.wakers);
        let replaced = wakers.insert(key, waker.clone());
        self.count.fetch_add(usize::from(replaced.is_none()), Ordering::Relaxed);
        replaced
    }

    fn remove(&self, key: Key) -> Option<Waker> {
        let mut wakers = lock(&self.wakers);
        let removed = wakers.remove(&key);
        self.count.fetch_sub(usize::from(removed.is_some()), Ordering::Relaxed);
        removed
    }

    fn is_waited_in(&self) -> bool {
        self.count.load(Ordering::Relaxed) > 0
    }

    fn take(&self, keys: RangeInclusive<Key>) -> Vec<Waker> {
        let mut wakers = lock(&self.wakers);
        let keys: Vec<Key> = wakers.range(keys).map(|(key, _)| *key).collect();
        let taken: Vec<Waker> = keys.iter().filter_map(|key| wakers.remove(key)).collect();
        self.count.fetch_sub(taken.len(), Ordering::Relaxed);
        taken
    }

    fn take_all(&self) -> Vec<Waker> {
        if !self.is_waited_in() {
            return Vec::new();
        }
        let mut wakers = lock(&self.wakers);
        self.count.store(0, Ordering::Relaxed);
        std::mem::take(&mut *wakers).into_values().collect()
    }
}

#[cfg(test)]
impl Waiters {
    /// How many wakers are kept.
    pub(super) fn count(&self) -> usize {
        let count = |shard: &Shard| lock(&shard.wakers).len();
        let terms = self.for_terms.iter().map(count).sum::<usize>();
        assert_eq!(self.terms.load(Ordering::Relaxed), terms, "counted as they are");
        count(&self.for_any) + terms
    }
}

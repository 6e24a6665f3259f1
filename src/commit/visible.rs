//! The visible position, and waiting for it to move.
//!
//! Invariant: one that waits is registered before it looks at the position for the last time, and the writer moves the
//! position before it looks for those who wait; so no wake-up is lost (`waiters` says how).

use std::sync::Arc;
use std::task::Waker;
use std::time::Instant;

use super::sleeper::Sleeper;
use super::waiters::{Interest, Waiter, Waiters};
use crate::index::RecordTerms;
use crate::model::Position;
use crate::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// The last position that readers may see.
#[derive(Debug)]
pub(crate) struct Visible {
    position: AtomicU64,
    closed: AtomicBool,
    waiters: Waiters,
}

impl Visible {
    pub(crate) fn new(position: Position) -> Visible {
        Visible {
            position: AtomicU64::new(position.get()),
            closed: AtomicBool::new(false),
            waiters: Waiters::new(),
        }
    }

    pub(crate) fn get(&self) -> Position {
        Position::new(self.position.load(Ordering::Acquire))
    }

    /// Whether the store was closed: the position will not move again.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Moves the position, once everything up to it is durable and indexed, and wakes those whom the events concern that
    /// it now includes. Only the one writer calls this.
    pub(crate) fn publish<'a>(
        &self,
        position: Position,
        events: impl Iterator<Item = &'a RecordTerms> + Clone,
    ) {
        let before = Position::new(self.position.swap(position.get(), Ordering::Release));
        self.waiters.wake(events, before, position);
    }

    /// Ends all waiting.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.waiters.wake_all();
    }

    /// One that will wait for events of its interest.
    pub(crate) fn waiter(&self, interest: Interest) -> Waiter {
        self.waiters.waiter(interest)
    }

    /// Waits until the position is beyond `seen` by an event that concerns `waiter`, or the store is closed; tells false
    /// when the deadline came first. It may also end without a cause.
    pub(crate) fn wait_beyond(&self, seen: Position, waiter: &Waiter, deadline: Option<Instant>) -> bool {
        let sleeper = Arc::new(Sleeper::default());
        let waker = Waker::from(sleeper.clone());
        while !self.poll_beyond(seen, waiter, &waker) {
            if !sleeper.sleep(deadline) {
                return false;
            }
        }
        true
    }

    /// Whether the position is beyond `seen` or the store is closed; otherwise `waker` is woken once that is so by an event
    /// that concerns `waiter`.
    pub(crate) fn poll_beyond(&self, seen: Position, waiter: &Waiter, waker: &Waker) -> bool {
        let moved = || self.get() > seen || self.is_closed();
        moved() || {
            self.waiters.register(waiter, waker);
            moved()
        }
    }

    /// Forgets one that no longer waits.
    pub(crate) fn forget(&self, waiter: &Waiter) {
        self.waiters.forget(waiter);
    }
}

#[cfg(test)]
impl Visible {
    /// How many are kept as waiting.
    pub(super) fn waiting(&self) -> usize {
        self.waiters.count()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    /// An event of a stream, with a type.
    fn event(stream: u128, event_type: u128) -> RecordTerms {
        RecordTerms { stream, id: 0, category: event_type, event_type, labels: Vec::new() }
    }

    fn terms(terms: &[u128]) -> Interest {
        Interest::Terms(terms.into())
    }

    /// Counts how often it is woken.
    #[derive(Default)]
    struct Wakes(std::sync::atomic::AtomicUsize);

    impl std::task::Wake for Wakes {
        fn wake(self: Arc<Wakes>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    impl Wakes {
        fn count(&self) -> usize {
            self.0.load(Ordering::Relaxed)
        }
    }

    #[test]
    fn a_waiter_is_woken_by_the_position_and_by_closing() {
        let visible = Arc::new(Visible::new(Position::START));
        let waiter = std::thread::spawn({
            let visible = visible.clone();
            move || {
                let waiter = visible.waiter(Interest::AnyEvent);
                assert!(visible.wait_beyond(Position::START, &waiter, None));
                assert_eq!(visible.get(), Position::new(7));
                assert!(visible.wait_beyond(Position::new(7), &waiter, None));
                assert!(visible.is_closed());
            }
        });
        visible.publish(Position::new(7), [event(1, 2)].iter());
        visible.close();
        waiter.join().expect("no panic");
    }

    #[test]
    fn a_deadline_ends_waiting() {
        let visible = Visible::new(Position::new(3));
        let waiter = visible.waiter(Interest::AnyEvent);
        assert!(!visible.wait_beyond(Position::new(3), &waiter, Some(Instant::now())));
    }

    #[test]
    fn a_forgotten_waiter_is_not_kept() {
        let visible = Visible::new(Position::START);
        for waiter in [visible.waiter(Interest::AnyEvent), visible.waiter(terms(&[1, 2, 66]))] {
            assert!(!visible.poll_beyond(Position::START, &waiter, Waker::noop()));
            assert!(!visible.poll_beyond(Position::START, &waiter, Waker::noop()));
            visible.forget(&waiter);
            visible.forget(&waiter);
            assert_eq!(visible.waiting(), 0);
        }
    }

    #[test]
    fn an_event_wakes_those_it_concerns_and_nobody_else() {
        let visible = Visible::new(Position::START);
        // 65 shares its shard with 1.
        let interests = [terms(&[1]), terms(&[65]), terms(&[2, 3]), terms(&[4]), Interest::AnyEvent];
        let waiters = interests.map(|interest| (visible.waiter(interest), Arc::new(Wakes::default())));
        for (waiter, wakes) in &waiters {
            assert!(!visible.poll_beyond(Position::START, waiter, &Waker::from(wakes.clone())));
        }
        let counts = || waiters.each_ref().map(|(_, wakes)| wakes.count());
        visible.publish(Position::new(1), [event(1, 5)].iter());
        assert_eq!(counts(), [1, 0, 0, 0, 1]);
        visible.publish(Position::new(3), [event(7, 2), event(7, 3)].iter());
        assert_eq!(
            counts(),
            [1, 0, 2, 0, 1],
            "woken once for each of its terms, and who was woken has to ask again"
        );
        visible.close();
        assert_eq!(counts(), [1, 1, 2, 1, 1]);
        assert_eq!(visible.waiting(), 0);
    }

    #[test]
    fn whoever_waits_for_terms_is_also_woken_now_and_then() {
        let visible = Visible::new(Position::START);
        let waiters: Vec<_> =
            (0..200).map(|term| (visible.waiter(terms(&[term])), Arc::new(Wakes::default()))).collect();
        for (waiter, wakes) in &waiters {
            assert!(!visible.poll_beyond(Position::START, waiter, &Waker::from(wakes.clone())));
        }
        let woken = || waiters.iter().filter(|(_, wakes)| wakes.count() > 0).count();
        visible.publish(Position::new(16_000), [event(1_000, 1_001)].iter());
        assert_eq!(woken(), 0);
        visible.publish(Position::new(17_000), [event(1_000, 1_001)].iter());
        assert!((1..=4).contains(&woken()), "one shard of them: {}", woken());
        visible.publish(Position::new(1_100_000), [event(1_000, 1_001)].iter());
        assert_eq!(woken(), 200);
    }
}

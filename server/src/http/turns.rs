//! Whose turn it is among those who follow events: an append may concern thousands of them, and is not to wait for all of these
//! before the next one is looked at.
//!
//! A few are woken at once. The others wait in line, and each time the runtime has gone through its work a few more of them are
//! woken; by then they may have more than one event to take.
//!
//! Invariant: whoever is woken by the store is woken here, at once or in line, whatever others do with their turns.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use tokio::task::yield_now;

/// How many are woken before anything else has its turn: enough to keep every processor busy.
const TURNS: usize = 32;

/// The line.
#[derive(Debug)]
pub(crate) struct Turns(Mutex<Line>);

#[derive(Debug)]
struct Line {
    /// How many may be woken at once before the runtime has gone through its work.
    left: usize,
    waiting: VecDeque<Waker>,
    /// Whoever wakes those who wait, when nobody waited the last time.
    usher: Option<Waker>,
}

/// One follower's place: it is what the store wakes.
#[derive(Debug)]
pub(crate) struct Turn {
    of: Arc<Turns>,
    follower: Mutex<Waker>,
}

impl Turns {
    pub(crate) fn new() -> Arc<Turns> {
        // Until there is an usher, nobody has to wait for one.
        Arc::new(Turns(Mutex::new(Line { left: usize::MAX, waiting: VecDeque::new(), usher: None })))
    }

    /// Wakes those who wait in line, a few at a time, for as long as it is polled.
    pub(crate) async fn usher(&self) {
        loop {
            poll_fn(|context| self.poll_line(context)).await.into_iter().for_each(Waker::wake);
            yield_now().await;
        }
    }

    /// The next in line. Behind the last of them as many as at first may be woken at once.
    fn poll_line(&self, context: &Context<'_>) -> Poll<Vec<Waker>> {
        let mut line = lock(&self.0);
        if line.waiting.is_empty() {
            line.left = TURNS;
            line.usher = Some(context.waker().clone());
            return Poll::Pending;
        }
        let next = line.waiting.len().min(TURNS);
        Poll::Ready(line.waiting.drain(..next).collect())
    }

    fn take(&self, follower: Waker) {
        let usher = {
            let mut line = lock(&self.0);
            if line.left > 0 && line.waiting.is_empty() {
                line.left -= 1;
                drop(line);
                return follower.wake();
            }
            line.waiting.push_back(follower);
            line.usher.take()
        };
        if let Some(usher) = usher {
            usher.wake();
        }
    }
}

impl Turn {
    /// A place for one that is woken by `follower`.
    pub(crate) fn new(of: &Arc<Turns>, follower: &Waker) -> Arc<Turn> {
        Arc::new(Turn { of: Arc::clone(of), follower: Mutex::new(follower.clone()) })
    }

    /// From now on `follower` is woken in place of the one before.
    pub(crate) fn is_of(&self, follower: &Waker) {
        lock(&self.follower).clone_from(follower);
    }
}

impl Wake for Turn {
    fn wake(self: Arc<Turn>) {
        let follower = lock(&self.follower).clone();
        self.of.take(follower);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is locked is whole at every moment.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Woken>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    impl Woken {
        fn count(&self) -> usize {
            self.0.load(Ordering::Relaxed)
        }
    }

    #[test]
    fn a_few_are_woken_at_once_and_the_others_a_few_at_a_time() {
        let (turns, followers, ushered) =
            (Turns::new(), Arc::new(Woken::default()), Arc::new(Woken::default()));
        let (follower, usher) = (Waker::from(Arc::clone(&followers)), Waker::from(Arc::clone(&ushered)));
        let mut line = pin!(turns.usher());
        let mut poll = || assert!(line.as_mut().poll(&mut Context::from_waker(&usher)).is_pending());
        poll();
        (0..3 * TURNS).for_each(|_| Turn::new(&turns, &follower).wake());
        assert_eq!((followers.count(), ushered.count()), (TURNS, 1));
        poll();
        assert_eq!((followers.count(), ushered.count()), (2 * TURNS, 2), "it comes again by itself");
        poll();
        assert_eq!((followers.count(), ushered.count()), (3 * TURNS, 3));
        poll();
        Turn::new(&turns, &follower).wake();
        assert_eq!((followers.count(), ushered.count()), (3 * TURNS + 1, 3), "nobody is in line");
    }

    #[test]
    fn a_follower_that_moved_is_woken_where_it_is() {
        let (turns, before, after) = (Turns::new(), Arc::new(Woken::default()), Arc::new(Woken::default()));
        let turn = Turn::new(&turns, &Waker::from(Arc::clone(&before)));
        turn.is_of(&Waker::from(Arc::clone(&after)));
        turn.wake();
        assert_eq!((before.count(), after.count()), (0, 1));
    }
}

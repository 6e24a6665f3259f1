//! Work off the commit path: the next segment is made, and indexes are written, on a thread of their own.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use crate::error::Error;
use crate::format::SegmentNumber;
use crate::log::{Blank, Roll};

/// Jobs that may wait: with more, whoever hands one over waits, so that indexes in memory stay few.
const JOBS_MAX: usize = 1;

type Job = Box<dyn FnOnce() + Send>;

/// A thread that does one job after the other.
#[derive(Debug)]
pub(super) struct Background {
    jobs: Mutex<Option<SyncSender<Job>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Background {
    /// Starts the thread; without one, jobs are done by whoever hands them over.
    pub(super) fn start(name: &str, wanted: bool) -> Background {
        let (sender, receiver): (SyncSender<Job>, Receiver<Job>) = sync_channel(JOBS_MAX);
        let run = move || receiver.into_iter().for_each(|job| job());
        let thread =
            wanted.then(|| std::thread::Builder::new().name(name.to_owned()).spawn(run).ok()).flatten();
        let jobs = thread.is_some().then_some(sender);
        Background { jobs: Mutex::new(jobs), thread: Mutex::new(thread) }
    }

    /// Hands a job over, or does it when there is no thread.
    pub(super) fn run(&self, job: impl FnOnce() + Send + 'static) {
        let sender = lock(&self.jobs).clone();
        match sender {
            Some(sender) => {
                if let Err(returned) = sender.send(Box::new(job)) {
                    (returned.0)();
                }
            }
            None => job(),
        }
    }

    /// Finishes the jobs and ends the thread.
    pub(super) fn stop(&self) {
        drop(lock(&self.jobs).take());
        if let Some(thread) = lock(&self.thread).take()
            && thread.thread().id() != std::thread::current().id()
        {
            // A job that panicked has already been reported by the panic hook.
            let _ = thread.join();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is guarded here is whole at every moment.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The next segment, made ahead of need.
#[derive(Debug)]
pub(super) struct NextSegment {
    state: Mutex<Next>,
    changed: Condvar,
}

#[derive(Debug)]
enum Next {
    Absent,
    UnderWay,
    Ready(Blank),
}

impl NextSegment {
    pub(super) fn new() -> NextSegment {
        NextSegment { state: Mutex::new(Next::Absent), changed: Condvar::new() }
    }

    /// Whether it should be made now; if so, the caller has promised to [`make`](Self::make) it.
    pub(super) fn wants_making(&self) -> bool {
        let mut state = lock(&self.state);
        let wants = matches!(*state, Next::Absent);
        if wants {
            *state = Next::UnderWay;
        }
        wants
    }

    /// Makes it. A failure is no failure yet: the append that needs the segment tries again, and tells.
    pub(super) fn make(&self, roll: &Roll, number: SegmentNumber) {
        let made = roll.blank(number, 0);
        *lock(&self.state) = made.map_or(Next::Absent, Next::Ready);
        self.changed.notify_all();
    }

    /// Takes it, made ahead or made now, with room for a first frame of `frame_len` bytes.
    pub(super) fn take(&self, roll: &Roll, number: SegmentNumber, frame_len: u64) -> Result<Blank, Error> {
        let mut state = lock(&self.state);
        while matches!(*state, Next::UnderWay) {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        match std::mem::replace(&mut *state, Next::Absent) {
            Next::Ready(blank) if blank.number() == number && blank.room() >= frame_len => Ok(blank),
            _ => roll.blank(number, frame_len),
        }
    }
}

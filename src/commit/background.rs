//! Work off the commit path: the next segment is made, and indexes are written, on a thread of their own.
//!
//! A job that panics ends the thread; those that are handed over later are done by whoever hands them over.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

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

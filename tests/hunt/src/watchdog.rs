//! A thread that ends the process when something takes too long or too much memory: neither can be caught otherwise.
//!
//! Whoever works says what it begins with; the last thing that was said is the finding.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How often it looks.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// What is under way, and since when.
type Work = Arc<Mutex<Option<(String, Instant)>>>;

/// How a process ends that a watchdog has ended.
const EXIT_CODE: i32 = 3;

/// What one thread does, as a watchdog sees it.
#[derive(Clone)]
pub(crate) struct Watched(Work);

impl Watched {
    /// Begins with the next thing.
    pub(crate) fn begin(&self, what: String) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((what, Instant::now()));
    }

    /// There is nothing under way.
    pub(crate) fn rest(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// Watches one thread, which may take so long for one thing, and with the others so much memory.
pub(crate) fn watch(time_max: Duration, memory_bytes_max: u64) -> Watched {
    let watched = Watched(Arc::default());
    let seen = watched.clone();
    std::thread::spawn(move || {
        loop {
            std::thread::sleep(LOOK_EVERY);
            let work = seen.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let Some((what, since)) = work else { continue };
            if since.elapsed() > time_max {
                end(&format!("{what}: no end after {} s", time_max.as_secs()));
            }
            let memory = memory_bytes().unwrap_or(0);
            if memory > memory_bytes_max {
                end(&format!("{what}: {memory} bytes of memory"));
            }
        }
    });
    watched
}

#[expect(clippy::print_stdout, reason = "the process ends, and somebody has to know why")]
fn end(finding: &str) -> ! {
    println!("{finding}");
    std::process::exit(EXIT_CODE);
}

/// What the process has in memory; none where the system does not tell.
fn memory_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok().map(|kilobytes| kilobytes * 1024)
}

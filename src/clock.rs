//! The one source of time: the system's clock, or in tests a clock that is turned by hand.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::model::Timestamp;

/// Tells what time it is.
pub trait Clock: Send + Sync + 'static {
    /// The current time.
    fn now(&self) -> Timestamp;
}

/// The clock of the operating system.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let nanos = match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(after) => i64::try_from(after.as_nanos()).unwrap_or(i64::MAX),
            Err(before) => i64::try_from(before.duration().as_nanos()).map_or(i64::MIN, |nanos| -nanos),
        };
        Timestamp::from_nanos(nanos)
    }
}

/// A clock that stands still until it is turned. Clones share the hands.
///
/// ```
/// use std::sync::Arc;
/// use annals::{Clock, ManualClock, Options, Timestamp};
///
/// let clock = ManualClock::new(Timestamp::parse("2026-01-01T00:00:00Z")?);
/// let options = Options::new("data").clock(Arc::new(clock.clone()));
/// clock.set(Timestamp::parse("2026-01-02T00:00:00Z")?);
/// assert_eq!(clock.now().to_string(), "2026-01-02T00:00:00Z");
/// # Ok::<(), annals::TimestampError>(())
/// ```
#[derive(Debug, Clone)]
pub struct ManualClock(Arc<AtomicI64>);

impl ManualClock {
    /// A clock that shows `start`.
    pub fn new(start: Timestamp) -> ManualClock {
        ManualClock(Arc::new(AtomicI64::new(start.as_nanos())))
    }

    /// Turns the clock to `time`, forward or back.
    pub fn set(&self, time: Timestamp) {
        self.0.store(time.as_nanos(), Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_nanos(self.0.load(Ordering::SeqCst))
    }
}

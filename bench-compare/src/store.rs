//! What a store has to do here.

use std::path::Path;

use crate::event::Event;

pub type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// The version that a stream has after an append, or at which it is instead of the one that was expected.
pub type Outcome = std::result::Result<u64, u64>;

/// Events, each with the name of its stream.
pub type Appends<'a> = dyn Iterator<Item = (String, Event)> + 'a;

/// A store as the workloads use it. What returns is on stable storage, unless its description says otherwise.
pub trait Store: Send + Sync {
    /// Appends events to a stream.
    fn append(&self, stream: &str, events: Vec<Event>) -> Result<()>;

    /// Appends to a stream only if it is at this version. None: the store knows no such condition.
    fn append_at(&self, _stream: &str, _version: u64, _event: Event) -> Option<Result<Outcome>> {
        None
    }

    /// Appends each event to its stream from this one thread, `depth` of them under way at a time. None: a thread can only
    /// have one under way.
    fn append_in_flight(&self, _appends: &mut Appends, _depth: usize) -> Option<Result<()>> {
        None
    }

    /// Appends many events as fast as the store can; only the last return needs to be durable. Tells in which mode.
    fn load(&self, events: &mut Appends) -> Result<&'static str>;

    /// Reads every event from the first to the last, in order, and every byte of it. Tells how many.
    fn replay(&self) -> Result<u64>;

    /// Reads one stream from its first event to its last.
    fn read(&self, stream: &str) -> Result<u64>;

    /// Calls `on_event` for each event that comes from now on, until it says false. None: the store tells nobody of events.
    fn follow(&self, _on_event: &mut dyn FnMut(&[u8]) -> bool) -> Option<Result<()>> {
        None
    }

    /// Lets go of everything, cleanly.
    fn close(self: Box<Self>) -> Result<()>;
}

/// A store that takes part.
#[derive(Clone, Copy)]
pub struct Contender {
    pub name: &'static str,
    /// How it is used.
    pub about: &'static str,
    pub open: fn(&Path, Setup) -> Result<Box<dyn Store>>,
}

/// What a workload asks of a store while it opens it.
#[derive(Clone, Copy)]
pub struct Setup {
    /// Checksums are checked while reading, if the store can choose.
    pub checked: bool,
    /// The length of the store's files, if it has such files and can choose.
    pub file_bytes: u64,
}

/// Looks at every byte, so that no store can leave one unread.
pub fn look_at(bytes: &[u8]) -> u64 {
    let mut words = bytes.chunks_exact(8);
    let sum = words.by_ref().fold(0_u64, |sum, word| {
        sum.wrapping_add(u64::from_le_bytes(word.try_into().expect("a chunk of 8 bytes")))
    });
    words.remainder().iter().fold(sum, |sum, byte| sum.wrapping_add(u64::from(*byte)))
}

//! The ways in which a call to the simulated disk fails, and the count that says which one does.

use std::io;

/// How one operation or read fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// Nothing is done, and this is the error. What was to be synced can be synced later.
    Error(io::ErrorKind),
    /// A sync fails and forgets what it was to write: readers go on seeing it, but no later sync makes it durable
    /// unless it is written again. It is what Linux does. Any other operation fails without doing anything.
    SyncLies,
    /// Nothing is done: the disk is full.
    NoSpace,
    /// A write stops after some of its sectors and fails. Any other operation fails without doing anything.
    ShortWrite,
    /// A read stops after some of its sectors and fails as at the end of the file, whose length it is not. Any other
    /// call fails without doing anything.
    ShortRead,
}

impl Fault {
    /// What the caller is told.
    pub(super) fn error(self) -> io::Error {
        match self {
            Fault::Error(kind) => io::Error::new(kind, "simulated failure"),
            Fault::NoSpace => io::Error::new(io::ErrorKind::StorageFull, "simulated: no space left"),
            Fault::ShortRead => io::Error::new(io::ErrorKind::UnexpectedEof, "simulated end of file"),
            Fault::SyncLies | Fault::ShortWrite => io::Error::other("simulated input/output error"),
        }
    }
}

/// Counts calls of one sort, those that change the disk or those that do not, and knows which of them are to fail.
#[derive(Debug, Default)]
pub(super) struct Operations {
    done: u64,
    failed: u64,
    to_fail: Vec<(u64, Fault)>,
}

impl Operations {
    /// How many there were.
    pub(super) fn count(&self) -> u64 {
        self.done
    }

    /// How many of them have failed.
    pub(super) fn failures(&self) -> u64 {
        self.failed
    }

    /// Counts a failure that was not set.
    pub(super) fn refuse(&mut self, fault: Fault) -> io::Error {
        self.failed += 1;
        fault.error()
    }

    pub(super) fn fail_no_more(&mut self) {
        self.to_fail.clear();
    }

    /// Lets the `n`-th operation from now fail; 1 is the next.
    pub(super) fn fail(&mut self, n: u64, fault: Fault) {
        assert!(n > 0, "operations are counted from 1");
        self.to_fail.push((self.done + n, fault));
    }

    /// Counts one operation, and tells how it fails if it does.
    pub(super) fn next(&mut self) -> Option<Fault> {
        self.done += 1;
        let at = self.to_fail.iter().position(|(number, _)| *number == self.done)?;
        self.failed += 1;
        Some(self.to_fail.swap_remove(at).1)
    }
}

//! What can go wrong, sorted by what the caller does next.

use std::io;
use std::path::{Path, PathBuf};

use crate::model::{Deletion, ExpectedVersion, NameError, Position, StreamName, StreamVersion};

/// The store cannot do what was asked; reading or running it again may help, as each variant says.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused. Look at the path and the reason.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// On which file or directory.
        path: PathBuf,
        /// What the system said.
        source: SharedIoError,
    },
    /// Bytes on disk are not what was written. They are not returned; run `annals verify`.
    #[error("{} is damaged at offset {offset}: {what}", path.display())]
    Damaged {
        /// The damaged file.
        path: PathBuf,
        /// Where in it.
        offset: u64,
        /// What was wanted and what was found.
        what: String,
    },
    /// A write or a sync failed earlier. No append succeeds until the store is reopened; reads go on.
    #[error("the store stopped writing after a failure and must be reopened: {reason}")]
    Failed {
        /// The failure; it names files without their directory.
        reason: String,
    },
    /// There is no space for the next segment. Appends succeed again once there is.
    #[error("no space for the next segment: {reason}; nothing was written, free space and retry")]
    NoSpace {
        /// What the system said.
        reason: String,
    },
    /// Indexes are missing that the answer needs, and building them takes longer than an operation may wait
    /// ([`Options::warming_wait_max`](crate::Options::warming_wait_max)). Nothing was written; try again later. Reads by
    /// position work meanwhile.
    #[error("the indexes of {missing} segments are being built, for about {seconds} s more; try again then")]
    Warming {
        /// How many segments have no index.
        missing: u64,
        /// How long building them will take, in seconds, at the pace so far.
        seconds: u64,
    },
    /// The stream was deleted. After a soft deletion an append makes it again, and its versions go on.
    #[error("stream {stream} was deleted at version {version}")]
    Gone {
        /// The stream.
        stream: StreamName,
        /// The version that it stands at.
        version: StreamVersion,
        /// Whether it can be made again.
        deletion: Deletion,
    },
    /// The store was opened for reading only.
    #[error("the store is open for reading only; open it for writing to do this")]
    ReadOnly,
    /// The store was closed.
    #[error("the store is closed")]
    Closed,
    /// The request contradicts itself or names something that cannot be. Mend the request.
    #[error("{what}")]
    Invalid {
        /// What is wrong, and what would be right.
        what: String,
    },
}

/// An `io::Error` that can be told to several callers.
pub type SharedIoError = std::sync::Arc<io::Error>;

impl Error {
    pub(crate) fn io(action: &'static str, path: impl Into<PathBuf>, source: io::Error) -> Error {
        Error::Io { action, path: path.into(), source: source.into() }
    }

    pub(crate) fn damaged(path: impl Into<PathBuf>, offset: u64, what: impl Into<String>) -> Error {
        Error::Damaged { path: path.into(), offset, what: what.into() }
    }

    pub(crate) fn invalid(what: impl Into<String>) -> Error {
        Error::Invalid { what: what.into() }
    }

    /// What happened, with files by their names alone: it is told to clients, and the directory is not their affair.
    pub(crate) fn reason(&self) -> String {
        let name = |path: &Path| path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        match self {
            Error::Io { action, path, source } => format!("cannot {action} {}: {source}", name(path)),
            Error::Damaged { path, offset, what } => {
                format!("{} is damaged at offset {offset}: {what}", name(path))
            }
            other => other.to_string(),
        }
    }

    /// The same, or if the system refused for lack of space, the error that says so. It is told to clients, so it
    /// names no path.
    pub(crate) fn or_no_space(self) -> Error {
        match &self {
            Error::Io { action, source, .. }
                if matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) =>
            {
                Error::NoSpace { reason: format!("cannot {action} it: {source}") }
            }
            _ => self,
        }
    }
}

/// Why a store did not open.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// There is no store in the directory, and the options do not allow to make one.
    #[error("there is no store in {}; `annals serve` or an append makes one", path.display())]
    NotFound {
        /// The directory.
        path: PathBuf,
    },
    /// Another process writes to the store. Stop it, use its HTTP address, or open for reading only.
    #[error("{} is in use by {holder}; stop it, use its HTTP address (--url), or read only", path.display())]
    Locked {
        /// The directory.
        path: PathBuf,
        /// Who holds it, as far as it told.
        holder: String,
    },
    /// The files were written by a later version. Use that version.
    #[error("{} has {found}, which this version of annals cannot open", path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// What it has that is too new.
        found: String,
    },
    /// Events known to be acknowledged are damaged. Nothing was changed; open for reading only, and verify.
    #[error(
        "acknowledged events are damaged: {} is readable up to position {readable}, but position {durable} was \
         acknowledged ({} at offset {offset}); open for reading only, run `annals verify`, save the rest with \
         `annals salvage`",
        path.display(), what
    )]
    AcknowledgedLoss {
        /// The damaged file.
        path: PathBuf,
        /// Where the first damaged byte was noticed.
        offset: u64,
        /// What was wrong there.
        what: String,
        /// The last position that can be read.
        readable: Position,
        /// The last position known to be acknowledged.
        durable: Position,
    },
    /// The directory was being made by a salvage or a restore that was interrupted. Delete it and begin again.
    #[error(
        "what was to make a store of this directory was not finished, as {} says; delete the directory and begin again",
        path.display()
    )]
    Unfinished {
        /// The file that says so.
        path: PathBuf,
    },
    /// The directory is a backup. Restore it into another one and open that, or open it for reading only.
    #[error(
        "{} is a backup; restore it into another directory (`annals restore`), or read only",
        path.display()
    )]
    Backup {
        /// The directory.
        path: PathBuf,
    },
    /// The clock is more than a year ahead of the last commit. Set it right, or allow the jump.
    #[error(
        "the clock says {now}, more than a year after the last commit at {last}; set it right, or allow the jump (--allow-clock-jump)"
    )]
    ClockAhead {
        /// What the clock says.
        now: crate::model::Timestamp,
        /// The time of the last commit.
        last: crate::model::Timestamp,
    },
    /// Something else is wrong with the directory.
    #[error(transparent)]
    Store(#[from] Error),
}

/// Why an append did not succeed.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum AppendError {
    /// The stream is not as expected. Nothing was written: read the stream, decide again, retry.
    #[error("stream {stream} is at version {actual}, expected {expected}")]
    Conflict {
        /// The stream.
        stream: StreamName,
        /// What the append expected.
        expected: ExpectedVersion,
        /// The version that the stream stands at.
        actual: StreamVersion,
    },
    /// The stream was deleted for ever. Nothing was written: choose another stream.
    #[error("stream {stream} was deleted for ever at version {version}; it takes no events again")]
    Gone {
        /// The stream.
        stream: StreamName,
        /// The version that it stood at.
        version: StreamVersion,
    },
    /// An event matches a query that none was to match. Nothing was written: read what the query finds, decide again,
    /// retry with the position up to which you have read.
    #[error(
        "the event at position {position}, {event_type} in stream {stream}, matches the condition: none was to match it \
         after position {after}"
    )]
    Matched {
        /// The first event that matches.
        position: Position,
        /// Its stream.
        stream: String,
        /// Its type.
        event_type: String,
        /// The position after which none was to match.
        after: Position,
        /// Which of the append's queries, counted from 0.
        condition: usize,
    },
    /// The stream has an event with this id already, and not by an append of just these events. Nothing was written: give
    /// another fact another id, or send the append again as it was.
    #[error(
        "stream {stream} has an event with the id {id} already, which another append wrote or which says something else"
    )]
    IdTaken {
        /// The stream.
        stream: StreamName,
        /// The id.
        id: crate::model::EventId,
    },
    /// Another append was made under this key, with other events. Nothing was written: give another append another key, or
    /// send this one as it was.
    #[error("another append was made under the idempotency key {key}, with other events")]
    KeyTaken {
        /// The key.
        key: crate::model::IdempotencyKey,
    },
    /// Something is larger than the store's limits allow. Nothing was written: send less.
    #[error("{what} has {size} {unit}; at most {max} are allowed")]
    TooLarge {
        /// What is too large.
        what: String,
        /// How large it is.
        size: u64,
        /// The unit of `size` and `max`.
        unit: &'static str,
        /// The limit, as the field of [`Limits`](crate::Limits) that sets it.
        limit: &'static str,
        /// The largest it may be.
        max: u64,
    },
    /// The append is not one that can succeed. Nothing was written: mend it.
    #[error("{what}")]
    Invalid {
        /// What is wrong, and what would be right.
        what: String,
    },
    /// The store did not do it. After [`Error::Failed`] the outcome is unknown until the store is reopened.
    #[error(transparent)]
    Store(#[from] Error),
}

impl From<NameError> for AppendError {
    fn from(error: NameError) -> AppendError {
        AppendError::Invalid { what: error.to_string() }
    }
}

/// Why a snapshot was not saved, found or dropped.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum SnapshotError {
    /// The stream does not reach the version. Save the state at a version that exists.
    #[error("stream {stream} is at version {actual}, so there is no state at version {version}")]
    Ahead {
        /// The stream.
        stream: StreamName,
        /// The version the snapshot was to stand for.
        version: StreamVersion,
        /// The version that the stream stands at.
        actual: StreamVersion,
    },
    /// The state is larger than the store's limits allow.
    #[error("the snapshot has {size} bytes; at most {max} are allowed")]
    TooLarge {
        /// Its size in bytes.
        size: u64,
        /// The largest it may be.
        max: u64,
    },
    /// The store did not do it.
    #[error(transparent)]
    Store(#[from] Error),
}

/// Why an import ended early. Everything committed before stays; run it again after mending.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// The stream already has an event with this id that says something else.
    #[error(
        "event {number} of the import: stream {stream} already has an event with the id {id}, at version {version}, \
         that says something else"
    )]
    Differs {
        /// Which event of the import, counted from 1.
        number: u64,
        /// The stream.
        stream: StreamName,
        /// The id.
        id: crate::model::EventId,
        /// Where the event with that id stands.
        version: StreamVersion,
    },
    /// The batch was not appended.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// The store could not be read.
    #[error(transparent)]
    Store(#[from] Error),
}

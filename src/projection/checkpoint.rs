//! Checkpoints: how far something has come, and the proof that it was in this store.
//!
//! A position alone proves nothing: another store has the same numbers, and so has this one after a restore. A cursor also
//! names the history and the checksum of the event it stands at, and is checked before anybody goes on from it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::format::event::identity;
use crate::model::{HistoryId, Position, RecordedEvent};
use crate::read::Read;
use crate::store::EventStore;

/// A place in the events of one store: everything up to it has been seen. It is written as one short text.
///
/// ```
/// # use annals::{Cursor, EventStore, Options};
/// # let dir = tempfile::tempdir()?;
/// # let store = EventStore::open(Options::new(dir.path()))?;
/// let text = Cursor::at(&store, store.head())?.to_string();
/// let cursor: Cursor = text.parse()?;
/// cursor.check(&store)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Cursor {
    history: HistoryId,
    position: Position,
    /// The checksum of the event at that position; 0 before the first.
    crc: u32,
}

/// Why a cursor cannot be used.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum CursorError {
    /// It is of another store, or of events that this one has no more. Begin again.
    #[error("the cursor is of the history {cursor}, the store of {store}")]
    History {
        /// The cursor's.
        cursor: HistoryId,
        /// The store's.
        store: HistoryId,
    },
    /// It stands behind the last event. Begin again.
    #[error("the cursor stands at position {position}, the last event at {head}")]
    Ahead {
        /// The cursor's.
        position: Position,
        /// The store's.
        head: Position,
    },
    /// The event that it stands at is another one. Begin again.
    #[error("the event at position {position} is not the one that the cursor has seen")]
    Event {
        /// Where.
        position: Position,
    },
    /// The text is no cursor.
    #[error("a cursor is a history, a position and a checksum, such as {example}, not {found}")]
    Text {
        /// What was found.
        found: String,
        /// What one looks like.
        example: &'static str,
    },
    /// The store could not be read.
    #[error(transparent)]
    Store(#[from] Error),
}

impl Cursor {
    /// The cursor that has seen everything up to a position.
    ///
    /// # Errors
    ///
    /// [`CursorError::Ahead`] when there is no event at the position.
    pub fn at(store: &EventStore, position: Position) -> Result<Cursor, CursorError> {
        let head = store.head();
        if position > head {
            return Err(CursorError::Ahead { position, head });
        }
        let crc = crc_at(store, position)?.unwrap_or(0);
        Ok(Cursor { history: store.history(), position, crc })
    }

    /// The cursor that has seen an event and all before it.
    pub(super) fn behind(store: &EventStore, event: &RecordedEvent) -> Cursor {
        Cursor { history: store.history(), position: event.position(), crc: identity(event) }
    }

    pub(super) fn new(history: HistoryId, position: Position, crc: u32) -> Cursor {
        Cursor { history, position, crc }
    }

    /// The history that it is of.
    pub fn history(&self) -> HistoryId {
        self.history
    }

    /// Everything up to here has been seen.
    pub fn position(&self) -> Position {
        self.position
    }

    pub(super) fn crc(&self) -> u32 {
        self.crc
    }

    /// Whether one can go on from it in this store.
    ///
    /// # Errors
    ///
    /// Why not.
    pub fn check(&self, store: &EventStore) -> Result<(), CursorError> {
        let (position, head) = (self.position, store.head());
        if self.history != store.history() {
            return Err(CursorError::History { cursor: self.history, store: store.history() });
        }
        if position > head {
            return Err(CursorError::Ahead { position, head });
        }
        match crc_at(store, position)? {
            Some(crc) if crc != self.crc => Err(CursorError::Event { position }),
            _ => Ok(()),
        }
    }
}

/// The checksum of the event at a position; none where none is held.
fn crc_at(store: &EventStore, position: Position) -> Result<Option<u32>, Error> {
    let read = Read::all().system(true).after(position.previous()).before(position.next());
    let event = if position == Position::START { None } else { store.read(read)?.next().transpose()? };
    Ok(event.as_ref().map(identity))
}

const EXAMPLE: &str = "0f3b9c5e4d2a4b7f8e1d6c3a5b7f9e02:42:cbf43926";

impl fmt::Display for Cursor {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}:{:08x}", self.history, self.position, self.crc)
    }
}

impl FromStr for Cursor {
    type Err = CursorError;

    fn from_str(text: &str) -> Result<Cursor, CursorError> {
        parse(text).ok_or_else(|| CursorError::Text { found: text.to_owned(), example: EXAMPLE })
    }
}

fn parse(text: &str) -> Option<Cursor> {
    let mut parts = text.split(':');
    let (history, position, crc) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() || history.len() != 32 || !history.is_ascii() {
        return None;
    }
    let history = u128::from_str_radix(history, 16).ok()?;
    let position = Position::new(position.parse().ok()?);
    let cursor = Cursor {
        history: HistoryId::from_bytes(history.to_be_bytes()),
        position,
        crc: u32::from_str_radix(crc, 16).ok()?,
    };
    (cursor.to_string() == text).then_some(cursor)
}

impl From<Cursor> for String {
    fn from(cursor: Cursor) -> String {
        cursor.to_string()
    }
}

impl TryFrom<String> for Cursor {
    type Error = CursorError;

    fn try_from(text: String) -> Result<Cursor, CursorError> {
        text.parse()
    }
}

/// What a model saves with its data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Checkpoint {
    /// The events that are in the data.
    pub cursor: Cursor,
    /// The version of the projection that made it.
    pub version: u32,
    /// The events that were set aside.
    pub parked: Vec<Parked>,
}

impl Checkpoint {
    pub(super) fn new(cursor: Cursor, version: u32, parked: Vec<Parked>) -> Checkpoint {
        Checkpoint { cursor, version, parked }
    }
}

/// An event that was set aside because it could not be projected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Parked {
    /// Where it stands.
    pub position: Position,
    /// Why it could not be projected.
    pub reason: String,
}

impl Parked {
    pub(super) fn new(position: Position, reason: String) -> Parked {
        Parked { position, reason }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_reads_as_it_was_written_and_nothing_else_is_one() {
        let cursor = Cursor::new(HistoryId::from_bytes([0x0a; 16]), Position::new(42), 0x00c0_ffee);
        assert_eq!(cursor.to_string().parse::<Cursor>().unwrap(), cursor);
        assert!(EXAMPLE.parse::<Cursor>().is_ok());
        let others = ["", "42", "::", "0f3b:42:cbf43926", "0f3b9c5e4d2a4b7f8e1d6c3a5b7f9e02:042:cbf43926"];
        for other in others {
            assert!(other.parse::<Cursor>().is_err(), "{other}");
        }
        for end in ["", ":", ":+2:cbf43926", ":42:CBF43926", ":42:cbf43926:"] {
            assert!(format!("0f3b9c5e4d2a4b7f8e1d6c3a5b7f9e02{end}").parse::<Cursor>().is_err(), "{end}");
        }
    }
}

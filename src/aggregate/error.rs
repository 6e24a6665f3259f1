//! What can go wrong between a command and its events, sorted by what the caller does next.

use crate::error::{AppendError, Error};
use crate::model::{MetadataError, NameError, Position, StreamName, StreamVersion};
use crate::schema::SchemaError;

/// Why a state was not rebuilt.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The id makes no name of a stream. Choose another id.
    #[error(transparent)]
    Name(#[from] NameError),
    /// A stored event is not what the application expects. Mend the enum, or register what became of the event.
    #[error("version {version} of stream {stream}, at position {position}: {source}")]
    Event {
        /// The stream.
        stream: StreamName,
        /// Where the event stands in it.
        version: StreamVersion,
        /// Where it stands among all events.
        position: Position,
        /// What is wrong with it.
        source: SchemaError,
    },
    /// The store could not be read.
    #[error(transparent)]
    Store(#[from] Error),
}

/// Why events were not appended.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum SaveError {
    /// A value cannot become an event. Mend the enum.
    #[error(transparent)]
    Event(#[from] SchemaError),
    /// The id of the command makes no ids of events. Choose another.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The context or the tags make no metadata. Mend them.
    #[error(transparent)]
    Metadata(#[from] MetadataError),
    /// The store did not take them.
    #[error(transparent)]
    Append(#[from] AppendError),
}

/// Why a command was not executed.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ExecuteError<E: std::error::Error + 'static> {
    /// The aggregate does not do it.
    #[error(transparent)]
    Refused(E),
    /// The state could not be rebuilt.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The events were not appended. A conflict is told only when somebody else was first every time.
    #[error(transparent)]
    Save(#[from] SaveError),
}

impl<E: std::error::Error + 'static> From<NameError> for ExecuteError<E> {
    fn from(error: NameError) -> ExecuteError<E> {
        ExecuteError::Load(error.into())
    }
}

impl<E: std::error::Error + 'static> From<Error> for ExecuteError<E> {
    fn from(error: Error) -> ExecuteError<E> {
        ExecuteError::Load(error.into())
    }
}

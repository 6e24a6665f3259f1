//! Why a projection does not go on, sorted by what its owner does next.

use super::checkpoint::CursorError;
use crate::error::Error;
use crate::model::Position;

/// Why a projection does not go on.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ProjectionError {
    /// An event could not be projected; everything before it is in the model. Mend the projection and start it again, or let it
    /// park such events.
    #[error("the projection {name} stopped at position {position}: {reason}")]
    Stopped {
        /// The projection.
        name: &'static str,
        /// The event.
        position: Position,
        /// What was wrong with it.
        reason: String,
    },
    /// The model was made by another version of the projection. Empty it, or rebuild it beside.
    #[error("the model was made by version {found} of the projection {name}, which is at version {wanted}")]
    Version {
        /// The projection.
        name: &'static str,
        /// The version in the model.
        found: u32,
        /// The version of the projection.
        wanted: u32,
    },
    /// The model is of other events than those of this store. Empty it, or look for the right store.
    #[error("the model of the projection {name} does not fit the store: {source}")]
    Cursor {
        /// The projection.
        name: &'static str,
        /// What does not fit.
        source: CursorError,
    },
    /// The model could not read or save. Nothing of what was to be saved is in it.
    #[error("the model of the projection {name} failed: {reason}")]
    Model {
        /// The projection.
        name: &'static str,
        /// What it says.
        reason: String,
    },
    /// The projection has not come that far in time. It goes on; wait longer, or answer from what is there.
    #[error("the projection {name} has seen position {seen}, not yet {wanted}")]
    Behind {
        /// The projection.
        name: &'static str,
        /// What was waited for.
        wanted: Position,
        /// How far it has come.
        seen: Position,
    },
    /// The store was closed.
    #[error("the projection {name} ended with its store")]
    Closed {
        /// The projection.
        name: &'static str,
    },
    /// The store could not be read.
    #[error(transparent)]
    Store(#[from] Error),
}

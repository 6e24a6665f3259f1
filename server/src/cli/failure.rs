//! How a command fails, and the one map from failures to exit codes.
//!
//! A failure says what to do next: mend the request, mend the command line, or mend the store. Everything that the
//! library can answer is sorted into one of these here and nowhere else.

use std::process::ExitCode;

use annals::{AppendError, Error, ImportError, OpenError};

use crate::wire::WireError;

/// Why a command did not do what it was told. The text is for people and goes to standard error.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The request was understood and refused: a conflict, nothing found, an event that is none, damage found.
    #[error("{0}")]
    Request(String),
    /// The command line or the configuration makes no sense.
    #[error("{0}")]
    Usage(String),
    /// The store or the server cannot be used at all: locked, missing, failed, unreachable.
    #[error("{0}")]
    Unusable(String),
    /// Whoever read standard output went away, as in `annals export | head`. That is no fault of anyone.
    #[error("standard output was closed")]
    OutputClosed,
}

impl Failure {
    /// The exit code of the process.
    pub(crate) fn exit_code(&self) -> ExitCode {
        match self {
            Failure::OutputClosed => ExitCode::SUCCESS,
            Failure::Request(_) => ExitCode::from(1),
            Failure::Usage(_) => ExitCode::from(2),
            Failure::Unusable(_) => ExitCode::from(3),
        }
    }

    /// The same kind of failure, told with more around it.
    #[must_use]
    pub(crate) fn told_as(self, tell: impl FnOnce(String) -> String) -> Failure {
        match self {
            Failure::Request(text) => Failure::Request(tell(text)),
            Failure::Usage(text) => Failure::Usage(tell(text)),
            Failure::Unusable(text) => Failure::Unusable(tell(text)),
            Failure::OutputClosed => Failure::OutputClosed,
        }
    }
}

impl From<OpenError> for Failure {
    fn from(error: OpenError) -> Failure {
        Failure::Unusable(error.to_string())
    }
}

/// A command that makes a directory of its own is refused like a request where the library refuses one.
pub(crate) fn making(error: OpenError) -> Failure {
    match error {
        OpenError::Store(error) => error.into(),
        error => error.into(),
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        match error {
            Error::Damaged { .. } | Error::Gone { .. } | Error::Invalid { .. } => {
                Failure::Request(error.to_string())
            }
            _ => Failure::Unusable(error.to_string()),
        }
    }
}

impl From<WireError> for Failure {
    /// Flags that contradict what a parameter may be. What comes from a file says so in its own way.
    fn from(error: WireError) -> Failure {
        Failure::Usage(error.to_string())
    }
}

impl From<AppendError> for Failure {
    fn from(error: AppendError) -> Failure {
        match error {
            AppendError::Store(error) => error.into(),
            refused => Failure::Request(refused.to_string()),
        }
    }
}

impl From<ImportError> for Failure {
    fn from(error: ImportError) -> Failure {
        match error {
            ImportError::Append(error) => error.into(),
            ImportError::Store(error) => error.into(),
            refused => Failure::Request(refused.to_string()),
        }
    }
}

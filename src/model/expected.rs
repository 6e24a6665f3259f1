//! The condition an append sets on a stream it writes to.

use std::fmt;

use super::StreamVersion;

/// What a writer believes about a stream. An append whose belief is wrong writes nothing.
///
/// ```
/// use annals::{ExpectedVersion, StreamVersion};
///
/// let expected: ExpectedVersion = StreamVersion::new(5).into();
/// assert!(expected.holds_at(StreamVersion::new(5)));
/// assert_eq!("none".parse(), Ok(ExpectedVersion::None));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ExpectedVersion {
    /// No belief: append to whatever is there.
    Any,
    /// The stream has no events yet.
    None,
    /// The stream has at least one event.
    Exists,
    /// The stream stands at exactly this version.
    Exactly(StreamVersion),
}

impl ExpectedVersion {
    /// Whether a stream that stands at `actual` is as expected.
    pub fn holds_at(self, actual: StreamVersion) -> bool {
        match self {
            ExpectedVersion::Any => true,
            ExpectedVersion::None => actual == StreamVersion::START,
            ExpectedVersion::Exists => actual > StreamVersion::START,
            ExpectedVersion::Exactly(version) => actual == version,
        }
    }
}

impl From<StreamVersion> for ExpectedVersion {
    fn from(version: StreamVersion) -> ExpectedVersion {
        ExpectedVersion::Exactly(version)
    }
}

impl fmt::Display for ExpectedVersion {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ExpectedVersion::Any => out.write_str("any"),
            ExpectedVersion::None => out.write_str("none"),
            ExpectedVersion::Exists => out.write_str("exists"),
            ExpectedVersion::Exactly(version) => version.fmt(out),
        }
    }
}

/// Why a text is not an expected version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an expected version is `any`, `none`, `exists` or a number")]
pub struct ExpectedVersionError;

impl std::str::FromStr for ExpectedVersion {
    type Err = ExpectedVersionError;

    fn from_str(text: &str) -> Result<ExpectedVersion, ExpectedVersionError> {
        match text {
            "any" => Ok(ExpectedVersion::Any),
            "none" => Ok(ExpectedVersion::None),
            "exists" => Ok(ExpectedVersion::Exists),
            number => match number.parse() {
                Ok(version) => Ok(ExpectedVersion::Exactly(StreamVersion::new(version))),
                Err(_) => Err(ExpectedVersionError),
            },
        }
    }
}

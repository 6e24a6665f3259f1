//! What serde says is wrong with a value or with data, sorted by what a schema does with it.

use std::fmt;

use serde::{de, ser};

/// Why a value did not become an event, or data no value.
#[derive(Debug)]
pub(super) enum Fault {
    /// The enum has no such variant, only these.
    Unknown(&'static [&'static str]),
    Other(String),
}

impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Unknown(known) => write!(out, "no variant but {}", known.join(", ")),
            Fault::Other(reason) => out.write_str(reason),
        }
    }
}

impl std::error::Error for Fault {}

impl ser::Error for Fault {
    fn custom<T: fmt::Display>(message: T) -> Fault {
        Fault::Other(message.to_string())
    }
}

impl de::Error for Fault {
    fn custom<T: fmt::Display>(message: T) -> Fault {
        Fault::Other(message.to_string())
    }

    fn unknown_variant(_: &str, expected: &'static [&'static str]) -> Fault {
        Fault::Unknown(expected)
    }
}

impl From<serde_json::Error> for Fault {
    fn from(error: serde_json::Error) -> Fault {
        Fault::Other(error.to_string())
    }
}

//! What is wrong with something a client wrote: in which line, in which field, and what would be right.

use std::fmt;

/// Why a body, an event or a parameter was refused. The sender mends it; sending it again as it is does not help.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WireError {
    /// The line of the body, counted from 1, where lines mean something.
    pub(crate) line: Option<u64>,
    /// The field or parameter, as a path such as `[2].metadata`.
    pub(crate) field: Option<String>,
    /// What is wrong with it.
    pub(crate) what: String,
    /// The limit that was passed, when that is what is wrong.
    pub(crate) limit: Option<Passed>,
}

/// A limit that a body passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Passed {
    /// Its name in `GET /limits`.
    pub(crate) name: &'static str,
    /// The most it allows.
    pub(crate) max: u64,
}

impl WireError {
    /// Something is wrong with the whole.
    pub(crate) fn new(what: impl Into<String>) -> WireError {
        WireError { line: None, field: None, what: what.into(), limit: None }
    }

    /// Something is wrong with one field.
    pub(crate) fn field(field: impl Into<String>, what: impl fmt::Display) -> WireError {
        WireError { field: Some(field.into()), ..WireError::new(what.to_string()) }
    }

    /// It is more than is allowed.
    pub(crate) fn too_many(what: impl Into<String>, name: &'static str, max: u64) -> WireError {
        WireError { limit: Some(Passed { name, max }), ..WireError::new(what) }
    }

    /// The text is not JSON, or not JSON of the shape that is wanted.
    pub(crate) fn json(error: &serde_json::Error) -> WireError {
        let text = error.to_string();
        // The line is a field of its own here; for a line of NDJSON it is another one than the parser's.
        let reason = text.rfind(" at line ").map_or(text.as_str(), |at| &text[..at]);
        WireError {
            line: (error.line() > 0).then_some(error.line() as u64),
            ..WireError::new(format!("not the JSON that is wanted: {reason} at column {}", error.column()))
        }
    }

    /// The same error, of line `line` of the body.
    pub(crate) fn at_line(mut self, line: u64) -> WireError {
        self.line = Some(line);
        self
    }

    /// The same error, of something that lies at `path`.
    pub(crate) fn within(mut self, path: &str) -> WireError {
        self.field = Some(match self.field {
            Some(field) if field.starts_with('[') => format!("{path}{field}"),
            Some(field) => format!("{path}.{field}"),
            None => path.to_owned(),
        });
        self
    }
}

impl fmt::Display for WireError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(out, "line {line}: ")?;
        }
        if let Some(field) = &self.field {
            write!(out, "`{field}`: ")?;
        }
        out.write_str(&self.what)
    }
}

impl std::error::Error for WireError {}

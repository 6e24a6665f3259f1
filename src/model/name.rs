//! Names: of streams, event types, sources and content types, each checked once, where it enters.

use std::fmt;
use std::sync::Arc;

/// The longest stream name, type, id, source or content type, in bytes.
pub const NAME_BYTES_MAX: usize = 255;

/// Stream names that HTTP paths under `/events/` need for themselves.
const ROUTE_NAMES: [&str; 4] = [".", "..", "stream", "by-id"];

/// Why a text is not a legal name. The text itself is not repeated: it may be long or secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// Give it at least one byte.
    #[error("{what} is empty; give it 1 to {NAME_BYTES_MAX} bytes")]
    Empty {
        /// What the text was to name.
        what: &'static str,
    },
    /// Shorten it.
    #[error("{what} is {len} bytes long; at most {NAME_BYTES_MAX} are allowed")]
    TooLong {
        /// What the text was to name.
        what: &'static str,
        /// Its length in bytes.
        len: usize,
    },
    /// Remove the control character.
    #[error("{what} contains a control character at byte {at}")]
    Control {
        /// What the text was to name.
        what: &'static str,
        /// Where the character begins.
        at: usize,
    },
    /// Choose another name.
    #[error("`{name}` cannot name a stream: it is kept for paths; choose another name")]
    Route {
        /// The name that is taken.
        name: String,
    },
}

/// Checks what all names have in common.
pub(crate) fn check_name(what: &'static str, text: &str) -> Result<(), NameError> {
    if text.is_empty() {
        return Err(NameError::Empty { what });
    }
    if text.len() > NAME_BYTES_MAX {
        return Err(NameError::TooLong { what, len: text.len() });
    }
    // Nearly all names are so, and that is seen without taking them for characters.
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return Ok(());
    }
    match text.char_indices().find(|(_, c)| c.is_control()) {
        Some((at, _)) => Err(NameError::Control { what, at }),
        None => Ok(()),
    }
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, out)
            }
        }

        impl std::str::FromStr for $name {
            type Err = NameError;

            fn from_str(text: &str) -> Result<$name, NameError> {
                $name::parse(text)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
    };
}

name!(
    /// The name of a stream: 1 to 255 bytes of UTF-8 without control characters.
    ///
    /// A name that starts with `$` belongs to the store. `.`, `..`, `stream` and `by-id` are refused, because
    /// they could not be reached over HTTP.
    ///
    /// ```
    /// use annals::StreamName;
    ///
    /// let name = StreamName::parse("order-6789")?;
    /// assert_eq!(name.category(), "order");
    /// assert!(StreamName::parse("").is_err());
    /// # Ok::<(), annals::NameError>(())
    /// ```
    StreamName
);
name!(
    /// What kind of fact an event is, such as `order.created`: 1 to 255 bytes without control characters.
    EventType
);
name!(
    /// Who says so: the system or component an event comes from; 1 to 255 bytes without control characters.
    Source
);
name!(
    /// The media type of data that is not JSON, such as `image/png`; 1 to 255 bytes without control characters.
    ContentType
);
name!(
    /// What a writer calls an append, so that it is made once however often it is sent: 1 to 255 bytes without control
    /// characters.
    IdempotencyKey
);

impl StreamName {
    /// Checks `text` and keeps it.
    pub fn parse(text: &str) -> Result<StreamName, NameError> {
        check_name("a stream name", text)?;
        if ROUTE_NAMES.contains(&text) {
            return Err(NameError::Route { name: text.to_owned() });
        }
        Ok(StreamName(text.into()))
    }

    /// The part before the first `-`, or the whole name.
    pub fn category(&self) -> &str {
        category_of(&self.0)
    }

    /// Whether the store itself writes this stream: its name starts with `$`.
    pub fn is_system(&self) -> bool {
        self.0.starts_with('$')
    }
}

/// The category of a stream by its name.
pub(crate) fn category_of(stream: &str) -> &str {
    stream.split_once('-').map_or(stream, |(category, _)| category)
}

macro_rules! parse {
    ($($name:ident, $what:literal;)*) => {$(
        impl $name {
            /// Checks `text` and keeps it.
            pub fn parse(text: &str) -> Result<$name, NameError> {
                check_name($what, text)?;
                Ok($name(text.into()))
            }
        }
    )*};
}

parse! {
    EventType, "an event type";
    Source, "a source";
    ContentType, "a content type";
    IdempotencyKey, "an idempotency key";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_of_255_bytes_is_legal_and_one_of_256_is_not() {
        assert!(StreamName::parse(&"a".repeat(255)).is_ok());
        assert_eq!(
            StreamName::parse(&"a".repeat(256)),
            Err(NameError::TooLong { what: "a stream name", len: 256 })
        );
    }

    #[test]
    fn control_characters_are_refused_with_their_place() {
        assert_eq!(EventType::parse("a\nb"), Err(NameError::Control { what: "an event type", at: 1 }));
        assert_eq!(Source::parse("ü\u{85}"), Err(NameError::Control { what: "a source", at: 2 }));
    }

    #[test]
    fn names_that_http_paths_need_are_refused() {
        for name in ROUTE_NAMES {
            assert!(matches!(StreamName::parse(name), Err(NameError::Route { .. })), "{name}");
        }
    }

    #[test]
    fn the_category_ends_at_the_first_dash() {
        assert_eq!(category_of("order-1-2"), "order");
        assert_eq!(category_of("orders"), "orders");
        assert_eq!(category_of("-x"), "");
    }
}

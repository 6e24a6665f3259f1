//! CloudEvents 1.0: the same events in the attributes of that specification, read and written in its three modes.
//!
//! | attribute | what it is |
//! |---|---|
//! | `id`, `type` | the same |
//! | `source` | the same; an event without one gets the text that the server is configured with, and loses it on its return |
//! | `subject` | the stream |
//! | `time` | the timestamp |
//! | `datacontenttype`, `data`, `data_base64` | the data and its content type |
//! | `correlationid`, `causationid` | these fields of the metadata |
//! | any other extension | the field of the metadata with that name, when it is a text, a whole number or a truth value |
//! | `annalsmetadata` | the metadata as it is stored, unless the attributes above say all of it |
//! | `sequence`, `recordedtime` | the position, of 20 digits, and the commit time; both are dropped on their return |
//!
//! Invariant: an event that is written and read again is the same, byte for byte in its data and metadata, in every mode.
//! The one exception is data that calls itself `application/json` without being stored as JSON: it becomes that.

mod header;
mod read;
#[cfg(test)]
mod tests;
mod write;

pub(crate) use header::{decode_value, encode_value};
pub(crate) use read::{parse_cloud_event, parse_cloud_headers};
pub(crate) use write::{cloud_attributes, cloud_body, write_cloud_event};

/// The version of the specification.
const SPEC_VERSION: &str = "1.0";

/// The attribute that holds the metadata as it is stored.
const METADATA: &str = "annalsmetadata";

/// The attribute for the trace that an append was part of.
const TRACEPARENT: &str = "traceparent";

/// Fields of the metadata whose attributes have other names: the attribute, the field.
const RENAMED: [(&str, &str); 2] = [("correlationid", "correlationId"), ("causationid", "causationId")];

/// Names that are no extension: attributes with a meaning of their own, and members for the data.
const RESERVED: [&str; 13] = [
    "specversion",
    "id",
    "source",
    "type",
    "subject",
    "time",
    "datacontenttype",
    "data",
    "sequence",
    "recordedtime",
    METADATA,
    RENAMED[0].0,
    RENAMED[1].0,
];

/// The content type of data that is kept as JSON.
const JSON: &str = "application/json";

/// What a content type says of the data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// It is JSON, and that is all there is to say.
    Json,
    /// It is JSON of some kind.
    JsonOf,
    /// It is anything else.
    Other,
}

impl Kind {
    fn of(content_type: &str) -> Kind {
        let media_type = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match media_type.as_str() {
            JSON => Kind::Json,
            other if other.ends_with("+json") || other.ends_with("/json") => Kind::JsonOf,
            _ => Kind::Other,
        }
    }
}

/// Whether an extension may have this name: small letters and digits.
fn is_extension_name(name: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    !name.is_empty() && name.bytes().all(legal)
}

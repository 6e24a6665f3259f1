//! What each parameter and each header means, and which values it may have.

use serde_json::{Value, json};

use super::reference;
use crate::http::paths;
use crate::http::streams::STREAMS_MAX;

/// A parameter in a path, in a query or among the headers: its name, its values, and what it means.
pub(super) type Parameter = (&'static str, Values, &'static str);

/// The values that a parameter may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Values {
    /// A text that may be empty.
    Text,
    /// One name, or several between commas.
    Names,
    Count,
    /// A number that is at least 1.
    Number,
    /// A number from 1 to this one.
    UpTo(u64),
    Time,
    Flag,
    OneOf(&'static [&'static str]),
    /// What matches a pattern.
    Like(&'static str),
    /// A name that is not longer than names are.
    Label,
    /// What a schema of the document describes.
    Schema(&'static str),
}

impl Values {
    /// Their schema.
    pub(super) fn schema(self) -> Value {
        match self {
            Values::Text => json!({"type": "string"}),
            Values::Names => json!({"type": "string", "pattern": "^[^,]+(,[^,]+)*$"}),
            Values::Count => json!({"type": "integer", "minimum": 0, "maximum": u64::MAX}),
            Values::Number => json!({"type": "integer", "minimum": 1, "maximum": u64::MAX}),
            Values::UpTo(max) => json!({"type": "integer", "minimum": 1, "maximum": max}),
            Values::Time => json!({"type": "string", "format": "date-time"}),
            Values::Flag => json!({"type": "boolean"}),
            Values::OneOf(words) => json!({"type": "string", "enum": words}),
            Values::Like(pattern) => json!({"type": "string", "pattern": pattern}),
            Values::Label => {
                json!({"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[ -~]+$"})
            }
            Values::Schema(name) => reference(name),
        }
    }
}

pub(super) const IF_MATCH: Parameter = (
    "If-Match",
    Values::Like(r#"^(\*|"[0-9]{1,18}"(, ?"[0-9]{1,18}")*)$"#),
    "The versions that the stream may have, or *: it exists.",
);
pub(super) const IF_NONE_MATCH_APPEND: Parameter =
    ("If-None-Match", Values::OneOf(&["*"]), "*: the stream does not exist.");
pub(super) const IF_NONE_MATCH: Parameter =
    ("If-None-Match", Values::Text, "The ETag of what the client has.");
pub(super) const KEY: Parameter = (
    "Idempotency-Key",
    Values::Label,
    "The client's name for the request: sent again under it, it is done once and answered alike.",
);
pub(super) const LAST_EVENT_ID: Parameter =
    ("Last-Event-ID", Values::Like("^[0-9]{0,18}$"), "The last position that the client got; beats `after`.");

/// The names in paths.
pub(super) const IN_PATHS: &[Parameter] = &[
    ("stream", Values::Schema("StreamName"), "The name of a stream, percent-encoded."),
    ("id", Values::Schema("EventId"), "The id of an event, percent-encoded."),
];

/// Parameters that mean something else on one route than on the others.
pub(super) const OF_ROUTES: &[(&str, Parameter)] =
    &[(paths::STREAMS, ("limit", Values::UpTo(STREAMS_MAX), "At most so many streams. Default: 100."))];

/// One tag, or several between commas.
const TAGS: &str = r"^[^,:\u0000-\u001f\u007f-\u009f]+:[^,\u0000-\u001f\u007f-\u009f]+(,[^,:\u0000-\u001f\u007f-\u009f]+:[^,\u0000-\u001f\u007f-\u009f]+)*$";

/// Every parameter of a query.
pub(super) const PARAMETERS: &[Parameter] = &[
    ("types", Values::Names, "The type is one of these, separated by commas, or repeated."),
    ("tags", Values::Like(TAGS), "All of these tags are there, separated by commas, or repeated."),
    ("streams", Values::Names, "The stream is one of these, separated by commas, or repeated."),
    ("prefix", Values::Text, "The name of the stream begins so."),
    ("categories", Values::Names, "The category is one of these, separated by commas, or repeated."),
    ("category", Values::Text, "The category of the stream."),
    ("correlationId", Values::Text, "The correlation id of the metadata."),
    ("tenantId", Values::Text, "The tenant id of the metadata."),
    (
        "after",
        Values::Like("^([0-9]{1,18}|head)$"),
        "Only what lies after this position, exclusive; `head` is what only comes.",
    ),
    ("before", Values::Count, "Only what lies before this position, exclusive."),
    ("since", Values::Time, "Only what was committed at this time or later."),
    ("until", Values::Time, "Only what was committed at this time or earlier."),
    ("direction", Values::OneOf(&["forward", "backward"]), "The order of positions, or from the last back."),
    ("limit", Values::Count, "At most so many. Default: everything in lines, 100 in a page."),
    ("system", Values::Flag, "Also streams of the store itself; for the scope admin."),
    ("history", Values::Text, "The history that the cursor was made in; 409 when it is another one now."),
    (
        "cloudEvents",
        Values::OneOf(&["binary"]),
        "One event as the answer: its attributes as headers, its data as the body, in whatever media type that has.",
    ),
    ("from", Values::Count, "From this version of the stream on, inclusive."),
    ("to", Values::Count, "Up to this version of the stream, inclusive."),
    (
        "expectedVersion",
        Values::Like("^([0-9]{1,18}|none|exists|any)$"),
        "A version, `none`, `exists` or `any`; 409 when it is another one.",
    ),
    ("asOf", Values::Time, "Only what had been committed at this time."),
    ("snapshot", Values::Flag, "Begin with the newest usable snapshot."),
    ("version", Values::Number, "The version that the state stands for; required."),
    ("deep", Values::Flag, "Also follow versions, and compare indexes with the log."),
    ("hard", Values::Flag, "The stream takes no event again."),
    ("live", Values::Flag, "`false`: end at the head."),
    (
        "named",
        Values::Flag,
        "`false`: blocks have no `event:`, so that `onmessage` of an EventSource gets every type.",
    ),
    (
        "envelope",
        Values::OneOf(&["false", "true", "cloudevents"]),
        "`true`: the whole event as data; `cloudevents`: as a CloudEvent.",
    ),
];

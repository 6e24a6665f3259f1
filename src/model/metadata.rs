//! Metadata: a JSON object beside the data, kept as written; a few of its fields mean something to the store.

use std::borrow::Cow;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::label::{LABEL_BYTES_MAX, Label, Labels};

/// The most tags an event carries.
pub const TAGS_MAX: usize = 32;

/// The longest tag, in bytes.
pub const TAG_BYTES_MAX: usize = 128;

/// What surrounds an event: a JSON object, stored byte for byte.
///
/// `correlationId`, `causationId`, `tenantId`, `routingKey` (texts) and `tags` (a list of `key:value`) find the
/// event later; every other field is the writer's own.
///
/// ```
/// use annals::Metadata;
///
/// let metadata = Metadata::default().with("correlationId", &"corr-1")?.with("attempt", &3)?;
/// assert_eq!(metadata.as_json(), r#"{"correlationId":"corr-1","attempt":3}"#);
/// # Ok::<(), annals::MetadataError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metadata {
    json: Bytes,
    labels: Labels,
}

/// Why a JSON text cannot be an event's metadata.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MetadataError {
    /// Give a JSON object whose known fields have their types.
    #[error("metadata is not a JSON object with the types annals knows: {reason}")]
    Json {
        /// What the parser says.
        reason: String,
    },
    /// Shorten the field.
    #[error("metadata.{field} is {len} bytes long; at most {max} are allowed")]
    TooLong {
        /// The field's name.
        field: &'static str,
        /// Its length in bytes.
        len: usize,
        /// The longest it may be.
        max: usize,
    },
    /// Carry fewer tags.
    #[error("metadata.tags has {count} tags; at most {TAGS_MAX} are allowed")]
    TooManyTags {
        /// How many there are.
        count: usize,
    },
    /// Write the tag as `key:value`, without control characters.
    #[error("metadata.tags[{index}] is not of the form key:value without control characters")]
    Tag {
        /// Which tag, counted from 0.
        index: usize,
    },
    /// Give the field once.
    #[error("metadata has the field `{field}` already, with another value")]
    Twice {
        /// The field's name.
        field: String,
    },
}

/// The fields that become labels.
#[derive(Deserialize)]
struct Known<'a> {
    #[serde(borrow, default, rename = "correlationId")]
    correlation_id: Option<Cow<'a, str>>,
    #[serde(borrow, default, rename = "causationId")]
    causation_id: Option<Cow<'a, str>>,
    #[serde(borrow, default, rename = "tenantId")]
    tenant_id: Option<Cow<'a, str>>,
    #[serde(borrow, default, rename = "routingKey")]
    routing_key: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    tags: Option<Vec<Cow<'a, str>>>,
}

impl Default for Metadata {
    fn default() -> Metadata {
        Metadata { json: Bytes::from_static(b"{}"), labels: Labels::default() }
    }
}

impl Metadata {
    /// Takes a JSON object as it is, once its known fields are checked.
    pub fn parse(json: impl Into<Bytes>) -> Result<Metadata, MetadataError> {
        let json = json.into();
        if json.first() != Some(&b'{') {
            // A derived struct would also accept a JSON array.
            return Err(MetadataError::Json { reason: "it does not start with `{`".to_owned() });
        }
        // The parser passes over fields it does not know without looking whether they are text.
        let text =
            std::str::from_utf8(&json).map_err(|error| MetadataError::Json { reason: error.to_string() })?;
        let known: Known<'_> = serde_json::from_str(text).map_err(bad_json)?;
        let labels = labels_of(&known)?;
        Ok(Metadata { json, labels })
    }

    /// The same with one more field. A field that is there already must be there with the same value.
    pub fn with(&self, field: &str, value: &impl Serialize) -> Result<Metadata, MetadataError> {
        let value = serde_json::value::to_raw_value(value).map_err(bad_json)?;
        if let Some(present) = self.field(field) {
            return match same_value(present, &value) {
                true => Ok(self.clone()),
                false => Err(MetadataError::Twice { field: field.to_owned() }),
            };
        }
        let open = self.as_json().trim_end().strip_suffix('}').expect("metadata is a JSON object").trim_end();
        let comma = if open.ends_with('{') { "" } else { "," };
        let name = serde_json::to_string(field).map_err(bad_json)?;
        Metadata::parse(format!("{open}{comma}{name}:{value}}}"))
    }

    /// One field as JSON text.
    pub fn field(&self, name: &str) -> Option<&RawValue> {
        // A name with an escape in it is looked up by its meaning, hence the owned keys.
        let fields: std::collections::HashMap<String, &RawValue> = serde_json::from_slice(&self.json).ok()?;
        fields.get(name).copied()
    }

    /// The JSON object as text.
    pub fn as_json(&self) -> &str {
        std::str::from_utf8(&self.json).expect("parsing checks that metadata is UTF-8")
    }

    /// The JSON object as bytes.
    pub fn bytes(&self) -> &Bytes {
        &self.json
    }

    /// The fields that find the event, packed.
    pub(crate) fn labels(&self) -> &Labels {
        &self.labels
    }
}

/// Whether two JSON texts have the same value. Those that are too deep or too large to be compared have it only as
/// the same text.
fn same_value(one: &RawValue, other: &RawValue) -> bool {
    let value = |json: &RawValue| serde_json::from_str::<serde_json::Value>(json.get()).ok();
    one.get() == other.get() || value(one).is_some_and(|one| Some(one) == value(other))
}

fn bad_json(error: serde_json::Error) -> MetadataError {
    MetadataError::Json { reason: error.to_string() }
}

fn labels_of(known: &Known<'_>) -> Result<Labels, MetadataError> {
    let tags = known.tags.as_deref().unwrap_or_default();
    if tags.len() > TAGS_MAX {
        return Err(MetadataError::TooManyTags { count: tags.len() });
    }
    for (index, tag) in tags.iter().enumerate() {
        if tag.len() > TAG_BYTES_MAX {
            return Err(MetadataError::TooLong { field: "tags", len: tag.len(), max: TAG_BYTES_MAX });
        }
        let pair = tag.split_once(':').is_some_and(|(key, value)| !key.is_empty() && !value.is_empty());
        if !pair || tag.chars().any(char::is_control) {
            return Err(MetadataError::Tag { index });
        }
    }
    let texts = [
        (Label::CorrelationId, "correlationId", &known.correlation_id),
        (Label::CausationId, "causationId", &known.causation_id),
        (Label::TenantId, "tenantId", &known.tenant_id),
        (Label::RoutingKey, "routingKey", &known.routing_key),
    ];
    for (_, field, text) in &texts {
        if let Some(text) = text
            && text.len() > LABEL_BYTES_MAX
        {
            return Err(MetadataError::TooLong { field, len: text.len(), max: LABEL_BYTES_MAX });
        }
    }
    let texts = texts.iter().filter_map(|(label, _, text)| Some((*label, text.as_deref()?)));
    Ok(Labels::pack(texts.chain(tags.iter().map(|tag| (Label::Tag, tag.as_ref())))))
}

#[cfg(test)]
mod tests {
    use super::super::label::unpack;
    use super::*;

    #[test]
    fn known_fields_become_labels_and_the_text_stays_as_it_was() {
        let json = r#"{ "tags":["a:b"], "correlationId":"c", "x":null, "tenantId":null }"#;
        let metadata = Metadata::parse(json).expect("legal");
        assert_eq!(metadata.as_json(), json);
        assert!(unpack(metadata.labels().as_bytes()).eq([(Label::CorrelationId, "c"), (Label::Tag, "a:b")]));
    }

    #[test]
    fn metadata_of_a_wrong_shape_is_refused() {
        for json in
            ["[]", "null", "{", r#"{"correlationId":5}"#, r#"{"tags":["plain"]}"#, r#"{"tags":[":x"]}"#]
        {
            assert!(Metadata::parse(json).is_err(), "{json}");
        }
        assert!(Metadata::parse(&b"{\"free\":\"\xff\"}"[..]).is_err());
        let tags: Vec<String> = (0..33).map(|n| format!("n:{n}")).collect();
        assert_eq!(Metadata::default().with("tags", &tags), Err(MetadataError::TooManyTags { count: 33 }));
    }

    #[test]
    fn a_field_can_be_added_once_or_again_with_the_same_value() {
        let metadata = Metadata::parse("{ \"a\": 1 }").expect("legal");
        let more = metadata.with("version", &"1.0").expect("a new field");
        assert_eq!(more.as_json(), "{ \"a\": 1,\"version\":\"1.0\"}");
        assert_eq!(more.with("version", &"1.0"), Ok(more.clone()));
        assert_eq!(more.with("version", &"2.0"), Err(MetadataError::Twice { field: "version".to_owned() }));
    }

    #[test]
    fn values_that_cannot_be_compared_are_not_taken_for_the_same() {
        let raw = |json: &str| RawValue::from_string(json.to_owned()).expect("is JSON");
        let metadata = Metadata::parse(r#"{"n":1e400}"#).expect("legal");
        assert_eq!(metadata.with("n", &raw("1e400")), Ok(metadata.clone()));
        assert!(metadata.with("n", &raw("2e400")).is_err());
    }
}

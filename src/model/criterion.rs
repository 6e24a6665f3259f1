//! A criterion: a name with a value that an event carries, as a tag or in its metadata.

use std::collections::HashMap;

use serde_json::value::RawValue;

use super::RecordedEvent;

/// What an event satisfies by the tag `key:value`, or by the field `key` of its metadata when that is this text, number or
/// truth value.
///
/// Unlike the other parts of a query it is no term of an index: events that the rest of the query finds are looked at one
/// by one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Criterion {
    /// The tag's part before the first `:`, or the field's name.
    pub key: String,
    /// The tag's part behind it, or the field's value: a text without quotes, a number as it was written, `true` or `false`.
    pub value: String,
}

impl Criterion {
    pub(super) fn matches(&self, event: &RecordedEvent) -> bool {
        let is_tag = |tag: &str| tag.split_once(':') == Some((&self.key, &self.value));
        event.tags().any(is_tag) || event.metadata().is_some_and(|json| self.is_field_of(json))
    }

    fn is_field_of(&self, metadata: &str) -> bool {
        // A name with an escape in it is looked up by its meaning, hence the owned keys.
        let Ok(fields) = serde_json::from_str::<HashMap<String, &RawValue>>(metadata) else { return false };
        let Some(json) = fields.get(&self.key).map(|json| json.get()) else { return false };
        match json.as_bytes().first() {
            Some(b'"') => serde_json::from_str::<String>(json).is_ok_and(|text| text == self.value),
            Some(b'{' | b'[' | b'n') | None => false,
            Some(_) => json == self.value,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn has(metadata: &str, key: &str, value: &str) -> bool {
        Criterion { key: key.to_owned(), value: value.to_owned() }.is_field_of(metadata)
    }

    #[test]
    fn a_field_is_compared_by_its_meaning_when_it_is_a_text_and_as_written_otherwise() {
        let metadata =
            r#"{"text":"a\"b","number":1.50,"yes":true,"n\u0061me":"x","null":null,"list":["a"],"map":{}}"#;
        assert!(has(metadata, "text", "a\"b"));
        assert!(has(metadata, "number", "1.50") && !has(metadata, "number", "1.5"));
        assert!(has(metadata, "yes", "true") && !has(metadata, "yes", "\"true\""));
        assert!(has(metadata, "name", "x"));
        for (key, value) in [("null", "null"), ("list", "[\"a\"]"), ("map", "{}"), ("absent", "")] {
            assert!(!has(metadata, key, value), "{key}");
        }
    }
}

//! An event as a CloudEvent: attributes for members or headers, and its data.

use std::borrow::Cow;
use std::collections::HashMap;

use annals::{Metadata, RecordedEvent};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::value::RawValue;

use super::{JSON, Kind, METADATA, RENAMED, RESERVED, SPEC_VERSION, TRACEPARENT, is_extension_name};
use crate::wire::text::Text;
use crate::wire::write::{write_one_line, write_text};

/// An attribute's value: a text, or a whole number or truth value as JSON.
enum Value<'a> {
    Text(Cow<'a, str>),
    Json(&'a str),
}

/// Writes an event in the structured mode, on one line. One without a source gets `no_source`.
pub(crate) fn write_cloud_event(out: &mut Vec<u8>, event: &RecordedEvent, no_source: &str) {
    let start = out.len();
    each_attribute(event, no_source, |name, value| {
        out.push(if out.len() == start { b'{' } else { b',' });
        write_text(out, name);
        out.push(b':');
        match value {
            Value::Text(text) => write_text(out, &text),
            Value::Json(json) => out.extend_from_slice(json.as_bytes()),
        }
    });
    match as_json(event) {
        Some(json) => {
            out.extend_from_slice(b",\"data\":");
            write_one_line(out, json);
        }
        None => {
            out.extend_from_slice(b",\"data_base64\":\"");
            out.extend_from_slice(STANDARD.encode(event.data()).as_bytes());
            out.push(b'"');
        }
    }
    out.push(b'}');
}

/// The attributes of an event in the binary mode, without its content type.
pub(crate) fn cloud_attributes(event: &RecordedEvent, no_source: &str) -> Vec<(String, String)> {
    let mut attributes = Vec::new();
    each_attribute(event, no_source, |name, value| {
        let value = match value {
            Value::Text(text) => text.into_owned(),
            Value::Json(json) => json.to_owned(),
        };
        if name != "datacontenttype" {
            attributes.push((name.to_owned(), value));
        }
    });
    attributes
}

/// The body of an event in the binary mode, and its content type.
pub(crate) fn cloud_body(event: &RecordedEvent) -> (&str, &[u8]) {
    (event.content_type().unwrap_or(JSON), event.data())
}

fn each_attribute(event: &RecordedEvent, no_source: &str, mut each: impl FnMut(&str, Value<'_>)) {
    let mut text = |name: &str, text: Cow<'_, str>| each(name, Value::Text(text));
    text("specversion", SPEC_VERSION.into());
    text("id", event.id().to_string().into());
    text("source", event.source().unwrap_or(no_source).into());
    text("type", event.event_type().into());
    text("subject", event.stream().into());
    text("time", event.timestamp().to_string().into());
    text("recordedtime", event.recorded_at().to_string().into());
    text("sequence", format!("{:020}", event.position().get()).into());
    let said = event.metadata().map(extensions_of).unwrap_or_default();
    let is_traced = said.iter().any(|(name, ..)| name == TRACEPARENT);
    if let Some(traceparent) = event.traceparent().filter(|_| !event.metadata().is_some_and(names_trace)) {
        text(TRACEPARENT, traceparent.into());
    }
    if let Some(metadata) = event.metadata() {
        // What the attribute says otherwise is of the append, and not of the metadata.
        if is_traced || object_of(&said).as_deref() != Some(metadata) {
            text(METADATA, metadata.into());
        }
        for (name, _, value) in said {
            each(&name, value);
        }
    }
    each("datacontenttype", Value::Text(event.content_type().unwrap_or(JSON).into()));
}

/// Whether metadata has a field of that name, whatever is in it: the attribute is that field's, then.
fn names_trace(metadata: &str) -> bool {
    Metadata::parse(metadata.to_owned()).is_ok_and(|metadata| metadata.field(TRACEPARENT).is_some())
}

/// The fields of metadata that are attributes: each one's attribute, its name, and its value. In the order in which a
/// reader makes metadata of them.
fn extensions_of(metadata: &str) -> Vec<(Cow<'_, str>, Cow<'_, str>, Value<'_>)> {
    let Ok(mut fields) = serde_json::from_str::<HashMap<String, &RawValue>>(metadata) else {
        return Vec::new();
    };
    let mut said = Vec::new();
    for (attribute, field) in RENAMED {
        let value = fields.remove(field).and_then(value_of);
        said.extend(value.map(|value| (attribute.into(), field.into(), value)));
    }
    let mut others: Vec<_> = fields
        .into_iter()
        .filter(|(name, _)| is_extension_name(name) && !RESERVED.contains(&name.as_str()))
        .filter_map(|(name, json)| Some((name, value_of(json)?)))
        .collect();
    others.sort_by(|(one, _), (other, _)| one.cmp(other));
    said.extend(others.into_iter().map(|(name, value)| (name.clone().into(), name.into(), value)));
    said
}

/// The value of an attribute; none when no attribute can have it.
fn value_of(json: &RawValue) -> Option<Value<'_>> {
    let json = json.get();
    match json.as_bytes().first()? {
        b'"' => {
            let Text(text) = serde_json::from_str(json).ok()?;
            (!text.is_empty() && !text.chars().any(char::is_control)).then_some(Value::Text(text))
        }
        b't' | b'f' => Some(Value::Json(json)),
        _ => json.parse::<i32>().is_ok().then_some(Value::Json(json)),
    }
}

/// The metadata that a reader makes of these attributes, if it makes the same of them in every mode: of texts alone.
fn object_of(said: &[(Cow<'_, str>, Cow<'_, str>, Value<'_>)]) -> Option<String> {
    let mut json = Vec::new();
    for (_, field, value) in said {
        let Value::Text(text) = value else { return None };
        json.push(if json.is_empty() { b'{' } else { b',' });
        write_text(&mut json, field);
        json.push(b':');
        write_text(&mut json, text);
    }
    json.push(b'}');
    String::from_utf8(json).ok()
}

/// The data, when it is to be a JSON value and comes back from that as the bytes that it is.
fn as_json(event: &RecordedEvent) -> Option<&[u8]> {
    let data = event.data();
    let Some(content_type) = event.content_type() else { return Some(data) };
    let is_value = Kind::of(content_type) == Kind::JsonOf
        && !data.iter().any(|byte| matches!(byte, b'\n' | b'\r'))
        && serde_json::from_slice::<&RawValue>(data).is_ok_and(|json| json.get().as_bytes() == data)
        && data != b"null";
    is_value.then_some(data)
}

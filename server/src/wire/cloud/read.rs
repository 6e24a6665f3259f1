//! An event from its attributes, which are members of a JSON object or headers of a request.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

use annals::{
    ContentType, Data, EventId, EventType, Metadata, NewEvent, Source, StreamName, Timestamp, Traceparent,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::{Kind, METADATA, RENAMED, RESERVED, SPEC_VERSION, TRACEPARENT, is_extension_name};
use crate::wire::text::Text;
use crate::wire::{WireError, WireEvent};

/// Reads one event in the structured mode: a JSON object. An event from `no_source` has none.
pub(crate) fn parse_cloud_event(json: &[u8], no_source: &str) -> Result<WireEvent, WireError> {
    let Members(members) = serde_json::from_slice(json).map_err(|error| WireError::json(&error))?;
    let (mut attributes, mut data, mut data_base64) = (Attributes::default(), None, None);
    for (Text(name), json) in members {
        let place = match name.as_ref() {
            // `null` says the same as leaving it out, and the data of an event without data is null.
            _ if json.get() == "null" => continue,
            "data" => &mut data,
            "data_base64" => &mut data_base64,
            _ => {
                attributes.add(name, value_of(json))?;
                continue;
            }
        };
        if place.replace(json).is_some() {
            return Err(WireError::field(name, "is there twice; give it once"));
        }
    }
    let content_type = attributes.take_text("datacontenttype")?;
    let data = match (data, data_base64) {
        (Some(_), Some(_)) => {
            return Err(WireError::field("data_base64", "stands beside `data`; give one of them"));
        }
        (Some(json), None) => data_of_json(json, content_type.as_deref())?,
        (None, Some(json)) => {
            let Text(encoded) = serde_json::from_str(json.get())
                .map_err(|_| WireError::field("data_base64", "is not a text; write it in double quotes"))?;
            let bytes = STANDARD
                .decode(encoded.as_bytes())
                .map_err(|error| WireError::field("data_base64", format!("is not padded base64: {error}")))?;
            data_of_bytes(bytes, content_type.as_deref(), "data_base64")?
        }
        (None, None) => data_of_bytes(Vec::new(), content_type.as_deref(), "data")?,
    };
    attributes.into_event(data, no_source)
}

/// Reads one event in the binary mode: `attributes` come from headers, the data is the body.
pub(crate) fn parse_cloud_headers(
    attributes: &[(String, String)],
    content_type: Option<&str>,
    body: &[u8],
    no_source: &str,
) -> Result<WireEvent, WireError> {
    let mut given = Attributes::default();
    for (name, value) in attributes {
        given.add(name.as_str().into(), Ok(Value::Text(value.as_str().into())))?;
    }
    let data = data_of_bytes(body.to_vec(), content_type, "data")?;
    given.into_event(data, no_source)
}

/// The value of an attribute.
#[derive(Debug, Clone, PartialEq)]
enum Value<'a> {
    Text(Cow<'a, str>),
    /// A whole number or a truth value, as JSON.
    Json(&'a str),
}

impl Value<'_> {
    /// Whether a field of the metadata says the same. In a header, numbers are texts.
    fn is_said_by(&self, field: &RawValue) -> bool {
        match self {
            Value::Json(json) => *json == field.get(),
            Value::Text(text) => {
                text == field.get()
                    || serde_json::from_str::<Text<'_>>(field.get()).is_ok_and(|field| field.0 == *text)
            }
        }
    }

    fn to_json(&self) -> String {
        match self {
            Value::Json(json) => (*json).to_owned(),
            Value::Text(text) => serde_json::json!(text).to_string(),
        }
    }
}

fn value_of(json: &RawValue) -> Result<Value<'_>, &'static str> {
    let text = json.get();
    match text.as_bytes().first() {
        Some(b'"') => match serde_json::from_str::<Text<'_>>(text) {
            Ok(Text(text)) => Ok(Value::Text(text)),
            Err(_) => Err("is not a text"),
        },
        Some(b't' | b'f') => Ok(Value::Json(text)),
        _ if text.parse::<i32>().is_ok() => Ok(Value::Json(text)),
        _ => Err("is neither a text, a truth value nor a whole number of 32 bits"),
    }
}

/// The attributes of one event that have not been looked at.
#[derive(Default)]
struct Attributes<'a>(HashMap<Cow<'a, str>, Value<'a>>);

impl<'a> Attributes<'a> {
    fn add(&mut self, name: Cow<'a, str>, value: Result<Value<'a>, &'static str>) -> Result<(), WireError> {
        if !is_extension_name(&name) {
            let what = "is not the name of an attribute, which has small letters and digits only";
            return Err(WireError::field(name, what));
        }
        let value = value.map_err(|what| WireError::field(name.as_ref(), what))?;
        match self.0.contains_key(&name) {
            true => Err(WireError::field(name, "is there twice; give it once")),
            false => {
                self.0.insert(name, value);
                Ok(())
            }
        }
    }

    fn take_text(&mut self, name: &'static str) -> Result<Option<Cow<'a, str>>, WireError> {
        match self.0.remove(name) {
            None => Ok(None),
            Some(Value::Text(text)) => Ok(Some(text)),
            Some(Value::Json(_)) => Err(WireError::field(name, "is not a text; write it in double quotes")),
        }
    }

    fn take_required(&mut self, name: &'static str) -> Result<Cow<'a, str>, WireError> {
        self.take_text(name)?
            .ok_or_else(|| WireError::field(name, "is missing; every CloudEvent has this attribute"))
    }

    fn into_event(mut self, data: Data, no_source: &str) -> Result<WireEvent, WireError> {
        let version = self.take_required("specversion")?;
        if version != SPEC_VERSION {
            return Err(WireError::field("specversion", "is not 1.0, the version that is understood here"));
        }
        let id = self.take_required("id")?;
        let id = EventId::parse(&id).map_err(|error| WireError::field("id", error))?;
        let event_type = self.take_required("type")?;
        let event_type = EventType::parse(&event_type).map_err(|error| WireError::field("type", error))?;
        let source = self.take_required("source")?;

        let mut event = NewEvent::new(event_type.clone(), data).id(id);
        if source != no_source {
            let source = Source::parse(&source).map_err(|error| WireError::field("source", error))?;
            event = event.source(source);
        }
        if let Some(time) = self.take_text("time")? {
            let time = Timestamp::parse(&time).map_err(|error| WireError::field("time", error))?;
            event = event.timestamp(time);
        }
        let stream = match self.take_text("subject")? {
            None => None,
            Some(name) => Some(StreamName::parse(&name).map_err(|error| WireError::field("subject", error))?),
        };
        if let Some(traceparent) = self.take_traceparent() {
            event = event.or_traceparent(&traceparent);
        }
        if let Some(metadata) = self.into_metadata()? {
            event = event.metadata(metadata);
        }
        Ok(WireEvent { stream, event_type, event })
    }

    /// Of which trace the append was part, unless it is the metadata that says so, or it is none as it should be.
    fn take_traceparent(&mut self) -> Option<Traceparent> {
        let Some(Value::Text(text)) = self.0.get(TRACEPARENT) else { return None };
        let traceparent = Traceparent::parse(text)?;
        if let Some(Value::Text(stored)) = self.0.get(METADATA)
            && parsed(stored.to_string()).is_ok_and(|stored| stored.field(TRACEPARENT).is_some())
        {
            return None;
        }
        self.0.remove(TRACEPARENT);
        Some(traceparent)
    }

    /// The metadata as it was stored, if that came along, and what the other attributes add to it.
    fn into_metadata(mut self) -> Result<Option<Metadata>, WireError> {
        let stored = self.take_text(METADATA)?;
        let mut added: Vec<(Cow<'a, str>, Value<'a>)> = Vec::new();
        for (attribute, field) in RENAMED {
            added.extend(self.0.remove(attribute).map(|value| (field.into(), value)));
        }
        // What only the store sets is dropped, and yet has to be what it is there.
        for own in RESERVED {
            self.take_text(own)?;
        }
        let renamed = added.len();
        added.extend(self.0);
        added[renamed..].sort_by(|(one, _), (other, _)| one.cmp(other));
        match stored {
            Some(stored) => merged(&stored, &added).map(Some),
            None if added.is_empty() => Ok(None),
            None => parsed(object_of(&added)).map(Some),
        }
    }
}

fn parsed(json: String) -> Result<Metadata, WireError> {
    Metadata::parse(json).map_err(|error| WireError::field(METADATA, error))
}

/// Fields as a JSON object, in their order.
fn object_of(fields: &[(Cow<'_, str>, Value<'_>)]) -> String {
    let field = |(name, value): &(Cow<'_, str>, Value<'_>)| format!("\"{name}\":{}", value.to_json());
    format!("{{{}}}", fields.iter().map(field).collect::<Vec<_>>().join(","))
}

/// The stored metadata with the fields that it does not have yet. Those that it has must say the same.
fn merged(stored: &str, added: &[(Cow<'_, str>, Value<'_>)]) -> Result<Metadata, WireError> {
    let metadata = parsed(stored.to_owned())?;
    let fields: HashMap<String, &RawValue> =
        serde_json::from_str(stored).map_err(|error| WireError::field(METADATA, error))?;
    let mut new = Vec::new();
    for (name, value) in added {
        match fields.get(name.as_ref()) {
            None => new.push((name.clone(), value.clone())),
            Some(field) if value.is_said_by(field) => {}
            Some(_) => {
                let what = format!("has another value than in `{METADATA}`; change both or leave one out");
                return Err(WireError::field(name.as_ref(), what));
            }
        }
    }
    if new.is_empty() {
        return Ok(metadata);
    }
    let open = metadata.as_json().trim_end().strip_suffix('}').expect("metadata is a JSON object");
    let comma = if fields.is_empty() { "" } else { "," };
    parsed(format!("{open}{comma}{}", &object_of(&new)[1..]))
}

fn data_of_json(json: &RawValue, content_type: Option<&str>) -> Result<Data, WireError> {
    let Some(content_type) = content_type.filter(|given| Kind::of(given) != Kind::Json) else {
        return Ok(Data::from_raw(json));
    };
    let bytes = match Kind::of(content_type) {
        Kind::Json | Kind::JsonOf => json.get().as_bytes().to_vec(),
        Kind::Other => match serde_json::from_str::<Text<'_>>(json.get()) {
            Ok(Text(text)) => text.into_owned().into_bytes(),
            Err(_) => {
                let what =
                    format!("is neither a text nor, as {content_type}, JSON; write it as `data_base64`");
                return Err(WireError::field("data", what));
            }
        },
    };
    Ok(Data::binary(content_type_of(content_type)?, bytes))
}

/// Data from bytes. An event without data has none of them: as JSON that is `null`.
fn data_of_bytes(bytes: Vec<u8>, content_type: Option<&str>, field: &str) -> Result<Data, WireError> {
    let is_json = content_type.is_none_or(|given| Kind::of(given) == Kind::Json);
    match (is_json, bytes.is_empty(), content_type) {
        (true, true, _) => Ok(Data::from_raw(RawValue::NULL)),
        (true, false, Some(_)) => {
            Data::from_json_bytes(bytes).map_err(|error| WireError::field(field, error))
        }
        (true, false, None) => match Data::from_json_bytes(bytes.clone()) {
            Ok(data) => Ok(data),
            Err(_) => Ok(Data::binary(content_type_of("application/octet-stream")?, bytes)),
        },
        (false, _, given) => Ok(Data::binary(content_type_of(given.unwrap_or_default())?, bytes)),
    }
}

fn content_type_of(text: &str) -> Result<ContentType, WireError> {
    ContentType::parse(text).map_err(|error| WireError::field("datacontenttype", error))
}

/// The members of an object, in their order.
struct Members<'a>(Vec<(Text<'a>, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Members<'de>, D::Error> {
        struct Object;

        impl<'de> Visitor<'de> for Object {
            type Value = Members<'de>;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("a CloudEvent, which is a JSON object")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Members<'de>, M::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(Object)
    }
}

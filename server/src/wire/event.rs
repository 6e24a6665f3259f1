//! One event as a client writes it: read from JSON without touching the bytes of its data.

use std::borrow::Cow;
use std::fmt;

use annals::{
    ContentType, Data, EventId, EventType, Metadata, NewEvent, Source, StreamName, Timestamp, Traceparent,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::WireError;
use super::text::Text;

/// Every field an event has. The order is that of [`Name`] and of [`Fields`].
const NAMES: [&str; 16] = [
    "type",
    "data",
    "dataBase64",
    "dataContentType",
    "id",
    "timestamp",
    "source",
    "traceparent",
    "metadata",
    "version",
    "routingKey",
    "cacheInvalidation",
    "stream",
    "streamVersion",
    "position",
    "recordedAt",
];

/// A field, by its place among the names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Name {
    Type,
    Data,
    DataBase64,
    DataContentType,
    Id,
    Timestamp,
    Source,
    Traceparent,
    Metadata,
    Version,
    RoutingKey,
    CacheInvalidation,
    Stream,
    StreamVersion,
    Position,
    RecordedAt,
}

impl Name {
    fn text(self) -> &'static str {
        NAMES[self as usize]
    }
}

/// The fields that only the store sets.
const READ_ONLY: [Name; 3] = [Name::StreamVersion, Name::Position, Name::RecordedAt];

/// The fields that stand for a field of the metadata.
const SHORTHANDS: [Name; 3] = [Name::Version, Name::RoutingKey, Name::CacheInvalidation];

/// Why an event is read, which decides about the fields that only the store sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// A new event: such fields are refused, because their writer believes something that will not come true.
    Append,
    /// An event of another store: such fields are dropped, they belong to that store.
    Import,
}

/// An event, and the stream it names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WireEvent {
    /// The stream, when the event names one.
    pub(crate) stream: Option<StreamName>,
    /// The event's type, which names the stream of a published event that does not.
    pub(crate) event_type: EventType,
    /// The event.
    pub(crate) event: NewEvent,
}

/// Reads one event, a JSON object.
pub(crate) fn parse_event(json: &[u8], purpose: Purpose) -> Result<WireEvent, WireError> {
    parse_event_of(json, purpose, &Bytes::new())
}

/// Reads one event, a JSON object. What of it lies in `body` is kept as a part of that, not copied.
pub(super) fn parse_event_of(json: &[u8], purpose: Purpose, body: &Bytes) -> Result<WireEvent, WireError> {
    let fields: Fields<'_> = serde_json::from_slice(json).map_err(|error| WireError::json(&error))?;
    fields.into_event(purpose, body)
}

/// The fields of an object, each as the JSON text it has.
pub(super) struct Fields<'a> {
    values: [Option<&'a RawValue>; NAMES.len()],
    unknown: Option<String>,
    twice: Option<&'static str>,
}

impl<'a> Fields<'a> {
    /// The value of a field. `null` says the same as leaving the field out, except as data.
    fn get(&self, name: Name) -> Option<&'a RawValue> {
        self.values[name as usize].filter(|value| name == Name::Data || value.get() != "null")
    }

    /// The value of a field that holds a text.
    fn text(&self, name: Name) -> Result<Option<Cow<'a, str>>, WireError> {
        let Some(json) = self.get(name).map(RawValue::get) else { return Ok(None) };
        // Between its quotes stands what it says, unless it has escapes.
        let quoted = json.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
        if let Some(text) = quoted.filter(|text| !text.as_bytes().contains(&b'\\')) {
            return Ok(Some(text.into()));
        }
        match serde_json::from_str::<Text<'a>>(json) {
            Ok(Text(text)) => Ok(Some(text)),
            Err(_) => Err(WireError::field(name.text(), "is not a text; write it in double quotes")),
        }
    }

    /// Refuses what no event has, what is there twice, and what a writer cannot set.
    fn check(&self, purpose: Purpose) -> Result<(), WireError> {
        if let Some(name) = &self.unknown {
            let what = format!(
                "is not a field of an event; put it into `data` or `metadata`, or use one of {}",
                NAMES[..13].join(", ")
            );
            return Err(WireError::field(name, what));
        }
        if let Some(name) = self.twice {
            return Err(WireError::field(name, "is there twice; give it once"));
        }
        let set = READ_ONLY.into_iter().find(|name| self.get(*name).is_some());
        match set {
            Some(name) if purpose == Purpose::Append => {
                Err(WireError::field(name.text(), "is set by the store; leave it out"))
            }
            _ => Ok(()),
        }
    }

    fn data(&self, body: &Bytes) -> Result<Data, WireError> {
        match (self.get(Name::Data), self.text(Name::DataBase64)?, self.text(Name::DataContentType)?) {
            (Some(json), None, None) => Ok(Data::from_raw_of(json, body)),
            (None, Some(encoded), Some(content_type)) => {
                let content_type = ContentType::parse(&content_type)
                    .map_err(|error| WireError::field("dataContentType", error))?;
                let bytes = STANDARD.decode(encoded.as_bytes()).map_err(|error| {
                    WireError::field("dataBase64", format!("is not padded base64: {error}"))
                })?;
                Ok(Data::binary(content_type, bytes))
            }
            (None, Some(_), None) => Err(WireError::field(
                "dataContentType",
                "is missing; say what `dataBase64` holds, such as image/png",
            )),
            (None, None, _) => {
                Err(WireError::field("data", "is missing; give any JSON value, null included"))
            }
            (Some(_), Some(_), _) => {
                Err(WireError::field("dataBase64", "stands beside `data`; give one of them"))
            }
            (Some(_), None, Some(_)) => {
                Err(WireError::field("dataContentType", "goes with `dataBase64`; `data` is always JSON"))
            }
        }
    }

    /// The metadata with the shorthands merged in; none when there is neither.
    fn metadata(&self, body: &Bytes) -> Result<Option<Metadata>, WireError> {
        let mut metadata = match self.get(Name::Metadata) {
            Some(json) => {
                let json = Data::from_raw_of(json, body);
                let parsed = Metadata::parse(json.bytes().clone());
                Some(parsed.map_err(|error| WireError::field("metadata", error))?)
            }
            None => None,
        };
        for name in SHORTHANDS {
            if let Some(value) = self.get(name) {
                let merged = metadata.unwrap_or_default().with(name.text(), &value);
                metadata = Some(merged.map_err(|error| WireError::field(name.text(), error))?);
            }
        }
        Ok(metadata)
    }
}

impl Fields<'_> {
    /// The event that they are. What of it lies in `body` is kept as a part of that.
    pub(super) fn into_event(self, purpose: Purpose, body: &Bytes) -> Result<WireEvent, WireError> {
        self.check(purpose)?;
        let event_type = self.text(Name::Type)?.ok_or_else(|| {
            WireError::field("type", "is missing; say what kind of fact this is, such as order.created")
        })?;
        let event_type = EventType::parse(&event_type).map_err(|error| WireError::field("type", error))?;

        let mut event = NewEvent::new(event_type.clone(), self.data(body)?);
        if let Some(id) = self.text(Name::Id)? {
            event = event.id(EventId::parse(&id).map_err(|error| WireError::field("id", error))?);
        }
        if let Some(time) = self.text(Name::Timestamp)? {
            event = event
                .timestamp(Timestamp::parse(&time).map_err(|error| WireError::field("timestamp", error))?);
        }
        if let Some(source) = self.text(Name::Source)? {
            event = event.source(Source::parse(&source).map_err(|error| WireError::field("source", error))?);
        }
        if let Some(text) = self.text(Name::Traceparent)? {
            let what = "is no traceparent, such as 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
            let traceparent =
                Traceparent::parse(&text).ok_or_else(|| WireError::field("traceparent", what))?;
            event = event.or_traceparent(&traceparent);
        }
        if let Some(metadata) = self.metadata(body)? {
            event = event.metadata(metadata);
        }
        let stream = match self.text(Name::Stream)? {
            Some(name) => Some(StreamName::parse(&name).map_err(|error| WireError::field("stream", error))?),
            None => None,
        };
        Ok(WireEvent { stream, event_type, event })
    }
}

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Fields<'de>, D::Error> {
        struct Object;

        impl<'de> Visitor<'de> for Object {
            type Value = Fields<'de>;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("an event, which is a JSON object")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Fields<'de>, M::Error> {
                let mut fields = Fields { values: [None; NAMES.len()], unknown: None, twice: None };
                // What is wrong with a name is told only when the whole is known to be JSON.
                while let Some((Text(name), value)) = map.next_entry::<Text<'de>, &RawValue>()? {
                    match NAMES.iter().position(|known| *known == name) {
                        None => fields.unknown = fields.unknown.or_else(|| Some(name.into_owned())),
                        Some(at) if fields.values[at].is_some() => fields.twice = Some(NAMES[at]),
                        Some(at) => fields.values[at] = Some(value),
                    }
                }
                Ok(fields)
            }
        }

        deserializer.deserialize_map(Object)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(json: &str) -> (Option<String>, String) {
        let error = parse_event(json.as_bytes(), Purpose::Append).expect_err(json);
        (error.field, error.what)
    }

    fn field_refused(json: &str) -> String {
        refusal(json).0.unwrap_or_default()
    }

    fn event_type() -> EventType {
        EventType::parse("a").expect("legal")
    }

    #[test]
    fn data_keeps_every_byte_between_its_first_and_last_token() {
        let parsed =
            parse_event(b"{\"type\":\"a\", \"data\" : {\"n\": 1.0,\n\t\"e\":\"\\u0041\"} }", Purpose::Append);
        let data = Data::from_json_bytes("{\"n\": 1.0,\n\t\"e\":\"\\u0041\"}").expect("JSON");
        assert_eq!(parsed.map(|wire| wire.event), Ok(NewEvent::new(event_type(), data)));
    }

    #[test]
    fn each_field_has_its_name() {
        let all = [Name::Type, Name::DataContentType, Name::Metadata, Name::Stream, Name::RecordedAt];
        assert_eq!(all.map(Name::text), ["type", "dataContentType", "metadata", "stream", "recordedAt"]);
        assert_eq!(Name::RecordedAt as usize + 1, NAMES.len());
    }

    #[test]
    fn an_unknown_field_is_refused_by_name() {
        let (field, what) = refusal(r#"{"type":"a","data":1,"aggregate":"x"}"#);
        assert_eq!(field.as_deref(), Some("aggregate"));
        assert!(what.contains("metadata"), "{what}");
    }

    #[test]
    fn a_field_that_is_there_twice_is_refused_also_when_escaped() {
        assert_eq!(field_refused(r#"{"type":"a","data":1,"data":1}"#), "data");
        assert_eq!(field_refused(r#"{"type":"a","data":1,"d\u0061ta":2}"#), "data");
    }

    #[test]
    fn type_and_data_must_be_there_and_null_is_data() {
        assert_eq!(field_refused(r#"{"data":1}"#), "type");
        assert_eq!(field_refused(r#"{"type":null,"data":1}"#), "type");
        assert_eq!(field_refused(r#"{"type":"a"}"#), "data");
        assert!(parse_event(br#"{"type":"a","data":null}"#, Purpose::Append).is_ok());
    }

    #[test]
    fn fields_of_a_wrong_kind_are_refused_by_name() {
        assert_eq!(field_refused(r#"{"type":5,"data":1}"#), "type");
        assert_eq!(field_refused(r#"{"type":"","data":1}"#), "type");
        assert_eq!(field_refused(r#"{"type":"a","data":1,"timestamp":"yesterday"}"#), "timestamp");
        assert_eq!(field_refused(r#"{"type":"a","data":1,"metadata":[]}"#), "metadata");
        assert_eq!(field_refused(r#"{"type":"a","data":1,"stream":".."}"#), "stream");
        assert_eq!(field_refused(r#"{"type":"a","data":1,"routingKey":5}"#), "routingKey");
    }

    #[test]
    fn what_only_the_store_sets_is_refused_in_an_append_and_dropped_in_an_import() {
        for name in READ_ONLY.map(Name::text) {
            let json = format!(r#"{{"type":"a","data":1,"{name}":1}}"#);
            assert_eq!(field_refused(&json), name);
            assert!(parse_event(json.as_bytes(), Purpose::Import).is_ok(), "{name}");
        }
    }

    #[test]
    fn shorthands_go_into_the_metadata_and_a_contradiction_is_refused() {
        let json =
            br#"{"type":"a","data":1,"version":"1.0","routingKey":"x.y","metadata":{"version":"1.0","k":1}}"#;
        let metadata = Metadata::parse(r#"{"version":"1.0","k":1,"routingKey":"x.y"}"#).expect("legal");
        let data = Data::from_json_bytes("1").expect("JSON");
        let expected = NewEvent::new(event_type(), data).metadata(metadata);
        assert_eq!(parse_event(json, Purpose::Append).map(|wire| wire.event), Ok(expected));
        assert_eq!(
            field_refused(r#"{"type":"a","data":1,"version":"2","metadata":{"version":"1"}}"#),
            "version"
        );
    }

    #[test]
    fn data_that_is_not_json_comes_as_base64_with_its_content_type() {
        let json = br#"{"type":"a","dataBase64":"AP8=","dataContentType":"image/png"}"#;
        let data = Data::binary(ContentType::parse("image/png").expect("legal"), &[0x00, 0xff][..]);
        assert_eq!(
            parse_event(json, Purpose::Append).map(|wire| wire.event),
            Ok(NewEvent::new(event_type(), data))
        );
        assert_eq!(field_refused(r#"{"type":"a","dataBase64":"AP8="}"#), "dataContentType");
        assert_eq!(field_refused(r#"{"type":"a","dataBase64":"A","dataContentType":"x/y"}"#), "dataBase64");
        assert_eq!(
            field_refused(r#"{"type":"a","data":1,"dataBase64":"AP8=","dataContentType":"x/y"}"#),
            "dataBase64"
        );
    }

    #[test]
    fn what_is_no_object_is_refused_with_its_place() {
        for json in [
            "",
            "[]",
            "1",
            "{\"type\":\"a\"",
            "{\"type\":\"a\",\"data\":{]}",
            "{\"type\":\"a\",\"data\":1} x",
        ] {
            let error = parse_event(json.as_bytes(), Purpose::Append).expect_err(json);
            assert!(error.what.contains("column"), "{error}");
        }
    }
}

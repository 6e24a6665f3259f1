//! Schemas: every kind of variant comes back as it was, and old names and shapes become those of today.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::*;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Address {
    street: String,
    zip: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Plain {
    #[serde(rename = "order.created")]
    Created {
        cents: u64,
        note: Option<String>,
    },
    Moved(Address),
    Weighed(u32, f64),
    Renamed(Option<String>),
    #[serde(rename = "order.closed")]
    Closed,
    Empty {},
    Nothing(),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "what", rename_all = "kebab-case")]
enum Tagged {
    OrderCreated { cents: u64 },
    Moved(Address),
    Weighed(u32, f64),
    Renamed(Option<String>),
    Closed,
}

/// What is stored of a value: its type and data.
fn stored<E: Serialize>(value: &E) -> (String, Value) {
    let encoded = encode::encode(value).unwrap();
    (encoded.event_type.to_owned(), serde_json::from_slice(&encoded.data).unwrap())
}

fn old<'a>(event_type: &'a str, version: u32, data: &Value) -> Stored<'a> {
    Stored {
        event_type: Cow::Borrowed(event_type),
        version,
        data: Cow::Owned(serde_json::to_vec(data).unwrap()),
    }
}

/// The values of a stored event, and whether it is to stay as it is.
fn seen<E: DeserializeOwned>(schema: &Schema, stored: Stored<'_>) -> Result<(Vec<E>, Seen), SchemaError> {
    let (mut values, mut seen) = (Vec::new(), Seen::Decoded);
    for part in schema.upcasts.follow(stored)? {
        seen = schema.hand_out(&part, &mut |value| values.push(value))?;
    }
    Ok((values, seen))
}

fn read<E: DeserializeOwned>(schema: &Schema, stored: Stored<'_>) -> Result<Vec<E>, SchemaError> {
    Ok(seen(schema, stored)?.0)
}

fn comes_back<E: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(value: &E) {
    let (event_type, data) = stored(value);
    let bytes = serde_json::to_vec(&data).unwrap();
    assert_eq!(decode::decode::<E>(&event_type, &bytes).unwrap(), *value, "{event_type} {data}");
}

fn address() -> Address {
    Address { street: "Main \"St\"".to_owned(), zip: None }
}

#[test]
fn the_type_is_the_name_of_the_variant_and_the_data_what_it_holds() {
    let created = Plain::Created { cents: 5, note: None };
    assert_eq!(stored(&created), ("order.created".to_owned(), json!({"cents": 5, "note": null})));
    assert_eq!(stored(&Plain::Moved(address())).1, json!({"street": "Main \"St\"", "zip": null}));
    assert_eq!(stored(&Plain::Weighed(1, 0.5)), ("Weighed".to_owned(), json!([1, 0.5])));
    assert_eq!(stored(&Plain::Closed), ("order.closed".to_owned(), Value::Null));
    assert_eq!(stored(&Tagged::OrderCreated { cents: 5 }), ("order-created".to_owned(), json!({"cents": 5})));
    assert_eq!(stored(&Tagged::Closed), ("closed".to_owned(), Value::Null));
}

#[test]
fn every_kind_of_variant_comes_back_as_it_was() {
    comes_back(&Plain::Created { cents: 5, note: Some("x".to_owned()) });
    comes_back(&Plain::Moved(address()));
    comes_back(&Plain::Weighed(1, 0.5));
    for name in [None, Some("n".to_owned())] {
        comes_back(&Plain::Renamed(name.clone()));
        comes_back(&Tagged::Renamed(name));
    }
    for value in [Plain::Closed, Plain::Empty {}, Plain::Nothing()] {
        comes_back(&value);
    }
    for value in [Tagged::OrderCreated { cents: 5 }, Tagged::Moved(address()), Tagged::Weighed(1, 0.5)] {
        comes_back(&value);
    }
    comes_back(&Tagged::Closed);
}

#[test]
fn what_is_no_enum_or_has_its_tag_among_its_fields_is_refused_with_what_would_be_right() {
    #[derive(Serialize)]
    #[serde(tag = "type")]
    enum Inside {
        Created { cents: u64 },
    }
    let errors = [
        Schema::new().encode(&Inside::Created { cents: 5 }),
        Schema::new().encode(&address()),
        Schema::new().encode(&"order.created"),
        Schema::new().encode(&json!({"order.created": {}})),
    ];
    for error in errors {
        let error = error.unwrap_err().to_string();
        assert!(error.contains("events are an enum"), "{error}");
    }
}

#[test]
fn a_type_without_a_variant_is_unknown_and_one_within_the_data_is_not() {
    #[derive(Debug, Deserialize)]
    enum Outer {
        Painted(Colour),
    }
    #[derive(Debug, Deserialize)]
    enum Colour {}
    let unknown = read::<Plain>(&Schema::new(), old("order.lost", 1, &json!({}))).unwrap_err();
    assert!(
        matches!(&unknown, SchemaError::Unknown { known, .. } if known.contains(&"order.created")),
        "{unknown}"
    );
    for (data, event_type) in [(json!("Red"), "Painted"), (json!({"a": 1}), "Painted")] {
        let error = read::<Outer>(&Schema::new().unknown(UnknownTypes::Skip), old(event_type, 1, &data));
        assert!(matches!(error, Err(SchemaError::Data { .. })));
    }
}

#[test]
fn unknown_types_are_passed_over_or_handed_out_only_when_asked() {
    let seen = |unknown| {
        let schema = Schema::new().unknown(unknown);
        seen::<Plain>(&schema, old("order.lost", 1, &json!({}))).ok()
    };
    assert_eq!(seen(UnknownTypes::Refuse), None);
    assert_eq!(seen(UnknownTypes::Skip), Some((Vec::new(), Seen::Decoded)));
    assert_eq!(seen(UnknownTypes::Raw), Some((Vec::new(), Seen::Raw)));
}

#[test]
fn a_chain_of_changes_begins_at_the_version_that_is_stored() {
    let schema = Schema::new()
        .rename("order.made", "order.created")
        .change("order.created", 1, |old: Value| json!({"euros": old["euro"]}))
        .change("order.created", 2, |old: Value| json!({"cents": old["euros"].as_u64().unwrap() * 100}));
    let created = vec![Plain::Created { cents: 700, note: None }];
    for (version, data) in [(1, json!({"euro": 7})), (2, json!({"euros": 7})), (3, json!({"cents": 700}))] {
        for event_type in ["order.created", "order.made"] {
            assert_eq!(read::<Plain>(&schema, old(event_type, version, &data)).unwrap(), created);
        }
    }
    assert_eq!(schema.version_of("order.created"), 3);
    let (_, version) = schema.encode_bare(&created[0]).unwrap();
    assert_eq!(version, "3.0");
    let error = read::<Plain>(&schema, old("order.made", 3, &json!({}))).unwrap_err().to_string();
    assert!(
        error.contains("order.created of version 3") && error.contains("missing field `cents`"),
        "{error}"
    );
}

#[test]
fn a_type_that_was_split_becomes_several_events_or_none() {
    let schema = Schema::new().split("order.changed", 1, |old: Value| {
        let mut events = Vec::new();
        if let Some(name) = old["name"].as_str() {
            events.push(Plain::Renamed(Some(name.to_owned())));
        }
        if let Some(cents) = old["cents"].as_u64() {
            events.push(Plain::Created { cents, note: None });
        }
        events
    });
    let read = |data| read::<Plain>(&schema, old("order.changed", 1, &data)).unwrap();
    let both = vec![Plain::Renamed(Some("n".to_owned())), Plain::Created { cents: 5, note: None }];
    assert_eq!(read(json!({"name": "n", "cents": 5})), both);
    assert_eq!(read(json!({})), []);
}

#[test]
fn renamings_that_lead_in_a_circle_are_told() {
    let schema = Schema::new().rename("a", "b").rename("b", "c").rename("c", "a");
    assert!(matches!(read::<Plain>(&schema, old("a", 1, &json!({}))), Err(SchemaError::Circle { .. })));
}

#[test]
fn a_change_from_the_last_version_there_can_be_leads_nowhere() {
    let schema = Schema::new().change("order.created", u32::MAX, |old: Value| old);
    let created = old("order.created", u32::MAX, &json!({"cents": 5}));
    assert_eq!(read::<Plain>(&schema, created).unwrap(), [Plain::Created { cents: 5, note: None }]);
}

#[test]
fn the_version_is_the_number_before_the_first_point_and_1_where_there_is_none() {
    let versions = [
        (None, 1),
        (Some("{}"), 1),
        (Some(r#"{"version":"2.0"}"#), 2),
        (Some(r#"{"a":{"version":9},"version":"12.3.4"}"#), 12),
        (Some(r#"{"version":3}"#), 3),
        (Some(r#"{"version":"draft"}"#), 1),
        (Some(r#"{"version":null}"#), 1),
    ];
    for (metadata, version) in versions {
        assert_eq!(version_in(metadata), version, "{metadata:?}");
    }
}

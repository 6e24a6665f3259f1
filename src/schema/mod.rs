//! Schemas: how an application's events become stored ones, and how stored ones, old and new, become values again.
//!
//! An application's events are an enum that derives `Serialize` and `Deserialize`. The name of a variant is the type of the
//! stored event, what the variant holds is its data, and the version of that shape stands in `metadata.version`. What was
//! stored in an older shape is changed when it is read; the log stays as it was written.
//!
//! A schema knows no stream and no store.

mod decode;
mod encode;
mod fault;
mod upcast;

use std::borrow::Cow;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::model::{Data, EventType, Metadata, NewEvent, RecordedEvent};

use fault::Fault;
use upcast::{Step, Upcasts};

/// What becomes of a stored event whose type the application's enum does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum UnknownTypes {
    /// It is an error: nothing is overlooked.
    #[default]
    Refuse,
    /// It is passed over.
    Skip,
    /// It is handed out as it is stored.
    Raw,
}

/// How stored events become values of an application's enum, and back.
///
/// The enum is a plain one, or has `#[serde(tag = "…", content = "…")]`. `#[serde(rename = "order.created")]` on a variant
/// gives the type its stored name. The version of a type is 1, and one more for each change that is registered.
///
/// ```
/// use annals::Schema;
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Debug, PartialEq, Serialize, Deserialize)]
/// enum OrderEvent {
///     #[serde(rename = "order.created")]
///     Created { customer: String, cents: u64 },
///     #[serde(rename = "order.closed")]
///     Closed,
/// }
///
/// #[derive(Deserialize)]
/// struct CreatedV1 {
///     customer: String,
///     euros: f64,
/// }
///
/// let schema = Schema::new()
///     .rename("order.made", "order.created")
///     .change("order.created", 1, |old: CreatedV1| {
///         serde_json::json!({"customer": old.customer, "cents": (old.euros * 100.0).round() as u64})
///     });
/// assert_eq!(schema.version_of("order.created"), 2);
/// let event = schema.encode(&OrderEvent::Closed)?;
/// # Ok::<(), annals::SchemaError>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct Schema {
    upcasts: Upcasts,
    unknown: UnknownTypes,
}

/// Why a value is no event, or a stored event no value.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum SchemaError {
    /// The enum has no variant for the type. Add one, register what the type has become, or say what becomes of unknown
    /// types ([`Schema::unknown`]).
    #[error("no variant is called {event_type}; there are {}", known.join(", "))]
    Unknown {
        /// The type.
        event_type: String,
        /// The names of the variants.
        known: &'static [&'static str],
    },
    /// The data is not what its type and version say. Mend the enum, or register a change of the old shape.
    #[error("an event {event_type} of version {version} cannot be read: {reason}")]
    Data {
        /// The type.
        event_type: String,
        /// The version of its shape.
        version: u32,
        /// What was wanted and what was found.
        reason: String,
    },
    /// What is registered leads from a type back to itself. Remove one of the renamings.
    #[error("the renamings of {event_type} lead in a circle")]
    Circle {
        /// The type.
        event_type: String,
    },
    /// The value cannot become an event. Mend the enum.
    #[error("{what}")]
    NotAnEvent {
        /// What is wrong, and what would be right.
        what: String,
    },
}

/// A stored event, on its way to the enum as it is now.
struct Stored<'a> {
    event_type: Cow<'a, str>,
    version: u32,
    data: Cow<'a, [u8]>,
}

/// What a schema has made of a stored event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Seen {
    /// It became values, or nothing.
    Decoded,
    /// It is to be handed out as it is.
    Raw,
}

impl Schema {
    /// The schema of an enum whose shapes have never changed.
    pub fn new() -> Schema {
        Schema::default()
    }

    /// A type has another name now. Data and version stay.
    #[must_use]
    pub fn rename(mut self, old: &str, new: &str) -> Schema {
        self.upcasts.rename(old, new);
        self
    }

    /// The shape of a type was changed after version `from`: `change` makes the next version of it.
    #[must_use]
    pub fn change<Old, New>(
        mut self,
        event_type: &str,
        from: u32,
        change: impl Fn(Old) -> New + Send + Sync + 'static,
    ) -> Schema
    where
        Old: DeserializeOwned,
        New: Serialize,
    {
        self.upcasts.register(event_type, from, Step::change(change));
        self
    }

    /// A type became others after version `from`: `split` tells which events of today say the same. None is allowed, too.
    #[must_use]
    pub fn split<Old, E>(
        mut self,
        event_type: &str,
        from: u32,
        split: impl Fn(Old) -> Vec<E> + Send + Sync + 'static,
    ) -> Schema
    where
        Old: DeserializeOwned,
        E: Serialize,
    {
        self.upcasts.register(event_type, from, Step::split(split));
        self
    }

    /// What becomes of types that the enum does not have. Default: they are an error.
    #[must_use]
    pub fn unknown(mut self, unknown: UnknownTypes) -> Schema {
        self.unknown = unknown;
        self
    }

    /// The version of a type's shape, as new events are written.
    pub fn version_of(&self, event_type: &str) -> u32 {
        self.upcasts.version_of(event_type)
    }

    /// The event that says what `value` says.
    ///
    /// # Errors
    ///
    /// [`SchemaError::NotAnEvent`] when the value is of no such enum, or its name is no type.
    pub fn encode<E: Serialize>(&self, value: &E) -> Result<NewEvent, SchemaError> {
        let (event, version) = self.encode_bare(value)?;
        let metadata = Metadata::default().with("version", &version).map_err(SchemaError::not_an_event)?;
        Ok(event.metadata(metadata))
    }

    /// The event without metadata, and the text that belongs into `metadata.version`.
    pub(crate) fn encode_bare<E: Serialize>(&self, value: &E) -> Result<(NewEvent, String), SchemaError> {
        let encoded = encode::encode(value).map_err(SchemaError::not_an_event)?;
        let event_type = EventType::parse(encoded.event_type).map_err(SchemaError::not_an_event)?;
        let data = Data::from_json_bytes(encoded.data).map_err(SchemaError::not_an_event)?;
        let version = format!("{}.0", self.version_of(encoded.event_type));
        Ok((NewEvent::new(event_type, data), version))
    }

    /// The values of a stored event: one, unless its type was split, or is unknown and passed over.
    ///
    /// # Errors
    ///
    /// [`SchemaError::Unknown`] also where unknown types are to be handed out as they are: the caller has the event.
    pub fn decode<E: DeserializeOwned>(&self, event: &RecordedEvent) -> Result<Vec<E>, SchemaError> {
        let mut values = Vec::with_capacity(1);
        match self.decode_each(event, |value| values.push(value))? {
            Seen::Decoded => Ok(values),
            Seen::Raw => Err(SchemaError::Unknown { event_type: event.event_type().to_owned(), known: &[] }),
        }
    }

    /// Hands each value of a stored event to `each`.
    pub(crate) fn decode_each<E: DeserializeOwned>(
        &self,
        event: &RecordedEvent,
        mut each: impl FnMut(E),
    ) -> Result<Seen, SchemaError> {
        let event_type = event.event_type();
        if let Some(content_type) = event.content_type() {
            let reason = format!("its data is {content_type}, not JSON");
            return Err(SchemaError::Data { event_type: event_type.to_owned(), version: 1, reason });
        }
        let (version, data) = (1, Cow::Borrowed(event.data()));
        let mut stored = Stored { event_type: Cow::Borrowed(event_type), version, data };
        // Most events are as the enum has them, and their metadata need not be read.
        if !self.upcasts.concern(event_type) {
            return self.hand_out(&stored, &mut each);
        }
        stored.version = version_in(event.metadata());
        for stored in self.upcasts.follow(stored)? {
            if self.hand_out(&stored, &mut each)? == Seen::Raw {
                return Ok(Seen::Raw);
            }
        }
        Ok(Seen::Decoded)
    }

    /// Hands out the value of an event that is as the enum has it, or what becomes of one that is unknown.
    fn hand_out<E: DeserializeOwned>(
        &self,
        stored: &Stored<'_>,
        each: &mut impl FnMut(E),
    ) -> Result<Seen, SchemaError> {
        match (decode::decode(&stored.event_type, &stored.data), self.unknown) {
            (Ok(value), _) => each(value),
            (Err(Fault::Unknown(_)), UnknownTypes::Skip) => {}
            (Err(Fault::Unknown(_)), UnknownTypes::Raw) => return Ok(Seen::Raw),
            (Err(fault), _) => return Err(stored.error(fault)),
        }
        Ok(Seen::Decoded)
    }
}

impl Stored<'_> {
    fn error(&self, fault: Fault) -> SchemaError {
        let event_type = self.event_type.clone().into_owned();
        match fault {
            Fault::Unknown(known) => SchemaError::Unknown { event_type, known },
            Fault::Other(reason) => SchemaError::Data { event_type, version: self.version, reason },
        }
    }
}

impl SchemaError {
    fn not_an_event(error: impl std::fmt::Display) -> SchemaError {
        SchemaError::NotAnEvent { what: error.to_string() }
    }
}

/// What is read of a value that was stored.
pub(crate) fn stored_and_read<E: Serialize + DeserializeOwned>(value: &E) -> Result<E, SchemaError> {
    let encoded = encode::encode(value).map_err(SchemaError::not_an_event)?;
    let event_type = Cow::Borrowed(encoded.event_type);
    let stored = Stored { event_type, version: 1, data: Cow::Owned(encoded.data) };
    decode::decode(&stored.event_type, &stored.data).map_err(|fault| stored.error(fault))
}

/// The version that `metadata.version` names: the number before its first point; 1 when there is none.
fn version_in(metadata: Option<&str>) -> u32 {
    #[derive(Deserialize)]
    struct Versioned<'a> {
        #[serde(borrow, default)]
        version: Option<&'a RawValue>,
    }
    let versioned = metadata.and_then(|json| serde_json::from_str::<Versioned<'_>>(json).ok());
    let text = versioned.and_then(|versioned| versioned.version).map_or("", RawValue::get);
    let digits = text.trim_start_matches('"').split(|c: char| !c.is_ascii_digit()).next();
    digits.and_then(|digits| digits.parse().ok()).unwrap_or(1)
}

#[cfg(test)]
mod tests;

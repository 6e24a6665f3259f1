//! From a stored type and data to a value of an enum, in one pass of serde's.
//!
//! serde asks for the name of a variant and gets the event's type; then it asks for what the variant holds and reads the
//! data. A variant that holds nothing has no use for data, whatever it says.

use serde::de::value::StrDeserializer;
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, IntoDeserializer, MapAccess, VariantAccess,
    Visitor,
};

use super::fault::Fault;

/// Reads a value of an enum.
pub(super) fn decode<E: DeserializeOwned>(event_type: &str, data: &[u8]) -> Result<E, Fault> {
    E::deserialize(Stored { event_type, data })
}

/// A stored event, as an enum.
#[derive(Clone, Copy)]
struct Stored<'de> {
    event_type: &'de str,
    data: &'de [u8],
}

impl<'de> Stored<'de> {
    fn name(self) -> StrDeserializer<'de, Fault> {
        self.event_type.into_deserializer()
    }
}

/// Reads all of `data`.
fn read<'de, T>(
    data: &'de [u8],
    work: impl FnOnce(&mut serde_json::Deserializer<serde_json::de::SliceRead<'de>>) -> serde_json::Result<T>,
) -> Result<T, Fault> {
    let mut json = serde_json::Deserializer::from_slice(data);
    let value = work(&mut json)?;
    json.end()?;
    Ok(value)
}

impl<'de> Deserializer<'de> for Stored<'de> {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Fault> {
        Err(Fault::Other("events are read into an enum, plain or with a tag and a content".to_owned()))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        visitor.visit_enum(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        match *fields {
            [tag, content] => visitor.visit_map(Tagged { stored: self, names: [tag, content], read: 0 }),
            _ => self.deserialize_any(visitor),
        }
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct seq
        tuple tuple_struct map identifier ignored_any
    }
}

impl<'de> EnumAccess<'de> for Stored<'de> {
    type Error = Fault;
    type Variant = Stored<'de>;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Stored<'de>), Fault> {
        Ok((seed.deserialize(self.name())?, self))
    }
}

impl<'de> VariantAccess<'de> for Stored<'de> {
    type Error = Fault;

    fn unit_variant(self) -> Result<(), Fault> {
        Ok(())
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, Fault> {
        read(self.data, |json| seed.deserialize(json))
    }

    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Fault> {
        read(self.data, |json| json.deserialize_tuple(len, visitor))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        read(self.data, |json| json.deserialize_struct("", fields, visitor))
    }
}

/// A stored event, as an enum with its tag in one field and its content in another.
struct Tagged<'de> {
    stored: Stored<'de>,
    names: [&'static str; 2],
    /// How many of the two were read.
    read: usize,
}

impl<'de> MapAccess<'de> for Tagged<'de> {
    type Error = Fault;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Fault> {
        let name: Option<StrDeserializer<'_, Fault>> =
            self.names.get(self.read).map(|name| name.into_deserializer());
        name.map(|name| seed.deserialize(name)).transpose()
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Fault> {
        self.read += 1;
        match self.read {
            1 => seed.deserialize(self.stored.name()),
            _ => read(self.stored.data, |json| seed.deserialize(json)),
        }
    }
}

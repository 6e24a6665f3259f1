//! From a value of an enum to its stored type and data, in one pass of serde's.
//!
//! serde tells a serializer the name of the variant and then what it holds. The name is the event's type; what the
//! variant holds is written as JSON.

use serde::ser::{self, Impossible, Serialize, Serializer};

use super::fault::Fault;

/// What is wrong with everything but an enum.
const NOT_AN_ENUM: &str = "events are an enum, either plain or with #[serde(tag = \"…\", content = \"…\")]";

/// A value as it is stored.
pub(super) struct Encoded {
    pub(super) event_type: &'static str,
    pub(super) data: Vec<u8>,
}

/// Encodes a value of an enum.
pub(super) fn encode<E: Serialize + ?Sized>(value: &E) -> Result<Encoded, Fault> {
    value.serialize(ToEvent)
}

fn not_an_enum<T>() -> Result<T, Fault> {
    Err(Fault::Other(NOT_AN_ENUM.to_owned()))
}

/// Takes a value of an enum.
struct ToEvent;

/// Takes the name of a variant, where an enum has it in a field of its own.
struct ToName;

/// Methods that take what is no enum.
macro_rules! refused {
    ($($method:ident($($value:ty),*);)*) => {$(
        fn $method(self $(, _: $value)*) -> Result<Self::Ok, Fault> {
            not_an_enum()
        }
    )*};
}

/// What neither serializer takes.
macro_rules! refused_by_both {
    () => {
        refused! {
            serialize_bool(bool);
            serialize_i8(i8);
            serialize_i16(i16);
            serialize_i32(i32);
            serialize_i64(i64);
            serialize_u8(u8);
            serialize_u16(u16);
            serialize_u32(u32);
            serialize_u64(u64);
            serialize_f32(f32);
            serialize_f64(f64);
            serialize_char(char);
            serialize_str(&str);
            serialize_bytes(&[u8]);
            serialize_none();
            serialize_unit();
            serialize_unit_struct(&'static str);
        }

        type SerializeSeq = Impossible<Self::Ok, Fault>;
        type SerializeTuple = Impossible<Self::Ok, Fault>;
        type SerializeTupleStruct = Impossible<Self::Ok, Fault>;
        type SerializeMap = Impossible<Self::Ok, Fault>;

        fn serialize_some<T: Serialize + ?Sized>(self, _: &T) -> Result<Self::Ok, Fault> {
            not_an_enum()
        }

        fn serialize_seq(self, _: Option<usize>) -> Result<Self::SerializeSeq, Fault> {
            not_an_enum()
        }

        fn serialize_tuple(self, _: usize) -> Result<Self::SerializeTuple, Fault> {
            not_an_enum()
        }

        fn serialize_tuple_struct(
            self,
            _: &'static str,
            _: usize,
        ) -> Result<Self::SerializeTupleStruct, Fault> {
            not_an_enum()
        }

        fn serialize_map(self, _: Option<usize>) -> Result<Self::SerializeMap, Fault> {
            not_an_enum()
        }
    };
}

impl Serializer for ToEvent {
    type Ok = Encoded;
    type Error = Fault;
    type SerializeStruct = Tagged;
    type SerializeTupleVariant = List;
    type SerializeStructVariant = Object;

    refused_by_both!();

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<Encoded, Fault> {
        value.serialize(self)
    }

    fn serialize_unit_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
    ) -> Result<Encoded, Fault> {
        Ok(Encoded { event_type: variant, data: b"null".to_vec() })
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<Encoded, Fault> {
        Ok(Encoded { event_type: variant, data: serde_json::to_vec(value)? })
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<List, Fault> {
        Ok(List(Encoded { event_type: variant, data: Vec::new() }))
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Object, Fault> {
        Ok(Object(Encoded { event_type: variant, data: Vec::new() }))
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Tagged, Fault> {
        Ok(Tagged { event_type: None, data: None })
    }
}

impl Serializer for ToName {
    type Ok = &'static str;
    type Error = Fault;
    type SerializeStruct = Impossible<&'static str, Fault>;
    type SerializeTupleVariant = Impossible<&'static str, Fault>;
    type SerializeStructVariant = Impossible<&'static str, Fault>;

    refused_by_both!();

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: &T,
    ) -> Result<Self::Ok, Fault> {
        not_an_enum()
    }

    fn serialize_unit_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
    ) -> Result<Self::Ok, Fault> {
        Ok(variant)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<Self::Ok, Fault> {
        not_an_enum()
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleVariant, Fault> {
        not_an_enum()
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeStructVariant, Fault> {
        not_an_enum()
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Self::SerializeStruct, Fault> {
        not_an_enum()
    }
}

/// A variant with fields without names: a JSON list.
struct List(Encoded);

impl ser::SerializeTupleVariant for List {
    type Ok = Encoded;
    type Error = Fault;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Fault> {
        let data = &mut self.0.data;
        data.push(if data.is_empty() { b'[' } else { b',' });
        Ok(serde_json::to_writer(data, value)?)
    }

    fn end(mut self) -> Result<Encoded, Fault> {
        let data = &mut self.0.data;
        data.extend_from_slice(if data.is_empty() { b"[]" } else { b"]" });
        Ok(self.0)
    }
}

/// A variant with named fields: a JSON object.
struct Object(Encoded);

impl ser::SerializeStructVariant for Object {
    type Ok = Encoded;
    type Error = Fault;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), Fault> {
        let data = &mut self.0.data;
        data.push(if data.is_empty() { b'{' } else { b',' });
        serde_json::to_writer(&mut *data, name)?;
        data.push(b':');
        Ok(serde_json::to_writer(data, value)?)
    }

    fn end(mut self) -> Result<Encoded, Fault> {
        let data = &mut self.0.data;
        data.extend_from_slice(if data.is_empty() { b"{}" } else { b"}" });
        Ok(self.0)
    }
}

/// An enum with its tag in one field and its content in the next.
struct Tagged {
    event_type: Option<&'static str>,
    data: Option<Vec<u8>>,
}

impl ser::SerializeStruct for Tagged {
    type Ok = Encoded;
    type Error = Fault;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, _: &'static str, value: &T) -> Result<(), Fault> {
        match (&self.event_type, &self.data) {
            // A tag that stands among the fields of the variant comes as a text, not as a variant.
            (None, None) => self.event_type = Some(value.serialize(ToName)?),
            (Some(_), None) => self.data = Some(serde_json::to_vec(value)?),
            _ => return not_an_enum(),
        }
        Ok(())
    }

    fn end(self) -> Result<Encoded, Fault> {
        match self.event_type {
            Some(event_type) => {
                Ok(Encoded { event_type, data: self.data.unwrap_or_else(|| b"null".to_vec()) })
            }
            None => not_an_enum(),
        }
    }
}

//! The data of an event: JSON, kept byte for byte, or anything else with its content type.

use bytes::Bytes;
use serde::Serialize;
use serde_json::value::RawValue;

use super::ContentType;

/// What an event says. JSON is checked once, here, and never parsed again by the store.
///
/// ```
/// use annals::Data;
///
/// let data = Data::json(&serde_json::json!({"total": 99.95}))?;
/// assert_eq!(data.bytes().as_ref(), br#"{"total":99.95}"#);
/// # Ok::<(), annals::DataError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Data {
    bytes: Bytes,
    content_type: Option<ContentType>,
}

/// Why bytes or a value cannot be an event's data.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("data is not JSON: {reason}")]
pub struct DataError {
    reason: String,
}

impl Data {
    /// Serialises `value` as JSON.
    pub fn json(value: &impl Serialize) -> Result<Data, DataError> {
        match serde_json::to_vec(value) {
            Ok(bytes) => Ok(Data { bytes: bytes.into(), content_type: None }),
            Err(error) => Err(DataError { reason: error.to_string() }),
        }
    }

    /// Takes JSON text as it is, white space included, once it is known to be JSON.
    pub fn from_json_bytes(bytes: impl Into<Bytes>) -> Result<Data, DataError> {
        let bytes = bytes.into();
        match serde_json::from_slice::<&RawValue>(&bytes) {
            Ok(_) => Ok(Data { bytes, content_type: None }),
            Err(error) => Err(DataError { reason: error.to_string() }),
        }
    }

    /// Takes JSON that a parser has checked already.
    pub fn from_raw(json: &RawValue) -> Data {
        Data { bytes: Bytes::copy_from_slice(json.get().as_bytes()), content_type: None }
    }

    /// The same without a copy, as long as it is a part of `text`; then `text` is kept as long as the data.
    pub fn from_raw_of(json: &RawValue, text: &Bytes) -> Data {
        let (bytes, of) = (json.get().as_bytes(), text.as_ptr_range());
        let part = bytes.as_ptr_range();
        match of.start <= part.start && part.end <= of.end {
            true => Data { bytes: text.slice_ref(bytes), content_type: None },
            false => Data::from_raw(json),
        }
    }

    /// Takes bytes that are not JSON, with the media type that says what they are.
    pub fn binary(content_type: ContentType, bytes: impl Into<Bytes>) -> Data {
        Data { bytes: bytes.into(), content_type: Some(content_type) }
    }

    /// The bytes.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The media type; none means JSON.
    pub fn content_type(&self) -> Option<&ContentType> {
        self.content_type.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_is_a_part_of_the_text_that_it_was_read_from_and_a_copy_of_any_other() {
        let text = Bytes::from_static(b"[ {\"n\":1} ]");
        let of = |json: &Bytes| {
            let parts: Vec<&RawValue> = serde_json::from_slice(json).expect("is a list");
            Data::from_raw_of(parts[0], &text)
        };
        let (shared, copied) = (of(&text), of(&Bytes::copy_from_slice(&text)));
        assert!(shared == copied && shared.bytes().as_ref() == b"{\"n\":1}");
        assert_eq!(shared.bytes().as_ptr(), text[2..].as_ptr());
        assert_ne!(copied.bytes().as_ptr(), text[2..].as_ptr());
    }

    #[test]
    fn json_keeps_its_bytes_and_what_is_no_json_is_refused() {
        let text = b"{ \"a\" : 1.0 }";
        assert_eq!(Data::from_json_bytes(&text[..]).expect("is JSON").bytes().as_ref(), text);
        assert!(Data::from_json_bytes(&b"{a:1}"[..]).is_err());
        assert!(Data::from_json_bytes(&b"1 2"[..]).is_err());
        assert!(Data::from_json_bytes(&b"\"\xff\""[..]).is_err());
    }
}

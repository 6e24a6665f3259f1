//! The envelope around a value in `meta`: what it is, how long it is, and a checksum, before bincode sees a byte.
//!
//! bincode decodes most damaged bytes into some other valid value, and knows no versions. So the checksum is checked
//! first, and each schema number stands for one struct that never changes; a new shape gets a new number.
//!
//! Inside is bincode 1.3 with integers of fixed size, little-endian, and no bytes left over.

use bincode::Options;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::Error;

/// The largest value, header not counted. It is far above any snapshot that the default limits allow.
const VALUE_BYTES_MAX: u64 = 256 << 20;

/// Header of a sealed value: 16 bytes, little-endian; the value follows and ends it.
///
/// | offset | size | field    | meaning                                                |
/// |-------:|-----:|----------|--------------------------------------------------------|
/// |      0 |    6 | `magic`  | `ANmeta`                                               |
/// |      6 |    2 | `schema` | which struct the value is; never given to another one  |
/// |      8 |    4 | `len`    | bytes of the value                                     |
/// |     12 |    4 | `crc`    | CRC-32/ISO-HDLC of bytes 0 to 11 and of the value      |
pub(crate) const HEADER_BYTES: usize = 16;

const MAGIC: [u8; 6] = *b"ANmeta";

fn format() -> impl Options {
    bincode::DefaultOptions::new()
        .with_fixint_encoding()
        .with_little_endian()
        .reject_trailing_bytes()
        .with_limit(VALUE_BYTES_MAX)
}

/// Encodes a value. One that is too large, or that bincode cannot express, is refused.
pub(crate) fn seal<T: Serialize>(schema: u16, value: &T) -> Result<Vec<u8>, Error> {
    let refused = |error| Error::invalid(format!("cannot keep the value: {error}"));
    let mut sealed = vec![0; HEADER_BYTES];
    format().serialize_into(&mut sealed, value).map_err(refused)?;
    Ok(with_header(schema, sealed))
}

/// Writes the header into its place before a value that is encoded already.
pub(crate) fn with_header(schema: u16, mut sealed: Vec<u8>) -> Vec<u8> {
    // The limit of the format lies far below what 32 bits can say.
    let len = (sealed.len() - HEADER_BYTES) as u32;
    sealed[..6].copy_from_slice(&MAGIC);
    sealed[6..8].copy_from_slice(&schema.to_le_bytes());
    sealed[8..12].copy_from_slice(&len.to_le_bytes());
    let crc = checksum(&sealed);
    sealed[12..16].copy_from_slice(&crc.to_le_bytes());
    sealed
}

/// Decodes a value that was sealed with the same schema; anything else is none.
pub(crate) fn open<T: DeserializeOwned>(schema: u16, sealed: &[u8]) -> Option<T> {
    let (header, value) = sealed.split_at_checked(HEADER_BYTES)?;
    let whole = header[..6] == MAGIC
        && header[6..8] == schema.to_le_bytes()
        && header[8..12] == u32::try_from(value.len()).ok()?.to_le_bytes()
        && header[12..16] == checksum(sealed).to_le_bytes();
    if !whole {
        return None;
    }
    format().deserialize(value).ok()
}

/// The checksum of everything but itself.
fn checksum(sealed: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&sealed[..12]);
    hasher.update(&sealed[HEADER_BYTES..]);
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    struct SampleV1 {
        count: u64,
        name: String,
        parts: Vec<(u16, bool)>,
        note: Option<String>,
    }

    fn sample() -> SampleV1 {
        SampleV1 { count: 258, name: "größe".to_owned(), parts: vec![(1, true), (2, false)], note: None }
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn the_bytes_of_a_sealed_value_are_those_that_older_versions_wrote() {
        // magic · schema 7 · 38 bytes · CRC, then count, name, parts and the absent note.
        let golden = "414e6d657461".to_owned()
            + "0700"
            + "26000000"
            + "141303c2"
            + "0201000000000000"
            + "07000000000000006772c3b6c39f65"
            + "0200000000000000010001020000"
            + "00";
        assert_eq!(hex(&seal(7, &sample()).unwrap()), golden);
    }

    #[test]
    fn a_sealed_value_opens_as_itself_and_only_under_its_own_schema() {
        let sealed = seal(7, &sample()).unwrap();
        assert_eq!(open(7, &sealed), Some(sample()));
        assert_eq!(open::<SampleV1>(8, &sealed), None);
        assert_eq!(open::<(u64, String)>(7, &sealed), None, "bytes left over");
    }

    #[test]
    fn no_flipped_bit_is_taken_for_a_value() {
        let sealed = seal(7, &sample()).unwrap();
        for bit in 0..sealed.len() * 8 {
            let mut damaged = sealed.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(open::<SampleV1>(7, &damaged), None, "bit {bit}");
        }
    }

    #[test]
    fn no_cut_or_lengthened_value_is_taken_for_one() {
        let mut sealed = seal(7, &sample()).unwrap();
        for len in 0..sealed.len() {
            assert_eq!(open::<SampleV1>(7, &sealed[..len]), None, "{len} bytes");
        }
        sealed.push(0);
        assert_eq!(open::<SampleV1>(7, &sealed), None);
    }

    #[test]
    fn a_length_inside_a_value_that_nobody_could_have_written_allocates_nothing() {
        // A vector that says it has 2^64 - 1 elements, under a right checksum.
        let sealed = seal(7, &u64::MAX).unwrap();
        assert_eq!(open::<Vec<u64>>(7, &sealed), None);
    }
}

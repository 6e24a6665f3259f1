//! An event of the floor as a frame of the bare log: what its client sent, and what it was given.
//!
//! What is given has a length of its own, so that the version, which only the writer of the log knows, is put in at the end.

use annals::EventId;

use crate::stores::bare::{HEADER_BYTES, encode_frame, seal};

/// What an event is given: 32 bytes, the first part of its frame.
///
/// | offset | size | field     | meaning                                                     |
/// |-------:|-----:|-----------|-------------------------------------------------------------|
/// |      0 |   16 | `id`      | of which a UUID is made                                     |
/// |     16 |    8 | `time`    | when the request came, nanoseconds since 1970, little-endian|
/// |     24 |    8 | `version` | place in the stream, little-endian                          |
const GIVEN_BYTES: usize = 32;

/// Where a frame has the version: behind its header and the length of the part.
const VERSION_AT: usize = HEADER_BYTES + 2 + 24;

pub type Id = [u8; 16];

/// What a frame holds.
pub struct Parts<'a> {
    pub id: &'a Id,
    pub time: i64,
    pub version: u64,
    pub stream: &'a [u8],
    pub event_type: &'a [u8],
    pub metadata: &'a [u8],
    pub data: &'a [u8],
}

/// A new id. They are made as annals makes its own, which asks the system for random bytes only now and then.
pub fn new_id() -> Id {
    EventId::generate().as_uuid().copied().unwrap_or_default()
}

impl<'a> Parts<'a> {
    /// Writes the frame of an event that has no version yet.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let mut given = [0; GIVEN_BYTES];
        given[..16].copy_from_slice(self.id);
        given[16..24].copy_from_slice(&self.time.to_le_bytes());
        encode_frame(&[&given, self.stream, self.event_type, self.metadata, self.data], out);
    }

    /// Those of a frame without its header; none when it is no frame of an event.
    pub fn of(frame: &'a [u8]) -> Option<Parts<'a>> {
        let mut rest = frame;
        let mut next = || {
            let (len, behind) = rest.split_first_chunk()?;
            let (part, behind) = behind.split_at_checked(u16::from_le_bytes(*len).into())?;
            rest = behind;
            Some(part)
        };
        let (id, times) = next()?.split_first_chunk()?;
        let (time, version) = times.split_first_chunk()?;
        Some(Parts {
            id,
            time: i64::from_le_bytes(*time),
            version: u64::from_le_bytes(*version.first_chunk()?),
            stream: next()?,
            event_type: next()?,
            metadata: next()?,
            data: next()?,
        })
    }
}

/// Completes a frame with its version.
pub fn complete(frame: &mut [u8], version: u64) {
    frame[VERSION_AT..VERSION_AT + 8].copy_from_slice(&version.to_le_bytes());
    seal(frame);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_holds_what_was_sent_and_what_was_given() {
        let id = new_id();
        let sent = Parts {
            id: &id,
            time: -7,
            version: 0,
            stream: b"order-1",
            event_type: b"made",
            metadata: b"{}",
            data: b"[5]",
        };
        let mut frame = Vec::new();
        sent.encode(&mut frame);
        complete(&mut frame, 9);
        let found = Parts::of(&frame[HEADER_BYTES..]).unwrap();
        assert_eq!((found.id, found.time, found.version), (&id, -7, 9));
        assert_eq!((found.stream, found.event_type), (&b"order-1"[..], &b"made"[..]));
        assert_eq!((found.metadata, found.data), (&b"{}"[..], &b"[5]"[..]));
        assert_eq!(frame[4..8], crc32fast::hash(&frame[8..]).to_le_bytes());
    }
}

//! Frames: what stands in a segment after its header. One data frame is one append, the unit of atomicity.
//!
//! A frame is valid where it stands, and only there: its checksum is seeded with the segment's salt and the frame's
//! offset, and it names the checksum of the frame before it. Stale bytes cannot pass for new ones.

use super::NUMBER_MAX;
use super::field::{put, u32_at, u64_at};
use crate::model::{Position, Timestamp};

/// Frame header: 64 bytes, 8-byte aligned in the file.
///
/// | offset | size | field          | meaning                                                              |
/// |-------:|-----:|----------------|----------------------------------------------------------------------|
/// |      0 |    4 | `magic`        | `ANFR`                                                               |
/// |      4 |    4 | `len`          | of the whole frame, header and trailer included; a multiple of 8     |
/// |      8 |    1 | `kind`         | 1 OPEN, 2 DATA, 3 SEAL, 4 CLOSE, 5 REMOVED                           |
/// |      9 |    3 |                | zero                                                                 |
/// |     12 |    4 | `count`        | events in a DATA frame, or that a REMOVED frame stands for; else 0   |
/// |     16 |    8 | `first`        | position of the first of them; else the position the next event gets |
/// |     24 |    8 | `durable`      | the durable position when the frame was built                        |
/// |     32 |    8 | `commit_time`  | nanoseconds since 1970; never decreases                              |
/// |     40 |    8 | `epoch`        | raised each time the store is opened for writing                     |
/// |     48 |    4 | `chain`        | `header_crc` of the frame before, across segments; 0 at the very first|
/// |     52 |    4 | `body_crc`     | DATA: of the events' checksums, in order; else of the body           |
/// |     56 |    4 |                | zero                                                                 |
/// |     60 |    4 | `header_crc`   | of the bytes before, seeded with `salt ^ offset`, halves XOR-ed      |
pub(crate) const HEADER_LEN: usize = 64;

/// Trailer of a frame: 8 bytes.
///
/// | offset | size | field        | meaning                                      |
/// |-------:|-----:|--------------|----------------------------------------------|
/// |      0 |    4 | `len`        | the same as in the header: walk backwards    |
/// |      4 |    4 | `header_crc` | ties the trailer to its own header           |
pub(crate) const TRAILER_LEN: usize = 8;

/// The longest frame. Options keep appends below it; a length above it is damage.
pub(crate) const FRAME_LEN_MAX: usize = 512 << 20;

const MAGIC: u32 = u32::from_le_bytes(*b"ANFR");

/// What a frame is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum FrameKind {
    /// The first of a segment.
    Open = 1,
    /// One append.
    Data = 2,
    /// The last of a segment.
    Seal = 3,
    /// The store was closed cleanly here.
    Close = 4,
    /// Retention removed the events that stood here.
    Removed = 5,
}

/// The header of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FrameHeader {
    pub(crate) kind: FrameKind,
    pub(crate) len: u32,
    pub(crate) count: u32,
    pub(crate) first: Position,
    pub(crate) durable: Position,
    pub(crate) commit_time: Timestamp,
    pub(crate) epoch: u64,
    pub(crate) chain: u32,
    pub(crate) body_crc: u32,
}

/// Why bytes are not a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FrameFault {
    #[error("nothing but zeros")]
    Zero,
    #[error("no frame begins here")]
    Magic,
    #[error("frame header checksum {found:#010x}, wanted {wanted:#010x}")]
    HeaderCrc { wanted: u32, found: u32 },
    #[error("a frame of kind {kind} and length {len}, which cannot be")]
    Shape { kind: u8, len: u32 },
    #[error("the frame reaches beyond the end of the segment")]
    Beyond,
    #[error("a position or epoch of {found}, which no log has")]
    Number { found: u64 },
    #[error("frame body checksum {found:#010x}, wanted {wanted:#010x}")]
    BodyCrc { wanted: u32, found: u32 },
    #[error("the trailer does not match the header")]
    Trailer,
    #[error("an event of the frame: {0}")]
    Event(super::event::EventFault),
    #[error("the frame names {found:#010x} as the one before it, wanted {wanted:#010x}")]
    Chain { wanted: u32, found: u32 },
    #[error("the frame is of epoch {epoch} or of a time before the frame before it")]
    Stale { epoch: u64 },
    #[error("the frame begins at position {found}, wanted {wanted}")]
    Position { wanted: Position, found: Position },
}

/// The seed of a frame's header checksum.
fn seed(salt: u64, offset: u64) -> u32 {
    let mixed = salt ^ offset;
    (mixed >> 32) as u32 ^ mixed as u32
}

impl FrameHeader {
    /// Encodes the header for one place, and tells its checksum.
    pub(crate) fn encode(&self, salt: u64, offset: u64) -> ([u8; HEADER_LEN], u32) {
        let mut out = [0; HEADER_LEN];
        put(&mut out, 0, MAGIC.to_le_bytes());
        put(&mut out, 4, self.len.to_le_bytes());
        out[8] = self.kind as u8;
        put(&mut out, 12, self.count.to_le_bytes());
        put(&mut out, 16, self.first.get().to_le_bytes());
        put(&mut out, 24, self.durable.get().to_le_bytes());
        put(&mut out, 32, self.commit_time.as_nanos().to_le_bytes());
        put(&mut out, 40, self.epoch.to_le_bytes());
        put(&mut out, 48, self.chain.to_le_bytes());
        put(&mut out, 52, self.body_crc.to_le_bytes());
        let crc = header_crc(&out, salt, offset);
        put(&mut out, 60, crc.to_le_bytes());
        (out, crc)
    }

    /// Decodes the header that stands at `offset`, and tells its checksum. The length is believed only after that.
    pub(crate) fn decode(
        from: &[u8; HEADER_LEN],
        salt: u64,
        offset: u64,
    ) -> Result<(FrameHeader, u32), FrameFault> {
        if u32_at(from, 0) != MAGIC {
            return Err(if from.iter().all(|byte| *byte == 0) {
                FrameFault::Zero
            } else {
                FrameFault::Magic
            });
        }
        let (found, wanted) = (header_crc(from, salt, offset), u32_at(from, 60));
        if found != wanted {
            return Err(FrameFault::HeaderCrc { wanted, found });
        }
        let len = u32_at(from, 4);
        let shape = FrameFault::Shape { kind: from[8], len };
        let kind = match from[8] {
            1 => FrameKind::Open,
            2 => FrameKind::Data,
            3 => FrameKind::Seal,
            4 => FrameKind::Close,
            5 => FrameKind::Removed,
            _ => return Err(shape),
        };
        if !len.is_multiple_of(8) || !(HEADER_LEN + TRAILER_LEN..=FRAME_LEN_MAX).contains(&(len as usize)) {
            return Err(shape);
        }
        let (first, durable, epoch) = (u64_at(from, 16), u64_at(from, 24), u64_at(from, 40));
        if let Some(found) = [first, durable, epoch].into_iter().find(|number| *number > NUMBER_MAX) {
            return Err(FrameFault::Number { found });
        }
        if first == 0 {
            return Err(FrameFault::Number { found: first });
        }
        let header = FrameHeader {
            kind,
            len,
            count: u32_at(from, 12),
            first: Position::new(first),
            durable: Position::new(durable),
            commit_time: Timestamp::from_nanos(u64_at(from, 32) as i64),
            epoch,
            chain: u32_at(from, 48),
            body_crc: u32_at(from, 52),
        };
        Ok((header, wanted))
    }

    /// The position after the last event of the frame.
    pub(crate) fn next_position(&self) -> Position {
        self.first.advanced(u64::from(self.count))
    }
}

fn header_crc(header: &[u8; HEADER_LEN], salt: u64, offset: u64) -> u32 {
    let mut crc = crc32fast::Hasher::new_with_initial(seed(salt, offset));
    crc.update(&header[..60]);
    crc.finalize()
}

/// A salt under which these bytes are the header of a frame at `offset`, as far as their checksum can tell.
///
/// A checksum leads back to the seed that it began with. It is the segment's only if other frames agree: any bytes have
/// some salt.
pub(crate) fn salt_of(header: &[u8; HEADER_LEN], offset: u64) -> u64 {
    const POLYNOMIAL: u32 = 0xedb8_8320;
    let mut register = !u32_at(header, 60);
    for byte in header[..60].iter().rev() {
        for _ in 0..8 {
            register = match register >> 31 {
                0 => register << 1,
                _ => (register ^ POLYNOMIAL) << 1 | 1,
            };
        }
        register ^= u32::from(*byte);
    }
    u64::from(!register ^ seed(0, offset))
}

/// The length that the trailer at the start of `bytes` repeats; none when there are too few.
pub(crate) fn trailer_len(bytes: &[u8]) -> Option<u32> {
    bytes.get(..TRAILER_LEN).map(|trailer| u32_at(trailer, 0))
}

/// Whether a frame may begin with these bytes.
pub(crate) fn begins_like_a_frame(bytes: [u8; 4]) -> bool {
    u32::from_le_bytes(bytes) == MAGIC
}

/// The trailer of the frame with this length and header checksum.
pub(crate) fn encode_trailer(len: u32, header_crc: u32) -> [u8; TRAILER_LEN] {
    let mut out = [0; TRAILER_LEN];
    put(&mut out, 0, len.to_le_bytes());
    put(&mut out, 4, header_crc.to_le_bytes());
    out
}

/// Checks that `frame`, a whole frame whose header has been decoded, has the body and the trailer its header wants.
pub(crate) fn check_frame(frame: &[u8], header: &FrameHeader, header_crc: u32) -> Result<(), FrameFault> {
    let (rest, trailer) = frame.split_at(frame.len() - TRAILER_LEN);
    if trailer != encode_trailer(header.len, header_crc) {
        return Err(FrameFault::Trailer);
    }
    let body = &rest[HEADER_LEN..];
    let found = match header.kind {
        FrameKind::Data => data_body_crc(body, header)?,
        FrameKind::Open | FrameKind::Seal | FrameKind::Close | FrameKind::Removed => crc32fast::hash(body),
    };
    if found != header.body_crc {
        return Err(FrameFault::BodyCrc { wanted: header.body_crc, found });
    }
    Ok(())
}

/// Checks every event of a data frame and sums up their checksums.
fn data_body_crc(body: &[u8], header: &FrameHeader) -> Result<u32, FrameFault> {
    let mut crc = crc32fast::Hasher::new();
    let (mut at, mut position) = (0, header.first);
    for _ in 0..header.count {
        let record = super::event::record_at(body, at).map_err(FrameFault::Event)?;
        super::event::check(record)
            .and_then(|()| super::event::check_terms(record))
            .map_err(FrameFault::Event)?;
        let found = super::event::position(record);
        if found != position {
            return Err(FrameFault::Position { wanted: position, found });
        }
        crc.update(&super::event::crc(record).to_le_bytes());
        at += record.len();
        position = position.next();
    }
    match at == body.len() {
        true => Ok(crc.finalize()),
        false => Err(FrameFault::Shape { kind: FrameKind::Data as u8, len: header.len }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> FrameHeader {
        FrameHeader {
            kind: FrameKind::Close,
            len: 72,
            count: 0,
            first: Position::new(43),
            durable: Position::new(42),
            commit_time: Timestamp::from_nanos(-5),
            epoch: 7,
            chain: 0xdead_beef,
            body_crc: 0,
        }
    }

    #[test]
    fn a_header_comes_back_as_it_was() {
        let (bytes, crc) = header().encode(11, 8192);
        assert_eq!(FrameHeader::decode(&bytes, 11, 8192), Ok((header(), crc)));
    }

    #[test]
    fn a_frame_is_valid_at_its_own_offset_under_its_own_salt_only() {
        let (bytes, _) = header().encode(11, 8192);
        for (salt, offset) in [(11, 8200), (12, 8192), (11 | 1 << 40, 8192)] {
            assert!(matches!(FrameHeader::decode(&bytes, salt, offset), Err(FrameFault::HeaderCrc { .. })));
        }
    }

    #[test]
    fn a_header_leads_back_to_a_salt_that_fits_every_frame_of_its_segment() {
        let salt = 0x1122_3344_5566_7788;
        let found = salt_of(&header().encode(salt, 8192).0, 8192);
        for offset in [8192, 8288, 1 << 30] {
            let (bytes, crc) = header().encode(salt, offset);
            assert_eq!(FrameHeader::decode(&bytes, found, offset), Ok((header(), crc)));
        }
    }

    #[test]
    fn every_flipped_bit_of_a_header_is_noticed() {
        let (whole, _) = header().encode(11, 8192);
        for bit in 0..whole.len() * 8 {
            let mut broken = whole;
            broken[bit / 8] ^= 1 << (bit % 8);
            assert!(FrameHeader::decode(&broken, 11, 8192).is_err(), "bit {bit}");
        }
    }
}

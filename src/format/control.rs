//! The frames that carry no events: OPEN, SEAL, CLOSE.

use super::field::{bytes, i64_at, put, u64_at};
use super::frame::{FrameHeader, HEADER_LEN, TRAILER_LEN, encode_trailer};
use crate::model::{HistoryId, Position, Timestamp};

/// Body of OPEN: 32 bytes; 24 in segments of version 1, which have no settings before them.
///
/// | offset | size | field     | meaning                                                     |
/// |-------:|-----:|-----------|-------------------------------------------------------------|
/// |      0 |   16 | `history` | id of the history that the segment continues                |
/// |     16 |    8 | `seal_at` | offset of SEAL in the segment before; 0 in the first segment|
/// |     24 |    8 | `settings`| position of the last event before that is a stream's settings; 0 when there is none |
const OPEN_BODY_LEN: usize = 32;

const OPEN_BODY_LEN_V1: usize = 24;

/// Body of SEAL: 32 bytes.
///
/// | offset | size | field        | meaning                              |
/// |-------:|-----:|--------------|--------------------------------------|
/// |      0 |    8 | `events`     | events in the segment                |
/// |      8 |    8 | `frames`     | DATA frames in the segment           |
/// |     16 |    8 | `first_time` | commit time of the first DATA frame  |
/// |     24 |    8 | `last_time`  | commit time of the last DATA frame   |
const SEAL_BODY_LEN: usize = 32;

pub(crate) const OPEN_LEN: usize = HEADER_LEN + OPEN_BODY_LEN + TRAILER_LEN;
pub(crate) const SEAL_LEN: usize = HEADER_LEN + SEAL_BODY_LEN + TRAILER_LEN;
pub(crate) const CLOSE_LEN: usize = HEADER_LEN + TRAILER_LEN;

/// What a SEAL says of its segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Seal {
    pub(crate) events: u64,
    pub(crate) frames: u64,
    pub(crate) first_time: Timestamp,
    pub(crate) last_time: Timestamp,
}

impl Seal {
    /// Counts a data frame.
    pub(crate) fn add(&mut self, count: u32, commit_time: Timestamp) {
        self.events += u64::from(count);
        self.frames += 1;
        if self.frames == 1 {
            self.first_time = commit_time;
        }
        self.last_time = commit_time;
    }
}

/// What an OPEN says beside its header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Open {
    pub(crate) history: HistoryId,
    pub(crate) seal_at: u64,
    pub(crate) settings: Position,
}

pub(crate) fn open_body(open: &Open) -> [u8; OPEN_BODY_LEN] {
    let mut out = [0; OPEN_BODY_LEN];
    put(&mut out, 0, *open.history.as_bytes());
    put(&mut out, 16, open.seal_at.to_le_bytes());
    put(&mut out, 24, open.settings.get().to_le_bytes());
    out
}

/// Reads the body of an OPEN frame; none when the body has another length.
pub(crate) fn decode_open(body: &[u8]) -> Option<Open> {
    let settings = match body.len() {
        OPEN_BODY_LEN => u64_at(body, 24),
        OPEN_BODY_LEN_V1 => 0,
        _ => return None,
    };
    Some(Open {
        history: HistoryId::from_bytes(bytes(body, 0)),
        seal_at: u64_at(body, 16),
        settings: Position::new(settings),
    })
}

pub(crate) fn seal_body(seal: &Seal) -> [u8; SEAL_BODY_LEN] {
    let mut out = [0; SEAL_BODY_LEN];
    put(&mut out, 0, seal.events.to_le_bytes());
    put(&mut out, 8, seal.frames.to_le_bytes());
    put(&mut out, 16, seal.first_time.as_nanos().to_le_bytes());
    put(&mut out, 24, seal.last_time.as_nanos().to_le_bytes());
    out
}

/// Reads the body of a SEAL frame; none when the body has another length.
pub(crate) fn decode_seal(body: &[u8]) -> Option<Seal> {
    let body: &[u8; SEAL_BODY_LEN] = body.try_into().ok()?;
    Some(Seal {
        events: u64_at(body, 0),
        frames: u64_at(body, 8),
        first_time: Timestamp::from_nanos(i64_at(body, 16)),
        last_time: Timestamp::from_nanos(i64_at(body, 24)),
    })
}

/// Appends a whole control frame to `out` and tells its header checksum. `header` needs neither length nor checksum.
pub(crate) fn encode(out: &mut Vec<u8>, header: FrameHeader, body: &[u8], salt: u64, offset: u64) -> u32 {
    let len = HEADER_LEN + body.len() + TRAILER_LEN;
    let header = FrameHeader { len: len as u32, body_crc: crc32fast::hash(body), ..header };
    let (bytes, crc) = header.encode(salt, offset);
    out.extend_from_slice(&bytes);
    out.extend_from_slice(body);
    out.extend_from_slice(&encode_trailer(header.len, crc));
    crc
}

//! STATE: two alternating slots that remember the durable position, for advice only.

use super::field::{bytes, put, u32_at, u64_at};
use super::{NUMBER_MAX, SegmentNumber, StoreId};
use crate::model::{HistoryId, Position};

/// A slot of STATE: 96 bytes, at offset 0 or [`SLOT_STRIDE`].
///
/// | offset | size | field      | meaning                                       |
/// |-------:|-----:|------------|-----------------------------------------------|
/// |      0 |    8 | `magic`    | `ANNALSST`                                    |
/// |      8 |    4 | `version`  | of STATE: 1                                   |
/// |     12 |    4 |            | zero                                          |
/// |     16 |   16 | `store`    | id of the store                               |
/// |     32 |   16 | `history`  | id of the history                             |
/// |     48 |    8 | `sequence` | the slot with the higher one is the newer     |
/// |     56 |    8 | `segment`  | number of the active segment                  |
/// |     64 |    8 | `durable`  | the durable position                          |
/// |     72 |   20 |            | zero                                          |
/// |     92 |    4 | `crc`      | of the bytes before                           |
pub(crate) const SLOT_LEN: usize = 96;

/// The slots lie in different sectors, so that one torn write leaves the other.
pub(crate) const SLOT_STRIDE: u64 = 4096;

/// The version of STATE that this code writes and reads.
const STATE_VERSION: u32 = 1;

/// What such a file begins with.
pub(crate) const MAGIC: [u8; 8] = *b"ANNALSST";

/// What a slot says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) store: StoreId,
    pub(crate) history: HistoryId,
    pub(crate) sequence: u64,
    /// For people who look for the end of a log by hand: `inspect` shows it. Nothing is decided by it, because the log is
    /// found by its frames.
    pub(crate) segment: SegmentNumber,
    pub(crate) durable: Position,
}

impl State {
    pub(crate) fn encode(&self) -> [u8; SLOT_LEN] {
        let mut out = [0; SLOT_LEN];
        put(&mut out, 0, MAGIC);
        put(&mut out, 8, STATE_VERSION.to_le_bytes());
        put(&mut out, 16, self.store.0);
        put(&mut out, 32, *self.history.as_bytes());
        put(&mut out, 48, self.sequence.to_le_bytes());
        put(&mut out, 56, self.segment.0.to_le_bytes());
        put(&mut out, 64, self.durable.get().to_le_bytes());
        let crc = crc32fast::hash(&out[..92]);
        put(&mut out, 92, crc.to_le_bytes());
        out
    }

    /// Reads a slot; none when it was never written, or not wholly.
    pub(crate) fn decode(from: &[u8; SLOT_LEN]) -> Option<State> {
        let valid = from[..8] == MAGIC
            && u32_at(from, 8) == STATE_VERSION
            && crc32fast::hash(&from[..92]) == u32_at(from, 92)
            && u64_at(from, 48) <= NUMBER_MAX;
        valid.then(|| State {
            store: StoreId(bytes(from, 16)),
            history: HistoryId::from_bytes(bytes(from, 32)),
            sequence: u64_at(from, 48),
            segment: SegmentNumber(u64_at(from, 56)),
            durable: Position::new(u64_at(from, 64)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_comes_back_as_it_was_and_a_damaged_one_does_not_count() {
        let state = State {
            store: StoreId([1; 16]),
            history: HistoryId::from_bytes([2; 16]),
            sequence: 3,
            segment: SegmentNumber(4),
            durable: Position::new(5),
        };
        let whole = state.encode();
        assert_eq!(State::decode(&whole), Some(state));
        for bit in 0..whole.len() * 8 {
            let mut broken = whole;
            broken[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(State::decode(&broken), None, "bit {bit}");
        }
    }
}

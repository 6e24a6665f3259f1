//! A row of the term table: which events of a segment have a term, and for a stream, where it comes from.

use crate::format::{NUMBER_MAX, varint};
use crate::model::StreamVersion;

/// A term of a segment. Encoded without padding:
///
/// | size    | field      | meaning                                                                                |
/// |--------:|------------|----------------------------------------------------------------------------------------|
/// | 9 to 16 | `hash`     | term hash, big-endian, without the leading whole bytes that the directory resolves     |
/// |  varint | `head`     | twice the count of events; one more for a stream                                       |
/// |  varint | `postings` | count 1: the ordinal of the event; else where the postings begin in their section      |
/// |  varint | `bytes`    | only a stream: an eighth of the sum of its records' lengths                            |
/// |  varint | `first`    | only a stream: version of its first event here                                         |
/// |  varint | `back`     | only a stream whose `first` is above 1: how many segments before this one it lay last; |
/// |         |            | 0: not known                                                                           |
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TermRow {
    pub(crate) hash: u128,
    /// How many events have the term; at least one, unless it is a stream whose events have all been removed.
    pub(crate) count: u32,
    /// The ordinal of the only event, or where the postings begin.
    pub(crate) postings: u32,
    pub(crate) stream: Option<StreamRow>,
}

/// What a row says of a stream beside its events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StreamRow {
    /// The version of its first event in the segment.
    pub(crate) first: StreamVersion,
    /// The sum of the lengths of its records in the segment.
    pub(crate) bytes: u64,
    /// How many segments before this one the stream lay last; 0 when it begins here, or nobody knew.
    pub(crate) back: u64,
}

/// The leading bytes of a hash that a directory over `bits` bits makes known.
pub(crate) fn known_bytes(bits: u32) -> usize {
    (bits / 8).min(7) as usize
}

impl TermRow {
    /// Appends the row to `out`, without the `known` leading bytes of its hash.
    pub(crate) fn encode(&self, known: usize, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.hash.to_be_bytes()[known..]);
        varint::put(out, u64::from(self.count) << 1 | u64::from(self.stream.is_some()));
        varint::put(out, self.postings.into());
        if let Some(stream) = &self.stream {
            varint::put(out, stream.bytes / 8);
            varint::put(out, stream.first.get());
            if stream.first > StreamVersion::new(1) {
                varint::put(out, stream.back);
            }
        }
    }

    /// Takes a row from the front of `from`. The leading bytes of its hash are those of `like`.
    pub(crate) fn decode(from: &mut &[u8], known: usize, like: u128) -> Option<TermRow> {
        let hash = take_hash(from, known, like)?;
        let head = varint::take(from)?;
        let count = u32::try_from(head >> 1).ok().filter(|_| head > 0)?;
        let postings = varint::take_u32(from)?;
        let stream = if head & 1 == 0 { None } else { Some(StreamRow::decode(from)?) };
        Some(TermRow { hash, count, postings, stream })
    }
}

/// Takes a hash without its `known` leading bytes, which are those of `like`, from the front of `from`.
#[inline]
fn take_hash(from: &mut &[u8], known: usize, like: u128) -> Option<u128> {
    let (rest, after) = from.split_at_checked(16 - known)?;
    // What follows the hash is read with it where there is as much: sixteen bytes are taken in one go, and fewer are not.
    let hash = match from.first_chunk() {
        Some(more) => u128::from_be_bytes(*more) >> (8 * known) | like & !(u128::MAX >> (8 * known)),
        None => {
            let mut hash = like.to_be_bytes();
            hash[known..].copy_from_slice(rest);
            u128::from_be_bytes(hash)
        }
    };
    *from = after;
    Some(hash)
}

impl StreamRow {
    fn decode(from: &mut &[u8]) -> Option<StreamRow> {
        let bytes = varint::take(from)?.checked_mul(8)?;
        let first = varint::take(from).filter(|first| (1..=NUMBER_MAX).contains(first))?;
        let back = if first > 1 { varint::take(from)? } else { 0 };
        Some(StreamRow { first: StreamVersion::new(first), bytes, back })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> [TermRow; 3] {
        let stream = |first, back| Some(StreamRow { first: StreamVersion::new(first), bytes: 4096, back });
        let hash = 0xfedc_ba98_7654_3210_0123_4567_89ab_cdef;
        [
            TermRow { hash, count: 1, postings: 70_000, stream: stream(1, 0) },
            TermRow { hash, count: 300, postings: 5, stream: stream(17, 2) },
            TermRow { hash, count: u32::MAX, postings: u32::MAX, stream: None },
        ]
    }

    #[test]
    fn a_row_comes_back_and_leaves_what_follows() {
        for known in [0, 1, 7] {
            for row in rows() {
                let mut out = Vec::new();
                row.encode(known, &mut out);
                out.push(9);
                let mut from = &out[..];
                assert_eq!(TermRow::decode(&mut from, known, row.hash), Some(row));
                assert_eq!(from, [9]);
            }
        }
    }

    #[test]
    fn a_stream_of_one_event_takes_22_bytes() {
        let mut out = Vec::new();
        rows()[0].encode(1, &mut out);
        assert_eq!(out.len(), 22);
    }

    #[test]
    fn a_row_that_is_cut_off_is_none() {
        for row in rows() {
            let mut out = Vec::new();
            row.encode(1, &mut out);
            for len in 0..out.len() {
                assert_eq!(TermRow::decode(&mut &out[..len], 1, row.hash), None);
            }
        }
    }
}

//! Postings: the ordinals of the events that have one term, rising, packed.
//!
//! Ordinals are packed in runs of [`RUN`]: the first as it is, each other as the difference to the one before, as
//! varints. Longer postings begin with a table of 8 bytes for each run: its first ordinal, and where it begins, counted
//! from the table's begin; there a run leaves its first ordinal out.

use crate::format::field::{put, u32_at};
use crate::format::varint;

/// Ordinals that are packed together.
pub(crate) const RUN: u32 = 128;

/// Bytes of one entry of the table of runs.
pub(crate) const RUN_ENTRY_LEN: usize = 8;

/// The longest run, in bytes: no ordinal takes more than five.
pub(crate) const RUN_BYTES_MAX: usize = RUN as usize * 5;

/// One entry of the table of runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RunEntry {
    /// The first ordinal of the run.
    pub(crate) first: u32,
    /// Where the rest of the run begins, from the begin of the table.
    pub(crate) at: u32,
}

impl RunEntry {
    pub(crate) fn decode(from: &[u8; RUN_ENTRY_LEN]) -> RunEntry {
        RunEntry { first: u32_at(from, 0), at: u32_at(from, 4) }
    }
}

/// Whether postings of so many ordinals begin with a table of runs.
pub(crate) fn has_table(count: u32) -> bool {
    count > RUN
}

/// Appends the postings of `ordinals` to `out`.
pub(crate) fn encode(ordinals: &[u32], out: &mut Vec<u8>) {
    if !has_table(ordinals.len() as u32) {
        if let Some((first, rest)) = ordinals.split_first() {
            varint::put(out, u64::from(*first));
            encode_differences(*first, rest, out);
        }
        return;
    }
    let begin = out.len();
    let runs = ordinals.chunks(RUN as usize);
    out.resize(begin + runs.len() * RUN_ENTRY_LEN, 0);
    for (number, run) in runs.enumerate() {
        let entry = begin + number * RUN_ENTRY_LEN;
        let at = (out.len() - begin) as u32;
        put(out, entry, run[0].to_le_bytes());
        put(out, entry + 4, at.to_le_bytes());
        encode_differences(run[0], &run[1..], out);
    }
}

fn encode_differences(mut before: u32, ordinals: &[u32], out: &mut Vec<u8>) {
    for ordinal in ordinals {
        varint::put(out, u64::from(ordinal - before));
        before = *ordinal;
    }
}

/// Appends to `out` the `count` ordinals of a run; `first` is given where a table says it. None when they are cut off or
/// do not rise.
pub(crate) fn decode_run(mut from: &[u8], first: Option<u32>, count: u32, out: &mut Vec<u32>) -> Option<()> {
    let mut ordinal = match first {
        Some(first) => first,
        None => varint::take_u32(&mut from)?,
    };
    out.push(ordinal);
    for _ in 1..count {
        let difference = varint::take_u32(&mut from).filter(|difference| *difference > 0)?;
        ordinal = ordinal.checked_add(difference)?;
        out.push(ordinal);
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(bytes: &[u8], count: u32) -> Option<Vec<u32>> {
        let mut out = Vec::new();
        if !has_table(count) {
            decode_run(bytes, None, count, &mut out)?;
            return Some(out);
        }
        for (number, entry) in
            bytes.chunks_exact(RUN_ENTRY_LEN).take(count.div_ceil(RUN) as usize).enumerate()
        {
            let entry = RunEntry::decode(entry.try_into().expect("a chunk of that length"));
            let left = count - number as u32 * RUN;
            decode_run(&bytes[entry.at as usize..], Some(entry.first), left.min(RUN), &mut out)?;
        }
        Some(out)
    }

    #[test]
    fn ordinals_come_back_in_order() {
        for count in [1, 2, 127, 128, 129, 256, 257, 5000] {
            for step in [1, 3, 1000] {
                let ordinals: Vec<u32> = (0..count).map(|n| 7 + n * step).collect();
                let mut bytes = Vec::new();
                encode(&ordinals, &mut bytes);
                assert_eq!(decode(&bytes, count).as_deref(), Some(&ordinals[..]), "{count} by {step}");
            }
        }
    }

    #[test]
    fn neighbours_take_little_more_than_a_byte() {
        let ordinals: Vec<u32> = (0..100_000).collect();
        let mut bytes = Vec::new();
        encode(&ordinals, &mut bytes);
        assert!(bytes.len() < 107_000, "{}", bytes.len());
    }

    #[test]
    fn what_does_not_rise_or_is_cut_off_is_none() {
        let mut out = Vec::new();
        assert_eq!(decode_run(&[5, 0], None, 2, &mut out), None);
        assert_eq!(decode_run(&[5], None, 2, &mut out), None);
        assert_eq!(decode_run(&[0xff, 0xff, 0xff, 0xff, 0x0f], Some(1), 2, &mut out), None);
    }
}

//! The filter of a segment: says of most terms that the segment does not have, with one look, that it does not.
//!
//! A split block Bloom filter, as Parquet has it: a hash chooses a block of eight 32-bit words by its high half, and one
//! bit in each word by its low half. With [`BITS_A_TERM`] about one absent term in 250 is let through.

/// Bytes of a block.
pub(crate) const BLOCK_LEN: usize = 32;

/// Bits of the filter for each term.
const BITS_A_TERM: u64 = 12;

/// Odd numbers that draw one bit a word out of the same 32 bits; those of Parquet.
const SALTS: [u32; 8] =
    [0x47b6_137b, 0x4497_4d91, 0x8824_ad5b, 0xa2b7_289d, 0x7054_95c7, 0x2df1_424b, 0x9efc_4947, 0x5c6b_fb31];

/// How many blocks the filter over `terms` terms has.
pub(crate) fn blocks_for(terms: u32) -> u32 {
    (u64::from(terms) * BITS_A_TERM).div_ceil(BLOCK_LEN as u64 * 8).max(1) as u32
}

/// The block of a term, of `blocks`.
#[inline]
pub(crate) fn block_of(hash: u128, blocks: u32) -> u32 {
    // The low half of the hash: the high one chooses the entry of the directory.
    let high = hash as u64 >> 32;
    ((high * u64::from(blocks)) >> 32) as u32
}

/// The bit of a term in each word of its block.
#[inline]
fn bits_of(hash: u128) -> [u32; 8] {
    SALTS.map(|salt| 1 << ((hash as u32).wrapping_mul(salt) >> 27))
}

/// Adds a term to its block.
pub(crate) fn add(block: &mut [u8; BLOCK_LEN], hash: u128) {
    for (word, bit) in block.chunks_exact_mut(4).zip(bits_of(hash)) {
        word.iter_mut().zip(bit.to_le_bytes()).for_each(|(byte, bits)| *byte |= bits);
    }
}

/// Whether the segment may have the term whose block this is.
#[inline]
pub(crate) fn may_have(block: &[u8; BLOCK_LEN], hash: u128) -> bool {
    let words = block.chunks_exact(4).zip(bits_of(hash));
    words.fold(true, |all, (word, bit)| {
        all & (u32::from_le_bytes([word[0], word[1], word[2], word[3]]) & bit != 0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(n: u64) -> u128 {
        let mixed = |n: u64| {
            let n = (n ^ (n >> 31)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            u128::from((n ^ (n >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9))
        };
        mixed(n) << 64 | mixed(n + (1 << 40))
    }

    #[test]
    fn what_was_added_is_there_and_few_others_are() {
        let terms = 10_000;
        let blocks = blocks_for(terms);
        let mut filter = vec![[0; BLOCK_LEN]; blocks as usize];
        for n in 0..u64::from(terms) {
            add(&mut filter[block_of(hash(n), blocks) as usize], hash(n));
        }
        let may = |n: u64| may_have(&filter[block_of(hash(n), blocks) as usize], hash(n));
        assert!((0..u64::from(terms)).all(may));
        let let_through = (1_000_000..1_100_000).filter(|n| may(*n)).count();
        assert!(let_through < 1_000, "{let_through} of 100000");
    }

    #[test]
    fn the_bits_are_those_that_files_already_have() {
        let mut block = [0; BLOCK_LEN];
        add(&mut block, 0x0123_4567_89ab_cdef);
        assert_eq!(block_of(0x0123_4567_89ab_cdef, 1000), 4);
        let set: Vec<u32> =
            block.chunks_exact(4).map(|w| u32::from_le_bytes([w[0], w[1], w[2], w[3]])).collect();
        assert_eq!(set.iter().map(|word| word.trailing_zeros()).collect::<Vec<_>>(), GOLDEN);
    }

    /// The bit of each word. Files on disk depend on it: it never changes.
    const GOLDEN: [u32; 8] = [18, 19, 30, 23, 4, 16, 12, 24];
}

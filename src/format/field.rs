//! Little-endian fields at fixed offsets of a byte slice.

/// Reads the `N` bytes at `at`.
#[inline]
pub(super) fn bytes<const N: usize>(from: &[u8], at: usize) -> [u8; N] {
    from[at..at + N].try_into().expect("a range of N bytes has N bytes")
}

#[inline]
pub(super) fn u16_at(from: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(bytes(from, at))
}

#[inline]
pub(super) fn u32_at(from: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes(from, at))
}

#[inline]
pub(super) fn u64_at(from: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes(from, at))
}

#[inline]
pub(super) fn i64_at(from: &[u8], at: usize) -> i64 {
    i64::from_le_bytes(bytes(from, at))
}

/// Writes `value` at `at`.
#[inline]
pub(super) fn put<const N: usize>(into: &mut [u8], at: usize, value: [u8; N]) {
    into[at..at + N].copy_from_slice(&value);
}

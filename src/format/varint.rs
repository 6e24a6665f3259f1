//! Numbers in as few bytes as they need: seven bits a byte, lowest first, the highest bit set while more follow.

/// Appends `number` to `out`.
pub(crate) fn put(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Takes a number from the front of `from`; none when it is cut off or needs more than 64 bits.
#[inline]
pub(crate) fn take(from: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..u64::BITS).step_by(7) {
        let (byte, rest) = from.split_first()?;
        *from = rest;
        let bits = u64::from(byte & 0x7f);
        if shift == 63 && bits > 1 {
            return None;
        }
        number |= bits << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

/// As [`take`], for a number of at most 32 bits.
#[inline]
pub(crate) fn take_u32(from: &mut &[u8]) -> Option<u32> {
    take(from)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_comes_back_and_leaves_what_follows() {
        for number in [0, 1, 127, 128, 300, u64::from(u32::MAX), u64::MAX - 1, u64::MAX] {
            let mut out = Vec::new();
            put(&mut out, number);
            assert!(out.len() <= 10);
            out.push(7);
            let mut from = &out[..];
            assert_eq!((take(&mut from), from), (Some(number), &[7][..]));
        }
    }

    #[test]
    fn what_is_cut_off_or_too_large_is_no_number() {
        for bytes in [&[][..], &[0x80], &[0xff; 9], &[0xff; 11]] {
            assert_eq!(take(&mut { bytes }), None);
        }
        let mut beyond = [0xff; 10];
        beyond[9] = 2;
        assert_eq!(take(&mut &beyond[..]), None);
        assert_eq!(take_u32(&mut &[0x80, 0x80, 0x80, 0x80, 0x10][..]), None);
    }
}

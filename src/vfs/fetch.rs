//! Fetching from memory: what will be looked at soon, while something else is done.
//!
//! Looks at a hundred places far apart take as long as a hundred waits for memory, one after the other; asked for before,
//! they come together.

/// What a processor fetches at once.
pub(super) const LINE_BYTES: usize = 64;

/// Fetches what stands at a place, where the processor can be asked to.
#[inline]
pub(crate) fn fetch<T>(place: &T) {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    #[expect(unsafe_code, reason = "std marks every instruction that takes a pointer")]
    // SAFETY: it is a hint, which reads nothing that the program can see and cannot fault.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(place).cast());
    }
    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    let _ = place;
}

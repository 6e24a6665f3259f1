//! The keyed hash under which streams and ids are found.
//!
//! The key is the store's own secret, so nobody can choose names that collide; at 128 bits a chance collision of two
//! streams is not a case to handle.

use std::hash::Hasher;

use siphasher::sip128::{Hasher128, SipHasher24};

/// Hashes the terms of one store.
#[derive(Debug, Clone)]
pub(crate) struct TermHasher(SipHasher24);

/// What a term is; part of what is hashed, so that a stream and an id of one name differ.
#[derive(Clone, Copy)]
#[repr(u8)]
enum Kind {
    Stream = 1,
    Id = 2,
}

impl TermHasher {
    pub(crate) fn new(key: &[u8; 16]) -> TermHasher {
        TermHasher(SipHasher24::new_with_key(key))
    }

    /// The hash of a stream's name.
    pub(crate) fn stream(&self, name: &[u8]) -> u128 {
        self.hash(Kind::Stream, name)
    }

    /// The hash of an event's id. A match is confirmed by the event itself.
    pub(crate) fn id(&self, id: &[u8]) -> u64 {
        (self.hash(Kind::Id, id) >> 64) as u64
    }

    fn hash(&self, kind: Kind, bytes: &[u8]) -> u128 {
        let mut hasher = self.0;
        hasher.write(bytes);
        hasher.write_u8(kind as u8);
        hasher.finish128().as_u128()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_depend_on_key_kind_and_name() {
        let (one, other) = (TermHasher::new(&[1; 16]), TermHasher::new(&[2; 16]));
        assert_ne!(one.stream(b"a"), other.stream(b"a"));
        assert_ne!(one.stream(b"a"), one.stream(b"b"));
        assert_ne!((one.stream(b"a") >> 64) as u64, one.id(b"a"));
    }

    #[test]
    fn the_hash_is_the_one_that_files_already_hold() {
        let hasher = TermHasher::new(&[7; 16]);
        assert_eq!(format!("{:032x}", hasher.stream(b"order-1")), GOLDEN);
    }

    /// The hash of the stream `order-1` under a key of sevens. Files on disk depend on it: it never changes.
    const GOLDEN: &str = "8bcac034b243d985ef16374399c6d551";
}

//! The keyed hash under which streams and ids are found.
//!
//! The key is the store's own secret, so nobody can choose names that collide; at 128 bits a chance collision of two
//! streams is not a case to handle.

use std::hash::Hasher;

use siphasher::sip128::{Hasher128, SipHasher24};

use crate::format::event;
use crate::model::{Label, unpack};

/// Hashes the terms of one store.
#[derive(Debug, Clone)]
pub(crate) struct TermHasher(SipHasher24);

/// What a term is; part of what is hashed, so that a stream and a type of one name differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Term {
    Stream = 1,
    Id = 2,
    Category = 3,
    Type = 4,
    Tag = 5,
    CorrelationId = 6,
    TenantId = 7,
    IdempotencyKey = 8,
}

impl Term {
    /// The term that a label is; none when events are not found by it.
    fn of_label(label: Label) -> Option<Term> {
        match label {
            Label::Tag => Some(Term::Tag),
            Label::CorrelationId => Some(Term::CorrelationId),
            Label::TenantId => Some(Term::TenantId),
            Label::IdempotencyKey => Some(Term::IdempotencyKey),
            Label::CausationId | Label::RoutingKey => None,
        }
    }
}

/// The hashes under which one event is found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RecordTerms {
    pub(crate) stream: u128,
    pub(crate) id: u64,
    /// Its category, its type, and what its labels say.
    pub(crate) others: Vec<u128>,
}

impl RecordTerms {
    pub(crate) fn new(stream: u128, id: u64) -> RecordTerms {
        RecordTerms { stream, id, others: Vec::with_capacity(4) }
    }
}

impl TermHasher {
    pub(crate) fn new(key: &[u8; 16]) -> TermHasher {
        TermHasher(SipHasher24::new_with_key(key))
    }

    /// The hash of an append's key.
    pub(crate) fn key(&self, key: &[u8]) -> u128 {
        self.hash(Term::IdempotencyKey, key)
    }

    /// The hash of a stream's name.
    pub(crate) fn stream(&self, name: &[u8]) -> u128 {
        self.hash(Term::Stream, name)
    }

    /// The hash of an event's id. A match is confirmed by the event itself.
    pub(crate) fn id(&self, id: &[u8]) -> u64 {
        (self.hash(Term::Id, id) >> 64) as u64
    }

    /// The hashes of a record; none when the record is too short for what it says.
    pub(crate) fn record(&self, record: &[u8]) -> Option<RecordTerms> {
        let parts = event::found_by(record)?;
        let mut terms = RecordTerms::new(self.stream(parts.stream), self.id(parts.id));
        terms.others.push(self.hash(Term::Category, category_of(parts.stream)));
        terms.others.push(self.hash(Term::Type, parts.event_type));
        for (label, text) in unpack(parts.labels) {
            terms.others.extend(Term::of_label(label).map(|term| self.hash(term, text.as_bytes())));
        }
        Some(terms)
    }

    /// The hash of a term.
    pub(crate) fn hash(&self, kind: Term, bytes: &[u8]) -> u128 {
        let mut hasher = self.0;
        hasher.write(bytes);
        hasher.write_u8(kind as u8);
        hasher.finish128().as_u128()
    }
}

/// The part of a stream's name before its first `-`, or the whole name.
fn category_of(stream: &[u8]) -> &[u8] {
    stream.split(|byte| *byte == b'-').next().unwrap_or(stream)
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

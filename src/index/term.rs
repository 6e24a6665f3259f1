//! The keyed hash under which streams and ids are found.
//!
//! The key is the store's own secret, so nobody can choose names that collide; at 128 bits a chance collision of two
//! streams is not a case to handle.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

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
            Label::CausationId | Label::RoutingKey | Label::Traceparent => None,
        }
    }
}

/// The hashes under which one event is found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RecordTerms {
    pub(crate) stream: u128,
    pub(crate) id: u64,
    pub(crate) category: u128,
    pub(crate) event_type: u128,
    /// What its labels say.
    pub(crate) labels: Vec<u128>,
}

impl RecordTerms {
    /// All terms but the stream and the id.
    pub(crate) fn others(&self) -> impl Iterator<Item = u128> {
        [self.category, self.event_type].into_iter().chain(self.labels.iter().copied())
    }

    /// How many terms there are, the id not counted.
    pub(crate) fn count(&self) -> usize {
        3 + self.labels.len()
    }
}

/// Values by term. A term is a keyed hash already, so it is not hashed again.
pub(crate) type ByTerm<V> = HashMap<u128, V, BuildHasherDefault<AsItIs>>;

/// Takes the low half of a term for its hash.
#[derive(Debug, Default)]
pub(crate) struct AsItIs(u64);

impl Hasher for AsItIs {
    fn write_u128(&mut self, term: u128) {
        self.0 = term as u64;
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("a term is written as one number");
    }

    fn finish(&self) -> u64 {
        self.0
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

    /// The hashes of a record, one of several; none when the record is too short for what it says.
    pub(super) fn record(
        &self,
        record: &[u8],
        category: &mut RecentTerm,
        event_type: &mut RecentTerm,
    ) -> Option<RecordTerms> {
        let parts = event::found_by(record)?;
        Some(RecordTerms {
            stream: self.stream(parts.stream),
            id: self.id(parts.id),
            category: self.category(parts.stream, category),
            event_type: event_type.hash(self, parts.event_type),
            labels: self.labels(parts.labels),
        })
    }

    /// The hash of the category of a stream, one of several.
    pub(crate) fn category(&self, stream: &[u8], recent: &mut RecentTerm) -> u128 {
        recent.hash(self, category_of(stream))
    }

    /// The hashes of packed labels.
    pub(crate) fn labels(&self, packed: &[u8]) -> Vec<u128> {
        let term_of = |(label, text): (Label, &str)| Some(self.hash(Term::of_label(label)?, text.as_bytes()));
        unpack(packed).filter_map(term_of).collect()
    }

    /// The hash of a term.
    pub(crate) fn hash(&self, kind: Term, bytes: &[u8]) -> u128 {
        let mut hasher = self.0;
        hasher.write(bytes);
        hasher.write_u8(kind as u8);
        hasher.finish128().as_u128()
    }
}

/// Hashes terms of one kind; one is often the same as the one before.
#[derive(Debug)]
pub(crate) struct RecentTerm {
    kind: Term,
    /// Here and not elsewhere, because most appends have a single one.
    recent: [u8; TEXT_LEN_MAX],
    len: usize,
    hash: Option<u128>,
}

/// The longest text that a record has room for.
const TEXT_LEN_MAX: usize = u8::MAX as usize;

impl RecentTerm {
    pub(crate) fn new(kind: Term) -> RecentTerm {
        RecentTerm { kind, recent: [0; TEXT_LEN_MAX], len: 0, hash: None }
    }

    pub(crate) fn hash(&mut self, hasher: &TermHasher, bytes: &[u8]) -> u128 {
        if let Some(hash) = self.hash.filter(|_| self.recent[..self.len] == *bytes) {
            return hash;
        }
        let hash = hasher.hash(self.kind, bytes);
        if let Some(recent) = self.recent.get_mut(..bytes.len()) {
            recent.copy_from_slice(bytes);
            (self.len, self.hash) = (bytes.len(), Some(hash));
        }
        hash
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
    fn a_term_has_its_own_hash_whatever_came_before_it() {
        let hasher = TermHasher::new(&[1; 16]);
        let mut types = RecentTerm::new(Term::Type);
        for event_type in [&b""[..], b"a", b"a", b"b", b"a", b""] {
            assert_eq!(types.hash(&hasher, event_type), hasher.hash(Term::Type, event_type));
        }
    }

    #[test]
    fn the_hash_is_the_one_that_files_already_hold() {
        let hasher = TermHasher::new(&[7; 16]);
        assert_eq!(format!("{:032x}", hasher.stream(b"order-1")), GOLDEN);
    }

    /// The hash of the stream `order-1` under a key of sevens. Files on disk depend on it: it never changes.
    const GOLDEN: &str = "8bcac034b243d985ef16374399c6d551";
}

//! Ids: of events, given by the writer or made here, and of histories.

mod fresh;

use std::fmt;

use uuid::Uuid;

use super::name::{NameError, check_name};

/// How many ids are made at once.
const AT_ONCE: usize = 16;

/// The id of an event, unique within its stream: 1 to 255 bytes without control characters.
///
/// An id that is a UUID in its usual lower-case form takes 16 bytes in memory and on disk; it reads the same.
///
/// ```
/// use annals::EventId;
///
/// assert_eq!(EventId::parse("evt-12345")?.to_string(), "evt-12345");
/// assert!(EventId::generate().as_uuid().is_some());
/// # Ok::<(), annals::NameError>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventId(Form);

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Form {
    Uuid(Uuid),
    Text(Box<str>),
}

/// An id as a stored event holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoredId<'a> {
    /// A UUID, which reads in its usual form, in lower case.
    Uuid(&'a [u8; 16]),
    /// Any other text, in UTF-8.
    Text(&'a [u8]),
}

impl EventId {
    /// Checks `text` and keeps it.
    pub fn parse(text: &str) -> Result<EventId, NameError> {
        check_name("an event id", text)?;
        Ok(match canonical_uuid(text) {
            Some(uuid) => EventId(Form::Uuid(uuid)),
            None => EventId(Form::Text(text.into())),
        })
    }

    /// A new id, a UUID of version 7: later ids of one process sort after earlier ones.
    pub fn generate() -> EventId {
        EventId(Form::Uuid(fresh::fresh()))
    }

    /// The id that a UUID's 16 bytes mean.
    pub fn from_uuid(bytes: [u8; 16]) -> EventId {
        EventId(Form::Uuid(Uuid::from_bytes(bytes)))
    }

    /// The 16 bytes, when the id is a UUID in its usual form.
    pub fn as_uuid(&self) -> Option<&[u8; 16]> {
        match &self.0 {
            Form::Uuid(uuid) => Some(uuid.as_bytes()),
            Form::Text(_) => None,
        }
    }

    /// The bytes that stand for the id in a record: 16 of a UUID, else its text.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Form::Uuid(uuid) => uuid.as_bytes(),
            Form::Text(text) => text.as_bytes(),
        }
    }
}

/// New ids, each above the one before.
#[derive(Debug)]
pub(crate) struct FreshIds {
    /// What is made and not given out begins at `at`.
    ids: [Uuid; AT_ONCE],
    at: usize,
    left: usize,
}

impl FreshIds {
    /// As many as that.
    pub(crate) fn new(count: usize) -> FreshIds {
        FreshIds { ids: [Uuid::nil(); AT_ONCE], at: AT_ONCE, left: count }
    }
}

impl Iterator for FreshIds {
    type Item = EventId;

    fn next(&mut self) -> Option<EventId> {
        if self.left == 0 {
            return None;
        }
        if self.at == AT_ONCE {
            self.at -= self.left.min(AT_ONCE);
            fresh::fill(&mut self.ids[self.at..]);
        }
        (self.left, self.at) = (self.left - 1, self.at + 1);
        Some(EventId(Form::Uuid(self.ids[self.at - 1])))
    }
}

/// Parses only the form that formatting gives back, so that no id changes on its way through.
fn canonical_uuid(text: &str) -> Option<Uuid> {
    let uuid = (text.len() == 36).then(|| Uuid::try_parse(text).ok())??;
    let mut buffer = Uuid::encode_buffer();
    (uuid.hyphenated().encode_lower(&mut buffer) == text).then_some(uuid)
}

impl fmt::Display for EventId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Form::Uuid(uuid) => uuid.hyphenated().fmt(out),
            Form::Text(text) => out.write_str(text),
        }
    }
}

impl fmt::Debug for EventId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "\"{self}\"")
    }
}

impl std::str::FromStr for EventId {
    type Err = NameError;

    fn from_str(text: &str) -> Result<EventId, NameError> {
        EventId::parse(text)
    }
}

/// The id of one line of events. It changes when events that were visible are gone: after a restore, say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct HistoryId([u8; 16]);

impl HistoryId {
    /// The history that 16 bytes mean.
    pub const fn from_bytes(bytes: [u8; 16]) -> HistoryId {
        HistoryId(bytes)
    }

    /// The 16 bytes.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for HistoryId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        Uuid::from_bytes(self.0).simple().fmt(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_id_reads_as_it_was_written() {
        for text in [
            "ffdf0100-fe83-5375-bf2d-5a90a4819869",
            "FFDF0100-FE83-5375-BF2D-5A90A4819869",
            "ffdf0100fe835375bf2d5a90a4819869",
            "{ffdf0100-fe83-5375-bf2d-5a90a48198}",
            "evt-12345",
        ] {
            assert_eq!(EventId::parse(text).map(|id| id.to_string()).as_deref(), Ok(text));
        }
    }

    #[test]
    fn as_many_new_ids_are_made_as_are_asked_for_and_each_is_above_the_one_before() {
        for count in [0, 1, AT_ONCE - 1, AT_ONCE, AT_ONCE + 1, 5 * AT_ONCE + 3] {
            let before = EventId::generate();
            let ids: Vec<EventId> = std::iter::once(before).chain(FreshIds::new(count)).collect();
            assert_eq!(ids.len(), count + 1);
            assert!(ids.is_sorted_by(|one, next| one < next), "{ids:?}");
        }
    }

    #[test]
    fn only_the_usual_form_of_a_uuid_is_kept_as_sixteen_bytes() {
        let usual = EventId::parse("ffdf0100-fe83-5375-bf2d-5a90a4819869").expect("legal");
        let upper = EventId::parse("FFDF0100-FE83-5375-BF2D-5A90A4819869").expect("legal");
        assert!(usual.as_uuid().is_some());
        assert!(upper.as_uuid().is_none());
        assert_ne!(usual, upper);
    }
}

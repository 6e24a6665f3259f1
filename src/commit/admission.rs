//! Admission: whether an append may happen. A pure decision over stream versions.

use crate::error::AppendError;
use crate::model::{Deletion, ExpectedVersion, StreamName, StreamVersion};

/// A stream as it stands, and what an append expects of it.
#[derive(Clone, Copy)]
pub(super) struct Stands<'a> {
    pub(super) stream: &'a StreamName,
    pub(super) expected: ExpectedVersion,
    pub(super) actual: StreamVersion,
    pub(super) deletion: Option<Deletion>,
}

impl Stands<'_> {
    /// Whether the stream is as the append expects.
    pub(super) fn check(self) -> Result<(), AppendError> {
        let Stands { stream, expected, actual, deletion } = self;
        let holds = match (deletion, expected) {
            (Some(Deletion::Hard), _) => {
                return Err(AppendError::Gone { stream: stream.clone(), version: actual });
            }
            // It has no events any more, and goes on from its version.
            (Some(Deletion::Soft), ExpectedVersion::None) => true,
            (Some(Deletion::Soft), ExpectedVersion::Exists) => false,
            _ => expected.holds_at(actual),
        };
        let conflict = || AppendError::Conflict { stream: stream.clone(), expected, actual };
        if holds { Ok(()) } else { Err(conflict()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stands(stream: &StreamName, expected: ExpectedVersion, actual: u64) -> Stands<'_> {
        Stands { stream, expected, actual: StreamVersion::new(actual), deletion: None }
    }

    fn answer(expected: ExpectedVersion, actual: u64) -> bool {
        let stream = StreamName::parse("s").expect("legal");
        stands(&stream, expected, actual).check().is_ok()
    }

    #[test]
    fn a_deleted_stream_has_no_events_and_keeps_its_version() {
        let stream = StreamName::parse("s").expect("legal");
        let admitted =
            |expected, deletion| Stands { deletion: Some(deletion), ..stands(&stream, expected, 5) }.check();
        let (five, four) = (StreamVersion::new(5).into(), StreamVersion::new(4).into());
        for expected in [ExpectedVersion::Any, ExpectedVersion::None, five] {
            assert!(admitted(expected, Deletion::Soft).is_ok(), "{expected}");
        }
        for expected in [ExpectedVersion::Exists, four] {
            let refusal = admitted(expected, Deletion::Soft);
            assert!(matches!(refusal, Err(AppendError::Conflict { .. })), "{expected}");
        }
        for expected in [ExpectedVersion::Any, ExpectedVersion::None, ExpectedVersion::Exists, five, four] {
            let refusal = admitted(expected, Deletion::Hard);
            assert!(matches!(refusal, Err(AppendError::Gone { version, .. }) if version.get() == 5));
        }
    }

    #[test]
    fn each_expectation_holds_where_it_should_and_nowhere_else() {
        assert!(answer(ExpectedVersion::Any, 0) && answer(ExpectedVersion::Any, 5));
        assert!(answer(ExpectedVersion::None, 0) && !answer(ExpectedVersion::None, 1));
        assert!(answer(ExpectedVersion::Exists, 1) && !answer(ExpectedVersion::Exists, 0));
        let five = ExpectedVersion::Exactly(StreamVersion::new(5));
        assert!(answer(five, 5) && !answer(five, 4) && !answer(five, 6));
        assert!(answer(ExpectedVersion::Exactly(StreamVersion::START), 0));
    }
}

//! Admission: whether an append may happen. A pure decision over stream versions.

use crate::error::AppendError;
use crate::model::{ExpectedVersion, StreamName, StreamVersion};

/// Checks each stream's expected version against where it stands; tells the first that is not as expected.
pub(super) fn admit<'a>(
    streams: impl IntoIterator<Item = (&'a StreamName, ExpectedVersion, StreamVersion)>,
) -> Result<(), AppendError> {
    match streams.into_iter().find(|(_, expected, actual)| !expected.holds_at(*actual)) {
        None => Ok(()),
        Some((stream, expected, actual)) => {
            Err(AppendError::Conflict { stream: stream.clone(), expected, actual })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(expected: ExpectedVersion, actual: u64) -> bool {
        let stream = StreamName::parse("s").expect("legal");
        admit([(&stream, expected, StreamVersion::new(actual))]).is_ok()
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

    #[test]
    fn the_first_stream_that_differs_is_named() {
        let (one, two) = (StreamName::parse("one").expect("legal"), StreamName::parse("two").expect("legal"));
        let streams = [
            (&one, ExpectedVersion::Any, StreamVersion::new(3)),
            (&two, ExpectedVersion::None, StreamVersion::new(7)),
        ];
        assert!(matches!(
            admit(streams),
            Err(AppendError::Conflict { stream, actual, .. }) if stream == two && actual.get() == 7
        ));
    }
}

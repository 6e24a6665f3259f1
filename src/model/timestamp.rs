//! Instants: nanoseconds since 1970-01-01T00:00:00Z, read and written as RFC 3339.
//!
//! The only module that knows a calendar.

use std::fmt;

/// An instant, kept to the nanosecond, between the years 1677 and 2262.
///
/// ```
/// use annals::Timestamp;
///
/// let time = Timestamp::parse("2024-07-15T16:32:22.5+02:00")?;
/// assert_eq!(time.to_string(), "2024-07-15T14:32:22.5Z");
/// # Ok::<(), annals::TimestampError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(i64);

/// Why a text is not an instant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a time in RFC 3339 between 1677 and 2262, such as 2024-07-15T14:32:22.123Z: {reason}")]
pub struct TimestampError {
    reason: String,
}

impl Timestamp {
    /// The instant `nanos` nanoseconds after 1970-01-01T00:00:00Z.
    pub const fn from_nanos(nanos: i64) -> Timestamp {
        Timestamp(nanos)
    }

    /// Nanoseconds since 1970-01-01T00:00:00Z.
    pub const fn as_nanos(self) -> i64 {
        self.0
    }

    /// Reads RFC 3339. An offset is applied: the instant is kept, not the clock it was read from.
    pub fn parse(text: &str) -> Result<Timestamp, TimestampError> {
        let time: jiff::Timestamp =
            text.parse().map_err(|error: jiff::Error| TimestampError { reason: error.to_string() })?;
        i64::try_from(time.as_nanosecond())
            .map(Timestamp)
            .map_err(|_| TimestampError { reason: "the year is out of range".to_owned() })
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = jiff::Timestamp::from_nanosecond(i128::from(self.0));
        time.expect("every 64-bit count of nanoseconds lies between the years 1677 and 2262").fmt(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_keeps_its_nanoseconds() {
        let text = "2010-10-02T07:20:39.266000001Z";
        assert_eq!(Timestamp::parse(text).map(|time| time.to_string()).as_deref(), Ok(text));
    }

    #[test]
    fn the_ends_of_the_range_can_be_written_and_what_lies_beyond_is_refused() {
        for nanos in [i64::MIN, -1, 0, i64::MAX] {
            let time = Timestamp::from_nanos(nanos);
            assert_eq!(Timestamp::parse(&time.to_string()), Ok(time));
        }
        assert!(Timestamp::parse("2263-01-01T00:00:00Z").is_err());
        assert!(Timestamp::parse("yesterday").is_err());
    }
}

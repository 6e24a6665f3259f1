//! Instants: nanoseconds since 1970-01-01T00:00:00Z, read and written as RFC 3339.
//!
//! The only module that knows a calendar.

use std::fmt;

/// An instant, kept to the nanosecond, between the years 1677 and 2262.
///
/// It also remembers how many digits of a second it was written with, and is written with as many again. Instants
/// compare by time alone.
///
/// ```
/// use annals::Timestamp;
///
/// let time = Timestamp::parse("2024-07-15T16:32:22.5+02:00")?;
/// assert_eq!(time.to_string(), "2024-07-15T14:32:22.5Z");
/// # Ok::<(), annals::TimestampError>(())
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct Timestamp {
    nanos: i64,
    /// Digits behind the second's point: 0 to 9.
    digits: u8,
}

/// Why a text is not an instant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a time in RFC 3339 between 1677 and 2262, such as 2024-07-15T14:32:22.123Z: {reason}")]
pub struct TimestampError {
    reason: String,
}

impl Timestamp {
    /// The instant `nanos` nanoseconds after 1970-01-01T00:00:00Z.
    pub const fn from_nanos(nanos: i64) -> Timestamp {
        let digits = match nanos {
            nanos if nanos % 1_000_000_000 == 0 => 0,
            nanos if nanos % 1_000_000 == 0 => 3,
            nanos if nanos % 1_000 == 0 => 6,
            _ => 9,
        };
        Timestamp { nanos, digits }
    }

    /// The same instant, written with this many digits behind the second's point: 0 to 9.
    pub(crate) const fn with_digits(self, digits: u8) -> Timestamp {
        Timestamp { digits: if digits > 9 { 9 } else { digits }, ..self }
    }

    /// How many digits behind the second's point it is written with.
    pub(crate) const fn digits(self) -> u8 {
        self.digits
    }

    /// Nanoseconds since 1970-01-01T00:00:00Z.
    pub const fn as_nanos(self) -> i64 {
        self.nanos
    }

    /// Reads RFC 3339. An offset is applied: the instant is kept, not the clock it was read from.
    pub fn parse(text: &str) -> Result<Timestamp, TimestampError> {
        let time: jiff::Timestamp =
            text.parse().map_err(|error: jiff::Error| TimestampError { reason: error.to_string() })?;
        let nanos = i64::try_from(time.as_nanosecond())
            .map_err(|_| TimestampError { reason: "the year is out of range".to_owned() })?;
        let fraction = text.split_once(['.', ',']).map_or("", |(_, fraction)| fraction);
        let digits = fraction.bytes().take_while(u8::is_ascii_digit).count();
        Ok(Timestamp::from_nanos(nanos).with_digits(digits.min(9) as u8))
    }
}

impl PartialEq for Timestamp {
    fn eq(&self, other: &Timestamp) -> bool {
        self.nanos == other.nanos
    }
}

impl Eq for Timestamp {}

impl PartialOrd for Timestamp {
    fn partial_cmp(&self, other: &Timestamp) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Timestamp {
    fn cmp(&self, other: &Timestamp) -> std::cmp::Ordering {
        self.nanos.cmp(&other.nanos)
    }
}

impl std::hash::Hash for Timestamp {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.nanos.hash(state);
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = jiff::Timestamp::from_nanosecond(i128::from(self.nanos));
        let time = time.expect("every 64-bit count of nanoseconds lies between the years 1677 and 2262");
        write!(out, "{time:.digits$}", digits = usize::from(self.digits))
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
    fn a_time_is_written_with_the_digits_it_was_read_with() {
        for text in [
            "2010-10-02T07:20:39Z",
            "2010-10-02T07:20:39.16Z",
            "2010-10-02T07:20:39.160Z",
            "2010-10-02T07:20:39.000000Z",
        ] {
            let time = Timestamp::parse(text).expect("legal");
            assert_eq!(time.to_string(), text);
            assert_eq!(Timestamp::from_nanos(time.as_nanos()).with_digits(time.digits()).to_string(), text);
        }
        assert_eq!(Timestamp::parse("2010-10-02T07:20:39.1Z"), Timestamp::parse("2010-10-02T07:20:39.100Z"));
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

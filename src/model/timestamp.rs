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
    /// Each event of a replay shows two of them, so the digits are put into their places by hand.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, nanos) = (self.nanos.div_euclid(NANOS), self.nanos.rem_euclid(NANOS));
        let (day, second) = (seconds.div_euclid(DAY_SECONDS), seconds.rem_euclid(DAY_SECONDS));
        let (year, month, day_of_month) = date_of(day);
        let mut text = *b"0000-00-00T00:00:00.000000000Z";
        put(&mut text[0..4], year);
        put(&mut text[5..7], month);
        put(&mut text[8..10], day_of_month);
        put(&mut text[11..13], second / 3600);
        put(&mut text[14..16], second / 60 % 60);
        put(&mut text[17..19], second % 60);
        put(&mut text[20..29], nanos);
        let len = match self.digits {
            0 => 19,
            digits => 20 + usize::from(digits),
        };
        text[len] = b'Z';
        out.write_str(std::str::from_utf8(&text[..=len]).expect("digits and marks are ASCII"))
    }
}

const NANOS: i64 = 1_000_000_000;
const DAY_SECONDS: i64 = 86_400;

/// The year, month and day of month of a day, counted from 1970-01-01, in the Gregorian calendar.
///
/// A year is taken to begin in March, so that a leap day ends it, and days are counted from the 1st of March of the year 0, where
/// the 400 years of a cycle begin. From Howard Hinnant's `civil_from_days`.
const fn date_of(day: i64) -> (i64, i64, i64) {
    const CYCLE_DAYS: i64 = 146_097;
    let day = day + 719_468;
    let (cycle, day) = (day.div_euclid(CYCLE_DAYS), day.rem_euclid(CYCLE_DAYS));
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day_of_month = day - (153 * month + 2) / 5 + 1;
    let (month, later) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (cycle * 400 + year + later, month, day_of_month)
}

/// Writes a number over the zeros that it has room for.
fn put(digits: &mut [u8], mut number: i64) {
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
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
    fn a_time_is_written_as_a_calendar_that_others_have_made_says() {
        let mut nanos = 0x9e37_79b9_7f4a_7c15_u64;
        let drawn = std::iter::repeat_with(|| {
            nanos = nanos.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            nanos as i64
        });
        // Each day of 200 years, a second before it ends, and times anywhere.
        let days = (-36_500..36_500_i64).map(|day| day * DAY_SECONDS * NANOS - 1);
        for (nanos, digits) in drawn.take(100_000).chain(days).zip((0..=9_u8).cycle()) {
            let time = jiff::Timestamp::from_nanosecond(nanos.into()).expect("in its range");
            let written = Timestamp::from_nanos(nanos).with_digits(digits).to_string();
            assert_eq!(written, format!("{time:.digits$}", digits = usize::from(digits)), "{nanos}");
        }
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

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
        let mut text = [0; TimestampWriter::LEN_MAX];
        let len = TimestampWriter::default().write(*self, &mut text);
        out.write_str(std::str::from_utf8(&text[..len]).expect("digits and marks are ASCII"))
    }
}

/// Writes instants one after the other, as they are shown. Those of one second begin alike, and that is put together once.
///
/// ```
/// use annals::{Timestamp, TimestampWriter};
///
/// let mut text = [0; TimestampWriter::LEN_MAX];
/// let len = TimestampWriter::default().write(Timestamp::from_nanos(500_000_000), &mut text);
/// assert_eq!(&text[..len], b"1970-01-01T00:00:00.500Z");
/// ```
#[derive(Debug, Clone)]
pub struct TimestampWriter {
    /// The second that was written last, counted from 1970, and what its instants begin with.
    second: i64,
    begin: [u8; 20],
}

impl Default for TimestampWriter {
    fn default() -> TimestampWriter {
        TimestampWriter { second: 0, begin: *b"1970-01-01T00:00:00." }
    }
}

impl TimestampWriter {
    /// How many bytes the longest text of an instant has.
    pub const LEN_MAX: usize = 30;

    /// Writes the text of an instant to the beginning of `text`, and tells how long it is.
    #[inline]
    pub fn write(&mut self, time: Timestamp, text: &mut [u8; TimestampWriter::LEN_MAX]) -> usize {
        let (second, nanos) = (time.nanos.div_euclid(NANOS), time.nanos.rem_euclid(NANOS) as u32);
        if second != self.second {
            self.turn_to(second);
        }
        text[..20].copy_from_slice(&self.begin);
        put(text, 20, nanos / 10_000_000);
        put(text, 22, nanos / 100_000 % 100);
        put(text, 24, nanos / 1_000 % 100);
        put(text, 26, nanos / 10 % 100);
        text[28] = b'0' + (nanos % 10) as u8;
        let len = match time.digits {
            0 => 19,
            digits => 20 + usize::from(digits),
        };
        text[len] = b'Z';
        len + 1
    }

    fn turn_to(&mut self, second: i64) {
        self.second = second;
        let (day, second) = (second.div_euclid(DAY_SECONDS), second.rem_euclid(DAY_SECONDS) as u32);
        let (year, month, day_of_month) = date_of(day);
        put(&mut self.begin, 0, year as u32 / 100);
        put(&mut self.begin, 2, year as u32 % 100);
        put(&mut self.begin, 5, month as u32);
        put(&mut self.begin, 8, day_of_month as u32);
        put(&mut self.begin, 11, second / 3600);
        put(&mut self.begin, 14, second / 60 % 60);
        put(&mut self.begin, 17, second % 60);
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

/// Writes a number below 100 as two digits.
fn put(text: &mut [u8], at: usize, number: u32) {
    text[at] = b'0' + (number / 10) as u8;
    text[at + 1] = b'0' + (number % 10) as u8;
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
        let mut writer = TimestampWriter::default();
        let mut text = [0; TimestampWriter::LEN_MAX];
        for (nanos, digits) in drawn.take(100_000).chain(days).zip((0..=9_u8).cycle()) {
            let time = jiff::Timestamp::from_nanosecond(nanos.into()).expect("in its range");
            let wanted = format!("{time:.digits$}", digits = usize::from(digits));
            let stamp = Timestamp::from_nanos(nanos).with_digits(digits);
            assert_eq!(stamp.to_string(), wanted, "{nanos}");
            // Another one of the same second, and one after another second.
            for _ in 0..2 {
                let len = writer.write(stamp, &mut text);
                assert_eq!(&text[..len], wanted.as_bytes(), "{nanos}");
            }
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

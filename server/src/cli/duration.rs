//! Lengths of time as people write them: `90s`, `15m`, `24h`, `30d`, `2w`.
//!
//! Whole seconds, at least one: nothing that is kept for so long is counted more finely. What is written is read again as
//! the same.

use std::time::Duration;

/// What a unit is, in seconds; the largest first.
const UNITS: [(&str, u64); 5] = [("w", 7 * 24 * 3600), ("d", 24 * 3600), ("h", 3600), ("m", 60), ("s", 1)];

/// A length of time in a file.
#[derive(Debug, Clone, Copy, serde::Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Written(pub(crate) Duration);

impl TryFrom<String> for Written {
    type Error = String;

    fn try_from(text: String) -> Result<Written, String> {
        parse_duration(&text).map(Written)
    }
}

/// Reads a length of time.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    let wrong =
        || format!("`{text}` is no length of time, such as 90s, 15m, 24h, 30d or 2w, of at least a second");
    let (unit, seconds) = UNITS.iter().find(|(unit, _)| text.ends_with(unit)).copied().ok_or_else(wrong)?;
    let digits = text.strip_suffix(unit).ok_or_else(wrong)?;
    // The parser of the language takes a sign, too.
    let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
    let count: u64 = digits.parse().ok().filter(|count| is_number && *count > 0).ok_or_else(wrong)?;
    count.checked_mul(seconds).map(Duration::from_secs).ok_or_else(wrong)
}

/// Writes a length of time in the largest unit that has no rest.
pub(crate) fn write_duration(duration: Duration) -> String {
    let whole = duration.as_secs();
    let unit = UNITS.iter().find(|(_, seconds)| whole.is_multiple_of(*seconds));
    unit.map_or_else(|| format!("{whole}s"), |(unit, seconds)| format!("{}{unit}", whole / seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_of_time_is_read_as_it_is_written() {
        for (text, seconds) in
            [("90s", 90), ("15m", 900), ("24h", 86_400), ("30d", 2_592_000), ("2w", 1_209_600)]
        {
            assert_eq!(parse_duration(text), Ok(Duration::from_secs(seconds)));
            let again = write_duration(Duration::from_secs(seconds));
            assert_eq!(parse_duration(&again), Ok(Duration::from_secs(seconds)), "{again}");
        }
        assert_eq!(write_duration(Duration::from_secs(86_400)), "1d");
        assert_eq!(write_duration(Duration::from_secs(86_401)), "86401s");
    }

    #[test]
    fn what_has_no_unit_no_number_or_no_length_is_refused() {
        for text in ["", "s", "5", "0s", "+5s", "-5s", "1.5h", "5 s", "5y", "18446744073709551615w"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }
}

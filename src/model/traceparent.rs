//! Of which trace an append was part: the `traceparent` of W3C Trace Context.

use std::fmt;

/// The longest that is kept. That of version 00 has 55 bytes; a later one may say more behind the same.
const LEN_MAX: usize = 128;

/// The digits of its parts: version, trace, span, flags.
const DIGITS: [usize; 4] = [2, 32, 16, 2];

/// Of which trace an append was part, and what in it asked for the append.
///
/// ```
/// # use annals::Traceparent;
/// let text = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
/// let traceparent = Traceparent::parse(text).expect("is as the specification says");
/// assert_eq!(traceparent.trace_id(), "4bf92f3577b34da6a3ce929d0e0e4736");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Traceparent(Box<str>);

impl Traceparent {
    /// Reads one. What is not whole is none, as the specification says.
    pub fn parse(text: &str) -> Option<Traceparent> {
        let mut parts = text.split('-');
        for digits in DIGITS {
            let part = parts.next()?;
            let is_hex = part.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
            if part.len() != digits || !is_hex {
                return None;
            }
        }
        let is_plain = text.bytes().all(|byte| byte.is_ascii_graphic());
        let fits = match &text[..2] {
            "00" => parts.next().is_none(),
            version => version != "ff" && is_plain && text.len() <= LEN_MAX,
        };
        let is_zero = |digits: &str| digits.bytes().all(|byte| byte == b'0');
        let parsed = Traceparent(text.into());
        (fits && !is_zero(parsed.trace_id()) && !is_zero(parsed.span_id())).then_some(parsed)
    }

    /// The trace, in 32 hexadecimal digits.
    pub fn trace_id(&self) -> &str {
        &self.0[3..35]
    }

    /// What in it asked, in 16 hexadecimal digits.
    pub fn span_id(&self) -> &str {
        &self.0[36..52]
    }

    /// As it came.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Traceparent {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_specification_allows_names_a_trace() {
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let parsed = Traceparent::parse(good).expect("is as in the specification");
        assert_eq!(parsed.span_id(), "00f067aa0ba902b7");
        let later = "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more";
        assert_eq!(Traceparent::parse(later).expect("begins as it has to").as_str(), later);
        for bad in [
            "",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-m\u{f6}re",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473-600f067aa0ba902b7-01",
            "\u{e9}0-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ] {
            assert_eq!(Traceparent::parse(bad), None, "{bad}");
        }
    }
}

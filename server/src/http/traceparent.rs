//! The header by which a request says of which trace it is part: `traceparent` of W3C Trace Context.

use axum::http::HeaderName;

/// The header.
pub(crate) const HEADER: HeaderName = HeaderName::from_static("traceparent");

/// The parts before the flags: version, trace, span, each with its digits.
const DIGITS: [usize; 4] = [2, 32, 16, 2];

/// A header that is as the specification says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Traceparent<'a>(&'a str);

impl<'a> Traceparent<'a> {
    /// Reads a header. One that is not whole is as good as none, as the specification says.
    pub(crate) fn parse(text: &'a str) -> Option<Traceparent<'a>> {
        let mut parts = text.split('-');
        for digits in DIGITS {
            let part = parts.next()?;
            let is_hex = part.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
            if part.len() != digits || !is_hex {
                return None;
            }
        }
        let is_known = text.starts_with("00-") && parts.next().is_none();
        let is_later = !text.starts_with("00-") && !text.starts_with("ff-") && text.len() <= LEN_MAX;
        let is_zero = |digits: &str| digits.bytes().all(|byte| byte == b'0');
        let parsed = Traceparent(text);
        let names = !is_zero(parsed.trace_id()) && !is_zero(parsed.span_id());
        ((is_known || is_later) && names).then_some(parsed)
    }

    /// The trace, in 32 hexadecimal digits.
    pub(crate) fn trace_id(self) -> &'a str {
        &self.0[3..35]
    }

    /// What in it asks, in 16 hexadecimal digits.
    pub(crate) fn span_id(self) -> &'a str {
        &self.0[36..52]
    }
}

/// The longest of a later version that is kept.
const LEN_MAX: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_specification_allows_names_a_trace() {
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let parsed = Traceparent::parse(good).expect("is as in the specification");
        assert_eq!(parsed.trace_id(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(parsed.span_id(), "00f067aa0ba902b7");
        assert!(Traceparent::parse("01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more").is_some());
        for bad in [
            "",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473-600f067aa0ba902b7-01",
            "é0-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ] {
            assert_eq!(Traceparent::parse(bad), None, "{bad}");
        }
    }
}

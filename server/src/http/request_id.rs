//! What a request is called, so that an answer, a problem and a line of the log can be found by each other.

use std::sync::atomic::{AtomicU64, Ordering};

use axum::http::{HeaderMap, HeaderName, HeaderValue};

/// The header with it, of requests and answers.
pub(super) const HEADER: HeaderName = HeaderName::from_static("x-request-id");

/// The longest name that is taken from a client.
const LEN_MAX: usize = 64;

/// Names for requests whose clients give none: what begins them is drawn when the server starts.
#[derive(Debug)]
pub(crate) struct RequestIds {
    begin: [u8; 8],
    next: AtomicU64,
}

impl RequestIds {
    pub(crate) fn new() -> RequestIds {
        let mut drawn = [0; 4];
        if getrandom::fill(&mut drawn).is_err() {
            // Two runs of the server are told apart by their numbers of processes, then.
            drawn = std::process::id().to_ne_bytes();
        }
        let mut begin = [0; 8];
        write_hex(u32::from_ne_bytes(drawn).into(), &mut begin);
        RequestIds { begin, next: AtomicU64::new(1) }
    }

    /// The name of a request: its client's when that is one, or else the next.
    pub(super) fn of(&self, headers: &HeaderMap) -> HeaderValue {
        match headers.get(HEADER) {
            Some(given) if is_sane(given.as_bytes()) => given.clone(),
            _ => self.next(),
        }
    }

    fn next(&self) -> HeaderValue {
        let mut name = [b'-'; 8 + 1 + 12];
        name[..8].copy_from_slice(&self.begin);
        write_hex(self.next.fetch_add(1, Ordering::Relaxed), &mut name[9..]);
        HeaderValue::from_bytes(&name).expect("digits and a hyphen are visible ASCII")
    }
}

/// Whether it can be written anywhere as it is.
fn is_sane(given: &[u8]) -> bool {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(byte);
    (1..=LEN_MAX).contains(&given.len()) && given.iter().all(is_plain)
}

/// Writes the last digits of a number.
fn write_hex(mut number: u64, out: &mut [u8]) {
    for digit in out.iter_mut().rev() {
        *digit = b"0123456789abcdef"[(number & 15) as usize];
        number >>= 4;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_name_is_kept_and_another_is_replaced() {
        let ids = RequestIds::new();
        let of = |given: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(HEADER, HeaderValue::from_bytes(given.as_bytes()).expect("legal"));
            ids.of(&headers)
        };
        assert_eq!(of("0af7651916cd43dd-8448:eb_2.1"), "0af7651916cd43dd-8448:eb_2.1");
        for given in ["", "a b", "a\"b", "a\tb", "\u{e9}", &"x".repeat(65)] {
            assert_ne!(of(given), given, "{given:?}");
        }
    }

    #[test]
    fn no_two_requests_have_the_same_name() {
        let ids = RequestIds::new();
        let (one, other) = (ids.next(), ids.next());
        assert_ne!(one, other);
        assert_eq!(one.len(), 21);
        assert!(is_sane(one.as_bytes()));
    }
}

//! The values of attributes as values of HTTP headers: printable ASCII, with percent signs before everything else.

use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};

use crate::wire::WireError;

/// What is written with a percent sign beside what is not ASCII.
const ENCODED: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'%');

/// A value as a header has it.
pub(crate) fn encode_value(value: &str) -> String {
    utf8_percent_encode(value, ENCODED).to_string()
}

/// A value from a header: quotes around it are taken off first.
pub(crate) fn decode_value(name: &str, value: &[u8]) -> Result<String, WireError> {
    let not_utf8 = || WireError::field(name, "is not UTF-8; write other characters with percent signs");
    let text = std::str::from_utf8(value).map_err(|_| not_utf8())?;
    let text = match text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        Some(quoted) => unescaped(quoted),
        None => text.to_owned(),
    };
    percent_decode_str(&text).decode_utf8().map(|text| text.into_owned()).map_err(|_| not_utf8())
}

fn unescaped(quoted: &str) -> String {
    let mut text = String::with_capacity(quoted.len());
    let mut chars = quoted.chars();
    while let Some(char) = chars.next() {
        text.extend(if char == '\\' { chars.next() } else { Some(char) });
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_comes_back_from_a_header_of_printable_ascii() {
        for text in ["", "plain/~text", "a b", "100%", "\"", "größe €", "\u{1}\n", "%41"] {
            let encoded = encode_value(text);
            assert!(encoded.bytes().all(|byte| byte.is_ascii_graphic()), "{encoded}");
            assert_eq!(decode_value("x", encoded.as_bytes()).as_deref(), Ok(text));
        }
        assert_eq!(encode_value("Euro € 😀"), "Euro%20%E2%82%AC%20%F0%9F%98%80");
    }

    #[test]
    fn quotes_and_plain_utf8_are_understood_and_other_bytes_refused() {
        assert_eq!(decode_value("x", br#""a \"b\" %41""#).as_deref(), Ok("a \"b\" A"));
        assert_eq!(decode_value("x", "ü".as_bytes()).as_deref(), Ok("ü"));
        assert!(decode_value("x", b"\xff").is_err());
        assert!(decode_value("x", b"%ff").is_err());
    }
}

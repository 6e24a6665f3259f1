//! Lines of a file, one at a time, none longer than allowed.
//!
//! Memory stays that of the longest allowed line, whatever the file holds: a file without line ends is refused by
//! its line number instead of being read whole.

use std::io::{self, BufRead, Read};

/// Reads lines.
pub(crate) struct Lines<R> {
    input: R,
    line_bytes_max: u64,
    number: u64,
    line: Vec<u8>,
}

/// Why a line could not be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LineError {
    /// Cut it, or raise the limit.
    #[error("line {number} is longer than {max} bytes, more than an event may have")]
    TooLong {
        /// Which line, counted from 1.
        number: u64,
        /// The longest it may be.
        max: u64,
    },
    /// Look at the file.
    #[error("cannot read line {number}: {source}")]
    Io {
        /// Which line, counted from 1.
        number: u64,
        /// What the system said.
        source: io::Error,
    },
}

impl<R: BufRead> Lines<R> {
    /// The lines of `input`.
    pub(crate) fn new(input: R, line_bytes_max: u64) -> Lines<R> {
        Lines { input, line_bytes_max, number: 0, line: Vec::new() }
    }

    /// The next line that is not blank, with its number and its line end; none at the end.
    pub(crate) fn next_line(&mut self) -> Result<Option<(u64, &[u8])>, LineError> {
        loop {
            self.line.clear();
            let number = self.number + 1;
            // One byte more than allowed tells a line that just fits from one that does not.
            let mut bounded = (&mut self.input).take(self.line_bytes_max + 1);
            match bounded.read_until(b'\n', &mut self.line) {
                Err(source) => return Err(LineError::Io { number, source }),
                Ok(0) => return Ok(None),
                Ok(len) if len as u64 > self.line_bytes_max => {
                    return Err(LineError::TooLong { number, max: self.line_bytes_max });
                }
                Ok(_) => self.number = number,
            }
            if !self.line.trim_ascii().is_empty() {
                return Ok(Some((self.number, &self.line)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blank_lines_are_passed_over_and_still_counted() {
        let mut lines = Lines::new(&b"a\n\n \r\nb"[..], 10);
        assert!(matches!(lines.next_line(), Ok(Some((1, b"a\n")))));
        assert!(matches!(lines.next_line(), Ok(Some((4, b"b")))));
        assert!(matches!(lines.next_line(), Ok(None)));
    }

    #[test]
    fn a_line_of_the_longest_length_is_read_and_a_longer_one_is_refused_by_number() {
        let mut lines = Lines::new(&b"1234\n12345\n"[..], 5);
        assert!(matches!(lines.next_line(), Ok(Some((1, b"1234\n")))));
        assert!(matches!(lines.next_line(), Err(LineError::TooLong { number: 2, max: 5 })));
    }
}

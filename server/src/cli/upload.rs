//! The body of an import to a server: the lines of a file, checked before they are sent.
//!
//! Checking here names a bad line as a directory would, and breaks the request off, so that the server does not
//! commit the batch with that line.

use std::io::{self, Read};

use super::failure::Failure;
use super::incoming::Incoming;
use super::output::Progress;

/// Reads as the body of a request.
pub(crate) struct Upload {
    incoming: Incoming,
    /// The line that is being sent, and how much of it was.
    line: Vec<u8>,
    sent: usize,
    failure: Option<Failure>,
    progress: Progress,
}

impl Upload {
    /// The lines of `incoming`.
    pub(crate) fn new(incoming: Incoming) -> Upload {
        Upload { incoming, line: Vec::new(), sent: 0, failure: None, progress: Progress::new() }
    }

    /// Why the file could not be read to its end, if that is so.
    pub(crate) fn failure(self) -> Option<Failure> {
        self.failure
    }

    fn next_line(&mut self) -> Result<bool, Failure> {
        self.line.clear();
        self.sent = 0;
        let Some(line) = self.incoming.next_event()? else { return Ok(false) };
        self.line.extend_from_slice(line.text);
        self.progress.show(format_args!("{} lines sent", line.number));
        Ok(true)
    }
}

impl Read for Upload {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.sent == self.line.len() {
            match self.next_line() {
                Ok(true) => {}
                Ok(false) => return Ok(0),
                Err(failure) => {
                    self.failure = Some(failure);
                    return Err(io::Error::other("the file is not as it should be"));
                }
            }
        }
        let rest = &self.line[self.sent..];
        let len = rest.len().min(out.len());
        out[..len].copy_from_slice(&rest[..len]);
        self.sent += len;
        Ok(len)
    }
}

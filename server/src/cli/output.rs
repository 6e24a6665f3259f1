//! Standard output for results, standard error for messages and progress.
//!
//! Results are buffered; a command that waits flushes before it does. A reader who leaves ends the command quietly.

use std::fmt::Display;
use std::io::{self, BufWriter, IsTerminal, StdoutLock, Write};
use std::time::{Duration, Instant};

use serde::Serialize;

use super::failure::Failure;

/// How much is gathered before it is written.
const BUFFER_BYTES: usize = 64 * 1024;

/// The shortest time between two looks of a progress line.
const PROGRESS_EVERY: Duration = Duration::from_millis(100);

/// Standard output, buffered.
pub(crate) struct Output(BufWriter<StdoutLock<'static>>);

impl Output {
    /// Takes standard output.
    pub(crate) fn stdout() -> Output {
        Output(BufWriter::with_capacity(BUFFER_BYTES, io::stdout().lock()))
    }

    /// Writes bytes that end their own lines.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.0.write_all(bytes).map_err(refused)
    }

    /// Writes one line of text.
    pub(crate) fn line(&mut self, line: impl Display) -> Result<(), Failure> {
        writeln!(self.0, "{line}").map_err(refused)
    }

    /// Writes one line of JSON.
    pub(crate) fn json(&mut self, value: &impl Serialize) -> Result<(), Failure> {
        serde_json::to_writer(&mut self.0, value).map_err(|error| refused(error.into()))?;
        self.bytes(b"\n")
    }

    /// Hands over what was gathered.
    pub(crate) fn flush(&mut self) -> Result<(), Failure> {
        self.0.flush().map_err(refused)
    }
}

fn refused(error: io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::BrokenPipe => Failure::OutputClosed,
        _ => Failure::Unusable(format!("cannot write to standard output: {error}")),
    }
}

/// Tells people something.
pub(crate) fn note(message: impl Display) {
    // When standard error is closed, nobody is left to be told so.
    let _ = writeln!(io::stderr().lock(), "annals: {message}");
}

/// A line on standard error that is overwritten as work goes on; only when people look at it.
pub(crate) struct Progress {
    shown: Option<Instant>,
    is_terminal: bool,
}

impl Progress {
    /// A line that is not shown yet.
    pub(crate) fn new() -> Progress {
        Progress { shown: None, is_terminal: io::stderr().is_terminal() }
    }

    /// Shows how far the work is, unless it was shown a moment ago.
    pub(crate) fn show(&mut self, state: impl Display) {
        if self.is_terminal && self.shown.is_none_or(|shown| shown.elapsed() >= PROGRESS_EVERY) {
            self.shown = Some(Instant::now());
            let _ = write!(io::stderr().lock(), "\r{state}\x1b[K");
        }
    }

    /// Wipes the line, so that messages start on a clean one.
    pub(crate) fn clear(&mut self) {
        if self.shown.take().is_some() {
            let _ = write!(io::stderr().lock(), "\r\x1b[K");
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}

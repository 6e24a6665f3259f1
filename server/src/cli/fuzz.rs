//! A target for what a server answers: the lines that the commands with `--url` read.

use std::io::BufReader;

use super::client::{Control, control};
use super::failure::Failure;
use super::lines::{LineError, Lines};

/// The longest line that this target allows.
const LINE_BYTES_MAX: u64 = 48;

/// Bytes as the lines of an answer: those that are there, and of each whether it is a result or what it says.
pub fn client_lines(bytes: &[u8]) {
    let wanted = bytes.split_inclusive(|byte| *byte == b'\n').zip(1..);
    let mut wanted =
        wanted.filter(|(line, _)| !line.trim_ascii().is_empty() || line.len() as u64 > LINE_BYTES_MAX);
    // A small buffer, so that lines reach beyond it.
    let mut lines = Lines::new(BufReader::with_capacity(7, bytes), LINE_BYTES_MAX);
    loop {
        match (lines.next_line(), wanted.next()) {
            (Ok(None), None) => return,
            (Ok(Some((number, line))), Some(found)) => {
                assert_eq!((line, number), found);
                judge(line);
            }
            (Err(LineError::TooLong { number, .. }), Some((line, wanted))) => {
                assert!(number == wanted && line.len() as u64 > LINE_BYTES_MAX);
                return;
            }
            (found, wanted) => panic!("wanted {wanted:?}, found {found:?}"),
        }
    }
}

fn judge(line: &[u8]) {
    let said = control(line);
    assert!(said.is_none() || line.starts_with(b"{\""));
    if let Some(Control::Error(problem)) = said {
        assert!(!Failure::from(problem).to_string().is_empty());
    }
}

pub(crate) fn line_seeds() -> Vec<String> {
    let seeds = [
        "{\"id\":\"a\",\"data\":{}}\n\n{\"caughtUp\":7}\n",
        "{\"checkpoint\":7}\r\n{\"skipped\":{\"from\":1,\"to\":9}}",
        "{\"error\":{\"status\":404,\"detail\":\"gone\"}}",
        "{\"error\":{\"title\":\"x\",\"status\":500,\"line\":3}}\n",
    ];
    seeds.map(str::to_owned).to_vec()
}

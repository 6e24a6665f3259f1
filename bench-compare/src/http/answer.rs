//! An answer of HTTP/1.1, read as it comes and not kept: where it ends, whether it is a good one, and what its body holds.

use crate::store::Result;

/// What is counted in a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counts {
    /// Ends of lines.
    Lines,
    /// Lines that begin with `d`: the `data` of server-sent events.
    Data,
}

/// One answer.
#[derive(Debug)]
pub struct Answer {
    counts: Counts,
    state: State,
    /// The head, or a line about a chunk.
    line: Vec<u8>,
    /// The body was at the beginning of a line when it was last looked at.
    at_line: bool,
    pub count: u64,
    pub bytes: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Head,
    /// So much of the body is left.
    Body(u64),
    ChunkSize,
    Chunk(u64),
    /// The line behind a chunk.
    ChunkEnd,
    /// The line behind the last chunk.
    LastLine,
    Ended,
}

impl Answer {
    pub fn new(counts: Counts) -> Answer {
        Answer { counts, state: State::Head, line: Vec::new(), at_line: true, count: 0, bytes: 0 }
    }

    /// Begins with another one.
    pub fn next(&mut self) {
        *self = Answer { line: std::mem::take(&mut self.line), ..Answer::new(self.counts) };
        self.line.clear();
    }

    /// Whether its head has come.
    pub fn has_begun(&self) -> bool {
        self.state != State::Head
    }

    /// Takes what came; tells whether it is whole.
    pub fn take(&mut self, mut bytes: &[u8]) -> Result<bool> {
        while !bytes.is_empty() {
            match self.state {
                State::Body(left) | State::Chunk(left) => {
                    let (here, rest) = bytes.split_at(bytes.len().min(usize::try_from(left)?));
                    self.look_at(here);
                    let left = left - here.len() as u64;
                    self.state = match self.state {
                        State::Body(_) if left == 0 => State::Ended,
                        State::Body(_) => State::Body(left),
                        _ if left == 0 => State::ChunkEnd,
                        _ => State::Chunk(left),
                    };
                    bytes = rest;
                }
                State::Ended => return Err("more came than was asked for".into()),
                _ => {
                    let len = memchr::memchr(b'\n', bytes).map_or(bytes.len(), |at| at + 1);
                    let (here, rest) = bytes.split_at(len);
                    self.line.extend_from_slice(here);
                    if here.ends_with(b"\n") {
                        self.take_line()?;
                    }
                    bytes = rest;
                }
            }
        }
        Ok(self.state == State::Ended)
    }

    fn take_line(&mut self) -> Result<()> {
        let is_blank = self.line.ends_with(b"\r\n\r\n") || self.line == b"\r\n";
        self.state = match self.state {
            State::Head if !is_blank => return Ok(()),
            State::Head => body_of(&self.line)?,
            State::ChunkEnd => State::ChunkSize,
            State::LastLine => State::Ended,
            _ => match u64::from_str_radix(std::str::from_utf8(&self.line)?.trim(), 16)? {
                0 => State::LastLine,
                size => State::Chunk(size),
            },
        };
        self.line.clear();
        Ok(())
    }

    fn look_at(&mut self, body: &[u8]) {
        self.bytes += body.len() as u64;
        if self.counts == Counts::Lines {
            self.count += memchr::memchr_iter(b'\n', body).count() as u64;
            return;
        }
        self.count += u64::from(self.at_line && body.first() == Some(&b'd'));
        let begins = memchr::memchr_iter(b'\n', body).filter(|at| body.get(at + 1) == Some(&b'd'));
        self.count += begins.count() as u64;
        self.at_line = body.last() == Some(&b'\n');
    }
}

/// How the body comes, by a head that must be a good one.
fn body_of(head: &[u8]) -> Result<State> {
    let head = std::str::from_utf8(head)?;
    if !head.starts_with("HTTP/1.1 2") {
        return Err(format!("the server answers {head}").into());
    }
    for (name, value) in head.lines().filter_map(|line| line.split_once(':')) {
        if name.eq_ignore_ascii_case("content-length") {
            return Ok(match value.trim().parse()? {
                0 => State::Ended,
                length => State::Body(length),
            });
        }
    }
    Ok(State::ChunkSize)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is counted, and whether it is whole, however it is cut.
    fn read(text: &str, counts: Counts) -> (u64, bool) {
        let in_one = |cut: usize| {
            let mut answer = Answer::new(counts);
            let (one, other) = text.as_bytes().split_at(cut);
            let ended = [answer.take(one).unwrap(), answer.take(other).unwrap()];
            (answer.count, ended.contains(&true))
        };
        let first = in_one(0);
        assert!((1..text.len()).all(|cut| in_one(cut) == first));
        first
    }

    #[test]
    fn an_answer_ends_where_its_length_or_its_last_chunk_says_so() {
        let length = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n{}\n{}\n";
        assert_eq!(read(length, Counts::Lines), (2, true));
        let chunks = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\n{}\n{\r\n2\r\n}\n\r\n";
        assert_eq!(read(chunks, Counts::Lines), (2, false));
        assert_eq!(read(&format!("{chunks}0\r\n\r\n"), Counts::Lines), (2, true));
    }

    #[test]
    fn events_are_counted_by_their_data_and_progress_is_none() {
        let head = "HTTP/1.1 200 OK\r\n\r\n";
        let body = "id: 1\nevent: d\ndata: {}\n\nid: 2\n\n: d\n\nid: 3\nevent: e\ndata: 1\n\n";
        let text = format!("{head}{:x}\r\n{body}\r\n", body.len());
        assert_eq!(read(&text, Counts::Data), (2, false));
    }

    #[test]
    fn a_refusal_is_an_error() {
        let mut answer = Answer::new(Counts::Lines);
        assert!(answer.take(b"HTTP/1.1 409 Conflict\r\nContent-Length: 2\r\n\r\n{}").is_err());
    }
}

//! An answer in pieces, read as it comes, without keeping it.

/// Server-sent events out of the chunks of an answer: each position once, in order, without a hole.
#[derive(Default)]
pub(crate) struct Blocks {
    state: State,
    line: Vec<u8>,
    /// The position of the block that is being read.
    at: u64,
    /// The last position whose event has come.
    pub(crate) last: u64,
    pub(crate) events: u64,
    /// What is wrong with what came.
    pub(crate) fault: Option<String>,
}

#[derive(Default, Clone, Copy)]
enum State {
    #[default]
    Head,
    Size,
    Chunk(usize),
    /// The line break behind a chunk.
    Behind(usize),
}

impl Blocks {
    pub(crate) fn take(&mut self, mut bytes: &[u8]) {
        while let Some((first, rest)) = bytes.split_first() {
            match self.state {
                State::Chunk(left) => {
                    let (chunk, rest) = bytes.split_at(left.min(bytes.len()));
                    self.take_text(chunk);
                    self.state = match left - chunk.len() {
                        0 => State::Behind(2),
                        left => State::Chunk(left),
                    };
                    bytes = rest;
                    continue;
                }
                State::Behind(left) => {
                    self.state = if left > 1 { State::Behind(left - 1) } else { State::Size }
                }
                State::Head | State::Size => {
                    self.line.push(*first);
                    if self.line.ends_with(b"\r\n") {
                        self.take_frame_line();
                    }
                }
            }
            bytes = rest;
        }
    }

    /// A line of the head, or the size of a chunk.
    fn take_frame_line(&mut self) {
        let line = String::from_utf8_lossy(&std::mem::take(&mut self.line)).trim().to_owned();
        match self.state {
            State::Head if line.is_empty() => self.state = State::Size,
            State::Head if line.starts_with("HTTP/1.1 ") && !line.contains(" 200 ") => {
                self.fault = Some(line)
            }
            State::Size => match usize::from_str_radix(&line, 16) {
                Ok(0) => self.fault = Some("the answer has ended".to_owned()),
                Ok(size) => self.state = State::Chunk(size),
                Err(_) => self.fault = Some(format!("a chunk of size {line:?}")),
            },
            _ => {}
        }
    }

    fn take_text(&mut self, text: &[u8]) {
        for part in text.split_inclusive(|byte| *byte == b'\n') {
            self.line.extend_from_slice(part);
            if part.ends_with(b"\n") {
                if let Some(id) = self.line.strip_prefix(b"id: ") {
                    let id = String::from_utf8_lossy(id).trim().parse();
                    self.at = id.unwrap_or_default();
                } else if self.line.starts_with(b"data:") {
                    self.event();
                }
                self.line.clear();
            }
        }
    }

    fn event(&mut self) {
        if self.at != self.last + 1 {
            self.fault = Some(format!("the event at {} came after that at {}", self.at, self.last));
        }
        self.last = self.at;
        self.events += 1;
    }
}

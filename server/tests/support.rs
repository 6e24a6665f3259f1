//! A server to test against, and a client that hides nothing: it sends the bytes it is told to, and reads an answer as
//! far as it is told to.

use std::io::{BufRead, BufReader, Read, Take, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

/// Longer than any answer takes; a test that would wait for ever fails instead.
const WAIT_MAX: Duration = Duration::from_secs(30);

pub(crate) const JSON: (&str, &str) = ("Content-Type", "application/json");
pub(crate) const NDJSON: (&str, &str) = ("Content-Type", "application/x-ndjson");
pub(crate) const AS_PAGE: (&str, &str) = ("Accept", "application/json");
pub(crate) const AS_LINES: (&str, &str) = ("Accept", "application/x-ndjson");

/// A running server with an empty store of its own; it ends with the test.
pub(crate) struct Server {
    child: Child,
    address: String,
    _dir: Option<tempfile::TempDir>,
}

impl Server {
    pub(crate) fn start() -> Server {
        let dir = tempfile::tempdir().expect("a directory for the store");
        let mut server = Server::start_on(dir.path(), Command::new(env!("CARGO_BIN_EXE_annals")));
        server._dir = Some(dir);
        server
    }

    /// A server with this configuration file, and an empty store of its own.
    pub(crate) fn configured(file: &str) -> Server {
        let dir = tempfile::tempdir().expect("a directory for the store");
        let path = dir.path().join("annals.toml");
        std::fs::write(&path, file).expect("the configuration is written");
        let mut command = Command::new(env!("CARGO_BIN_EXE_annals"));
        command.arg("--config").arg(path);
        let mut server = Server::start_on(&dir.path().join("data"), command);
        server._dir = Some(dir);
        server
    }

    /// A server on a directory that outlives it. `command` is the binary, perhaps with what runs it before it.
    pub(crate) fn start_on(dir: &Path, command: Command) -> Server {
        Server::start_on_address("127.0.0.1:0", dir, command)
    }

    /// A server with these flags.
    pub(crate) fn start_with(dir: &Path, mut command: Command, flags: &[&str]) -> Server {
        command.args(["serve", "--listen", "127.0.0.1:0"]).args(flags).arg("--data").arg(dir);
        Server::started(command)
    }

    pub(crate) fn start_on_address(address: &str, dir: &Path, mut command: Command) -> Server {
        command.args(["serve", "--listen", address, "--data"]).arg(dir);
        Server::started(command)
    }

    fn started(mut command: Command) -> Server {
        let mut child = command.stdout(Stdio::piped()).spawn().expect("the binary starts");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("stdout is piped");
        BufReader::new(stdout).read_line(&mut line).expect("the server says where it listens");
        let (_, address) = line.trim().split_once("://").expect(&line);
        let address = address.to_owned();
        Server { child, address, _dir: None }
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// The number of the process that runs it.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The process that runs it.
    pub(crate) fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    pub(crate) fn get(&self, path: &str) -> Reply {
        self.send("GET", path, &[], b"")
    }

    pub(crate) fn post(&self, path: &str, json: impl AsRef<[u8]>) -> Reply {
        self.send("POST", path, &[JSON], json.as_ref())
    }

    /// Appends an event without a condition.
    pub(crate) fn append(&self, stream: &str, json: &str) -> Reply {
        let reply = self.post(&format!("/events/{stream}"), json);
        assert_eq!(reply.status, 201, "{}", reply.text());
        reply
    }

    /// Sends a request and reads the whole answer.
    pub(crate) fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
        self.open(method, path, headers, body).whole(method)
    }

    /// Sends a request and reads the head of the answer.
    pub(crate) fn open(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let mut connection = self.connect();
        let head = head(&self.address, method, path, headers, body.len());
        connection.write_all(head.as_bytes()).expect("the head is sent");
        connection.write_all(body).expect("the body is sent");
        Answer::read(connection)
    }

    /// Asks the server to stop.
    #[cfg(unix)]
    pub(crate) fn terminate(&self) {
        let told = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        assert!(told.expect("kill runs").success());
    }

    /// A connection on which nothing has been said.
    pub(crate) fn connect(&self) -> TcpStream {
        let connection = TcpStream::connect(&self.address).expect("the server accepts connections");
        connection.set_read_timeout(Some(WAIT_MAX)).expect("a timeout can be set");
        connection
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself, which is as good.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Waits until something holds that the server brings about by itself.
pub(crate) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let begin = std::time::Instant::now();
    while !holds() {
        assert!(begin.elapsed() < WAIT_MAX, "{what}");
        std::thread::yield_now();
    }
}

/// Asks a server that may be gone, or go while it answers; none when it does not begin to.
pub(crate) fn get(address: &str, path: &str, headers: &[(&str, &str)]) -> Option<Answer> {
    let mut connection = TcpStream::connect(address).ok()?;
    connection.set_read_timeout(Some(WAIT_MAX)).expect("a timeout can be set");
    connection.write_all(head(address, "GET", path, headers, 0).as_bytes()).ok()?;
    Answer::begin(connection)
}

/// The head of a request.
pub(crate) fn head(
    address: &str,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body_len: usize,
) -> String {
    let mut head = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n");
    if !headers.iter().any(|(name, _)| *name == "Host") {
        head.push_str(&format!("Host: {address}\r\n"));
    }
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    if body_len > 0 || method == "POST" || method == "PUT" {
        head.push_str(&format!("Content-Length: {body_len}\r\n"));
    }
    head.push_str("\r\n");
    head
}

/// An answer whose body is still being read.
pub(crate) struct Answer {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    body: BufReader<Body>,
}

impl Answer {
    /// Reads the head of an answer.
    pub(crate) fn read(connection: impl Read + Send + 'static) -> Answer {
        Answer::begin(connection).expect("the head of an answer")
    }

    /// Reads the head of an answer; none when it breaks off.
    fn begin(connection: impl Read + Send + 'static) -> Option<Answer> {
        let mut connection: Connection = BufReader::new(Box::new(connection));
        let mut line = || {
            let mut line = String::new();
            connection.read_line(&mut line).ok()?;
            line.strip_suffix("\r\n").map(str::to_owned)
        };
        let status = line()?;
        let status = status.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status line");
        let mut headers = Vec::new();
        loop {
            let header = line()?;
            let Some((name, value)) = header.split_once(": ") else { break };
            headers.push((name.to_ascii_lowercase(), value.to_owned()));
        }
        let body = match find(&headers, "transfer-encoding") {
            Some(_) => Body::Chunked { connection, left: 0 },
            None => {
                let len = find(&headers, "content-length").and_then(|len| len.parse().ok());
                Body::Sized(connection.take(len.unwrap_or(0)))
            }
        };
        Some(Answer { status, headers, body: BufReader::new(body) })
    }

    /// The next line of the body of a server that may be killed, none at the end; an error when it breaks off.
    pub(crate) fn line_if_whole(&mut self) -> std::io::Result<Option<String>> {
        let mut line = String::new();
        match self.body.read_line(&mut line)? {
            0 => Ok(None),
            _ => match line.strip_suffix('\n') {
                Some(line) => Ok(Some(line.to_owned())),
                None => Err(std::io::ErrorKind::UnexpectedEof.into()),
            },
        }
    }

    /// The next line of the body, without its line break; none at the end.
    pub(crate) fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        let len = self.body.read_line(&mut line).expect("the body does not break off");
        (len > 0).then(|| line.trim_end_matches('\n').to_owned())
    }

    /// The next block of server-sent events: its lines up to an empty one.
    pub(crate) fn block(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.line()).take_while(|line| !line.is_empty()).collect()
    }

    pub(crate) fn whole(mut self, method: &str) -> Reply {
        let mut body = Vec::new();
        if method != "HEAD" {
            self.body.read_to_end(&mut body).expect("the body does not break off");
        }
        Reply { status: self.status, headers: self.headers, body }
    }
}

/// A whole answer.
pub(crate) struct Reply {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        find(&self.headers, name)
    }

    pub(crate) fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    /// The lines of the body, each as JSON.
    pub(crate) fn lines(&self) -> Vec<Value> {
        let json = |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        self.text().lines().map(json).collect()
    }

    /// The problem that the answer is, which must have this status.
    pub(crate) fn problem(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text());
        assert_eq!(self.header("content-type"), Some("application/problem+json"));
        let problem = self.json();
        assert_eq!(problem["status"], status);
        problem
    }
}

fn find<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers.iter().find(|(given, _)| given == name).map(|(_, value)| value.as_str())
}

/// What an answer is read from.
type Connection = BufReader<Box<dyn Read + Send>>;

enum Body {
    Sized(Take<Connection>),
    Chunked { connection: Connection, left: usize },
    Ended,
}

impl Read for Body {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        let (connection, left) = match self {
            Body::Sized(body) => {
                let read = body.read(out)?;
                let broken_off = read == 0 && !out.is_empty() && body.limit() > 0;
                return if broken_off { Err(std::io::ErrorKind::UnexpectedEof.into()) } else { Ok(read) };
            }
            Body::Ended => return Ok(0),
            Body::Chunked { connection, left } => (connection, left),
        };
        if *left == 0 {
            let mut size = String::new();
            connection.read_line(&mut size)?;
            *left = usize::from_str_radix(size.trim(), 16).map_err(std::io::Error::other)?;
            if *left == 0 {
                *self = Body::Ended;
                return Ok(0);
            }
        }
        let wanted = out.len().min(*left);
        let read = connection.read(&mut out[..wanted])?;
        if read == 0 && wanted > 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        *left -= read;
        if *left == 0 {
            connection.read_line(&mut String::new())?;
        }
        Ok(read)
    }
}

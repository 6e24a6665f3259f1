//! The server as a process of its own, so that its memory is its own.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::Outcome;

pub(crate) struct Server {
    child: Child,
    pub(crate) address: String,
}

impl Server {
    /// A server with room for this many who follow.
    pub(crate) fn start(dir: &Path, followers: u64) -> Result<Server, Box<dyn std::error::Error>> {
        let config = dir.join("annals.toml");
        let connections = followers + 64;
        std::fs::write(
            &config,
            format!("[http]\nconnections_max = {connections}\nsubscribers_max = {connections}\n"),
        )?;
        let mut command = Command::new(env!("CARGO_BIN_EXE_annals"));
        command.arg("--config").arg(&config).args(["serve", "--listen", "127.0.0.1:0", "--data"]);
        let mut child = command.arg(dir.join("data")).stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().ok_or("stdout is piped")?).read_line(&mut line)?;
        let address = line.trim().rsplit_once("http://").ok_or("it says where it listens")?.1.to_owned();
        Ok(Server { child, address })
    }

    /// Its anonymous memory, in bytes: what it has allocated, without files that are mapped.
    pub(crate) fn memory(&self) -> Result<u64, Box<dyn std::error::Error>> {
        memory_of(self.child.id())
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }
}

pub(crate) fn memory_of(process: u32) -> Result<u64, Box<dyn std::error::Error>> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).ok_or("the system tells it")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? * 1024)
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself, which is as good.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A connection on which one request follows the other.
pub(crate) struct Writer {
    connection: BufReader<TcpStream>,
    address: String,
}

impl Writer {
    pub(crate) fn connect(server: &Server) -> Result<Writer, Box<dyn std::error::Error>> {
        let connection = TcpStream::connect(&server.address)?;
        connection.set_nodelay(true)?;
        Ok(Writer { connection: BufReader::new(connection), address: server.address.clone() })
    }

    /// Sends a body, and reads the answer, which must be a good one.
    pub(crate) fn post(&mut self, path: &str, content_type: &str, body: &[u8]) -> Outcome {
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: {}\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\n\r\n",
            self.address,
            body.len()
        );
        self.connection.get_mut().write_all(&[head.as_bytes(), body].concat())?;
        let (mut status, mut length) = (String::new(), 0);
        self.connection.read_line(&mut status)?;
        loop {
            let mut line = String::new();
            self.connection.read_line(&mut line)?;
            if let Some(value) = line.strip_prefix("content-length: ") {
                length = value.trim().parse()?;
            }
            if line == "\r\n" {
                break;
            }
        }
        let mut answer = vec![0; length];
        self.connection.read_exact(&mut answer)?;
        match status.contains(" 20") {
            true => Ok(()),
            false => Err(format!("{status}{}", String::from_utf8_lossy(&answer)).into()),
        }
    }
}

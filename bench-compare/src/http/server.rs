//! A server as a process of its own, on a free port; it is gone when this is dropped.

use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::figures::anonymous_bytes_of;
use crate::store::Result;

/// What this binary is called when it is the command `annals`.
pub const ANNALS: &str = "annals";

/// Who serves.
#[derive(Clone, Copy)]
pub struct Kind {
    pub name: &'static str,
    pub about: &'static str,
    /// The command, for the store in a directory.
    command: for<'a> fn(&'a mut Command, &Path) -> &'a mut Command,
}

/// What annals is measured by, and annals.
pub const KINDS: [Kind; 2] = [
    Kind {
        name: "floor",
        about: "axum over the bare log: parses, frames, one write and one fdatasync a group, answers; nothing else",
        command: |command, dir| command.arg("floor").arg(dir),
    },
    Kind {
        name: ANNALS,
        about: "the command `annals serve`, with default options but for its log, which tells nothing below a warning",
        command: |command, dir| {
            command
                .arg0(ANNALS)
                .args(["serve", "--log", "warn", "--listen", "127.0.0.1:0", "--data"])
                .arg(dir)
        },
    },
];

pub struct Server {
    child: Child,
    pub address: String,
}

impl Server {
    /// Starts it, and waits until it says where it listens.
    pub fn start(kind: &Kind, dir: &Path) -> Result<Server> {
        let mut command = Command::new(std::env::current_exe()?);
        // A file of settings where this was started, and settings of the environment, are of another store.
        command.current_dir(dir.parent().ok_or("a directory within another")?).env_clear();
        (kind.command)(&mut command, dir);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
        let stdout = child.stdout.take().ok_or("no output")?;
        let mut server = Server { child, address: String::new() };
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        let said = line.trim().split_once("http://");
        server.address = said.ok_or_else(|| format!("{} says {line:?}", kind.name))?.1.to_owned();
        Ok(server)
    }

    /// Its anonymous memory.
    pub fn memory(&self) -> u64 {
        anonymous_bytes_of(&self.child.id().to_string())
    }
}

impl Drop for Server {
    /// Kills it: nothing is written that an answer has not waited for.
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

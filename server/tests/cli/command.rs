//! Runs the real binary: one-shot commands and servers, each in a directory of its own.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use tempfile::TempDir;

/// A directory to run commands in; the store lies in `data` below it.
pub(super) struct Place(TempDir);

/// How a command ended.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) code: Option<i32>,
    pub(super) out: String,
    pub(super) err: String,
}

/// A command that runs until it is stopped. It dies with the test.
pub(super) struct Running {
    child: Child,
    out: Option<BufReader<ChildStdout>>,
}

impl Place {
    pub(super) fn new() -> Place {
        Place(TempDir::new().expect("a temporary directory"))
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes a file and gives its path as an argument.
    pub(super) fn file(&self, name: &str, text: impl AsRef<[u8]>) -> String {
        let path = self.path(name);
        std::fs::write(&path, text).expect("a file can be written");
        path.to_str().expect("a temporary path is text").to_owned()
    }

    /// The command on the store of this place, nothing of the caller's environment set.
    pub(super) fn command(&self, args: &[&str]) -> Command {
        let mut command = self.bare(args);
        command.arg("--data").arg(self.path("data"));
        command
    }

    /// The command without a word about where the store is.
    pub(super) fn bare(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_annals"));
        for (name, _) in std::env::vars_os() {
            if name.to_str().is_some_and(|name| name.starts_with("ANNALS_")) {
                command.env_remove(name);
            }
        }
        command.current_dir(self.0.path()).args(args).stdin(Stdio::null());
        command
    }

    /// Runs the command to its end.
    pub(super) fn run(&self, args: &[&str]) -> Outcome {
        Outcome::of(&mut self.command(args))
    }

    /// Runs the command with text on its standard input.
    pub(super) fn run_with_input(&self, args: &[&str], input: &str) -> Outcome {
        let mut command = self.command(args);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the binary starts");
        child
            .stdin
            .take()
            .expect("is piped")
            .write_all(input.as_bytes())
            .expect("the command reads its input");
        child.wait_with_output().expect("the command ends").into()
    }

    /// Starts a server on a free port; gives it and its URL.
    pub(super) fn serve(&self) -> (Running, String) {
        let mut server = Running::start(&mut self.command(&["serve", "--listen", "127.0.0.1:0"]));
        let line = server.line();
        let url = line.strip_prefix("annals listening on ").expect("the first line names the address");
        let url = url.trim_end().to_owned();
        (server, url)
    }

    /// How many events the store holds.
    pub(super) fn event_count(&self) -> u64 {
        let stats: serde_json::Value =
            serde_json::from_str(&self.run(&["stats", "--json"]).ok()).expect("is JSON");
        stats["events"].as_u64().expect("a count")
    }

    /// The segment files of the store.
    pub(super) fn segments(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.path("data/log")).expect("a store has a log");
        let paths = entries.map(|entry| entry.expect("can be listed").path());
        paths.filter(|path| path.extension().is_some_and(|extension| extension == "seg")).collect()
    }
}

impl Outcome {
    pub(super) fn of(command: &mut Command) -> Outcome {
        command.output().expect("the binary starts").into()
    }

    /// The results of a command that must have succeeded.
    #[track_caller]
    pub(super) fn ok(self) -> String {
        assert_eq!(self.code, Some(0), "{}", self.err);
        self.out
    }

    /// The message of a command that must have failed with this exit code, without results.
    #[track_caller]
    pub(super) fn failed(self, code: i32) -> String {
        assert_eq!(self.code, Some(code), "{}", self.err);
        assert_eq!(self.out, "");
        self.err
    }
}

impl From<std::process::Output> for Outcome {
    fn from(output: std::process::Output) -> Outcome {
        let text = |bytes| String::from_utf8(bytes).expect("commands write UTF-8");
        Outcome { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }
}

impl Running {
    pub(super) fn start(command: &mut Command) -> Running {
        let mut child =
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary starts");
        let out = BufReader::new(child.stdout.take().expect("is piped"));
        Running { child, out: Some(out) }
    }

    /// Waits for the next line of results.
    pub(super) fn line(&mut self) -> String {
        let mut line = String::new();
        let out = self.out.as_mut().expect("is read until it is left");
        out.read_line(&mut line).expect("results are text");
        line
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Closes the reading end of standard output, as `head` does, and waits for the command to end.
    pub(super) fn leave(mut self) -> Outcome {
        self.out = None;
        self.wait()
    }

    /// Asks the command to end, as a service manager does, and waits.
    #[cfg(unix)]
    pub(super) fn terminate(self) -> Outcome {
        let sent = Command::new("kill").arg(self.pid().to_string()).status().expect("kill starts");
        assert!(sent.success());
        self.wait()
    }

    fn wait(mut self) -> Outcome {
        let mut err = String::new();
        let stderr = self.child.stderr.take();
        std::io::Read::read_to_string(&mut stderr.expect("is piped"), &mut err).expect("messages are text");
        let code = self.child.wait().expect("the command ends").code();
        Outcome { code, out: String::new(), err }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail only when the command has ended, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A file of the example data, when the project lies beside it.
pub(super) fn example(name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data").join(name);
    path.exists().then_some(path)
}

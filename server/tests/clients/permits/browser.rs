//! A page in Chromium that writes and reads.

use std::io::{BufRead, BufReader, Lines, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use crate::clients::tools::{Tools, here};
use crate::support::Server;

pub(super) struct Browser {
    child: Child,
    asks: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
    /// Where its page comes from.
    origin: String,
}

impl Browser {
    pub(super) fn start(tools: &Tools, lines: &Path) -> Browser {
        let mut node = Command::new("node");
        node.arg(tools.script(&here().join("permits/browser.mjs"))).arg(lines);
        let mut child = node.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("node starts");
        let asks = child.stdin.take().expect("is piped");
        let mut answers = BufReader::new(child.stdout.take().expect("is piped")).lines();
        let origin = answers.next().and_then(Result::ok).expect("it says where its page comes from");
        Browser { child, asks, answers, origin }
    }

    /// A server that lets the page in.
    pub(super) fn server(&self) -> Server {
        Server::configured(&format!("[http]\ncors_origins = [\"{}\"]\n", self.origin))
    }

    pub(super) fn ask(&mut self, server: &Server, does: &str, form: &str) -> String {
        writeln!(self.asks, "http://{} {does} {form}", server.address()).expect("the browser listens");
        self.answers.next().and_then(Result::ok).unwrap_or_else(|| panic!("no answer: {does} {form}"))
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

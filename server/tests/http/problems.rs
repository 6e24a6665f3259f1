//! The page `docs/problems.md`: the commands of each section bring its problem about, on a server and in a directory of the section's own.

use std::path::Path;
use std::process::Command;

use super::console::{Example, document, examples, has_curl};
use crate::support::Server;

/// How a command that begins a server is written, settings before it and flags behind.
const SERVE: &str = "annals serve";

/// What such a command prints.
const LISTENS: &str = "annals listening on http://127.0.0.1:2662";

/// Begins a server as the page says, on a port that is free.
fn serve(dir: &Path, command: &str) -> Server {
    let mut shell = Command::new("sh");
    let script = format!("exec env {}", command.replace(SERVE, "\"$BINARY\" \"$@\""));
    shell.args(["-c", &script, "sh"]).current_dir(dir).env("BINARY", env!("CARGO_BIN_EXE_annals"));
    Server::start_on(&dir.join("annals-data"), shell)
}

/// Runs a section of the page.
fn run(examples: &[Example]) {
    let dir = tempfile::tempdir().expect("a directory");
    let is_serving = |example: &Example| example.command.contains(SERVE);
    let mut server = (!examples.iter().any(is_serving)).then(|| serve(dir.path(), SERVE));
    for example in examples {
        match &server {
            _ if is_serving(example) => {
                assert_eq!(example.printed, [LISTENS], "{}", example.command);
                server = Some(serve(dir.path(), &example.command));
            }
            Some(server) => example.check(dir.path(), server.address()),
            None => example.check(dir.path(), ""),
        }
    }
}

#[test]
fn each_kind_of_problem_is_brought_about_by_its_commands_and_is_as_the_page_says() {
    if !has_curl() {
        return;
    }
    for section in document("problems.md").split("\n## ").skip(1) {
        let (kind, text) = section.split_once('\n').expect("a section has a title");
        let examples = examples(text);
        // What no command brings about has a test beside the problems, which also knows which these are.
        if examples.is_empty() {
            continue;
        }
        let urn = format!("\"type\":\"urn:annals:problem:{kind}\"");
        let printed = || examples.iter().flat_map(|example| &example.printed);
        assert!(printed().any(|line| line.contains(&urn)), "the section on {kind} shows one");
        for line in printed() {
            // Ids, the history being one, and how far an import had come.
            let known = ["\"requestId\":\"…\"", "\"history\":\"…\"", "at history …", "\"committed\":{…}"];
            let told = known.iter().fold(line.clone(), |line, known| line.replace(known, ""));
            assert!(!told.contains('…'), "what is no id is left out: {line}");
        }
        run(&examples);
    }
}

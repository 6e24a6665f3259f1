//! Commands that a document shows, with what they print: read from its console blocks, and run by a shell.

use std::path::Path;
use std::process::{Command, Stdio};

/// The address that the documents speak of.
const ADDRESS: &str = "localhost:2662";

/// A command, and what the document says that it prints.
pub(super) struct Example {
    pub(super) command: String,
    pub(super) printed: Vec<String>,
}

/// A document of the project.
pub(super) fn document(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(name);
    std::fs::read_to_string(path).expect("the document can be read")
}

/// Whether there is what the commands are made of; who runs the tests is told when there is not.
pub(super) fn has_curl() -> bool {
    let curl = Command::new("curl").arg("--version").stdout(Stdio::null()).status();
    let has = curl.is_ok_and(|status| status.success());
    if !has {
        say("skipped: there is no curl");
    }
    has
}

/// The commands of all console blocks. A line that ends within quotes or by a backslash goes on.
pub(super) fn examples(page: &str) -> Vec<Example> {
    let mut examples: Vec<Example> = Vec::new();
    for block in page.split("```console\n").skip(1) {
        let block = block.split("```").next().unwrap_or_default();
        let mut goes_on = false;
        for line in block.lines() {
            match (line.strip_prefix("$ "), examples.last_mut()) {
                (Some(command), _) => {
                    examples.push(Example { command: command.to_owned(), printed: Vec::new() });
                }
                (None, Some(example)) if goes_on => {
                    example.command.push('\n');
                    example.command.push_str(line);
                }
                (None, Some(example)) => example.printed.push(line.to_owned()),
                (None, None) => panic!("a block begins with a command: {line}"),
            }
            let command = examples.last().map_or("", |example| example.command.as_str());
            goes_on = command.ends_with('\\') || !command.matches('\'').count().is_multiple_of(2);
        }
    }
    examples
}

/// Whether a line is as the page says, where `…` stands for anything.
fn is_like(line: &str, pattern: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('…') else { return line == pattern };
    let (middle, end) = rest.rsplit_once('…').unwrap_or(("", rest));
    let Some(mut left) = line.strip_prefix(start).and_then(|line| line.strip_suffix(end)) else {
        return false;
    };
    middle.split('…').all(|part| match left.split_once(part) {
        Some((_, behind)) => {
            left = behind;
            true
        }
        None => false,
    })
}

impl Example {
    /// Runs the command in a directory, with the server there that the document speaks of, and checks what it prints.
    pub(super) fn check(&self, dir: &Path, address: &str) {
        let Example { command, printed } = self;
        let binaries = Path::new(env!("CARGO_BIN_EXE_annals")).parent().expect("it lies in a directory");
        let path = std::env::var("PATH").unwrap_or_default();
        let ran = Command::new("sh")
            .args(["-c", &command.replace(ADDRESS, address)])
            .current_dir(dir)
            .env("PATH", format!("{}:{path}", binaries.display()))
            .output();
        let output = String::from_utf8(ran.expect("sh runs").stdout).expect("is text").replace('\r', "");
        let lines: Vec<&str> = output.lines().collect();
        let alike = lines.len() == printed.len()
            && lines.iter().zip(printed).all(|(line, pattern)| is_like(line, pattern));
        assert!(alike, "{command}\nprints\n{output}\nand not\n{}", printed.join("\n"));
    }
}

#[expect(clippy::print_stdout, reason = "whoever runs the tests should know what was tried")]
fn say(what: &str) {
    println!("{what}");
}

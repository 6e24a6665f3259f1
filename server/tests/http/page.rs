//! The page `docs/http.md`: each of its commands is run, in order, and answers what stands behind it.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::Server;

/// The address that the page speaks of.
const ADDRESS: &str = "localhost:2662";

/// A command, and what the page says that it prints.
struct Example {
    command: String,
    printed: Vec<String>,
}

fn page() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/http.md");
    std::fs::read_to_string(path).expect("the page can be read")
}

/// The commands of all console blocks. A line that ends within quotes or by a backslash goes on.
fn examples(page: &str) -> Vec<Example> {
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

#[test]
fn every_command_of_the_page_prints_what_the_page_says() {
    let curl = Command::new("curl").arg("--version").stdout(Stdio::null()).status();
    if !curl.is_ok_and(|status| status.success()) {
        say("skipped: there is no curl");
        return;
    }
    let server = Server::start();
    let examples = examples(&page());
    let run = examples.iter().filter(|example| example.command.starts_with("curl "));
    let mut count = 0;
    for Example { command, printed } in run {
        count += 1;
        let ran = Command::new("sh").args(["-c", &command.replace(ADDRESS, server.address())]).output();
        let output = String::from_utf8(ran.expect("sh runs").stdout).expect("is text").replace('\r', "");
        let lines: Vec<&str> = output.lines().collect();
        let alike = lines.len() == printed.len()
            && lines.iter().zip(printed).all(|(line, pattern)| is_like(line, pattern));
        assert!(alike, "{command}\nprints\n{output}\nand not\n{}", printed.join("\n"));
    }
    assert_eq!(count, page().matches("$ curl ").count());
}

#[test]
fn the_configuration_on_the_page_is_what_a_server_takes() {
    let page = page();
    let configuration = page.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next());
    let configuration = configuration.expect("the page has a configuration");
    let server = Server::configured(configuration);
    let limits = server.get("/limits").json();
    assert_eq!(limits, Server::start().get("/limits").json(), "these are the defaults");
    // Each of those that bound a client is told to clients by its own name.
    for line in configuration.lines() {
        let Some((name, value)) = line.split_once(" = ") else { continue };
        let Ok(value) = value.split('#').next().unwrap_or_default().trim().parse::<u64>() else { continue };
        if !["heartbeat_ms", "stop_wait_ms_max"].contains(&name) {
            assert_eq!(limits[camel_case(name)], value, "{name}");
        }
    }
}

fn camel_case(name: &str) -> String {
    let capital = |word: &str| word[..1].to_uppercase() + &word[1..];
    let mut words = name.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    first + &words.map(capital).collect::<String>()
}

#[expect(clippy::print_stdout, reason = "whoever runs the tests should know what was tried")]
fn say(what: &str) {
    println!("{what}");
}

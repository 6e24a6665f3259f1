//! The page `docs/http.md`: each of its commands is run, in order, and answers what stands behind it.

use super::console::{document, examples, has_curl};
use crate::support::Server;

fn page() -> String {
    document("http.md")
}

#[test]
fn every_command_of_the_page_prints_what_the_page_says() {
    if !has_curl() {
        return;
    }
    let dir = tempfile::tempdir().expect("a directory");
    let server = Server::start();
    let examples = examples(&page());
    let run: Vec<_> = examples.iter().filter(|example| example.command.starts_with("curl ")).collect();
    run.iter().for_each(|example| example.check(dir.path(), server.address()));
    assert_eq!(run.len(), page().matches("$ curl ").count());
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

//! The page of `examples/browser` in Chromium: what it lists, and that it goes on where it was when the server comes back.

use std::fs;
use std::io::{BufRead, BufReader, Lines, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

use super::tools::{Tools, here};
use crate::support::Server;

fn page() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/browser/index.html")
}

/// What stands in the page between two texts.
fn between<'a>(page: &'a str, begin: &str, end: &str) -> &'a str {
    page.split_once(begin).and_then(|(_, rest)| rest.split_once(end)).expect("the page has it").0
}

#[test]
fn the_page_allows_its_own_script_and_style_and_nothing_else() {
    let page = fs::read_to_string(page()).expect("the page is there");
    let policy = between(&page, "Content-Security-Policy\" content=\"", "\"");
    assert!(policy.starts_with("default-src 'none';") && !policy.contains("unsafe"), "{policy}");
    for (directive, begin, end) in
        [("style-src", "<style>", "</style>"), ("script-src", "<script type=\"module\">", "</script>")]
    {
        let hash = STANDARD.encode(Sha256::digest(between(&page, begin, end)));
        assert!(policy.contains(&format!("{directive} 'sha256-{hash}'")), "{directive} has to be {hash}");
    }
}

/// The page, opened in a browser that does what it is told.
struct Browser {
    child: Child,
    asks: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
    origin: String,
}

impl Browser {
    fn start(tools: &Tools, screenshots: &Path) -> Browser {
        let mut node = Command::new("node");
        node.arg(tools.script(&here().join("browser/page.mjs"))).arg(page()).arg(screenshots);
        let mut child = node.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("node starts");
        let asks = child.stdin.take().expect("is piped");
        let mut answers = BufReader::new(child.stdout.take().expect("is piped")).lines();
        let first = answers.next().and_then(Result::ok).expect("it says where it serves the page");
        let origin = first.strip_prefix("serving ").expect(&first).to_owned();
        Browser { child, asks, answers, origin }
    }

    fn ask(&mut self, what: &str) -> String {
        writeln!(self.asks, "{what}").expect("the browser listens");
        self.answers.next().and_then(Result::ok).unwrap_or_else(|| panic!("no answer to: {what}"))
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A server on this directory that lets the browser's page in.
fn server(dir: &Path, origin: &str, address: &str) -> Server {
    let config = dir.join("annals.toml");
    fs::write(&config, format!("[http]\ncors_origins = [\"{origin}\"]\n")).expect("can be written");
    let mut command = Command::new(env!("CARGO_BIN_EXE_annals"));
    command.arg("--config").arg(config);
    Server::start_on_address(address, &dir.join("data"), command)
}

fn append(server: &Server, n: u64, data: &str) {
    let event_type = if n.is_multiple_of(2) { "order.paid" } else { "order.created" };
    server
        .append(&format!("order-{}", n.div_ceil(2)), &format!(r#"{{"type":"{event_type}","data":{data}}}"#));
}

#[test]
fn the_page_lists_events_as_they_come_and_goes_on_after_a_restart_of_the_server() {
    let Some(tools) = Tools::find() else { return };
    let dir = tempfile::tempdir().expect("a directory for the store");
    let mut browser = Browser::start(&tools, &tools.screenshots());
    let first = server(dir.path(), &browser.origin, "127.0.0.1:0");
    let address = first.address().to_owned();
    append(&first, 1, r#"{"total":99.95,"items":[{"sku":"a-1","count":2}]}"#);
    browser.ask(&format!("open http://{address}"));
    assert_eq!(browser.ask("rows 1"), "1");
    append(&first, 2, r#"{"by":"card"}"#);
    append(&first, 3, r#""<img src=x onerror=alert(1)>""#);
    assert_eq!(browser.ask("rows 3"), "1,2,3");
    assert_eq!(browser.ask("newest"), r#"order.created | order-2 | "<img src=x onerror=alert(1)>""#);
    assert_eq!(browser.ask("state live"), "Live, up to position 3");
    browser.ask("picture live");

    let mut first = first;
    first.terminate();
    assert!(first.child().wait().expect("it ends").success());
    assert_eq!(browser.ask("state waiting"), "Interrupted; going on after position 3");
    browser.ask("picture interrupted");
    let second = server(dir.path(), &browser.origin, &address);
    append(&second, 4, r#"{"by":"cash"}"#);
    assert_eq!(browser.ask("rows 4"), "1,2,3,4", "each once");
    append(&second, 5, "null");
    assert_eq!(browser.ask("rows 5"), "1,2,3,4,5");
    let ids = browser.ask("ids");
    assert!(!ids.is_empty() && ids.split(',').all(|id| id == "3"), "Last-Event-ID: {ids}");

    // The signal that cannot be caught: to the browser it is the same.
    drop(second);
    browser.ask("state waiting");
    let third = server(dir.path(), &browser.origin, &address);
    append(&third, 6, "6");
    assert_eq!(browser.ask("rows 6"), "1,2,3,4,5,6");
    browser.ask("picture resumed");
    assert_eq!(browser.ask("complaints"), "[]");
}

#[test]
fn the_page_says_so_when_it_is_not_let_in() {
    let Some(tools) = Tools::find() else { return };
    let mut browser = Browser::start(&tools, &tools.screenshots());
    let server = Server::start();
    browser.ask(&format!("open http://{}", server.address()));
    assert!(browser.ask("state ended").contains("does not let pages of http://127.0.0.1:"));
    browser.ask("picture refused");
}

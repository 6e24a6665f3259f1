//! The log, and the ids by which a request, its answer and its line are found by each other.

use std::io::{BufRead, BufReader, Read};
use std::process::{ChildStderr, Command, Stdio};

use serde_json::Value;

use crate::support::{JSON, Server};

/// A server whose log is read.
struct Logged {
    server: Server,
    log: BufReader<ChildStderr>,
    _dir: tempfile::TempDir,
}

impl Logged {
    fn start(args: &[&str]) -> Logged {
        let dir = tempfile::tempdir().expect("a directory");
        let mut command = Command::new(env!("CARGO_BIN_EXE_annals"));
        command.stderr(Stdio::piped());
        let mut server = Server::start_with(dir.path(), command, args);
        let log = BufReader::new(server.child().stderr.take().expect("is piped"));
        Logged { server, log, _dir: dir }
    }

    /// The next line that has all of these in it.
    fn line(&mut self, wanted: &[&str]) -> String {
        loop {
            let mut line = String::new();
            let len = self.log.read_line(&mut line).expect("the log is text");
            assert_ne!(len, 0, "the log ends without {wanted:?}");
            if wanted.iter().all(|wanted| line.contains(wanted)) {
                return line;
            }
        }
    }

    /// All that is left of the log of a server that ends.
    #[cfg(unix)]
    fn rest(mut self) -> String {
        self.server.terminate();
        let mut rest = String::new();
        self.log.read_to_string(&mut rest).expect("the log is text");
        rest
    }
}

#[test]
fn each_request_is_a_line_of_json_that_names_what_it_was_and_nothing_secret() {
    let mut logged = Logged::start(&["--log", "info", "--log-format", "json"]);
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let headers =
        [JSON, ("X-Request-Id", "req-7"), ("traceparent", trace), ("Authorization", "Bearer secret-token")];
    let body = br#"{"type":"t","data":"secret-data"}"#;
    let reply = logged.server.send("POST", "/events/secret-stream?expectedVersion=none", &headers, body);
    assert_eq!((reply.status, reply.header("x-request-id")), (201, Some("req-7")));
    let line = logged.line(&["annals::requests"]);
    let told: Value = serde_json::from_str(&line).expect("a line is JSON");
    for (name, value) in [
        ("level", "INFO".into()),
        ("method", "POST".into()),
        ("route", "/events/{stream}".into()),
        ("status", Value::from(201)),
        ("bytes", Value::from(reply.body.len())),
        ("id", "req-7".into()),
        ("trace", "4bf92f3577b34da6a3ce929d0e0e4736".into()),
    ] {
        assert_eq!(told[name], value, "{line}");
    }
    assert!(told["micros"].is_u64() && told["timestamp"].is_string(), "{line}");
    assert!(!line.contains("secret"), "{line}");
}

#[test]
fn a_request_that_gives_no_plain_id_gets_one_and_its_problem_repeats_it() {
    let server = Server::start();
    let given = server.send("GET", "/events/none", &[("X-Request-Id", "a b\"c")], b"");
    let id = given.header("x-request-id").expect("every answer has one").to_owned();
    assert_ne!(id, "a b\"c");
    assert_eq!(given.problem(404)["requestId"], id);
    let length = given.header("content-length").expect("has a length");
    assert_eq!(length, given.body.len().to_string());
    let refused = server.send("GET", "/limits", &[("Host", "evil.example"), ("X-Request-Id", "mine")], b"");
    assert_eq!(refused.problem(403)["requestId"], "mine", "also before anything looks at it");
    assert_ne!(server.get("/limits").header("x-request-id"), server.get("/limits").header("x-request-id"));
}

#[cfg(unix)]
#[test]
fn by_default_only_what_matters_is_told_as_text() {
    let logged = Logged::start(&[]);
    logged.server.append("a", r#"{"type":"t","data":1}"#);
    logged.server.get("/events/none").problem(404);
    let log = logged.rest();
    assert!(!log.contains("annals::requests"), "{log}");
    for said in ["the server listens", "the server stops", "the store is closed"] {
        assert!(log.contains(said), "{said}: {log}");
    }
}

#[test]
fn the_bearer_of_a_token_is_named_and_the_token_is_not() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("tokens.toml");
    let mut token = Command::new(env!("CARGO_BIN_EXE_annals"));
    let made = token.args(["token", "shop", "--scope", "read", "--file"]).arg(&file).output();
    let token = String::from_utf8(made.expect("the binary starts").stdout).expect("is text");
    let file = file.to_str().expect("a temporary path is text");
    let mut logged = Logged::start(&["--log", "info", "--tokens", file]);
    let bearer = format!("Bearer {}", token.trim());
    let reply = logged.server.send("GET", "/streams", &[("Authorization", &bearer)], b"");
    assert_eq!(reply.status, 200);
    let line = logged.line(&["annals::requests", "/streams"]);
    assert!(line.contains("token=\"shop\"") && !line.contains(token.trim()), "{line}");
}

#[test]
fn a_choice_of_lines_that_is_none_is_refused_with_an_example() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_annals"));
    let ended = command.args(["serve", "--log", "a=b=c"]).output().expect("the binary starts");
    let said = String::from_utf8(ended.stderr).expect("messages are text");
    assert_eq!(ended.status.code(), Some(2), "{said}");
    assert!(said.contains("warn,annals::requests=info"), "{said}");
}

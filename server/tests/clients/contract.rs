//! The OpenAPI document against the server that serves it: schemathesis sends what it allows and what it does not.
//!
//! For longer runs set `ANNALS_CONTRACT_SECONDS`, how long each run may take (default 30), and `ANNALS_CONTRACT_SEED`.

use std::process::Command;

use super::tools::{Tools, run, say};
use crate::support::{NDJSON, Server};

/// Events of the kind that streams, ids and tags are drawn from.
const EVENTS: &str = r#"{"stream":"permit-1","id":"e-1","type":"permit.received","timestamp":"2010-10-02T07:20:39.266Z","source":"permit-desk","data":{"task":"task-4"},"metadata":{"correlationId":"case-1","tags":["group:1"]}}
{"stream":"permit-1","id":"e-2","type":"permit.checked","timestamp":"2010-10-02T07:21:26.588Z","data":{"task":"task-5"}}
{"stream":"picture-1","id":"e-1","type":"picture.taken","dataBase64":"AAEC","dataContentType":"image/png"}
{"stream":"größe 1/2","id":"e-3","type":"t","data":null}
"#;

fn setting(name: &str, default: u64) -> String {
    std::env::var(name).unwrap_or_else(|_| default.to_string())
}

/// Tries everything that the document names, with these headers.
fn holds(tools: &Tools, server: &Server, headers: &[&str]) {
    let reports = tempfile::tempdir().expect("a directory for reports");
    let mut command = tools.python("schemathesis");
    command.args(["--config-file", "schemathesis.toml", "run"]);
    command.arg("../../../docs/openapi.json").args(["--url", &format!("http://{}", server.address())]);
    command.args(["--max-time", &setting("ANNALS_CONTRACT_SECONDS", 30)]);
    command.args(["--seed", &setting("ANNALS_CONTRACT_SEED", 1)]);
    command.args(["--max-examples", "30", "--request-timeout", "10", "--report-dir"]).arg(reports.path());
    for header in headers {
        command.args(["--header", header]);
    }
    let said = run(&mut command);
    say(said.lines().find(|line| line.contains("generated")).unwrap_or_default());
    assert_eq!(server.get("/health/live").status, 200);
}

fn configured(backups: &std::path::Path, more: &str) -> Server {
    let backups = backups.to_str().expect("a path that is text");
    Server::configured(&format!("[http]\nbackups = '{backups}'\nbody_wait_ms_max = 2000\n{more}"))
}

fn token(file: &std::path::Path, name: &str, more: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_annals"));
    let made = run(command.args(["token", name, "--file"]).arg(file).args(more));
    format!("Authorization: Bearer {}", made.trim())
}

#[test]
fn whatever_the_document_allows_or_forbids_is_answered_as_it_says() {
    let Some(tools) = Tools::find() else { return };
    let dir = tempfile::tempdir().expect("a directory for backups");
    let server = configured(dir.path(), "");
    assert_eq!(server.send("POST", "/import", &[NDJSON], EVENTS.as_bytes()).status, 200);
    holds(&tools, &server, &[]);
}

#[test]
fn whatever_the_document_allows_or_forbids_is_answered_to_tokens_as_it_says() {
    let Some(tools) = Tools::find() else { return };
    let dir = tempfile::tempdir().expect("a directory for tokens");
    let file = dir.path().join("tokens.toml");
    let all = token(&file, "all", &["--scope", "read,append,admin"]);
    let some = token(&file, "some", &["--scope", "read,append", "--prefix", "permit-"]);
    let server = configured(dir.path(), &format!("tokens = '{}'", file.display()));
    let (name, value) = all.split_once(": ").expect("a header");
    let sent = server.send("POST", "/import", &[NDJSON, (name, value)], EVENTS.as_bytes());
    assert_eq!(sent.status, 200, "{}", sent.text());
    holds(&tools, &server, &[&all]);
    holds(&tools, &server, &[&some]);
    holds(&tools, &server, &["Authorization: Bearer annals_nobody"]);
}

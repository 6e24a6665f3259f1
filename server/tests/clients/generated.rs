//! Clients that are made of the OpenAPI document: types for TypeScript, and a client for Python.

use std::process::Command;

use super::tools::{Tools, here, run};
use crate::support::Server;

const DOCUMENT: &str = "../../../docs/openapi.json";

#[test]
fn types_that_are_made_of_the_document_are_enough_for_a_strict_program_that_runs() {
    let Some(tools) = Tools::find() else { return };
    let dir = tempfile::tempdir().expect("a directory for the program");
    for name in ["shop.ts", "tsconfig.json"] {
        std::fs::copy(here().join("typescript").join(name), dir.path().join(name)).expect("can be copied");
    }
    std::fs::write(dir.path().join("package.json"), r#"{"type":"module"}"#).expect("is written");
    std::os::unix::fs::symlink(tools.node_modules(), dir.path().join("node_modules")).expect("is linked");
    let types = dir.path().join("annals.d.ts");
    run(tools.node("openapi-typescript").arg(DOCUMENT).arg("--output").arg(types));
    run(tools.node("tsc").arg("--project").arg(dir.path()));

    let server = Server::start();
    let program = dir.path().join("out/shop.js");
    let said = run(Command::new("node").arg(program).arg(format!("http://{}", server.address())));
    assert_eq!(said, "appended, read and followed\n");
}

#[test]
fn a_python_client_that_is_made_of_the_document_appends_reads_and_follows() {
    let Some(tools) = Tools::find() else { return };
    let dir = tempfile::tempdir().expect("a directory for the client");
    let mut generate = tools.python("openapi-python-client");
    generate.args(["generate", "--path", DOCUMENT, "--config", "python/generate.yaml", "--meta", "none"]);
    run(generate.arg("--output-path").arg(dir.path().join("annals_client")));

    let server = Server::start();
    let mut shop = tools.python("python");
    shop.arg("python/shop.py").arg(format!("http://{}", server.address())).env("PYTHONPATH", dir.path());
    assert_eq!(run(&mut shop), "appended, read and followed\n");
}

//! Names that would like to be paths.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use super::{EVENT, goes_on};
use crate::support::Server;

#[test]
fn what_decodes_to_a_legal_name_is_that_name_and_nothing_else() {
    let server = Server::start();
    for (path, name) in [
        ("..%2f..%2f..%2fetc%2fpasswd", "../../../etc/passwd"),
        ("%2e%2e%2f", "../"),
        ("...", "..."),
        ("a%2F..%2Fb", "a/../b"),
        ("%252e%252e", "%2e%2e"),
        ("C%3A%5Cwindows", "C:\\windows"),
        ("%7Eroot", "~root"),
        ("a%3Fb%23c", "a?b#c"),
        ("a;b=c", "a;b=c"),
        ("a+b", "a+b"),
        ("%20", " "),
        ("%E2%80%AE", "\u{202e}"),
        ("CON", "CON"),
        ("%22%27%60%24(id)", "\"'`$(id)"),
        ("snapshot", "snapshot"),
        ("replay", "replay"),
    ] {
        let reply = server.post(&format!("/events/{path}"), EVENT);
        assert_eq!((reply.status, reply.json()["stream"].as_str()), (201, Some(name)), "{path}");
        let held = server.get(&format!("/events/{path}")).lines();
        assert_eq!((held.len(), held[0]["stream"].as_str()), (1, Some(name)), "{path}");
        assert_eq!(server.get(&format!("/streams/{path}")).json()["stream"], name, "{path}");
    }
    goes_on(&server);
}

#[test]
fn what_decodes_to_no_name_is_refused_and_no_path_is_made_shorter() {
    let server = Server::start();
    for path in [
        "/events/.",
        "/events/..",
        "/events/%2e",
        "/events/%2E%2e",
        "/events/.%2e",
        "/events/%00",
        "/events/a%00",
        "/events/%0a",
        "/events/%7f",
        "/events/%c0%af",
        "/events/%c0%ae%c0%ae",
        "/events/%e0%80%af",
        "/events/%ed%a0%80",
        "/events/%ff",
        "/events/$settings-a",
        "/events/stream%00",
    ] {
        server.post(path, EVENT).problem(400);
    }
    for path in [
        "/events//a",
        "//events/a",
        "/events/a/",
        "/events/a/b",
        "/events/../events/a",
        "/events/x/../a",
        "/events/./a",
        "/events/a/./replay",
        "/events/a/%2e%2e/b",
        "/../../etc/passwd",
        "/events/a\\..\\b/c",
        "/admin/../events/a",
        "/%65vents/a/b",
    ] {
        server.post(path, EVENT).problem(404);
    }
    server.post("/events/stream", EVENT).problem(405);
    assert_eq!(server.get("/events").body, b"", "nothing was written anywhere");
    goes_on(&server);
}

/// Every file below a directory, by its path from there.
fn files(dir: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir(dir).expect("a directory can be listed") {
        let path = entry.expect("an entry can be read").path();
        let name = path.file_name().expect("an entry has a name").to_string_lossy().into_owned();
        match path.is_dir() {
            true => found.extend(files(&path).into_iter().map(|below| format!("{name}/{below}"))),
            false => drop(found.insert(name)),
        }
    }
    found
}

#[test]
fn no_name_reaches_the_file_system() {
    let dir = tempfile::tempdir().expect("a directory");
    let server = Server::start_on(&dir.path().join("data"), Command::new(env!("CARGO_BIN_EXE_annals")));
    server.append("a", EVENT);
    let before = files(dir.path());
    for name in ["..%2f..%2fx", "%2Ftmp%2Fannals-was-here", "..%5Cx", "log%2F0000000009.seg", "LOCK"] {
        server.append(name, EVENT);
        server.append(name, r#"{"type":"../../t","data":1,"id":"../../id","source":"/etc/passwd"}"#);
        server.get("/events/by-id/..%2F..%2Fid");
    }
    assert_eq!(files(dir.path()), before);
}

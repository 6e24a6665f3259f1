//! Health: what is wrong is named, whether appends are taken or not.

use std::path::Path;
use std::process::Command;

use crate::support::{Server, eventually};

const EVENT: &str = r#"{"type":"t","data":1}"#;

fn codes(server: &Server) -> (u16, String, Vec<String>) {
    let reply = server.get("/health/ready");
    let health = reply.json();
    let reasons = health["reasons"].as_array().cloned().unwrap_or_default();
    let codes = reasons.iter().map(|reason| reason["code"].as_str().expect("a text").to_owned()).collect();
    (reply.status, health["status"].as_str().expect("a text").to_owned(), codes)
}

#[test]
fn a_store_that_is_only_read_says_so_and_lives() {
    let dir = tempfile::tempdir().expect("a directory");
    let binary = || Command::new(env!("CARGO_BIN_EXE_annals"));
    let server = Server::start_on(dir.path(), binary());
    server.append("a", EVENT);
    drop(server);
    let server = Server::start_with(dir.path(), binary(), &["--read-only"]);
    assert_eq!(codes(&server), (503, "degraded".to_owned(), vec!["read-only".to_owned()]));
    assert_eq!(server.post("/events/a", EVENT).problem(503)["type"], "urn:annals:problem:read-only");
    assert_eq!(server.get("/health/live").status, 200);
    assert_eq!(server.get("/events/a").status, 200);
}

#[test]
fn a_file_of_tokens_that_is_broken_is_told_and_appends_go_on() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("tokens.toml");
    std::fs::write(&file, "").expect("a file is written");
    let command = Command::new(env!("CARGO_BIN_EXE_annals"));
    let tokens = file.to_str().expect("a temporary path is text");
    let server = Server::start_with(&dir.path().join("data"), command, &["--tokens", tokens]);
    assert_eq!(codes(&server), (200, "ready".to_owned(), vec![]));
    std::fs::write(&file, "broken").expect("a file is written");
    eventually("it is told", || codes(&server) == (200, "degraded".to_owned(), vec!["tokens".to_owned()]));
    std::fs::write(&file, "\n").expect("a file is written");
    eventually("it is mended", || codes(&server).1 == "ready");
}

/// A file system of a few megabytes, gone with the test.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    /// None where this process may not mount one.
    fn new(bytes: u64) -> Option<SmallDisk> {
        let disk = SmallDisk(tempfile::tempdir().expect("a directory"));
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={bytes}"), "annals-test"])
            .arg(disk.path())
            .output();
        mounted.is_ok_and(|mounted| mounted.status.success()).then_some(disk)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("-l").arg(self.path()).output());
    }
}

#[test]
fn a_full_disk_is_told_and_appends_go_on_once_there_is_space() {
    let Some(disk) = SmallDisk::new(6 << 20) else {
        say("skipped: no file system can be mounted");
        return;
    };
    let filler = disk.path().join("filler");
    std::fs::write(&filler, vec![1; 2 << 20]).expect("a file is written");
    let command = Command::new(env!("CARGO_BIN_EXE_annals"));
    let server = Server::start_with(&disk.path().join("data"), command, &["--segment-bytes", "1048576"]);
    let event = format!(r#"{{"type":"t","data":"{}"}}"#, "x".repeat(300 << 10));
    let refused = (0..100).map(|_| server.post("/events/a", &event)).find(|reply| reply.status != 201);
    assert_eq!(refused.expect("a disk is full one day").problem(507)["type"], "urn:annals:problem:no-space");
    assert_eq!(codes(&server), (503, "degraded".to_owned(), vec!["no-space".to_owned()]));
    let held = server.get("/events/a?limit=1").status;
    assert_eq!(held, 200, "reads go on");
    std::fs::remove_file(&filler).expect("space is made");
    eventually("it looks for space by itself", || codes(&server).1 == "ready");
    assert_eq!(server.post("/events/a", &event).status, 201);
}

#[expect(clippy::print_stdout, reason = "whoever runs the tests should know what was tried")]
fn say(what: &str) {
    println!("{what}");
}

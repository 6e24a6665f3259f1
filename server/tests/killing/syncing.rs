//! The order of system calls: no answer says 201 before what it acknowledges is on stable storage.

#![cfg(target_os = "linux")]

use std::collections::{HashMap, HashSet};
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::Server;

const APPENDS: usize = 5;

#[test]
fn between_a_write_to_a_segment_and_the_answer_there_is_a_sync() {
    let dir = tempfile::tempdir().expect("a directory for the store");
    let trace = dir.path().join("trace");
    if !can_trace(&trace) {
        println!("skipped: there is no strace here, or it may not trace");
        return;
    }
    let mut server = Server::start_on(&dir.path().join("data"), traced(&trace));
    for number in 0..APPENDS {
        server.append("s", &format!("{{\"type\":\"counted\",\"data\":{number}}}"));
    }
    let child = server.child();
    child.kill().expect("the server runs");
    // The tracer holds the pipe until it has written down everything.
    let mut said = String::new();
    child.stderr.take().expect("is piped").read_to_string(&mut said).expect("messages are text");

    let calls = std::fs::read_to_string(&trace).expect("a trace was written");
    assert_eq!(answers_after_syncs(&calls), Ok(APPENDS), "{said}\n{calls}");
}

#[test]
fn an_answer_before_the_sync_would_be_noticed() {
    let write = "7 pwrite64(5</d/log/0000000001.seg>, \"ANFR\", 64, 8296) = 64\n";
    let sync = "7 fdatasync(5</d/log/0000000001.seg>) = 0\n";
    let begun = "7 fdatasync(5</d/log/0000000001.seg> <unfinished ...>\n";
    let ended = "7 <... fdatasync resumed>) = 0\n";
    let answer = "8 writev(9<socket:[1]>, [{iov_base=\"HTTP/1.1 201 Created\"...}, \
                  {iov_base=\"{\\\"stream\\\":\\\"s\\\",\\\"streamVersion\\\":1,\"...}], 2) = 99\n";
    assert_eq!(answers_after_syncs(&[write, sync, answer].concat()), Ok(1));
    assert_eq!(answers_after_syncs(&[write, begun, ended, answer].concat()), Ok(1));
    assert!(answers_after_syncs(&[write, begun, answer, ended].concat()).is_err());
    assert!(answers_after_syncs(&[write, answer, sync].concat()).is_err());
    assert!(answers_after_syncs(&[write, sync, write, answer].concat()).is_err());
    let next = &answer.replace("Version\\\":1", "Version\\\":2");
    assert_eq!(answers_after_syncs(&[write, sync, answer, write, sync, next].concat()), Ok(2));
    assert!(answers_after_syncs(&[write, sync, answer, next].concat()).is_err());
    // A tracer may tell twice of a call in which the process was killed.
    assert_eq!(answers_after_syncs(&[write, sync, answer, answer].concat()), Ok(1));
}

fn can_trace(trace: &Path) -> bool {
    let tried = Command::new("strace").arg("-D").arg("-o").arg(trace).arg("true").output();
    tried.is_ok_and(|output| output.status.success())
}

/// The binary below strace, which stays in the background: the child is the server.
fn traced(trace: &Path) -> Command {
    let mut command = Command::new("strace");
    command.args(["-D", "-f", "-y", "-e", "trace=pwrite64,fdatasync,sendto,write,writev", "-o"]);
    command.arg(trace).arg(env!("CARGO_BIN_EXE_annals")).stderr(Stdio::piped());
    command
}

/// How many appends were answered with 201, each after a sync of all that was written to segments for it; or the line of
/// the first answer that came before.
fn answers_after_syncs(calls: &str) -> Result<usize, String> {
    let (mut answered, mut dirty, mut synced) = (HashSet::new(), false, false);
    // Threads in the middle of syncing a segment.
    let mut syncing: HashMap<&str, bool> = HashMap::new();
    for line in calls.lines() {
        let Some((thread, call)) = line.split_once(' ') else { continue };
        let call = call.trim_start();
        let of_segment = call.contains(".seg>");
        if call.starts_with("pwrite64(") && of_segment {
            (dirty, synced) = (true, false);
        } else if call.starts_with("fdatasync(") && call.contains("<unfinished") {
            syncing.insert(thread, of_segment);
        } else if call.contains("fdatasync") && call.ends_with("= 0") {
            if syncing.remove(thread).unwrap_or(of_segment) {
                (dirty, synced) = (false, true);
            }
        } else if call.contains("HTTP/1.1 201") {
            let version = call.split("streamVersion").nth(1).and_then(|rest| rest.split(',').next());
            let is_new = answered.insert(version.ok_or("an answer without a version")?);
            if is_new && (dirty || !synced) {
                return Err(line.to_owned());
            }
            synced = false;
        }
    }
    Ok(answered.len())
}

//! A server that is killed under concurrent appends, again and again, on one directory, while others read and follow.
//!
//! Everything that anybody asked and was told, over all lives of the server, is one history, and what each life finds
//! must be what the history can have led to.
//!
//! For longer runs set `ANNALS_KILL_ROUNDS`, how often the server is killed (default 5), and `ANNALS_KILL_SEED`.

use std::path::Path;
use std::process::Command;
use std::thread;

use annals::testkit::{Placed, Rng};

use super::request::placed;
use super::workload::Run;
use crate::support::Server;

const WRITERS: u64 = 4;

/// Acknowledged appends after which the server is killed: at least and at most.
const APPENDS_MIN: u64 = 50;
const APPENDS_MAX: u64 = 400;

/// In each so many rounds everything is read again; in the others what has come, and what came shortly before it.
const ROUNDS_OF_WHOLE_READ: u64 = 20;
const EVENTS_READ_AGAIN: usize = 500;

#[test]
fn whatever_anybody_was_told_holds_through_every_kill() {
    let dir = tempfile::tempdir().expect("a directory for the store");
    let rounds = setting("ANNALS_KILL_ROUNDS", 5);
    let mut rng = Rng::new(setting("ANNALS_KILL_SEED", 1));
    let run = Run::default();
    let mut found = Vec::new();
    for round in 0..=rounds {
        let server = start(dir.path());
        if round % ROUNDS_OF_WHOLE_READ == 0 || round == rounds {
            found.clear();
        }
        read_on(&server, &mut found);
        run.settle(&found).unwrap_or_else(|fault| panic!("round {round}: {fault}"));
        if round < rounds {
            let appends = APPENDS_MIN + rng.below(APPENDS_MAX - APPENDS_MIN + 1);
            live_until_killed(server, &run, appends, rng.next_u64());
        }
    }
    assert!(segments(dir.path()) > 1, "no segment was sealed");
    let verify = binary().arg("verify").arg("--data").arg(dir.path()).output().expect("the binary starts");
    assert!(verify.status.success(), "{}", String::from_utf8_lossy(&verify.stdout));
    println!("{rounds} rounds, {} events: {}", found.len(), run.figures());
    run.check_covered();
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().expect("a number"))
}

fn binary() -> Command {
    Command::new(env!("CARGO_BIN_EXE_annals"))
}

fn start(dir: &Path) -> Server {
    let mut binary = binary();
    binary.env("ANNALS_SEGMENT_BYTES", "1048576");
    Server::start_on(dir, binary)
}

fn segments(dir: &Path) -> usize {
    let names = std::fs::read_dir(dir.join("log")).expect("a store has a log");
    let paths = names.map(|entry| entry.expect("can be listed").path());
    paths.filter(|path| path.extension().is_some_and(|extension| extension == "seg")).count()
}

/// Reads what stands behind `found`, and the last of these once more.
fn read_on(server: &Server, found: &mut Vec<Placed>) {
    found.truncate(found.len().saturating_sub(EVENTS_READ_AGAIN));
    for event in server.get(&format!("/events?after={}", found.len())).lines() {
        let (position, event) = placed(&event);
        assert_eq!(position.get(), found.len() as u64 + 1, "positions are dense");
        found.push(event);
    }
}

/// Lets writers, a reader and two followers work until the server has acknowledged so many appends, and kills it.
fn live_until_killed(server: Server, run: &Run, appends: u64, seed: u64) {
    let address = server.address().to_owned();
    let wanted = run.acknowledged() + appends;
    thread::scope(|scope| {
        run.begin_writing(WRITERS);
        for writer in 0..WRITERS {
            let address = &address;
            scope.spawn(move || run.write(address, Rng::new(seed ^ writer)));
        }
        scope.spawn(|| run.read(&address));
        scope.spawn(|| run.follow_events(&address, Rng::new(!seed)));
        scope.spawn(|| run.follow_lines(&address, Rng::new(!seed ^ 1)));
        run.wait_until_acknowledged(wanted);
        // The signal that cannot be caught.
        drop(server);
    });
}

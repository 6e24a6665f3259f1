//! An import that is killed in the middle, and run again until it is through.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

/// Enough for several segments of the smallest configured size.
const LINES: u64 = 12_000;

/// After how many of ten parts of the file the import is killed.
const TENTHS: [usize; 3] = [3, 6, 9];

#[test]
fn a_killed_import_that_is_run_again_has_each_event_once_and_in_order() {
    let place = tempfile::tempdir().expect("a directory for the store");
    let lines: String = (0..LINES).map(line).collect();
    std::fs::write(place.path().join("annals.toml"), "segment_bytes = 1048576\n").expect("can be written");
    std::fs::write(place.path().join("events.ndjson"), &lines).expect("can be written");

    for tenths in TENTHS {
        let mut import =
            annals(place.path(), &["import", "-"]).stdin(Stdio::piped()).spawn().expect("starts");
        let mut input = import.stdin.take().expect("is piped");
        // What is written has been read by the import, but for what a pipe holds.
        input.write_all(&lines.as_bytes()[..lines.len() / 10 * tenths]).expect("the import reads");
        import.kill().expect("it still waits for more");
        import.wait().expect("it was killed");
    }
    let last = annals(place.path(), &["import", "events.ndjson", "--json"]).output().expect("starts");
    let report: Value = serde_json::from_slice(&last.stdout).expect("a report");
    let (appended, repeated) = (&report["appended"], &report["repeated"]);
    assert_eq!(appended.as_u64().zip(repeated.as_u64()).map(|(new, old)| new + old), Some(LINES));
    assert!(*repeated != 0 && *appended != 0, "no import was killed in the middle: {report}");

    let exported = annals(place.path(), &["export"]).output().expect("starts").stdout;
    let exported = String::from_utf8(exported).expect("lines are text");
    assert!(exported.lines().map(said).eq(lines.lines().map(said)));
    let again = annals(place.path(), &["import", "events.ndjson", "--json"]).output().expect("starts");
    let again: Value = serde_json::from_slice(&again.stdout).expect("a report");
    assert_eq!(again, json!({ "lines": LINES, "appended": 0, "repeated": LINES, "position": LINES }));
}

fn annals(place: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_annals"));
    command.args(args).args(["--data", "data"]).current_dir(place).stdout(Stdio::piped());
    command
}

fn line(number: u64) -> String {
    let stream = number % 13;
    format!(
        "{{\"stream\":\"s-{stream}\",\"id\":\"event-{number}\",\"type\":\"counted\",\"data\":{{\"number\":{number},\
         \"filler\":\"{}\"}}}}\n",
        "x".repeat(300)
    )
}

/// What a line of the file and a line of the export have in common.
fn said(line: &str) -> (Value, Value, Value) {
    let event: Value = serde_json::from_str(line).expect("is JSON");
    (event["stream"].clone(), event["id"].clone(), event["data"].clone())
}

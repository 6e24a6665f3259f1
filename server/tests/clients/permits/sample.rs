//! The events that are written and read.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// How many events are made up.
const MADE_UP: u64 = 1_000;

/// Events, in a file and in memory.
pub(super) struct Sample {
    pub(super) file: tempfile::NamedTempFile,
    pub(super) lines: Vec<String>,
    pub(super) events: Vec<Value>,
}

impl Sample {
    pub(super) fn load() -> Sample {
        let text = match std::env::var_os("ANNALS_SAMPLE") {
            Some(path) => std::fs::read_to_string(path).expect("the sample can be read"),
            None => std::fs::read_to_string(shared()).unwrap_or_else(|_| made_up()),
        };
        let mut file = tempfile::NamedTempFile::new().expect("a file for the sample");
        file.write_all(text.as_bytes()).expect("the sample is written");
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        let events = lines.iter().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        Sample { file, lines, events }
    }
}

fn shared() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/permits.ndjson")
}

fn made_up() -> String {
    let mut text = String::new();
    for n in 1..=MADE_UP {
        let stream = n * 7 % 97;
        let (minute, second) = (n / 60 % 60, n % 60);
        writeln!(
            text,
            r#"{{"stream":"permit-{stream}","id":"e-{n}","type":"permit.step-{}","timestamp":"2010-10-02T07:{minute:02}:{second:02}.266Z","source":"permit-desk","data":{{"activity":"Größe \"{n}\"","task":"task-{n}"}},"metadata":{{"correlationId":"case-{stream}","version":"1.0"}}}}"#,
            n % 5
        )
        .expect("a text can be written to");
    }
    text
}

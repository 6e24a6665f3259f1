//! Targets for what is read of a request before its body: headers, and the lines of an import.

use annals::StreamVersion;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Uri};
use serde_json::Value;

use super::accept::{CLOUD_BATCH, CLOUD_EVENT, JSON, NDJSON, SSE, negotiate};
use super::answer::{etag, has};
use super::body::{kind_of, require_json, require_lines};
use super::condition::Condition;
use super::guard::{check_host, check_origin};
use super::import::LineSplitter;
use super::live::last_event_id;
use super::problem::Problem;

/// Bytes as the headers of a request, each line one of them.
pub fn http_headers(bytes: &[u8]) {
    let headers = headers_of(bytes.split(|byte| *byte == b'\n'));
    for offered in [&[NDJSON, JSON, CLOUD_BATCH, CLOUD_EVENT][..], &[SSE, NDJSON]] {
        if let Some(chosen) = taken(negotiate(&headers, offered)) {
            assert!(offered.contains(&chosen));
        }
    }
    taken(last_event_id(&headers));
    taken(kind_of(&headers));
    assert!(taken(require_json(&headers)).is_none() || taken(require_lines(&headers)).is_none());
    let target = Uri::from_static("/events");
    taken(check_origin(&target, &headers));
    taken(check_host(&target, &headers, Some(&[])));
    let is_one = headers.get_all("host").iter().count() <= 1;
    assert_eq!(
        check_host(&target, &headers, None).is_ok(),
        is_one,
        "a server that others can reach answers to every name"
    );
    assert!(!has(&headers, &etag(StreamVersion::new(5))) || headers.contains_key("if-none-match"));
    let parameter = headers.get("x-expected-version").and_then(|value| value.to_str().ok());
    for parameter in [None, parameter] {
        taken(Condition::parse(&headers, parameter));
    }
}

/// The value, or a refusal that says what is wrong.
fn taken<T>(read: Result<T, Problem>) -> Option<T> {
    read.map_err(|problem| check_problem(&problem.to_json(), problem.status().as_u16())).ok()
}

/// Checks that an answer which refuses is a problem of its status, and the client's.
pub(super) fn check_problem(json: &[u8], status: u16) {
    assert!((400..500).contains(&status), "{status}: {}", String::from_utf8_lossy(json));
    let problem: Value = serde_json::from_slice(json).expect("a problem is JSON");
    assert_eq!(problem["status"], status);
    for name in ["type", "title", "detail"] {
        assert!(problem[name].as_str().is_some_and(|text| !text.is_empty()), "{name} of {problem}");
    }
}

/// The headers that these lines can be.
pub(super) fn headers_of<'a>(lines: impl Iterator<Item = &'a [u8]>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in lines {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) {
            headers.append(name, value);
        }
    }
    headers
}

pub(crate) fn header_seeds() -> Vec<String> {
    let seeds = [
        "Accept: text/event-stream;q=0.5, application/*;q=1e-3, */*\nLast-Event-ID: 12\nHost: [::1]:2662",
        "If-Match: \"5\", \"18446744073709551615\"\nContent-Type: application/json; charset=utf-8\nHost: localhost",
        "If-None-Match: *\nContent-Type: Application/X-NDJSON\nOrigin: http://127.0.0.1:1\nHost: 127.0.0.1:1",
        "If-None-Match: W/\"5\"\nX-Expected-Version: none\nAccept: application/ndjson",
        "X-Expected-Version: 7\nLast-Event-ID:",
        "CE-Specversion: 1.0\nCE-Id: \"a\\\"b%20\"\nContent-Type: image/png\nAccept: application/cloudevents+json",
    ];
    seeds.map(str::to_owned).to_vec()
}

/// The longest line that this target allows.
const LINE_BYTES_MAX: u64 = 24;

/// Bytes as the lines of an import: wherever its pieces are cut, the lines are the same.
pub fn import_lines(bytes: &[u8]) {
    let Some((step, body)) = bytes.split_first() else { return };
    let whole = lines_of([body]);
    for step in [1, 1 + usize::from(*step)] {
        assert_eq!(lines_of(body.chunks(step)), whole);
    }
    let (lines, ended) = whole;
    let mut wanted = body.split(|byte| *byte == b'\n').zip(1..);
    for (number, line) in &lines {
        let found =
            wanted.find(|(wanted, _)| !wanted.trim_ascii().is_empty()).expect("a line comes from the body");
        assert_eq!((&line[..], *number), found);
    }
    assert_eq!(ended, body.split(|byte| *byte == b'\n').all(|line| line.len() as u64 <= LINE_BYTES_MAX));
}

/// The lines with their numbers, and whether none was too long.
fn lines_of<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<(u64, Vec<u8>)>, bool) {
    let mut lines = Vec::new();
    let mut splitter = LineSplitter::new(LINE_BYTES_MAX);
    let mut keep = |number, line: &[u8]| {
        lines.push((number, line.to_vec()));
        Ok(())
    };
    let split = pieces.into_iter().try_for_each(|piece| splitter.split(piece, &mut keep));
    let ended = split.and_then(|()| splitter.finish(&mut keep));
    (lines, taken(ended).is_some())
}

pub(crate) fn line_seeds() -> Vec<String> {
    let seeds = [
        "\u{2}one\n\n two\r\nthree",
        "\u{7}{\"type\":\"a\"}\n \n{\"data\":1}\n",
        "\u{0}a line that is far too long\n",
    ];
    seeds.map(str::to_owned).to_vec()
}

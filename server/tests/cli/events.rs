//! Events as lines: made up for a test, or read to be compared as text.

use annals::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::command::Place;

/// What an import must keep of an event: each part as the text it has in the line, but the time as the instant it is,
/// because an instant is written without trailing zeros.
#[derive(Debug, PartialEq)]
pub(super) struct Kept<'a> {
    texts: [Option<&'a str>; 6],
    timestamp: Timestamp,
}

#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow)]
    stream: &'a RawValue,
    #[serde(borrow)]
    id: &'a RawValue,
    #[serde(borrow, rename = "type")]
    event_type: &'a RawValue,
    timestamp: String,
    #[serde(borrow)]
    source: Option<&'a RawValue>,
    #[serde(borrow)]
    data: &'a RawValue,
    #[serde(borrow)]
    metadata: Option<&'a RawValue>,
}

impl<'a> Kept<'a> {
    fn of(line: &'a str) -> Kept<'a> {
        let line: Line<'a> = serde_json::from_str(line).expect(line);
        let [stream, id, event_type, data] = [line.stream, line.id, line.event_type, line.data].map(Some);
        let texts = [stream, id, event_type, data, line.source, line.metadata];
        Kept {
            texts: texts.map(|value| value.map(RawValue::get)),
            timestamp: Timestamp::parse(&line.timestamp).expect("a time"),
        }
    }
}

/// Reads lines of events.
pub(super) fn kept(lines: &str) -> Vec<Kept<'_>> {
    lines.lines().map(Kept::of).collect()
}

/// Lines of `count` events in seven streams, with everything an event can have, and white space where JSON lets it be.
pub(super) fn lines(count: u64) -> String {
    (1..=count).map(line).collect()
}

fn line(number: u64) -> String {
    let stream = number % 7;
    let second = number % 60;
    let source = if number.is_multiple_of(3) { r#","source":"desk ü""# } else { "" };
    let metadata =
        if number.is_multiple_of(2) { r#","metadata":{ "correlationId":"case-1", "n": 1.50 }"# } else { "" };
    format!(
        "{{\"stream\":\"thing-{stream}\",\"id\":\"event-{number}\",\"type\":\"thing.changed\",\
         \"timestamp\":\"2024-07-15T14:32:{second:02}.123456789Z\"{source},\
         \"data\":{{ \"number\" : {number},\t\"text\":\"\\u0041 ü \\n\",\"list\":[ ] }}{metadata}}}\n"
    )
}

/// Lines without ids, several of them the same.
pub(super) fn lines_without_ids() -> String {
    (0..100)
        .map(|n| format!("{{\"stream\":\"tick-{}\",\"type\":\"ticked\",\"data\":{}}}\n", n % 3, n % 5))
        .collect()
}

impl Place {
    /// Imports `count` events and gives their lines.
    pub(super) fn import(&self, count: u64) -> String {
        let lines = lines(count);
        let file = self.file("events.ndjson", &lines);
        assert_eq!(
            self.run(&["import", &file]).ok(),
            format!("imported {count} events, 0 were there already\n")
        );
        lines
    }
}

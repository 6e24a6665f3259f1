//! An attempt as a request, and what an answer means for it.

use std::io::{Read, Write as _};
use std::net::TcpStream;

use annals::testkit::{Attempt, Numbered, Outcome, Placed, Write};
use annals::{EventId, ExpectedVersion, Position, StreamName, StreamVersion};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// What came back.
#[derive(Debug)]
pub(super) struct Answered {
    pub(super) status: u16,
    pub(super) body: Value,
}

/// The bytes of a request that tries an attempt. Where there is a header for what it expects, `in_header` uses it.
pub(super) fn request(address: &str, attempt: &Attempt, in_header: bool) -> Vec<u8> {
    let events = |write: &Write| -> Vec<Value> { write.events.iter().map(|event| to_json(*event)).collect() };
    let conditions = conditions(attempt);
    if let ([write], []) = (&attempt.writes[..], &conditions[..]) {
        let header = header_of(write.expected).filter(|_| in_header);
        let parameter = match header {
            Some(_) => String::new(),
            None => format!("?expectedVersion={}", write.expected),
        };
        let path = format!("/events/{}{parameter}", write.stream);
        return request_of(address, &path, &header.unwrap_or_default(), &json!(events(write)));
    }
    let writes = attempt.writes.iter().map(|write| {
        let mut json = believed(&write.stream, write.expected);
        json["events"] = json!(events(write));
        json
    });
    let writes: Vec<Value> = writes.collect();
    request_of(address, "/transactions", "", &json!({ "writes": writes, "conditions": conditions }))
}

fn header_of(expected: ExpectedVersion) -> Option<String> {
    match expected {
        ExpectedVersion::Any => None,
        ExpectedVersion::None => Some("If-None-Match: *\r\n".to_owned()),
        ExpectedVersion::Exists => Some("If-Match: *\r\n".to_owned()),
        ExpectedVersion::Exactly(StreamVersion::START) => None,
        ExpectedVersion::Exactly(version) => Some(format!("If-Match: \"{version}\"\r\n")),
    }
}

fn request_of(address: &str, path: &str, header: &str, body: &Value) -> Vec<u8> {
    let body = body.to_string();
    format!(
        "POST {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Type: application/json\r\n{header}\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

fn conditions(attempt: &Attempt) -> Vec<Value> {
    let streams = attempt.expecting.iter().map(|(stream, expected)| believed(stream, *expected));
    let refused_by = attempt.refused_by.iter().map(|condition| {
        let query = json!({ "items": [{ "streams": condition.to_item().streams }] });
        json!({ "failIfEventsMatch": query, "after": condition.after.get() })
    });
    streams.chain(refused_by).collect()
}

fn believed(stream: &StreamName, expected: ExpectedVersion) -> Value {
    let expected = match expected {
        ExpectedVersion::Exactly(version) => json!(version.get()),
        other => json!(other.to_string()),
    };
    json!({ "stream": stream.as_str(), "expectedVersion": expected })
}

fn to_json(event: Numbered) -> Value {
    json!({
        "id": event.id(),
        "type": Numbered::TYPE,
        "dataBase64": STANDARD.encode(event.content()),
        "dataContentType": Numbered::CONTENT_TYPE,
    })
}

/// Sends bytes; none when nobody takes them. Who drops the connection never learns what became of it.
pub(super) fn send(address: &str, bytes: &[u8]) -> Option<TcpStream> {
    let mut connection = TcpStream::connect(address).ok()?;
    connection.write_all(bytes).ok()?;
    Some(connection)
}

/// Reads an answer; none when it does not come, or breaks off.
pub(super) fn answer(mut connection: TcpStream) -> Option<Answered> {
    let mut answer = String::new();
    connection.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some(Answered { status, body: serde_json::from_str(body).ok()? })
}

impl Answered {
    /// The outcome that it means, of an attempt with at most one condition on all events.
    pub(super) fn outcome(&self) -> Outcome {
        let body = &self.body;
        match self.status {
            201 => acknowledgement(body),
            409 | 412 if body["actualVersion"].is_number() => {
                Outcome::Conflict { stream: name(&body["stream"]), actual: version(&body["actualVersion"]) }
            }
            409 if body["eventType"].is_string() => {
                Outcome::Matched { condition: 0, position: position(body) }
            }
            status => panic!("{status}: {body}"),
        }
    }
}

/// What a receipt says, of one stream or of several.
fn acknowledgement(body: &Value) -> Outcome {
    let streams = body["streams"].as_array().cloned().unwrap_or_else(|| vec![body.clone()]);
    let mut told = Vec::new();
    for of_stream in &streams {
        let events = of_stream["events"].as_array().expect("a receipt names its events");
        for event in events {
            let id = EventId::parse(text(&event["eventId"])).expect("the id that was given");
            told.push((position(event), name(&of_stream["stream"]), version(&event["streamVersion"]), id));
        }
        let last = events.last().map(|event| &event["streamVersion"]);
        assert_eq!(last, Some(&of_stream["streamVersion"]), "{body}");
    }
    told.sort_by_key(|(position, ..)| *position);
    Outcome::acknowledged(told)
}

/// An event as the server writes it, which must be what its number makes it.
pub(super) fn placed(event: &Value) -> (Position, Placed) {
    let data = STANDARD.decode(text(&event["dataBase64"])).expect("is base64");
    let made = Numbered::of(text(&event["id"]), text(&event["type"]), &data);
    let made = made.unwrap_or_else(|| panic!("nobody wrote {event}"));
    let stream = text(&event["stream"]).to_owned();
    (position(event), Placed { stream, version: version(&event["streamVersion"]), event: made })
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text"))
}

fn name(value: &Value) -> StreamName {
    StreamName::parse(text(value)).expect("a legal name")
}

fn version(value: &Value) -> StreamVersion {
    StreamVersion::new(value.as_u64().expect("a version"))
}

fn position(event: &Value) -> Position {
    Position::new(event["position"].as_u64().expect("a position"))
}

//! `annals append`: one event.

use std::io::Read as _;

use annals::{
    Append, Data, EventId, EventStore, EventType, ExpectedVersion, IdempotencyKey, Limits, Metadata,
    NewEvent, Receipt, Source, StreamName, Timestamp,
};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::client::{Server, path_segment};
use super::failure::Failure;
use super::output::Output;
use super::settings::{Directory, Place, Settings};
use crate::wire::Params;

/// What the event says when nothing is given: an object without fields.
const NO_DATA: &str = "{}";

/// Appends one event and prints where it stands
#[derive(Debug, clap::Args)]
pub(crate) struct AppendArgs {
    /// The stream; its first event makes it
    stream: StreamName,
    /// What kind of fact it is, such as order.created
    #[arg(value_name = "TYPE")]
    event_type: EventType,
    /// What it says, as JSON; `-` reads it from standard input [default: {}]
    #[arg(allow_negative_numbers = true)]
    data: Option<String>,
    /// What the stream must be for the append to happen: none, exists, any, or its exact version
    #[arg(long, value_name = "N|none|exists|any", default_value_t = ExpectedVersion::Any)]
    expected: ExpectedVersion,
    /// Its id, unique in the stream [default: a new UUID]
    #[arg(long)]
    id: Option<EventId>,
    /// A JSON object beside the data
    #[arg(long, value_name = "JSON", value_parser = parse_metadata)]
    metadata: Option<Metadata>,
    /// Who says so
    #[arg(long)]
    source: Option<Source>,
    /// When it occurred, in RFC 3339 [default: now]
    #[arg(long, value_name = "TIME", value_parser = Timestamp::parse)]
    timestamp: Option<Timestamp>,
    /// Names the append: made again under the same key within a day, it is answered and not repeated
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<IdempotencyKey>,
    /// Print the receipt as JSON
    #[arg(long)]
    json: bool,
}

/// The receipt, in the form of the server.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Appended {
    stream: String,
    stream_version: u64,
    position: u64,
    events: Vec<AppendedEvent>,
    durability: String,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct AppendedEvent {
    event_id: String,
    stream_version: u64,
    position: u64,
}

/// The event, in the form that the server takes.
#[derive(Serialize)]
struct Body<'a> {
    #[serde(rename = "type")]
    event_type: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timestamp: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<&'a str>,
    data: &'a RawValue,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<&'a RawValue>,
}

/// Runs the command.
pub(crate) fn run(args: &AppendArgs, settings: &Settings) -> Result<(), Failure> {
    let data = read_data(args.data.as_deref().unwrap_or(NO_DATA))?;
    let appended = match settings.place() {
        Place::Directory(directory) => to_directory(args, &data, directory)?,
        Place::Server(server) => to_server(args, &data, server)?,
    };
    let mut out = Output::stdout();
    if args.json {
        out.json(&appended)?;
    } else {
        let Appended { stream, stream_version, position, .. } = &appended;
        out.line(format_args!("{stream} is at version {stream_version}, position {position}"))?;
    }
    out.flush()
}

fn to_directory(args: &AppendArgs, data: &RawValue, directory: Directory<'_>) -> Result<Appended, Failure> {
    let store = EventStore::open(directory.to_write().background(false).prewrite(false))?;
    let mut append = Append::to(args.stream.clone(), args.expected, [args.event(data)]);
    if let Some(key) = &args.idempotency_key {
        append = append.idempotency_key(key.clone());
    }
    let receipt = store.append(append)?;
    store.close()?;
    Ok(appended(&args.stream, &receipt))
}

fn to_server(args: &AppendArgs, data: &RawValue, server: &Server) -> Result<Appended, Failure> {
    let body =
        args.body(data).map_err(|error| Failure::Usage(format!("the event cannot be sent: {error}")))?;
    let path = format!("/events/{}", path_segment(args.stream.as_str()));
    let params = Params::default().with("expectedVersion", args.expected.to_string());
    server.append(&path, &params, args.idempotency_key.as_ref(), &body)
}

impl AppendArgs {
    fn event(&self, data: &RawValue) -> NewEvent {
        let mut event = NewEvent::new(self.event_type.clone(), Data::from_raw(data));
        if let Some(id) = &self.id {
            event = event.id(id.clone());
        }
        if let Some(timestamp) = self.timestamp {
            event = event.timestamp(timestamp);
        }
        if let Some(source) = &self.source {
            event = event.source(source.clone());
        }
        if let Some(metadata) = &self.metadata {
            event = event.metadata(metadata.clone());
        }
        event
    }

    fn body(&self, data: &RawValue) -> serde_json::Result<Vec<u8>> {
        serde_json::to_vec(&Body {
            event_type: self.event_type.as_str(),
            id: self.id.as_ref().map(EventId::to_string),
            timestamp: self.timestamp.as_ref().map(Timestamp::to_string),
            source: self.source.as_ref().map(Source::as_str),
            data,
            metadata: self.metadata.as_ref().map(|json| serde_json::from_str(json.as_json())).transpose()?,
        })
    }
}

fn appended(stream: &StreamName, receipt: &Receipt) -> Appended {
    let of_stream = receipt.streams.iter().find(|of_stream| of_stream.stream == *stream);
    let event = |event: &annals::AppendedEvent| AppendedEvent {
        event_id: event.id.to_string(),
        stream_version: event.stream_version.get(),
        position: event.position.get(),
    };
    Appended {
        stream: stream.to_string(),
        stream_version: of_stream.map_or(0, |of_stream| of_stream.version.get()),
        position: receipt.position.get(),
        events: of_stream.map_or_else(Vec::new, |of_stream| of_stream.events.iter().map(event).collect()),
        durability: receipt.durability.as_str().to_owned(),
    }
}

/// Reads the data, from standard input if so told, and checks that it is JSON. White space around it is no part
/// of it: `echo` adds a line end that nobody means.
fn read_data(argument: &str) -> Result<Box<RawValue>, Failure> {
    let text = if argument == "-" { read_input()? } else { argument.to_owned() };
    RawValue::from_string(text.trim().to_owned())
        .map_err(|error| Failure::Usage(format!("the data is not JSON: {error}; quote it for the shell")))
}

fn read_input() -> Result<String, Failure> {
    let bytes_max = Limits::default().event_bytes_max;
    let mut text = String::new();
    match std::io::stdin().lock().take(bytes_max + 1).read_to_string(&mut text) {
        Err(error) => Err(Failure::Usage(format!("cannot read the data from standard input: {error}"))),
        Ok(len) if len as u64 > bytes_max => Err(Failure::Request(format!(
            "the data has more than {bytes_max} bytes, more than an event may have"
        ))),
        Ok(_) => Ok(text),
    }
}

fn parse_metadata(json: &str) -> Result<Metadata, annals::MetadataError> {
    Metadata::parse(json.trim().to_owned())
}

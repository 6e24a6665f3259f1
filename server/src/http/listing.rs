//! Events as an answer: lines without an end in sight, a page with a way to the next, CloudEvents as a list or one alone.

use std::sync::Arc;

use annals::{Direction, Error, Position, RecordedEvent, Snapshot, StreamVersion};
use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header};
use axum::response::Response;

use super::accept::{CLOUD_BATCH, CLOUD_EVENT, JSON, NDJSON, negotiate};
use super::answer::with_type;
use super::app::App;
use super::chunks::{self, Steps};
use super::places::Places;
use super::problem::{self, Problem};
use crate::wire::{
    EventWriter, Form, Params, cloud_attributes, cloud_body, encode_value, parse_direction,
    write_cloud_event, write_snapshot_fields,
};

/// The events of a page when the request does not say.
pub(crate) const PAGE_EVENTS_DEFAULT: u64 = 100;

/// The most bytes that attributes take as headers: clients refuse answers with larger ones.
const ATTRIBUTE_BYTES_MAX: usize = 16 << 10;

/// How events are answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Listing {
    /// One event a line.
    Lines,
    /// A JSON object with some events and the way to more.
    Page,
    /// CloudEvents as a JSON array.
    Batch,
    /// One CloudEvent as a JSON object.
    One,
    /// One CloudEvent whose attributes are headers.
    OneInHeaders,
}

impl Listing {
    /// What a request asks for by `Accept`, or by the parameter `cloudEvents`.
    pub(super) fn asked(headers: &HeaderMap, params: &Params) -> Result<Listing, Problem> {
        match params.one("cloudEvents")? {
            Some("binary") => return Ok(Listing::OneInHeaders),
            Some(_) => {
                let what = "`cloudEvents` is `binary`; the other modes are chosen by `Accept`";
                return Err(Problem::invalid(what).with("field", "cloudEvents"));
            }
            None => {}
        }
        Ok(match negotiate(headers, &[NDJSON, JSON, CLOUD_BATCH, CLOUD_EVENT])? {
            JSON => Listing::Page,
            CLOUD_BATCH => Listing::Batch,
            CLOUD_EVENT => Listing::One,
            _ => Listing::Lines,
        })
    }

    /// What tells its answers from others with the same events.
    pub(super) fn letter(self) -> char {
        match self {
            Listing::Lines => 'l',
            Listing::Page => 'p',
            Listing::Batch => 'b',
            Listing::One => 'o',
            Listing::OneInHeaders => 'h',
        }
    }

    /// How many events have to be read when so many are asked for: one more than is shown tells whether there are more.
    pub(super) fn reach(self, asked: Option<u64>) -> u64 {
        match self {
            Listing::Lines | Listing::Batch => asked.unwrap_or(u64::MAX),
            Listing::Page => asked.unwrap_or(PAGE_EVENTS_DEFAULT).saturating_add(1),
            Listing::One | Listing::OneInHeaders => asked.unwrap_or(2).min(2),
        }
    }

    /// The answer with these events.
    pub(super) fn answer(self, app: &App, events: Opened, next: Next) -> Result<Response, Problem> {
        let (media_type, body) = match self {
            Listing::Lines => (NDJSON, lines(events, Form::Line, None)),
            Listing::Page => {
                let limit = next.params.number("limit")?.unwrap_or(PAGE_EVENTS_DEFAULT);
                let places = events.places.clone();
                let writer = EventWriter::default();
                let page = Page { events, writer, limit, written: 0, last: None, next: Some(next) };
                (JSON, chunks::begin(page, places))
            }
            Listing::Batch => (CLOUD_BATCH, batch(app, events)),
            Listing::One => {
                let mut out = Vec::new();
                write_cloud_event(&mut out, &only_one(events)?, app.no_source());
                (CLOUD_EVENT, Body::from(out))
            }
            Listing::OneInHeaders => return in_headers(&only_one(events)?, app.no_source()),
        };
        Ok(with_type(StatusCode::OK, media_type, body))
    }
}

/// Events as a batch of CloudEvents.
pub(super) fn batch(app: &App, events: Opened) -> Body {
    let places = events.places.clone();
    chunks::begin(Batch { events, no_source: app.no_source().to_owned(), begun: false }, places)
}

/// Lines that begin with the type and the data, behind a snapshot if there is one.
pub(super) fn replay_lines(events: Opened, snapshot: Option<Snapshot>) -> Body {
    lines(events, Form::Replay, snapshot)
}

fn lines(events: Opened, form: Form, snapshot: Option<Snapshot>) -> Body {
    let places = events.places.clone();
    chunks::begin(Lines { events, writer: EventWriter::default(), form, snapshot }, places)
}

/// The event that is asked for alone.
fn only_one(mut events: Opened) -> Result<RecordedEvent, Problem> {
    let first = events.next().transpose()?;
    let event = first.ok_or_else(|| Problem::new(problem::EVENT_NOT_FOUND, "no event is asked for"))?;
    match events.next().transpose()? {
        None => Ok(event),
        Some(_) => Err(Problem::new(
            problem::NOT_ACCEPTABLE,
            format!("there is more than one event; accept {CLOUD_BATCH}, or add limit=1"),
        )),
    }
}

fn in_headers(event: &RecordedEvent, no_source: &str) -> Result<Response, Problem> {
    let attributes = cloud_attributes(event, no_source);
    let encoded: Vec<(String, String)> =
        attributes.into_iter().map(|(name, value)| (format!("ce-{name}"), encode_value(&value))).collect();
    if encoded.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>() > ATTRIBUTE_BYTES_MAX {
        let what = format!(
            "the attributes of the event take more than {ATTRIBUTE_BYTES_MAX} bytes as headers; accept {CLOUD_EVENT}"
        );
        return Err(Problem::new(problem::NOT_ACCEPTABLE, what));
    }
    let (content_type, data) = cloud_body(event);
    let mut response = with_type(StatusCode::OK, JSON, Body::from(data.to_vec()));
    let no_header = |_| Problem::new(problem::INTERNAL, "an attribute of the event cannot be a header");
    let content_type = HeaderValue::from_str(content_type).map_err(|_| {
        Problem::new(
            problem::NOT_ACCEPTABLE,
            format!("the content type of the event cannot be a header; accept {CLOUD_EVENT}"),
        )
    })?;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, content_type);
    // The type is its writer's choice: as a page it would be one of this server, and could ask for everything.
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; sandbox"));
    for (name, value) in encoded {
        let name = HeaderName::try_from(name)
            .map_err(|_| Problem::new(problem::INTERNAL, "an attribute's name cannot be a header's"))?;
        response.headers_mut().insert(name, HeaderValue::try_from(value).map_err(no_header)?);
    }
    Ok(response)
}

/// Events whose first is known to be readable: a failure before it is an answer of its own.
pub(super) struct Opened {
    first: Option<RecordedEvent>,
    rest: Box<dyn Iterator<Item = Result<RecordedEvent, Error>> + Send>,
    /// Where a chunk of them may be made at once.
    places: Option<Arc<Places>>,
}

impl Opened {
    pub(super) fn new(
        mut events: impl Iterator<Item = Result<RecordedEvent, Error>> + Send + 'static,
    ) -> Result<Opened, Error> {
        let first = events.next().transpose()?;
        Ok(Opened { first, rest: Box::new(events), places: None })
    }

    /// The same, when none are left out, so that the next ones are never far.
    pub(super) fn dense(self, app: &App) -> Opened {
        Opened { places: Some(Arc::clone(&app.places)), ..self }
    }

    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.first.is_none()
    }
}

impl Iterator for Opened {
    type Item = Result<RecordedEvent, Error>;

    fn next(&mut self) -> Option<Result<RecordedEvent, Error>> {
        self.first.take().map(Ok).or_else(|| self.rest.next())
    }
}

/// One event a line.
struct Lines {
    events: Opened,
    writer: EventWriter,
    form: Form,
    snapshot: Option<Snapshot>,
}

impl Steps for Lines {
    fn write_next(&mut self, out: &mut Vec<u8>) -> bool {
        if let Some(snapshot) = self.snapshot.take() {
            out.extend_from_slice(b"{\"snapshot\":{");
            write_snapshot_fields(out, snapshot.version, snapshot.saved_at, &snapshot.state);
            out.extend_from_slice(b"}}\n");
            return true;
        }
        match self.events.next() {
            Some(Ok(event)) => {
                self.writer.write(out, &event, self.form);
                out.push(b'\n');
                true
            }
            Some(Err(error)) => {
                out.extend_from_slice(&Problem::from(error).to_line());
                false
            }
            None => false,
        }
    }
}

/// A JSON array of CloudEvents. One that fails midway is left open: no parser takes it for whole.
struct Batch {
    events: Opened,
    no_source: String,
    begun: bool,
}

impl Steps for Batch {
    fn write_next(&mut self, out: &mut Vec<u8>) -> bool {
        match self.events.next() {
            Some(Ok(event)) => {
                out.push(if self.begun { b',' } else { b'[' });
                self.begun = true;
                write_cloud_event(out, &event, &self.no_source);
                true
            }
            Some(Err(_)) => false,
            None => {
                out.extend_from_slice(if self.begun { b"]" } else { b"[]" });
                false
            }
        }
    }
}

/// One JSON object with some events and the way to more.
struct Page {
    events: Opened,
    writer: EventWriter,
    limit: u64,
    written: u64,
    last: Option<(StreamVersion, Position)>,
    next: Option<Next>,
}

impl Steps for Page {
    fn write_next(&mut self, out: &mut Vec<u8>) -> bool {
        if self.written == 0 {
            out.extend_from_slice(b"{\"events\":[");
        }
        match self.events.next() {
            Some(Ok(event)) if self.written < self.limit => {
                if self.written > 0 {
                    out.push(b',');
                }
                self.writer.write(out, &event, Form::Exact);
                self.last = Some((event.stream_version(), event.position()));
                self.written += 1;
                return true;
            }
            Some(Ok(_)) => {
                let url = self.last.and_then(|last| Some(self.next.take()?.url(last)));
                out.extend_from_slice(b"],\"next\":");
                out.extend_from_slice(serde_json::json!(url).to_string().as_bytes());
            }
            Some(Err(error)) => {
                out.extend_from_slice(b"],\"error\":");
                out.extend_from_slice(&Problem::from(error).to_json());
            }
            None => out.extend_from_slice(b"],\"next\":null"),
        }
        out.push(b'}');
        false
    }
}

/// What counts where a page ends: positions over all events, versions within a stream.
#[derive(Debug, Clone, Copy)]
pub(super) enum Cursor {
    Position,
    Version,
}

/// How to ask for the next page: as for this one, but from where it ends.
pub(super) struct Next {
    path: String,
    params: Params,
    cursor: Cursor,
    direction: Direction,
}

impl Next {
    pub(super) fn of(uri: &Uri, params: Params, cursor: Cursor) -> Result<Next, Problem> {
        let direction = parse_direction(&params)?;
        Ok(Next { path: uri.path().to_owned(), params, cursor, direction })
    }

    fn url(self, (version, position): (StreamVersion, Position)) -> String {
        let params = match (self.cursor, self.direction) {
            (Cursor::Version, Direction::Forward) => self.params.replaced("from", version.next().get()),
            (Cursor::Version, Direction::Backward) => self.params.replaced("to", version.previous().get()),
            (Cursor::Position, Direction::Forward) => self.params.replaced("after", position.get()),
            (Cursor::Position, Direction::Backward) => self.params.replaced("before", position.get()),
        };
        format!("{}?{}", self.path, params.encode())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{EVENT_PARAMS, QUERY_PARAMS, STREAM_PARAMS};

    fn next(cursor: Cursor, direction: Direction, query: &str) -> String {
        let params = Params::parse(query, &[QUERY_PARAMS, STREAM_PARAMS, EVENT_PARAMS]).expect("known");
        let next = Next { path: "/events/a%2Fb".to_owned(), params, cursor, direction };
        next.url((StreamVersion::new(7), Position::new(40)))
    }

    #[test]
    fn the_next_page_begins_where_this_one_ends() {
        assert_eq!(
            next(Cursor::Version, Direction::Forward, "from=3&limit=5"),
            "/events/a%2Fb?limit=5&from=8"
        );
        assert_eq!(next(Cursor::Version, Direction::Backward, ""), "/events/a%2Fb?to=6");
        assert_eq!(next(Cursor::Position, Direction::Forward, "after=head"), "/events/a%2Fb?after=40");
        assert_eq!(next(Cursor::Position, Direction::Backward, "before=90"), "/events/a%2Fb?before=40");
    }
}

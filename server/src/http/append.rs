//! Appending: to one stream, by publishing, and to several streams at once.
//!
//! What a route makes of its body is here; what all of them do is in `submission`.

use std::sync::Arc;

use annals::{Append, EventType, NewEvent, StreamName, Traceparent};
use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::Response;
use axum::routing::{any, post};

use super::access::Access;
use super::answer::{self, etag};
use super::app::{App, StreamPath};
use super::body::{HeldBody, kind_of, require_json};
use super::paths;
use super::places::Work;
use super::problem::{self, Problem};
use super::receipt::{AppendedAnswer, PublishedAnswer, StreamAnswer, TransactionAnswer};
use super::submission::Submission;
use crate::wire::{self, BodyKind, Sent, Transaction, WireError, WireEvent, parse_events, parse_transaction};

pub(crate) fn router() -> Router<Arc<App>> {
    Router::new()
        .route(
            paths::EVENTS_EMPTY,
            any(async || {
                Problem::invalid("the stream's name in the path is empty; name one, as in /events/order-1")
            }),
        )
        .route(paths::EVENTS_STREAM, post(append))
        .route(paths::EVENTS, post(publish))
        .route(paths::TRANSACTIONS, post(transact))
}

async fn append(stream: StreamPath, sent: Submission) -> Result<Response, Problem> {
    let stream = stream.writable()?;
    let condition = sent.condition()?;
    let kind = kind_of(sent.headers())?;
    let (asked, has_key, trace) = (condition.clone(), sent.has_key(), sent.traceparent());
    let committed = sent.commit(Work::Short, move |app, body| {
        let sent = parse(app, body, &kind)?;
        let events = traced(of_stream(sent.events, &stream)?, trace.as_ref());
        let expected = asked.resolve(&app.store, &stream, has_key)?;
        Ok((Append::to(stream, expected, events), ()))
    });
    let (receipt, ()) = committed.await.map_err(|problem| condition.refusal(problem))?;

    let Some(stream) = receipt.streams.first() else { return Err(no_stream()) };
    let answer = AppendedAnswer::of(stream, receipt.durability.as_str());
    let mut response = answer::receipt(StatusCode::CREATED, &receipt, &answer);
    response.headers_mut().insert(header::ETAG, etag(stream.version));
    Ok(response)
}

async fn publish(sent: Submission) -> Result<Response, Problem> {
    sent.without_condition("publishing sets no condition; append to /events/{stream} to set one")?;
    let (kind, access, trace) = (kind_of(sent.headers())?, sent.access().clone(), sent.traceparent());
    let committed = sent.commit(Work::Short, move |app, body| {
        let sent = parse(app, body, &kind)?;
        let one = sent.events.len() == 1 && !sent.is_list;
        Ok((published(sent.events, &access, trace.as_ref())?, one))
    });
    let (receipt, one) = committed.await?;
    match PublishedAnswer::all_of(&receipt).as_slice() {
        [answer] if one => Ok(answer::receipt(StatusCode::ACCEPTED, &receipt, answer)),
        answers => Ok(answer::receipt(StatusCode::ACCEPTED, &receipt, &answers)),
    }
}

async fn transact(sent: Submission) -> Result<Response, Problem> {
    sent.without_condition(
        "a transaction has an `expectedVersion` in each write, and `conditions`, instead",
    )?;
    require_json(sent.headers())?;
    let (access, trace) = (sent.access().clone(), sent.traceparent());
    // A condition may look at any number of events.
    let committed = sent.commit(Work::Long, move |app, body| {
        let transaction = parse_transaction(body.bytes(), app.store.limits().append_events_max)?;
        Ok((transaction_append(transaction, &access, trace.as_ref())?, ()))
    });
    let (receipt, ()) = committed.await?;
    let answer = TransactionAnswer {
        streams: receipt.streams.iter().map(StreamAnswer::from).collect(),
        position: receipt.position,
        durability: receipt.durability.as_str(),
    };
    Ok(answer::receipt(StatusCode::CREATED, &receipt, &answer))
}

fn transaction_append(
    transaction: Transaction,
    access: &Access,
    trace: Option<&Traceparent>,
) -> Result<Append, Problem> {
    let mut append = Append::default();
    for write in transaction.writes {
        access.check_writable(&write.stream)?;
        let events = traced(of_stream(write.events, &write.stream)?, trace);
        append = append.and_to(write.stream, write.expected, events);
    }
    for condition in transaction.conditions {
        append = match condition {
            wire::Condition::Version { stream, expected } => {
                access.check_stream(&stream)?;
                append.expecting(stream, expected)
            }
            // A condition tells its writer of the event that breaks it: of others' events it knows nothing.
            wire::Condition::NoEvents { query, after } => {
                append.fail_if_events_match(access.narrowed(query), after)
            }
        };
    }
    Ok(append)
}

fn parse(app: &App, body: &HeldBody, kind: &BodyKind) -> Result<Sent, WireError> {
    parse_events(body.bytes(), kind, app.store.limits().append_events_max, app.no_source())
}

/// The events, each of which names `stream` or none.
fn of_stream(events: Vec<WireEvent>, stream: &StreamName) -> Result<Vec<NewEvent>, Problem> {
    let names_another = |event: &WireEvent| event.stream.as_ref().is_some_and(|named| named != stream);
    if let Some(at) = events.iter().position(names_another) {
        let error =
            WireError::field("stream", format!("is another stream than {stream}, which the request names"));
        return Err(of_element(error, at, events.len()).into());
    }
    Ok(events.into_iter().map(|event| event.event).collect())
}

/// The events as part of the trace that their request is part of, but for those that name one themselves.
fn traced(mut events: Vec<NewEvent>, trace: Option<&Traceparent>) -> Vec<NewEvent> {
    if let Some(trace) = trace {
        events = events.into_iter().map(|event| event.or_traceparent(trace)).collect();
    }
    events
}

/// An error of one of `count` events, which is named by its place when there are several.
fn of_element(error: WireError, at: usize, count: usize) -> WireError {
    if count == 1 { error } else { error.within(&format!("[{at}]")) }
}

/// Published events as one append, in their order.
fn published(
    events: Vec<WireEvent>,
    access: &Access,
    trace: Option<&Traceparent>,
) -> Result<Append, Problem> {
    let count = events.len();
    let with_stream = |(WireEvent { stream, event_type, event }, at)| {
        let stream = match stream {
            Some(stream) => stream,
            None => stream_of(&event_type).map_err(|error| of_element(error, at, count))?,
        };
        access.check_writable(&stream)?;
        Ok((
            stream,
            match trace {
                Some(trace) => event.or_traceparent(trace),
                None => event,
            },
        ))
    };
    events.into_iter().zip(0..).map(with_stream).collect()
}

/// The stream of an event that names none: its type up to the first dot.
fn stream_of(event_type: &EventType) -> Result<StreamName, WireError> {
    let event_type = event_type.as_str();
    let name = event_type.split_once('.').map_or(event_type, |(name, _)| name);
    StreamName::parse(name).map_err(|error| {
        WireError::field(
            "stream",
            format!("is missing, and the type does not begin with a name for it: {error}"),
        )
    })
}

fn no_stream() -> Problem {
    Problem::new(problem::INTERNAL, "the receipt lacks the stream that was appended to")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Purpose, parse_event};

    fn event(json: &str) -> WireEvent {
        parse_event(json.as_bytes(), Purpose::Append).expect("legal")
    }

    #[test]
    fn published_events_go_to_the_stream_they_name_or_their_type_begins_with() {
        let events = vec![
            event(r#"{"type":"order.created","data":1}"#),
            event(r#"{"type":"paid","data":1,"stream":"order"}"#),
            event(r#"{"type":"login","data":1}"#),
        ];
        assert_eq!(published(events, &Access::everything(), None).expect("legal").len(), 3);
    }

    #[test]
    fn an_event_without_a_stream_must_have_a_type_that_begins_with_one() {
        for json in [
            r#"{"type":".created","data":1}"#,
            r#"{"type":"$settings.changed","data":1}"#,
            r#"{"type":"stream.created","data":1}"#,
        ] {
            assert!(published(vec![event(json)], &Access::everything(), None).is_err(), "{json}");
        }
    }

    #[test]
    fn an_event_that_names_another_stream_than_the_request_is_refused() {
        let stream = StreamName::parse("a").expect("legal");
        let ours = event(r#"{"type":"t","data":1,"stream":"a"}"#);
        let theirs = event(r#"{"type":"t","data":1,"stream":"b"}"#);
        assert!(of_stream(vec![ours.clone()], &stream).is_ok());
        assert!(of_stream(vec![ours, theirs], &stream).is_err());
    }
}

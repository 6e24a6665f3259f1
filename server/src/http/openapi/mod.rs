//! The server described for programs: an OpenAPI 3.1 document, made of the table of operations, and a page made of that.
//!
//! Paths, parameters, problems and media types are the ones that the routes use. That the table has every route with every
//! method is checked by a test, as is that the document in `docs/` is this one.

mod operations;
mod page;
mod parameters;

use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::body::Body;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use serde_json::{Map, Value, json};

use super::accept::{CLOUD_BATCH, CLOUD_EVENT, JSON, NDJSON, SSE};
use super::answer::with_type;
use super::app::App;
use super::exposition::PROMETHEUS;
use super::paths;
use super::problem;
use operations::{Gives, OPERATIONS, Operation, Takes};
use parameters::{IN_PATHS, OF_ROUTES, PARAMETERS, Parameter};

/// The shapes of bodies.
const SCHEMAS: &str = include_str!("schemas.json");

const HTML: &str = "text/html; charset=utf-8";

pub(crate) fn router() -> Router<Arc<App>> {
    Router::new().route(paths::OPENAPI, get(document_answer)).route(paths::DOCS, get(page_answer))
}

async fn document_answer() -> Response {
    static TEXT: OnceLock<String> = OnceLock::new();
    let text = TEXT.get_or_init(|| format!("{:#}\n", document()));
    with_type(StatusCode::OK, JSON, Body::from(text.as_str()))
}

async fn page_answer() -> Response {
    static TEXT: OnceLock<String> = OnceLock::new();
    let text = TEXT.get_or_init(|| page::page(&document(), &common_answers()));
    with_type(StatusCode::OK, HTML, Body::from(text.as_str()))
}

/// The document.
fn document() -> Value {
    let mut schemas: Map<String, Value> = serde_json::from_str(SCHEMAS).expect("the schemas are JSON");
    complete(&mut schemas["Problem"]);
    let mut paths: Map<String, Value> = Map::new();
    for operation in OPERATIONS {
        let path = paths.entry(operation.path).or_insert_with(|| json!({}));
        path[operation.method] = described(operation);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "annals",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "A persistent event store. Answers about events carry the header `Annals-History`.",
            "license": {"name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{}, {"token": []}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "responses": {
                "Problem": {
                    "description": "Why the request was refused",
                    "content": {JSON_PROBLEM: {"schema": reference("Problem")}},
                },
            },
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    })
}

/// The fields of the file, and the types that there are.
fn complete(problem: &mut Value) {
    let types: Vec<String> = problem::KINDS.iter().map(|kind| kind.urn()).collect();
    problem["properties"]["type"] = json!({"type": "string", "enum": types});
}

/// What is said of a status that means one thing, or another one as well.
fn or(one: &str, other: &str) -> String {
    if one.is_empty() { other.to_owned() } else { format!("{one}, or: {other}") }
}

/// The statuses that any request may be answered with, and what they mean.
fn common_answers() -> Vec<(String, String)> {
    let mut answers: Vec<(String, String)> = Vec::new();
    for kind in problem::ANYWHERE {
        let status = kind.status_code().to_string();
        match answers.iter_mut().find(|(known, _)| *known == status) {
            Some((_, says)) => *says = or(says, kind.title()),
            None => answers.push((status, kind.title().to_owned())),
        }
    }
    answers
}

fn described(operation: &Operation) -> Value {
    let mut answers = Map::new();
    for (status, gives) in operation.gives {
        answers.insert(
            status.to_string(),
            json!({"description": gives.description(), "content": gives.content()}),
        );
    }
    for kind in problem::ANYWHERE.iter().chain(operation.refuses) {
        let answer = answers
            .entry(kind.status_code().to_string())
            .or_insert_with(|| json!({"description": "", "$ref": "#/components/responses/Problem"}));
        answer["description"] = or(answer["description"].as_str().unwrap_or_default(), kind.title()).into();
    }
    let mut described = json!({
        "summary": operation.does,
        "operationId": operation.name,
        "tags": [tag_of(operation.path)],
        "parameters": parameters(operation),
        "responses": answers,
    });
    if let Some(content) = operation.takes.content() {
        described["requestBody"] = json!({"required": true, "content": content});
    }
    described
}

/// What an operation is about; generated clients sort by it.
fn tag_of(path: &str) -> &'static str {
    let of = |beginnings: &[&str]| beginnings.iter().any(|beginning| path.starts_with(beginning));
    match () {
        () if of(&[paths::EVENTS, paths::TRANSACTIONS, paths::IMPORT]) => "events",
        () if of(&[paths::STREAMS]) => "streams",
        () if of(&[paths::ADMIN]) => "admin",
        () => "server",
    }
}

const JSON_PROBLEM: &str = "application/problem+json";

fn reference(schema: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{schema}")})
}

fn parameters(operation: &Operation) -> Vec<Value> {
    let in_path = operation.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let mut parameters: Vec<Value> = in_path.map(|name| parameter("path", named(IN_PATHS, name))).collect();
    let asked = operation.asks.iter().copied().flatten().map(|name| {
        let own = OF_ROUTES.iter().find(|(path, (known, ..))| *path == operation.path && known == name);
        own.map_or_else(|| named(PARAMETERS, name), |(_, parameter)| parameter)
    });
    parameters.extend(asked.map(|asked| parameter("query", asked)));
    parameters.extend(operation.heeds.iter().map(|header| parameter("header", header)));
    parameters
}

fn named(parameters: &'static [Parameter], name: &str) -> &'static Parameter {
    let found = parameters.iter().find(|(known, ..)| *known == name);
    found.expect("every name has a parameter, which a test checks")
}

fn parameter(place: &str, (name, values, says): &Parameter) -> Value {
    let mut parameter = json!({"name": name, "in": place, "description": says, "schema": values.schema()});
    // A state without its version means nothing, and no default could be right.
    if place == "path" || *name == "version" {
        parameter["required"] = true.into();
    }
    parameter
}

impl Takes {
    fn content(self) -> Option<Value> {
        let native = json!({"schema": reference("NewEvents")});
        let lines = json!({"schema": {"type": "string", "description": "One NewEvent a line."}});
        let (one, batch) =
            (json!({"schema": reference("CloudEvent")}), json!({"schema": reference("CloudEvents")}));
        Some(match self {
            Takes::Nothing => return None,
            Takes::Events => json!({JSON: native, NDJSON: lines, CLOUD_EVENT: one, CLOUD_BATCH: batch}),
            Takes::Lines => json!({NDJSON: lines, CLOUD_EVENT: one, CLOUD_BATCH: batch}),
            Takes::Transaction => json!({JSON: {"schema": reference("Transaction")}}),
            Takes::State => json!({JSON: {"schema": {"description": "Any JSON value."}}}),
            Takes::Schema(name) => json!({JSON: {"schema": reference(name)}}),
        })
    }
}

impl Gives {
    fn description(self) -> &'static str {
        match self {
            Gives::Nothing => "Done",
            Gives::Unchanged => "What the client has still holds",
            Gives::Schema(_) => "The answer",
            Gives::Events => "The events",
            Gives::Replay => "The events from the first, or behind a snapshot",
            Gives::Live => "The events, as long as the client stays",
            Gives::Progress => "One line a committed batch, then a summary, or why it ended",
            Gives::Verified => "What was found",
            Gives::Numbers => "The numbers",
            Gives::Page => "A page for people",
        }
    }

    fn content(self) -> Value {
        let text = |says: &str| json!({"schema": {"type": "string", "description": says}});
        match self {
            Gives::Nothing | Gives::Unchanged => json!({}),
            Gives::Schema(name) => json!({JSON: {"schema": reference(name)}}),
            Gives::Events => json!({
                NDJSON: text("One Event a line."),
                JSON: {"schema": reference("Page")},
                CLOUD_BATCH: {"schema": reference("CloudEvents")},
                CLOUD_EVENT: {"schema": reference("CloudEvent")},
            }),
            Gives::Replay => json!({
                NDJSON: text("One Event a line, its type called `event` and first."),
                CLOUD_BATCH: {"schema": reference("CloudEvents")},
            }),
            Gives::Live => json!({
                SSE: {"schema": reference("ServerSentEvent")},
                NDJSON: text("One Event a line, and lines with `checkpoint` or `caughtUp`."),
            }),
            Gives::Progress => {
                json!({NDJSON: text("Lines with `lines`, `appended`, `repeated`, `position`.")})
            }
            Gives::Verified => json!({
                JSON: {"schema": reference("Verified")},
                NDJSON: text("Lines with `progress`, then one with the `summary`, which is a Verified, or with an `error`."),
            }),
            Gives::Numbers => json!({PROMETHEUS: text("The text format of Prometheus.")}),
            Gives::Page => json!({HTML: text("HTML.")}),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::problem::Kind;
    use super::*;

    #[test]
    fn every_path_is_described_and_every_parameter_explained() {
        let described: BTreeSet<&str> = OPERATIONS.iter().map(|operation| operation.path).collect();
        let routes = paths::ALL.into_iter().filter(|path| *path != paths::EVENTS_EMPTY);
        assert_eq!(described, routes.collect());
        let explained: BTreeSet<&str> = PARAMETERS.iter().map(|(name, ..)| *name).collect();
        let asked = OPERATIONS.iter().flat_map(|operation| operation.asks.iter().copied().flatten().copied());
        assert_eq!(explained, asked.collect());
    }

    #[test]
    fn every_reference_leads_to_a_schema() {
        let document = document();
        let text = document.to_string();
        for name in text.split("#/components/schemas/").skip(1).filter_map(|rest| rest.split('"').next()) {
            assert!(document["components"]["schemas"].get(name).is_some(), "{name}");
        }
    }

    #[test]
    fn every_operation_has_a_name_of_its_own() {
        let names: BTreeSet<&str> = OPERATIONS.iter().map(|operation| operation.name).collect();
        assert_eq!(names.len(), OPERATIONS.len());
    }

    /// A kind of problem that no operation tells of would not be in the document.
    #[test]
    fn every_problem_is_told_of_by_some_operation() {
        let told = OPERATIONS.iter().flat_map(|operation| operation.refuses).chain(problem::ANYWHERE);
        let told: BTreeSet<String> = told.map(|kind: &&Kind| kind.urn()).collect();
        let all: BTreeSet<String> = problem::KINDS.iter().map(|kind| kind.urn()).collect();
        assert_eq!(told, all);
    }
}

//! The description of the server: it is the one in `docs/`, and has every method that the routes have.

use std::collections::BTreeSet;
use std::path::Path;

use crate::support::Server;

#[test]
fn the_document_in_docs_is_the_one_that_is_served() {
    let served = Server::start().get("/openapi.json");
    assert_eq!(served.header("content-type"), Some("application/json"));
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/openapi.json");
    if std::env::var_os("ANNALS_WRITE_OPENAPI").is_some() {
        std::fs::write(&path, &served.body).expect("the document is written");
    }
    let kept = std::fs::read_to_string(&path).expect("the document is there");
    assert!(
        kept == served.text(),
        "it has changed: run this test with ANNALS_WRITE_OPENAPI=1 and look at the difference"
    );
}

#[test]
fn each_path_of_the_document_has_just_the_methods_that_its_route_has() {
    let server = Server::start();
    let document = server.get("/openapi.json").json();
    for (path, methods) in document["paths"].as_object().expect("an object") {
        let described: BTreeSet<String> =
            methods.as_object().expect("an object").keys().map(|method| method.to_uppercase()).collect();
        let reply = server.send("OPTIONS", &path_of(path), &[], b"");
        let allowed = reply.header("allow").expect("a route tells its methods").split(',');
        let allowed: BTreeSet<String> =
            allowed.filter(|method| *method != "HEAD").map(str::to_owned).collect();
        assert_eq!(described, allowed, "{path}");
    }
}

#[test]
fn each_parameter_of_the_document_is_known_and_others_are_not() {
    let server = Server::start();
    server.append("a", r#"{"type":"t","data":1}"#);
    let document = server.get("/openapi.json").json();
    for (path, methods) in document["paths"].as_object().expect("an object") {
        let Some(operation) = methods.get("get") else { continue };
        let parameters = operation["parameters"].as_array().expect("a list");
        let names = parameters.iter().filter(|parameter| parameter["in"] == "query");
        let names: Vec<&str> = names.filter_map(|parameter| parameter["name"].as_str()).collect();
        let path = path_of(path);
        let end = if path == "/events/stream" { "&live=false" } else { "" };
        for name in &names {
            let reply = server.get(&format!("{path}?{name}=%00{end}")).text();
            assert!(!reply.contains("is not a parameter"), "{path}: {reply}");
        }
        if !names.is_empty() {
            // One that is near to one that it has is never taken for a criterion.
            let reply = server.get(&format!("{path}?{}x=1{end}", names[0])).problem(400);
            let detail = reply["detail"].as_str().unwrap_or_default();
            assert!(detail.contains("is not a parameter"), "{path}: {reply}");
        }
    }
}

/// A path that a request can ask for.
fn path_of(template: &str) -> String {
    template.replace("{stream}", "a").replace("{id}", "a")
}

/// Every field that a problem is given somewhere in the sources.
fn fields_of_problems(dir: &Path) -> BTreeSet<String> {
    let mut fields = BTreeSet::new();
    for entry in std::fs::read_dir(dir).expect("sources can be listed") {
        let path = entry.expect("an entry can be read").path();
        if path.is_dir() {
            fields.extend(fields_of_problems(&path));
        } else if let Ok(source) = std::fs::read_to_string(&path) {
            let given = source.split(".with(\"").skip(1).filter_map(|rest| rest.split('"').next());
            fields.extend(given.map(str::to_owned));
        }
    }
    fields
}

#[test]
fn the_document_has_every_field_that_a_problem_may_have() {
    let document = Server::start().get("/openapi.json").json();
    let described =
        document["components"]["schemas"]["Problem"]["properties"].as_object().expect("an object");
    let described: BTreeSet<String> = described.keys().cloned().collect();
    let given = fields_of_problems(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/http"));
    let missing: Vec<_> = given.difference(&described).collect();
    assert!(given.len() > 10 && missing.is_empty(), "{missing:?}");
}

#[test]
fn the_page_for_people_needs_nothing_from_elsewhere() {
    let page = Server::start().get("/docs");
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    let text = page.text();
    assert!(text.contains("POST /transactions") && text.contains("expectedVersion"));
    // Every link leads somewhere, and what only some requests are answered is said of them.
    for id in text.split("href=\"#").skip(1).filter_map(|rest| rest.split('"').next()) {
        assert!(text.contains(&format!("id=\"{id}\"")), "{id}");
    }
    let ready = text.split("id=\"isReady\"").nth(1).and_then(|rest| rest.split("<h3").next());
    assert!(ready.is_some_and(|ready| ready.contains("503")));
    assert!(!text.contains("<script") && !text.contains("src=") && !text.contains("http://"));
}

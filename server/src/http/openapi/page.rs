//! The document as one page of HTML that needs nothing else: no script, no file of others.

use std::fmt::Write as _;

use serde_json::Value;

use crate::http::accept::JSON;

/// The tags, in the order in which a reader wants them, and what each is about.
const PARTS: [(&str, &str); 4] =
    [("events", "Events"), ("streams", "Streams"), ("admin", "Running the store"), ("server", "The server")];

const HEAD: &str = "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>annals</title>\n<style>\
:root{color-scheme:light dark}\
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}\
h2{margin-top:3rem}h3{border-top:1px solid #8884;padding-top:1rem;margin-top:2rem}\
code,pre{font-family:ui-monospace,monospace;font-size:.9em}pre{overflow:auto;background:#8881;padding:.5rem}\
table{border-collapse:collapse;margin:.5rem 0}td{padding:.1rem .8rem .1rem 0;vertical-align:top}\
ul{list-style:none;padding:0}</style>\n";

/// The page. `common` is what any request may be answered beside what it asks for: a status, and what it means.
pub(super) fn page(document: &Value, common: &[(String, String)]) -> String {
    let mut out = HEAD.to_owned();
    let info = &document["info"];
    let _ = write!(
        out,
        "<h1>annals {}</h1>\n<p>{}</p>\n<p>For programs: <a href=\"/openapi.json\">openapi.json</a></p>\n",
        prose(&info["version"]),
        prose(&info["description"])
    );
    for (tag, title) in PARTS {
        let _ = write!(out, "<h4>{title}</h4>\n<ul>\n");
        for (path, method, operation) in operations(document, tag) {
            let (name, does) = (prose(&operation["operationId"]), prose(&operation["summary"]));
            let path = escaped(path);
            let _ = writeln!(out, "<li><a href=\"#{name}\"><code>{method} {path}</code></a> {does}");
        }
        out.push_str("</ul>\n");
    }
    out.push_str(
        "<p>Beside the answers of each, any request may get a <a href=\"#Problem\">Problem</a> with</p>\n",
    );
    write_table(&mut out, common.iter().map(|(status, says)| [code(status), escaped(says), String::new()]));
    for (tag, title) in PARTS {
        let _ = writeln!(out, "<h2>{title}</h2>");
        for (path, method, operation) in operations(document, tag) {
            let name = prose(&operation["operationId"]);
            let _ = writeln!(out, "<h3 id=\"{name}\"><code>{method} {}</code></h3>", escaped(path));
            let _ = writeln!(out, "<p>{}.</p>", prose(&operation["summary"]));
            write_operation(&mut out, document, operation, common);
        }
    }
    out.push_str("<h2>Schemas</h2>\n");
    for (name, schema) in members(&document["components"]["schemas"]) {
        let name = escaped(name);
        let _ =
            write!(out, "<h3 id=\"{name}\">{name}</h3>\n<pre>{}</pre>\n", escaped(&format!("{schema:#}")));
    }
    out.push_str("</html>\n");
    out
}

/// The operations of a tag: path, method, description.
fn operations<'a>(
    document: &'a Value,
    tag: &'static str,
) -> impl Iterator<Item = (&'a str, String, &'a Value)> {
    members(&document["paths"]).flat_map(move |(path, methods)| {
        let of_tag = members(methods).filter(move |(_, operation)| operation["tags"][0] == tag);
        of_tag.map(move |(method, operation)| (path, method.to_uppercase(), operation))
    })
}

fn write_operation(out: &mut String, document: &Value, operation: &Value, common: &[(String, String)]) {
    let parameters = operation["parameters"].as_array().map_or(&[][..], Vec::as_slice);
    let parameters = parameters.iter().map(|parameter| {
        let name = parameter["name"].as_str().unwrap_or_default();
        [code(name), prose(&parameter["in"]), prose(&parameter["description"])]
    });
    write_table(out, parameters);
    let taken = &operation["requestBody"]["content"];
    write_table(out, members(taken).map(|(name, content)| [code(name), link(content), String::new()]));
    let by_type = taken.get(JSON).into_iter().chain(members(taken).map(|(_, content)| content));
    if let Some(example) = by_type.into_iter().find_map(|content| example(document, &content["schema"])) {
        let _ = writeln!(out, "<pre>{}</pre>", escaped(&example.to_string()));
    }
    let answers = members(&operation["responses"]).filter_map(|(status, answer)| {
        let says = answer["description"].as_str().unwrap_or_default();
        let known = common.iter().find(|(common, _)| common == status).map_or("", |(_, known)| known);
        let own = match says.strip_prefix(known) {
            Some("") => return None,
            Some(rest) => rest.strip_prefix(", or: ").unwrap_or(rest),
            None => says,
        };
        let given =
            members(&answer["content"]).map(|(name, content)| format!("{} {}", code(name), link(content)));
        Some([code(status), escaped(own), given.collect::<Vec<_>>().join("<br>")])
    });
    write_table(out, answers);
}

/// Where the schema of a body is described, if it has a name.
fn link(content: &Value) -> String {
    let reference = content["schema"]["$ref"].as_str().unwrap_or_default();
    let name = escaped(reference.rsplit('/').next().unwrap_or_default());
    if name.is_empty() { name } else { format!("<a href=\"#{name}\">{name}</a>") }
}

/// An example of what a schema describes: its own, or the first of what it refers to.
fn example<'a>(document: &'a Value, schema: &'a Value) -> Option<&'a Value> {
    if let Some(name) = schema["$ref"].as_str().and_then(|reference| reference.rsplit('/').next()) {
        return example(document, &document["components"]["schemas"][name]);
    }
    let first_alternative = || example(document, schema["oneOf"].get(0)?);
    schema["examples"].get(0).or_else(first_alternative)
}

fn members(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    value.as_object().into_iter().flatten().map(|(name, value)| (name.as_str(), value))
}

fn write_table(out: &mut String, rows: impl Iterator<Item = [String; 3]>) {
    out.push_str("<table>\n");
    for [one, two, three] in rows {
        let _ = writeln!(out, "<tr><td>{one}<td>{two}<td>{three}");
    }
    out.push_str("</table>\n");
}

fn code(text: &str) -> String {
    format!("<code>{}</code>", escaped(text))
}

/// A text in which what stands between backticks is code.
fn prose(text: &Value) -> String {
    let mut out = String::new();
    for (at, part) in text.as_str().unwrap_or_default().split('`').enumerate() {
        out += &if at % 2 == 1 { code(part) } else { escaped(part) };
    }
    out
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;")
}

//! The document as one page of HTML that needs nothing else: no script, no file of others.

use std::fmt::Write as _;

use serde_json::Value;

const HEAD: &str = "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>annals</title>\n<style>\
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}\
h2{border-top:1px solid #8884;padding-top:1rem}code,pre{font-family:ui-monospace,monospace;font-size:.9em}\
table{border-collapse:collapse}td{padding:.1rem .8rem .1rem 0;vertical-align:top}pre{overflow:auto}</style>\n";

/// The page.
pub(super) fn page(document: &Value) -> String {
    let mut out = HEAD.to_owned();
    let text = |value: &Value| escaped(value.as_str().unwrap_or_default());
    let info = &document["info"];
    let _ = write!(
        out,
        "<h1>annals {}</h1>\n<p>{}</p>\n<p>For programs: <a href=\"/openapi.json\">openapi.json</a></p>\n",
        text(&info["version"]),
        text(&info["description"])
    );
    for (path, methods) in members(&document["paths"]) {
        for (method, operation) in members(methods) {
            let _ = write!(
                out,
                "<h2 id=\"{}\"><code>{} {}</code></h2>\n<p>{}.</p>\n",
                text(&operation["operationId"]),
                method.to_uppercase(),
                escaped(path),
                text(&operation["summary"])
            );
            let parameters = operation["parameters"].as_array().map_or(&[][..], Vec::as_slice);
            let rows = parameters.iter().map(|parameter| {
                (text(&parameter["name"]), text(&parameter["in"]), text(&parameter["description"]))
            });
            write_table(&mut out, rows);
            let sent = members(&operation["requestBody"]["content"]);
            let sent = sent.map(|(media_type, _)| (escaped(media_type), "body".to_owned(), String::new()));
            write_table(&mut out, sent);
            let answers = members(&operation["responses"]).map(|(status, answer)| {
                let media_types: Vec<&str> = members(&answer["content"]).map(|(name, _)| name).collect();
                (escaped(status), escaped(&media_types.join(", ")), text(&answer["description"]))
            });
            write_table(&mut out, answers);
        }
    }
    out.push_str("<h2>Schemas</h2>\n");
    for (name, schema) in members(&document["components"]["schemas"]) {
        let _ = write!(out, "<h3>{}</h3>\n<pre>{}</pre>\n", escaped(name), escaped(&format!("{schema:#}")));
    }
    out.push_str("</html>\n");
    out
}

fn members(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    value.as_object().into_iter().flatten().map(|(name, value)| (name.as_str(), value))
}

fn write_table(out: &mut String, rows: impl Iterator<Item = (String, String, String)>) {
    out.push_str("<table>\n");
    for (name, kind, says) in rows {
        let _ = writeln!(out, "<tr><td><code>{name}</code><td>{kind}<td>{says}");
    }
    out.push_str("</table>\n");
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;")
}

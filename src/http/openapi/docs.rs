//! The document as a page for people.
//!
//! Written here rather than by one of the usual viewers: those are a megabyte of scripts each,
//! need a policy that allows inline styles, and show nothing without scripts. This page is HTML
//! and one style sheet, so it can be forbidden everything else.

mod prose;
mod schema;

use std::fmt::{self, Write as _};

use actix_web::http::header::HeaderValue;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use sha2::{Digest, Sha256};

use self::prose::{Escaped, Prose};
use self::schema::Schema;

const STYLE: &str = include_str!("docs/style.css");

/// Nothing is loaded, sent or framed; the style is that of the page itself, by its hash.
pub(super) fn policy() -> HeaderValue {
    let hash = STANDARD.encode(Sha256::digest(STYLE));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; form-action 'none'; \
         frame-ancestors 'none'"
    );
    // Base64 has only what a header may hold; if it had not, nothing at all would be allowed.
    HeaderValue::from_str(&policy).unwrap_or(HeaderValue::from_static("default-src 'none'"))
}

/// The whole page.
pub(super) fn render(document: &Value) -> String {
    let mut html = String::new();
    // Writing to memory does not fail.
    let _ = write_page(&mut html, document);
    html
}

fn write_page(html: &mut String, document: &Value) -> fmt::Result {
    let info = &document["info"];
    let title = Escaped(text(&info["title"]));
    write!(
        html,
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport \
         content='width=device-width, initial-scale=1'><title>{title} API</title>\
         <style>{STYLE}</style><nav>"
    )?;
    write_contents(html, document)?;
    write!(
        html,
        "</nav><main><h1>{title} <small>{}</small></h1>",
        Escaped(text(&info["version"]))
    )?;
    write!(html, "{}", Prose(text(&info["description"])))?;
    html.push_str("<p><a href=/openapi.json>The same as OpenAPI 3.1</a>");
    for (path, method, operation) in operations(document) {
        write_operation(html, path, method, operation)?;
    }
    html.push_str("<h2 id=schemas>Schemas</h2>");
    for (name, schema) in members(&document["components"]["schemas"]) {
        let name = Escaped(name);
        write!(html, "<section id='schema-{name}'><h3>{name}</h3>{}</section>", Schema(schema))?;
    }
    html.push_str("</main></html>\n");
    Ok(())
}

fn write_contents(html: &mut String, document: &Value) -> fmt::Result {
    for tag in document["tags"].as_array().into_iter().flatten() {
        let name = text(&tag["name"]);
        write!(html, "<h2>{}</h2><ul>", Escaped(name))?;
        for (_, _, operation) in operations(document) {
            if operation["tags"][0] == name {
                let (id, summary) = (text(&operation["operationId"]), text(&operation["summary"]));
                write!(html, "<li><a href='#{}'>{}</a>", Escaped(id), Escaped(summary))?;
            }
        }
        html.push_str("</ul>");
    }
    html.push_str("<h2><a href='#schemas'>Schemas</a></h2>");
    Ok(())
}

fn write_operation(html: &mut String, path: &str, method: &str, operation: &Value) -> fmt::Result {
    let (id, summary) = (text(&operation["operationId"]), text(&operation["summary"]));
    write!(html, "<section id='{}'><h2>{}</h2>", Escaped(id), Escaped(summary))?;
    let method = method.to_ascii_uppercase();
    write!(html, "<p class=route><b>{}</b> <code>{}</code></p>", Escaped(&method), Escaped(path))?;
    write!(html, "{}", Prose(text(&operation["description"])))?;
    write_parameters(html, &operation["parameters"])?;
    if let Some(schema) = schema_in(&operation["requestBody"]) {
        write!(html, "<h3>Body</h3>{}", Schema(schema))?;
    }
    html.push_str("<h3>Answers</h3>");
    for (status, answer) in members(&operation["responses"]) {
        write_answer(html, status, answer)?;
    }
    html.push_str("</section>");
    Ok(())
}

fn write_parameters(html: &mut String, parameters: &Value) -> fmt::Result {
    let Some(parameters) = parameters.as_array() else { return Ok(()) };
    html.push_str("<h3>Parameters</h3><dl>");
    for parameter in parameters {
        let required = if parameter["required"] == true { "" } else { ", optional" };
        write!(
            html,
            "<dt><code>{}</code> <i>{}{required}</i><dd>{}{}",
            Escaped(text(&parameter["name"])),
            Escaped(text(&parameter["in"])),
            Prose(text(&parameter["description"])),
            Schema(&parameter["schema"]),
        )?;
    }
    html.push_str("</dl>");
    Ok(())
}

fn write_answer(html: &mut String, status: &str, answer: &Value) -> fmt::Result {
    let open = if status.starts_with('2') { " open" } else { "" };
    write!(html, "<details{open}><summary>{}</summary>", Escaped(status))?;
    write!(html, "{}", Prose(text(&answer["description"])))?;
    if let Some(schema) = schema_in(answer).filter(|_| status.starts_with('2')) {
        write!(html, "{}", Schema(schema))?;
    }
    let headers: Vec<_> =
        members(&answer["headers"]).map(|(name, _)| format!("`{name}`")).collect();
    if !headers.is_empty() {
        write!(html, "{}", Prose(&format!("Headers: {}", headers.join(", "))))?;
    }
    html.push_str("</details>");
    Ok(())
}

/// The schema of the one content type that a body has.
fn schema_in(body: &Value) -> Option<&Value> {
    members(&body["content"]).next().and_then(|(_, content)| content.get("schema"))
}

fn operations(document: &Value) -> impl Iterator<Item = (&String, &String, &Value)> {
    members(&document["paths"])
        .flat_map(|(path, methods)| members(methods).map(move |(method, it)| (path, method, it)))
}

fn members(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

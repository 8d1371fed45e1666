//! What a person sees who opens a service in a browser: its OpenAPI document, to be read.
//!
//! No script, nothing from elsewhere, and no form: whoever wants to try something has `curl` and the document itself.

use std::fmt::Write as _;

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::Value;

use super::problems;
use crate::problem::Problem;

const STYLE: &str = "body{font:1rem/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1b1b1b;background:#fff}\
 code{background:#eee;padding:.1em .3em}h2{margin-top:2.5rem;border-top:1px solid #767676;padding-top:1rem}\
 table{border-collapse:collapse;margin:.5rem 0}th,td{text-align:left;vertical-align:top;padding:.2rem 1.5rem .2rem 0}";

/// The page for who wants HTML; for others there is nothing here.
pub(super) async fn answer(
    headers: &HeaderMap,
    document: impl Future<Output = Result<Value, Problem>>,
) -> Response {
    let accepted = headers.get_all(header::ACCEPT).iter();
    let mut accepted = accepted.filter_map(|value| value.to_str().ok());
    let mut response = if accepted.any(|value| value.contains("text/html")) {
        let policy = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'";
        let headers = [
            (header::CONTENT_TYPE, "text/html; charset=utf-8"),
            (header::CONTENT_SECURITY_POLICY, policy),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        ];
        document
            .await
            .map(|document| (headers, page(&document)))
            .into_response()
    } else {
        problems::by_status(StatusCode::NOT_FOUND, None).into_response()
    };
    let vary = HeaderValue::from_static("Accept");
    response.headers_mut().insert(header::VARY, vary);
    response
}

fn page(document: &Value) -> String {
    let info = &document["info"];
    let (title, version) = (text(&info["title"]), text(&info["version"]));
    let mut page = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>{title}</title><style>{STYLE}</style></head><body><main><h1>{title} <small>{version}</small></h1><p>{}</p>\
         <p>For programs: <a href=\"/openapi.json\">/openapi.json</a> (OpenAPI 3.1). Every error is a problem (RFC 9457) that says what to do.</p>",
        text(&info["description"])
    );
    for (path, methods) in members(&document["paths"]) {
        for (method, operation) in members(methods) {
            // Writing to a string does not fail.
            let _ = write!(
                page,
                "<h2><code>{} {}</code></h2><p>{}</p><p>{}</p>",
                escaped(&method.to_uppercase()),
                escaped(path),
                text(&operation["summary"]),
                text(&operation["description"])
            );
            let parameters = operation["parameters"].as_array().into_iter().flatten();
            let parameters = parameters.map(|one| {
                (
                    text(&one["name"]),
                    text(&one["in"]),
                    text(&one["description"]),
                )
            });
            table(&mut page, ["Parameter", "In", "What it is"], parameters);
            let answers = members(&operation["responses"]).map(|(status, answer)| {
                let kinds: Vec<String> = members(&answer["content"])
                    .map(|(kind, _)| escaped(kind))
                    .collect();
                (
                    escaped(status),
                    kinds.join(", "),
                    text(&answer["description"]),
                )
            });
            table(&mut page, ["Answer", "As", "When"], answers);
        }
    }
    page.push_str("</main></body></html>\n");
    page
}

fn table(page: &mut String, head: [&str; 3], rows: impl Iterator<Item = (String, String, String)>) {
    let rows: String = rows
        .map(|(name, kind, what)| {
            format!(
                "<tr><th scope=\"row\"><code>{name}</code></th><td>{kind}</td><td>{what}</td></tr>"
            )
        })
        .collect();
    if !rows.is_empty() {
        let head = head
            .map(|word| format!("<th scope=\"col\">{word}</th>"))
            .concat();
        let _ = write!(
            page,
            "<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
        );
    }
}

fn members(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

fn text(value: &Value) -> String {
    escaped(value.as_str().unwrap_or_default())
}

/// The document has what others say of themselves in it, such as other services that have said what they are.
fn escaped(text: &str) -> String {
    text.chars()
        .fold(String::with_capacity(text.len()), |mut escaped, char| {
            match char {
                '&' => escaped.push_str("&amp;"),
                '<' => escaped.push_str("&lt;"),
                '>' => escaped.push_str("&gt;"),
                '"' => escaped.push_str("&quot;"),
                '\'' => escaped.push_str("&#39;"),
                other => escaped.push(other),
            }
            escaped
        })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::page;

    #[test]
    fn what_a_document_says_is_text_and_no_markup() {
        let evil = "<script>alert('x')</script>\"&";
        let document = json!({
            "info": {"title": evil, "description": evil, "version": evil},
            "paths": {evil: {"get": {
                "summary": evil,
                "parameters": [{"name": evil, "in": "query", "description": evil}],
                "responses": {"200": {"description": evil, "content": {evil: {}}}},
            }}},
        });
        let page = page(&document);
        assert!(!page.contains("<script") && !page.contains("'x'"), "{page}");
        assert!(page.contains("&lt;script&gt;alert(&#39;x&#39;)"));
    }
}

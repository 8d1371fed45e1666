//! Makes problems of the errors that nobody in here made: the framework's own, and those of a foreign extractor or handler.
//!
//! An error that is a problem already passes as it is.

use axum::http::{StatusCode, header};
use axum::response::Response;
use utoipa::ToSchema;
use utoipa::openapi::path::Operation;
use utoipa::openapi::{ContentBuilder, OpenApi, Ref, RefOr, ResponseBuilder};

use super::BODY_LIMIT;
use crate::problem::{self, Problem};

/// Answers the problem that a handler made, and makes one of the framework's own errors (404, 405, a foreign extractor's rejection), which
/// are plain text.
pub(super) async fn rewrite(response: Response, namespace: &str) -> Response {
    let status = response.status();
    let (mut parts, body) = response.into_parts();
    let problem = match parts.extensions.remove::<Problem>() {
        Some(problem) => problem,
        None if status.is_client_error() || status.is_server_error() => {
            let text = axum::body::to_bytes(body, BODY_LIMIT)
                .await
                .unwrap_or_default();
            let text = std::str::from_utf8(&text)
                .ok()
                .filter(|text| !text.is_empty());
            by_status(status, text)
        }
        None => return Response::from_parts(parts, body),
    };
    // Whatever else the answer carried (Allow, Retry-After) stays.
    parts.headers.remove(header::CONTENT_LENGTH);
    let (told, body) = problem.answer(namespace).into_parts();
    parts.headers.extend(told.headers);
    Response::from_parts(parts, body)
}

/// The problem for an error of which little more than the status is known.
pub(super) fn by_status(status: StatusCode, text: Option<&str>) -> Problem {
    let title = status.canonical_reason().unwrap_or("Error");
    let kind = title.to_ascii_lowercase().replace(' ', "-");
    let detail = match status {
        StatusCode::NOT_FOUND => {
            "There is nothing under this path; /openapi.json lists what there is."
        }
        StatusCode::METHOD_NOT_ALLOWED => {
            "This path does not take this method; the header Allow lists those that it takes."
        }
        StatusCode::PAYLOAD_TOO_LARGE => {
            "The body is larger than this path takes (64 KiB where nothing else is said); send less at a time."
        }
        // The text of a server's error may tell what is nobody's business.
        _ if status.is_server_error() => {
            "The fault is the service's and is in its log. Repeat the request later."
        }
        _ => text.unwrap_or(
            "The request cannot be answered as it is; /openapi.json describes what can.",
        ),
    };
    Problem::new(status, &kind, title, detail)
}

/// Any route may answer with a problem: said once here instead of at every route.
pub(super) fn describe(openapi: &mut OpenApi, namespace: &str) {
    let components = openapi.components.get_or_insert_default();
    components
        .schemas
        .insert(Problem::name().into_owned(), Problem::schema_in(namespace));
    let problem = ContentBuilder::new()
        .schema(Some(Ref::from_schema_name(Problem::name())))
        .build();
    let answer = |description: &str| {
        ResponseBuilder::new()
            .description(description)
            .content(problem::CONTENT_TYPE, problem.clone())
            .build()
    };
    let answers = [
        ("4XX", answer("The request is wrong, and this says in what")),
        (
            "5XX",
            answer("The service cannot answer now; `Retry-After` says when to ask again"),
        ),
    ];
    for operation in openapi.paths.paths.values_mut().flat_map(operations) {
        let responses = &mut operation.responses.responses;
        for (status, answer) in &answers {
            responses
                .entry((*status).to_owned())
                .or_insert_with(|| answer.clone().into());
        }
        // An error that is described by itself hides the range, and is the same problem.
        for (status, response) in responses {
            if let RefOr::T(response) = response
                && status.starts_with(['4', '5'])
                && response.content.is_empty()
            {
                response
                    .content
                    .insert(problem::CONTENT_TYPE.to_owned(), problem.clone().into());
            }
        }
    }
}

fn operations(item: &mut utoipa::openapi::PathItem) -> impl Iterator<Item = &mut Operation> {
    [
        &mut item.get,
        &mut item.put,
        &mut item.post,
        &mut item.delete,
        &mut item.patch,
    ]
    .into_iter()
    .flatten()
}

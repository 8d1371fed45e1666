//! Which parameters a route's query may have: those that its OpenAPI document names. A misspelt filter would narrow nothing, and whoever
//! asked would take the whole list for the answer. What a parameter's value means is the handler's to judge.
//!
//! A route that takes no parameters at all does not mind any. That is a choice: there is no list that one could have narrowed, and callers and
//! proxies hang things on addresses (`?wait=5` on `POST /bookings` is not heard; `Prefer: wait=5` is).

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::{MatchedPath, Query, Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use utoipa::openapi::path::{Operation, ParameterIn};
use utoipa::openapi::{OpenApi, RefOr};

use crate::problem::Problem;

/// The parameters of each path and method.
pub(super) type Known = HashMap<(&'static str, String), Vec<String>>;

/// What the document says.
pub(super) fn of_document(document: &OpenApi) -> Arc<Known> {
    let paths = document.paths.paths.iter();
    let operations = paths.flat_map(|(path, item)| {
        let methods = [
            ("GET", &item.get),
            ("PUT", &item.put),
            ("POST", &item.post),
            ("DELETE", &item.delete),
            ("PATCH", &item.patch),
        ];
        methods
            .into_iter()
            .filter_map(move |(method, operation)| Some((method, path, operation.as_ref()?)))
    });
    let named = operations.map(|(method, path, operation)| {
        let names = names(operation);
        ((method, path.clone()), names)
    });
    Arc::new(named.filter(|(_, names)| !names.is_empty()).collect())
}

fn names(operation: &Operation) -> Vec<String> {
    let parameters = operation.parameters.iter().flatten();
    let described = parameters.filter_map(|parameter| match parameter {
        RefOr::T(parameter) => Some(parameter),
        RefOr::Ref(_) => None,
    });
    described
        .filter(|parameter| matches!(parameter.parameter_in, ParameterIn::Query))
        .map(|parameter| parameter.name.clone())
        .collect()
}

/// Lets a request through whose route takes all of its parameters.
pub(super) async fn only_known(
    State(known): State<Arc<Known>>,
    request: Request,
    next: Next,
) -> Response {
    match strange(&known, &request) {
        Some(problem) => problem.into_response(),
        None => next.run(request).await,
    }
}

fn strange(known: &Known, request: &Request) -> Option<Problem> {
    let route = request.extensions().get::<MatchedPath>()?;
    let method = super::known(request.method());
    // Whoever asks for the head means what would be answered.
    let method = if method == "HEAD" { "GET" } else { method };
    request.uri().query()?;
    let names = known.get(&(method, route.as_str().to_owned()))?;
    // One that cannot be read at all is refused where it is read.
    let Query(given) = Query::<Vec<(String, String)>>::try_from_uri(request.uri()).ok()?;
    let (other, _) = given.into_iter().find(|(name, _)| !names.contains(name))?;
    let detail = format!(
        "There is no parameter {other:?} here; there are {}. Correct it, or leave it out.",
        names.join(", ")
    );
    let problem = Problem::new(
        StatusCode::BAD_REQUEST,
        "parameter",
        "Unknown parameter",
        detail,
    );
    Some(
        problem
            .with("parameter", other)
            .with("known", names.clone()),
    )
}

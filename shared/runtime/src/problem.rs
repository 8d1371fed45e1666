//! One shape for every error that leaves over HTTP: RFC 9457 problem details.
//!
//! A problem says *what* is wrong (`type`, `title`) and what to *do* about it (`detail`). It is an answer to a caller, deliberately
//! not the error type of the inside: whoever makes one has decided that the caller may read it.

use std::borrow::Cow;
use std::fmt;

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use problem_details::ProblemDetails;
use serde_json::{Map, Value};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, SchemaType, Type};

/// The media type of a problem.
pub const CONTENT_TYPE: &str = "application/problem+json";

const TYPE: &str = "type";

/// An error as the caller sees it: `application/problem+json`.
#[derive(Clone, Debug)]
pub struct Problem(Box<Inner>); // boxed, since it is the cold half of many a `Result`

#[derive(Clone, Debug)]
struct Inner {
    kind: String,
    details: ProblemDetails<Map<String, Value>>,
    headers: HeaderMap,
}

impl Problem {
    /// A problem of the type `urn:<namespace>:problem:<kind>`, where `kind` is a slug such as `unknown-stock`. The namespace is the
    /// system's, and the HTTP shell adds it.
    ///
    /// `title` is the same for every problem of this kind, `detail` speaks of this one and says what to do.
    /// ```
    /// use axum::http::StatusCode;
    /// use runtime::Problem;
    ///
    /// let detail = "There are 2 left and 3 were asked for; ask for fewer.";
    /// let problem = Problem::new(StatusCode::CONFLICT, "too-few", "Too few left", detail)
    ///     .with("left", 2)
    ///     .retry_after(60);
    /// assert_eq!((problem.status().as_u16(), problem.kind()), (409, "too-few"));
    /// ```
    #[must_use]
    pub fn new(
        status: StatusCode,
        kind: &str,
        title: impl Into<String>,
        detail: impl Into<String>,
    ) -> Self {
        let details = ProblemDetails::from_status_code(status)
            .with_title(title)
            .with_detail(detail);
        Self(Box::new(Inner {
            kind: kind.to_owned(),
            details: details.with_extensions(Map::new()),
            headers: HeaderMap::new(),
        }))
    }

    /// Something broke in here, and the caller can do nothing about it but try again. What broke belongs in the log.
    #[must_use]
    pub fn internal() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "Something went wrong here",
            "The fault is the service's and is in its log. Repeat the request; with the same Idempotency-Key where it takes one.",
        )
    }

    /// Adds a member of its own to the problem. The members that RFC 9457 defines cannot be overwritten.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        if !matches!(key, TYPE | "title" | "status" | "detail" | "instance") {
            self.0
                .details
                .extensions
                .insert(key.to_owned(), value.into());
        }
        self
    }

    /// Tells the caller to come back after this many seconds, in the header `Retry-After`.
    #[must_use]
    pub fn retry_after(self, seconds: u64) -> Self {
        self.header(header::RETRY_AFTER, HeaderValue::from(seconds))
    }

    /// Sets a header of the answer, such as the `ETag` that would have matched.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.headers.insert(name, value);
        self
    }

    /// The status of the answer.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.0
            .details
            .status
            .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// The slug that names this kind of problem.
    #[must_use]
    pub fn kind(&self) -> &str {
        &self.0.kind
    }

    /// What is wrong this time, and what to do.
    #[must_use]
    pub fn detail(&self) -> &str {
        self.0.details.detail.as_deref().unwrap_or_default()
    }
}

impl Problem {
    /// What a caller gets, its type in this namespace.
    pub(crate) fn answer(self, namespace: &str) -> Response {
        let Inner {
            kind,
            mut details,
            headers,
        } = *self.0;
        // Among the extensions, for the crate's own field is an `http::Uri`, and that cannot be a URN.
        let r#type = format!("urn:{namespace}:problem:{kind}");
        details.extensions.insert(TYPE.to_owned(), r#type.into());
        let mut response = details.into_response();
        response.headers_mut().extend(headers);
        response
    }
}

/// Only the shell knows the namespace: it finds the problem among the response's extensions, and answers it.
impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.status().into_response();
        response.extensions_mut().insert(self);
        response
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let title = self.0.details.title.as_deref().unwrap_or_default();
        write!(
            f,
            "{title} ({}, {}): {}",
            self.kind(),
            self.status().as_u16(),
            self.detail()
        )
    }
}

impl std::error::Error for Problem {}

impl utoipa::PartialSchema for Problem {
    /// The shell adds the namespace to it: see `Problem::schema_in`.
    fn schema() -> RefOr<Schema> {
        Self::schema_in("<namespace>")
    }
}

impl Problem {
    /// What a problem of this namespace looks like.
    pub(crate) fn schema_in(namespace: &str) -> RefOr<Schema> {
        let text = |about: &str| {
            ObjectBuilder::new()
                .schema_type(SchemaType::new(Type::String))
                .description(Some(about))
        };
        let status = ObjectBuilder::new()
            .schema_type(SchemaType::new(Type::Integer))
            .description(Some("The HTTP status"));
        let object = ObjectBuilder::new()
            .schema_type(SchemaType::new(Type::Object))
            .description(Some(
                "RFC 9457 problem details; some problems have members of their own beside these",
            ))
            .property(
                TYPE,
                text(&format!(
                    "What kind of problem this is: urn:{namespace}:problem:<kind>"
                )),
            )
            .property("title", text("The kind of problem, in words"))
            .property("status", status)
            .property("detail", text("What is wrong this time, and what to do"));
        let object = [TYPE, "title", "status", "detail"]
            .into_iter()
            .fold(object, |object, member| object.required(member));
        RefOr::T(Schema::Object(object.build()))
    }
}

impl utoipa::ToSchema for Problem {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("Problem")
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use serde_json::json;

    use super::*;

    fn sold_out() -> Problem {
        Problem::new(
            StatusCode::CONFLICT,
            "sold-out",
            "Sold out",
            "Ask for less.",
        )
        .with("free", 3)
    }

    #[tokio::test]
    async fn a_problem_is_an_answer() {
        let response = sold_out().retry_after(7).answer("shop");
        assert_eq!(response.status(), StatusCode::CONFLICT);
        assert_eq!(response.headers()["content-type"], CONTENT_TYPE);
        assert_eq!(response.headers()["retry-after"], "7");
        let body = axum::body::to_bytes(response.into_body(), 1024)
            .await
            .unwrap();
        let expected = json!({
            "type": "urn:shop:problem:sold-out",
            "title": "Sold out",
            "status": 409,
            "detail": "Ask for less.",
            "free": 3,
        });
        assert_eq!(serde_json::from_slice::<Value>(&body).unwrap(), expected);
    }

    #[test]
    fn its_own_members_do_not_hide_the_common_ones() {
        let problem = sold_out().with("type", "mine").with("status", 200);
        assert_eq!(
            (problem.kind(), problem.status()),
            ("sold-out", StatusCode::CONFLICT)
        );
        assert_eq!(
            problem.to_string(),
            "Sold out (sold-out, 409): Ask for less."
        );
    }
}

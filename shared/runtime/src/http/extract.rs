//! Axum's extractors with rejections that are problems: the same names, so that utoipa reads handlers as it always does.
//!
//! They say what the caller got wrong about the *form* of a request; what a value means is the handler's to judge.

use std::convert::Infallible;
use std::fmt;
use std::marker::PhantomData;

use axum::body::Bytes;
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, OptionalFromRequest, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeOwned, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use crate::problem::Problem;
use crate::telemetry::TraceContext;

/// A JSON body, of a request or of an answer. A request's has to be an object: see [`Object`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Json<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        match <axum::Json<Object<T>> as FromRequest<S>>::from_request(request, state).await {
            Ok(axum::Json(Object(body))) => Ok(Self(body)),
            Err(rejection) => Err(unreadable(&rejection)),
        }
    }
}

/// A value that is written as a JSON object. What serde derives for a struct takes an array of its fields too, and so makes their
/// order part of an API.
#[derive(Clone, Copy, Debug, Default)]
pub struct Object<T>(pub T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Members<T> {
            type Value = T;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<T, A::Error> {
                T::deserialize(MapAccessDeserializer::new(members))
            }
        }
        let members = deserializer.deserialize_map(Members(PhantomData));
        members.map(Self)
    }
}

/// A body that may be left out; `null` says that it is. One that is there has to be JSON, and to say so.
impl<T: DeserializeOwned, S: Send + Sync> OptionalFromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Option<Self>, Problem> {
        // Only reading it says whether there is one: one that is timed (see `slow`) does not know its end.
        let (parts, body) = request.into_parts();
        let body = Request::from_parts(parts.clone(), body);
        let body = Bytes::from_request(body, state)
            .await
            .map_err(|rejection| {
                super::problems::by_status(rejection.status(), Some(&rejection.body_text()))
            })?;
        if body.is_empty() {
            return Ok(None);
        }
        let request = Request::from_parts(parts, body.into());
        match <axum::Json<Option<Object<T>>> as FromRequest<S>>::from_request(request, state).await
        {
            Ok(axum::Json(body)) => Ok(body.map(|Object(body)| Self(body))),
            Err(rejection) => Err(unreadable(&rejection)),
        }
    }
}

fn unreadable(rejection: &JsonRejection) -> Problem {
    let status = rejection.status();
    // Serde's words name the place, `budget.currency: ...`, and stand after what axum says before them.
    let text = rejection.body_text();
    let reason = plain(
        text.split_once(": ")
            .map_or(text.as_str(), |(_, reason)| reason),
    );
    match rejection {
        JsonRejection::MissingJsonContentType(_) => {
            let detail =
                "The body has to be JSON and to say so; send `Content-Type: application/json`.";
            Problem::new(status, "content-type", "Not a JSON body", detail)
        }
        JsonRejection::JsonSyntaxError(_) => {
            let detail = format!(
                "The body is not well-formed JSON: {reason}. Correct it there and send it again."
            );
            Problem::new(status, "syntax", "Malformed JSON", detail)
        }
        JsonRejection::JsonDataError(_) => {
            let detail = format!(
                "The body does not have the shape that is expected: {reason}. /openapi.json describes it."
            );
            Problem::new(status, "shape", "Unexpected JSON", detail)
        }
        _ => super::problems::by_status(status, Some(&text)),
    }
}

/// The same reason without the names of our own types, which say nothing to a caller. They stand at its end only, behind what the caller
/// sent.
fn plain(reason: &str) -> String {
    let Some((before, expected)) = ["expected ", "to "].iter().find_map(|word| {
        let at = reason.rfind(word)? + word.len();
        Some(reason.split_at(at))
    }) else {
        return reason.to_owned();
    };
    let mut words = expected.split(' ');
    let mut told: Vec<&str> = Vec::new();
    while let Some(word) = words.next() {
        let plain = match word.trim_matches('`') {
            "struct" => {
                words.next();
                "an object"
            }
            "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number from 0",
            "i8" | "i16" | "i32" | "i64" => "a whole number",
            "f32" | "f64" => "a number",
            "bool" | "boolean" => "true or false",
            _ => word,
        };
        if plain != word && matches!(told.last(), Some(&("a" | "an"))) {
            told.pop();
        }
        told.push(plain);
    }
    before.to_owned() + &told.join(" ")
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        axum::Json(self.0).into_response()
    }
}

/// Parameters from the path.
#[derive(Clone, Copy, Debug)]
pub struct Path<T>(pub T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = axum::extract::Path::from_request_parts(parts, state).await;
        path.map(|axum::extract::Path(path)| Self(path)).map_err(|rejection: PathRejection| {
            let status = rejection.status();
            if status.is_server_error() {
                tracing::error!(error = rejection.body_text(), "a handler does not fit its route: {}", rejection.body_text());
                return Problem::internal();
            }
            let reason = plain(&rejection.body_text());
            let detail = format!("A part of the path cannot be read: {reason}. Correct it; /openapi.json describes it.");
            Problem::new(status, "path", "Unreadable path", detail)
        })
    }
}

/// Parameters from the query.
#[derive(Clone, Copy, Debug)]
pub struct Query<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let query = axum::extract::Query::from_request_parts(parts, state).await;
        query
            .map(|axum::extract::Query(query)| Self(query))
            .map_err(|rejection: QueryRejection| {
                let text = rejection.body_text();
                let reason = plain(
                    text.split_once(": ")
                        .map_or(text.as_str(), |(_, reason)| reason),
                );
                let detail = format!(
                    "The query cannot be read: {reason}. Correct it; /openapi.json describes it."
                );
                Problem::new(StatusCode::BAD_REQUEST, "query", "Unreadable query", detail)
            })
    }
}

/// Where in which trace this request is: what a handler passes on with what it causes.
impl<S: Sync> FromRequestParts<S> for TraceContext {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let context = parts.extensions.get::<Self>().cloned();
        Ok(context.unwrap_or_default())
    }
}

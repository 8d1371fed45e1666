//! The HTTP side of every service: one shell around its routes, in which every error is a problem and every request is measured.
//!
//! It knows no route but its own (`/`, `/livez`, `/readyz`, `/metrics`, `/openapi.json`). There is no login and no TLS in here.

mod admit;
mod events;
mod extract;
mod headers;
mod home;
mod number;
mod page;
mod problems;
mod query;
mod rest;
mod serve;
mod slow;
#[cfg(test)]
mod tests;

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{
    DefaultBodyLimit, FromRequestParts, MatchedPath, RawPathParams, Request, State,
};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use futures::FutureExt;
use futures::future::BoxFuture;
use opentelemetry::KeyValue;
use opentelemetry::trace::{SpanBuilder, SpanKind};
use serde_json::Value;
use tracing::Instrument;
use utoipa::openapi::{InfoBuilder, OpenApiBuilder};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub use admit::Hosts;
pub(crate) use admit::is_name;
pub use events::{EventStreams, LastEventId};
pub use extract::{Json, Object, Path, Query};
pub use headers::{IdempotencyKey, Prefer};
pub use number::{a_whole_number, whole_number};
pub use page::{List, Page, TOTAL_MAX};
pub(crate) use serve::connections;
pub use serve::serve;

use crate::problem::Problem;
use crate::service::Entity;
use crate::telemetry::{self, Metrics, TraceContext};

/// The largest body of a request; a route that needs more raises it for itself with a `DefaultBodyLimit` layer of its own.
pub const BODY_LIMIT: usize = 64 * 1024;

/// How long `/readyz` waits before it takes silence for an answer.
const READY_WITHIN: Duration = Duration::from_secs(2);
/// The routes that machines ask every few seconds: measured, but neither traced nor logged.
const PROBES: [&str; 4] = ["/livez", "/readyz", "/metrics", "/openapi.json"];

/// What the API says of itself in its OpenAPI document.
#[derive(Clone, Copy, Debug)]
pub struct About {
    /// The API's name.
    pub title: &'static str,
    /// What it is for.
    pub description: &'static str,
    /// The version of the API.
    pub version: &'static str,
}

/// The names of a service.
#[derive(Clone, Debug)]
pub struct Names {
    /// What types of problems begin with: the system's name.
    pub namespace: &'static str,
    /// What its OpenAPI document says of it.
    pub about: About,
    /// Under which hosts it is called.
    pub hosts: Hosts,
}

/// What the shell needs of the service.
#[derive(Clone)]
struct Shell {
    namespace: &'static str,
    hosts: Arc<Hosts>,
    metrics: Arc<Metrics>,
    ready: Arc<dyn Fn() -> BoxFuture<'static, Result<(), String>> + Send + Sync>,
}

/// Puts the shell around a service's routes.
///
/// `ready` answers `/readyz`: `Ok`, or an error that names what is missing. `describe` adds to the OpenAPI document what is known only
/// while the service runs.
pub fn shell<R, D>(
    api: OpenApiRouter,
    names: Names,
    metrics: Arc<Metrics>,
    ready: impl Fn() -> R + Send + Sync + 'static,
    describe: impl Fn(Value) -> D + Clone + Send + Sync + 'static,
) -> Router
where
    R: Future<Output = Result<(), String>> + Send + 'static,
    D: Future<Output = Result<Value, Problem>> + Send + 'static,
{
    let about = names.about;
    let info = InfoBuilder::new()
        .title(about.title)
        .description(Some(about.description))
        .version(about.version)
        .build();
    let shell = Shell {
        namespace: names.namespace,
        hosts: Arc::new(names.hosts),
        metrics,
        ready: Arc::new(move || ready().boxed()),
    };
    let (router, mut openapi) =
        OpenApiRouter::with_openapi(OpenApiBuilder::new().info(info).build())
            .routes(routes!(livez))
            .routes(routes!(readyz))
            .routes(routes!(prometheus))
            .with_state(shell.clone())
            .merge(api)
            .split_for_parts();
    problems::describe(&mut openapi, names.namespace);
    let parameters = query::of_document(&openapi);
    let document = serde_json::to_value(&openapi).unwrap_or_default();
    let described = move || describe(document.clone());
    let home = described.clone();
    let home = async move |headers: HeaderMap| home::answer(&headers, home()).await;
    router
        .route("/", axum::routing::get(home))
        .route(
            "/openapi.json",
            axum::routing::get(async move || described().await.map(Json)),
        )
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .layer(middleware::from_fn_with_state(
            parameters,
            query::only_known,
        ))
        .layer(middleware::from_fn_with_state(shell, around))
}

/// What answers a connection for which there is no room: that the process is alive, for whoever would end it otherwise, and to come back.
pub fn crowded(namespace: &'static str) -> Router {
    let full = async move || {
        let detail = "All connections are taken. Try again in a second, on fewer connections.";
        let status = StatusCode::SERVICE_UNAVAILABLE;
        Problem::new(
            status,
            "too-many-connections",
            "Too many connections",
            detail,
        )
        .retry_after(1)
        .answer(namespace)
    };
    Router::new()
        .route("/livez", axum::routing::get(livez))
        .fallback(full)
}

/// The process is alive. Asks nobody, so that an outage elsewhere restarts nothing here.
#[utoipa::path(get, path = "/livez", operation_id = "is_alive", tag = "probes", responses((status = 200, description = "The process is alive", body = String)))]
async fn livez() -> &'static str {
    "alive\n"
}

/// The service can do its work: what it depends on answers.
#[utoipa::path(get, path = "/readyz", operation_id = "is_ready", tag = "probes", responses((status = 200, description = "Ready for work", body = String)))]
async fn readyz(State(shell): State<Shell>) -> Result<&'static str, Problem> {
    let ready = tokio::time::timeout(READY_WITHIN, (shell.ready)()).await;
    let missing = match ready {
        Ok(Ok(())) => return Ok("ready\n"),
        Ok(Err(missing)) => missing,
        Err(_) => format!("no answer within {} s", READY_WITHIN.as_secs()),
    };
    let detail = format!(
        "Missing: {missing}. The service works on as soon as it is there; its log says more."
    );
    Err(Problem::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "not-ready",
        "Not ready",
        detail,
    )
    .retry_after(1))
}

/// Everything that is counted and measured, as Prometheus reads it.
#[utoipa::path(get, path = "/metrics", operation_id = "read_metrics", tag = "probes", responses((status = 200, description = "Prometheus text format", body = String)))]
async fn prometheus(State(shell): State<Shell>) -> impl IntoResponse {
    (
        [(header::CONTENT_TYPE, prometheus::TEXT_FORMAT)],
        shell.metrics.render(),
    )
}

/// What happens around every request: one measurement, one span, and no error that is not a problem.
async fn around(State(shell): State<Shell>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let method = known(request.method());
    let matched = request.extensions().get::<MatchedPath>().cloned();
    let route = matched.as_ref().map_or("unmatched", MatchedPath::as_str);
    let (request, rest) = rest::hold(request);
    let (request, slow) = slow::bound(request, slow::PATIENCE);
    let response = if let Err(problem) = admit::admit(&request, &shell.hosts) {
        problem.answer(shell.namespace)
    } else if PROBES.contains(&route) {
        answer(request, next, method, shell.namespace).await
    } else {
        traced(request, next, method, route, shell.namespace).await
    };
    let response = if slow.is_given_up() {
        gave_up().answer(shell.namespace)
    } else {
        response
    };
    let status = response.status();
    if let Some(rest) = rest.filter(|_| status.is_client_error() || status.is_server_error()) {
        rest.throw_away().await;
    }
    let took = started.elapsed().as_secs_f64();
    shell
        .metrics
        .http_request(route, method, status.as_u16(), took);
    response
}

fn gave_up() -> Problem {
    let detail = "The body came too slowly: it has 20 s, and 4 KiB have to come for every second after that.";
    Problem::new(
        StatusCode::REQUEST_TIMEOUT,
        "slow-body",
        "Body came too slowly",
        detail,
    )
    .header(header::CONNECTION, HeaderValue::from_static("close"))
}

/// One request's span, with what its path names. An answer's extensions may say what it turned out to be about ([`Entity`]), and to which
/// trace that belongs ([`TraceContext`]).
async fn traced(
    request: Request,
    next: Next,
    method: &'static str,
    route: &str,
    namespace: &str,
) -> Response {
    let path = request.uri().path().to_owned();
    let caller = TraceContext::from_headers(request.headers());
    let (mut parts, body) = request.into_parts();
    let params = if telemetry::exporting() {
        parameters(&mut parts).await
    } else {
        Vec::new()
    };
    let mut span = telemetry::span(&caller, || {
        SpanBuilder::from_name(format!("{method} {route}"))
            .with_kind(SpanKind::Server)
            .with_attributes(
                [
                    KeyValue::new("http.request.method", method),
                    KeyValue::new("http.route", route.to_owned()),
                    KeyValue::new("url.path", path.clone()),
                ]
                .into_iter()
                .chain(params.iter().cloned()),
            )
    });
    let context = span.context();
    let log = tracing::info_span!("http", method, path, trace = context.trace_id());
    parts.extensions.insert(context);

    let answered =
        answer(Request::from_parts(parts, body), next, method, namespace).instrument(log.clone());
    let response = answered.await;
    let status = response.status();
    let code = status.as_u16();
    span.set(KeyValue::new("http.response.status_code", i64::from(code)));
    if let Some(belongs) = response.extensions().get::<TraceContext>() {
        span.link_elsewhere(belongs);
    }
    let about = response.extensions().get::<Entity>();
    let about = about.filter(|about| params.iter().all(|named| named.key.as_str() != about.kind));
    if let Some(about) = about {
        span.set(about.clone().into());
    }
    if status.is_server_error() {
        let reason = status.canonical_reason().unwrap_or("server error");
        span.error(status.as_str(), reason);
    }
    let about = about.map(|about| &about.id);
    log.in_scope(|| tracing::debug!(status = code, about, "{method} {path} was answered {code}"));
    response
}

async fn parameters(parts: &mut Parts) -> Vec<KeyValue> {
    let params = RawPathParams::from_request_parts(parts, &()).await;
    let params = params.iter().flat_map(RawPathParams::iter);
    params
        .map(|(name, value)| KeyValue::new(name.to_owned(), value.to_owned()))
        .collect()
}

async fn answer(request: Request, next: Next, method: &str, namespace: &str) -> Response {
    let uri = request.uri().clone();
    let path = uri.path();
    match AssertUnwindSafe(next.run(request)).catch_unwind().await {
        // The router refuses the method and says what the path takes (Allow): that is the answer.
        Ok(refused)
            if method == "OPTIONS" && refused.status() == StatusCode::METHOD_NOT_ALLOWED =>
        {
            StatusCode::NO_CONTENT.into_response()
        }
        Ok(mut response) if response.status().is_success() => {
            if let Some(next) = response.extensions_mut().remove::<page::NextCursor>()
                && let Ok(link) = next.link(path, uri.query()).try_into()
            {
                response.headers_mut().insert(header::LINK, link);
            }
            response
        }
        Ok(response) => problems::rewrite(response, namespace).await,
        Err(panic) => {
            let panic = message(panic.as_ref());
            tracing::error!(
                panic,
                "{method} {path} was answered 500, it panicked: {panic}"
            );
            Problem::internal().answer(namespace)
        }
    }
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}

/// A metric's label must not be the caller's to invent.
fn known(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "DELETE" => "DELETE",
        "PATCH" => "PATCH",
        "OPTIONS" => "OPTIONS",
        _ => "_OTHER",
    }
}

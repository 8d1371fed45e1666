//! The HTTP side of every service: one shell around its routes, in which every error is a problem and every request is measured.
//!
//! It knows no route but its own (`/livez`, `/readyz`, `/metrics`, `/openapi.json`). There is no login and no TLS in here.

mod extract;
mod headers;
mod page;
#[cfg(test)]
mod tests;

use std::any::Any;
use std::io;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{DefaultBodyLimit, MatchedPath, Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use futures::FutureExt;
use futures::future::BoxFuture;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use opentelemetry::KeyValue;
use opentelemetry::trace::SpanKind;
use tokio::net::TcpListener;
use tower_http::timeout::RequestBodyTimeoutLayer;
use tracing::Instrument;
use utoipa::openapi::path::Operation;
use utoipa::openapi::{ContentBuilder, InfoBuilder, OpenApi, OpenApiBuilder, Ref, ResponseBuilder};
use utoipa::{PartialSchema, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub use extract::{Json, Path, Query};
pub use headers::{IdempotencyKey, Prefer};
pub use page::{List, Page};

use crate::problem::{self, Problem};
use crate::telemetry::{self, Metrics, TraceContext};

/// The largest body of a request; a route that needs more raises it for itself with a `DefaultBodyLimit` layer of its own.
pub const BODY_LIMIT: usize = 64 * 1024;

/// How long a request's head may take to arrive, and so how long a connection may lie idle.
const HEAD_WITHIN: Duration = Duration::from_secs(30);
/// How long a request's body may keep silent.
const BODY_SILENCE: Duration = Duration::from_secs(30);
/// How long nothing is accepted after something could not be.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
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

/// What the shell's own routes need.
#[derive(Clone)]
struct House {
    metrics: Arc<Metrics>,
    ready: Arc<dyn Fn() -> BoxFuture<'static, Result<(), String>> + Send + Sync>,
}

/// Puts the shell around a service's routes.
///
/// `ready` answers `/readyz`: `Ok`, or an error that names what is missing.
pub fn shell<F>(
    api: OpenApiRouter,
    about: About,
    metrics: Arc<Metrics>,
    ready: impl Fn() -> F + Send + Sync + 'static,
) -> Router
where
    F: Future<Output = Result<(), String>> + Send + 'static,
{
    let info = InfoBuilder::new()
        .title(about.title)
        .description(Some(about.description))
        .version(about.version)
        .build();
    let house = House {
        metrics: metrics.clone(),
        ready: Arc::new(move || ready().boxed()),
    };
    let (router, mut openapi) =
        OpenApiRouter::with_openapi(OpenApiBuilder::new().info(info).build())
            .routes(routes!(livez))
            .routes(routes!(readyz))
            .routes(routes!(prometheus))
            .with_state(house)
            .merge(api)
            .split_for_parts();
    describe_problems(&mut openapi);
    let document = Json(serde_json::to_value(&openapi).unwrap_or_default());
    router
        .route("/openapi.json", axum::routing::get(async move || document))
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .layer(RequestBodyTimeoutLayer::new(BODY_SILENCE))
        .layer(middleware::from_fn_with_state(metrics, around))
}

/// Serves until `drain` is ready, then takes no more connections, finishes what it has begun and returns.
///
/// Not `axum::serve`, which waits for the rest of a half-sent request for ever, at any time and when it drains too.
///
/// # Errors
/// None as yet; whoever serves should not have to change when there are some.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    drain: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    serve_heads_within(HEAD_WITHIN, listener, router, drain).await
}

async fn serve_heads_within(
    head_within: Duration,
    listener: TcpListener,
    router: Router,
    drain: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(head_within);
    let connections = GracefulShutdown::new();
    let mut drain = pin!(drain);
    loop {
        let connection = tokio::select! {
            connection = listener.accept() => connection,
            () = &mut drain => break,
        };
        let connection = match connection {
            Ok((connection, _)) => connection,
            Err(error) => {
                // Either that caller is gone already, or we have too many files open: both pass.
                tracing::warn!(%error, "a connection could not be accepted: {error}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        // Answers are small and somebody waits for them.
        _ = connection.set_nodelay(true);
        let service = TowerToHyperService::new(router.clone());
        let connection = http.serve_connection(TokioIo::new(connection), service);
        let connection = connections.watch(connection);
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection ended early: {error}");
            }
        });
    }
    drop(listener);
    connections.shutdown().await;
    Ok(())
}

/// The process is alive. Asks nobody, so that an outage elsewhere restarts nothing here.
#[utoipa::path(get, path = "/livez", tag = "probes", responses((status = 200, description = "The process is alive", body = String)))]
async fn livez() -> &'static str {
    "alive\n"
}

/// The service can do its work: what it depends on answers.
#[utoipa::path(get, path = "/readyz", tag = "probes", responses((status = 200, description = "Ready for work", body = String)))]
async fn readyz(State(house): State<House>) -> Result<&'static str, Problem> {
    let ready = tokio::time::timeout(READY_WITHIN, (house.ready)()).await;
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
#[utoipa::path(get, path = "/metrics", tag = "probes", responses((status = 200, description = "Prometheus text format", body = String)))]
async fn prometheus(State(house): State<House>) -> impl IntoResponse {
    (
        [(header::CONTENT_TYPE, prometheus::TEXT_FORMAT)],
        house.metrics.render(),
    )
}

/// What happens around every request: one span, one measurement, and no error that is not a problem.
async fn around(State(metrics): State<Arc<Metrics>>, mut request: Request, next: Next) -> Response {
    let started = Instant::now();
    let method = known(request.method());
    let matched = request.extensions().get::<MatchedPath>().cloned();
    let route = matched.as_ref().map_or("unmatched", MatchedPath::as_str);
    let path = request.uri().path().to_owned();
    let caller = TraceContext::from_headers(request.headers());

    let response = if PROBES.contains(&route) {
        answer(next, request, method, &path).await
    } else {
        let mut server = telemetry::span(
            SpanKind::Server,
            &format!("{method} {route}"),
            &caller,
            || {
                let attribute = |key, value: &str| KeyValue::new(key, value.to_owned());
                vec![
                    attribute("http.request.method", method),
                    attribute("http.route", route),
                    attribute("url.path", &path),
                ]
            },
        );
        let context = server.context();
        let log = tracing::info_span!("http", method, path, trace = context.trace_id());
        request.extensions_mut().insert(context);
        let response = answer(next, request, method, &path)
            .instrument(log.clone())
            .await;
        let status = response.status().as_u16();
        server.set(KeyValue::new(
            "http.response.status_code",
            i64::from(status),
        ));
        if response.status().is_server_error() {
            server.error(
                response
                    .status()
                    .canonical_reason()
                    .unwrap_or("server error"),
            );
        }
        let took = started.elapsed();
        log.in_scope(|| tracing::debug!(status, "{method} {path} answered {status} in {took:?}"));
        response
    };
    metrics.http_request(
        route,
        method,
        response.status().as_u16(),
        started.elapsed().as_secs_f64(),
    );
    response
}

async fn answer(next: Next, request: Request, method: &str, path: &str) -> Response {
    match AssertUnwindSafe(next.run(request)).catch_unwind().await {
        Ok(response) => as_problem(response).await,
        Err(panic) => {
            let panic = message(panic.as_ref());
            tracing::error!(
                panic,
                "{method} {path} panicked, and the caller got a 500: {panic}"
            );
            Problem::internal().into_response()
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

/// The framework's own errors (404, 405, a foreign extractor's rejection) are plain text; this is where they become problems.
async fn as_problem(response: Response) -> Response {
    let status = response.status();
    let is_problem = response
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind == problem::CONTENT_TYPE);
    if is_problem || !(status.is_client_error() || status.is_server_error()) {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let text = axum::body::to_bytes(body, BODY_LIMIT)
        .await
        .unwrap_or_default();
    let text = std::str::from_utf8(&text)
        .ok()
        .filter(|text| !text.is_empty());
    let problem = by_status(status, text).into_response();
    // Whatever else the answer carried (Allow, Retry-After) stays.
    [header::CONTENT_TYPE, header::CONTENT_LENGTH]
        .iter()
        .for_each(|name| _ = parts.headers.remove(name));
    let (_, body) = problem.into_parts();
    parts.headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static(problem::CONTENT_TYPE),
    );
    Response::from_parts(parts, body)
}

/// The problem for an error of which little more than the status is known.
fn by_status(status: StatusCode, text: Option<&str>) -> Problem {
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
fn describe_problems(openapi: &mut OpenApi) {
    let components = openapi.components.get_or_insert_default();
    components
        .schemas
        .insert(Problem::name().into_owned(), Problem::schema());
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
        ("5XX", answer("The service cannot answer now")),
    ];
    for operation in openapi.paths.paths.values_mut().flat_map(operations) {
        for (status, answer) in &answers {
            operation
                .responses
                .responses
                .entry((*status).to_owned())
                .or_insert_with(|| answer.clone().into());
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

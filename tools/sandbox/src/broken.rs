//! A request below `/v1` from beginning to end, and what a switch does to it on its way. What there is to switch is in `failures`; what is done where
//! nothing goes wrong is in `api`.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Request as Http, State};
use axum::http::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode};
use futures::stream;

use super::api::{self, Answered, Request};
use super::failures::{Failure, Purpose, Thrown, When};
use super::form::Form;
use super::payment::{Now, Refusing};
use super::said::Said;
use super::secrets::fresh;
use super::server::App;

/// The most of a body that is taken, in bytes.
const BODY_MAX: usize = 64 << 10;
/// How long nothing is answered where a switch does not say how long.
const HANGS_MS: u64 = 600_000;
/// The longest idempotency key that Stripe takes.
const KEY_MAX: usize = 255;

/// Answers a request.
pub async fn answer(State(app): State<App>, http: Http) -> Response<Body> {
    let (head, body) = http.into_parts();
    let Some(asked) = api::route(&head.method, head.uri.path()) else {
        let said = Said::request("Unrecognized request URL.");
        return plain(&api::said(&Said {
            status: StatusCode::NOT_FOUND,
            ..said
        }));
    };
    let Ok(body) = axum::body::to_bytes(body, BODY_MAX).await else {
        return plain(&api::said(&Said::request("The request is too large.")));
    };
    let query = head.uri.query().unwrap_or_default();
    let fields = if body.is_empty() {
        query.as_bytes()
    } else {
        &body
    };
    let thrown = app.failures.meet(asked.purpose);
    let is_thrown = |failure| {
        let thrown = thrown.as_ref();
        thrown.is_some_and(|it: &Thrown| it.switch.failure == failure)
    };
    if is_thrown(Failure::Echo) {
        return echo(&head.headers, fields);
    }
    if let Some(thrown) = &thrown
        && let Some(answer) = before(&app, thrown).await
    {
        return answer;
    }
    if !is_let_in(&app, &head.headers) {
        return plain(&api::said(&Said::key()));
    }
    let key = head.headers.get("idempotency-key");
    let key = key.and_then(|key| key.to_str().ok()).map(str::to_owned);
    let fits = |key: &String| !key.is_empty() && key.len() <= KEY_MAX;
    if !key.as_ref().is_none_or(fits) {
        let message = "The Idempotency-Key is empty or too long.";
        return plain(&api::said(&Said::request(message)));
    }
    let request = Request {
        form: Form::read(fields),
        text: format!("{} {}", head.uri.path(), String::from_utf8_lossy(fields)),
        idempotency_key: key.filter(|_| !matches!(asked.purpose, Purpose::Read | Purpose::List)),
        broken: thrown.as_ref().and_then(|it| {
            let when = it.switch.when.unwrap_or(When::After);
            (it.switch.failure == Failure::Broken).then_some(when)
        }),
        asked,
    };
    let now = app.now(refusing(thrown.as_ref()), is_thrown(Failure::PendingRefund));
    let tells = app.webhooks.is_some();
    let answered = match api::perform(&app.store, &request, &now, tells).await {
        Ok(answered) => answered,
        Err(error) => {
            app.complain(&error);
            api::said(&Said::broken(StatusCode::INTERNAL_SERVER_ERROR))
        }
    };
    app.webhooks.iter().for_each(|it| it.notify_one());
    match thrown {
        Some(thrown) => after(&app, &thrown, &answered).await,
        None => plain(&answered),
    }
}

fn refusing(thrown: Option<&Thrown>) -> Refusing {
    Refusing(thrown.is_some_and(|it| {
        matches!(
            it.switch.failure,
            Failure::Decline | Failure::RefuseCapture | Failure::RefuseVoid | Failure::RefuseRefund
        )
    }))
}

fn is_let_in(app: &App, headers: &HeaderMap) -> bool {
    let header = headers.get(AUTHORIZATION).and_then(|it| it.to_str().ok());
    header
        .and_then(|header| header.strip_prefix("Bearer "))
        .is_some_and(|key| app.keys.takes(key.trim()))
}

/// What is answered instead of doing anything.
async fn before(app: &App, thrown: &Thrown) -> Option<Response<Body>> {
    let switch = &thrown.switch;
    let first = switch.when == Some(When::Before);
    let instead = match switch.failure {
        Failure::Down => Said::broken(StatusCode::SERVICE_UNAVAILABLE),
        Failure::RefuseKey => Said::key(),
        Failure::ForbidKey => Said::forbidden(),
        Failure::TooMany => Said::too_many(),
        Failure::InUse => Said::in_use(),
        Failure::Slow => {
            let ms = switch.ms.unwrap_or(1_000);
            tokio::time::sleep(Duration::from_millis(ms)).await;
            return None;
        }
        Failure::Hang if switch.when != Some(When::After) => {
            hang(app, thrown).await;
            return None;
        }
        failure if first => return spoilt(failure, "{}"),
        _ => return None,
    };
    let mut answer = plain(&api::said(&instead));
    if let Some(seconds) = switch.retry_after_s {
        answer.headers_mut().insert(RETRY_AFTER, seconds.into());
    }
    Some(answer)
}

/// What becomes of the answer to what was done.
async fn after(app: &App, thrown: &Thrown, answered: &Answered) -> Response<Body> {
    if thrown.switch.failure == Failure::Hang && thrown.switch.when == Some(When::After) {
        hang(app, thrown).await;
    }
    spoilt(thrown.switch.failure, &answered.body).unwrap_or_else(|| plain(answered))
}

/// Until the switch is taken back, its time is over, or the sandbox ends.
async fn hang(app: &App, thrown: &Thrown) {
    let most = Duration::from_millis(thrown.switch.ms.unwrap_or(HANGS_MS));
    tokio::select! {
        () = app.failures.gone(thrown.id) => {}
        () = tokio::time::sleep(most) => {}
        () = app.stopped() => {}
    }
}

/// An answer that nobody can use; none where the failure is another one.
fn spoilt(failure: Failure, body: &str) -> Option<Response<Body>> {
    let half = || &body[..body.floor_char_boundary(body.len() / 2)];
    let (kind, body) = match failure {
        Failure::Garbage => {
            let bytes: Vec<u8> = (0..200).map(|_| fastrand::u8(..)).collect();
            ("application/octet-stream", Body::from(bytes))
        }
        Failure::Html => {
            let page =
                "<!doctype html><title>Welcome</title><h1>We are improving things for you.</h1>";
            ("text/html", Body::from(page))
        }
        Failure::OtherShape => {
            let other =
                r#"{"data":{"type":"payments","attributes":{"state":"fine","total":"123.00"}}}"#;
            ("application/json", Body::from(other))
        }
        Failure::Truncated => ("application/json", Body::from(half().to_owned())),
        Failure::Cut => {
            let sent = Ok(Bytes::from(half().to_owned()));
            let cut = Err(std::io::Error::other("cut"));
            let mut answer = Response::new(Body::from_stream(stream::iter([sent, cut])));
            let headers = answer.headers_mut();
            headers.insert(CONTENT_LENGTH, body.len().into());
            return Some(answer);
        }
        _ => return None,
    };
    let mut answer = Response::new(body);
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    Some(answer)
}

/// A page with all that was sent.
fn echo(headers: &HeaderMap, fields: &[u8]) -> Response<Body> {
    let mut page = String::from("<!doctype html><title>Bad Request</title><pre>\n");
    for (name, value) in headers {
        page.push_str(&format!(
            "{name}: {}\n",
            String::from_utf8_lossy(value.as_bytes())
        ));
    }
    page.push_str(&format!("\n{}</pre>", String::from_utf8_lossy(fields)));
    let mut answer = Response::new(Body::from(page));
    *answer.status_mut() = StatusCode::BAD_REQUEST;
    let html = HeaderValue::from_static("text/html");
    answer.headers_mut().insert(CONTENT_TYPE, html);
    answer
}

/// An answer as it is.
fn plain(answered: &Answered) -> Response<Body> {
    let mut answer = Response::new(Body::from(answered.body.clone()));
    *answer.status_mut() = answered.status;
    let headers = answer.headers_mut();
    let json = HeaderValue::from_static("application/json");
    headers.insert(CONTENT_TYPE, json);
    if let Ok(id) = HeaderValue::try_from(format!("req_{}", fresh())) {
        headers.insert("request-id", id);
    }
    if answered.replayed {
        headers.insert("idempotent-replayed", HeaderValue::from_static("true"));
    }
    answer
}

impl App {
    fn now(&self, refusing: Refusing, pending: bool) -> Now {
        Now {
            ms: super::server::now_ms(),
            fresh: fresh(),
            hold_ms: i64::try_from(self.hold.as_millis()).unwrap_or(i64::MAX / 2),
            refusing,
            pending,
        }
    }
}

//! One request and its answer, or why there is none: form bodies, the key, the idempotency key, bounds on time and size. Not what either means.

use std::time::Duration;

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::{Method, Url};
use tokio::time::{Instant, timeout_at};

use super::policy::{Reply, Silence};
use super::wire;

/// The most of an answer that is read, in bytes; a page of a list is the largest.
const BODY_MAX: usize = 2 << 20;

/// What is asked.
pub(super) struct Asking<'a> {
    pub(super) method: Method,
    /// Below the provider's address, such as `["v1", "refunds"]`.
    pub(super) path: &'a [&'a str],
    /// The form of a POST, the query of a GET.
    pub(super) fields: &'a [(&'a str, &'a str)],
    /// The same key, the same effect: once.
    pub(super) idempotency_key: Option<&'a str>,
    /// Until when the answer has to be there.
    pub(super) until: Instant,
}

/// Who asks, and whom.
pub(super) struct Wire {
    pub(super) http: reqwest::Client,
    pub(super) base: Url,
}

impl Wire {
    /// Asks, once.
    pub(super) async fn ask(
        &self,
        asking: &Asking<'_>,
        bearer: HeaderValue,
    ) -> Result<Reply, Silence> {
        let Some(request) = self.request(asking, bearer) else {
            return Err(Silence::NotSent(String::from(
                "PROVIDER_URL cannot have a path below it",
            )));
        };
        let late = || Silence::Unknown(String::from("the provider did not answer in time"));
        let sent = timeout_at(asking.until, request.send()).await;
        let answer = sent.map_err(|_| late())?.map_err(|error| silence(&error))?;
        let (status, headers) = (answer.status(), answer.headers().clone());
        let body = timeout_at(asking.until, whole(answer)).await;
        let body = body.map_err(|_| late())??;
        Ok(Reply {
            status,
            headers,
            body,
        })
    }

    fn request(&self, asking: &Asking<'_>, bearer: HeaderValue) -> Option<reqwest::RequestBuilder> {
        let mut url = self.base.clone();
        url.path_segments_mut()
            .ok()?
            .pop_if_empty()
            .extend(asking.path);
        let form = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(asking.fields)
            .finish();
        let is_get = asking.method == Method::GET;
        if is_get && !form.is_empty() {
            url.set_query(Some(&form));
        }
        let left = asking.until.saturating_duration_since(Instant::now());
        let mut request = self
            .http
            .request(asking.method.clone(), url)
            .timeout(left.max(Duration::from_millis(1)))
            .header(AUTHORIZATION, bearer)
            .header("stripe-version", wire::VERSION);
        if !is_get {
            request = request
                .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
                .body(form);
        }
        if let Some(key) = asking.idempotency_key {
            request = request.header("idempotency-key", key);
        }
        Some(request)
    }
}

/// All of a body, or that it was not whole.
async fn whole(mut answer: reqwest::Response) -> Result<Vec<u8>, Silence> {
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(|error| silence(&error))? {
        body.extend_from_slice(&chunk);
        if body.len() > BODY_MAX {
            // What is kept of it is enough to see what it was.
            body.truncate(64 << 10);
            break;
        }
    }
    Ok(body)
}

/// Why there is no answer. The address is left out: one may have more in it than whoever reads a log should see.
fn silence(error: &reqwest::Error) -> Silence {
    let mut cause: &dyn std::error::Error = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    if error.is_connect() || error.is_builder() {
        let what = match error.is_timeout() {
            true => String::from("nobody answered the connection in time"),
            false => cause.to_string(),
        };
        return Silence::NotSent(format!("the provider cannot be reached: {what}"));
    }
    Silence::Unknown(match error.is_timeout() {
        true => String::from("the provider did not answer in time"),
        false => format!("the provider's answer did not come whole: {cause}"),
    })
}

//! The services' HTTP as a client sees it: typed where a type helps, and every refusal as words that say what to do.
//! It retries nothing: an answer is an answer, and a request that makes something carries a key when it is to be safe to repeat.

mod find;
pub mod http;
pub mod inventory;
pub mod legs;
pub mod letters;
pub mod paint;
pub mod probe;
pub mod redaction;
mod refusal;
pub mod timeline;

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow};
use booking::view::TripView;
use choreography::{Money, Position, TripId};
use jiff::Timestamp;
use leg::inventory::Imported;
use reqwest::{Method, RequestBuilder, Url};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

pub use crate::find::Typed;
use crate::paint::visible;
use crate::redaction::shown;
pub use crate::refusal::Refused;

/// The longest that a service lets a caller wait in one request.
const WAIT_MAX: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// The most of a list in one page.
const PAGE: usize = 1_000;

/// The name of the command.
pub const COMMAND: &str = "roundtrip";

/// How this program is called by whoever runs it, for hints on what to type next.
#[must_use]
pub fn invocation() -> &'static str {
    match std::env::var("CARGO_PKG_NAME") {
        Ok(name) if name == COMMAND && cfg!(debug_assertions) => "cargo run --",
        Ok(name) if name == COMMAND => "cargo run --release --",
        _ => COMMAND,
    }
}

/// A service at its address.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    url: Url,
}

/// What a traveller asks for. See [`booking::view::BookingRequest`].
#[derive(Debug, Clone, Serialize)]
pub struct Ask {
    /// The legs, in order, relayed byte for byte.
    pub itinerary: Box<RawValue>,
    /// What all of them together may cost.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub budget: Option<Money>,
    /// When booking gives up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deadline_s: Option<i64>,
    /// For whom the trip is, in the caller's own words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub traveller: Option<String>,
}

/// Some of a list, from its beginning or from where a cursor stands.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub struct Page<T> {
    /// What is in it.
    pub items: Vec<T>,
    /// Where it goes on; None at the end of the list.
    pub next_cursor: Option<String>,
    /// How many are in the whole list, where it was asked for and is known.
    #[serde(default)]
    pub total: Option<u64>,
}

/// So far the service counts a list; more is told as so many.
pub const TOTAL_MAX: u64 = runtime::http::TOTAL_MAX as u64;

/// A leg that has joined.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub struct Leg {
    /// Its name.
    pub leg: String,
    /// When it last said that it is there.
    pub seen: Timestamp,
    /// That it can't be booked: an operator has retired it.
    #[serde(default)]
    pub retired: Option<legs::Retired>,
}

/// An address as it is typed, such as `http://127.0.0.1:8080`.
///
/// # Errors
/// When it is none.
pub fn url(typed: &str) -> Result<Url> {
    typed.parse().with_context(|| {
        let typed = shown(typed);
        format!("{typed:?} is not an address such as http://127.0.0.1:8080")
    })
}

impl Client {
    /// A service at this address, such as `http://127.0.0.1:8080`.
    ///
    /// # Errors
    /// When it is no address.
    pub fn new(url: &str) -> Result<Self> {
        let url = self::url(url)?;
        let http = http::to(&url)?
            .connect_timeout(Duration::from_secs(5))
            .timeout(WAIT_MAX + Duration::from_secs(15))
            .build()?;
        Ok(Self { http, url })
    }

    /// Asks for a trip, by an [`Ask`] or what serialises like one; waits so long, within one request, for its outcome.
    ///
    /// # Errors
    /// When booking does not take it or does not answer.
    pub async fn book(
        &self,
        ask: &impl Serialize,
        key: Option<&str>,
        wait: Duration,
    ) -> Result<TripView> {
        let mut request = waiting(self.request(Method::POST, &["bookings"], &[])?, wait);
        if let Some(key) = key {
            let quoted = key.replace('\\', "\\\\").replace('"', "\\\"");
            request = request.header("idempotency-key", format!("\"{quoted}\""));
        }
        self.ask(request.json(ask)).await
    }

    /// One trip.
    ///
    /// # Errors
    /// When there is none, or booking does not answer.
    pub async fn trip(&self, trip: TripId) -> Result<TripView> {
        self.get(&["bookings", &trip.to_string()], &[]).await
    }

    /// The trip once it is final, or as it is when the time is over.
    ///
    /// # Errors
    /// As [`Client::trip`].
    pub async fn settled(&self, booking: TripView, within: Duration) -> Result<TripView> {
        let until = Instant::now() + within;
        let mut booking = booking;
        while !is_final(&booking) && Instant::now() < until {
            tokio::time::sleep(LOOK_EVERY).await;
            booking = self.trip(booking.trip).await?;
        }
        Ok(booking)
    }

    /// Cancels a trip.
    ///
    /// # Errors
    /// When there is none, or booking does not answer.
    pub async fn cancel(
        &self,
        trip: TripId,
        reason: Option<&str>,
        wait: Duration,
    ) -> Result<TripView> {
        let path = ["bookings", &trip.to_string(), "cancel"];
        let request = waiting(self.request(Method::POST, &path, &[])?, wait);
        self.ask(request.json(&serde_json::json!({ "reason": reason })))
            .await
    }

    /// Takes a position as settled, for a leg that nobody answers for.
    ///
    /// # Errors
    /// When it does not fit the trip as it stands, or booking does not answer.
    pub async fn settle(&self, trip: TripId, position: Position, reason: &str) -> Result<TripView> {
        let path = ["bookings", &trip.to_string(), "settle"];
        let request = self.request(Method::POST, &path, &[])?;
        self.ask(request.json(&serde_json::json!({ "position": position, "reason": reason })))
            .await
    }

    /// Trips, the newest first, at most so many, from where the cursor stands.
    ///
    /// # Errors
    /// When booking does not answer.
    pub async fn trips(
        &self,
        filter: &[(&str, &str)],
        most: usize,
        after: Option<String>,
    ) -> Result<Page<TripView>> {
        let filter = [filter, &[("total", "true")]].concat();
        self.list(&["bookings"], &filter, most, after).await
    }

    /// Trips that are not final, the longest unchanged first.
    ///
    /// # Errors
    /// When booking does not answer.
    pub async fn stuck(&self, older_than_s: u64, most: usize) -> Result<Vec<TripView>> {
        let older_than_s = older_than_s.to_string();
        let filter = [("older_than_s", older_than_s.as_str())];
        let path = ["bookings", "stuck"];
        Ok(self.list(&path, &filter, most, None).await?.items)
    }

    /// The legs that can be booked.
    ///
    /// # Errors
    /// When booking does not answer.
    pub async fn legs(&self) -> Result<Vec<Leg>> {
        self.get(&["legs"], &[]).await
    }

    /// Gives a leg inventory, as CSV: all of it, or nothing.
    ///
    /// # Errors
    /// When a line is not taken (the problem's `lines` say which), or the service does not answer.
    pub async fn import(&self, inventory: &str, csv: reqwest::Body) -> Result<Imported> {
        let request = self
            .request(Method::POST, &[inventory, "import"], &[])?
            .timeout(Duration::from_secs(600))
            .header("content-type", "text/csv")
            .body(csv);
        self.ask(request).await
    }

    /// Whatever is there, as JSON.
    ///
    /// # Errors
    /// When it is not there, or nobody answers.
    pub async fn get<T: DeserializeOwned>(
        &self,
        path: &[&str],
        query: &[(&str, &str)],
    ) -> Result<T> {
        self.ask(self.request(Method::GET, path, query)?).await
    }

    /// A request for a target as it stands, path and query: for whoever looks at what HTTP itself answers.
    pub fn request_to(&self, method: Method, target: &str) -> RequestBuilder {
        let base = self.url.as_str().trim_end_matches('/');
        self.http.request(method, format!("{base}{target}"))
    }

    /// A list, page by page.
    async fn list<T: DeserializeOwned>(
        &self,
        path: &[&str],
        filter: &[(&str, &str)],
        most: usize,
        after: Option<String>,
    ) -> Result<Page<T>> {
        let mut all = Page {
            items: Vec::new(),
            next_cursor: after,
            total: None,
        };
        while all.items.len() < most {
            let limit = (most - all.items.len()).min(PAGE).to_string();
            let mut query = filter.to_vec();
            query.push(("limit", &limit));
            if let Some(cursor) = &all.next_cursor {
                query.push(("cursor", cursor));
            }
            let page: Page<T> = self.get(path, &query).await?;
            all.items.extend(page.items);
            all.next_cursor = page.next_cursor;
            all.total = page.total;
            if all.next_cursor.is_none() {
                break;
            }
        }
        Ok(all)
    }

    fn request(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, &str)],
    ) -> Result<RequestBuilder> {
        let mut url = self.url.clone();
        url.path_segments_mut()
            .map_err(|()| {
                anyhow!(
                    "{} is not an address of a service",
                    shown(self.url.as_str())
                )
            })?
            .pop_if_empty()
            .extend(path);
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        Ok(self.http.request(method, url))
    }

    async fn ask<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T> {
        let answer = request.send().await.map_err(|error| self.silent(&error))?;
        let url = answer.url().clone();
        let answer = refusal::accepted(answer).await?;
        let body = answer.bytes().await.map_err(|error| self.silent(&error))?;
        serde_json::from_slice(&body).map_err(|error| {
            // It quotes what was answered.
            anyhow!(
                "what {} answered is not what Roundtrip's services answer: {}",
                shown(url.as_str()),
                visible(&error.to_string())
            )
        })
    }

    fn silent(&self, error: &reqwest::Error) -> anyhow::Error {
        let what = probe::cause(error);
        let hint = match what.contains("UnknownIssuer") {
            true => format!(
                "; name the certificate of who vouches for it with {}",
                http::CA_FILE
            ),
            false => String::new(),
        };
        anyhow!(
            "nobody can be asked at {} ({what}){hint}",
            shown(self.url.as_str())
        )
    }
}

/// Confirmed, or off with everything back.
#[must_use]
pub fn is_final(booking: &TripView) -> bool {
    use booking::core::State;
    matches!(booking.state, State::Confirmed | State::Closed)
}

fn waiting(request: RequestBuilder, wait: Duration) -> RequestBuilder {
    let seconds = wait.min(WAIT_MAX).as_secs();
    if seconds == 0 {
        request
    } else {
        request.header("prefer", format!("wait={seconds}"))
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn paths_stand_behind_whatever_path_the_address_has() {
        let url = |base: &str| {
            let client = Client::new(base).unwrap();
            let request = client
                .request(
                    Method::GET,
                    &["bookings", "a/b"],
                    &[("limit", "1"), ("cursor", "&")],
                )
                .unwrap();
            request.build().unwrap().url().to_string()
        };
        let end = "/bookings/a%2Fb?limit=1&cursor=%26";
        assert_eq!(
            url("http://127.0.0.1:8080"),
            format!("http://127.0.0.1:8080{end}")
        );
        assert_eq!(url("http://host/api/"), format!("http://host/api{end}"));
        assert!(Client::new("127.0.0.1").is_err());
    }
}

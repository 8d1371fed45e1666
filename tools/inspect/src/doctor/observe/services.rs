//! Services over HTTP.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use futures::future::join_all;
use jiff::Timestamp;
use jiff::fmt::rfc2822;
use reqwest::header::DATE;
use serde::Deserialize;

use super::{WITHIN, in_time};
use crate::doctor::ServicePlace;
use crate::doctor::observations::{
    Ahead, Booking, Joined, Letters, Metrics, Payments, Service, Unfinished,
};
use client::probe;
use client::redaction::shown;
use client::{Client, TOTAL_MAX};
use stack::SERVICES;

/// How often it is asked whether it is ready, each time on a connection of its own: a balancer then sends us to several replicas.
const ASKED: usize = 6;
/// Trips that are pending or undoing for less are at work.
const STUCK_S: u64 = 300;
const STUCK_MAX: usize = 100;
const LETTERS_MAX: usize = 100;

pub(super) async fn observe(place: &ServicePlace) -> Service {
    let mut service = Service {
        name: place.name.clone(),
        service: place.service.clone(),
        url: shown(&place.url),
        http: place.http,
        log: place.log.clone(),
        alive: Ok(()),
        ready: Vec::new(),
        clocks: Vec::new(),
        about: None,
        metrics: None,
        letters: None,
        booking: None,
        payments: None,
    };
    if !place.http {
        return service;
    }
    let http = match http(&place.url) {
        Ok(http) => http,
        Err(error) => {
            service.alive = Err(format!("{error:#}"));
            return service;
        }
    };
    let base = place.url.trim_end_matches('/');
    service.alive = alive(&http, base, SERVICES.contains(&place.service.as_str())).await;
    if service.alive.is_err() {
        return service;
    }
    let (ready, about, metrics, letters, booking, payments) = tokio::join!(
        join_all((0..ASKED).map(|_| ready(&http, base))),
        in_time(about(&http, base)),
        in_time(metrics(&http, base)),
        in_time(letters(&place.url)),
        booking(place),
        payments(place, &http),
    );
    for (answer, clock) in ready {
        service.ready.push(answer);
        service.clocks.extend(clock);
    }
    service.about = about.ok();
    service.metrics = metrics.ok();
    service.letters = Some(letters);
    service.booking = booking;
    service.payments = payments;
    service
}

async fn payments(
    place: &ServicePlace,
    http: &reqwest::Client,
) -> Option<Result<Payments, String>> {
    if place.service != payment::NAME {
        return None;
    }
    let base = place.url.trim_end_matches('/');
    Some(in_time(super::payments::observe(http, base)).await)
}

fn http(url: &str) -> Result<reqwest::Client> {
    let http = client::http::to(&client::url(url)?)?.timeout(WITHIN);
    Ok(http.pool_max_idle_per_host(0).build()?)
}

async fn alive(http: &reqwest::Client, base: &str, ours: bool) -> Result<(), String> {
    match http.get(format!("{base}/livez")).send().await {
        Ok(answer) if answer.status().is_success() => Ok(()),
        // A leg of other make need not have this path.
        Ok(answer) if !ours && answer.status().is_client_error() => Ok(()),
        // A balancer that has nobody to ask, or no service of Roundtrip at all.
        Ok(answer) => Err(format!("it answered {}", answer.status())),
        Err(error) => Err(probe::cause(&error)),
    }
}

async fn ready(http: &reqwest::Client, base: &str) -> (Result<(), String>, Option<Ahead>) {
    let asked_us = Timestamp::now().as_microsecond();
    match http.get(format!("{base}/readyz")).send().await {
        Ok(answer) => {
            let answered_us = Timestamp::now().as_microsecond();
            let date = answer
                .headers()
                .get(DATE)
                .and_then(|date| date.to_str().ok());
            let clock = date.and_then(|date| clock(date, asked_us, answered_us));
            let ready = match answer.status().is_success() {
                true => Ok(()),
                false => Err(probe::detail(&answer.text().await.unwrap_or_default())),
            };
            (ready, clock)
        }
        Err(error) => (Err(probe::cause(&error)), None),
    }
}

/// `Date` is cut to the second: the clock stood somewhere within it.
fn clock(date: &str, asked_us: i64, answered_us: i64) -> Option<Ahead> {
    let said_us = rfc2822::parse(date).ok()?.timestamp().as_microsecond();
    Some(Ahead::seen(
        (said_us, said_us + 1_000_000),
        asked_us,
        answered_us,
    ))
}

async fn about(http: &reqwest::Client, base: &str) -> Result<(String, String)> {
    #[derive(Deserialize)]
    struct Document {
        info: Info,
    }
    #[derive(Deserialize)]
    struct Info {
        title: String,
        version: String,
    }
    let answer = http.get(format!("{base}/openapi.json")).send().await?;
    let Document { info } = answer.json().await?;
    Ok((info.title, info.version))
}

async fn metrics(http: &reqwest::Client, base: &str) -> Result<Metrics> {
    let answer = http.get(format!("{base}/metrics")).send().await?;
    let text = answer.error_for_status()?.text().await?;
    Ok(Metrics {
        outbox: probe::gauge(&text, "roundtrip_outbox_depth"),
        lag: probe::gauge(&text, "roundtrip_consumer_lag"),
        anomalies: probe::by_label(&text, "roundtrip_anomalies_total", "kind"),
    })
}

async fn letters(url: &str) -> Result<Letters> {
    let found = Client::new(url)?.newest_letters(LETTERS_MAX).await?;
    let (letters, total) = (&found.items, found.total);
    let newest = letters.iter().max_by_key(|letter| letter.last_us);
    let count = total.unwrap_or(letters.len() as u64);
    Ok(Letters {
        count,
        more: match total {
            Some(total) => total >= TOTAL_MAX,
            None => letters.len() == LETTERS_MAX,
        },
        last_us: newest.map_or(0, |letter| letter.last_us),
        reason: newest
            .map(|letter| letter.reason.clone())
            .unwrap_or_default(),
    })
}

async fn booking(place: &ServicePlace) -> Option<Booking> {
    if place.service != booking::NAME {
        return None;
    }
    let (legs, unfinished) =
        tokio::join!(in_time(legs(&place.url)), in_time(unfinished(&place.url)));
    Some(Booking { legs, unfinished })
}

async fn legs(url: &str) -> Result<BTreeMap<String, Joined>> {
    let legs = Client::new(url)?.all_legs().await?;
    let leg = |leg: client::Leg| {
        let joined = Joined {
            said_us: leg.seen.as_microsecond(),
            retired: leg.retired.is_some(),
        };
        (leg.leg, joined)
    };
    Ok(legs.into_iter().map(leg).collect())
}

async fn unfinished(url: &str) -> Result<Vec<Unfinished>> {
    let trips = Client::new(url)?
        .stuck(STUCK_S, STUCK_MAX)
        .await
        .context("GET /bookings/stuck")?;
    let trip = |trip: booking::view::TripView| Unfinished {
        trip: trip.trip.to_string(),
        undoing: trip.state == booking::core::State::Undoing,
        needs_attention: trip.needs_attention,
        deadline_us: trip.deadline.as_microsecond(),
        waits_for: trip
            .waiting_for
            .into_iter()
            .map(|waits| waits.leg)
            .collect(),
    };
    Ok(trips.into_iter().map(trip).collect())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::clock;

    #[test]
    fn a_clock_is_known_as_well_as_a_date_header_tells() {
        const SECOND: i64 = 1_000_000;
        let said = 1_763_827_200 * SECOND; // Sat, 22 Nov 2025 16:00:00 GMT
        let off = |asked: i64, answered: i64| {
            let ahead = clock("Sat, 22 Nov 2025 16:00:00 GMT", asked, answered);
            ahead.unwrap().certain_us()
        };
        // Within the second that it said, and within the time that we waited, nothing is known.
        assert_eq!(off(said, said), 0);
        assert_eq!(off(said + 900_000, said + 950_000), 0);
        assert_eq!(off(said - 2 * SECOND, said + SECOND), 0);
        assert_eq!(off(said - 5 * SECOND, said - 4 * SECOND), 4 * SECOND);
        assert_eq!(off(said + 5 * SECOND, said + 6 * SECOND), -4 * SECOND);
        assert!(clock("yesterday", 0, 0).is_none());
    }
}

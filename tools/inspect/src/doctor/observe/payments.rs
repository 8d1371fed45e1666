//! What the payment leg says of its provider, and of money that waits. Not its records: those the audit compares.

use std::time::Duration;

use anyhow::Result;
use jiff::Timestamp;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::doctor::observations::{Payments, Waiting};

/// The list is asked for the oldest alone.
const CALLS: &str = "/calls?limit=1";
const ATTENTION: &str = "/payments?needs_attention=true&total=true&limit=1";

#[derive(Deserialize)]
struct Provider {
    problems: Vec<Problem>,
}

#[derive(Deserialize)]
struct Problem {
    kind: String,
    detail: String,
}

#[derive(Deserialize)]
struct Page<T> {
    items: Vec<T>,
    total: Option<u64>,
}

#[derive(Deserialize)]
struct Payment {
    trip: String,
    state: String,
    trouble: Option<String>,
}

#[derive(Deserialize)]
struct Call {
    purpose: String,
    asked_us: Option<i64>,
    problem: Option<String>,
}

pub(super) async fn observe(http: &reqwest::Client, base: &str) -> Result<Payments> {
    let provider: Provider = get(http, base, "/provider").await?;
    let attention: Page<Payment> = get(http, base, ATTENTION).await?;
    let calls: Page<Call> = get(http, base, CALLS).await?;
    let problems = provider.problems.into_iter();
    Ok(Payments {
        problems: problems.map(|it| (it.kind, it.detail)).collect(),
        attention: attention.total.unwrap_or(attention.items.len() as u64),
        first: attention.items.into_iter().next().map(|it| Waiting {
            trip: it.trip,
            state: it.state,
            trouble: it.trouble,
        }),
        oldest_call: calls.items.into_iter().next().map(|call| {
            let now_us = Timestamp::now().as_microsecond();
            let waits_us = call.asked_us.map_or(0, |asked_us| now_us - asked_us);
            let waits = Duration::from_micros(u64::try_from(waits_us).unwrap_or(0));
            let why = call
                .problem
                .unwrap_or_else(|| "no attempt failed yet".into());
            (waits.as_secs(), format!("{}: {why}", call.purpose))
        }),
    })
}

async fn get<T: DeserializeOwned>(http: &reqwest::Client, base: &str, path: &str) -> Result<T> {
    let answer = http.get(format!("{base}{path}")).send().await?;
    Ok(answer.error_for_status()?.json().await?)
}

//! `roundtrip status`: what runs, where, and whether it is ready.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use clap::Args;
use serde::{Deserialize, Serialize};

use super::folder::Folder;
use super::out;
use crate::probe::{detail, gauge};
use crate::stack::state::{ServiceState, shown};
use crate::stack::{Lock, State};

const ANSWER_WITHIN: Duration = Duration::from_secs(3);

/// Say what runs, where, and whether it is ready. Exits 0 when everything is.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  roundtrip status\n  roundtrip status --json | jq .ready")]
pub(super) struct Status {
    #[command(flatten)]
    folder: Folder,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

/// What is seen from outside.
#[derive(Debug, Serialize)]
struct Seen {
    ready: bool,
    /// Whether the start is over.
    up: bool,
    pid: Option<u32>,
    nats_url: String,
    legs: Vec<String>,
    /// Trips that are not final, counted up to a page of them.
    unfinished: Option<usize>,
    services: Vec<Service>,
}

#[derive(Debug, Serialize)]
struct Service {
    name: String,
    url: String,
    pid: Option<u32>,
    ready: bool,
    /// What it says, or who is silent.
    missing: Option<String>,
    outbox: Option<u64>,
    lag: Option<u64>,
}

impl Status {
    pub(super) async fn run(self) -> Result<ExitCode> {
        let folder = &self.folder.path;
        let up = Lock::holder(folder)?;
        let state = State::read(folder)?.filter(|_| up.is_some());
        let Some(state) = state else {
            let me = crate::invocation();
            let word = match up {
                Some(_) => String::from("is only starting; look again in a moment"),
                None => format!("does not run; start it with `{me} up`"),
            };
            if self.json {
                out::json(&serde_json::json!({"ready": false, "up": false, "services": []}))?;
            } else {
                out::line(&format!("the stack in {} {word}", folder.display()));
            }
            return Ok(ExitCode::FAILURE);
        };
        let http = reqwest::Client::builder().timeout(ANSWER_WITHIN).build()?;
        let services = state.services.iter().map(|service| look(&http, service));
        let services = futures::future::join_all(services).await;
        let booking = state.url(booking::NAME).unwrap_or_default();
        let seen = Seen {
            up: state.up,
            ready: state.up && services.iter().all(|service| service.ready),
            pid: up.map(|up| up.pid),
            nats_url: shown(&state.nats_url),
            legs: legs(&http, booking).await.unwrap_or_default(),
            unfinished: unfinished(&http, booking).await,
            services,
        };
        if self.json {
            out::json(&seen)?;
        } else {
            show(&seen);
        }
        Ok(if seen.ready {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        })
    }
}

async fn look(http: &reqwest::Client, service: &ServiceState) -> Service {
    let missing = match http.get(format!("{}/readyz", service.url)).send().await {
        Ok(answer) if answer.status().is_success() => None,
        Ok(answer) => Some(detail(&answer.text().await.unwrap_or_default())),
        Err(_) => Some(String::from("it does not answer")),
    };
    let metrics = match http.get(format!("{}/metrics", service.url)).send().await {
        Ok(answer) => answer.text().await.unwrap_or_default(),
        Err(_) => String::new(),
    };
    let process = service.process.as_ref().filter(|process| process.lives());
    Service {
        name: service.name.clone(),
        url: service.url.clone(),
        pid: process.map(|process| process.pid),
        ready: missing.is_none(),
        missing,
        outbox: gauge(&metrics, "roundtrip_outbox_depth"),
        lag: gauge(&metrics, "roundtrip_consumer_lag"),
    }
}

async fn legs(http: &reqwest::Client, booking: &str) -> Option<Vec<String>> {
    #[derive(Deserialize)]
    struct Leg {
        leg: String,
    }
    let answer = http.get(format!("{booking}/legs")).send().await.ok()?;
    let legs: Vec<Leg> = answer.json().await.ok()?;
    Some(legs.into_iter().map(|leg| leg.leg).collect())
}

async fn unfinished(http: &reqwest::Client, booking: &str) -> Option<usize> {
    #[derive(Deserialize)]
    struct Page {
        items: Vec<serde_json::Value>,
    }
    let url = format!("{booking}/bookings/stuck?limit={UNFINISHED_MAX}");
    let page: Page = http.get(url).send().await.ok()?.json().await.ok()?;
    Some(page.items.len())
}

const UNFINISHED_MAX: usize = 100;

fn show(seen: &Seen) {
    let number = |number: Option<u64>| number.map_or_else(|| "?".into(), |n| n.to_string());
    let rows = seen.services.iter().map(|service| {
        [
            service.name.clone(),
            service.url.clone(),
            number(service.pid.map(u64::from)),
            number(service.outbox),
            number(service.lag),
            service.missing.clone().unwrap_or_else(|| "ready".into()),
        ]
    });
    out::line(&out::table(
        ["service", "at", "pid", "outbox", "lag", "state"],
        rows,
    ));
    if !seen.up {
        out::line("it is only starting");
    }
    out::line(&format!("broker: {}", seen.nats_url));
    out::line(&format!(
        "legs that can be booked: {}",
        seen.legs.join(", ")
    ));
    if let Some(count) = seen.unfinished {
        let more = if count == UNFINISHED_MAX {
            " or more"
        } else {
            ""
        };
        out::line(&format!("trips that are not final: {count}{more}"));
    }
}

//! `roundtrip status`: what runs, where, and whether it is ready. Not what is wrong: that is for `doctor`.

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use clap::Args;
use serde::{Deserialize, Serialize};

use super::address::{Addresses, BrokerAddress, Found};
use super::out;
use client::paint::visible;
use client::probe::{detail, gauge};
use client::redaction::shown;
use client::{Client, Leg};
use inspect::audit::Nats;
use inspect::doctor;
use stack::state::ServiceState;

const ANSWER_WITHIN: Duration = Duration::from_secs(3);

/// Say what runs, where, and whether it is ready: the stack in the folder, or the services whose addresses are given. Exits 0 when
/// everything is.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  roundtrip status\n  roundtrip status --json | jq .ready\n  roundtrip status --url http://127.0.0.1:8080 --service flight=http://127.0.0.1:8081 --service hotel=http://127.0.0.1:8082"
)]
pub(crate) struct Status {
    /// As JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    places: Addresses,
    #[command(flatten)]
    broker: BrokerAddress,
}

/// What is seen from outside.
#[derive(Debug, Serialize)]
struct Seen {
    ready: bool,
    /// Whether the start is over.
    up: bool,
    pid: Option<u32>,
    /// None of services that were named by their addresses.
    nats_url: Option<String>,
    legs: Vec<String>,
    /// Of these, the ones that nobody listens for at the broker: trips with them wait. None where the broker does not say.
    silent: Option<Vec<String>>,
    /// Legs that an operator has retired.
    retired: Vec<String>,
    /// Trips that are not final, counted up to a page of them.
    unfinished: Option<usize>,
    services: Vec<Service>,
    /// Where the payment provider on this machine is, if there is one.
    provider_url: Option<String>,
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
    pub(crate) async fn run(self) -> Result<ExitCode> {
        let found = self.places.look(Vec::new(), &self.broker)?;
        let elsewhere = self.places.is_elsewhere(&[]);
        let up = elsewhere || found.home.as_ref().is_some_and(|home| home.up);
        if !elsewhere && (found.holder.is_none() || found.home.is_none()) {
            return self.silent(found.holder.is_some());
        }
        let seen = see(&found, up).await?;
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

    /// There is nothing to look at in the folder.
    fn silent(&self, starting: bool) -> Result<ExitCode> {
        let me = client::invocation();
        let word = if starting {
            String::from("is only starting; look again in a moment")
        } else {
            format!("does not run; start it with `{me} up`")
        };
        if self.json {
            out::json(&serde_json::json!({"ready": false, "up": false, "services": []}))?;
        } else {
            let folder = self.places.folder().shown();
            out::line(&format!("the stack in {folder} {word}"));
        }
        Ok(ExitCode::FAILURE)
    }
}

async fn see(found: &Found, up: bool) -> Result<Seen> {
    let services = &found.services;
    let booking = services
        .iter()
        .find(|service| service.service == booking::NAME)
        .map(|service| service.url.trim_end_matches('/'))
        .unwrap_or_default();
    let http = http(booking).ok();
    let (looks, legs, unfinished, silent) = tokio::join!(
        futures::future::try_join_all(services.iter().map(look)),
        legs(booking),
        unfinished(http.as_ref(), booking),
        silent(found.broker.as_ref()),
    );
    let looks = looks?;
    let (retired, legs): (Vec<Leg>, Vec<Leg>) =
        legs.into_iter().partition(|leg| leg.retired.is_some());
    let names = |legs: Vec<Leg>| legs.into_iter().map(|leg| leg.leg).collect::<Vec<_>>();
    let (retired, legs) = (names(retired), names(legs));
    Ok(Seen {
        up,
        ready: up && looks.iter().all(|service| service.ready),
        pid: found.holder.as_ref().map(|holder| holder.pid),
        nats_url: found.broker.as_ref().map(|nats| format!("{nats:?}")),
        silent: silent.map(|silent| {
            let of_these = legs.iter().filter(|leg| silent.contains(*leg));
            of_these.cloned().collect()
        }),
        legs,
        retired,
        unfinished,
        services: looks,
        provider_url: found.provider_url.clone(),
    })
}

/// Legs that nobody listens for. None where the broker does not say.
async fn silent(broker: Option<&Nats>) -> Option<BTreeSet<String>> {
    doctor::silent(broker?).await.ok()
}

fn http(url: &str) -> Result<reqwest::Client> {
    Ok(client::http::to(&client::url(url)?)?
        .timeout(ANSWER_WITHIN)
        .build()?)
}

async fn look(service: &ServiceState) -> Result<Service> {
    let url = service.url.trim_end_matches('/');
    let process = service.process.as_ref().filter(|process| process.lives());
    let pid = process.map(|process| process.pid);
    if !service.http {
        let missing = pid.is_none().then(|| String::from("it does not run"));
        return Ok(Service {
            name: service.name.clone(),
            url: String::from("-"),
            pid,
            ready: missing.is_none(),
            missing,
            outbox: None,
            lag: None,
        });
    }
    let http = http(url)?;
    let missing = match http.get(format!("{url}/readyz")).send().await {
        Ok(answer) if answer.status().is_success() => None,
        Ok(answer) => Some(detail(&answer.text().await.unwrap_or_default())),
        Err(_) => Some(String::from("it does not answer")),
    };
    let metrics = match http.get(format!("{url}/metrics")).send().await {
        Ok(answer) => answer.text().await.unwrap_or_default(),
        Err(_) => String::new(),
    };
    Ok(Service {
        name: service.name.clone(),
        url: shown(&service.url),
        pid,
        ready: missing.is_none(),
        missing,
        outbox: gauge(&metrics, "roundtrip_outbox_depth"),
        lag: gauge(&metrics, "roundtrip_consumer_lag"),
    })
}

async fn legs(booking: &str) -> Vec<Leg> {
    let legs = async { Client::new(booking)?.all_legs().await };
    let legs = tokio::time::timeout(ANSWER_WITHIN, legs).await;
    legs.map_or_else(|_| Vec::new(), Result::unwrap_or_default)
}

async fn unfinished(http: Option<&reqwest::Client>, booking: &str) -> Option<usize> {
    #[derive(Deserialize)]
    struct Page {
        items: Vec<serde_json::Value>,
    }
    let url = format!("{booking}/bookings/stuck?limit={UNFINISHED_MAX}");
    let page: Page = http?.get(url).send().await.ok()?.json().await.ok()?;
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
    if let Some(nats_url) = &seen.nats_url {
        out::line(&format!("broker: {}", visible(nats_url)));
    }
    if let Some(provider) = &seen.provider_url {
        out::line(&format!(
            "payment provider that moves no money: {}",
            visible(provider)
        ));
    }
    let legs = seen.legs.join(", ");
    out::line(&format!("legs that can be booked: {}", visible(&legs)));
    if !seen.retired.is_empty() {
        out::line(&format!(
            "legs that are retired: {}",
            visible(&seen.retired.join(", "))
        ));
    }
    if let Some(silent) = seen.silent.as_ref().filter(|silent| !silent.is_empty()) {
        let silent = silent.join(", ");
        let me = client::invocation();
        out::line(&format!(
            "nobody listens for {}: trips with it wait; see `{me} doctor`",
            visible(&silent)
        ));
    }
    if let Some(count) = seen.unfinished {
        let more = if count == UNFINISHED_MAX {
            " or more"
        } else {
            ""
        };
        out::line(&format!("trips that are not final: {count}{more}"));
    }
}

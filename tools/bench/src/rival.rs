//! Two-phase commit beside the saga: its tables in the stack's own databases, and its coordinators as processes of their own, which can be
//! killed. What they do is `tools/two-phase`.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::time::Duration;

use anyhow::{Context as _, Result};
use stack::service::{ServiceProcess, Spec};
use stack::{Options, Stack};
use two_phase::Databases;
use two_phase::audit::{self, Report};

use super::load::Window;
use super::prometheus::Page;

/// How long a coordinator may take to start: one that follows a dead one of its name waits until the server has noticed.
pub(crate) const READY_WITHIN: Duration = Duration::from_secs(30);
/// What a server of the stack's own is started with where two-phase commit is measured: two coordinators of 128 trips with two parts each,
/// and room. The saga is measured on the same server.
pub const SERVER_SETTINGS: [&str; 1] = ["max_prepared_transactions=600"];

/// What the coordinators have counted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Counted {
    pub(crate) trips: f64,
    pub(crate) round_trips: f64,
}

/// Its coordinators, and where their trips are.
#[derive(Debug)]
pub struct Rival {
    coordinators: Vec<ServiceProcess>,
    databases: Databases,
    http: reqwest::Client,
}

impl Rival {
    /// Makes its tables, with the stock that the stack has now, and starts a coordinator of each name.
    pub(crate) async fn start(stack: &Stack, names: &[&str]) -> Result<Self> {
        let url = |service: &str| {
            let url = stack.databases().get(service).cloned();
            url.with_context(|| format!("no database of {service}"))
        };
        let databases = Databases {
            booking_database_url: url(booking::NAME)?,
            flight_database_url: url(flight::SPEC.name)?,
            hotel_database_url: url(hotel::SPEC.name)?,
        };
        two_phase::set_up(&databases).await?;
        let mut coordinators = Vec::new();
        for name in names {
            let process = ServiceProcess::start(spec(stack, name, &databases)?)?;
            coordinators.push(process);
        }
        let http = stack.http().clone();
        for coordinator in &mut coordinators {
            coordinator.wait_ready(&http, READY_WITHIN).await?;
        }
        Ok(Self {
            coordinators,
            databases,
            http,
        })
    }

    pub(crate) fn databases(&self) -> &Databases {
        &self.databases
    }

    /// Where each listens.
    pub(crate) fn urls(&self) -> Vec<String> {
        self.coordinators.iter().map(ServiceProcess::url).collect()
    }

    pub(crate) fn pids(&self) -> Vec<u32> {
        let pids = self.coordinators.iter().filter_map(ServiceProcess::pid);
        pids.collect()
    }

    /// The last of them, to be killed.
    pub(crate) fn last(&mut self) -> Result<&mut ServiceProcess> {
        self.coordinators.last_mut().context("no coordinator")
    }

    /// What all of them have counted; None where one does not answer.
    pub(crate) async fn counted(&self) -> Option<Counted> {
        let mut all = Counted {
            trips: 0.0,
            round_trips: 0.0,
        };
        for url in self.urls() {
            let page = Page::of(&self.http, &url).await?;
            all.trips += page.sum("two_phase_trips_total")?;
            all.round_trips += page.sum("two_phase_round_trips_total")?;
        }
        Some(all)
    }

    /// What they have counted as measuring begins, and as it ends.
    pub(crate) async fn edges(rival: Option<&Self>, window: Window) -> Option<[Counted; 2]> {
        let rival = rival?;
        tokio::time::sleep_until(window.from.into()).await;
        let before = rival.counted().await?;
        tokio::time::sleep_until(window.until.into()).await;
        Some([before, rival.counted().await?])
    }

    /// Stops the coordinators, for whoever ends early: each ends the trips that it has under way, and takes no other.
    ///
    /// # Errors
    /// When one cannot be signalled; the others are stopped all the same.
    pub async fn stop(&mut self) -> Result<()> {
        let mut results = Vec::new();
        for coordinator in &mut self.coordinators {
            results.push(coordinator.stop().await);
        }
        results.into_iter().collect()
    }

    /// Waits until nothing is in doubt, audits, and stops the coordinators.
    pub(crate) async fn end(&mut self, within: Duration) -> Result<Report> {
        let report = audit::wait_until_clean(&self.databases, within).await?;
        for coordinator in &mut self.coordinators {
            coordinator.stop().await?;
        }
        Ok(report)
    }
}

fn spec(stack: &Stack, name: &str, databases: &Databases) -> Result<Spec> {
    let env = [
        (
            "BOOKING_DATABASE_URL",
            databases.booking_database_url.as_str(),
        ),
        (
            "FLIGHT_DATABASE_URL",
            databases.flight_database_url.as_str(),
        ),
        ("HOTEL_DATABASE_URL", databases.hotel_database_url.as_str()),
        ("COORDINATOR", name),
    ];
    let own = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    let log = format!("two-phase-{name}.log");
    Ok(Spec {
        name: format!("two-phase-{name}"),
        program: stack::program(&Options::temporary())?,
        args: ["two-phase", "serve"].map(OsString::from).to_vec(),
        env: env.map(own).into_iter().collect::<BTreeMap<_, _>>(),
        log: stack.folder().join("logs").join(log),
        port: None,
        folder: None,
    })
}

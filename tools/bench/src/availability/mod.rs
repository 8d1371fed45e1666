//! What each protocol does while something is away: a database, the process that decides, a database until the load is over. On a stack of
//! its own, with two processes of each service, two coordinators, and a PostgreSQL server for hotel alone. All times are bounded, and every
//! event ends with the audit.

mod play;
mod seen;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use anyhow::Result;
use inspect::audit::{self, Nats, Part, Parts};
use serde::Serialize;
use stack::{DatabaseChoice, Options, Stack, inventory};

use super::protocol::Protocol;
use super::rival::{Rival, SERVER_SETTINGS};
use super::stock::Stock;

/// Callers of each event.
const CALLERS: u32 = 32;
/// How long something is away.
const AWAY_FOR: Duration = Duration::from_secs(10);
/// How long trips under way and everything in doubt may take to end afterwards: a trip of the saga that lost its hotel ends by its deadline.
const SETTLED_WITHIN: Duration = Duration::from_secs(150);

/// What happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Event {
    /// Hotel's database server is killed, and comes back after ten seconds.
    DatabaseAway,
    /// Of two processes that decide, one is killed while a trip is between prepare and commit, and comes back after ten seconds. All trips
    /// want the same flight.
    CoordinatorKilled,
    /// Hotel's database server is killed, and does not come back while trips are booked; only for the audit.
    ParticipantLost,
}

impl Event {
    /// All of them.
    pub const ALL: [Self; 3] = [
        Self::DatabaseAway,
        Self::CoordinatorKilled,
        Self::ParticipantLost,
    ];
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::DatabaseAway => "hotel's database away",
            Self::CoordinatorKilled => "coordinator killed",
            Self::ParticipantLost => "hotel's database away to the end",
        })
    }
}

/// What came of an event.
#[derive(Debug, Clone, Serialize)]
pub struct Outcome {
    /// What happened.
    pub event: Event,
    /// To whom.
    pub protocol: Protocol,
    /// How many asked, each for one trip after the other.
    pub callers: u32,
    /// From the kill until what was killed was there again, or the load ended.
    pub away_s: f64,
    /// Trips completed each second before.
    pub before_per_s: f64,
    /// And while it was away.
    pub during_per_s: f64,
    /// And afterwards; null where it did not come back.
    pub after_per_s: Option<f64>,
    /// Requests that failed while it was away.
    pub failed_during: u64,
    /// Trips that callers waited for when it came back, or the load ended.
    pub waiting_at_end: u64,
    /// What went wrong, and how often, over all of it.
    pub errors: BTreeMap<String, u64>,
    /// The longest time without a completed trip, from the kill on.
    pub longest_silence_s: f64,
    /// How long seats stayed locked by the trips of a coordinator that was killed; null of other events, and of the saga, which locks nothing
    /// beyond a transaction.
    pub locked_s: Option<f64>,
    /// The most parts that lay in doubt in flight's database from the kill on, those of trips under way among them; null of the saga.
    pub in_doubt_max: Option<u64>,
    /// The most statements that waited for a lock in flight's database from the kill on; null of the saga.
    pub lock_waiters_max: Option<u64>,
    /// From the end of the load until every trip was final and the audit clean.
    pub settled_s: f64,
    /// Whether it was clean then.
    pub clean: bool,
    /// What was not as it has to be.
    pub violations: Vec<String>,
}

/// A stack to which things happen.
struct Stage {
    stack: Stack,
    rival: Option<Rival>,
}

/// Has every event happen to each protocol.
///
/// # Errors
/// When the stack does not start, or something cannot be killed or started again.
pub async fn measure(protocols: &[Protocol], say: stack::Say<'_>) -> Result<Vec<Outcome>> {
    let options = Options {
        replicas: 2,
        database: DatabaseChoice::Local,
        server_settings: SERVER_SETTINGS.map(String::from).to_vec(),
        apart: vec![hotel::SPEC.name.to_owned()],
        sample: false,
        ..Options::temporary()
    }
    .set("LOG", "warn");
    let stack = Stack::start(&options, say).await?;
    let stock = Stock::own(false)?;
    let (flight, hotel) = (stack.url(flight::SPEC.name)?, stack.url(hotel::SPEC.name)?);
    inventory::import(stack.http(), &format!("{flight}/flights"), stock.flights()).await?;
    inventory::import(stack.http(), &format!("{hotel}/hotels"), stock.hotels()).await?;
    let rival = match protocols.contains(&Protocol::TwoPhase) {
        true => Some(Rival::start(&stack, &["one", "two"]).await?),
        false => None,
    };
    let mut stage = Stage { stack, rival };
    let mut outcomes = Vec::new();
    for event in Event::ALL {
        for protocol in protocols {
            say(&format!("{event}: {protocol}"));
            outcomes.push(stage.play(event, *protocol).await?);
        }
    }
    drop(stage.rival);
    stage.stack.stop().await?;
    Ok(outcomes)
}

impl Stage {
    /// Waits until everything is final, and says what is not as it has to be.
    async fn audit(&self, protocol: Protocol) -> Result<Vec<String>> {
        if let (Protocol::TwoPhase, Some(rival)) = (protocol, &self.rival) {
            let report =
                two_phase::audit::wait_until_clean(rival.databases(), SETTLED_WITHIN).await?;
            return Ok(report.violations);
        }
        let part = |(name, url): (&String, &String)| Part {
            name: Some(name.clone()),
            url: url.clone(),
        };
        let parts = Parts {
            databases: self.stack.databases().iter().map(part).collect(),
            nats: Some(Nats::at(self.stack.nats_url())),
            ..Parts::default()
        };
        let report = audit::wait_until_clean(&parts, SETTLED_WITHIN).await;
        let all = report.violations.iter().chain(&report.moving);
        Ok(all.chain(&report.unreached).cloned().collect())
    }
}

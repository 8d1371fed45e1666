//! Ends what is in doubt: parts that lie prepared and whose trip is not under way in this process, because an earlier one or another
//! coordinator died (its name is free then), or because a database was away when it was to hear the decision. By the decision in booking's database; where there is none, it is decided against, in
//! writing: one that is still on its way there comes too late then.
//!
//! It looks again and again, and not only at the start: a part can be prepared after its coordinator died, by a statement that was on its way.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use futures::future::join_all;
use sqlx::Connection as _;
use sqlx::postgres::PgConnection;
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::audit::PREFIX;
use crate::coordinator::Coordinator;
use crate::database::{Fault, Participant};
use crate::faults::{self, Guard};
use crate::settings::Settings;
use crate::trip::{coordinator_of, prefix, trip_of};

/// How long a process that has our name may take to be gone: one that was killed leaves a connection that the server has to notice.
const NAME_WITHIN: Duration = Duration::from_secs(15);

/// Takes the name, looks once everywhere, and goes on looking until it is aborted.
///
/// # Errors
/// When another process has the name, booking's database is away, or a database prepares nothing.
pub(crate) async fn begin(
    settings: &Settings,
    coordinator: Arc<Coordinator>,
) -> Result<JoinHandle<()>> {
    let mut name = Name {
        name: settings.name.clone(),
        held: None,
    };
    let until = Instant::now() + NAME_WITHIN;
    loop {
        match name.hold(&coordinator).await {
            Ok(true) => break,
            Ok(false) if Instant::now() >= until => bail!(
                "another coordinator is called {:?}: give this one a name of its own with --name",
                settings.name
            ),
            Err(fault) if Instant::now() >= until => {
                bail!("booking's database cannot be reached: {fault}")
            }
            _ => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
    check_room(&coordinator, settings).await?;
    sweep(&coordinator, settings).await;
    let (settings, every) = (settings.clone(), settings.sweep_interval());
    Ok(tokio::spawn(async move {
        loop {
            warm(&coordinator).await;
            tokio::time::sleep(every).await;
            // Whoever lost the name ends nothing until it is his again.
            if matches!(name.hold(&coordinator).await, Ok(true)) {
                sweep(&coordinator, &settings).await;
            }
        }
    }))
}

/// The coordinator's name, as a lock in booking's database.
struct Name {
    name: String,
    held: Option<PgConnection>,
}

impl Name {
    /// Whether it is ours; asked for again when the connection that held it is lost.
    async fn hold(&mut self, coordinator: &Coordinator) -> Result<bool, Fault> {
        if let Some(mut held) = self.held.take() {
            let alive = tokio::time::timeout(Duration::from_secs(5), held.ping()).await;
            if matches!(alive, Ok(Ok(()))) {
                self.held = Some(held);
                return Ok(true);
            }
        }
        self.held = coordinator.booking.take_name(&self.name).await?;
        Ok(self.held.is_some())
    }
}

/// Connects where connections are missing. A database that is away is connected to when it is asked.
async fn warm(coordinator: &Coordinator) {
    for participant in coordinator.participants() {
        let _ = participant.warm().await;
    }
    let _ = coordinator.booking.warm().await;
}

/// Looks once at every database that answers, at all of them at a time: one that is away keeps none of the others waiting.
async fn sweep(coordinator: &Coordinator, settings: &Settings) {
    if faults::is_off(Guard::Recovery) {
        return;
    }
    let looking = coordinator.participants().iter().map(async |participant| {
        let site = participant.site().as_str();
        if let Err(fault) = end_in_doubt(coordinator, participant, &settings.name).await {
            tracing::warn!(site, %fault, "cannot be asked for what is in doubt; asked again");
        }
    });
    join_all(looking).await;
}

/// What lies prepared at one database: our own, and that of every coordinator that is dead, which is one whose name can be taken.
async fn end_in_doubt(
    coordinator: &Coordinator,
    participant: &Participant,
    own: &str,
) -> Result<(), Fault> {
    let mut by_name: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for gid in participant.in_doubt(PREFIX).await? {
        if let Some(name) = coordinator_of(&gid) {
            by_name.entry(name.to_owned()).or_default().push(gid);
        }
    }
    for (name, found) in by_name {
        if name == own {
            end_all(coordinator, participant, &name, found).await?;
            continue;
        }
        // Kept until its parts are ended: a process that starts under that name waits so long. Asked after they were found, so what it
        // ended itself is gone; and were it alive after all, without its lock, the decision that is written first stands for both.
        let Some(taken) = coordinator.booking.take_name(&name).await? else {
            continue;
        };
        let ended = end_all(coordinator, participant, &name, found).await;
        let _ = tokio::time::timeout(Duration::from_secs(5), taken.close()).await;
        ended?;
    }
    Ok(())
}

/// Ends these parts of one coordinator by what is decided, but those of trips that are under way in this process.
async fn end_all(
    coordinator: &Coordinator,
    participant: &Participant,
    name: &str,
    found: Vec<String>,
) -> Result<(), Fault> {
    let prefix = prefix(name);
    // Asked after they were found: a trip that has ended meanwhile has ended them as well, or left them to us.
    let named = |gid: &String| Some((gid.clone(), trip_of(gid, &prefix)?));
    let found: Vec<(String, Uuid)> = found
        .iter()
        .filter_map(named)
        .filter(|(_, trip)| !coordinator.is_active(*trip))
        .collect();
    if found.is_empty() {
        return Ok(());
    }
    let trips: BTreeSet<Uuid> = found.iter().map(|(_, trip)| *trip).collect();
    let trips: Vec<Uuid> = trips.into_iter().collect();
    let decided = coordinator.booking.decided_or_aborted(&trips).await?;
    for (gid, trip) in found {
        let Some(commit) = decided.get(&trip).copied() else {
            continue;
        };
        // One that cannot be ended keeps none of the others locked.
        match participant.end(&gid, commit).await {
            Ok(()) => {
                let counter = &coordinator.counters.recovered;
                counter.fetch_add(1, Ordering::Relaxed);
                tracing::warn!(%gid, commit, "it was in doubt, and is ended");
            }
            Err(fault) => tracing::warn!(%gid, commit, %fault, "still in doubt; tried again"),
        }
    }
    Ok(())
}

/// Every database that answers can prepare as much as trips are under way, both parts of each where they are on one server. Other
/// coordinators there need as much again, and nobody here knows of them.
async fn check_room(coordinator: &Coordinator, settings: &Settings) -> Result<()> {
    let mut needed: BTreeMap<String, u32> = BTreeMap::new();
    for participant in coordinator.participants() {
        let Ok(server) = participant.server().await else {
            continue;
        };
        let needs = needed.entry(server.which).or_default();
        *needs += u32::from(settings.in_flight_max);
        ensure!(
            server.prepares >= *needs,
            "the server of {}'s database prepares {} transactions at most, and {} trips at a time need {needs} there: set max_prepared_transactions to that or more in its postgresql.conf and restart it, or give a smaller --in-flight-max",
            participant.site().as_str(),
            server.prepares,
            settings.in_flight_max,
        );
    }
    Ok(())
}

//! The floor: the same parts with nothing of ours, and what they cost for each trip. The same requests answered by a bare server (`http`),
//! the same messages through a bare broker (`messages`), the same rows into a bare database (`rows`), one part after the other at full
//! speed, after all runs. A floor and no goal: no service does without deciding anything.

mod http;
mod messages;

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike as _;
use serde::Serialize;
use stack::Stack;

use super::database::{Counting, rows};
use super::distribution::round;
use super::load::Pace;
use super::report::Run;
use super::spread::Spread;
use super::stock::Stock;
use super::usage::{BENCH, Usage, processes};

/// How long each part is driven.
const TIME: Duration = Duration::from_secs(2);

/// What raw parts cost for a trip, in microseconds of CPU time.
#[derive(Debug, Clone, Serialize)]
pub struct Floor {
    /// All of it; null where a part is not known.
    pub cpu_all_per_trip_us: Option<f64>,
    /// All but the load generator: what answers, carries and keeps.
    pub cpu_served_per_trip_us: Option<f64>,
    /// `http-client`, `http-server`, `messages` (the clients), `nats`, `rows` (the clients; on SQLite the database too), `postgres`.
    pub cpu_per_trip_us: BTreeMap<String, Option<f64>>,
    /// So many times the floor is what a trip cost: everything over everything.
    pub ratio: Option<f64>,
    /// The same without the load generators.
    pub ratio_served: Option<f64>,
    /// HTTP requests of a trip.
    pub requests_per_trip: f64,
    /// Messages published for a trip.
    pub messages_per_trip: f64,
    /// Rows written for a trip by service and table: inserted, updated, deleted.
    pub rows_per_trip: BTreeMap<String, [f64; 3]>,
    /// Trips in one transaction, by service.
    pub trips_per_commit: BTreeMap<String, f64>,
}

/// CPU time that this process has used.
fn own_cpu_us() -> Option<f64> {
    cpu_us(UsageWho::RUSAGE_SELF)
}

fn cpu_us(who: UsageWho) -> Option<f64> {
    let usage = getrusage(who).ok()?;
    let us = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    Some(us as f64)
}

/// What cost the trips of these runs, in the median: by a part's name.
fn median(runs: &[Run], of: impl Fn(&super::cost::Cost) -> Option<f64>) -> Option<f64> {
    Spread::of(runs.iter().filter_map(|run| of(run.cost.as_ref()?))).map(|spread| spread.median)
}

/// Measures it for trips like those of these runs; `drive` has such trips made for a while, and says how many.
pub(crate) async fn measure(
    stack: &Stack,
    stock: &Stock,
    pace: Pace,
    runs: &[Run],
    drive: impl AsyncFn(Duration) -> Result<u64>,
) -> Result<Option<Floor>> {
    let Some(last) = runs.iter().rfind(|run| run.cost.is_some()) else {
        return Ok(None);
    };
    let under_way = match (pace, &last.latency) {
        (Pace::Callers(callers), _) => callers as usize,
        // As many as are under way on average.
        (Pace::Rate(_), took) => {
            let mean_s = took.as_ref().map_or(0.0, |took| took.mean_ms / 1e3);
            (last.trips_per_s * mean_s).ceil() as usize
        }
    };
    let under_way = under_way.clamp(1, 4_096);
    let (asked, answered) = (stock.itinerary(false), last.answer_bytes);
    let requests = http::measure(asked, answered, under_way, TIME).await?;
    let said = |name: &str| median(runs, |cost| cost.facts_out_per_trip.get(name).copied());
    let said: f64 = stack::SERVICES.iter().filter_map(|name| said(name)).sum();
    let messages = messages::measure(stack, under_way, TIME).await?;
    let (rows_per_trip, written) = count(stack, &drive).await?;
    let mut parts = BTreeMap::from([
        (
            String::from("http-client"),
            requests.client_us.map(|us| us * last.requests_per_trip),
        ),
        (
            String::from("http-server"),
            requests.server_us.map(|us| us * last.requests_per_trip),
        ),
        (
            String::from("messages"),
            messages.clients_us.map(|us| us * said),
        ),
        (String::from("nats"), messages.server_us.map(|us| us * said)),
    ]);
    let (client, server, trips_per_commit) = write(stack, runs, &written).await?;
    parts.insert(String::from("rows"), client);
    if stack
        .databases()
        .values()
        .any(|url| super::database::is_server(url))
    {
        parts.insert(String::from("postgres"), server);
    }
    Ok(Some(Floor::new(
        parts,
        runs,
        last,
        said,
        rows_per_trip,
        trips_per_commit,
    )))
}

/// Rows as the services write them: what they cost the client and the server for a trip, and how many trips share a transaction.
async fn write(
    stack: &Stack,
    runs: &[Run],
    written: &Tables,
) -> Result<(Option<f64>, Option<f64>, BTreeMap<String, f64>)> {
    let mut trips_per_commit = BTreeMap::new();
    let (mut client, mut server) = (Some(0.0), Some(0.0));
    for (name, url) in stack.databases() {
        let commits = median(runs, |cost| cost.commits_per_trip.get(name).copied());
        let (Some(commits), Some(tables)) = (commits.filter(|c| *c > 0.0), written.get(name))
        else {
            client = None;
            continue;
        };
        let trips = 1.0 / commits;
        trips_per_commit.insert(name.clone(), round(trips));
        let file = stack
            .folder()
            .join(format!("floor-{name}-{:08x}.db", fastrand::u32(..)));
        // Connecting, making tables and dropping them is no trip's.
        let read = || (own_cpu_us(), Usage::of(&processes(stack)));
        let wrote = rows::write(url, &file, tables, trips, TIME, read).await?;
        let ((before, before_server), (now, now_server)) = (wrote.before, wrote.after);
        let used = now
            .zip(before)
            .map(|(now, before)| (now - before) / wrote.trips);
        client = client.zip(used).map(|(sum, used)| sum + used);
        let postgres = |usage: &Usage| usage.cpu_us.get("postgres").copied();
        let of_server = postgres(&now_server).zip(postgres(&before_server));
        let of_server =
            of_server.map(|(now, before)| now.saturating_sub(before) as f64 / wrote.trips);
        server = server.zip(of_server).map(|(sum, used)| sum + used);
        for ending in ["", "-wal", "-shm"] {
            let _ = std::fs::remove_file(format!("{}{ending}", file.display()));
        }
    }
    Ok((client, server, trips_per_commit))
}

type Tables = BTreeMap<String, BTreeMap<String, super::database::Written>>;

/// Which rows a trip writes, by service and table.
async fn count(
    stack: &Stack,
    drive: impl AsyncFn(Duration) -> Result<u64>,
) -> Result<(BTreeMap<String, [f64; 3]>, Tables)> {
    let mut counting = Vec::new();
    for (name, url) in stack.databases() {
        let begun = Counting::begin(url).await;
        counting.push((
            name,
            begun.with_context(|| format!("{name}'s rows cannot be counted"))?,
        ));
    }
    let trips = drive(TIME).await?.max(1) as f64;
    // What was published last is deleted a moment later.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let (mut told, mut all) = (BTreeMap::new(), Tables::new());
    for (name, counting) in counting {
        let mut tables = counting.end().await?;
        for (table, written) in &mut tables {
            for rows in [
                &mut written.inserted,
                &mut written.updated,
                &mut written.deleted,
            ] {
                *rows /= trips;
            }
            let rows = [written.inserted, written.updated, written.deleted].map(round);
            told.insert(format!("{name}.{table}"), rows);
        }
        all.insert(name.clone(), tables);
    }
    Ok((told, all))
}

impl Floor {
    fn new(
        parts: BTreeMap<String, Option<f64>>,
        runs: &[Run],
        last: &Run,
        messages_per_trip: f64,
        rows_per_trip: BTreeMap<String, [f64; 3]>,
        trips_per_commit: BTreeMap<String, f64>,
    ) -> Self {
        // What is not known of one part is not known of the whole.
        let sum = |without: &str| {
            let parts = parts.iter().filter(|(name, _)| *name != without);
            parts.map(|(_, us)| *us).sum::<Option<f64>>().map(round)
        };
        let (all, served) = (sum(""), sum("http-client"));
        let cost = |without: &str| {
            median(runs, |cost| {
                let cpu = cost.cpu_per_trip_us.iter();
                let rest = cpu.filter(|(name, _)| *name != without).map(|(_, us)| us);
                cost.cpu_all_per_trip_us.map(|_| rest.sum())
            })
        };
        let over = |cost: Option<f64>, floor: Option<f64>| {
            let (cost, floor) = cost.zip(floor.filter(|us| *us > 0.0))?;
            Some(round(cost / floor))
        };
        Self {
            ratio: over(cost(""), all),
            ratio_served: over(cost(BENCH), served),
            cpu_all_per_trip_us: all,
            cpu_served_per_trip_us: served,
            cpu_per_trip_us: parts
                .into_iter()
                .map(|(name, us)| (name, us.map(round)))
                .collect(),
            requests_per_trip: last.requests_per_trip,
            messages_per_trip: round(messages_per_trip),
            rows_per_trip,
            trips_per_commit,
        }
    }
}

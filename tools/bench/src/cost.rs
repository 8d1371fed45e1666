//! What a trip costs: two readings of the stack, and what lies between them for each trip. Absent is what could not be read: never zero.

use std::collections::BTreeMap;

use serde::Serialize;
use stack::Stack;

use super::database;
use super::distribution::round;
use super::load::{Live, Window};
use super::prometheus::Page;
use super::usage::{Processes, Usage};

/// What is counted of a service, over all its replicas.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Counted {
    pub(crate) facts_in: f64,
    pub(crate) facts_out: f64,
    pub(crate) commits: f64,
    pub(crate) inputs: f64,
}

impl Counted {
    fn read(page: &Page) -> Option<Self> {
        let sum = |name: &str| page.sum(&format!("roundtrip_{name}"));
        Some(Self {
            // Nothing is said of a type before the first of it.
            facts_in: sum("facts_in_total").unwrap_or(0.0),
            facts_out: sum("facts_out_total").unwrap_or(0.0),
            commits: sum("batches_total")?,
            inputs: sum("batch_size_sum").unwrap_or(0.0),
        })
    }

    fn plus(self, other: Self) -> Self {
        Self {
            facts_in: self.facts_in + other.facts_in,
            facts_out: self.facts_out + other.facts_out,
            commits: self.commits + other.commits,
            inputs: self.inputs + other.inputs,
        }
    }
}

/// Everything that grows, as it stands now.
#[derive(Debug, Default)]
pub(crate) struct Reading {
    pub(crate) trips: u64,
    pub(crate) usage: Usage,
    pub(crate) counted: BTreeMap<String, Counted>,
    /// Whether each service keeps a file of its own, and no server does it for all.
    pub(crate) on_files: bool,
    /// Of a PostgreSQL server, if it tells.
    pub(crate) server_fsyncs: Option<u64>,
}

impl Reading {
    pub(crate) async fn of(stack: &Stack, processes: &Processes, trips: u64) -> Self {
        let usage = Usage::of(processes);
        let mut counted: BTreeMap<String, Counted> = BTreeMap::new();
        for name in stack::SERVICES {
            let pages = stack.urls(name);
            let pages = pages.iter().map(|url| Page::of(stack.http(), url));
            let pages = futures::future::join_all(pages).await;
            // Of one replica nobody could tell what all did.
            let all: Option<Vec<Counted>> = pages
                .iter()
                .map(|page| page.as_ref().and_then(Counted::read))
                .collect();
            if let Some(all) = all {
                let sum = all.into_iter().fold(Counted::default(), Counted::plus);
                counted.insert((*name).to_owned(), sum);
            }
        }
        let mut urls = stack.databases().values();
        let server = urls.find(|url| database::is_server(url));
        let server_fsyncs = match server {
            Some(url) => database::fsyncs(url).await.ok(),
            None => None,
        };
        Self {
            trips,
            usage,
            counted,
            on_files: server.is_none(),
            server_fsyncs,
        }
    }

    /// As measuring begins, and as it ends.
    pub(crate) async fn edges(
        stack: Option<(&Stack, &Processes)>,
        live: &Live,
        window: Window,
    ) -> Option<[Self; 2]> {
        let (stack, processes) = stack?;
        tokio::time::sleep_until(window.from.into()).await;
        let before = Self::of(stack, processes, live.trips()).await;
        tokio::time::sleep_until(window.until.into()).await;
        let after = Self::of(stack, processes, live.trips()).await;
        Some([before, after])
    }
}

/// What one trip cost, by the name of what it cost.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Cost {
    /// CPU time of everything together: services, broker, database server and load generator.
    pub cpu_all_per_trip_us: Option<f64>,
    /// CPU time, user's and system's: each service with all its replicas, `nats`, `postgres`, and `bench`, the load generator.
    pub cpu_per_trip_us: BTreeMap<String, f64>,
    /// Bytes that a process had written to storage.
    pub written_per_trip_bytes: BTreeMap<String, Option<f64>>,
    /// Waits for the disk: on SQLite a service's commits, for each syncs the write-ahead log; on PostgreSQL the server's own count.
    pub fsyncs_per_trip: BTreeMap<String, Option<f64>>,
    /// Transactions that a service committed.
    pub commits_per_trip: BTreeMap<String, f64>,
    /// Facts that a service heard and committed.
    pub facts_in_per_trip: BTreeMap<String, f64>,
    /// Facts that a service published and the broker acknowledged.
    pub facts_out_per_trip: BTreeMap<String, f64>,
    /// Facts, commands and timers in one batch, on average.
    pub inputs_per_batch: BTreeMap<String, f64>,
    /// The most that a process had in memory while it was measured, looked at once a second.
    pub memory_peak_bytes: BTreeMap<String, u64>,
}

/// What lies between two readings; None when no trip does.
pub(crate) fn between(
    before: &Reading,
    after: &Reading,
    memory: BTreeMap<String, u64>,
) -> Option<Cost> {
    let trips = after.trips.checked_sub(before.trips).filter(|t| *t > 0)? as f64;
    let grown = |before: &BTreeMap<String, u64>, after: &BTreeMap<String, u64>| {
        let of = |(name, used): (&String, &u64)| {
            let used = used.checked_sub(*before.get(name)?)?;
            Some((name.clone(), round(used as f64 / trips)))
        };
        after.iter().filter_map(of).collect::<BTreeMap<_, _>>()
    };
    let counted = |of: fn(&Counted) -> f64| {
        let each = after.counted.iter().filter_map(|(name, now)| {
            let grown = of(now) - of(before.counted.get(name)?);
            Some((name.clone(), grown))
        });
        each.collect::<BTreeMap<_, _>>()
    };
    let per_trip = |of: BTreeMap<String, f64>| -> BTreeMap<String, f64> {
        of.into_iter()
            .map(|(name, grown)| (name, thousandths(grown / trips)))
            .collect()
    };
    let cpu_per_trip_us = grown(&before.usage.cpu_us, &after.usage.cpu_us);
    let written = grown(&before.usage.written_bytes, &after.usage.written_bytes);
    let names = || after.usage.cpu_us.keys().chain(after.counted.keys());
    let (commits, inputs) = (counted(|c| c.commits), counted(|c| c.inputs));
    let commits_per_trip = per_trip(commits.clone());
    let server_fsyncs = before.server_fsyncs.zip(after.server_fsyncs);
    let server_fsyncs = server_fsyncs.and_then(|(before, after)| after.checked_sub(before));
    let fsyncs = |name: &String| {
        let of_server = server_fsyncs.filter(|_| name == "postgres");
        let of_file = || {
            let of_file = commits_per_trip.get(name).copied();
            of_file.filter(|_| after.on_files)
        };
        let of_server = of_server.map(|grown| thousandths(grown as f64 / trips));
        of_server.or_else(of_file)
    };
    let mut fsyncs_per_trip: BTreeMap<_, _> = names().map(|n| (n.clone(), fsyncs(n))).collect();
    if server_fsyncs.is_some() {
        // A server of somebody else's is no process of ours.
        let server = String::from("postgres");
        fsyncs_per_trip.insert(server.clone(), fsyncs(&server));
    }
    let inputs_per_batch = inputs.iter().filter_map(|(name, inputs)| {
        let commits = commits.get(name).filter(|commits| **commits > 0.0)?;
        Some((name.clone(), round(inputs / commits)))
    });
    Some(Cost {
        cpu_all_per_trip_us: (!cpu_per_trip_us.is_empty())
            .then(|| round(cpu_per_trip_us.values().sum())),
        written_per_trip_bytes: names()
            .map(|name| (name.clone(), written.get(name).copied()))
            .collect(),
        fsyncs_per_trip,
        facts_in_per_trip: per_trip(counted(|c| c.facts_in)),
        facts_out_per_trip: per_trip(counted(|c| c.facts_out)),
        inputs_per_batch: inputs_per_batch.collect(),
        cpu_per_trip_us,
        commits_per_trip,
        memory_peak_bytes: memory,
    })
}

/// Fsyncs of a trip are fewer than hundredths can tell.
fn thousandths(value: f64) -> f64 {
    (value * 10_000.0).round() / 10_000.0
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn reading(trips: u64, cpu: u64, commits: f64, server_fsyncs: Option<u64>) -> Reading {
        let counted = Counted {
            facts_in: commits * 8.0,
            facts_out: commits * 4.0,
            commits,
            inputs: commits * 12.0,
        };
        Reading {
            trips,
            usage: Usage {
                cpu_us: BTreeMap::from([("booking".into(), cpu), ("nats".into(), cpu / 2)]),
                written_bytes: BTreeMap::from([("nats".into(), cpu * 10)]),
            },
            counted: BTreeMap::from([("booking".into(), counted)]),
            on_files: server_fsyncs.is_none(),
            server_fsyncs,
        }
    }

    #[test]
    fn a_share_for_each_trip_and_nothing_where_nothing_is_known() {
        let (before, after) = (
            reading(10, 1_000, 5.0, None),
            reading(50, 9_000, 15.0, None),
        );
        let cost = between(&before, &after, BTreeMap::new()).unwrap();
        assert_eq!(cost.cpu_per_trip_us["booking"], 200.0);
        assert_eq!(cost.cpu_all_per_trip_us, Some(300.0));
        assert_eq!(cost.written_per_trip_bytes["nats"], Some(2_000.0));
        assert_eq!(cost.written_per_trip_bytes["booking"], None);
        assert_eq!(cost.fsyncs_per_trip["booking"], Some(0.25));
        assert_eq!(cost.fsyncs_per_trip["nats"], None);
        assert_eq!(cost.facts_in_per_trip["booking"], 2.0);
        assert_eq!(cost.inputs_per_batch["booking"], 12.0);
        assert_eq!(between(&after, &after, BTreeMap::new()), None);
    }

    #[test]
    fn a_server_counts_its_own_fsyncs_and_a_commit_upon_it_is_none() {
        let before = reading(0, 0, 0.0, Some(7));
        let after = reading(100, 1, 50.0, Some(17));
        let cost = between(&before, &after, BTreeMap::new()).unwrap();
        assert_eq!(cost.fsyncs_per_trip["postgres"], Some(0.1));
        assert_eq!(cost.fsyncs_per_trip["booking"], None);
        assert_eq!(cost.commits_per_trip["booking"], 0.5);
        // A server that does not tell is no file.
        let silent = |reading: Reading| Reading {
            server_fsyncs: None,
            ..reading
        };
        let cost = between(&silent(before), &silent(after), BTreeMap::new()).unwrap();
        assert_eq!(cost.fsyncs_per_trip["booking"], None);
    }

    #[test]
    fn without_proc_there_is_no_cpu_and_not_none_of_it() {
        let bare = |trips| Reading {
            trips,
            ..Reading::default()
        };
        let cost = between(&bare(0), &bare(9), BTreeMap::new()).unwrap();
        assert_eq!(cost.cpu_all_per_trip_us, None);
        assert_eq!(
            serde_json::to_value(&cost).unwrap()["cpu_all_per_trip_us"],
            serde_json::Value::Null
        );
    }
}

//! `roundtrip chaos`: a stack of its own under a seeded schedule of faults, and whether it comes to rest.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use clap::{Args, ValueEnum};
use serde::Serialize;

use super::bench::duration;
use super::out;
use super::up::Stop;
use chaos::{self, Options, Plan, Report, Settings};
use stack::REPLICAS_MAX;

/// Break a stack of its own in every way, by a seeded schedule, under load; then heal it, and judge whether everything came to rest.
///
/// Real processes, a real broker, real databases. Faults are drawn from the seed, several at once: processes killed and frozen, stores
/// damaged, streams deleted, disks full, connections cut, messages repeated. From the last one on, every trip has to be final within
/// `--rest-within`; then the audit has to be clean, and the travellers' own ledger to agree. Exits 1 when anything is not as it has to be.
/// Disks are filled only where a tmpfs can be mounted (Linux, as root); what is left out is said.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  roundtrip chaos --seed 7\n  roundtrip chaos --seed 7 --plan\n  roundtrip chaos --seeds 1..31 --for 60s\n  roundtrip chaos --seed 7 --for 10m --database postgres --replicas 3\n  roundtrip chaos --seed 7 --for 20s --settings quick --keep\n  roundtrip chaos --seed 7 --nodes 3 --json\n  roundtrip chaos --seed 7 --set SWEEP_INTERVAL_MS=50"
)]
pub(crate) struct Chaos {
    /// The seed of the schedule; without it a random one is drawn, and printed.
    #[arg(long, value_name = "N", conflicts_with = "seeds")]
    seed: Option<u64>,
    /// Several seeds, one after another, such as 1..31 (1 to 30); every event under `sometimes` then has to have happened at least once.
    #[arg(long, value_name = "A..B", value_parser = range)]
    seeds: Option<Range<u64>>,
    /// How long faults strike and travellers set out, such as 60s or 10m.
    #[arg(long = "for", value_name = "TIME", default_value = "60s", value_parser = duration)]
    time: Duration,
    /// A SQLite file for each service, or a PostgreSQL of its own.
    #[arg(long, value_enum, default_value_t = Database::Sqlite)]
    database: Database,
    /// Processes of each service.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=i64::from(REPLICAS_MAX)))]
    replicas: u16,
    /// Nodes of the broker: 1, or 3 with the stream on each.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = nodes)]
    nodes: u16,
    /// New travellers a second.
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    rate: u32,
    /// How soon after the last fault every trip has to be final.
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = duration)]
    rest_within: Duration,
    /// The services' timers: as they come, or short ones.
    #[arg(long, value_enum, default_value_t = Timers::Default)]
    settings: Timers,
    /// One more setting of every service, such as ACK_WAIT_MS=5000; may be given several times.
    #[arg(long, value_name = "NAME=VALUE", value_parser = setting)]
    set: Vec<(String, String)>,
    /// Leave logs and databases behind, and say where.
    #[arg(long)]
    keep: bool,
    /// Print the schedule, and do nothing.
    #[arg(long)]
    plan: bool,
    /// As JSON: a list with a report for each seed.
    #[arg(long)]
    json: bool,
    /// The program whose `serve NAME` is a service; this one if none is given.
    #[arg(long, value_name = "PATH")]
    program: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Database {
    Sqlite,
    Postgres,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Timers {
    Default,
    Quick,
}

fn range(text: &str) -> Result<Range<u64>, String> {
    let wrong = || String::from("give two numbers such as 1..31");
    let (from, to) = text.split_once("..").ok_or_else(wrong)?;
    let (from, to) = (
        from.parse().map_err(|_| wrong())?,
        to.parse().map_err(|_| wrong())?,
    );
    if from >= to {
        return Err(String::from(
            "there is no seed in it: the second number is not part of it",
        ));
    }
    Ok(from..to)
}

fn setting(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err(String::from("give NAME=VALUE")),
    }
}

fn nodes(text: &str) -> Result<u16, String> {
    match text {
        "1" => Ok(1),
        "3" => Ok(3),
        _ => Err(String::from("1 or 3")),
    }
}

/// What came of all seeds.
#[derive(Debug, Serialize)]
struct All {
    runs: Vec<Report>,
    /// Summed over all of them.
    sometimes: BTreeMap<String, u64>,
    /// What should have happened in one of them, and did not.
    never: Vec<&'static str>,
}

impl Chaos {
    pub(crate) async fn run(self) -> Result<ExitCode> {
        let seeds = match (&self.seeds, self.seed) {
            (Some(seeds), _) => seeds.clone(),
            (None, seed) => {
                let seed = seed.unwrap_or_else(|| fastrand::u64(..1_000_000));
                seed..seed.saturating_add(1)
            }
        };
        if self.time < Duration::from_secs(5) {
            bail!("nothing comes of less than five seconds: give --for 5s or more");
        }
        let options = self.options()?;
        if self.plan {
            for seed in seeds {
                let plan = Plan::draw(seed, options.shape());
                out::line(&format!("seed {seed}"));
                plan.steps
                    .iter()
                    .for_each(|step| out::line(&step.to_string()));
            }
            return Ok(ExitCode::SUCCESS);
        }
        let mut stop = Stop::listen()?;
        let all = tokio::select! {
            all = self.all(options, seeds) => all?,
            () = stop.asked() => bail!("interrupted: nothing is left of it"),
        };
        if self.json {
            out::json(&all)?;
        }
        let clean = all.runs.iter().all(Report::is_clean) && all.never.is_empty();
        Ok(if clean {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        })
    }

    async fn all(&self, mut options: Options, seeds: Range<u64>) -> Result<All> {
        let (mut runs, mut sometimes) = (Vec::new(), BTreeMap::<String, u64>::new());
        for seed in seeds {
            options.seed = seed;
            out::aside(&format!("seed {seed}"));
            let report = chaos::run(&options, &out::aside).await?;
            if !self.json {
                out::line(&report.to_string());
            }
            for (name, times) in &report.sometimes {
                *sometimes.entry(name.clone()).or_default() += times;
            }
            runs.push(report);
        }
        let never = match self.seeds {
            Some(_) => chaos::never_happened(&options, &sometimes),
            None => Vec::new(),
        };
        let all = All {
            runs,
            sometimes,
            never,
        };
        if self.seeds.is_some() && !self.json {
            out::line(&all.summary());
        }
        Ok(all)
    }

    fn options(&self) -> Result<Options> {
        let program = match &self.program {
            Some(program) => std::path::absolute(program)?,
            None => std::env::current_exe().context("where this program is")?,
        };
        Ok(Options {
            time: self.time,
            postgres: self.database == Database::Postgres,
            replicas: self.replicas,
            nodes: self.nodes,
            rate: self.rate,
            rest_within: self.rest_within,
            settings: match self.settings {
                Timers::Default => Settings::Default,
                Timers::Quick => Settings::Quick,
            },
            env: self.set.iter().cloned().collect(),
            keep: self.keep,
            ..Options::of(0, program)
        })
    }
}

impl All {
    fn summary(&self) -> String {
        let (trips, faults): (u64, u64) = self.runs.iter().fold((0, 0), |(trips, faults), run| {
            (
                trips + run.trips,
                faults + run.faults.done.values().sum::<u64>(),
            )
        });
        let rest = self.runs.iter().filter_map(|run| run.rest_ms).max();
        let messages = self
            .runs
            .iter()
            .map(|run| run.messages_per_trip)
            .fold(0.0, f64::max);
        let failed: Vec<String> = self
            .runs
            .iter()
            .filter(|run| !run.is_clean())
            .map(|run| run.seed.to_string())
            .collect();
        let mut text = format!(
            "{} seeds: {trips} trips, {faults} faults; at rest {} s after the last one at the latest; {messages:.1} messages a trip at most",
            self.runs.len(),
            rest.map_or_else(|| String::from("?"), |ms| format!("{:.1}", ms as f64 / 1e3)),
        );
        for never in &self.never {
            text += &format!("\nNEVER        {never}");
        }
        if !failed.is_empty() {
            text += &format!("\nNOT CLEAN    {}", failed.join(", "));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::range;

    #[test]
    fn seeds_are_a_range_with_something_in_it() {
        assert_eq!(range("1..31"), Ok(1..31));
        for wrong in ["", "7", "7..7", "9..1", "a..b"] {
            assert!(range(wrong).is_err(), "{wrong}");
        }
    }
}

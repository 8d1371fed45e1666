//! `roundtrip bench`: how many trips a stack of its own completes in a second, and how long each takes.
//!
//! A closed loop: so many callers, each asks for a trip, waits for its outcome, and asks for the next. What is measured is the whole
//! stack over HTTP, on one machine that carries the load generator as well. Not a benchmark of parts.

mod cpu;
mod load;
mod report;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};

use super::up::Stop;
use super::{out, parse};
use cpu::Cpu;
use inspect::audit::{self, Nats, Part, Parts, Report};
use load::{Live, Load, Window};
use report::{Measured, Row, Setup};
use stack::{DatabaseChoice, Options, REPLICAS_MAX, Stack, inventory};

/// How long the trips that are under way at the end may take.
const QUIET_WITHIN: Duration = Duration::from_secs(60);
const SAY_EVERY: Duration = Duration::from_secs(5);

/// Measure a stack of its own under load: completed trips a second and how long each took, with an audit at the end.
///
/// Every trip is a flight and a hotel; a share of them is refused by the hotel, so that the flight comes back. Figures count only from a
/// release build, on a machine with nothing else to do. Exits 1 when the audit is not clean.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  cargo run --release -- bench\n  roundtrip bench --callers 1,64,256,1024 --duration 30s --database postgres\n  roundtrip bench --callers 256 --replicas 2 --database @database.url --json"
)]
pub(crate) struct Bench {
    /// How many ask at the same time; one measurement for each number.
    #[arg(long, value_name = "N,...", value_delimiter = ',', default_values_t = [64, 256], value_parser = clap::value_parser!(u32).range(1..=10_000))]
    callers: Vec<u32>,
    /// How long each measurement takes, such as 20s.
    #[arg(long, value_name = "TIME", default_value = "20s", value_parser = duration)]
    duration: Duration,
    /// How long the load is on before it is measured.
    #[arg(long, value_name = "TIME", default_value = "3s", value_parser = duration)]
    warmup: Duration,
    /// `sqlite`, `postgres` (a local server of its own) or postgres://user:password@host/postgres (yours: databases of its own, which it
    /// drops at the end). Every user of the machine can read what stands on a command line: give a password by the environment, or as
    /// @FILE.
    #[arg(long, value_name = "DATABASE", default_value = "sqlite", env = "ROUNDTRIP_DATABASE", hide_env_values = true, value_parser = parse::database)]
    database: DatabaseChoice,
    /// Processes of each service.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=i64::from(REPLICAS_MAX)))]
    replicas: u16,
    /// How many trips in a hundred the hotel refuses.
    #[arg(long, value_name = "PERCENT", default_value_t = 10, value_parser = clap::value_parser!(u8).range(0..=100))]
    refused: u8,
    /// As JSON, with all settings.
    #[arg(long)]
    json: bool,
}

pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let span: jiff::SignedDuration = text
        .parse()
        .map_err(|_| String::from("give a time such as 20s or 1m 30s"))?;
    Duration::try_from(span).map_err(|_| String::from("give a time that is not negative"))
}

impl Bench {
    pub(crate) async fn run(self) -> Result<ExitCode> {
        if self.duration < Duration::from_secs(1) {
            bail!("a measurement of less than a second means nothing: give --duration 1s or more");
        }
        if cfg!(debug_assertions) {
            out::aside(
                "this is a debug build, several times slower: use `cargo run --release -- bench` for figures that count",
            );
        }
        let mut stop = Stop::listen()?;
        let options = Options {
            replicas: self.replicas,
            database: self.database.clone(),
            sample: false,
            ..Options::temporary()
        }
        .set("LOG", "warn");
        let work = async {
            let stack = Stack::start(&options, &out::aside).await?;
            let measured = self.measure(&stack).await;
            stack.stop().await?;
            measured
        };
        let measured = tokio::select! {
            measured = work => measured?,
            () = stop.asked() => bail!("interrupted: nothing is left of it"),
        };
        if self.json {
            out::json(&measured)?;
        } else {
            out::line(&measured.to_string());
        }
        let clean = measured.audit.is_clean() && measured.rows.iter().all(|row| row.trips > 0);
        Ok(if clean {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        })
    }

    async fn measure(&self, stack: &Stack) -> Result<Measured> {
        let stock = load::Stock::new()?;
        let (flight, hotel) = (stack.url(flight::SPEC.name)?, stack.url(hotel::SPEC.name)?);
        inventory::import(stack.http(), &format!("{flight}/flights"), stock.flights()).await?;
        inventory::import(stack.http(), &format!("{hotel}/hotels"), stock.hotels()).await?;
        let stock = Arc::new(stock);
        let mut rows = Vec::new();
        for callers in &self.callers {
            rows.push(self.one(stack, &stock, *callers).await?);
        }
        out::aside("the audit");
        Ok(Measured {
            setup: Setup {
                database: report::database(&self.database),
                replicas: self.replicas,
                duration_s: self.duration.as_secs_f64(),
                warmup_s: self.warmup.as_secs_f64(),
                refused_percent: self.refused,
                debug_build: cfg!(debug_assertions),
                version: env!("CARGO_PKG_VERSION"),
                cores: std::thread::available_parallelism().map_or(0, usize::from),
            },
            rows,
            audit: judge(stack).await,
        })
    }

    async fn one(&self, stack: &Stack, stock: &Arc<load::Stock>, callers: u32) -> Result<Row> {
        let began = Instant::now();
        let from = began + self.warmup;
        let live = Arc::new(Live::default());
        let load = Load {
            urls: stack.urls(booking::NAME),
            callers,
            refused: self.refused,
            window: Window {
                from,
                until: from + self.duration,
            },
            stock: Arc::clone(stock),
            live: Arc::clone(&live),
        };
        let window = load.window;
        // On one thread of its own: as light as it can be, since it shares the machine with what it measures. Not one of the runtime's,
        // which would wait for it when we are interrupted.
        let (done, loading) = tokio::sync::oneshot::channel();
        std::thread::spawn(move || {
            let _ = done.send(load.run());
        });
        let progress = tokio::spawn(tell(callers, began, window, Arc::clone(&live)));
        tokio::time::sleep_until(window.from.into()).await;
        let (cpu, trips) = (Cpu::of(stack), live.trips());
        tokio::time::sleep_until(window.until.into()).await;
        let cpu = Cpu::of(stack).since(&cpu, live.trips() - trips);
        let tally = loading.await.context("the load generator panicked")??;
        progress.await?;
        Ok(Row::new(callers, self.duration, &tally, cpu))
    }
}

/// Live progress: a bar on a terminal, a line every few seconds otherwise.
async fn tell(callers: u32, began: Instant, window: Window, live: Arc<Live>) {
    let all = window.until - began;
    let bar = ProgressBar::new(all.as_secs());
    if let Ok(style) = ProgressStyle::with_template("{prefix} {wide_bar} {pos} of {len} s, {msg}") {
        bar.set_style(style);
    }
    bar.set_prefix(format!("{callers} callers"));
    let mut before = (began, 0);
    let every = if bar.is_hidden() {
        SAY_EVERY
    } else {
        Duration::from_secs(1)
    };
    while let Some(left) = window.until.checked_duration_since(Instant::now()) {
        tokio::time::sleep(left.min(every)).await;
        let (now, trips) = (Instant::now(), live.trips());
        #[expect(clippy::cast_precision_loss, reason = "a rate to be looked at")]
        let rate = (trips - before.1) as f64 / (now - before.0).as_secs_f64();
        before = (now, trips);
        let passed = now.duration_since(began).min(all).as_secs();
        if bar.is_hidden() {
            let all = all.as_secs();
            out::aside(&format!(
                "{callers} callers: {passed} of {all} s, {rate:.0} trips/s"
            ));
        } else {
            bar.set_position(passed);
            bar.set_message(format!("{rate:.0} trips/s"));
        }
    }
    bar.finish_and_clear();
}

async fn judge(stack: &Stack) -> Report {
    let part = |(name, url): (&String, &String)| Part {
        name: Some(name.clone()),
        url: url.clone(),
    };
    let parts = Parts {
        databases: stack.databases().iter().map(part).collect(),
        nats: Some(Nats::at(stack.nats_url())),
        ..Parts::default()
    };
    audit::wait_until_clean(&parts, QUIET_WITHIN).await
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::duration;

    #[test]
    fn times_are_written_with_their_unit() {
        assert_eq!(duration("20s"), Ok(Duration::from_secs(20)));
        assert_eq!(duration("1m 30s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert!(duration("20").is_err());
        assert!(duration("-1s").is_err());
    }
}

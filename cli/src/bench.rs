//! `roundtrip bench`: what can be asked of a measurement, and where its figures go. What is measured, and how, is `tools/bench`.

mod agrees;
mod html;
mod progress;
mod protocols;
mod render;
mod rivals;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use clap::Args;
use clap::builder::ArgPredicate;
use jiff::civil::Date;

use agrees::Agrees;
use protocols::Protocols;

use super::parse::Databases;
use super::up::Stop;
use super::{audit, out, parse};
use bench::machine::Machine;
use bench::report::{Report, Setup};
use bench::rival::Rival;
use bench::run::Tell;
use bench::stock::{Named, Stock};
use bench::{Options, Pace, Shares, Target};
use inspect::audit::Parts;
use stack::{DatabaseChoice, REPLICAS_MAX, Stack};

/// Callers where neither they nor a rate are given.
const CALLERS: [u32; 2] = [64, 256];
/// The most that is measured, or warmed up, at a time.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// Measure a stack under load: completed trips a second, how long each took, and what one costs, with an audit at the end.
///
/// The stack is one of its own, unless --against names another. Every trip is a flight and a hotel. With --callers each caller waits for its
/// trip before it asks for the next (a closed loop); with --rate trips set out evenly whatever becomes of those before them (an open loop),
/// and how long one took counts from when it was due, so that a stack or a load generator that stalls hides nothing. What finds --in-flight
/// trips under way is not started, what is answered with 503 is overloaded: both are counted, and neither is part of the latencies.
///
/// Refused to undone: from the time in the hotel's own fact (`ce-time` of its `rejected`, read from the stream afterwards; taken as the batch
/// that decides it begins, before its commit) until the caller had the answer that the trip is closed, which is on disk by then. Cancelled to
/// undone: from the cancellation being sent until its answer that the trip is closed.
///
/// CPU, bytes written and memory are read from /proc for each process, fsyncs from the services' commits (SQLite: one sync of the write-ahead
/// log each; checkpoints come on top) or from the server (PostgreSQL: pg_stat_io and pg_stat_wal, all of it); what cannot be read is null, never zero.
/// Figures count only from a release build, on a machine with nothing else to do. Exits 1 when the audit is not clean, or a
/// run completed no trip, or --availability could not be played to its end: what was measured is reported all the same.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  cargo run --release -- bench\n  roundtrip bench --callers 1,64,256,1024 --rate 100,1000 --duration 20s --runs 3\n  roundtrip bench --callers 256 --floor --html bench.html\n  roundtrip bench --callers 256 --stored 1000000 --hot-flight\n  roundtrip bench --rate 500 --refused 20 --cancelled 10 --database postgres --json\n  roundtrip bench --callers 256 --replicas 2 --database @database.url --json\n  roundtrip bench --protocol saga,two-phase --database postgres --callers 1,64,256 --availability\n\nA stack that runs elsewhere, which needs as many seats and rooms as there are trips (nothing is imported):\n  ROUNDTRIP_TOKEN=@token roundtrip bench --against https://trips.example --flight RT100 --hotel LIS-PALACE --date +7 --rate 50 --cancelled 100\n  roundtrip bench --against http://127.0.0.1:8080 --flight RT100 --hotel LIS-PALACE --rate 20 --audit-database @databases.txt"
)]
pub(crate) struct Bench {
    // First: those that follow take their values out of what was typed.
    #[command(flatten)]
    _agrees: Agrees,
    /// How many ask at the same time; one measurement for each number; 64,256 when there is no --rate either.
    #[arg(long, value_name = "N,...", value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..=10_000))]
    callers: Vec<u32>,
    /// How many trips set out each second; one measurement for each number.
    #[arg(long, value_name = "N,...", value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..=100_000))]
    rate: Vec<u32>,
    /// The most trips under way at a --rate; what is due beyond that is not started, and counted.
    #[arg(long, value_name = "N", default_value_t = 4_096, requires = "rate", value_parser = clap::value_parser!(u32).range(1..=50_000))]
    in_flight: u32,
    /// How long each measurement takes, such as 20s; at most 24h.
    #[arg(long, value_name = "TIME", default_value = "20s", value_parser = within_a_day)]
    duration: Duration,
    /// How long the load is on before it is measured.
    #[arg(long, value_name = "TIME", default_value = "3s", value_parser = within_a_day)]
    warmup: Duration,
    /// How often everything is measured, in turns; shown are median, smallest and largest.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100))]
    runs: u32,
    /// `sqlite`, `postgres` (a local server of its own) or postgres://user:password@host/postgres (yours: databases of its own, which it
    /// drops at the end). Every user of the machine can read what stands on a command line: give a password by the environment, or as
    /// @FILE.
    #[arg(long, value_name = "DATABASE", default_value = "sqlite", env = "ROUNDTRIP_DATABASE", hide_env_values = true, value_parser = parse::database)]
    database: DatabaseChoice,
    /// Processes of each service.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=i64::from(REPLICAS_MAX)))]
    replicas: u16,
    /// How many trips in a hundred the hotel refuses: 10, or with --against 0, for there such a trip asks for 500 rooms, and a hotel that has
    /// them confirms it (it is cancelled at once then).
    #[arg(long, value_name = "PERCENT", default_value_t = 10, default_value_if("against", ArgPredicate::IsPresent, "0"), value_parser = clap::value_parser!(u8).range(0..=100))]
    refused: u8,
    /// How many trips in a hundred are cancelled, half of them while they are pending and half once they are confirmed.
    #[arg(long, value_name = "PERCENT", default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=100))]
    cancelled: u8,
    /// Measure the same parts with nothing of ours as well (requests, messages, rows), and how many times that a trip costs.
    #[arg(long, conflicts_with = "against")]
    floor: bool,
    /// Have so many trips in the databases before anything is measured: some are booked and copied there, confirmed, refused and
    /// cancelled ones as `--refused` and `--cancelled` say. What the broker's stream holds does not grow.
    #[arg(long, value_name = "N", conflicts_with = "against", value_parser = clap::value_parser!(u64).range(1..=20_000_000))]
    stored: Option<u64>,
    /// Have every trip ask for the same flight on the same day.
    #[arg(long, conflicts_with = "against")]
    hot_flight: bool,
    #[command(flatten)]
    protocols: Protocols,
    /// Drive the stack whose booking is at this address, and start none. With ROUNDTRIP_TOKEN and ROUNDTRIP_CA_FILE, as other commands.
    #[arg(long, value_name = "URL", requires_all = ["flight", "hotel"], conflicts_with = "replicas")]
    against: Option<String>,
    /// With --against: a flight that it sells, with a seat for every trip.
    #[arg(long, value_name = "FLIGHT", requires = "against")]
    flight: Option<String>,
    /// With --against: a hotel that it sells, with a room for every trip. A trip that is to be refused asks for 500 rooms.
    #[arg(long, value_name = "HOTEL", requires = "against")]
    hotel: Option<String>,
    /// With --against: which kind of room.
    #[arg(
        long,
        value_name = "TYPE",
        default_value = "double",
        requires = "against"
    )]
    room_type: String,
    /// With --against: the day of the flight and the night: a date, `tomorrow`, or so many days from now.
    #[arg(long, value_name = "DATE", default_value = "+7", value_parser = parse::date, requires = "against")]
    date: Date,
    /// With --against: its databases, to be audited at the end as `roundtrip audit` does; without them there is no audit.
    #[arg(long, value_name = "URL", requires = "against", value_parser = parse::databases)]
    audit_database: Vec<Databases>,
    /// Write a report with plots to this file: one HTML page that needs nothing else.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
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

/// A part of a run: longer than a day is a slip, and far beyond it no clock of ours goes.
fn within_a_day(text: &str) -> Result<Duration, String> {
    let time = duration(text)?;
    if time > LONGEST {
        return Err(String::from("give at most 24h"));
    }
    Ok(time)
}

impl Bench {
    pub(crate) async fn run(self) -> Result<ExitCode> {
        if self.duration < Duration::from_secs(1) {
            bail!("a measurement of less than a second means nothing: give --duration 1s or more");
        }
        ensure!(
            u16::from(self.refused) + u16::from(self.cancelled) <= 100,
            "--refused and --cancelled are more than all trips together"
        );
        self.protocols
            .check(&self.database, self.cancelled, self.stored.is_some())?;
        if cfg!(debug_assertions) {
            out::aside(
                "this is a debug build, several times slower: use `cargo run --release -- bench` for figures that count",
            );
        }
        // Before minutes are spent on what cannot be written then.
        if let Some(file) = &self.html {
            html::try_to_write(file)?;
        }
        let mut stop = Stop::listen()?;
        let report = match &self.against {
            Some(url) => tokio::select! {
                report = self.elsewhere(url) => report?,
                () = stop.asked() => bail!("interrupted: trips that were booked there stay booked"),
            },
            None => {
                let mut report = self.own(&mut stop).await?;
                // The figures that there are by then took minutes: they stay, whatever becomes of this.
                match self.protocols.availability(&mut stop).await {
                    Ok(outcomes) => report.availability = outcomes,
                    Err(error) => {
                        out::aside(&format!("--availability: {error:#}"));
                        report.availability_error = Some(format!("{error:#}"));
                    }
                }
                report
            }
        };
        if let Some(file) = &self.html {
            html::replace(file, &bench::html::page(&report)?)?;
            out::aside(&format!("the report is in {}", file.display()));
        }
        if self.json {
            out::json(&report)?;
        } else {
            out::line(&render::text(&report));
        }
        Ok(if report.is_clean() {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        })
    }

    /// Whatever happens, what was started is stopped: databases on somebody's server would stay there.
    async fn own(&self, stop: &mut Stop) -> Result<Report> {
        let machine = Machine::here();
        let options = stack::Options {
            replicas: self.replicas,
            database: self.database.clone(),
            sample: false,
            server_settings: self.protocols.server_settings(),
            ..stack::Options::temporary()
        }
        .set("LOG", "warn");
        let starting = Stack::start(&options, &out::aside);
        tokio::pin!(starting);
        let (stack, asked) = tokio::select! {
            stack = &mut starting => (stack?, false),
            () = stop.asked() => {
                out::aside("interrupted: it is stopped as soon as it is up");
                (starting.await?, true)
            }
        };
        let target = Target::Own(&stack);
        let mut rival = None;
        let measured = tokio::select! {
            biased;
            () = std::future::ready(()), if asked => None,
            () = stop.asked() => None,
            measured = self.measure(&target, machine, &mut rival) => Some(measured),
        };
        // Before its databases go: what lies prepared there would keep them.
        let ended = match &mut rival {
            Some(rival) => rival.stop().await,
            None => Ok(()),
        };
        let stopped = stack.stop().await.and(ended);
        let Some(measured) = measured else {
            stopped?;
            bail!("interrupted: nothing is left of it");
        };
        let report = measured?;
        stopped?;
        Ok(report)
    }

    async fn elsewhere(&self, url: &str) -> Result<Report> {
        let named = Named {
            flight: self.flight.clone().unwrap_or_default(),
            hotel: self.hotel.clone().unwrap_or_default(),
            room_type: self.room_type.clone(),
            date: self.date,
        };
        // That somebody answers there, before callers by the hundred ask.
        client::Client::new(url)?.legs().await?;
        let target = Target::Elsewhere {
            url: url.to_owned(),
            stock: Stock::Named(named),
            parts: Box::new(Parts {
                databases: audit::given(&self.audit_database),
                ..Parts::default()
            }),
        };
        self.measure(&target, Machine::here(), &mut None).await
    }

    async fn measure(
        &self,
        target: &Target<'_>,
        machine: Machine,
        rival: &mut Option<Rival>,
    ) -> Result<Report> {
        let options = Options {
            paces: self.paces(),
            duration: self.duration,
            warmup: self.warmup,
            runs: self.runs,
            shares: Shares {
                refused: self.refused,
                cancelled: self.cancelled,
            },
            in_flight_max: self.in_flight,
            floor: self.floor,
            stored: self.stored,
            hot_flight: self.hot_flight,
            protocols: self.protocols.all(),
        };
        let tell = Tell {
            going: &progress::follow,
            say: &out::aside,
        };
        bench::measure(target, &options, (self.setup(), machine), rival, tell).await
    }

    fn paces(&self) -> Vec<Pace> {
        let callers: &[u32] = match (self.callers.is_empty(), self.rate.is_empty()) {
            (true, true) => &CALLERS,
            _ => &self.callers,
        };
        let callers = callers.iter().map(|callers| Pace::Callers(*callers));
        callers
            .chain(self.rate.iter().map(|rate| Pace::Rate(*rate)))
            .collect()
    }

    fn setup(&self) -> Setup {
        let own = self.against.is_none();
        let against = self.against.as_deref().map(client::redaction::shown);
        Setup {
            database: own.then(|| durable(&self.database)),
            against: against.map(|url| url.to_string()),
            replicas: own.then_some(self.replicas),
            duration_s: self.duration.as_secs_f64(),
            warmup_s: self.warmup.as_secs_f64(),
            runs: self.runs,
            refused_percent: self.refused,
            cancelled_percent: self.cancelled,
            in_flight_max: self.in_flight,
            stored: self.stored,
            hot_flight: self.hot_flight,
            debug_build: cfg!(debug_assertions),
            version: env!("CARGO_PKG_VERSION"),
        }
    }
}

/// The database and how durable it is: the services' own settings.
fn durable(choice: &DatabaseChoice) -> String {
    let durable = match choice {
        DatabaseChoice::Sqlite => "journal_mode=WAL, synchronous=FULL",
        _ => "synchronous_commit=on",
    };
    format!("{choice}, {durable}")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use clap::Parser as _;

    use super::{duration, within_a_day};

    #[derive(Debug, clap::Parser)]
    struct Typed {
        #[command(flatten)]
        bench: super::Bench,
    }

    #[test]
    fn an_option_that_would_say_nothing_is_refused() {
        let parses = |args: &str| Typed::try_parse_from(args.split(' ')).is_ok();
        let elsewhere = "bench --against http://x --flight A --hotel B";
        assert!(parses("bench") && parses(elsewhere));
        assert!(parses(&format!("{elsewhere} --date +1 --room-type x")));
        assert!(parses("bench --database postgres --rate 1 --in-flight 2"));
        assert!(!parses(&format!("{elsewhere} --database sqlite")));
        assert!(!parses("bench --date +1") && !parses("bench --room-type x"));
        assert!(!parses("bench --callers 1 --in-flight 2"));
    }

    #[test]
    fn of_somebodys_stack_nothing_is_asked_for_to_be_refused_unless_it_is_said() {
        let refused = |args: &str| {
            let typed = Typed::try_parse_from(args.split(' '));
            typed.map(|typed| typed.bench.refused).ok()
        };
        let elsewhere = "bench --against http://x --flight A --hotel B";
        assert_eq!(refused("bench"), Some(10));
        assert_eq!(refused(elsewhere), Some(0));
        assert_eq!(refused(&format!("{elsewhere} --refused 5")), Some(5));
    }

    #[test]
    fn times_are_written_with_their_unit() {
        assert_eq!(duration("20s"), Ok(Duration::from_secs(20)));
        assert_eq!(duration("1m 30s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert!(duration("20").is_err());
        assert!(duration("-1s").is_err());
        assert!(within_a_day("24h").is_ok() && within_a_day("100000000h").is_err());
    }
}

//! `roundtrip conformance`: whether a running leg keeps the promises of one. It parses, asks and renders; what is played and judged is in
//! `tools/conformance`.

use std::fs::File;
use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use async_nats::jetstream::stream::Config;
use choreography::LegName;
use clap::builder::Resettable;
use clap::{Args, FromArgMatches as _};
use client::paint::visible_path;
use conformance::{Options, Report, Restart, TRIPS_MAX};
use futures::FutureExt as _;
use jiff::{Timestamp, ToSpan as _, tz::TimeZone};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;

use super::address::BrokerAddress;
use super::up::Stop;
use super::{failure, out, parse};

/// The exit code when nothing can be judged.
const TROUBLE: u8 = 2;
const BROKER: &str = "nats://127.0.0.1:4222";
/// How long somebody may take to kill the leg and start it again by hand.
const BY_HAND: Duration = Duration::from_secs(600);
/// The sample inventory has something for this many days from now on.
const DAYS_AHEAD: i32 = 150;

/// Look whether a leg, in any language, keeps the promises of one: a black box on a real broker.
///
/// Booking and the neighbours are played: turns, refusals, repeats of the same message, questions under new ids, cancellations before, after and
/// with the request, several positions, what the leg cannot know or read, a kill, and many trips with faults. Each promise is kept, broken (with
/// the facts that were exchanged) or not tried. The leg has to run, alone on its broker, with its stock: the item has to be there `--at-once` times.
/// Every trip is cancelled in the end, and nothing of the kit's stays at the broker but what was said. Exits 0 when no promise is broken, 1 when
/// one is, 2 when nothing can be judged.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  roundtrip conformance --leg flight --restart-command 'systemctl restart flight'\n  roundtrip conformance --leg insurance --item '{\"leg\":\"insurance\",\"cover\":\"basic\"}' --refused-item '{\"leg\":\"insurance\",\"cover\":\"none\"}'\n  roundtrip conformance --leg car --item @item.json --last-item @last.json --trips 100 --no-restart\n  roundtrip conformance --leg car --item @item.json --junit conformance.xml --json | jq -r '.promises[] | select(.state == \"broken\") | .promise'\n\nflight and hotel have items of the sample inventory, which `roundtrip up` loads; load it, or give --item, where they run alone.\n`--restart-command` is run by sh: it kills the leg (kill -9, best), starts it again, and ends."
)]
pub(crate) struct Conformance {
    /// The leg's name on itineraries.
    #[arg(long, value_name = "NAME")]
    leg: LegName,
    /// A position that the leg takes, as it stands on an itinerary: JSON, or @FILE with it.
    #[arg(long, value_name = "JSON", value_parser = parse::text)]
    item: Option<String>,
    /// A position that it refuses, always.
    #[arg(long, value_name = "JSON", value_parser = parse::text)]
    refused_item: Option<String>,
    /// A position of which there is exactly one, such as all seats of a flight.
    #[arg(long, value_name = "JSON", value_parser = parse::text)]
    last_item: Option<String>,
    /// How often --item is there at once.
    #[arg(long, value_name = "N", default_value_t = 40, value_parser = clap::value_parser!(u16).range(8..=1_000))]
    at_once: u16,
    /// Trips with faults; 0: none.
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(0..=i64::from(TRIPS_MAX)))]
    trips: u32,
    /// The seed of the faults; without it one is drawn, and printed.
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// How long an answer may take; it is asked again meanwhile.
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = parse::duration)]
    answer_within: Duration,
    /// How soon a hold that nobody answers has to ask again by itself; 0s: not tried.
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = parse::duration)]
    asks_within: Duration,
    /// How long a hold is watched past its trip's deadline.
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = parse::duration)]
    watch: Duration,
    /// Kills the leg and starts it again; without it you are asked to, where this is a terminal.
    #[arg(long, value_name = "COMMAND", conflicts_with = "no_restart")]
    restart_command: Option<String>,
    /// Do not kill it: what that would show is not tried.
    #[arg(long)]
    no_restart: bool,
    /// How long the command, and then the leg's first answer, may take.
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = parse::duration)]
    restart_within: Duration,
    /// Go on where a booking listens on the same broker: it will count unknown trips.
    #[arg(long)]
    beside_booking: bool,
    #[command(flatten)]
    broker: BrokerAddress,
    /// Write what came of it for CI servers, too: JUnit's XML.
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

impl Conformance {
    pub(crate) async fn run(self) -> Result<ExitCode> {
        match self.played().await {
            Ok(report) if report.kept => Ok(ExitCode::SUCCESS),
            Ok(_) => Ok(ExitCode::FAILURE),
            Err(error) => Ok(failure::tell(&error, ExitCode::from(TROUBLE))),
        }
    }

    async fn played(&self) -> Result<Report> {
        let options = self.options()?;
        // Before an hour of play, not after it.
        let junit = self.junit.as_ref().map(|path| {
            let file = File::create(path);
            file.with_context(|| format!("cannot write {}", visible_path(path)))
        });
        let junit = junit.transpose()?;
        let mut stop = Stop::listen()?;
        let report = conformance::run(&options, &out::aside, stop.asked()).await?;
        if let Some(mut file) = junit {
            report
                .junit(&mut file)
                .context("the JUnit file cannot be written")?;
        }
        out::answer(self.json, &report, || report.to_string())?;
        Ok(report)
    }

    fn options(&self) -> Result<Options> {
        let broker = self
            .broker
            .or(Some(BROKER.to_owned()))
            .context("no broker")?;
        let sample = sample(&self.leg)?;
        let Some(item) = self.item.clone().or(sample.item) else {
            bail!(
                "what does {} take? Give a position as it stands on an itinerary: --item '{{\"leg\":\"{0}\",…}}'",
                self.leg
            );
        };
        let mut options = Options::new(self.leg.clone(), broker.url, item);
        // What the sample refuses says nothing about another item.
        let given = self.item.is_some();
        options.refused = self.refused_item.clone().or(sample.refused);
        options.last = self.last_item.clone().or(sample.last.filter(|_| !given));
        options.login = broker.user.zip(broker.password);
        options.stream = Some(stream()?);
        options.answer_within = self.answer_within.max(Duration::from_millis(100));
        options.at_once = usize::from(self.at_once);
        options.watch = self.watch;
        options.asks_within = self.asks_within;
        options.trips = self.trips;
        options.seed = self.seed.unwrap_or_else(|| fastrand::u64(..1_000_000));
        options.beside_booking = self.beside_booking;
        options.restart = self.restart();
        Ok(options)
    }

    fn restart(&self) -> Restart {
        let within = self.restart_within;
        match self.restart_command.clone() {
            Some(command) => {
                let run = move || run_command(command.clone(), within).boxed();
                Restart::By(Box::new(run), within)
            }
            None if !self.no_restart && std::io::stdin().is_terminal() => {
                let leg = self.leg.clone();
                Restart::By(Box::new(move || by_hand(leg.clone()).boxed()), within)
            }
            None => Restart::Skip,
        }
    }
}

async fn run_command(command: String, within: Duration) -> Result<()> {
    let mut running = Command::new("sh");
    // What it says is no part of the report; what it starts goes on.
    running
        .args(["-c", &command])
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::null());
    let status = tokio::time::timeout(within, running.status()).await;
    let status = status.context(
        "--restart-command does not end: what it starts has to go into the background",
    )??;
    if !status.success() {
        bail!("--restart-command ended with {status}");
    }
    Ok(())
}

async fn by_hand(leg: LegName) -> Result<()> {
    out::aside(&format!(
        "Kill {leg} now (kill -9), start it again, and press Enter."
    ));
    let mut line = String::new();
    let mut typed = BufReader::new(tokio::io::stdin());
    let typed = tokio::time::timeout(BY_HAND, typed.read_line(&mut line)).await;
    typed.context("nobody pressed Enter; --no-restart leaves it out")??;
    Ok(())
}

/// The stream as the services declare it, with their defaults.
fn stream() -> Result<Config> {
    let command = runtime::Settings::augment_args(clap::Command::new("stream"))
        .mut_args(|arg| arg.env(Resettable::Reset));
    let matches = command.try_get_matches_from(["stream", "--database-url", "sqlite://unused"])?;
    let settings = runtime::Settings::from_arg_matches(&matches)?;
    Ok(runtime::broker::stream_config(
        participant::SYSTEM,
        &settings,
    ))
}

/// What a leg of ours takes, by the sample inventory.
#[derive(Debug, Default)]
struct Sample {
    item: Option<String>,
    refused: Option<String>,
    last: Option<String>,
}

fn sample(leg: &LegName) -> Result<Sample> {
    let today = Timestamp::now().to_zoned(TimeZone::UTC).date();
    let day = today.checked_add(DAYS_AHEAD.days())?;
    let next = day.tomorrow()?;
    let of = |item: String, refused: String, last: Option<String>| Sample {
        item: Some(item),
        refused: Some(refused),
        last,
    };
    Ok(match leg.as_str() {
        "flight" => {
            let seats = |flight: &str, seats: u32| {
                format!(r#"{{"leg":"flight","flight":"{flight}","date":"{day}","seats":{seats}}}"#)
            };
            of(
                seats("RT100", 1),
                seats("NO-SUCH-FLIGHT", 1),
                Some(seats("RT101", 180)),
            )
        }
        "hotel" => {
            let rooms = |hotel: &str, room: &str, rooms: u32| {
                format!(
                    r#"{{"leg":"hotel","hotel":"{hotel}","room_type":"{room}","check_in":"{day}","check_out":"{next}","rooms":{rooms}}}"#
                )
            };
            of(
                rooms("LON-STRAND", "double", 1),
                rooms("LIS-PALACE", "suite", 1),
                Some(rooms("AMS-GRACHT", "double", 30)),
            )
        }
        _ => Sample::default(),
    })
}

//! One measurement after the other, upon a stack of our own or one that runs elsewhere. What it comes to is [`Report`]'s.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, Result, ensure};
use inspect::audit::{self, Nats, Part, Parts};
use stack::{Stack, inventory};

use super::cost::{self, Reading};
use super::database::{Copied, Storing};
use super::exchange::Exchange;
use super::floor::{self, Floor};
use super::load::{Live, Load, Pace, Window};
use super::machine::Machine;
use super::protocol::Protocol;
use super::report::{Report, Row, Run, Setup};
use super::rival::Rival;
use super::stock::Stock;
use super::tally::Tally;
use super::trip::Shares;
use super::turns;
use super::undone;
use super::usage::processes;
use super::watch::Seen;

/// How long the trips that are under way at the end may take.
const QUIET_WITHIN: Duration = Duration::from_secs(60);
/// How long trips are booked that are copied then, and by how many.
const TO_COPY_FOR: Duration = Duration::from_secs(3);
const TO_COPY_CALLERS: u32 = 64;
/// How far the clocks of services and broker may lie apart.
const CLOCKS_APART: Duration = Duration::from_secs(2);

/// What is measured, and how.
#[derive(Debug, Clone)]
pub struct Options {
    /// One row for each.
    pub paces: Vec<Pace>,
    /// How long each run takes.
    pub duration: Duration,
    /// How long the load is on before.
    pub warmup: Duration,
    /// How often each row is measured, in turns.
    pub runs: u32,
    /// What becomes of the trips.
    pub shares: Shares,
    /// The most trips under way in an open loop.
    pub in_flight_max: u32,
    /// Whether the floor is measured too.
    pub floor: bool,
    /// So many trips, at least, are in the databases before anything is measured.
    pub stored: Option<u64>,
    /// Whether all trips ask for one flight on one day.
    pub hot_flight: bool,
    /// Who books the trips; each is measured at each pace.
    pub protocols: Vec<Protocol>,
}

/// Whom the load drives.
#[derive(Debug)]
pub enum Target<'a> {
    /// A stack of our own.
    Own(&'a Stack),
    /// One that runs elsewhere.
    Elsewhere {
        /// Booking's address.
        url: String,
        /// What it has to book.
        stock: Stock,
        /// What to audit; nothing when there are no databases in it.
        parts: Box<Parts>,
    },
}

/// A run that has just begun, for whoever tells how it goes.
#[derive(Debug, Clone)]
pub struct Going {
    /// Such as `64 callers, run 2 of 3`.
    pub name: String,
    /// When it began.
    pub began: Instant,
    /// When it is measured.
    pub window: Window,
    /// What it has come to.
    pub live: Arc<Live>,
}

/// Where progress goes.
#[derive(Clone, Copy)]
pub struct Tell<'a> {
    /// Each run as it begins.
    pub going: &'a (dyn Fn(Going) + Send + Sync),
    /// A line.
    pub say: stack::Say<'a>,
}

/// Measures everything, and audits. A rival that is started is put where the caller keeps it, to be stopped however this ends.
///
/// # Errors
/// When the load generator cannot be set up, or the stack does not take its stock.
pub async fn measure(
    target: &Target<'_>,
    options: &Options,
    (setup, machine): (Setup, Machine),
    rival: &mut Option<Rival>,
    tell: Tell<'_>,
) -> Result<Report> {
    let bench = Bench::new(target, options, rival, tell).await?;
    if let (Some(stack), Some(wanted)) = (bench.stack(), options.stored) {
        bench.store(stack, wanted).await?;
    }
    let loads = turns::loads(options);
    let mut runs: Vec<Vec<Run>> = loads.iter().map(|_| Vec::new()).collect();
    // In turns, so that whatever changes with time changes for all.
    for number in 1..=options.runs {
        for turn in turns::order(loads.len(), number) {
            let (pace, protocol) = loads[turn];
            let several = options.protocols.len() > 1;
            if several {
                turns::begin(bench.stack(), options.warmup, tell.say).await;
            }
            let name = turns::name((pace, protocol), several, (number, options.runs));
            runs[turn].push(bench.run(pace, protocol, name).await?);
        }
    }
    let mut rows = Vec::new();
    for ((pace, protocol), runs) in loads.into_iter().zip(runs) {
        let floor = match protocol {
            Protocol::Saga => bench.floor(pace, &runs).await?,
            Protocol::TwoPhase => None,
        };
        rows.push(Row::new(pace, protocol, runs, floor));
    }
    let two_phase = match bench.rival.as_mut() {
        Some(rival) => Some(rival.end(QUIET_WITHIN).await?),
        None => None,
    };
    Ok(Report {
        setup,
        machine,
        rows,
        audit: bench.audit().await,
        two_phase,
        availability: Vec::new(),
        availability_error: None,
    })
}

struct Bench<'a> {
    target: &'a Target<'a>,
    options: &'a Options,
    tell: Tell<'a>,
    stock: Arc<Stock>,
    rival: &'a mut Option<Rival>,
}

impl<'a> Bench<'a> {
    async fn new(
        target: &'a Target<'a>,
        options: &'a Options,
        rival: &'a mut Option<Rival>,
        tell: Tell<'a>,
    ) -> Result<Self> {
        let stock = match target {
            Target::Own(stack) => {
                let stock = Stock::own(options.hot_flight)?;
                let (flight, hotel) = (stack.url(flight::SPEC.name)?, stack.url(hotel::SPEC.name)?);
                let http = stack.http();
                inventory::import(http, &format!("{flight}/flights"), stock.flights()).await?;
                inventory::import(http, &format!("{hotel}/hotels"), stock.hotels()).await?;
                stock
            }
            Target::Elsewhere { stock, .. } => stock.clone(),
        };
        if let (Target::Own(stack), true) =
            (target, options.protocols.contains(&Protocol::TwoPhase))
        {
            *rival = Some(Rival::start(stack, &["one"]).await?);
        }
        Ok(Self {
            target,
            options,
            tell,
            stock: Arc::new(stock),
            rival,
        })
    }

    fn stack(&self) -> Option<&'a Stack> {
        match self.target {
            Target::Own(stack) => Some(stack),
            Target::Elsewhere { .. } => None,
        }
    }

    /// The load, on one thread of its own: as light as it can be, since it shares the machine with what it measures. Not one of the
    /// runtime's, which would wait for it when we are interrupted.
    fn load(
        &self,
        pace: Pace,
        protocol: Protocol,
        window: Window,
        live: &Arc<Live>,
    ) -> tokio::sync::oneshot::Receiver<Result<Tally>> {
        let rival = self
            .rival
            .as_ref()
            .filter(|_| protocol == Protocol::TwoPhase);
        let (http, urls): (fn(&str) -> Result<reqwest::ClientBuilder>, _) = match self.target {
            Target::Own(stack) => {
                let urls = rival.map_or_else(|| stack.urls(booking::NAME), Rival::urls);
                (|_| client::http::local(), urls)
            }
            Target::Elsewhere { url, .. } => (
                |url| client::http::to(&client::url(url)?),
                vec![url.clone()],
            ),
        };
        let load = Load {
            http,
            urls,
            pace,
            in_flight_max: self.options.in_flight_max,
            shares: self.options.shares,
            window,
            stock: Arc::clone(&self.stock),
            live: Arc::clone(live),
        };
        let (done, loading) = tokio::sync::oneshot::channel();
        std::thread::spawn(move || {
            let _ = done.send(load.run());
        });
        loading
    }

    /// Books trips for a moment, waits until they are at rest, and copies them until there are so many.
    async fn store(&self, stack: &Stack, wanted: u64) -> Result<()> {
        let began = Instant::now();
        let window = Window {
            from: began,
            until: began + TO_COPY_FOR,
        };
        let live = Arc::new(Live::default());
        let loading = self.load(
            Pace::Callers(TO_COPY_CALLERS),
            Protocol::Saga,
            window,
            &live,
        );
        loading.await.context("the load generator panicked")??;
        let audit = self.audit().await;
        ensure!(
            audit.as_ref().is_some_and(audit::Report::is_clean),
            "the trips to copy did not come to rest: {}",
            audit.map_or_else(String::new, |audit| audit.to_string())
        );
        let databases = stack.databases();
        let url = |name: &str| {
            let url = databases.get(name);
            url.with_context(|| format!("no database of {name}"))
        };
        let plan = Storing::open(url(booking::NAME)?)
            .await?
            .plan(wanted)
            .await?;
        for (name, what) in [
            (booking::NAME, Copied::Trips),
            (flight::SPEC.name, Copied::Parts("seat")),
            (hotel::SPEC.name, Copied::Parts("room")),
        ] {
            let mut storing = Storing::open(url(name)?).await?;
            let tell = |copy: u32| {
                // A line for each tenth.
                if copy * 10 / plan.copies != (copy - 1) * 10 / plan.copies {
                    let trips = plan.trips * u64::from(copy + 1);
                    (self.tell.say)(&format!("{name}: {trips} trips are stored"));
                }
            };
            storing.copy(what, &plan, tell).await?;
            storing.close().await?;
        }
        Ok(())
    }

    async fn run(&self, pace: Pace, protocol: Protocol, name: String) -> Result<Run> {
        let (began, began_at) = (Instant::now(), SystemTime::now());
        let from = began + self.options.warmup;
        let window = Window {
            from,
            until: from + self.options.duration,
        };
        let live = Arc::new(Live::default());
        let rival = self
            .rival
            .as_ref()
            .filter(|_| protocol == Protocol::TwoPhase);
        let loading = self.load(pace, protocol, window, &live);
        (self.tell.going)(Going {
            name,
            began,
            window,
            live: Arc::clone(&live),
        });
        // By then every connection has its process at the server.
        tokio::time::sleep_until(window.from.into()).await;
        let mut processes = self.stack().map(processes);
        if let (Some(rival), Some(processes)) = (rival, &mut processes) {
            processes.insert(String::from("coordinator"), rival.pids());
        }
        let stack = self.stack().zip(processes.as_ref());
        let (seen, readings, counted) = tokio::join!(
            Seen::watch(stack, &live, window),
            Reading::edges(stack, &live, window),
            Rival::edges(rival, window),
        );
        let tally = loading.await.context("the load generator panicked")??;
        let cost = readings
            .and_then(|[before, after]| cost::between(&before, &after, seen.memory_peak_bytes));
        let exchange = match protocol {
            Protocol::Saga => cost.as_ref().map(Exchange::of_saga),
            Protocol::TwoPhase => {
                counted.and_then(|[before, after]| Exchange::of_rival(before, after, cost.as_ref()))
            }
        };
        let refused_to_undone = match self.stack().filter(|_| rival.is_none()) {
            Some(stack) if !tally.undone.is_empty() => {
                let since = began_at.checked_sub(CLOCKS_APART).unwrap_or(began_at);
                let read = async {
                    let broker = Nats::at(stack.nats_url()).connect().await?;
                    let refused = undone::refusals(&broker, since).await?;
                    anyhow::Ok(undone::taken(&refused, &tally.undone)?.distribution())
                };
                // Of all that was measured it is one figure: the others stay.
                read.await.unwrap_or_else(|error| {
                    (self.tell.say)(&format!("the refusals could not be read: {error:#}"));
                    None
                })
            }
            _ => None,
        };
        let duration_s = self.options.duration.as_secs_f64();
        Ok(Run::new(
            pace,
            duration_s,
            tally,
            refused_to_undone,
            (cost, exchange),
            seen.series,
        ))
    }

    async fn floor(&self, pace: Pace, runs: &[Run]) -> Result<Option<Floor>> {
        let (Some(stack), true) = (self.stack(), self.options.floor) else {
            return Ok(None);
        };
        (self.tell.say)(&format!("{pace}: the floor"));
        // A moment of the same load, to count rows: nothing of it is measured.
        let drive = async |time: Duration| -> Result<u64> {
            let from = Instant::now();
            let window = Window {
                from,
                until: from + time,
            };
            let live = Arc::new(Live::default());
            self.load(pace, Protocol::Saga, window, &live)
                .await
                .context("the load generator panicked")??;
            Ok(live.trips())
        };
        floor::measure(stack, &self.stock, pace, runs, drive).await
    }

    async fn audit(&self) -> Option<audit::Report> {
        let parts = match self.target {
            Target::Own(stack) => &Parts {
                databases: own(stack),
                nats: Some(Nats::at(stack.nats_url())),
                ..Parts::default()
            },
            Target::Elsewhere { parts, .. } => parts,
        };
        if parts.databases.is_empty() {
            return None;
        }
        (self.tell.say)("the audit");
        Some(audit::wait_until_clean(parts, QUIET_WITHIN).await)
    }
}

fn own(stack: &Stack) -> Vec<Part> {
    let part = |(name, url): (&String, &String)| Part {
        name: Some(name.clone()),
        url: url.clone(),
    };
    stack.databases().iter().map(part).collect()
}

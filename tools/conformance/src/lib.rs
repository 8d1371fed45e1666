//! Whether a running leg, in any language, keeps the promises of a leg. Booking and the neighbours are played on a real broker, the leg is a
//! black box: what is said to it and what it says is all that counts.
//!
//! - [`run`] plays everything, [`Options`] say with whom and with what, and the [`Report`] has every [`Promise`]: kept, broken with what was
//!   exchanged, or not tried.
//! - [`judge`] is pure: what an [`Exchange`] shows of the promises. `wire` speaks with the broker, `scenes` are what is played.
//!
//! It does not look into the leg's database (that is the audit's), and not at its HTTP. The leg has to be alone with the kit: a real booking
//! would count its trips as unknown ones, and travellers would compete for what is sold.

pub mod exchange;
pub mod judge;
mod kit;
mod parts;
pub mod promise;
mod report;
mod scenes;
mod trip;
pub mod verdict;
mod wire;

use std::fmt;
use std::time::Duration;

use anyhow::{Result, bail};
use async_nats::jetstream::stream::Config;
use choreography::LegName;
use futures::future::{BoxFuture, join_all};

pub use exchange::Exchange;
pub use promise::Promise;
pub use report::{Line, Report, State};

use kit::{Halt, Kit};
use parts::Bodies;
use trip::cancelled;
use wire::Wire;

/// Where a line of progress goes.
pub type Say<'a> = &'a (dyn Fn(&str) + Send + Sync);

/// The most trips with faults: what is known of each is kept until it ends.
pub const TRIPS_MAX: u32 = 1_000_000;

/// How the leg is killed and started again.
pub enum Restart {
    /// It is not.
    Skip,
    /// By this; it is over when the leg is started again. The time within which the leg has to answer then.
    By(
        Box<dyn Fn() -> BoxFuture<'static, Result<()>> + Send + Sync>,
        Duration,
    ),
}

impl fmt::Debug for Restart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Skip => "Skip",
            Self::By(..) => "By",
        })
    }
}

/// With whom it is played, and with what.
#[derive(Debug)]
pub struct Options {
    /// The leg.
    pub leg: LegName,
    /// The broker's addresses.
    pub nats: String,
    /// A user and a password there.
    pub login: Option<(String, String)>,
    /// The stream as booking declares it where it is missing; where None, a missing one is an error.
    pub stream: Option<Config>,
    /// A position of the leg's that it takes, as JSON: it has to be there [`Options::at_once`] times.
    pub item: String,
    /// One that it refuses, for ever.
    pub refused: Option<String>,
    /// One of which there is exactly one left.
    pub last: Option<String>,
    /// How long an answer may take.
    pub answer_within: Duration,
    /// How many it has to hold at once.
    pub at_once: usize,
    /// How long a hold is watched past its trip's deadline.
    pub watch: Duration,
    /// How soon a hold has to ask again by itself; zero: that is not tried.
    pub asks_within: Duration,
    /// Trips with faults.
    pub trips: u32,
    /// What is left to chance.
    pub seed: u64,
    /// How it is killed.
    pub restart: Restart,
    /// Whether a booking that listens on the same broker is put up with.
    pub beside_booking: bool,
}

impl Options {
    /// As most want it, for a leg that takes this.
    #[must_use]
    pub fn new(leg: LegName, nats: String, item: String) -> Self {
        Self {
            leg,
            nats,
            login: None,
            stream: None,
            item,
            refused: None,
            last: None,
            answer_within: Duration::from_secs(10),
            at_once: 40,
            watch: Duration::from_secs(10),
            asks_within: Duration::from_secs(60),
            trips: 10_000,
            seed: 1,
            restart: Restart::Skip,
            beside_booking: false,
        }
    }
}

/// Plays everything with the leg, until it is over or `stop` is. What was begun is cancelled then.
///
/// # Errors
/// When the kit itself is in trouble: the broker is not there, a body is not the leg's, a booking listens, it was stopped.
pub async fn run(
    options: &Options,
    say: Say<'_>,
    stop: impl Future<Output = ()>,
) -> Result<Report> {
    let refused = options.refused.as_deref();
    let bodies = Bodies::of(
        &options.leg,
        &options.item,
        refused,
        options.last.as_deref(),
    )?;
    let wire = Wire::open(&options.nats, options.login.clone(), &options.leg).await?;
    if wire.declare(options.stream.as_ref()).await? {
        say(&format!(
            "the broker had no stream {}: it is declared, as booking does, and stays",
            choreography::STREAM
        ));
    }
    alone(options, &wire, say).await?;
    let kit = Kit::new(options, wire, bodies);
    let played = tokio::select! {
        played = scenes::play(&kit, say) => played,
        () = stop => {
            leave(&kit).await;
            bail!("interrupted: the {} trips under way are cancelled, and nothing is judged", kit.wire.open_trips().len());
        }
    };
    if let Err(Halt::Trouble(error)) = played {
        leave(&kit).await;
        return Err(error);
    }
    scenes::sweep(&kit).await;
    if kit.wire.missed() {
        bail!(
            "the connection to the broker broke, or was too slow for what was said: nothing can be judged by what was heard"
        );
    }
    let elapsed = kit.wire.elapsed().as_secs_f64();
    let verdicts = kit.verdicts().clone();
    Ok(Report::of(
        options.leg.as_str(),
        &verdicts,
        kit.wire.trips(),
        elapsed,
        options.seed,
    ))
}

/// By the protocol a booking says nothing of trips that it does not know. But it counts each as an anomaly, which alarms its operator, and
/// where it is, there are travellers.
async fn alone(options: &Options, wire: &Wire, say: Say<'_>) -> Result<()> {
    let booking = wire.consumer("booking").await?;
    let listens = booking.is_some_and(|info| info.num_waiting > 0 || info.push_bound);
    if !listens {
        return Ok(());
    }
    if options.beside_booking {
        say(
            "a booking listens on this broker: it will count the kit's trips as unknown, and travellers may take what the kit wants",
        );
        return Ok(());
    }
    bail!(
        "a booking listens on this broker, and a leg is looked at where it is alone: booking would count every trip of the kit as an unknown one and \
         travellers would compete for what is sold. Give the leg a broker of its own, or --beside-booking if you must"
    )
}

/// Asks the leg to give back whatever it may hold, and waits for nothing.
async fn leave(kit: &Kit<'_>) {
    let trips = kit.wire.open_trips();
    let saying = trips.into_iter().filter_map(|trip| kit.again(trip));
    let saying = join_all(saying.map(|trip| async move { trip.say(cancelled()).await }));
    // Whoever interrupts does not wait long.
    let _ = tokio::time::timeout(Duration::from_secs(5), saying).await;
}

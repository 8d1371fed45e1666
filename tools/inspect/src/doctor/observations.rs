//! What can be seen of a stack, as plain values: no opinion, and nothing that has to be asked for.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

use async_nats::jetstream::{consumer, stream};

/// Everything that was seen at one moment.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// When, in microseconds since 1970, by this machine's clock.
    pub now_us: i64,
    /// The local stack, when it is one.
    pub home: Option<Home>,
    /// Services, or their replicas.
    pub services: Vec<Service>,
    /// The broker; None when nobody said where it is.
    pub broker: Option<Broker>,
    /// Databases.
    pub databases: Vec<Database>,
    /// The ways to all of them.
    pub connections: Vec<Connection>,
}

/// A local stack.
#[derive(Debug, Clone)]
pub struct Home {
    /// Its folder.
    pub folder: PathBuf,
    /// Somebody runs it.
    pub runs: bool,
    /// Its start is over.
    pub up: bool,
}

/// How far another clock is ahead of this one: somewhere from the least to the most, in microseconds. Behind is negative.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ahead {
    /// At least.
    pub least_us: i64,
    /// At most.
    pub most_us: i64,
}

impl Seen {
    /// The legs that have joined, as booking knows them, whichever replica says so.
    #[must_use]
    pub fn joined(&self) -> BTreeMap<&str, Joined> {
        let booking = self.services.iter().filter_map(|it| it.booking.as_ref());
        let legs = booking.filter_map(|booking| booking.legs.as_ref().ok());
        legs.flatten()
            .map(|(name, leg)| (name.as_str(), *leg))
            .collect()
    }
}

impl Ahead {
    /// A clock that said `from_us` to `until_us` at some moment between two of ours.
    #[must_use]
    pub fn seen(said_us: (i64, i64), asked_us: i64, answered_us: i64) -> Self {
        Self {
            least_us: said_us.0.saturating_sub(answered_us),
            most_us: said_us.1.saturating_sub(asked_us),
        }
    }

    /// The smallest difference that it can be, ahead or behind: what is certain of it.
    #[must_use]
    pub fn certain_us(self) -> i64 {
        if self.least_us > 0 {
            self.least_us
        } else {
            self.most_us.min(0)
        }
    }
}

/// A service, or a replica of one.
#[derive(Debug, Clone)]
pub struct Service {
    /// Such as `flight-2`.
    pub name: String,
    /// Which service it is.
    pub service: String,
    /// Its address, without a password.
    pub url: String,
    /// Whether it has HTTP at all; else nothing of what follows was looked at.
    pub http: bool,
    /// Its log file, on this machine.
    pub log: Option<PathBuf>,
    /// Whether `/livez` answers, or why not.
    pub alive: Result<(), String>,
    /// What `/readyz` answered, each time that it was asked: a balancer may ask another replica every time.
    pub ready: Vec<Result<(), String>>,
    /// Its clock, at each of these answers.
    pub clocks: Vec<Ahead>,
    /// What its API calls itself, and its version.
    pub about: Option<(String, String)>,
    /// What it counts, of one replica.
    pub metrics: Option<Metrics>,
    /// Its dead letters, or why they cannot be read.
    pub letters: Option<Result<Letters, String>>,
    /// What only booking knows.
    pub booking: Option<Booking>,
    /// What only the payment leg knows, or why it cannot be read.
    pub payments: Option<Result<Payments, String>>,
}

/// What a service counts of itself.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    /// Facts that are not known to lie in the stream.
    pub outbox: Option<u64>,
    /// Facts in the stream that wait for it.
    pub lag: Option<u64>,
    /// What it heard that cannot happen, since it started.
    pub anomalies: BTreeMap<String, u64>,
}

/// What the payment leg says of money that waits.
#[derive(Debug, Clone, Default)]
pub struct Payments {
    /// What is wrong with its provider, and what to do; each with a word for programs.
    pub problems: Vec<(String, String)>,
    /// Payments that a person has to look at.
    pub attention: u64,
    /// One of them.
    pub first: Option<Waiting>,
    /// For how long the oldest call has had no answer, in seconds, and what its last attempt came to.
    pub oldest_call: Option<(u64, String)>,
}

/// A payment that a person has to look at.
#[derive(Debug, Clone, Default)]
pub struct Waiting {
    /// Of which trip.
    pub trip: String,
    /// Where it stands, in the payment leg's words.
    pub state: String,
    /// What the provider refused last.
    pub trouble: Option<String>,
}

/// Dead letters.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Letters {
    /// How many dead letters there are.
    pub count: u64,
    /// There are more than were read.
    pub more: bool,
    /// When the newest came, in microseconds since 1970.
    pub last_us: i64,
    /// Why the newest could not be read or applied.
    pub reason: String,
}

/// What only booking knows.
#[derive(Debug, Clone)]
pub struct Booking {
    /// Legs that have joined, by name.
    pub legs: Result<BTreeMap<String, Joined>, String>,
    /// Trips that have not changed for a while and are not final.
    pub unfinished: Result<Vec<Unfinished>, String>,
}

/// A leg that has joined.
#[derive(Debug, Clone, Copy)]
pub struct Joined {
    /// When it last said that it is there, in microseconds since 1970.
    pub said_us: i64,
    /// An operator has retired it.
    pub retired: bool,
}

/// A trip that is not final.
#[derive(Debug, Clone)]
pub struct Unfinished {
    /// Its id.
    pub trip: String,
    /// It is off, and not everything is back; else it is pending.
    pub undoing: bool,
    /// It has been so for over an hour.
    pub needs_attention: bool,
    /// Until when it may be pending, in microseconds since 1970.
    pub deadline_us: i64,
    /// The legs that it waits for.
    pub waits_for: Vec<String>,
}

/// The broker.
#[derive(Debug, Clone)]
pub struct Broker {
    /// Its addresses, without passwords.
    pub url: String,
    /// The server that answered, or why none did.
    pub server: Result<Server, String>,
    /// What JetStream says of the account.
    pub account: Result<Account, String>,
    /// The stream; None when it is not there.
    pub stream: Result<Option<Stream>, String>,
    /// Whether the broker stored a message that was published to try it, and its words if not; None where there is no stream.
    pub stores: Option<Result<(), String>>,
    /// Its consumers.
    pub consumers: Result<Vec<Consumer>, String>,
}

/// A broker's server.
#[derive(Debug, Clone)]
pub struct Server {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The cluster that it is a node of.
    pub cluster: Option<String>,
    /// It has JetStream.
    pub jetstream: bool,
    /// It lets nobody in without TLS.
    pub tls_required: bool,
    /// It is about to stop.
    pub lame_duck: bool,
}

/// What an account uses of JetStream.
#[derive(Debug, Clone, Default)]
pub struct Account {
    /// Bytes on disk.
    pub storage: u64,
    /// How many there may be.
    pub storage_max: Option<u64>,
}

/// A copy of a stream or consumer on another node than the leader's.
#[derive(Debug, Clone)]
pub struct Copy {
    /// The node.
    pub node: String,
    /// It has everything that the leader has.
    pub current: bool,
    /// It is not reached.
    pub offline: bool,
}

/// The stream.
#[derive(Debug, Clone)]
pub struct Stream {
    /// How it is set up.
    pub config: stream::Config,
    /// Bytes in it.
    pub bytes: u64,
    /// Facts in it.
    pub messages: u64,
    /// The last fact's number.
    pub last_sequence: u64,
    /// When the oldest fact in it came, in microseconds since 1970.
    pub first_us: i64,
    /// Its copies beside the leader's.
    pub copies: Vec<Copy>,
    /// Whether it has a leader; true when the broker is no cluster.
    pub led: bool,
}

/// A consumer of the stream.
#[derive(Debug, Clone)]
pub struct Consumer {
    /// Its name, a service's.
    pub name: String,
    /// How it is set up.
    pub config: consumer::Config,
    /// Not delivered yet.
    pub pending: u64,
    /// Delivered and not acknowledged.
    pub unacked: u64,
    /// Of these, delivered more than once.
    pub redelivered: u64,
    /// It was stopped by hand.
    pub paused: bool,
    /// How much it has delivered, ever.
    pub delivered: u64,
    /// Whether something was taken between two looks; None when nothing was waiting.
    pub took: Option<bool>,
    /// For some seconds nobody asked for anything, and nothing was delivered.
    pub silent: bool,
}

/// A database.
#[derive(Debug, Clone)]
pub struct Database {
    /// Whose it is.
    pub name: String,
    /// PostgreSQL, or else SQLite.
    pub postgres: bool,
    /// What was found in it, or why it cannot be looked at.
    pub found: Result<Found, String>,
}

/// What was found in a database.
#[derive(Debug, Clone, Default)]
pub struct Found {
    /// The runtime's migrations that were applied; None when there is no such table.
    pub runtime: Option<Vec<Applied>>,
    /// The service's.
    pub service: Option<Vec<Applied>>,
    /// Facts in the outbox, and when the oldest was said, in microseconds since 1970.
    pub outbox: Option<(u64, i64)>,
    /// Dead letters.
    pub letters: Option<Letters>,
    /// Settings that durability rests on, as a service's own connection has them.
    pub settings: BTreeMap<String, String>,
    /// The server's clock.
    pub clock: Option<Ahead>,
    /// Connections to the server, and the most that it takes.
    pub connections: Option<(u64, u64)>,
    /// It only follows another one and takes no writes.
    pub follows: bool,
    /// The oldest transaction that is still open.
    pub transaction: Transactions,
}

/// The oldest open transaction of a database.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Transactions {
    /// The engine does not tell.
    #[default]
    Unknown,
    /// This user may not see those of others.
    Hidden,
    /// There is none.
    None,
    /// The oldest.
    Oldest {
        /// Open for so long.
        age_us: i64,
        /// Its process on the server.
        pid: i64,
        /// The program, as it calls itself.
        program: String,
        /// What it does, such as `idle in transaction`.
        state: String,
    },
}

/// A migration that was applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// Its number.
    pub version: i64,
    /// It came through.
    pub success: bool,
    /// Of its text, in hexadecimal digits.
    pub checksum: String,
}

/// The way to something.
#[derive(Debug, Clone)]
pub struct Connection {
    /// To what, such as `flight` or `broker`.
    pub to: String,
    /// Its scheme, such as `http`.
    pub scheme: String,
    /// The host's name or number.
    pub host: String,
    /// Its numbers.
    pub ips: Vec<IpAddr>,
}

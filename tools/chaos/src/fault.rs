//! The catalogue of faults: everything that can go wrong, and how it is called. How often, when and for how long is the plan's to say; how it
//! is done, `faults`'.

use std::fmt;

use serde::Serialize;

// A fault names its victim by its place in this list.
pub(super) use stack::catalogue::SERVICES;

/// A process that can be killed and frozen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Victim {
    /// A replica of a service, by its place in [`SERVICES`] and its number from 0.
    Service(usize, u16),
    /// A node of the broker.
    Broker(u16),
    /// The database server.
    Postgres,
}

/// A connection that can be disturbed: from a replica to where it points.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Link {
    /// From a replica of a service to every node of the broker.
    Broker(usize, u16),
    /// From a replica of a service to PostgreSQL.
    Postgres(usize, u16),
}

/// A disk that can be full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Disk {
    /// Where the services' SQLite files are.
    Services,
    /// Where a node of the broker keeps its store.
    Broker(u16),
    /// Where PostgreSQL keeps everything.
    Postgres,
}

/// How recorded messages are said once more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Manner {
    /// Under the same `ce-id` and a new `Nats-Msg-Id`: an echo, which every inbox has to drop.
    SameId,
    /// Under a new `ce-id`: a question, which has to be answered as it was the first time.
    NewId,
    /// The latest, last first.
    Reordered,
    /// From the beginning of the run.
    Old,
}

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// SIGKILL, and a start some time later.
    Kill(Victim),
    /// SIGSTOP, and SIGCONT some time later: it neither answers nor ends.
    Freeze(Victim),
    /// SIGKILL so many times in a row, and a start at once after each.
    Flap(Victim, u16),
    /// A broker node is killed, one of its block files cut off somewhere, and it is started again.
    Truncate(u16),
    /// The same with one bit flipped.
    FlipBit(u16),
    /// The same with everything deleted that it stored.
    Wipe(u16),
    /// The stream is deleted under everybody's feet.
    DeleteStream,
    /// A service's consumer is deleted.
    DeleteConsumer(usize),
    /// All messages are deleted; the stream stays.
    Purge,
    /// Nothing can be written any more, until there is space again.
    FillDisk(Disk),
    /// Connections are cut, and new ones too until it is over.
    Cut(Link),
    /// Whatever passes is late by so many milliseconds.
    Slow(Link, u64),
    /// What the service says does not arrive; what it is told does.
    Mute(Link),
    /// What the service is told does not arrive; what it says does.
    Deafen(Link),
    /// Recorded messages are said once more.
    Repeat(Manner),
    /// So many of a hundred trips are cancelled at once, whatever became of them.
    CancelMany(u8),
    /// Every replica of a service is down while many more trips are booked than otherwise.
    Backlog(usize),
    /// The broker node that leads the stream is killed.
    KillLeader,
    /// Every broker node is stopped and started in turn.
    RollBroker,
    /// A replica is started again with a clock that many seconds off, and later with the right one.
    JumpClock(usize, u16, i64),
}

impl Fault {
    /// One word, by which it is counted.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        let of = |victim: &Victim, words: [&'static str; 3]| match victim {
            Victim::Service(..) => words[0],
            Victim::Broker(_) => words[1],
            Victim::Postgres => words[2],
        };
        match self {
            Self::Kill(victim) => of(victim, ["kill", "kill-broker", "kill-postgres"]),
            Self::Freeze(victim) => of(victim, ["freeze", "freeze-broker", "freeze-postgres"]),
            Self::Flap(victim, _) => of(victim, ["flap", "flap-broker", "flap-postgres"]),
            Self::Truncate(_) => "truncate-store",
            Self::FlipBit(_) => "flip-bit-in-store",
            Self::Wipe(_) => "wipe-store",
            Self::DeleteStream => "delete-stream",
            Self::DeleteConsumer(_) => "delete-consumer",
            Self::Purge => "purge",
            Self::FillDisk(Disk::Services) => "fill-disk",
            Self::FillDisk(Disk::Broker(_)) => "fill-disk-broker",
            Self::FillDisk(Disk::Postgres) => "fill-disk-postgres",
            Self::Cut(_) => "cut",
            Self::Slow(..) => "slow",
            Self::Mute(_) => "mute",
            Self::Deafen(_) => "deafen",
            Self::Repeat(Manner::SameId) => "repeat-same-id",
            Self::Repeat(Manner::NewId) => "repeat-new-id",
            Self::Repeat(Manner::Reordered) => "repeat-reordered",
            Self::Repeat(Manner::Old) => "repeat-old",
            Self::CancelMany(_) => "cancel-many",
            Self::Backlog(_) => "backlog",
            Self::KillLeader => "kill-leader",
            Self::RollBroker => "roll-broker",
            Self::JumpClock(..) => "jump-clock",
        }
    }
}

impl fmt::Display for Victim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Service(service, replica) => {
                write!(
                    f,
                    "{}-{}",
                    SERVICES.get(*service).unwrap_or(&""),
                    replica + 1
                )
            }
            Self::Broker(node) => write!(f, "broker-{}", node + 1),
            Self::Postgres => write!(f, "postgres"),
        }
    }
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Broker(service, replica) | Self::Postgres(service, replica)) = *self;
        let to = match self {
            Self::Broker(..) => "the broker",
            Self::Postgres(..) => "postgres",
        };
        write!(f, "{} to {to}", Victim::Service(service, replica))
    }
}

impl fmt::Display for Disk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Services => write!(f, "the services"),
            Self::Broker(node) => write!(f, "broker-{}", node + 1),
            Self::Postgres => write!(f, "postgres"),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |service: &usize| SERVICES.get(*service).copied().unwrap_or_default();
        write!(f, "{}", self.kind())?;
        match self {
            Self::Kill(victim) | Self::Freeze(victim) => write!(f, " {victim}"),
            Self::Flap(victim, times) => write!(f, " {victim} {times} times"),
            Self::Truncate(node) | Self::FlipBit(node) | Self::Wipe(node) => {
                write!(f, " {}", Victim::Broker(*node))
            }
            Self::DeleteConsumer(service) | Self::Backlog(service) => {
                write!(f, " {}", name(service))
            }
            Self::FillDisk(disk) => write!(f, " of {disk}"),
            Self::Cut(link) | Self::Mute(link) | Self::Deafen(link) => write!(f, " {link}"),
            Self::Slow(link, ms) => write!(f, " {link} by {ms} ms"),
            Self::CancelMany(percent) => write!(f, " {percent} %"),
            Self::JumpClock(service, replica, seconds) => {
                write!(f, " {} by {seconds} s", Victim::Service(*service, *replica))
            }
            Self::DeleteStream
            | Self::Purge
            | Self::Repeat(_)
            | Self::KillLeader
            | Self::RollBroker => Ok(()),
        }
    }
}

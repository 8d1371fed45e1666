//! Doing what the plan says: each fault of the catalogue, on the stage. What cannot be done at its moment (a stream that is gone cannot be
//! deleted) is missed; the last reason is kept by kind.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use fastrand::Rng;
use nix::sys::signal::Signal;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use super::fault::{Fault, Link, SERVICES, Victim};
use super::load::{Crowd, Errand};
use super::plan::{Plan, Step};
use super::proxy::Mode;
use super::sometimes::Sometimes;
use super::stage::{Stage, node_name};
use super::wire::Wire;
use stack::Say;

/// Between the kills of a process that flaps.
const FLAP: Duration = Duration::from_millis(400);
/// How long the broker may take to answer a request.
const WITHIN: Duration = Duration::from_secs(3);
/// Where libfaketime is, if it is.
const FAKETIME: [&str; 4] = [
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketime.so.1",
    "/usr/lib64/faketime/libfaketime.so.1",
    "/usr/lib/faketime/libfaketime.so.1",
];

/// What has been done so far, by kind.
#[derive(Debug, Clone, Default, serde::Serialize)]
pub struct Done {
    /// Faults that were done.
    pub done: BTreeMap<String, u64>,
    /// Faults that could not be done at their moment, with the last reason of each kind.
    pub missed: BTreeMap<String, String>,
    /// Faults that cannot be done on this machine at all, and why.
    pub left_out: BTreeMap<String, String>,
}

/// Who does it.
#[derive(Debug)]
pub(super) struct Saboteur {
    pub(super) stage: Arc<Stage>,
    pub(super) crowd: Arc<Crowd>,
    pub(super) errands: mpsc::Sender<Errand>,
    pub(super) wire: Arc<Wire>,
    pub(super) sometimes: Arc<Sometimes>,
    pub(super) done: Mutex<Done>,
}

/// What came of a fault.
enum Came {
    Done,
    LeftOut(&'static str),
}

impl Saboteur {
    /// Does all of a plan, each fault at its time, and ends when the last one is over.
    pub(super) async fn strike(self: Arc<Self>, plan: &Plan, say: Say<'_>) {
        let began = Instant::now();
        let mut faults = JoinSet::new();
        for step in plan.steps.clone() {
            sleep_until(began + Duration::from_millis(step.at_ms)).await;
            say(&step.to_string());
            let saboteur = Arc::clone(&self);
            faults.spawn(async move { saboteur.once(step).await });
        }
        while faults.join_next().await.is_some() {}
    }

    async fn once(&self, step: Step) {
        let came = self.act(step).await;
        let kind = step.fault.kind().to_owned();
        let mut done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        match came {
            Ok(Came::Done) => *done.done.entry(kind).or_default() += 1,
            Ok(Came::LeftOut(why)) => {
                done.left_out.insert(kind, why.to_owned());
            }
            Err(error) => {
                done.missed.insert(kind, format!("{error:#}"));
            }
        }
    }

    async fn act(&self, step: Step) -> Result<Came> {
        let long = Duration::from_millis(step.for_ms);
        let mut rng = Rng::with_seed(step.luck);
        match step.fault {
            Fault::Kill(victim) => self.kill(victim, long).await?,
            Fault::Freeze(victim) => {
                self.while_open("a process was frozen with work open");
                self.stage.signal(victim, Signal::SIGSTOP)?;
                sleep(long).await;
                self.stage.signal(victim, Signal::SIGCONT)?;
            }
            Fault::Flap(victim, times) => {
                for _ in 0..times {
                    self.kill(victim, Duration::ZERO).await?;
                    sleep(FLAP).await;
                }
            }
            Fault::Truncate(node) => {
                self.damage(node, long, |store| truncate(store, &mut rng))
                    .await?
            }
            Fault::FlipBit(node) => {
                self.damage(node, long, |store| flip_bit(store, &mut rng))
                    .await?
            }
            Fault::Wipe(node) => self.damage(node, long, wipe).await?,
            Fault::DeleteStream | Fault::DeleteConsumer(_) | Fault::Purge => {
                tokio::time::timeout(WITHIN, self.delete(step.fault))
                    .await
                    .context("the broker does not answer")??;
            }
            Fault::FillDisk(disk) => {
                let Some(disk) = self.stage.disk(disk) else {
                    return Ok(Came::LeftOut("there is no disk that could be filled"));
                };
                disk.fill()?;
                sleep(long).await;
                disk.free()?;
            }
            Fault::Cut(link) => {
                self.sometimes.saw("a connection was cut");
                self.disturb(link, Mode::Cut, long).await?;
            }
            Fault::Slow(link, by_ms) => {
                let slow = Mode::Slow(Duration::from_millis(by_ms));
                self.disturb(link, slow, long).await?;
            }
            Fault::Mute(link) => self.disturb(link, Mode::Mute, long).await?,
            Fault::Deafen(link) => self.disturb(link, Mode::Deaf, long).await?,
            Fault::Repeat(manner) => {
                let many = self.wire.repeat(manner, step.luck).await?;
                let many = u64::try_from(many).unwrap_or(u64::MAX);
                self.sometimes
                    .count("a recorded message was said again by a stranger", many);
            }
            Fault::CancelMany(percent) => self.errands.send(Errand::CancelMany(percent)).await?,
            Fault::Backlog(service) => self.backlog(service, long).await?,
            Fault::KillLeader => {
                let leader = self.leader().await?;
                self.sometimes.saw("the leader of the stream was killed");
                self.kill(leader, long).await?;
            }
            Fault::RollBroker => self.roll(long).await?,
            Fault::JumpClock(service, replica, seconds) => {
                let Some(library) = FAKETIME.iter().find(|path| Path::new(path).exists()) else {
                    return Ok(Came::LeftOut("libfaketime is not installed"));
                };
                self.jump(Victim::Service(service, replica), library, seconds, long)
                    .await?;
            }
        }
        Ok(Came::Done)
    }

    /// Counts it if it strikes in the middle of something.
    fn while_open(&self, name: &'static str) {
        if self.crowd.ledger().undecided() > 0 {
            self.sometimes.saw(name);
        }
    }

    async fn kill(&self, victim: Victim, long: Duration) -> Result<()> {
        self.while_open("a process was killed with work open");
        self.stage.kill(victim).await?;
        sleep(long).await;
        self.stage.start_again(victim).await
    }

    async fn disturb(&self, link: Link, mode: Mode, long: Duration) -> Result<()> {
        self.stage.disturb(link, mode)?;
        sleep(long).await;
        self.stage.disturb(link, Mode::Open)
    }

    /// Kills a node, does something to its store, and starts it.
    async fn damage(
        &self,
        node: u16,
        long: Duration,
        damage: impl FnOnce(&Path) -> Result<()>,
    ) -> Result<()> {
        let victim = Victim::Broker(node);
        self.stage.kill(victim).await?;
        let damaged = damage(&self.stage.store(node).await?);
        sleep(long).await;
        self.stage.start_again(victim).await?;
        damaged?;
        self.sometimes.saw("the broker's store was damaged");
        Ok(())
    }

    async fn delete(&self, what: Fault) -> Result<()> {
        let context = self.wire.jetstream();
        let stream = context.get_stream(choreography::STREAM).await?;
        match what {
            Fault::DeleteConsumer(service) => {
                let service = SERVICES.get(service).context("no such service")?;
                stream.delete_consumer(service).await?;
            }
            Fault::DeleteStream => {
                context.delete_stream(choreography::STREAM).await?;
            }
            _ => {
                stream.purge().await?;
            }
        }
        Ok(())
    }

    /// All replicas of a service are down while many more trips than otherwise are asked for.
    async fn backlog(&self, service: usize, long: Duration) -> Result<()> {
        let replicas = (0..).take(self.stage.urls(service).len());
        let victims: Vec<Victim> = replicas
            .map(|number| Victim::Service(service, number))
            .collect();
        for victim in &victims {
            self.stage.kill(*victim).await?;
        }
        self.errands.send(Errand::Burst).await?;
        sleep(long).await;
        for victim in victims {
            self.stage.start_again(victim).await?;
        }
        Ok(())
    }

    async fn leader(&self) -> Result<Victim> {
        let look = async {
            let stream = self
                .wire
                .jetstream()
                .get_stream(choreography::STREAM)
                .await?;
            let cluster = stream.cached_info().cluster.clone();
            let leader = cluster
                .and_then(|cluster| cluster.leader)
                .context("nobody leads")?;
            let mut nodes = self.stage.victims().into_iter();
            nodes
                .find(|victim| matches!(victim, Victim::Broker(node) if node_name(*node) == leader))
                .context("the leader is none of our nodes")
        };
        tokio::time::timeout(WITHIN, look)
            .await
            .context("the broker does not answer")?
    }

    async fn roll(&self, long: Duration) -> Result<()> {
        let nodes = self.stage.victims();
        let nodes: Vec<Victim> = nodes
            .into_iter()
            .filter(|v| matches!(v, Victim::Broker(_)))
            .collect();
        let each = long / u32::try_from(nodes.len().max(1)).unwrap_or(1);
        for node in nodes {
            // Stopped as it is asked to, and started at once.
            self.stage.start_again(node).await?;
            sleep(each).await;
        }
        Ok(())
    }

    async fn jump(
        &self,
        victim: Victim,
        library: &str,
        seconds: i64,
        long: Duration,
    ) -> Result<()> {
        self.stage.kill(victim).await?;
        let by = format!("{seconds:+}s");
        let off = [
            ("LD_PRELOAD", library),
            ("FAKETIME", by.as_str()),
            ("DONT_FAKE_MONOTONIC", "1"),
        ];
        self.stage.start_with(victim, &off).await?;
        sleep(long).await;
        self.stage.kill(victim).await?;
        self.stage
            .start_with(victim, &[("LD_PRELOAD", ""), ("FAKETIME", "")])
            .await
    }
}

/// Block files of the store that have something in them, in an order that does not depend on the system.
fn blocks(store: &Path) -> Vec<(PathBuf, u64)> {
    let mut found = Vec::new();
    let mut folders = vec![store.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "blk") {
                let size = entry.metadata().map_or(0, |meta| meta.len());
                found.push((path, size));
            }
        }
    }
    found.retain(|(_, size)| *size > 0);
    found.sort();
    found
}

fn block(store: &Path, rng: &mut Rng) -> Result<(PathBuf, u64)> {
    let mut all = blocks(store);
    if all.is_empty() {
        bail!("the store has no block with anything in it");
    }
    Ok(all.swap_remove(rng.usize(..all.len())))
}

fn truncate(store: &Path, rng: &mut Rng) -> Result<()> {
    let (path, size) = block(store, rng)?;
    let file = std::fs::OpenOptions::new().write(true).open(path)?;
    Ok(file.set_len(rng.u64(..size))?)
}

fn flip_bit(store: &Path, rng: &mut Rng) -> Result<()> {
    let (path, _) = block(store, rng)?;
    let mut bytes = std::fs::read(&path)?;
    let at = rng.usize(..bytes.len().max(1));
    if let Some(byte) = bytes.get_mut(at) {
        *byte ^= 1 << rng.u8(..8);
    }
    Ok(std::fs::write(path, bytes)?)
}

/// What is in the folder goes, and the folder stays: it may be a disk of its own.
fn wipe(store: &Path) -> Result<()> {
    for entry in std::fs::read_dir(store)?.flatten() {
        match entry.path() {
            path if path.is_dir() => std::fs::remove_dir_all(path)?,
            path => std::fs::remove_file(path)?,
        }
    }
    Ok(())
}

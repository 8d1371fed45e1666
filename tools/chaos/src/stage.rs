//! The stack that is broken and mended: a broker of one node or several, three services in one replica or several, each with a proxy before
//! whatever it connects to, and disks that can be full. And who keeps it running, as any supervisor would.
//!
//! It knows how to kill, freeze and start a process, and no reason to.

mod raise;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex as Plain, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result};
use futures::future::join_all;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::sync::Mutex;

use super::fault::{Disk, Link, Victim};
use super::proxy::{Mode, Proxy};
use super::sometimes::Sometimes;
use inspect::audit::{Nats, Part, Parts};
use stack::broker::Broker;
use stack::disk::{self, Mounted};
use stack::postgres::Cluster;
use stack::service::ServiceProcess;

const LOOK_EVERY: Duration = Duration::from_millis(250);
/// With less than this on its disk it would not help a broker to be started again, in bytes.
const SPACE_MIN: u64 = 4 << 20;

/// One process of a service.
#[derive(Debug)]
struct Replica {
    process: Mutex<ServiceProcess>,
    url: String,
    log: PathBuf,
    /// To each node of the broker.
    broker: Vec<Proxy>,
    postgres: Option<Proxy>,
}

/// Everything that runs. Dropped, all of it ends; its folder is removed unless it is to be kept.
#[derive(Debug)]
pub(super) struct Stage {
    /// By their places in [`SERVICES`].
    services: Vec<Vec<Replica>>,
    nodes: Vec<Mutex<Broker>>,
    cluster: Option<Mutex<Cluster>>,
    databases: BTreeMap<String, String>,
    nats_url: String,
    /// Down on purpose: nobody is to start it.
    down: Plain<BTreeSet<Victim>>,
    disks: BTreeMap<Disk, Mounted>,
    started_again: AtomicU64,
    /// Why there are no disks that can be full.
    pub(super) no_disks: Option<String>,
    pub(super) http: reqwest::Client,
    folder: Folder,
}

/// Where everything lies. Dropped, it is removed unless it is to be kept.
#[derive(Debug)]
struct Folder {
    path: PathBuf,
    keep: bool,
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !self.keep {
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }
}

impl Stage {
    /// The HTTP of each replica of a service.
    pub(super) fn urls(&self, service: usize) -> Vec<String> {
        let replicas = self.services.get(service).into_iter().flatten();
        replicas.map(|replica| replica.url.clone()).collect()
    }

    /// Every process.
    pub(super) fn victims(&self) -> Vec<Victim> {
        let replicas = |(at, replicas): (usize, &Vec<Replica>)| -> Vec<Victim> {
            (0..)
                .take(replicas.len())
                .map(|number| Victim::Service(at, number))
                .collect()
        };
        let services = self.services.iter().enumerate().flat_map(replicas);
        let nodes = (0..).take(self.nodes.len()).map(Victim::Broker);
        let postgres = self.cluster.iter().map(|_| Victim::Postgres);
        services.chain(nodes).chain(postgres).collect()
    }

    /// What an auditor looks at: past all proxies.
    pub(super) fn parts(&self) -> Parts {
        let part = |(name, url): (&String, &String)| Part {
            name: Some(name.clone()),
            url: url.clone(),
        };
        Parts {
            databases: self.databases.iter().map(part).collect(),
            nats: Some(Nats::at(&self.nats_url)),
            ..Parts::default()
        }
    }

    /// Where the broker is, past all proxies.
    pub(super) fn nats_url(&self) -> &str {
        &self.nats_url
    }

    /// Booking's database, past all proxies.
    pub(super) fn booking_url(&self) -> &str {
        self.databases.get(booking::NAME).map_or("", String::as_str)
    }

    /// The log of every replica.
    pub(super) fn logs(&self) -> Vec<PathBuf> {
        let replicas = self.services.iter().flatten();
        replicas.map(|replica| replica.log.clone()).collect()
    }

    /// Where everything lies.
    pub(super) fn folder(&self) -> &Path {
        &self.folder.path
    }

    /// The folder of a broker node's store.
    pub(super) async fn store(&self, node: u16) -> Result<PathBuf> {
        let node = self.nodes.get(usize::from(node)).context("no such node")?;
        Ok(node.lock().await.store())
    }

    fn replica(&self, service: usize, number: u16) -> Result<&Replica> {
        let replicas = self.services.get(service).context("no such service")?;
        replicas.get(usize::from(number)).context("no such replica")
    }

    fn down(&self) -> std::sync::MutexGuard<'_, BTreeSet<Victim>> {
        self.down.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// SIGKILL. It stays down until it is started.
    pub(super) async fn kill(&self, victim: Victim) -> Result<()> {
        self.down().insert(victim);
        match victim {
            Victim::Service(service, number) => {
                self.replica(service, number)?
                    .process
                    .lock()
                    .await
                    .kill()
                    .await
            }
            Victim::Broker(node) => {
                let node = self.nodes.get(usize::from(node)).context("no such node")?;
                node.lock().await.kill().await
            }
            Victim::Postgres => {
                let cluster = self.cluster.as_ref().context("no PostgreSQL")?;
                cluster.lock().await.kill().await
            }
        }
    }

    /// Starts it where it was, with these variables changed if it is a service. When it cannot be started yet, the supervisor goes on trying.
    pub(super) async fn start_with(&self, victim: Victim, env: &[(&str, &str)]) -> Result<()> {
        self.down().remove(&victim);
        match victim {
            Victim::Service(service, number) => {
                self.replica(service, number)?
                    .process
                    .lock()
                    .await
                    .restart(env)
                    .await
            }
            Victim::Broker(node) => {
                let node = self.nodes.get(usize::from(node)).context("no such node")?;
                node.lock().await.restart().await
            }
            Victim::Postgres => {
                let cluster = self.cluster.as_ref().context("no PostgreSQL")?;
                cluster.lock().await.restart().await
            }
        }
    }

    /// The same, with what it had.
    pub(super) async fn start_again(&self, victim: Victim) -> Result<()> {
        self.start_with(victim, &[]).await
    }

    /// The process id, if it runs and nobody is just starting it.
    pub(super) fn pid(&self, victim: Victim) -> Option<u32> {
        match victim {
            Victim::Service(service, number) => {
                let mut process = self
                    .replica(service, number)
                    .ok()?
                    .process
                    .try_lock()
                    .ok()?;
                process.pid().filter(|_| process.ended().is_none())
            }
            Victim::Broker(node) => {
                let mut node = self.nodes.get(usize::from(node))?.try_lock().ok()?;
                node.pid().filter(|_| node.ended().is_none())
            }
            Victim::Postgres => {
                let mut cluster = self.cluster.as_ref()?.try_lock().ok()?;
                cluster.pid().filter(|_| cluster.ended().is_none())
            }
        }
    }

    /// SIGSTOP or SIGCONT, to all processes that it consists of.
    pub(super) fn signal(&self, victim: Victim, what: Signal) -> Result<()> {
        let Some(pid) = self.pid(victim) else {
            return Ok(());
        };
        // PostgreSQL has a process for each connection.
        for child in children(pid) {
            signal(Some(child), what)?;
        }
        signal(Some(pid), what)
    }

    /// Sets what lies between a replica and what it connects to.
    pub(super) fn disturb(&self, link: Link, mode: Mode) -> Result<()> {
        let (Link::Broker(service, number) | Link::Postgres(service, number)) = link;
        let replica = self.replica(service, number)?;
        match link {
            Link::Broker(..) => replica.broker.iter().for_each(|proxy| proxy.set(mode)),
            Link::Postgres(..) => replica.postgres.iter().for_each(|proxy| proxy.set(mode)),
        }
        Ok(())
    }

    /// A disk that can be full, where there is one.
    pub(super) fn disk(&self, disk: Disk) -> Option<&Mounted> {
        self.disks.get(&disk)
    }

    /// How often a broker that stored nothing was started again.
    pub(super) fn started_again(&self) -> u64 {
        self.started_again.load(Ordering::Relaxed)
    }

    /// Starts again whatever ended by itself, and brokers that store nothing, for as long as it is asked to.
    pub(super) async fn supervise(self: Arc<Self>, sometimes: Arc<Sometimes>) {
        loop {
            for victim in self.victims() {
                if self.is_gone(victim) {
                    sometimes.saw("a process ended by itself");
                    // What hinders it now may be over when it is tried next.
                    let _ = self.start_again(victim).await;
                } else if self.stores_nothing(victim) {
                    self.started_again.fetch_add(1, Ordering::Relaxed);
                    let _ = self.start_again(victim).await;
                }
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// After one write that failed a broker refuses to store, even when its disk has room, until it is started again. Here its log tells,
    /// in a deployment its health report.
    fn stores_nothing(&self, victim: Victim) -> bool {
        let Victim::Broker(node) = victim else {
            return false;
        };
        if self.pid(victim).is_none() || !self.disks.contains_key(&Disk::Broker(node)) {
            return false;
        }
        let node = self.nodes.get(usize::from(node));
        let Some(broker) = node.and_then(|node| node.try_lock().ok()) else {
            return false;
        };
        let log = std::fs::read(broker.log()).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let since_its_start = log.rsplit("Starting nats-server").next();
        since_its_start.is_some_and(|log| log.contains("Critical write error"))
            && disk::free_bytes(&broker.store()).is_none_or(|bytes| bytes >= SPACE_MIN)
    }

    /// Not running, though it should be.
    fn is_gone(&self, victim: Victim) -> bool {
        let busy = match victim {
            Victim::Service(service, number) => self
                .replica(service, number)
                .is_ok_and(|replica| replica.process.try_lock().is_err()),
            Victim::Broker(node) => self
                .nodes
                .get(usize::from(node))
                .is_some_and(|node| node.try_lock().is_err()),
            Victim::Postgres => self.cluster.as_ref().is_some_and(|c| c.try_lock().is_err()),
        };
        !busy && !self.down().contains(&victim) && self.pid(victim).is_none()
    }

    /// Lifts every fault: connections are open, disks have space, whatever was frozen goes on, whatever was down is up.
    pub(super) async fn heal(&self) -> Result<()> {
        for (service, replicas) in self.services.iter().enumerate() {
            for (number, _) in (0..).zip(replicas) {
                self.disturb(Link::Broker(service, number), Mode::Open)?;
                self.disturb(Link::Postgres(service, number), Mode::Open)?;
            }
        }
        for disk in self.disks.values() {
            disk.free()?;
        }
        for victim in self.victims() {
            self.signal(victim, Signal::SIGCONT)?;
        }
        let down = std::mem::take(&mut *self.down());
        for victim in down {
            self.start_again(victim).await?;
        }
        Ok(())
    }

    /// Ends everything in order, services first. Who did not end as it was asked to is named.
    pub(super) async fn end(&self) -> Result<Vec<String>> {
        self.down().extend(self.victims());
        let all = self.services.iter().flatten();
        let ended = join_all(all.map(async |replica| {
            let mut process = replica.process.lock().await;
            process.stop().await?;
            let status = process.ended().filter(|status| !status.success());
            anyhow::Ok(status.map(|status| format!("{} ended with {status}", process.name())))
        }))
        .await;
        let complaints: Result<Vec<Option<String>>> = ended.into_iter().collect();
        if let Some(cluster) = &self.cluster {
            cluster.lock().await.stop().await?;
        }
        for node in &self.nodes {
            node.lock().await.stop().await?;
        }
        if self.folder.keep && self.disks.contains_key(&Disk::Services) {
            // What lies on a disk of ours goes with it.
            let (from, to) = (
                self.folder.path.join("services"),
                self.folder.path.join("databases"),
            );
            std::fs::create_dir_all(&to)?;
            for file in std::fs::read_dir(from)?.flatten() {
                std::fs::copy(file.path(), to.join(file.file_name()))?;
            }
        }
        Ok(complaints?.into_iter().flatten().collect())
    }
}

/// What a node of a cluster is called.
pub(super) fn node_name(node: u16) -> String {
    format!("node-{}", node + 1)
}

fn signal(pid: Option<u32>, signal: Signal) -> Result<()> {
    let Some(pid) = pid.and_then(|pid| i32::try_from(pid).ok()) else {
        return Ok(());
    };
    match kill(Pid::from_raw(pid), signal) {
        Err(nix::errno::Errno::ESRCH) => Ok(()),
        other => other.with_context(|| format!("cannot send {signal} to the process {pid}")),
    }
}

/// The children of a process, where the system shows them.
fn children(pid: u32) -> Vec<u32> {
    let listed = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
    let listed = listed.unwrap_or_default();
    listed
        .split_whitespace()
        .filter_map(|word| word.parse().ok())
        .collect()
}

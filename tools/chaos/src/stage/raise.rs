//! How a stage comes up: disks, broker, databases, proxies, services, and something to book.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;
use std::sync::Mutex as Plain;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use futures::future::join_all;
use nix::sys::signal::Signal;
use tokio::sync::Mutex;

use super::{Folder, LOOK_EVERY, Replica, Stage, node_name, signal};
use crate::fault::{Disk, SERVICES, Victim};
use crate::proxy::Proxy;
use crate::{Options, wish};
use client::Client;
use stack::broker::{self, Broker, Member};
use stack::disk::Mounted;
use stack::postgres::{Cluster, Programs};
use stack::service::{ServiceProcess, Spec};
use stack::{Say, port, private};

const READY_WITHIN: Duration = Duration::from_secs(90);

impl Stage {
    /// Starts everything, and puts up something to book.
    pub(crate) async fn start(options: &Options, say: Say<'_>) -> Result<Self> {
        let name = format!(
            "roundtrip-chaos-{}-{:08x}",
            std::process::id(),
            fastrand::u32(..)
        );
        let path = std::env::temp_dir().join(name);
        private::make(&path)?;
        private::make(&path.join("logs"))?;
        if options.postgres {
            private::let_the_server_through(&path)?;
        }
        let folder = Folder {
            path,
            keep: options.keep,
        };
        let mut stage = Self {
            services: Vec::new(),
            nodes: Vec::new(),
            cluster: None,
            databases: BTreeMap::new(),
            nats_url: String::new(),
            down: Plain::default(),
            disks: BTreeMap::new(),
            started_again: std::sync::atomic::AtomicU64::default(),
            no_disks: None,
            http: client::http::local()?
                .timeout(Duration::from_secs(10))
                .build()?,
            folder,
        };
        stage.start_broker(options, say).await?;
        stage.start_databases(options, say).await?;
        for (at, service) in SERVICES.iter().enumerate() {
            let mut replicas = Vec::new();
            for number in 0..options.replicas {
                replicas.push(stage.start_replica(options, at, service, number).await?);
            }
            stage.services.push(replicas);
        }
        stage.until_open().await?;
        stage.put_up().await?;
        Ok(stage)
    }

    fn mount(&mut self, disk: Disk, folder: &Path) {
        match Mounted::on(folder) {
            Ok(mounted) => {
                self.disks.insert(disk, mounted);
            }
            Err(error) => self.no_disks = Some(format!("{error:#}")),
        }
    }

    async fn start_broker(&mut self, options: &Options, say: Say<'_>) -> Result<()> {
        // Blocks only while it fetches.
        let program = tokio::task::block_in_place(|| broker::find(say))?;
        let ports = (0..options.nodes)
            .map(|_| port::free())
            .collect::<Result<Vec<u16>>>()?;
        for (at, own) in (0..options.nodes).zip(&ports) {
            let folder = self.folder.path.join(format!("broker-{}", at + 1));
            self.mount(Disk::Broker(at), &folder.join("jetstream"));
            let node = match options.nodes {
                1 => Broker::start(&program, &folder, None).await?,
                _ => {
                    let member = Member {
                        name: node_name(at),
                        port: *own,
                        routes: ports.iter().copied().filter(|port| port != own).collect(),
                    };
                    Broker::start_member(&program, &folder, member).await?
                }
            };
            self.nodes.push(Mutex::new(node));
        }
        let urls = join_all(self.nodes.iter().map(async |node| node.lock().await.url())).await;
        self.nats_url = urls.join(",");
        Ok(())
    }

    async fn start_databases(&mut self, options: &Options, say: Say<'_>) -> Result<()> {
        if !options.postgres {
            let folder = self.folder.path.join("services");
            self.mount(Disk::Services, &folder);
            for service in SERVICES {
                let url = format!(
                    "sqlite://{}",
                    folder.join(format!("{service}.db")).display()
                );
                self.databases.insert(service.to_owned(), url);
            }
            return Ok(());
        }
        let programs = tokio::task::block_in_place(|| Programs::find(say))?;
        let folder = self.folder.path.join("postgres");
        self.mount(Disk::Postgres, &folder);
        let cluster = Cluster::start(&programs, &folder, !options.keep).await?;
        // SCRAM's thousands of rounds cost a debug build a tenth of a second for each connection, and faults make many.
        std::fs::write(
            folder.join("data/pg_hba.conf"),
            "host all all 127.0.0.1/32 password\n",
        )?;
        signal(cluster.pid(), Signal::SIGHUP)?;
        for service in SERVICES {
            let url = cluster.database(service).await?;
            self.databases.insert(service.to_owned(), url);
        }
        self.cluster = Some(Mutex::new(cluster));
        Ok(())
    }

    async fn start_replica(
        &self,
        options: &Options,
        at: usize,
        service: &str,
        number: u16,
    ) -> Result<Replica> {
        let mut broker = Vec::new();
        for node in &self.nodes {
            broker.push(Proxy::to(node.lock().await.port()).await?);
        }
        let urls = broker
            .iter()
            .map(|proxy| format!("nats://127.0.0.1:{}", proxy.port()));
        let mut database = self
            .databases
            .get(service)
            .context("no such service")?
            .clone();
        let mut postgres = None;
        if let Some(cluster) = &self.cluster {
            let port = cluster.lock().await.port();
            let proxy = Proxy::to(port).await?;
            let (direct, proxied) = (format!("@127.0.0.1:{port}/"), proxy.port());
            database = database.replace(&direct, &format!("@127.0.0.1:{proxied}/"));
            postgres = Some(proxy);
        }
        let mut env = BTreeMap::from([
            (String::from("LOG"), String::from("info")),
            (String::from("STREAM_REPLICAS"), options.nodes.to_string()),
        ]);
        let quick = options.settings.variables();
        env.extend(quick.map(|(name, value)| (name.to_owned(), value.to_owned())));
        env.extend(options.env.clone());
        env.insert(String::from("NATS_URL"), urls.collect::<Vec<_>>().join(","));
        env.insert(String::from("DATABASE_URL"), database);
        let name = Victim::Service(at, number).to_string();
        let log = self.folder.path.join("logs").join(format!("{name}.log"));
        let process = ServiceProcess::start(Spec {
            name,
            program: options.program.clone(),
            args: ["serve", service].map(OsString::from).to_vec(),
            env,
            log: log.clone(),
            port: None,
            folder: None,
        })?;
        Ok(Replica {
            url: process.url(),
            process: Mutex::new(process),
            log,
            broker,
            postgres,
        })
    }

    /// Waits until every replica is ready, and both legs can be booked.
    async fn until_open(&self) -> Result<()> {
        for replica in self.services.iter().flatten() {
            let mut process = replica.process.lock().await;
            process.wait_ready(&self.http, READY_WITHIN).await?;
        }
        let booking = Client::new(self.urls(0).first().context("no booking")?)?;
        let until = Instant::now() + READY_WITHIN;
        while booking.legs().await.map_or(0, |legs| legs.len()) + 1 < SERVICES.len() {
            if Instant::now() >= until {
                bail!("the legs have not joined");
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(())
    }

    async fn put_up(&self) -> Result<()> {
        for row in wish::stock() {
            let at = SERVICES.iter().position(|name| *name == row.service);
            let urls = self.urls(at.unwrap_or_default());
            let url = format!("{}/{}", urls.first().context("no such service")?, row.path);
            let put = self.http.put(&url).json(&row.body).send().await?;
            if !put.status().is_success() {
                bail!("{url} answered {}: {}", put.status(), put.text().await?);
            }
        }
        Ok(())
    }
}

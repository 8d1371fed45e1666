//! How a stack comes up, step by step. Not what happens afterwards.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use async_nats::ServerAddr;
use client::paint::visible_path;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::Deserialize;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::databases::{DatabaseChoice, OnServer, files};
use super::state::{Process, State};
use super::{
    FIRST_PORT, Home, Member, Options, REPLICA_PORTS, SERVICES, Stack, inventory, process,
};
use crate::Say;
use crate::broker::{self, Broker};
use crate::postgres::{Cluster, Programs};
use crate::service::{ServiceProcess, Spec};
use crate::{disk, port, private};

/// Where clients look for a broker first.
const NATS_PORT: u16 = 4222;
const READY_WITHIN: Duration = Duration::from_secs(60);
/// How long a broker that is not ours may take to answer before that is said.
const ANSWERS_WITHIN: Duration = Duration::from_secs(3);
const LEFTOVERS_WITHIN: Duration = Duration::from_secs(10);
/// What the stream reserves where nothing else is said.
const STREAM_MAX_BYTES: u64 = 1 << 30;

/// Says at once that nobody answers at a broker that is not ours: services wait for it for a while, and say so in their logs only.
async fn look(urls: &str, say: Say<'_>) {
    for url in urls.split(',') {
        // What is no address is the services' to refuse.
        let Ok(server) = url.trim().parse::<ServerAddr>() else {
            continue;
        };
        let connecting = TcpStream::connect((server.host(), server.port()));
        if !matches!(timeout(ANSWERS_WITHIN, connecting).await, Ok(Ok(_))) {
            let shown = client::redaction::shown(url);
            let most = READY_WITHIN.as_secs();
            say(&format!(
                "nobody answers at {shown}; the services wait for it for {most} s"
            ));
        }
    }
}

impl Stack {
    pub(super) async fn launch(&mut self, options: &Options, say: Say<'_>) -> Result<()> {
        end_leftovers(&self.folder.path, say).await?;
        self.folder.close(&options.database)?;
        State::forget(&self.folder.path)?;
        let program = program(options)?;
        let wanted = wanted(options);
        free_or_say(&wanted)?;
        self.start_broker(options, say).await?;
        self.make_databases(options, say).await?;
        for (service, name, port) in wanted {
            self.start_service(options, &program, service, name, port)?;
        }
        // Early, so that `status` sees what is missing.
        self.write_state()?;
        for at in 0..self.services.len() {
            let http = self.http.clone();
            if let Some(member) = self.services.get_mut(at) {
                member.process.wait_ready(&http, READY_WITHIN).await?;
                say(&format!(
                    "{} is ready at {}",
                    member.process.name(),
                    member.process.url()
                ));
            }
        }
        self.wait_joined().await?;
        self.load_sample(options, say).await?;
        self.up = true;
        self.write_state()
    }

    async fn start_broker(&mut self, options: &Options, say: Say<'_>) -> Result<()> {
        if options.nats_url.is_some() {
            say(&format!(
                "the broker is yours, at {}",
                client::redaction::shown(&self.nats_url)
            ));
            look(&self.nats_url, say).await;
            return Ok(());
        }
        let program = broker::find(say)?;
        // What lies in the stream belongs to the trips of one database.
        let store = match options.database {
            DatabaseChoice::Sqlite => "nats",
            _ => "nats-postgres",
        };
        let store = self.folder.path.join(store);
        let bytes = stream_max_bytes(options)?;
        stream_fits(&store, bytes)?;
        let usual = matches!(options.home, Home::Kept(_)).then_some(NATS_PORT);
        let port = usual.filter(|port| port::is_free(*port));
        let broker = match Broker::start(&program, &store, port).await {
            // Somebody took the usual port in between; another one does as well.
            Err(_) if port.is_some() => Broker::start(&program, &store, None).await?,
            started => started?,
        };
        self.nats_url = broker.url();
        let why = if usual.is_some_and(|usual| usual != broker.port()) {
            format!(" ({NATS_PORT} is taken)")
        } else {
            String::new()
        };
        say(&format!("the broker is ready at {}{why}", broker.url()));
        self.broker = Some(broker);
        Ok(())
    }

    async fn make_databases(&mut self, options: &Options, say: Say<'_>) -> Result<()> {
        let folder = &self.folder.path;
        match &options.database {
            DatabaseChoice::Sqlite => self.databases = files(folder),
            DatabaseChoice::Local => {
                let programs = Programs::find(say)?;
                let temporary = self.folder.temporary;
                let cluster =
                    Cluster::start(&programs, &folder.join("postgres"), temporary).await?;
                for service in SERVICES {
                    let url = cluster.database(service).await?;
                    self.databases.insert(service.to_owned(), url);
                }
                say(&format!("PostgreSQL is ready at port {}", cluster.port()));
                self.cluster = Some(cluster);
            }
            DatabaseChoice::Server(url) => {
                let word = format!("{:08x}", fastrand::u32(..));
                let word = self.folder.temporary.then_some(word.as_str());
                let on_server = self.on_server.insert(OnServer::new(url, word));
                self.databases = on_server.make().await?;
                say(&format!("the databases are there: {}", options.database));
            }
        }
        Ok(())
    }

    fn start_service(
        &mut self,
        options: &Options,
        program: &std::path::Path,
        service: &'static str,
        name: String,
        port: Option<u16>,
    ) -> Result<()> {
        let log = self.folder.path.join("logs").join(format!("{name}.log"));
        let database = self.databases.get(service).context("no database for it")?;
        let mut env: BTreeMap<String, String> = options.settings.iter().cloned().collect();
        env.insert("NATS_URL".into(), self.nats_url.clone());
        env.insert("DATABASE_URL".into(), database.clone());
        let process = ServiceProcess::start(Spec {
            name,
            program: program.to_owned(),
            args: vec![OsString::from("serve"), OsString::from(service)],
            env,
            log: log.clone(),
            port,
        })?;
        self.services.push(Member {
            service,
            log,
            process,
        });
        Ok(())
    }

    /// Booking takes no trip for a leg that it has not heard of.
    async fn wait_joined(&self) -> Result<()> {
        #[derive(Deserialize)]
        struct Leg {
            leg: String,
        }
        let url = format!("{}/legs", self.url(booking::NAME)?);
        let until = Instant::now() + READY_WITHIN;
        loop {
            let answer = self.http.get(&url).send().await?.error_for_status()?;
            let legs: Vec<Leg> = answer.json().await?;
            let joined: BTreeSet<&str> = legs.iter().map(|leg| leg.leg.as_str()).collect();
            let mut missing = SERVICES
                .into_iter()
                .filter(|s| *s != booking::NAME && !joined.contains(s));
            let Some(missing) = missing.next() else {
                return Ok(());
            };
            if Instant::now() >= until {
                bail!(
                    "{missing} has not joined after {} s: booking has not heard of it through the broker at {}; does another stack use that one?",
                    READY_WITHIN.as_secs(),
                    client::redaction::shown(&self.nats_url)
                );
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
    }

    async fn load_sample(&self, options: &Options, say: Say<'_>) -> Result<()> {
        if !options.sample {
            return Ok(());
        }
        let (flight, hotel) = (self.url(flight::SPEC.name)?, self.url(hotel::SPEC.name)?);
        if inventory::load(&self.http, &flight, &hotel).await? {
            say(&format!(
                "sample inventory is loaded: flights and hotels of twelve cities for {} days",
                inventory::DAYS
            ));
        }
        Ok(())
    }
}

/// What the services will reserve for the stream, in bytes.
fn stream_max_bytes(options: &Options) -> Result<u64> {
    const NAME: &str = "STREAM_MAX_BYTES";
    let given = options.settings.iter().rev().find(|(name, _)| name == NAME);
    let given = given.map(|(_, value)| value.clone());
    match given.or_else(|| std::env::var(NAME).ok()) {
        Some(text) => text
            .parse()
            .with_context(|| format!("{NAME} {text:?} is not a number of bytes")),
        None => Ok(STREAM_MAX_BYTES),
    }
}

/// A stream that reserves more than the broker has is never declared, and every service waits for it. How much that is, a nats-server
/// without a limit of its own derives from what is free on its disk when it starts.
fn stream_fits(store: &std::path::Path, wanted: u64) -> Result<()> {
    // With a stream in it already nothing more is reserved.
    if fs::read_dir(store.join("jetstream")).is_ok_and(|mut streams| streams.next().is_some()) {
        return Ok(());
    }
    private::make(store)?;
    let free = disk::free_bytes(store).unwrap_or(u64::MAX);
    let fits = free / 4 * 3;
    if wanted > fits {
        // A little is used before the stream is declared.
        let less = (fits / 10 * 9)
            .next_multiple_of(1 << 20)
            .saturating_sub(1 << 20);
        bail!(
            "STREAM_MAX_BYTES: the stream reserves {wanted} bytes, and the broker offers {fits}, three quarters of what is free at {}: \
             free some space, or start with STREAM_MAX_BYTES={less} in the environment",
            visible_path(store)
        );
    }
    Ok(())
}

/// The program that serves.
fn program(options: &Options) -> Result<PathBuf> {
    if let Some(program) = &options.program {
        return Ok(program.clone());
    }
    match std::env::var_os("ROUNDTRIP_BIN").filter(|value| !value.is_empty()) {
        Some(named) => std::path::absolute(named).context("ROUNDTRIP_BIN"),
        None => std::env::current_exe().context("cannot find this very program"),
    }
}

type Wanted = (&'static str, String, Option<u16>);

/// Every service process: which service, its name and its port.
fn wanted(options: &Options) -> Vec<Wanted> {
    let mut all = Vec::new();
    for replica in 0..options.replicas {
        for (place, service) in (0..).zip(SERVICES) {
            let name = match replica {
                0 => service.to_owned(),
                _ => format!("{service}-{}", replica + 1),
            };
            let offset: u16 = place + replica * REPLICA_PORTS;
            let port = options.first_port.map(|first| first.saturating_add(offset));
            all.push((service, name, port));
        }
    }
    all
}

/// Fails with one error naming all taken ports.
fn free_or_say(wanted: &[Wanted]) -> Result<()> {
    let taken: Vec<String> = wanted
        .iter()
        .filter_map(|(_, name, port)| Some((name, (*port)?)))
        .filter(|(_, port)| !port::is_free(*port))
        .map(|(name, port)| {
            let who = process::listener(port).unwrap_or_else(|| "another program".into());
            format!("port {port} for {name} is taken by {who}")
        })
        .collect();
    if taken.is_empty() {
        return Ok(());
    }
    bail!(
        "{}: end it, or choose other ports with `--port {}`",
        taken.join("; "),
        FIRST_PORT + 1000
    )
}

/// What a run that was killed left behind is on its way out; it must be gone before its ports and files are used again.
async fn end_leftovers(folder: &std::path::Path, say: Say<'_>) -> Result<()> {
    // One that cannot be read is from another version, and overwritten.
    let Ok(Some(state)) = State::read(folder) else {
        return Ok(());
    };
    let services = state.services.into_iter().filter_map(|s| s.process);
    let all: Vec<Process> = services.chain(state.nats).chain(state.postgres).collect();
    let until = Instant::now() + LEFTOVERS_WITHIN;
    let mut told = false;
    loop {
        let left: Vec<&Process> = all.iter().filter(|process| process.lives()).collect();
        if left.is_empty() {
            return Ok(());
        }
        if !told {
            say("waiting for what an earlier run left behind");
            told = true;
        }
        if Instant::now() >= until {
            for process in left {
                let _ = kill(Pid::from_raw(process.pid.cast_signed()), Signal::SIGKILL);
            }
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::{free_or_say, wanted};
    use crate::Options;

    #[test]
    fn replicas_have_ports_of_their_own() {
        let options = Options {
            replicas: 2,
            ..Options::kept("x".into())
        };
        let wanted = wanted(&options);
        let wanted: Vec<(&str, Option<u16>)> = wanted
            .iter()
            .map(|(_, name, port)| (name.as_str(), *port))
            .collect();
        assert_eq!(
            wanted,
            [
                ("booking", Some(8080)),
                ("flight", Some(8081)),
                ("hotel", Some(8082)),
                ("booking-2", Some(8180)),
                ("flight-2", Some(8181)),
                ("hotel-2", Some(8182)),
            ]
        );
    }

    #[test]
    fn a_taken_port_is_named_with_what_to_do() {
        let taken = std::net::TcpListener::bind("127.0.0.1:0");
        let port = taken.as_ref().ok().and_then(|l| l.local_addr().ok());
        let port = port.map(|address| address.port());
        let refused = free_or_say(&[("flight", "flight".into(), port)]);
        assert!(refused.is_err_and(|error| {
            let words = error.to_string();
            words.contains("for flight is taken by") && words.contains("--port")
        }));
        assert!(free_or_say(&[("flight", "flight".into(), None)]).is_ok());
    }
}

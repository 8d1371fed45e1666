//! How a stack comes up, step by step. Not what happens afterwards.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use async_nats::ServerAddr;
use client::paint::{visible, visible_path};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::Deserialize;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::databases::{DatabaseChoice, OnServer, files};
use super::legs;
use super::paying::{self, Sandbox};
use super::state::{Process, State};
use super::{Home, Member, Options, Stack, inventory};
use crate::Say;
use crate::broker::{self, Broker};
use crate::postgres::{Cluster, Programs};
use crate::service::{ServiceProcess, Spec};
use crate::wanted::{Wanted, free_or_say, names, wanted, within};
use crate::{disk, port, private};

/// Where clients look for a broker first.
const NATS_PORT: u16 = 4222;
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
            let most = within(booking::NAME).as_secs();
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
        legs::check(&options.legs)?;
        let (options, place) = &self.with_payment(options, &program)?;
        let wanted = wanted(options);
        free_or_say(&wanted)?;
        self.start_broker(options, say).await?;
        self.make_databases(options, say).await?;
        for wanted in wanted {
            self.start_service(options, &program, wanted, say)?;
        }
        if let Some(place) = place {
            let payment = self.url(payment::NAME)?;
            let sandbox = Sandbox::start(&program, place, &payment)?;
            let url = sandbox.url();
            say(&format!(
                "a payment provider that moves no money is at {url}"
            ));
            self.sandbox = Some(sandbox);
        }
        // Early, so that `status` sees what is missing.
        self.write_state()?;
        for at in 0..self.services.len() {
            let http = self.http.clone();
            if let Some(member) = self.services.get_mut(at).filter(|member| member.http) {
                let within = within(&member.service);
                member.process.wait_ready(&http, within).await?;
                say(&format!(
                    "{} is ready at {}",
                    member.process.name(),
                    member.process.url()
                ));
            }
        }
        self.wait_joined(options).await?;
        self.load_sample(options, say).await?;
        self.up = true;
        self.write_state()
    }

    /// The same with the payment leg among the legs, where it is wanted, and the place of a provider for it.
    fn with_payment(
        &self,
        options: &Options,
        program: &std::path::Path,
    ) -> Result<(Options, Option<paying::Place>)> {
        let mut options = options.clone();
        if !options.payment {
            return Ok((options, None));
        }
        let folder = &self.folder.path;
        let place = paying::Place::find(folder)?;
        options
            .legs
            .push(paying::leg(program, folder, place.as_ref())?);
        legs::check(&options.legs)?;
        Ok((options, place))
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
            DatabaseChoice::Sqlite => self.databases = files(folder, names(options)),
            DatabaseChoice::Local => {
                let programs = Programs::find(say)?;
                let temporary = self.folder.temporary;
                let start = async |name: &str| {
                    let folder = folder.join(name);
                    let settings = &options.server_settings;
                    Cluster::start_with(&programs, &folder, temporary, settings).await
                };
                let cluster = start("postgres").await?;
                for service in names(options) {
                    let url = if options.apart.iter().any(|apart| apart == service) {
                        let own = start(&format!("postgres-{service}")).await?;
                        let url = own.database(service).await?;
                        self.apart.insert(service.to_owned(), own);
                        url
                    } else {
                        cluster.database(service).await?
                    };
                    self.databases.insert(service.to_owned(), url);
                }
                say(&format!("PostgreSQL is ready at port {}", cluster.port()));
                self.cluster = Some(cluster);
            }
            DatabaseChoice::Server(url) => {
                let word = format!("{:08x}", fastrand::u32(..));
                let word = self.folder.temporary.then_some(word.as_str());
                let names = names(options).map(str::to_owned).collect();
                let on_server = self.on_server.insert(OnServer::new(url, word, names));
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
        wanted: Wanted<'_>,
        say: Say<'_>,
    ) -> Result<()> {
        let Wanted {
            service,
            name,
            port,
            leg,
        } = wanted;
        let log = self.folder.path.join("logs").join(format!("{name}.log"));
        let database = self.databases.get(service).context("no database for it")?;
        let mut env: BTreeMap<String, String> = options.settings.iter().cloned().collect();
        env.insert("NATS_URL".into(), self.nats_url.clone());
        env.insert("DATABASE_URL".into(), database.clone());
        let (program, args) = match leg {
            Some(leg) => {
                say(&format!(
                    "{service} is started by `{}`; its log: {}",
                    visible(&leg.command.join(" ")),
                    visible_path(&log)
                ));
                let args = leg.command.iter().skip(1).map(OsString::from);
                (leg.program(), args.collect())
            }
            None => (
                program.to_owned(),
                ["serve", service].map(OsString::from).to_vec(),
            ),
        };
        let process = ServiceProcess::start(Spec {
            name,
            program,
            args,
            env,
            log: log.clone(),
            port,
            folder: leg.map(|leg| leg.folder.clone()),
        })?;
        self.services.push(Member {
            service: service.to_owned(),
            http: leg.is_none_or(|leg| leg.http),
            log,
            process,
        });
        Ok(())
    }

    /// Booking takes no trip for a leg that it has not heard of.
    async fn wait_joined(&mut self, options: &Options) -> Result<()> {
        #[derive(Deserialize)]
        struct Leg {
            leg: String,
        }
        // One that was retired has joined all the same.
        let url = format!("{}/legs?all=true", self.url(booking::NAME)?);
        let began = Instant::now();
        loop {
            let answer = self.http.get(&url).send().await?.error_for_status()?;
            let legs: Vec<Leg> = answer.json().await?;
            let joined: BTreeSet<&str> = legs.iter().map(|leg| leg.leg.as_str()).collect();
            let mut missing =
                names(options).filter(|name| *name != booking::NAME && !joined.contains(name));
            let Some(missing) = missing.next() else {
                return Ok(());
            };
            let mut members = self.services.iter_mut();
            if let Some(member) = members.find(|member| member.service == missing)
                && let Some(status) = member.process.ended()
            {
                let last = member.process.last_words();
                bail!("{missing} ended ({status}) before it had joined:\n{last}");
            }
            if began.elapsed() >= within(missing) {
                bail!(
                    "{missing} has not joined after {} s: booking has not heard of it through the broker at {}; does another stack use that one?",
                    within(missing).as_secs(),
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

/// The program that serves: what the options name, `ROUNDTRIP_BIN`, or this very one.
///
/// # Errors
/// When the system does not say which one this is.
pub fn program(options: &Options) -> Result<PathBuf> {
    if let Some(program) = &options.program {
        return Ok(program.clone());
    }
    match std::env::var_os("ROUNDTRIP_BIN").filter(|value| !value.is_empty()) {
        Some(named) => std::path::absolute(named).context("ROUNDTRIP_BIN"),
        None => std::env::current_exe().context("cannot find this very program"),
    }
}

/// What a run that was killed left behind is on its way out; it must be gone before its ports and files are used again.
async fn end_leftovers(folder: &std::path::Path, say: Say<'_>) -> Result<()> {
    // One that cannot be read is from another version, and overwritten.
    let Ok(Some(state)) = State::read(folder) else {
        return Ok(());
    };
    let services = state.services.into_iter().filter_map(|s| s.process);
    let provider = state.provider.and_then(|provider| provider.process);
    let all = services.chain(provider).chain(state.nats);
    let all: Vec<Process> = all.chain(state.postgres).collect();
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

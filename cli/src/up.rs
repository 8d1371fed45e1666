//! `roundtrip up`: the local stack, until Ctrl-C.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Result;
use clap::Args;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::folder::Folder;
use super::{out, parse};
use client::paint::visible_path;
use stack::{
    DatabaseChoice, FIRST_PORT, LegProgram, Options, REPLICA_PORTS, REPLICAS_MAX, Stack, legs,
};

/// A second signal within this time means what the first one meant.
const SAME_WISH: Duration = Duration::from_secs(1);

/// Start the local stack: a broker, a database for each service, the services, a sample inventory, and a payment leg with a provider that
/// moves no money.
///
/// A broker and, where asked for, PostgreSQL are found on this machine or fetched as verified packages. Ctrl-C drains and stops
/// everything; what is in the folder is there at the next `up`. Services listen on 127.0.0.1 only: there is no login yet. Their settings
/// are environment variables (see `roundtrip serve --help`), which they inherit.
///
/// A further leg, a program in any language, is started beside them (one process; NATS_URL, DATABASE_URL, LISTEN and PORT say where
/// everything is), awaited, started again when it ends, and drained by SIGTERM. A `roundtrip.toml` names it:
///   [legs.train]
///   command = ["cargo", "run", "-p", "train"]   # in the file's folder, and not by a shell
///   http = true                                 # when absent; false: it has no /readyz, and its `joined` is awaited
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  roundtrip up\n  roundtrip up --replicas 3 --database postgres\n  roundtrip up --nats nats://127.0.0.1:4222\n  roundtrip up --database @database.url --nats @broker.url\n  roundtrip up --folder /tmp/second --port 9080\n  roundtrip up --service 'train=cargo run -p train'\n  roundtrip up --without-payment\n  LOG=info,runtime=debug roundtrip up"
)]
pub(crate) struct Up {
    #[command(flatten)]
    folder: Folder,
    /// Processes of each service; each further one listens 100 ports higher.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=i64::from(REPLICAS_MAX)))]
    replicas: u16,
    /// `sqlite` (a file for each service), `postgres` (a local server of its own) or postgres://user:password@host/postgres (yours: it
    /// gets the databases roundtrip_booking, roundtrip_flight and roundtrip_hotel). Every user of the machine can read what stands on a
    /// command line: give a password by the environment, or as @FILE.
    #[arg(long, value_name = "DATABASE", default_value = "sqlite", env = "ROUNDTRIP_DATABASE", hide_env_values = true, value_parser = parse::database)]
    database: DatabaseChoice,
    /// A broker that is there, such as nats://127.0.0.1:4222, or @FILE with its URL; without it the stack has its own.
    #[arg(long, value_name = "URL", env = "ROUNDTRIP_NATS", hide_env_values = true, value_parser = parse::text)]
    nats: Option<String>,
    /// The file that names further legs to start; without it, `roundtrip.toml` in the current folder where there is one.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// A further leg to start, and its command, its words between blanks: "train=cargo run -p train". Once for each.
    #[arg(long = "service", value_name = "NAME=COMMAND", value_parser = legs::typed)]
    legs: Vec<LegProgram>,
    /// Leave out the payment leg and the provider for it, `roundtrip sandbox`, which moves no money. With PROVIDER_URL and PROVIDER_KEY_FILE in
    /// the environment the leg asks that provider instead.
    #[arg(long)]
    without_payment: bool,
    /// Booking's port; flight has the next one and hotel the one after, and further legs those behind.
    #[arg(long, value_name = "PORT", default_value_t = FIRST_PORT, value_parser = clap::value_parser!(u16).range(1..=i64::from(u16::MAX - REPLICA_PORTS * REPLICAS_MAX)))]
    port: u16,
}

impl Up {
    pub(crate) async fn run(self) -> Result<ExitCode> {
        let began = Instant::now();
        let mut stop = Stop::listen()?;
        let options = Options {
            replicas: self.replicas,
            database: self.database.clone(),
            // A variable that is set to nothing.
            nats_url: self.nats.clone().filter(|url| !url.is_empty()),
            first_port: Some(self.port),
            legs: self.legs()?,
            payment: !self.without_payment,
            ..Options::kept(self.folder.path.clone())
        };
        let mut stack = tokio::select! {
            stack = Stack::start(&options, &out::line) => stack?,
            () = stop.asked() => {
                out::line("stopped before it was up");
                return Ok(ExitCode::FAILURE);
            }
        };
        self.tell_what_next(&stack, began)?;
        tokio::select! {
            never = stack.supervise(&out::line) => match never {},
            () = stop.asked() => {}
        }
        out::line("draining; once more to stop at once");
        tokio::select! {
            stopped = stack.stop() => stopped?,
            () = Stop::asked_again() => {
                out::line("stopped at once; what was under way goes on at the next `up`");
                return Ok(ExitCode::FAILURE);
            }
        }
        out::line("stopped");
        Ok(ExitCode::SUCCESS)
    }

    /// What the file names, and what was typed.
    fn legs(&self) -> Result<Vec<LegProgram>> {
        let file = match &self.config {
            Some(file) => Some(file.as_path()),
            None => Some(Path::new(legs::FILE)).filter(|file| file.exists()),
        };
        let mut all = file.map(legs::read).transpose()?.unwrap_or_default();
        all.extend(self.legs.iter().cloned());
        legs::check(&all)?;
        Ok(all)
    }

    fn tell_what_next(&self, stack: &Stack, began: Instant) -> Result<()> {
        let me = client::invocation();
        let url = stack.url(booking::NAME)?;
        let folder = match self.folder.path.to_str() {
            Some(".roundtrip") => String::new(),
            _ => format!(" --folder {}", self.folder.shown()),
        };
        out::line(&format!(
            "\nRoundtrip is up after {:.1} s at {url} (its API: {url}/openapi.json).\n\
             Data and logs are kept in {}. Ctrl-C drains and stops.\n\n\
             In another terminal:\n  \
               {me} book{folder} --flight RT100 --hotel LIS-PALACE --nights 2 --back RT101\n  \
               {me} book{folder} --flight RT100 --hotel LIS-PALACE --room-type suite    # refused: there are none\n  \
               {me} list{folder}\n  \
               {me} audit{folder}",
            began.elapsed().as_secs_f64(),
            visible_path(stack.folder())
        ));
        Ok(())
    }
}

/// Ctrl-C, `down`, or a terminal that was closed.
pub(crate) struct Stop {
    signals: [Signal; 3],
}

impl Stop {
    pub(crate) fn listen() -> Result<Self> {
        Ok(Self {
            signals: [
                signal(SignalKind::interrupt())?,
                signal(SignalKind::terminate())?,
                signal(SignalKind::hangup())?,
            ],
        })
    }

    pub(crate) async fn asked(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.signals;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }

    /// Once more, and not the same wish twice: a signal to a whole process group may arrive more than once.
    async fn asked_again() {
        tokio::time::sleep(SAME_WISH).await;
        match Self::listen() {
            Ok(mut stop) => stop.asked().await,
            Err(_) => std::future::pending().await,
        }
    }
}

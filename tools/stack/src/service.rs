//! One service of the local stack as a process of its own: this very program, as `roundtrip serve NAME`, or any other
//! executable that follows the wire. Not a supervisor: what to do about one that ended is for the caller to decide.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use client::paint::visible;
use nix::sys::signal::Signal;

use super::child::{Child, LastWill};
use super::port;

/// How long a stopping service may take before it is killed; longer than its own drain.
const STOP_WITHIN: Duration = Duration::from_secs(30);

/// How a service is started.
#[derive(Debug, Clone)]
pub struct Spec {
    /// Its name, such as `flight`; with replicas, `flight-2`.
    pub name: String,
    /// The executable.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<OsString>,
    /// Its settings.
    pub env: BTreeMap<String, String>,
    /// Where it logs.
    pub log: PathBuf,
    /// Its port on 127.0.0.1; kept over restarts. A free one where none is given.
    pub port: Option<u16>,
    /// Where it runs; in this process' own folder where none is given.
    pub folder: Option<PathBuf>,
}

/// A service process.
#[derive(Debug)]
pub struct ServiceProcess {
    spec: Spec,
    port: u16,
    child: Option<Child>,
}

impl ServiceProcess {
    /// Starts it; does not wait until it is ready.
    ///
    /// # Errors
    /// When it cannot be run.
    pub fn start(spec: Spec) -> Result<Self> {
        let port = match spec.port {
            Some(port) => {
                // Whoever chose it may keep it for us.
                port::take(port);
                port
            }
            None => port::free()?,
        };
        let mut service = Self {
            spec,
            port,
            child: None,
        };
        service.spawn()?;
        Ok(service)
    }

    fn spawn(&mut self) -> Result<()> {
        let mut command = Command::new(&self.spec.program);
        command
            .args(&self.spec.args)
            .envs(&self.spec.env)
            .env("LISTEN", format!("127.0.0.1:{}", self.port))
            // As programs of other make are told.
            .env("PORT", self.port.to_string());
        if let Some(folder) = &self.spec.folder {
            command.current_dir(folder);
        }
        // Asked to end when we are gone: it drains, and keeps what it has.
        let will = LastWill {
            signal: Some(Signal::SIGTERM),
            remove: None,
        };
        self.child = Some(Child::spawn(
            command,
            &self.spec.name,
            &self.spec.log,
            will,
        )?);
        Ok(())
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.spec.name
    }

    /// Its HTTP.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Its process id, while it runs.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::pid)
    }

    /// How it ended, if it did.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.as_mut().and_then(Child::ended)
    }

    /// The last lines that it logged.
    #[must_use]
    pub fn last_words(&self) -> String {
        self.child
            .as_ref()
            .map(Child::last_words)
            .unwrap_or_default()
    }

    /// Waits until `/readyz` says so.
    ///
    /// # Errors
    /// When it ends before, or is not ready in time; with the last that it said.
    pub async fn wait_ready(&mut self, http: &reqwest::Client, within: Duration) -> Result<()> {
        let url = format!("{}/readyz", self.url());
        let until = Instant::now() + within;
        let mut missing = String::from("it does not answer");
        loop {
            if let Some(status) = self.ended() {
                bail!(
                    "{} ended ({status}) before it was ready:\n{}",
                    self.name(),
                    self.last_words()
                );
            }
            match http.get(&url).timeout(Duration::from_secs(3)).send().await {
                Ok(answer) if answer.status().is_success() => return Ok(()),
                Ok(answer) => missing = answer.text().await.unwrap_or_default(),
                Err(_) => {}
            }
            if Instant::now() >= until {
                bail!(
                    "{} is not ready after {} s: {}\n{}",
                    self.name(),
                    within.as_secs(),
                    visible(&missing),
                    self.last_words()
                );
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
    }

    /// SIGTERM: it drains and leaves; killed when that takes too long.
    ///
    /// # Errors
    /// When it cannot be signalled.
    pub async fn stop(&mut self) -> Result<()> {
        match &mut self.child {
            Some(child) => child.stop(Signal::SIGTERM, STOP_WITHIN).await.map(drop),
            None => Ok(()),
        }
    }

    /// SIGKILL.
    ///
    /// # Errors
    /// When it cannot be signalled.
    pub async fn kill(&mut self) -> Result<()> {
        match &mut self.child {
            Some(child) => child.kill().await,
            None => Ok(()),
        }
    }

    /// Sends any other signal, such as SIGSTOP.
    ///
    /// # Errors
    /// When it cannot be signalled.
    pub fn signal(&mut self, signal: Signal) -> Result<()> {
        self.child.as_mut().context("it never ran")?.signal(signal)
    }

    /// Starts it again on the same port, with these settings changed.
    ///
    /// # Errors
    /// When it still runs and cannot be stopped, or cannot be run.
    pub async fn restart(&mut self, changed: &[(&str, &str)]) -> Result<()> {
        self.stop().await?;
        for (name, value) in changed {
            self.spec
                .env
                .insert((*name).to_owned(), (*value).to_owned());
        }
        self.spawn()
    }
}

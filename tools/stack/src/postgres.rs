//! A PostgreSQL of our own, on 127.0.0.1 only and durable as in production (fsync, synchronous commit), that can be stopped, killed and
//! restarted on its port. Not a tuner and not a pool: schemas, connections and their settings belong to those who use it.

use std::fs::{self, Permissions};
use std::io::Read as _;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use client::paint::visible_path;
use nix::sys::signal::Signal;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgSslMode};
use sqlx::{AssertSqlSafe, Connection as _};

use super::child::{Child, LastWill};
use super::postgres_programs::Account;
pub use super::postgres_programs::Programs;
use super::{port, private};

const USER: &str = "roundtrip";
const READY_WITHIN: Duration = Duration::from_secs(60);
const STOP_WITHIN: Duration = Duration::from_secs(30);

/// A database server whose data lie in a folder. Dropped, it is ended; the folder stays, unless it was to be temporary.
#[derive(Debug)]
pub struct Cluster {
    programs: Programs,
    account: Option<Account>,
    folder: PathBuf,
    temporary: bool,
    settings: Vec<String>,
    password: String,
    port: u16,
    child: Option<Child>,
}

impl Cluster {
    /// Starts it on the data in `folder`, which it makes when there are none, and waits until it lets us in. With `temporary` the folder
    /// is removed at the end, also when this process is killed.
    ///
    /// # Errors
    /// When the folder cannot be used, or the server ends or stays silent; with its last words.
    pub async fn start(programs: &Programs, folder: &Path, temporary: bool) -> Result<Self> {
        Self::start_with(programs, folder, temporary, &[]).await
    }

    /// The same with settings beside ours, such as `max_prepared_transactions=64`.
    ///
    /// # Errors
    /// As [`Cluster::start`].
    pub async fn start_with(
        programs: &Programs,
        folder: &Path,
        temporary: bool,
        settings: &[String],
    ) -> Result<Self> {
        private::make(folder)?;
        let folder = folder.canonicalize()?;
        let account = Account::unprivileged()?;
        if let Some(account) = &account {
            chown(&folder, Some(account.uid), Some(account.gid)).with_context(|| {
                format!("cannot give {} to {}", visible_path(&folder), account.name)
            })?;
            account.must_reach(&folder)?;
            account.must_run(programs)?;
        }
        let mut cluster = Self {
            programs: programs.clone(),
            account,
            folder,
            temporary,
            settings: settings.to_vec(),
            password: String::new(),
            port: 0,
            child: None,
        };
        cluster.password = cluster.kept_password()?;
        if !cluster.data().is_dir() {
            cluster.init()?;
        }
        let kept = fs::read_to_string(cluster.port_file()).ok();
        let kept = kept.and_then(|text| text.trim().parse().ok());
        cluster.port = match kept.filter(|port| port::take(*port)) {
            Some(port) => port,
            None => port::free()?,
        };
        cluster.launch(true).await?;
        Ok(cluster)
    }

    /// Where clients connect to a database of that name; it is made if it is missing.
    ///
    /// # Errors
    /// When the name is not one of `[a-z0-9_]{1,63}`, or the server refuses.
    pub async fn database(&self, name: &str) -> Result<String> {
        must_be_plain(name)?;
        let mut connection = self.connect().await?;
        let made = sqlx::query(AssertSqlSafe(format!("create database \"{name}\"")))
            .execute(&mut connection)
            .await;
        connection.close().await?;
        match made {
            // 23505: two made it at once.
            Err(sqlx::Error::Database(error))
                if matches!(error.code().as_deref(), Some("42P04" | "23505")) => {}
            other => {
                other.with_context(|| format!("cannot make the database {name}"))?;
            }
        }
        Ok(self.url(name))
    }

    /// Removes a database, and whoever is connected to it.
    ///
    /// # Errors
    /// As [`Cluster::database`].
    pub async fn drop_database(&self, name: &str) -> Result<()> {
        must_be_plain(name)?;
        let mut connection = self.connect().await?;
        let drop = format!("drop database if exists \"{name}\" with (force)");
        sqlx::query(AssertSqlSafe(drop))
            .execute(&mut connection)
            .await
            .with_context(|| format!("cannot drop the database {name}"))?;
        Ok(connection.close().await?)
    }

    /// Its port, the same over restarts.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The process id of the server, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::pid)
    }

    /// Its log file.
    pub fn log(&self) -> PathBuf {
        self.folder.join("postgres.log")
    }

    /// How it ended, if it ended by itself.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.as_mut().and_then(Child::ended)
    }

    /// Ends sessions and writes everything down; killed when that takes longer than 30 seconds.
    ///
    /// # Errors
    /// When it cannot be signalled.
    pub async fn stop(&mut self) -> Result<()> {
        if let Some(mut child) = self.child.take() {
            child.stop(Signal::SIGINT, STOP_WITHIN).await?;
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

    /// Starts it again on the same port and data; one that still runs is stopped first.
    ///
    /// # Errors
    /// As [`Cluster::start`].
    pub async fn restart(&mut self) -> Result<()> {
        self.stop().await?;
        self.launch(false).await
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    fn port_file(&self) -> PathBuf {
        self.folder.join("port")
    }

    fn url(&self, database: &str) -> String {
        format!(
            "postgres://{USER}:{}@127.0.0.1:{}/{database}",
            self.password, self.port
        )
    }

    async fn connect(&self) -> Result<PgConnection, sqlx::Error> {
        let options = PgConnectOptions::new_without_pgpass()
            .host("127.0.0.1")
            .port(self.port)
            .username(USER)
            .password(&self.password)
            .database("postgres")
            .ssl_mode(PgSslMode::Disable);
        PgConnection::connect_with(&options).await
    }

    /// The password of our one user: made once, then kept beside the data for us alone.
    fn kept_password(&self) -> Result<String> {
        let file = self.folder.join("password");
        if let Ok(kept) = fs::read_to_string(&file) {
            return Ok(kept.trim().to_owned());
        }
        let mut random = [0_u8; 16];
        fs::File::open("/dev/urandom")
            .and_then(|mut source| source.read_exact(&mut random))
            .context("cannot read /dev/urandom")?;
        let password: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
        fs::write(&file, "").with_context(|| format!("cannot write {}", visible_path(&file)))?;
        fs::set_permissions(&file, Permissions::from_mode(0o600))?;
        fs::write(&file, format!("{password}\n"))?;
        if let Some(account) = &self.account {
            chown(&file, Some(account.uid), Some(account.gid))?;
        }
        Ok(password)
    }

    /// Made aside and renamed, so that an `initdb` that was interrupted leaves nothing that looks like data.
    fn init(&self) -> Result<()> {
        let part = self.folder.join("data.part");
        let _ = fs::remove_dir_all(&part);
        let mut command = self.command(&self.programs.initdb());
        command
            .args(["--encoding=UTF8", "--no-locale", "--auth=scram-sha-256"])
            .args(["--username", USER, "--pgdata"])
            .arg(&part)
            .arg("--pwfile")
            .arg(self.folder.join("password"));
        if self.temporary {
            command.arg("--no-sync");
        }
        let output = command.output().context("cannot run initdb")?;
        if !output.status.success() {
            let text = String::from_utf8_lossy(&output.stderr).into_owned();
            bail!("initdb failed: {}", text.trim());
        }
        Ok(fs::rename(part, self.data())?)
    }

    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.folder).env("LC_ALL", "C");
        if let Some(account) = &self.account {
            account.run_as(&mut command);
        }
        command
    }

    /// Tried again while something of an earlier server (a dying backend, its lock file, the port) is in the way.
    async fn launch(&mut self, any_port: bool) -> Result<()> {
        let until = Instant::now() + READY_WITHIN;
        loop {
            let mut child = self.spawn()?;
            let Err(error) = self.ready(&mut child, until).await else {
                fs::write(self.port_file(), format!("{}\n", self.port))?;
                self.child = Some(child);
                return Ok(());
            };
            let words = child.last_words();
            let port_lost = words.contains("Address already in use");
            let in_the_way = port_lost
                || words.contains("pre-existing shared memory block")
                || words.contains("lock file \"postmaster.pid\" already exists");
            if !in_the_way || Instant::now() >= until {
                return Err(error);
            }
            if port_lost && any_port {
                self.port = port::free()?;
            }
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    }

    fn spawn(&self) -> Result<Child> {
        let mut command = self.command(&self.programs.postgres());
        command.arg("-D").arg(self.data());
        let port = format!("port={}", self.port);
        for setting in [
            port.as_str(),
            "listen_addresses=127.0.0.1",
            "unix_socket_directories=",
            "max_connections=200",
            "fsync=on",
            "synchronous_commit=on",
        ] {
            command.args(["-c", setting]);
        }
        for setting in &self.settings {
            command.args(["-c", setting]);
        }
        let will = LastWill {
            signal: Some(Signal::SIGQUIT),
            remove: self.temporary.then(|| self.folder.clone()),
        };
        Child::spawn(command, "postgres", &self.log(), will)
    }

    async fn ready(&self, child: &mut Child, until: Instant) -> Result<()> {
        loop {
            if let Some(status) = child.ended() {
                bail!(
                    "postgres ended at its start ({status}):\n{}",
                    child.last_words()
                );
            }
            let refused = match self.connect().await {
                Ok(connection) => return Ok(connection.close().await?),
                Err(error) => error,
            };
            if Instant::now() >= until {
                child.stop(Signal::SIGQUIT, Duration::from_secs(5)).await?;
                bail!(
                    "postgres was not ready within {} s ({refused}); its log: {}",
                    READY_WITHIN.as_secs(),
                    visible_path(child.log())
                );
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // Ends at once, but, unlike SIGKILL, together with its backends.
            let _ = child.signal(Signal::SIGQUIT);
            let until = Instant::now() + Duration::from_secs(5);
            while child.ended().is_none() && Instant::now() < until {
                std::thread::sleep(Duration::from_millis(10));
            }
        }
        if self.temporary {
            let _ = fs::remove_dir_all(&self.folder);
        }
    }
}

fn must_be_plain(name: &str) -> Result<()> {
    let plain =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-".contains(&byte);
    if name.is_empty() || name.len() > 63 || !name.bytes().all(plain) {
        bail!("{name:?} is no name for a database: a-z, 0-9, _ and -, at most 63");
    }
    Ok(())
}

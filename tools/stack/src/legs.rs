//! Legs that a stack starts beside the services of this program: programs in any language, named in a `roundtrip.toml` or on a command
//! line. Only which they are; they are started, awaited, restarted and drained as every service is.
//!
//! ```toml
//! [legs.train]
//! command = ["cargo", "run", "-p", "train"]   # run in the file's folder, not by a shell
//! http = true                                 # as when absent: it answers /readyz; else it is awaited by its `joined` alone
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use choreography::LegName;
use client::paint::{visible, visible_path};
use serde::Deserialize;

use super::SERVICES;

/// Where legs are named unless another file is given.
pub const FILE: &str = "roundtrip.toml";

/// A leg's program. It gets what every service gets: `NATS_URL`, `DATABASE_URL` and `LISTEN` (`PORT` has its port alone).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LegProgram {
    /// The leg's name, its durable consumer's too.
    pub name: String,
    /// The program and its arguments.
    pub command: Vec<String>,
    /// Whether it answers `/readyz` at `LISTEN`.
    pub http: bool,
    /// Where it runs.
    pub folder: PathBuf,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    legs: BTreeMap<String, Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    command: Vec<String>,
    #[serde(default = "yes")]
    http: bool,
}

fn yes() -> bool {
    true
}

/// The legs that a file names, in the order of their names.
///
/// # Errors
/// When it cannot be read, or has something in it that means nothing: where, and what may stand there.
pub fn read(file: &Path) -> Result<Vec<LegProgram>> {
    let shown = visible_path(file);
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {shown}"))?;
    let File { legs } = toml::from_str(&text).map_err(|error| {
        let before = error.span().and_then(|span| text.get(..span.start));
        let line = before.map_or(1, |before| before.matches('\n').count() + 1);
        anyhow::anyhow!("{shown}:{line}: {}", visible(error.message()))
    })?;
    let folder = std::path::absolute(file)?;
    let folder = folder.parent().unwrap_or(Path::new("/"));
    let leg = |(name, Entry { command, http }): (String, Entry)| LegProgram {
        name,
        command,
        http,
        folder: folder.to_owned(),
    };
    let legs: Vec<LegProgram> = legs.into_iter().map(leg).collect();
    check(&legs).with_context(|| shown)?;
    Ok(legs)
}

/// `NAME=COMMAND`, its words between blanks, to be run in this folder.
///
/// # Errors
/// When it is not that.
pub fn typed(text: &str) -> Result<LegProgram> {
    let Some((name, command)) = text.split_once('=') else {
        bail!("give a leg's name and its command, such as \"train=cargo run -p train\"");
    };
    let leg = LegProgram {
        name: name.to_owned(),
        command: command.split_whitespace().map(str::to_owned).collect(),
        http: true,
        folder: std::env::current_dir()?,
    };
    check(std::slice::from_ref(&leg))?;
    Ok(leg)
}

/// Whether these can be started together.
///
/// # Errors
/// With the first that can't, and why.
pub fn check(legs: &[LegProgram]) -> Result<()> {
    let mut names = BTreeSet::new();
    for LegProgram { name, command, .. } in legs {
        let shown = visible(name);
        if let Err(error) = name.parse::<LegName>() {
            bail!("{shown:?} cannot be a leg: {error}");
        }
        if SERVICES.contains(&name.as_str()) {
            bail!("{name} is a service of this program: it is started anyway");
        }
        // As a replica of a service is called, and its log.
        let replica = name.rsplit_once('-').is_some_and(|(service, number)| {
            SERVICES.contains(&service) && number.bytes().all(|byte| byte.is_ascii_digit())
        });
        if replica {
            bail!("{name} is what a replica is called: give the leg another name");
        }
        if command.first().is_none_or(String::is_empty) {
            bail!("{name} has no command: give the program and its arguments");
        }
        if !names.insert(name) {
            bail!("{name} is named twice");
        }
    }
    Ok(())
}

impl LegProgram {
    /// The program: one that is given by a path lies there as seen from its folder.
    pub(super) fn program(&self) -> PathBuf {
        let program = PathBuf::from(self.command.first().map_or("", String::as_str));
        if program.components().count() > 1 {
            self.folder.join(program)
        } else {
            program
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

    use super::{check, read, typed};

    fn refused(text: &str) -> String {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("roundtrip.toml");
        std::fs::write(&file, text).unwrap();
        let error = format!("{:#}", read(&file).unwrap_err());
        assert_eq!(error.lines().count(), 1, "{error}");
        error.split("roundtrip.toml").nth(1).unwrap().to_owned()
    }

    #[test]
    fn what_means_nothing_is_refused_with_its_line() {
        let unknown = refused("[legs.train]\ncomand = [\"x\"]\n");
        assert!(
            unknown.starts_with(":2: unknown field `comand`"),
            "{unknown}"
        );
        assert!(unknown.contains("`command`"), "{unknown}");
        let table = refused("[leg.train]\ncommand = [\"x\"]\n");
        assert!(table.starts_with(":1: unknown field `leg`"), "{table}");
        assert!(refused("[legs.train]\ncommand = \"x y\"\n").starts_with(":2: invalid type"));
        assert!(refused("[legs.train]\n").contains("missing field `command`"));
        assert!(refused("[legs.train]\ncommand = []\n").contains("train has no command"));
        assert!(refused("[legs.Train]\ncommand = [\"x\"]\n").contains("a-z, 0-9"));
        assert!(refused("[legs.flight]\ncommand = [\"x\"]\n").contains("started anyway"));
        assert!(refused("[legs.flight-2]\ncommand = [\"x\"]\n").contains("replica"));
        assert!(refused("[legs\n").starts_with(":1: "));
    }

    #[test]
    fn a_leg_is_what_its_entry_says_and_runs_beside_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("roundtrip.toml");
        std::fs::write(&file, "[legs.b]\ncommand = [\"bin/b\", \"--x y\"]\n[legs.a]\ncommand = [\"a\"]\nhttp = false\n").unwrap();
        let legs = read(&file).unwrap();
        let [a, b] = legs.as_slice() else {
            panic!("{legs:?}")
        };
        assert_eq!(
            (a.name.as_str(), a.http, a.program()),
            ("a", false, "a".into())
        );
        assert_eq!((b.name.as_str(), b.http), ("b", true));
        assert_eq!(b.program(), folder.path().join("bin/b"));
        assert_eq!(b.command[1], "--x y");
    }

    #[test]
    fn a_leg_is_typed_as_name_and_command() {
        let train = typed("train=cargo run -p  train").unwrap();
        assert_eq!((train.name.as_str(), train.http), ("train", true));
        assert_eq!(train.command, ["cargo", "run", "-p", "train"]);
        for wrong in ["train", "=x", "train=", "booking=x", "a b=x"] {
            assert!(typed(wrong).is_err(), "{wrong}");
        }
        assert!(check(&[train.clone(), train]).is_err(), "twice");
    }
}

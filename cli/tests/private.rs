//! What others on the machine see of a stack: neither its files nor its passwords. Not about who may reach its ports.
#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

mod command;

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Output, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, geteuid};
use serde_json::Value;
use stack::broker::{self, Broker};
use stack::postgres::{Cluster, Programs};
use stack::skip::{self, Need};
use stack::{Home, Options, Stack, port};

const ROUNDTRIP: &str = env!("CARGO_BIN_EXE_roundtrip");
const OF_OTHERS: u32 = 0o077;

fn say(line: &str) {
    eprintln!("{line}");
}

fn roundtrip(folder: &Path, args: &[&str]) -> Output {
    command::roundtrip(folder, args).output().unwrap()
}

fn good(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}{complained}");
    said
}

/// A stack that is up. Ended, whatever happens to its test: asked first, so that it ends its own children.
struct Up(Child);

impl Up {
    fn start(folder: &Path, args: &[&str], env: &[(&str, &str)]) -> Self {
        let first = ports().to_string();
        let up = command::roundtrip(
            folder,
            &[&["up", "--without-payment", "--port", &first], args].concat(),
        )
        .envs(env.iter().copied())
        .stdout(Stdio::null())
        .spawn();
        let mut up = Self(up.unwrap());
        let until = Instant::now() + Duration::from_secs(90);
        loop {
            let status = roundtrip(folder, &["status", "--json"]).stdout;
            let status: Value = serde_json::from_slice(&status).unwrap_or_default();
            if status["ready"] == true && status["legs"].as_array().unwrap().len() == 2 {
                return up;
            }
            assert_eq!(up.0.try_wait().unwrap(), None, "it ended: {status:#}");
            assert!(Instant::now() < until, "{status:#}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        let _ = kill(Pid::from_raw(self.0.id().cast_signed()), Signal::SIGTERM);
        let _ = self.0.wait();
    }
}

/// Three ports in a row.
fn ports() -> u16 {
    port::free_row(&[1, 2]).unwrap()
}

/// A file or folder and all in it.
fn all(path: &Path) -> Vec<PathBuf> {
    let mut found = vec![path.to_owned()];
    if path.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            found.extend(all(&entry.unwrap().path()));
        }
    }
    found
}

/// What others may do with each file and folder, where they may do anything.
fn open_to_others(folder: &Path) -> BTreeMap<PathBuf, u32> {
    let modes = all(folder).into_iter().filter_map(|path| {
        // SQLite takes its files away when it likes.
        let mode = fs::symlink_metadata(&path).ok()?.mode() & OF_OTHERS;
        Some((path, mode))
    });
    modes.filter(|(_, mode)| *mode != 0).collect()
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

const BOOK: [&str; 5] = ["book", "--flight", "RT100", "--traveller", "Ada L."];

#[test]
fn nobody_else_reads_what_a_stack_keeps_not_even_what_an_older_version_left_open() {
    let test = "nobody_else_reads_what_a_stack_keeps";
    if skip::unless(Need::Nats, test, broker::find(&say)).is_none() {
        return;
    }
    let above = tempfile::tempdir().unwrap();
    let folder = above.path().join("data");
    let up = Up::start(&folder, &[], &[]);
    good(&roundtrip(&folder, &BOOK));
    assert!(all(&folder).len() > 15, "{:?}", all(&folder));
    assert_eq!(open_to_others(&folder), BTreeMap::new());
    drop(up);

    for path in all(&folder) {
        mode(&path, if path.is_dir() { 0o755 } else { 0o644 });
    }
    let not_ours = folder.join("thesis.txt");
    fs::write(&not_ours, "years of work").unwrap();
    mode(&not_ours, 0o644);
    let up = Up::start(&folder, &[], &[]);
    good(&roundtrip(&folder, &BOOK));
    let expected = BTreeMap::from([(not_ours, 0o044)]);
    assert_eq!(open_to_others(&folder), expected);
    drop(up);
}

#[test]
fn a_folder_that_was_somebodys_before_keeps_its_mode() {
    let test = "a_folder_that_was_somebodys_before_keeps_its_mode";
    if skip::unless(Need::Nats, test, broker::find(&say)).is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    mode(folder.path(), 0o755);
    let up = Up::start(folder.path(), &[], &[]);
    let expected = BTreeMap::from([(folder.path().to_owned(), 0o055)]);
    assert_eq!(open_to_others(folder.path()), expected);
    drop(up);
    // Our lock in it makes it no folder of ours.
    let again = Up::start(folder.path(), &[], &[]);
    assert_eq!(open_to_others(folder.path()), expected);
    drop(again);
}

/// As root its PostgreSQL runs as another user, who passes through the folder to its data.
#[test]
fn a_database_server_of_another_user_is_let_through_and_sees_nothing() {
    let test = "a_database_server_of_another_user_is_let_through_and_sees_nothing";
    let found = skip::unless(Need::Nats, test, broker::find(&say))
        .and_then(|_| skip::unless(Need::Postgres, test, Programs::find(&say)));
    if found.is_none() {
        return;
    }
    let above = tempfile::tempdir_in("/tmp").unwrap();
    mode(above.path(), 0o711);
    let folder = above.path().join("data");
    // First as it is without PostgreSQL: closed.
    drop(Up::start(&folder, &[], &[]));
    let up = Up::start(&folder, &["--database", "postgres"], &[]);
    good(&roundtrip(&folder, &BOOK));
    let mut expected = BTreeMap::new();
    if geteuid().is_root() {
        expected.insert(folder.clone(), 0o011);
    }
    assert_eq!(open_to_others(&folder), expected);
    drop(up);
}

/// Started by a program that has set no umask.
#[tokio::test]
async fn the_stack_as_a_library_closes_what_it_makes() {
    let test = "the_stack_as_a_library_closes_what_it_makes";
    if skip::unless(Need::Nats, test, broker::find(&say)).is_none() {
        return;
    }
    let above = tempfile::tempdir().unwrap();
    let folder = above.path().join("data");
    let options = Options {
        home: Home::Kept(folder.clone()),
        program: Some(ROUNDTRIP.into()),
        ..Options::temporary()
    };
    let stack = Stack::start(&options, &|_| {}).await.unwrap();
    let open = open_to_others(&folder);
    let ours = |path: &&PathBuf| !path.starts_with(folder.join("nats"));
    let ours: Vec<&PathBuf> = open.keys().filter(ours).collect();
    assert!(ours.is_empty(), "{open:?}");
    // Nobody gets to what the broker itself writes.
    assert_eq!(
        fs::metadata(folder.join("nats")).unwrap().mode() & OF_OTHERS,
        0
    );
    stack.stop().await.unwrap();
}

/// What every user of the machine sees of every process.
#[cfg(target_os = "linux")]
fn command_lines() -> BTreeMap<u64, String> {
    let mut seen = BTreeMap::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|pid| pid.parse().ok()) else {
            continue;
        };
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        seen.insert(pid, String::from_utf8_lossy(&line).replace('\0', " "));
    }
    seen
}

#[cfg(target_os = "linux")]
fn unseen(up: &Up, folder: &Path, secrets: &[&str]) {
    let status = good(&roundtrip(folder, &["status", "--json"]));
    let status: Value = serde_json::from_str(&status).unwrap();
    let services = status["services"].as_array().unwrap();
    let mut pids: Vec<u64> = services.iter().filter_map(|s| s["pid"].as_u64()).collect();
    pids.push(u64::from(up.0.id()));
    assert_eq!(pids.len(), 4, "{status:#}");
    let seen = command_lines();
    for pid in pids {
        assert!(seen[&pid].contains("roundtrip"), "{:?}", seen[&pid]);
    }
    for line in seen.values() {
        assert!(!secrets.iter().any(|it| line.contains(it)), "{line}");
    }
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn no_password_stands_on_a_command_line() {
    let test = "no_password_stands_on_a_command_line";
    let Some(nats) = skip::unless(Need::Nats, test, broker::find(&say)) else {
        return;
    };
    let Some(programs) = skip::unless(Need::Postgres, test, Programs::find(&say)) else {
        return;
    };
    let above = tempfile::tempdir_in("/tmp").unwrap();
    mode(above.path(), 0o711);
    let (of_broker, of_cluster) = (above.path().join("nats"), above.path().join("postgres"));
    let broker = Broker::start(&nats, &of_broker, None).await.unwrap();
    let cluster = Cluster::start(&programs, &of_cluster, true).await.unwrap();
    let database = cluster.database("postgres").await.unwrap();
    let password = database.split([':', '@']).nth(2).unwrap();
    let secrets = ["broker-secret", password];
    let broker_url = format!("nats://me:{}@127.0.0.1:{}", secrets[0], broker.port());
    let folder = above.path().join("data");

    let env = [
        ("ROUNDTRIP_DATABASE", &*database),
        ("ROUNDTRIP_NATS", &*broker_url),
    ];
    let up = Up::start(&folder, &[], &env);
    unseen(&up, &folder, &secrets);
    drop(up);

    let (of_database, of_broker) = (above.path().join("db.url"), above.path().join("nats.url"));
    fs::write(&of_database, format!("{database}\n")).unwrap();
    fs::write(&of_broker, format!("{broker_url}\n")).unwrap();
    let at = |file: &Path| format!("@{}", file.display());
    let args = ["--database", &at(&of_database), "--nats", &at(&of_broker)];
    let up = Up::start(&folder, &args, &[]);
    unseen(&up, &folder, &secrets);
    good(&roundtrip(&folder, &BOOK));

    let each = ["booking", "flight", "hotel"]
        .map(|service| database.replace("/postgres", &format!("/roundtrip_{service}")));
    let nowhere = above.path().join("nowhere");
    let mut by_environment = command::roundtrip(&nowhere, &["audit", "--wait", "30s"]);
    let audit = by_environment.env("ROUNDTRIP_DATABASES", each.join(","));
    assert!(good(&audit.output().unwrap()).contains("clean"));
    let list = above.path().join("databases.txt");
    fs::write(&list, each.join("\n")).unwrap();
    let audit = roundtrip(&nowhere, &["audit", "--database", &at(&list)]);
    assert!(good(&audit).contains("clean"));
    drop(up);
}

#[test]
fn an_address_that_is_wrong_is_shown_without_its_password() {
    let nowhere = Path::new("nowhere");
    for wrong in [
        "mysql://me:hid,den@h/x?password=hidden",
        "postgres:/me:hidden@h/x",
        "me:hidden@h/x",
    ] {
        for name in ["up", "audit"] {
            let typed = roundtrip(nowhere, &[name, "--database", wrong]);
            let mut set = command::roundtrip(nowhere, &[name]);
            set.env("ROUNDTRIP_DATABASE", wrong);
            set.env("ROUNDTRIP_DATABASES", format!("car={wrong}"));
            for refused in [typed, set.output().unwrap()] {
                assert_eq!(refused.status.code(), Some(2));
                let said = String::from_utf8(refused.stderr).unwrap();
                assert!(!said.contains("hid") && !said.contains("den"), "{said}");
            }
        }
    }
}

/// What `up` cannot use is no other command's business, nor that of the services that `up` starts again.
#[test]
fn a_variable_of_up_stops_no_other_command() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["list", "down", "status", "serve"] {
        let mut set = command::roundtrip(folder.path(), &[name]);
        set.env("ROUNDTRIP_DATABASE", "mysql://nowhere");
        set.env("ROUNDTRIP_NATS", "@there-is-no-such-file");
        let said = String::from_utf8(set.output().unwrap().stderr).unwrap();
        assert!(
            !said.contains("invalid value") && !said.contains("there-is-no"),
            "{name}: {said}"
        );
    }
}

#[test]
fn no_help_shows_a_password_on_a_command_line() {
    let nowhere = Path::new("nowhere");
    let help = good(&roundtrip(nowhere, &["--help"]));
    let commands = help.split("Commands:\n").nth(1).unwrap();
    let commands: Vec<&str> = commands
        .lines()
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.strip_prefix("  ")?.split(' ').next())
        .filter(|name| !["", "help"].contains(name))
        .collect();
    assert!(commands.len() >= 18, "{commands:?}");
    for name in commands {
        let help = good(&roundtrip(nowhere, &[name, "--help"]));
        assert!(!help.contains(":secret@"), "{help}");
        let words = help.split_whitespace().collect::<Vec<_>>().join(" ");
        if ["up", "bench", "demo", "audit", "doctor"].contains(&name) {
            let said = "Every user of the machine can read what stands on a command line";
            assert!(words.contains(said), "{help}");
        }
    }
}

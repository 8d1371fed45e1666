//! What worlds stand on: the nats-server program, one PostgreSQL for each test process, and the program that is tested. Obtained
//! once, and skipped visibly where that cannot be.

use std::path::{Path, PathBuf};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use stack::broker;
use stack::fetch;
use stack::postgres::{Cluster, Programs};
use stack::skip::{self, Need};
use tokio::sync::OnceCell;

/// Which databases a world's services have, and what they run in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// A file for each service.
    Sqlite,
    /// A database for each service, on one server.
    Postgres,
    /// The same, and all of it in containers: the stack of `docker-compose.yml`.
    Containers,
}

type Obtained<T> = OnceCell<Result<T, String>>;

/// The nats-server program.
pub async fn nats(test: &str) -> Option<PathBuf> {
    static FOUND: Obtained<PathBuf> = OnceCell::const_new();
    let found = FOUND
        .get_or_init(|| async { blocking(|| broker::find(&say)).await })
        .await;
    skip::unless(Need::Nats, test, found.as_ref()).cloned()
}

/// The broker's client for Python, on which a leg in that language stands: a folder for `PYTHONPATH`.
pub async fn nats_py(test: &str) -> Option<PathBuf> {
    static FOUND: Obtained<PathBuf> = OnceCell::const_new();
    let found = FOUND
        .get_or_init(|| async { blocking(|| fetch::unpacked(&fetch::NATS_PY, &say)).await })
        .await;
    skip::unless(Need::Python, test, found.as_ref()).cloned()
}

/// The PostgreSQL server. It ends with this process, and its folder with it.
pub async fn postgres(test: &str) -> Option<&'static Cluster> {
    static CLUSTER: OnceCell<Cluster> = OnceCell::const_new();
    let programs = postgres_programs(test).await?;
    Some(CLUSTER.get_or_init(|| server(programs, &[])).await)
}

/// The same, of one that prepares transactions.
pub async fn preparing_postgres(test: &str) -> Option<&'static Cluster> {
    static CLUSTER: OnceCell<Cluster> = OnceCell::const_new();
    let programs = postgres_programs(test).await?;
    Some(CLUSTER.get_or_init(|| server(programs, &PREPARING)).await)
}

/// One that prepares transactions, for one test alone: it may kill it.
pub async fn own_preparing_postgres(test: &str) -> Option<Cluster> {
    let programs = postgres_programs(test).await?;
    Some(server(programs, &PREPARING).await)
}

const PREPARING: [&str; 1] = ["max_prepared_transactions=300"];

async fn postgres_programs(test: &str) -> Option<&'static Programs> {
    static FOUND: Obtained<Programs> = OnceCell::const_new();
    let programs = FOUND
        .get_or_init(|| async { blocking(|| Programs::find(&say)).await })
        .await;
    skip::unless(Need::Postgres, test, programs.as_ref())
}

async fn server(programs: &Programs, settings: &[&str]) -> Cluster {
    let folder = std::env::temp_dir().join(format!("roundtrip-e2e-{}", uuid::Uuid::now_v7()));
    let settings: Vec<String> = settings.iter().map(ToString::to_string).collect();
    let cluster = Cluster::start_with(programs, &folder, true, &settings)
        .await
        .expect("PostgreSQL does not start");
    ask_for_plain_passwords(&folder, &cluster);
    cluster
}

/// SCRAM's thousands of rounds, not optimised, cost a debug build a tenth of a second for each connection, and worlds make many. On
/// 127.0.0.1 the password may go as it is.
fn ask_for_plain_passwords(folder: &Path, cluster: &Cluster) {
    let rule = "host all all 127.0.0.1/32 password\n";
    std::fs::write(folder.join("data/pg_hba.conf"), rule).unwrap();
    let pid = i32::try_from(cluster.pid().unwrap()).unwrap();
    kill(Pid::from_raw(pid), Signal::SIGHUP).unwrap();
}

/// The program whose services are tested: `ROUNDTRIP_BIN`, or the one that cargo built for these tests.
///
/// # Panics
/// When cargo has built none.
#[must_use]
pub fn program() -> PathBuf {
    if let Some(named) = std::env::var_os("ROUNDTRIP_BIN").filter(|named| !named.is_empty()) {
        return named.into();
    }
    let this = std::env::current_exe().unwrap();
    let built = this
        .ancestors()
        .nth(2)
        .unwrap()
        .join("roundtrip-under-test");
    assert!(
        built.is_file(),
        "there is no {}: run the tests with cargo, or name a program in ROUNDTRIP_BIN",
        built.display()
    );
    built
}

async fn blocking<T: Send + 'static>(
    find: impl FnOnce() -> anyhow::Result<T> + Send + 'static,
) -> Result<T, String> {
    let found = tokio::task::spawn_blocking(find).await.unwrap();
    found.map_err(|error| format!("{error:#}"))
}

fn say(line: &str) {
    eprintln!("{line}");
}

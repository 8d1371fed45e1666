//! Opening connections, each with the settings that durability and two replicas side by side need; and migrations.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::str::FromStr as _;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{
    ConnectOptions as _, Connection as _, PgConnection, PgPool, SqlSafeStr as _, SqliteConnection,
    SqlitePool,
};

use super::sql::Engine;

/// The oldest SQLite that is safe in WAL mode: before it a checkpoint racing a commit could corrupt the file. `jsonb_each`, which batches
/// are read with, is there since 3.51.0.
const SQLITE_FLOOR: (u32, u32, u32) = (3, 51, 3);
/// How long one statement waits for another process's write lock.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
const READERS_MAX: u32 = 4;
/// What the writer keeps of a SQLite file in memory, in KiB. A batch works on few pages; the system's own cache has the rest.
const WRITER_CACHE_KIB: u32 = 16 << 10;
/// The same of each other connection: readers look up single rows and pages of lists.
const CACHE_KIB: u32 = 2 << 10;
/// How long a reader waits for one of the connections before that is an error.
const READ_WITHIN: Duration = Duration::from_secs(30);
/// How long a server that starts beside us may take; less than an orchestrator gives us to start.
const COMES_UP_WITHIN: Duration = Duration::from_secs(60);
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// The table that says which of the runtime's migrations were applied.
pub const RUNTIME_MIGRATION: &str = "runtime_migration";
/// The same for the service's.
pub const SERVICE_MIGRATION: &str = "service_migration";

/// The one connection that writes.
pub(super) enum Writer {
    Sqlite(SqliteConnection),
    Postgres(Box<PgConnection>),
}

/// The connections that only read.
pub(super) enum Readers {
    Sqlite(SqlitePool),
    Postgres(PgPool),
}

/// Which engine a URL names.
pub(super) fn engine(url: &str) -> Result<Engine, anyhow::Error> {
    if url.starts_with("sqlite:") {
        Ok(Engine::Sqlite)
    } else if url.starts_with("postgres://") || url.starts_with("postgresql://") {
        Ok(Engine::Postgres)
    } else {
        bail!("the database URL must begin with sqlite:// or postgres://")
    }
}

fn sqlite(url: &str, cache_kib: u32) -> Result<SqliteConnectOptions, anyhow::Error> {
    let options = SqliteConnectOptions::from_str(url)
        .context("the SQLite URL cannot be read; it looks like sqlite:///path/to/file.db")?;
    Ok(options
        .synchronous(SqliteSynchronous::Full)
        // On macOS a plain fsync does not reach the disk; elsewhere this does nothing.
        .pragma("fullfsync", "1")
        // Below zero it is KiB, and not pages.
        .pragma("cache_size", format!("-{cache_kib}"))
        .pragma("temp_store", "memory")
        .busy_timeout(BUSY_TIMEOUT)
        .foreign_keys(false)
        .statement_cache_capacity(200)
        .disable_statement_logging())
}

/// Who only reads takes a file in whatever journal mode it is: it may be somebody else's.
fn sqlite_writer(url: &str, cache_kib: u32) -> Result<SqliteConnectOptions, anyhow::Error> {
    Ok(sqlite(url, cache_kib)?.journal_mode(SqliteJournalMode::Wal))
}

fn postgres(url: &str) -> Result<PgConnectOptions, anyhow::Error> {
    let options = PgConnectOptions::from_str(url).context(
        "the PostgreSQL URL cannot be read; it looks like postgres://user:password@host/database",
    )?;
    Ok(options
        .options([
            // A replica that was stopped in the middle must not stop the others for ever.
            ("idle_in_transaction_session_timeout", "10000"),
            ("lock_timeout", "5000"),
            ("synchronous_commit", "on"),
            // Statements are planned while the tables are still empty, and a scan chosen then would be kept for ever: look
            // rows up by their key, one by one, as a batch always wants them.
            ("enable_seqscan", "off"),
            // Such a scan, where nothing else is left, then counts as so dear that it would be compiled first, for a tenth of a second.
            ("jit", "off"),
            ("enable_hashjoin", "off"),
            ("enable_mergejoin", "off"),
            // A bitmap scan leaves no mark at an entry whose row is dead, and walks it again at every look until a vacuum: tens of
            // thousands of them where rows come and go. An index scan marks it the first time.
            ("enable_bitmapscan", "off"),
        ])
        .application_name(&program())
        .disable_statement_logging())
}

/// This program's name: an operator who looks at the server's sessions sees whose they are.
fn program() -> String {
    let program = std::env::current_exe().unwrap_or_default();
    let name = program.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

impl Writer {
    pub(super) async fn open(url: &str) -> Result<Self, anyhow::Error> {
        Ok(match engine(url)? {
            Engine::Sqlite => {
                let mut connection = sqlite_writer(url, WRITER_CACHE_KIB)?
                    .connect()
                    .await
                    .with_context(|| unreachable(url))?;
                check_version(&mut connection).await?;
                Self::Sqlite(connection)
            }
            Engine::Postgres => Self::Postgres(Box::new(
                postgres(url)?
                    // However few rows a batch has, its statements are planned once and not each time: a plan for one row looks cheaper
                    // than one for any number, and planning them costs more than running them.
                    .options([("plan_cache_mode", "force_generic_plan")])
                    .connect()
                    .await
                    .with_context(|| unreachable(url))?,
            )),
        })
    }
}

impl Readers {
    pub(super) async fn open(url: &str) -> Result<Self, anyhow::Error> {
        Ok(match engine(url)? {
            Engine::Sqlite => {
                let options = sqlite(url, CACHE_KIB)?.read_only(true);
                Self::Sqlite(
                    SqlitePoolOptions::new()
                        .max_connections(READERS_MAX)
                        .acquire_timeout(READ_WITHIN)
                        // No line of its own for each that is slow: a busy minute would be a thousand.
                        .acquire_slow_threshold(READ_WITHIN)
                        .connect_with(options)
                        .await
                        .with_context(|| unreachable(url))?,
                )
            }
            Engine::Postgres => {
                let options = postgres(url)?;
                Self::Postgres(
                    PgPoolOptions::new()
                        .max_connections(READERS_MAX)
                        .acquire_timeout(READ_WITHIN)
                        // No line of its own for each that is slow: a busy minute would be a thousand.
                        .acquire_slow_threshold(READ_WITHIN)
                        .connect_with(options)
                        .await
                        .with_context(|| unreachable(url))?,
                )
            }
        })
    }
}

/// Waits for a server that is still coming up, or that cannot be found yet: whoever starts everything at once starts nothing in vain.
/// What a server that answers refuses, a wrong password say, is not waited for.
pub(super) async fn until_reachable(url: &str) -> Result<(), anyhow::Error> {
    if engine(url)? == Engine::Sqlite {
        return Ok(());
    }
    let until = Instant::now() + COMES_UP_WITHIN;
    let mut said = false;
    loop {
        let answer = tokio::time::timeout(CONNECT_WITHIN, postgres(url)?.connect()).await;
        let error = match answer {
            Ok(Ok(connection)) => {
                return connection.close().await.with_context(|| unreachable(url));
            }
            Ok(Err(error)) if !is_coming_up(&error) => {
                return Err(error).with_context(|| unreachable(url));
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no answer within {} s", CONNECT_WITHIN.as_secs()),
        };
        if Instant::now() >= until {
            let seconds = COMES_UP_WITHIN.as_secs();
            bail!(
                "{}, and {seconds} s of waiting did not help: {error}",
                unreachable(url)
            );
        }
        if !said {
            tracing::warn!(error, "the database is not there yet; waiting for it");
            said = true;
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}

/// Nobody listens, the name is not known, or the server says `cannot_connect_now`.
fn is_coming_up(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) => true,
        sqlx::Error::Database(refusal) => refusal.code().is_some_and(|code| code == "57P03"),
        _ => false,
    }
}

/// A URL without its password, for messages; it may stand among the parameters too.
fn unreachable(url: &str) -> String {
    let url = url.split('?').next().unwrap_or_default();
    let shown = match (url.find("://"), url.rfind('@')) {
        (Some(start), Some(end)) if start < end => {
            format!("{}***{}", &url[..start + 3], &url[end..])
        }
        _ => url.to_owned(),
    };
    format!("the database {shown} cannot be opened")
}

async fn check_version(connection: &mut SqliteConnection) -> Result<(), anyhow::Error> {
    let version: String = sqlx::query_scalar("select sqlite_version()")
        .fetch_one(connection)
        .await?;
    let mut parts = version.split('.').map(|part| part.parse().unwrap_or(0));
    let found = (
        parts.next().unwrap_or(0),
        parts.next().unwrap_or(0),
        parts.next().unwrap_or(0),
    );
    if found < SQLITE_FLOOR {
        bail!(
            "SQLite {version} is too old: {SQLITE_FLOOR:?} or newer is needed (WAL could corrupt the file)"
        );
    }
    Ok(())
}

/// The migrations of the runtime's own tables.
#[must_use]
pub fn own_migrations() -> Migrator {
    migrations([
        (
            1,
            "runtime",
            include_str!("../../migrations/0001_runtime.sql"),
        ),
        (
            2,
            "dead letter past",
            include_str!("../../migrations/0002_dead_letter_past.sql"),
        ),
    ])
}

/// The migration of the table that calls wait in, for the services that make some: they list it before their own.
/// ```
/// use runtime::database::{calls_migration, migrations};
///
/// const SHIPMENT: &str = "create table shipment (shipment text not null primary key)";
/// let migrator = migrations([calls_migration(), (1001, "shipment", SHIPMENT)]);
/// assert_eq!(migrator.iter().count(), 2);
/// ```
#[must_use]
pub const fn calls_migration() -> (i64, &'static str, &'static str) {
    let sql = include_str!("../../migrations/0900_call.sql");
    (900, "call", sql)
}

/// Migrations by number, what each is about, and its statements, which run in one transaction each. Named one by one: sqlx's macro would find
/// them in their folder, but has both databases compiled into the compiler for it, SQLite's C as well.
pub fn migrations(list: impl IntoIterator<Item = (i64, &'static str, &'static str)>) -> Migrator {
    let migration = |(number, about, sql): (i64, &'static str, &'static str)| {
        let kind = MigrationType::Simple;
        Migration::new(number, about.into(), kind, sql.into_sql_str(), false)
    };
    Migrator::with_migrations(list.into_iter().map(migration).collect())
}

/// Brings the schema up to date: the runtime's tables, then the service's. A newer program's migrations are left alone,
/// so that two versions can run side by side. On a thread of its own, since the lock on SQLite's file is waited for.
pub(super) async fn migrate(url: &str, service: &Migrator) -> Result<(), anyhow::Error> {
    let mut own = own_migrations();
    own.dangerous_set_table_name(RUNTIME_MIGRATION);
    let mut service = Migrator {
        migrations: service.migrations.clone(),
        ..Migrator::DEFAULT
    };
    service.dangerous_set_table_name(SERVICE_MIGRATION);
    let (url, runtime) = (url.to_owned(), tokio::runtime::Handle::current());
    tokio::task::spawn_blocking(move || runtime.block_on(run_migrations(&url, [own, service])))
        .await?
}

async fn run_migrations(url: &str, migrators: [Migrator; 2]) -> Result<(), anyhow::Error> {
    const FAILED: &str = "the schema could not be brought up to date";
    for mut migrator in migrators {
        migrator.set_ignore_missing(true);
        match engine(url)? {
            Engine::Sqlite => {
                // sqlx takes no lock on SQLite: processes that start together would all create the same tables.
                let _lock = lock_beside(url)?;
                let options = sqlite_writer(url, CACHE_KIB)?.create_if_missing(true);
                make_private(options.get_filename())?;
                let mut connection = options.connect().await.with_context(|| unreachable(url))?;
                migrator.run(&mut connection).await.context(FAILED)?;
                connection.close().await?;
            }
            Engine::Postgres => {
                let mut connection = postgres(url)?
                    .connect()
                    .await
                    .with_context(|| unreachable(url))?;
                migrator.run(&mut connection).await.context(FAILED)?;
                connection.close().await?;
            }
        }
    }
    Ok(())
}

fn lock_beside(url: &str) -> Result<File, anyhow::Error> {
    let path: PathBuf = sqlite(url, CACHE_KIB)?.get_filename().to_owned();
    if let Some(folder) = path.parent().filter(|folder| *folder != Path::new("")) {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("the folder {} cannot be made", folder.display()))?;
    }
    let path = path.with_extension("migrate.lock");
    let file = create_private(&path)?;
    file.lock()
        .with_context(|| format!("the lock file {} cannot be locked", path.display()))?;
    Ok(file)
}

/// Opens a file, and makes it where there is none, for its owner alone. One that is there keeps its mode.
fn create_private(path: &Path) -> Result<File, anyhow::Error> {
    private()
        .create(true)
        .write(true)
        .truncate(false)
        .open(path)
        .with_context(|| format!("the file {} cannot be written", path.display()))
}

/// Makes a database's file where there is none, for its owner alone: people's names are in it; what SQLite lays beside it has its mode. One
/// that is there is not even opened: closing it again would drop every lock that this process has on it.
fn make_private(path: &Path) -> Result<(), anyhow::Error> {
    match private().create_new(true).write(true).open(path) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        made => made
            .map(drop)
            .with_context(|| format!("the file {} cannot be made", path.display())),
    }
}

fn private() -> std::fs::OpenOptions {
    let mut options = File::options();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

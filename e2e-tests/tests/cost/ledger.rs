//! Where costs are read: services' metrics, the stream, a SQLite file's log, PostgreSQL's own books. No table is named here: whatever a
//! service writes is counted. It judges nothing.

use std::collections::BTreeMap;

use e2e_tests::{SERVICES, World, eventually, prerequisites};
use sqlx::{Connection as _, PgConnection, SqliteConnection};

/// By what is counted: of each service as they stand in [`SERVICES`], or of all together.
pub(crate) type Counts = BTreeMap<&'static str, Vec<f64>>;

/// A database's books, opened.
pub(crate) enum Ledger {
    /// Readers that stay where they are: so long a file's log grows and does not begin anew.
    Sqlite { _stay: Vec<SqliteConnection> },
    /// Every statement goes to the server's log.
    Postgres(std::path::PathBuf),
}

impl Ledger {
    pub(crate) async fn open(world: &World) -> Self {
        if world.database_url("booking").starts_with("sqlite:") {
            let mut readers = Vec::new();
            for service in SERVICES {
                let url = world.database_url(service);
                let mut reader = SqliteConnection::connect(url).await.unwrap();
                let stays = "begin; select count(*) from sqlite_master";
                sqlx::raw_sql(stays).execute(&mut reader).await.unwrap();
                readers.push(reader);
            }
            return Self::Sqlite { _stay: readers };
        }
        let url = world.database_url("booking");
        let mut server = PgConnection::connect(url).await.unwrap();
        for statement in [
            // Else it syncs as often as there is time.
            "alter system set wal_writer_delay = '10s'",
            // What it does at a time of its own writes as well.
            "alter system set autovacuum = off",
            "alter system set checkpoint_timeout = '1h'",
            // On some systems it writes through by default, and counts no sync.
            "alter system set wal_sync_method = 'fsync'",
            "alter system set log_line_prefix = '%d/%p '",
            "alter system set log_statement = 'all'",
            "select pg_reload_conf()",
        ] {
            sqlx::query(statement).execute(&mut server).await.unwrap();
        }
        server.close().await.unwrap();
        Self::Postgres(prerequisites::postgres("cost").await.unwrap().log())
    }

    /// What was spent until now, once all that is owed is done.
    pub(crate) async fn read(&self, world: &World) -> Counts {
        world.until_at_rest().await;
        let mut counts = Counts::new();
        for (what, metric) in [
            ("inputs", "batch_size_sum"),
            ("batches", "batches_total"),
            ("facts heard", "facts_in_total"),
            ("facts said", "facts_out_total"),
        ] {
            let each = counts.entry(what).or_default();
            for service in SERVICES {
                let metric = format!("roundtrip_{metric}");
                each.push(world.metrics(service, &metric, "").await[0]);
            }
        }
        let stream = world.jetstream().get_stream("TRIPS").await.unwrap();
        let stored = stream.cached_info().state.last_sequence as f64;
        counts.insert("messages in the stream", vec![stored]);
        let log = match self {
            Self::Sqlite { .. } => String::new(),
            Self::Postgres(log) => {
                let bytes = "select (pg_current_wal_lsn() - '0/0')::bigint";
                let bytes = world.number("booking", bytes).await as f64;
                counts.insert("bytes of the write-ahead log", vec![bytes]);
                counts.insert("fsyncs", vec![fsyncs(world).await]);
                String::from_utf8_lossy(&std::fs::read(log).unwrap()).into_owned()
            }
        };
        for service in SERVICES {
            let url = world.database_url(service);
            let (what, written, commits) = match url.strip_prefix("sqlite://") {
                Some(file) => frames(&std::fs::read(format!("{file}-wal")).unwrap()),
                None => statements(&log, url.rsplit('/').next().unwrap()),
            };
            counts.entry(what).or_default().push(written);
            counts.entry("commits").or_default().push(commits);
        }
        counts
    }

    /// What a server knows for certain only once those who did it are gone: what was spent of it for each trip. The rows with which a
    /// database begins are among them, and syncs of the first trip may be.
    pub(crate) async fn close(
        self,
        world: &mut World,
        before: &Counts,
        spent: &mut Counts,
        trips: usize,
    ) {
        let Self::Postgres(_) = self else { return };
        for service in SERVICES {
            world.stop(service, 0).await;
        }
        let others = "select count(*) from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid()";
        eventually("nobody else is connected", async || {
            (world.number("booking", others).await == 0).then_some(())
        })
        .await;
        let synced = fsyncs(world).await - before["fsyncs"][0];
        spent.insert("fsyncs", vec![synced / trips as f64]);
        let rows = "select sum(n_tup_ins + n_tup_upd + n_tup_del)::bigint from pg_stat_user_tables";
        for service in SERVICES {
            let rows = world.number(service, rows).await as f64 / (trips + 1) as f64;
            spent.entry("rows").or_default().push(rows);
        }
    }
}

/// How often the server's log of changes was synced; it has a view of its own before 18.
async fn fsyncs(world: &World) -> f64 {
    let version = "select current_setting('server_version_num')::bigint";
    let synced = match world.number("booking", version).await {
        ..180_000 => "select wal_sync from pg_stat_wal",
        _ => "select sum(fsyncs)::bigint from pg_stat_io where object = 'wal'",
    };
    world.number("booking", synced).await as f64
}

/// The pages in a SQLite file's log, and the commits, each of which is synced once. <https://sqlite.org/fileformat2.html#walformat>
fn frames(log: &[u8]) -> (&'static str, f64, f64) {
    let word = |at: usize| u32::from_be_bytes(log[at..at + 4].try_into().unwrap());
    let (page, salts) = (word(8) as usize, &log[16..24]);
    let begins = (32..log.len()).step_by(24 + page);
    // What a log holds of an earlier round has other salts.
    let frames: Vec<usize> = begins
        .take_while(|at| &log[at + 8..at + 16] == salts)
        .collect();
    let commits = frames.iter().filter(|at| word(**at + 4) > 0).count();
    ("pages", frames.len() as f64, commits as f64)
}

/// The statements of sessions that commit, and the commits, as a server logged them.
fn statements(log: &str, database: &str) -> (&'static str, f64, f64) {
    let mut sessions: BTreeMap<&str, [u32; 2]> = BTreeMap::new();
    for line in log.lines() {
        let Some((session, line)) = line.split_once(" LOG:  ") else {
            continue;
        };
        let Some((_, statement)) = line.split_once(": ") else {
            continue;
        };
        if session.starts_with(&format!("{database}/")) {
            let [statements, commits] = sessions.entry(session).or_default();
            *statements += 1;
            *commits += u32::from(statement == "commit");
        }
    }
    let writers = sessions.values().filter(|[_, commits]| *commits > 0);
    let sum = writers.fold([0; 2], |sum, it| [sum[0] + it[0], sum[1] + it[1]]);
    ("statements", sum[0].into(), sum[1].into())
}

//! Broken schemas and servers, on SQLite files and on PostgreSQL.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;

use clap::Parser as _;
use runtime::database::Engine;
use runtime::{Database, Service as _, Settings};
use stack::postgres::{Cluster, Programs};
use stack::skip::{self, Need};

use crate::{doctor, with, wrong};

#[derive(clap::Parser)]
struct Program {
    #[command(flatten)]
    settings: Settings,
}

/// Flight's database, with its real schema.
async fn flight(url: &str) -> Arc<Database> {
    let settings = Program::parse_from(["test", "--database-url", "sqlite://unused"]).settings;
    let service = leg::LegService::new(flight::Flight, &settings);
    Database::open(url, &service.migrations()).await.unwrap()
}

async fn write(database: &Database, sql: &str) {
    let mut writer = database.writer().await.unwrap();
    writer.run(sql, vec![]).await.unwrap();
}

async fn each_break_is_named(url: &str) {
    let nowhere = Path::new("nowhere");
    let args = ["--database", url];
    let database = flight(url).await;
    let (said, report) = doctor(nowhere, &args);
    assert_eq!(said.code, Some(0), "{}", said.out);
    assert!(with(&report, "warning").is_empty(), "{}", said.out);
    assert!(said.out.contains("schema 1001"), "{}", said.out);

    migrations(&args, &database).await;
    write(&database, "insert into outbox (id, aggregatetype, aggregateid, type, payload, subject, time_us, lease_us) values ('1', 'trip', 't', 'x', '{}', 's', 1, 0)").await;
    wrong(
        nowhere,
        &args,
        &["databases/flight/schema", "databases/flight/outbox"],
        &["1 facts in its outbox are committed and not published"],
    );
}

/// Ends with one missing.
async fn migrations(args: &[&str], database: &Database) {
    let nowhere = Path::new("nowhere");
    let schema = &["databases/flight/schema"];
    let (good, other) = match database.engine() {
        Engine::Sqlite => ("hex(checksum)", "x'00'"),
        Engine::Postgres => ("encode(checksum, 'hex')", "'\\x00'::bytea"),
    };
    let kept = format!("select {good} from service_migration where version = 1001");
    let checksum = database.texts(&kept, vec![]).await.unwrap().remove(0);
    let checksum = match database.engine() {
        Engine::Sqlite => format!("x'{checksum}'"),
        Engine::Postgres => format!("'\\x{checksum}'::bytea"),
    };
    let mend = format!(
        "update service_migration set success = true, checksum = {checksum} where version = 1001"
    );

    let changed = format!("update service_migration set checksum = {other} where version = 1001");
    write(database, &changed).await;
    wrong(
        nowhere,
        args,
        schema,
        &["migration 1001 was applied with another text"],
    );
    write(database, &mend).await;
    write(
        database,
        "update service_migration set success = false where version = 1001",
    )
    .await;
    wrong(
        nowhere,
        args,
        schema,
        &["migration 1001 was begun and did not come through"],
    );
    write(database, &mend).await;

    let newer = format!(
        "insert into service_migration (version, description, success, checksum, execution_time) values (1999, 'x', true, {other}, 0)"
    );
    write(database, &newer).await;
    let (said, report) = doctor(nowhere, args);
    assert_eq!(
        (said.code, with(&report, "warning")),
        (Some(0), vec![schema[0].to_owned()])
    );
    assert!(
        said.out.contains("this command is older than the schema"),
        "{}",
        said.out
    );
    write(
        database,
        "delete from service_migration where version > 1000",
    )
    .await;
    wrong(
        nowhere,
        args,
        schema,
        &[
            "migration 1001 is missing",
            "flight has not been started with this version yet",
        ],
    );
}

#[tokio::test]
async fn each_break_of_a_database_is_named_on_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("flight.db");
    each_break_is_named(&format!("sqlite://{}", file.display())).await;

    let gone = format!("hotel=sqlite://{}/gone.db", folder.path().display());
    let (said, report) = doctor(Path::new("nowhere"), &["--database", &gone]);
    assert_eq!(
        (said.code, with(&report, "wrong")),
        (Some(2), vec!["databases/hotel/opens".into()])
    );
    assert!(
        !folder.path().join("gone.db").exists(),
        "a doctor makes no database"
    );
}

#[tokio::test]
async fn each_break_of_a_database_is_named_on_postgres() {
    let test = "each_break_of_a_database_is_named_on_postgres";
    let Some(programs) = skip::unless(Need::Postgres, test, Programs::find(&|_| {})) else {
        return;
    };
    // The server runs as another user when the tests run as root, and has to reach its folder.
    let above = tempfile::tempdir_in("/tmp").unwrap();
    std::fs::set_permissions(above.path(), Permissions::from_mode(0o755)).unwrap();
    let cluster = Cluster::start(&programs, &above.path().join("cluster"), true)
        .await
        .unwrap();
    let nowhere = Path::new("nowhere");
    let hotel = cluster.database("hotel").await.unwrap();
    wrong(
        nowhere,
        &["--database", &hotel],
        &["databases/hotel/schema"],
        &["hotel was never started with it"],
    );

    let url = cluster.database("flight").await.unwrap();
    let database = flight(&url).await;
    write(&database, "alter system set full_page_writes = off").await;
    write(&database, "select pg_reload_conf()::text").await;
    let until = std::time::Instant::now() + std::time::Duration::from_secs(10);
    let off = async || {
        database
            .texts("select current_setting('full_page_writes')", vec![])
            .await
            .unwrap()
            == ["off"]
    };
    while !off().await {
        assert!(std::time::Instant::now() < until, "the setting is taken");
    }
    wrong(
        nowhere,
        &["--database", &url],
        &["databases/flight/durable"],
        &["full_page_writes is off"],
    );
    write(&database, "alter system reset full_page_writes").await;
    write(&database, "select pg_reload_conf()::text").await;
    while off().await {
        assert!(std::time::Instant::now() < until, "the setting is taken");
    }

    open_transactions(&url, &database).await;
    drop(database);
    each_break_is_named(&url).await;
}

/// Seen by whoever may.
async fn open_transactions(url: &str, database: &Database) {
    let nowhere = Path::new("nowhere");
    let mut writer = database.writer().await.unwrap();
    writer.run("begin", vec![]).await.unwrap();
    let (said, _) = doctor(nowhere, &["--database", url]);
    for word in ["a transaction is open for", ", idle in transaction, pid "] {
        assert!(said.out.contains(word), "{word} in {}", said.out);
    }
    writer.roll_back().await;
    drop(writer);

    // Who may not see others' transactions says so, and is told what would help.
    write(
        database,
        "create role reader login password 'p' in role pg_read_all_data",
    )
    .await;
    let reader = url.split_once('@').unwrap().1;
    let reader = format!("postgres://reader:p@{reader}");
    let (said, report) = doctor(nowhere, &["--database", &reader]);
    let unseen = with(&report, "not-looked-at");
    assert!(
        unseen.contains(&"databases/flight/transactions".into()),
        "{}",
        said.out
    );
}

//! The runtime without this repository: copied alone into an empty folder, its examples are built there and run on a real broker, on both
//! databases, killed and started again; and its own tests pass there. What it comes to for trips is in `conformance`.
#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

#[path = "standalone/alarms.rs"]
mod alarms;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::jetstream::{self, consumer::DeliverPolicy, consumer::pull};
use e2e_tests::{eventually, prerequisites};
use futures::StreamExt as _;
use serde_json::{Value, json};
use stack::broker::Broker;
use stack::service::{ServiceProcess, Spec};
use tokio::sync::OnceCell;
use uuid::Uuid;

const PAYMENTS: u64 = 300;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn copied_alone_it_builds_and_counts_every_payment_once_sqlite() {
    let test = "copied_alone_it_builds_and_counts_every_payment_once_sqlite";
    let folder = tempfile::tempdir().unwrap();
    let database = format!("sqlite://{}", folder.path().join("savings.db").display());
    if let Some(nats) = prerequisites::nats(test).await {
        every_payment_counts_once(&nats, folder.path(), database).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn copied_alone_it_builds_and_counts_every_payment_once_postgres() {
    let test = "copied_alone_it_builds_and_counts_every_payment_once_postgres";
    let folder = tempfile::tempdir().unwrap();
    if let Some(nats) = prerequisites::nats(test).await
        && let Some(cluster) = prerequisites::postgres(test).await
    {
        let database = cluster.database("savings").await.unwrap();
        every_payment_counts_once(&nats, folder.path(), database).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn copied_alone_its_own_tests_pass_on_both_databases() {
    let test = "copied_alone_its_own_tests_pass_on_both_databases";
    let folder = tempfile::tempdir().unwrap();
    if let Some(nats) = prerequisites::nats(test).await
        && let Some(cluster) = prerequisites::postgres(test).await
    {
        let nats = Broker::start(&nats, folder.path(), None).await.unwrap();
        let database = cluster.database("toys").await.unwrap();
        let servers = [("NATS_URL", nats.url()), ("POSTGRES_URL", database)];
        let tests = || {
            in_a_copy(
                &[
                    "test",
                    "--test",
                    "toy",
                    "--test",
                    "golden",
                    "--test",
                    "on_servers",
                ],
                &servers,
            )
        };
        tokio::task::block_in_place(tests);
    }
}

/// An example's program. All are built once, from a copy that has nothing of this repository above or beside it; they can be told to die.
async fn program(name: &str) -> PathBuf {
    static BUILT: OnceCell<PathBuf> = OnceCell::const_new();
    let build = async || tokio::task::spawn_blocking(build).await.unwrap();
    BUILT.get_or_init(build).await.join(name)
}

fn build() -> PathBuf {
    let target = in_a_copy(&["build", "--examples", "--features", "faults"], &[]);
    target.join("debug/examples")
}

/// Runs cargo in a copy of the runtime that has nothing of this repository above or beside it. Answers where it builds.
fn in_a_copy(args: &[&str], env: &[(&str, String)]) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let alone = tempfile::tempdir().unwrap();
    copy(&root.join("shared/runtime"), alone.path());
    // The same versions, which are here already.
    std::fs::copy(root.join("Cargo.lock"), alone.path().join("Cargo.lock")).unwrap();
    let target = std::env::current_exe().unwrap();
    // With the profile that the workspace has for dependencies, so that what is compiled already is not compiled again.
    let target = target.ancestors().nth(3).unwrap();
    let (subcommand, args) = args.split_first().unwrap();
    let done = Command::new(env!("CARGO"))
        .args([subcommand, "--quiet", "--offline"])
        .args(args)
        .current_dir(alone.path())
        .env("CARGO_TARGET_DIR", target)
        .env("CARGO_PROFILE_DEV_DEBUG", "false")
        .envs(env.iter().map(|(name, value)| (name, value)))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&done.stdout);
    let complained = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{said}{complained}");
    target.to_owned()
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let (from, name) = entry.map(|it| (it.path(), it.file_name())).unwrap();
        match from.is_dir() {
            true => copy(&from, &to.join(name)),
            false => drop(std::fs::copy(&from, to.join(name)).unwrap()),
        }
    }
}

async fn every_payment_counts_once(nats: &Path, folder: &Path, database: String) {
    let program = program("savings").await;
    let broker = Broker::start(nats, &folder.join("nats"), None)
        .await
        .unwrap();
    let settings = [
        ("DATABASE_URL", database),
        ("NATS_URL", broker.url()),
        ("ACK_WAIT_MS", String::from("1000")),
    ];
    let settings = settings.map(|(name, value)| (name.to_owned(), value));
    let mut service = ServiceProcess::start(Spec {
        name: String::from("savings"),
        program,
        args: Vec::new(),
        env: BTreeMap::from(settings),
        log: folder.join("savings.log"),
        port: None,
        folder: None,
    })
    .unwrap();
    let http = ::client::http::local().unwrap().build().unwrap();
    let ready = Duration::from_secs(30);
    service.wait_ready(&http, ready).await.unwrap();

    let client = async_nats::connect(broker.url()).await.unwrap();
    let stream = jetstream::new(client);
    for payment in 1..=PAYMENTS {
        let id = Uuid::now_v7();
        pay(&stream, id, r#"{"cents":100}"#).await;
        // The same payment, delivered once more.
        if payment % 10 == 0 {
            pay(&stream, id, r#"{"cents":100}"#).await;
        }
        if payment % 100 == 50 {
            service.kill().await.unwrap();
            service.restart(&[]).await.unwrap();
        }
    }
    pay(&stream, Uuid::now_v7(), r#"{"cents":"much"}"#).await;
    service.wait_ready(&http, ready).await.unwrap();

    let ask = async |path: &str| -> Value {
        let url = format!("{}{path}", service.url());
        http.get(url).send().await.unwrap().json().await.unwrap()
    };
    eventually(
        "all is counted, and what cannot be read is put aside",
        async || {
            let counted = ask("/accounts/ada").await["cents"] == PAYMENTS * 100;
            let aside = ask("/letters").await;
            (counted && aside["items"].as_array().unwrap().len() == 1).then_some(())
        },
    )
    .await;
    let expected = json!({"account": "ada", "cents": PAYMENTS * 100});
    assert_eq!(ask("/accounts/ada").await, expected);
    assert_eq!(ask("/accounts/nobody").await, Value::Null);
    let metrics = format!("{}/metrics", service.url());
    let metrics = http
        .get(metrics)
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    assert!(metrics.contains("bank_dead_letters_total"), "{metrics}");
    service.stop().await.unwrap();
    assert_eq!(service.ended().and_then(|it| it.code()), Some(0));
    assert_eq!(goals(&stream).await, 1, "said once, under one id");
}

async fn pay(stream: &jetstream::Context, id: Uuid, data: &'static str) {
    let mut headers = HeaderMap::new();
    headers.insert("ce-specversion", "1.0");
    headers.insert("ce-type", "bank.paid.v1");
    headers.insert("ce-subject", "ada");
    headers.insert("ce-id", id.to_string());
    let stored = stream
        .publish_with_headers("bank.paid", headers, data.into())
        .await;
    stored.unwrap().await.unwrap();
}

/// How many goals were said to be reached, each counted by its id.
async fn goals(stream: &jetstream::Context) -> usize {
    let said = pull::Config {
        filter_subject: String::from("bank.reached"),
        deliver_policy: DeliverPolicy::All,
        ..pull::Config::default()
    };
    let consumer = stream
        .create_consumer_on_stream(said, "BANK")
        .await
        .unwrap();
    let mut said = consumer.fetch().max_messages(100).messages().await.unwrap();
    let mut ids = std::collections::BTreeSet::new();
    while let Some(Ok(message)) = said.next().await {
        ids.insert(
            message
                .headers
                .as_ref()
                .unwrap()
                .get("ce-id")
                .unwrap()
                .to_string(),
        );
    }
    ids.len()
}

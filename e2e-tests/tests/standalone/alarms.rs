//! The example of an effect outside: alarms are told to a webhook, a real server in this process that counts effects by their keys, while the
//! program dies at every point of a call, is killed at any moment, and the webhook loses answers and is busy.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::jetstream;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use e2e_tests::{eventually, prerequisites};
use runtime::Database;
use runtime::faults::{CRASH_FILE, CrashPoint};
use serde_json::Value;
use stack::broker::Broker;
use stack::service::{ServiceProcess, Spec};
use uuid::Uuid;

use super::program;

/// Alarms that are raised while the program is killed now and then, beside one for each point at which it dies.
const ALARMS: usize = 60;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_alarm_is_told_once_whatever_dies_sqlite() {
    let test = "every_alarm_is_told_once_whatever_dies_sqlite";
    let folder = tempfile::tempdir().unwrap();
    let database = format!("sqlite://{}", folder.path().join("alerts.db").display());
    if let Some(nats) = prerequisites::nats(test).await {
        every_alarm_is_told_once(&nats, folder.path(), database).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_alarm_is_told_once_whatever_dies_postgres() {
    let test = "every_alarm_is_told_once_whatever_dies_postgres";
    let folder = tempfile::tempdir().unwrap();
    if let Some(nats) = prerequisites::nats(test).await
        && let Some(cluster) = prerequisites::postgres(test).await
    {
        let database = cluster.database("alerts").await.unwrap();
        every_alarm_is_told_once(&nats, folder.path(), database).await;
    }
}

/// How often the webhook was asked under each key.
type Asked = Arc<Mutex<BTreeMap<String, usize>>>;

/// An alarm that the webhook does not want to be told of.
const UNWANTED: &str = "unwanted";

/// The webhook. Of every seven keys it loses the first answer to one, and is busy at first for another; it leads one elsewhere, and lets two
/// not in at first.
async fn webhook() -> (String, Asked) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let asked = Asked::default();
    let router = Router::new()
        .route("/", post(hear))
        .route("/elsewhere", get(async || "our new front page"))
        .with_state(asked.clone());
    tokio::spawn(async move { axum::serve(listener, router).await });
    (url, asked)
}

async fn hear(State(asked): State<Asked>, headers: axum::http::HeaderMap) -> Response {
    let key = headers["idempotency-key"].to_str().unwrap().to_owned();
    let wanted = !key.starts_with(UNWANTED);
    let (keys, times) = {
        let mut asked = asked.lock().unwrap();
        let times = asked.entry(key).or_default();
        *times += 1;
        let times = *times;
        (asked.len(), times)
    };
    match (keys % 7, times) {
        _ if !wanted => StatusCode::UNPROCESSABLE_ENTITY.into_response(),
        (1, 1) => Redirect::to("/elsewhere").into_response(),
        (2, 1) => StatusCode::UNAUTHORIZED.into_response(),
        (4, 1) => StatusCode::NOT_FOUND.into_response(),
        (3, 1) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
        // It is told, and nobody hears that it is.
        (5, 1) => std::future::pending().await,
        _ => "ok".into_response(),
    }
}

async fn raise(stream: &jetstream::Context, alarm: &str) {
    let mut headers = HeaderMap::new();
    headers.insert("ce-specversion", "1.0");
    headers.insert("ce-type", "watch.raised.v1");
    headers.insert("ce-subject", alarm);
    headers.insert("ce-id", Uuid::now_v7().to_string());
    let what = r#"{"what":"smoke"}"#.into();
    let stored = stream.publish_with_headers("watch.raised", headers, what);
    stored.await.unwrap().await.unwrap();
}

fn alerts(folder: &Path, program: PathBuf, settings: [(&str, String); 3]) -> ServiceProcess {
    let hasty = [
        ("ACK_WAIT_MS", "1000"),
        ("CALL_TIMEOUT_MS", "400"),
        ("CALL_RETRY_FIRST_MS", "20"),
        ("CALL_RETRY_MAX_MS", "200"),
        ("TIMER_INTERVAL_MS", "20"),
    ];
    let settings = settings.map(|(name, value)| (name.to_owned(), value));
    let hasty = hasty.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let crash = folder.join("alerts.crash").display().to_string();
    let crash = [(CRASH_FILE.to_owned(), crash)];
    ServiceProcess::start(Spec {
        name: String::from("alerts"),
        program,
        args: Vec::new(),
        env: settings.into_iter().chain(hasty).chain(crash).collect(),
        log: folder.join("alerts.log"),
        port: None,
        folder: None,
    })
    .unwrap()
}

/// The program and what it runs on.
struct Watch {
    service: ServiceProcess,
    stream: jetstream::Context,
    http: reqwest::Client,
    database: Arc<Database>,
    crash: PathBuf,
}

impl Watch {
    async fn until_ready(&mut self) {
        let within = Duration::from_secs(30);
        self.service.wait_ready(&self.http, within).await.unwrap();
    }

    async fn until_told(&self, alarms: usize) {
        let told = "select count(*) from alarm where told + refused > 0";
        eventually("every alarm is told", async || {
            let told = self.database.number(told, vec![]).await;
            (told.ok()? == i64::try_from(alarms).unwrap()).then_some(())
        })
        .await;
    }

    /// However often it was asked: each answer was judged once.
    async fn each_was_told_once(&self, alarms: usize) {
        let number = async |sql| self.database.number(sql, vec![]).await.unwrap();
        let once = "select count(*) from alarm where told = 1 and refused = 0";
        assert_eq!(number(once).await, i64::try_from(alarms).unwrap());
        let no = "select count(*) from alarm where told = 0 and refused = 1 and alarm = 'unwanted'";
        assert_eq!(number(no).await, 1);
    }

    /// One alarm for each point: in the batch that asks for its call, at the call, and in the batch that judges the answer. How many there
    /// were.
    async fn dies_at_every_point(&mut self) -> usize {
        let batch = [
            CrashPoint::Loaded,
            CrashPoint::BeforeCommit,
            CrashPoint::AfterCommit,
        ];
        let asking = batch.map(|point| (point, 1));
        let judging = batch.map(|point| (point, 2));
        let calling = CrashPoint::OF_CALLS.map(|point| (point, 1));
        let points: Vec<_> = asking.into_iter().chain(calling).chain(judging).collect();
        let fired = self.crash.with_extension("fired");
        for (place, (point, time)) in points.iter().enumerate() {
            // What came before is over, and so is what every start brings.
            self.until_ready().await;
            self.until_told(place).await;
            let _ = std::fs::remove_file(&fired);
            let asked = format!("{} {time}", point.as_str());
            std::fs::write(&self.crash, &asked).unwrap();
            raise(&self.stream, &format!("point-{place}")).await;
            let service = &mut self.service;
            eventually(&format!("it dies: {asked}"), async || {
                (fired.exists() && service.ended().is_some()).then_some(())
            })
            .await;
            self.service.restart(&[]).await.unwrap();
        }
        points.len()
    }
}

async fn every_alarm_is_told_once(nats: &Path, folder: &Path, database: String) {
    let program = program("alerts").await;
    let broker = Broker::start(nats, &folder.join("nats"), None)
        .await
        .unwrap();
    let (url, asked) = webhook().await;
    let settings = [
        ("DATABASE_URL", database.clone()),
        ("NATS_URL", broker.url()),
        ("WEBHOOK_URL", url),
    ];
    let mut service = alerts(folder, program, settings);
    let http = ::client::http::local().unwrap().build().unwrap();
    let ready = Duration::from_secs(30);
    service.wait_ready(&http, ready).await.unwrap();
    let client = async_nats::connect(broker.url()).await.unwrap();
    let mut watch = Watch {
        service,
        stream: jetstream::new(client),
        http,
        database: Database::open_read_only(&database).await.unwrap(),
        crash: folder.join("alerts.crash"),
    };

    let points = watch.dies_at_every_point().await;
    for alarm in 0..ALARMS {
        raise(&watch.stream, &format!("alarm-{alarm}")).await;
        if alarm % 20 == 10 {
            watch.service.kill().await.unwrap();
            watch.service.restart(&[]).await.unwrap();
        }
    }
    raise(&watch.stream, UNWANTED).await;
    watch.until_ready().await;
    let all = points + ALARMS + 1;
    watch.until_told(all).await;
    watch.each_was_told_once(all - 1).await;
    let calls = format!("{}/calls", watch.service.url());
    let waiting = watch.http.get(calls).send().await;
    let waiting: Value = waiting.unwrap().json().await.unwrap();
    assert_eq!(waiting["items"], serde_json::json!([]));
    {
        let asked = asked.lock().unwrap();
        assert_eq!(asked.len(), all, "one effect for each, by its key");
        let repeated = asked.values().filter(|times| **times > 1).count();
        assert!(repeated >= 2, "nothing was ever asked for twice");
    }
    watch.service.stop().await.unwrap();
    assert_eq!(watch.service.ended().and_then(|it| it.code()), Some(0));
}

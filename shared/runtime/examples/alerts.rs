//! An effect outside, in one file: hears alarms, has each told to a webhook, and keeps what that answered. The call is asked for in the
//! transaction that keeps the alarm and performed beside it: nobody waits for the webhook, and however often it or this program dies, each
//! alarm is told, under one `Idempotency-Key` by which the webhook tells a repetition. How to run it is in the README beside this folder.
use runtime::http::About;
use runtime::table::{Lock, Row, Table, int, text};
use runtime::{Attempt, Call, Context, Keyed, System};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa_axum::router::OpenApiRouter;

const WATCH: System = System {
    namespace: "watch",
    stream: "WATCH",
    subjects: "watch.>",
};
const ABOUT: About = About {
    title: "Alerts",
    description: "Alarms, told to a webhook.",
    version: "1.0.0",
};
const SCHEMA: &str = "create table alarm (alarm text primary key, told bigint not null default 0)";

#[derive(Clone, PartialEq, Serialize, Deserialize)]
struct Alarm {
    alarm: String,
    told: i64,
}
type Key = (String,);

impl Row for Alarm {
    const TABLE: &'static Table = &Table {
        name: "alarm",
        key: &[text("alarm")],
        columns: &[int("told")],
        lock: Lock::Claim,
    };
    type Key = Key;

    fn key(&self) -> Key {
        (self.alarm.clone(),)
    }
}

/// An alarm is raised, maybe again: until it is told, that is asked for. Pure, as is what the answer makes of it.
fn raised(key: &Key, known: Option<&Alarm>, what: &Value, context: &mut Context) -> Option<Alarm> {
    let (alarm, told) = (key.0.clone(), known.map_or(0, |known| known.told));
    if told == 0 {
        let id = format!("{alarm}-tell");
        context.call(Call::new(id, "tell", &alarm, what.to_string()));
    }
    Some(Alarm { alarm, told })
}

fn told(key: &Key, _: Option<&Alarm>, _: &Call, status: &i64, _: &mut Context) -> Option<Alarm> {
    let (alarm, told) = (key.0.clone(), *status);
    Some(Alarm { alarm, told })
}

/// One attempt, beside the loop. Only what the webhook says is an answer; what it does not say is asked for again.
async fn tell(http: reqwest::Client, url: String, call: Call) -> Attempt<i64> {
    let request = http.post(url).header("Idempotency-Key", call.id);
    let answer = request.body(call.request).send().await;
    match answer.map(|answer| answer.status()) {
        Err(error) => Attempt::again(error.without_url().to_string()),
        Ok(busy) if busy.is_server_error() || busy == 429 => Attempt::again(busy.to_string()),
        Ok(status) => Attempt::Answered(status.as_u16().into()),
    }
}

#[expect(clippy::disallowed_methods, reason = "it stands alone")]
fn main() -> std::process::ExitCode {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let http = reqwest::Client::new();
    let url = std::env::var("WEBHOOK_URL").unwrap_or("http://127.0.0.1:9000/".into());
    let service = Keyed::new("alerts", &["watch.raised"], &[(1001, SCHEMA)], raised)
        .calling(move |call| tell(http.clone(), url.clone(), call), told);
    runtime::boot::main("alerts", ABOUT.version, |settings| {
        runtime::start(service, WATCH, ABOUT, settings, |_| OpenApiRouter::new())
    })
}

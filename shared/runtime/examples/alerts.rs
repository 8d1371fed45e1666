//! An effect outside, in one file: alarms that are heard are told to a webhook, each under one `Idempotency-Key`, and what that answers is kept. A
//! call is asked for as its alarm is kept and performed beside it: nobody waits, and none is lost, whatever dies. The README says how to run it.
use runtime::table::{Lock, Row, Table, int, text};
use runtime::{Attempt, Call, Context, Keyed, System};
use serde::{Deserialize, Serialize};
use serde_json::Value;
const WATCH: System = System {
    namespace: "watch",
    stream: "WATCH",
    subjects: "watch.>",
};
const ABOUT: runtime::http::About = runtime::http::About {
    title: "Alerts",
    description: "Alarms, told to a webhook.",
    version: "1.0.0",
};
const SCHEMA: &str = "create table alarm (alarm text primary key, told bigint not null default 0, refused bigint not null default 0)";

#[derive(Clone, PartialEq, Default, Serialize, Deserialize)]
struct Alarm {
    alarm: String,
    told: i64,
    refused: i64,
}
type Key = (String,);

impl Row for Alarm {
    const TABLE: &'static Table = &Table {
        name: "alarm",
        key: &[text("alarm")],
        columns: &[int("told"), int("refused")],
        lock: Lock::Claim,
    };
    type Key = Key;
    fn key(&self) -> Key {
        (self.alarm.clone(),)
    }
}

/// An alarm is raised, maybe again: until it is told, that is asked for. Pure, as is what the answer makes of it.
fn raised(key: &Key, known: Option<&Alarm>, what: &Value, context: &mut Context) -> Option<Alarm> {
    let mut alarm = known.cloned().unwrap_or_default();
    alarm.alarm.clone_from(&key.0);
    if alarm.told == 0 {
        let id = format!("{}-tell", key.0);
        context.call(Call::new(id, "tell", &key.0, what.to_string()));
    }
    Some(alarm)
}

fn told(_: &Key, old: Option<&Alarm>, _: &Call, said: &[i64; 2], _: &mut Context) -> Option<Alarm> {
    let mut alarm = old?.clone();
    (alarm.told, alarm.refused) = (alarm.told + said[0], alarm.refused + said[1]);
    Some(alarm)
}

/// One attempt, beside the loop. One yes or one no to this alarm is an answer; all else, as to who is not let in, is asked again.
async fn tell(http: reqwest::Client, url: String, call: Call) -> Attempt<[i64; 2]> {
    let request = http.post(url).header("Idempotency-Key", call.id);
    let answer = request.body(call.request).send().await;
    match answer.map(|answer| answer.status()) {
        Err(error) => Attempt::again(error.without_url().to_string()),
        Ok(yes) if yes.is_success() => Attempt::Answered([1, 0]),
        Ok(no) if matches!(no.as_u16(), 400 | 410 | 422) => Attempt::Answered([0, 1]),
        Ok(unclear) => Attempt::again(unclear.to_string()),
    }
}

#[expect(clippy::disallowed_methods, reason = "it stands alone")]
fn main() -> std::process::ExitCode {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
    let http = http.build().unwrap_or_default();
    let url = std::env::var("WEBHOOK_URL").unwrap_or("http://127.0.0.1:9000/".into());
    let service = Keyed::new("alerts", &["watch.raised"], &[(1001, SCHEMA)], raised)
        .calling(move |call| tell(http.clone(), url.clone(), call), told);
    runtime::boot::main("alerts", ABOUT.version, |settings| {
        runtime::start(service, WATCH, ABOUT, settings, |_| Default::default())
    })
}

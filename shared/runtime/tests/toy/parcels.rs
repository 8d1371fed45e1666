//! A toy with calls: parcels that are ordered by facts and shipped by somebody outside, and fetched back before others are shipped.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use runtime::database::{calls_migration, migrations};
use runtime::service::{Context, Input, ReadError, Service, ServiceInput};
use runtime::table::{Lock, Row, Rows, Table, Working, int, text};
use runtime::{Attempt, Call, Message, System};
use serde::{Deserialize, Serialize};
use sqlx::migrate::Migrator;

const SCHEMA: &str = "create table parcel (
    parcel text not null primary key,
    wanted bigint not null default 0,
    shipped bigint not null default 0 check (shipped < 1000),
    fetched bigint not null default 0
)";

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Parcel {
    parcel: String,
    wanted: i64,
    /// How many answers said so.
    pub(crate) shipped: i64,
    pub(crate) fetched: i64,
}

impl Row for Parcel {
    const TABLE: &'static Table = &Table {
        name: "parcel",
        key: &[text("parcel")],
        columns: &[int("wanted"), int("shipped"), int("fetched")],
        lock: Lock::Claim,
    };
    type Key = (String,);

    fn key(&self) -> (String,) {
        (self.parcel.clone(),)
    }

    fn exists(&self) -> bool {
        self.wanted > 0
    }
}

/// What is wanted with a parcel: `ship`, `fetch-back`, or what no call can be.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    pub(crate) parcel: String,
    pub(crate) what: String,
}

/// What the one outside said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Said {
    Done,
    /// Ask anew, later.
    NotYet,
    /// What the database does not take.
    TooMuch,
}

/// So many calls may be started that nobody can tell how many.
pub(crate) const PANICS: usize = usize::MAX - 1;

/// One service of a system; and who is outside.
pub(crate) struct Parcels {
    pub(crate) system: System,
    pub(crate) outside: String,
    /// How many calls may be started now.
    pub(crate) gate: Arc<AtomicUsize>,
}

static HTTP: LazyLock<reqwest::Client> = LazyLock::new(|| {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    #[expect(clippy::disallowed_methods, reason = "it stands alone")]
    let client = reqwest::Client::builder().tls_backend_preconfigured(tls);
    client.build().unwrap()
});

impl Service for Parcels {
    type Fact = Wanted;
    type Command = std::convert::Infallible;
    type Reply = ();
    type Timer = ();
    type Answer = Said;
    type Rows = Rows<Parcel>;

    fn name(&self) -> &str {
        "parcels"
    }

    fn filters(&self) -> Vec<String> {
        vec![format!("{}.wanted", self.system.namespace)]
    }

    fn migrations(&self) -> Migrator {
        migrations([calls_migration(), (1001, "parcel", SCHEMA)])
    }

    fn read(&self, message: &Message) -> Result<Wanted, ReadError> {
        Ok(Wanted {
            parcel: message.entity.clone(),
            what: String::from_utf8_lossy(&message.payload).into_owned(),
        })
    }

    fn rows(&self) -> Rows<Parcel> {
        Rows::default()
    }

    fn tables<'a>(&self, rows: &'a mut Rows<Parcel>) -> Vec<&'a mut dyn Working> {
        vec![rows]
    }

    fn need(&self, input: &ServiceInput<Self>, rows: &mut Rows<Parcel>) {
        if let Input::Fact(wanted) = input {
            assert!(wanted.what != "need-panics", "as it was asked to");
        }
        match input {
            Input::Fact(wanted) => rows.want((wanted.parcel.clone(),)),
            Input::Answer { call, .. } => rows.want((call.about.clone(),)),
            Input::Command(command) => match *command {},
            Input::Due { .. } => {}
        }
    }

    fn react(
        &self,
        input: &ServiceInput<Self>,
        rows: &mut Rows<Parcel>,
        context: &mut Context,
    ) -> Option<()> {
        let (id, call) = match input {
            Input::Fact(Wanted { parcel, what }) => {
                context.call(wanted(parcel, what));
                if let Some(many) = what.strip_prefix("many:") {
                    let more = 1..many.parse().unwrap();
                    more.for_each(|n: usize| {
                        context.call(wanted(&format!("{parcel}-{n}"), "ship"))
                    });
                }
                (parcel, None)
            }
            Input::Answer { call, answer } => (&call.about, Some((call, answer))),
            Input::Command(command) => match *command {},
            Input::Due { .. } => return None,
        };
        let known = rows.get(&(id.clone(),)).cloned();
        let mut parcel = known.unwrap_or_default();
        parcel.parcel.clone_from(id);
        match call {
            Some((call, Said::NotYet)) => context.call(call.clone()),
            Some((_, Said::TooMuch)) => parcel.shipped += 1_000,
            Some((call, Said::Done)) if call.first => parcel.fetched += 1,
            Some((_, Said::Done)) => parcel.shipped += 1,
            None => parcel.wanted += 1,
        }
        rows.put(parcel);
        None
    }

    fn echo(&self, command: &std::convert::Infallible, _rows: &Rows<Parcel>) {
        match *command {}
    }

    async fn perform(&self, call: &Call) -> Attempt<Said> {
        assert!(!call.request.contains("panic"), "as it was asked to");
        let request = HTTP.post(&self.outside).header("Idempotency-Key", &call.id);
        let answer = match request.body(call.request.clone()).send().await {
            Ok(answer) => answer,
            Err(error) => return Attempt::again(error.without_url().to_string()),
        };
        if answer.status() == 503 {
            let after = answer.headers().get("retry-after");
            let after = after.and_then(|seconds| seconds.to_str().ok()?.parse().ok());
            return Attempt::Again {
                why: String::from("503\u{7}"),
                after: after.map(Duration::from_secs),
            };
        }
        let body = match answer.bytes().await {
            Ok(body) => body,
            Err(error) => return Attempt::again(error.without_url().to_string()),
        };
        match &*body {
            b"done" => Attempt::Answered(Said::Done),
            b"not yet" => Attempt::Answered(Said::NotYet),
            b"too much" => Attempt::Answered(Said::TooMuch),
            other => Attempt::Unreadable {
                body: other.to_vec(),
                why: String::from("it is none of the words that we know"),
            },
        }
    }

    fn calls_now(&self) -> usize {
        let now = self.gate.load(Ordering::Relaxed);
        assert!(now != PANICS, "as it was asked to");
        now
    }
}

/// The call for what is wanted with a parcel. What comes behind a colon is for the one outside.
pub(crate) fn wanted(parcel: &str, what: &str) -> Call {
    if what == "too-long" {
        return Call::new("x".repeat(300), "ship", parcel, "{}");
    }
    match what.strip_prefix("fetch-back") {
        Some(_) => Call::new(format!("{parcel}-fetch-back"), "fetch-back", parcel, what).first(),
        None => Call::new(format!("{parcel}-ship"), "ship", parcel, what),
    }
}

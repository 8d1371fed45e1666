//! The payment leg and its provider, beside a world: `roundtrip sandbox` as a process of its own, and `serve payment` that asks it for money. What
//! goes wrong at the provider is switched by its own HTTP. Not a mock: the leg cannot tell it from another.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use stack::child::{Child, LastWill};
use tempfile::TempDir;

use crate::{World, eventually, prerequisites};

/// A provider that runs.
#[derive(Debug)]
pub struct Provider {
    child: Child,
    port: u16,
    webhook_url: String,
    folder: TempDir,
    http: reqwest::Client,
}

/// One of the provider's payments, as its list has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// For which trip.
    pub trip: String,
    /// Stripe's word: `requires_capture`, `succeeded`, `canceled`, ….
    pub status: String,
    /// How much.
    pub amount: i64,
    /// How much of it was taken.
    pub captured: i64,
    /// How much of that was given back.
    pub refunded: i64,
}

impl Provider {
    /// A provider, and the payment leg at it, joined to the world.
    pub async fn joins(world: &mut World) -> Self {
        Self::joins_with(world, &[]).await
    }

    /// The same with settings of the leg's own.
    pub async fn joins_with(world: &mut World, settings: &[(&str, &str)]) -> Self {
        let folder = tempfile::Builder::new()
            .prefix("roundtrip-provider-")
            .tempdir()
            .unwrap();
        let port = stack::port::free().unwrap();
        let url = format!("http://127.0.0.1:{port}");
        let key = folder.path().join("key");
        let secret = folder.path().join("webhook");
        let own = [
            ("PROVIDER_URL", url.as_str()),
            ("PROVIDER_KEY_FILE", key.to_str().unwrap()),
            ("PROVIDER_WEBHOOK_SECRET_FILE", secret.to_str().unwrap()),
            ("PROVIDER_CALLS_PER_S", "1000"),
            ("PROVIDER_PROBE_FIRST_MS", "100"),
            ("PROVIDER_PROBE_MAX_MS", "500"),
            ("PROVIDER_KEY_PROBE_MS", "500"),
            ("PROVIDER_TIMEOUT_MS", "2000"),
            ("CALL_TIMEOUT_MS", "3000"),
            ("CALL_RETRY_FIRST_MS", "50"),
            ("CALL_RETRY_MAX_MS", "500"),
        ];
        let settings: Vec<_> = own.into_iter().chain(settings.iter().copied()).collect();
        let args = ["serve", "payment"].map(Into::into).to_vec();
        world
            .start_foreign("payment", prerequisites::program(), args, &settings)
            .await;
        let webhook_url = format!("{}/webhooks/stripe", world.url("payment"));
        let child = spawn(&folder.path().into(), port, &webhook_url);
        let provider = Self {
            child,
            port,
            webhook_url,
            folder,
            http: reqwest::Client::new(),
        };
        provider.until_ready().await;
        world.until_open(&["flight", "hotel", "payment"]).await;
        provider
    }

    async fn until_ready(&self) {
        eventually("the provider answers", async || {
            let asked = self.http.get(self.url("/sandbox")).send().await;
            asked.is_ok_and(|it| it.status().is_success()).then_some(())
        })
        .await;
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// SIGKILL.
    pub async fn kill(&mut self) {
        self.child.kill().await.unwrap();
    }

    /// Starts it again, with what it had.
    pub async fn restart(&mut self) {
        self.child = spawn(&self.folder.path().into(), self.port, &self.webhook_url);
        self.until_ready().await;
    }

    /// Its clock stands still: it takes connections and answers none.
    pub fn pause(&mut self) {
        self.child.signal(Signal::SIGSTOP).unwrap();
    }

    /// It goes on.
    pub fn resume(&mut self) {
        self.child.signal(Signal::SIGCONT).unwrap();
    }

    /// Something goes wrong from now on; see the sandbox's switches.
    pub async fn fails(&self, switch: Value) {
        let thrown = self.http.post(self.url("/sandbox/failures")).json(&switch);
        let thrown = thrown.send().await.unwrap();
        assert!(
            thrown.status().is_success(),
            "{switch}: {}",
            thrown.status()
        );
    }

    /// Nothing goes wrong any more.
    pub async fn is_well(&self) {
        let taken_back = self.http.delete(self.url("/sandbox/failures")).send().await;
        assert!(taken_back.unwrap().status().is_success());
    }

    /// The file with the key that it takes.
    #[must_use]
    pub fn key_file(&self) -> PathBuf {
        self.folder.path().join("key")
    }

    /// The key.
    #[must_use]
    pub fn key(&self) -> String {
        std::fs::read_to_string(self.key_file())
            .unwrap()
            .trim()
            .to_owned()
    }

    /// All its payments, those that were opened last first.
    pub async fn payments(&self) -> Vec<Listed> {
        let mut all = Vec::new();
        let mut after = String::new();
        loop {
            let path = format!("/v1/payment_intents?limit=100&expand[]=data.latest_charge{after}");
            let asked = self.http.get(self.url(&path)).bearer_auth(self.key());
            let page: Value = asked.send().await.unwrap().json().await.unwrap();
            let data = page["data"].as_array().unwrap_or_else(|| panic!("{page}"));
            all.extend(data.iter().map(listed));
            let last = data.last().and_then(|it| it["id"].as_str());
            match last.filter(|_| page["has_more"] == json!(true)) {
                Some(last) => after = format!("&starting_after={last}"),
                None => return all,
            }
        }
    }

    /// Somebody lets go of a payment by hand, at the provider.
    pub async fn cancels(&self, intent: &str) {
        let path = format!("/v1/payment_intents/{intent}/cancel");
        let asked = self.http.post(self.url(&path)).bearer_auth(self.key());
        let answered = asked.send().await.unwrap();
        assert!(answered.status().is_success(), "{}", answered.status());
    }

    /// The payments of a trip.
    pub async fn payments_of(&self, trip: choreography::TripId) -> Vec<Listed> {
        let mut all = self.payments().await;
        all.retain(|payment| payment.trip == trip.to_string());
        all
    }

    /// Asks it to end, and sees that it does.
    pub async fn stop(&mut self) {
        let ended = self
            .child
            .stop(Signal::SIGTERM, Duration::from_secs(20))
            .await;
        assert!(
            ended.unwrap(),
            "it was asked to end: {}",
            self.child.last_words()
        );
    }
}

fn listed(payment: &Value) -> Listed {
    let number = |value: &Value| value.as_i64().unwrap_or(0);
    Listed {
        trip: payment["metadata"]["trip"]
            .as_str()
            .unwrap_or_default()
            .to_owned(),
        status: payment["status"].as_str().unwrap_or_default().to_owned(),
        amount: number(&payment["amount"]),
        captured: number(&payment["amount_received"]),
        refunded: number(&payment["latest_charge"]["amount_refunded"]),
    }
}

fn spawn(folder: &PathBuf, port: u16, webhook_url: &str) -> Child {
    let mut command = Command::new(prerequisites::program());
    command
        .arg("sandbox")
        .args(["--listen", &format!("127.0.0.1:{port}")])
        .arg("--data")
        .arg(folder.join("sandbox.db"))
        .arg("--key-file")
        .arg(folder.join("key"))
        .args(["--webhook-url", webhook_url])
        .arg("--webhook-secret-file")
        .arg(folder.join("webhook"));
    let log = folder.join("sandbox.log");
    Child::spawn(command, "sandbox", &log, LastWill::default()).unwrap()
}

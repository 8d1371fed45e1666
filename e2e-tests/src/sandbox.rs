//! A payment provider as a process: started, killed, stopped and broken. What it is, is in `tools/sandbox`; here is what tests do to one.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use nix::sys::signal::Signal;
use payment::provider::{Listed, Provider, ProviderSettings};
use serde_json::{Value, json};
use stack::port;
use stack::service::{ServiceProcess, Spec};
use tempfile::TempDir;

use crate::eventually;
use crate::prerequisites::program;

/// A provider, with a folder of its own.
#[derive(Debug)]
pub struct Sandbox {
    process: ServiceProcess,
    folder: TempDir,
    http: reqwest::Client,
}

impl Sandbox {
    /// One that is ready.
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// One with further arguments, such as `--webhook-url`.
    pub async fn start_with(more: &[&str]) -> Self {
        let folder = tempfile::Builder::new()
            .prefix("roundtrip-sandbox-")
            .tempdir()
            .unwrap();
        let port = port::free().unwrap();
        let listen = format!("127.0.0.1:{port}");
        let file = |name: &str| folder.path().join(name).into_os_string();
        let mut args: Vec<OsString> = ["sandbox", "--listen", &listen]
            .map(OsString::from)
            .to_vec();
        for (flag, name) in [
            ("--data", "data.db"),
            ("--key-file", "key"),
            ("--webhook-secret-file", "webhook"),
        ] {
            args.extend([OsString::from(flag), file(name)]);
        }
        args.extend(more.iter().map(OsString::from));
        let process = ServiceProcess::start(Spec {
            name: String::from("sandbox"),
            program: program(),
            args,
            env: Default::default(),
            log: folder.path().join("sandbox.log"),
            port: Some(port),
            folder: None,
        })
        .unwrap();
        let http = ::client::http::local().unwrap().no_proxy().build().unwrap();
        let mut sandbox = Self {
            process,
            folder,
            http,
        };
        sandbox.until_ready().await;
        sandbox
    }

    async fn until_ready(&mut self) {
        let url = format!("{}/sandbox", self.url());
        let http = self.http.clone();
        let process = &mut self.process;
        eventually("the sandbox is ready", async || {
            let ended = process.ended();
            assert!(ended.is_none(), "{ended:?}\n{}", process.last_words());
            let answer = http.get(&url).send().await.ok()?;
            answer.status().is_success().then_some(())
        })
        .await;
    }

    /// Where it is.
    #[must_use]
    pub fn url(&self) -> String {
        self.process.url()
    }

    /// The file with the key that it takes.
    #[must_use]
    pub fn key_file(&self) -> PathBuf {
        self.folder.path().join("key")
    }

    /// The file with the secret that it signs with.
    #[must_use]
    pub fn webhook_file(&self) -> PathBuf {
        self.folder.path().join("webhook")
    }

    /// A folder that lives as long as it does.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// How it is reached, at a pace that no test waits for.
    #[must_use]
    pub fn settings(&self) -> ProviderSettings {
        ProviderSettings {
            provider_timeout_ms: 3_000,
            provider_connect_timeout_ms: 500,
            provider_calls_per_s: 10_000,
            provider_probe_first_ms: 50,
            provider_probe_max_ms: 400,
            provider_key_probe_ms: 2_000,
            provider_quiet_ms: 1_000,
            ..ProviderSettings::at(&self.url(), &self.key_file())
        }
    }

    /// Throws a switch, such as `{"failure":"down"}`, and says what to take it back by.
    pub async fn throw(&self, switch: Value) -> u64 {
        self.post("sandbox/failures", &switch).await["id"]
            .as_u64()
            .unwrap()
    }

    /// Takes every switch back.
    pub async fn mend(&self) {
        let url = format!("{}/sandbox/failures", self.url());
        let done = self.http.delete(url).send().await.unwrap();
        assert!(done.status().is_success());
    }

    /// How often the switches were met, all together.
    pub async fn met(&self) -> u64 {
        let url = format!("{}/sandbox/failures", self.url());
        let told: Value = self
            .http
            .get(url)
            .send()
            .await
            .unwrap()
            .json()
            .await
            .unwrap();
        let failures = told["failures"].as_array().unwrap();
        failures.iter().map(|it| it["met"].as_u64().unwrap()).sum()
    }

    /// Another key is taken from now on; it is in the file so much later.
    pub async fn rotate(&self, file_after_ms: u64) {
        let rotate = json!({"file_after_ms": file_after_ms});
        self.post("sandbox/key/rotate", &rotate).await;
    }

    /// It forgets every idempotency key.
    pub async fn forget_keys(&self) {
        self.post("sandbox/idempotency-keys/forget", &json!({}))
            .await;
    }

    /// Nothing that is held is held any longer.
    pub async fn expire(&self) {
        self.post("sandbox/authorisations/expire", &json!({})).await;
    }

    /// What becomes of refunds that are on their way, such as `succeeded`; to `failed`, of those that were given back as well.
    pub async fn settle_refunds(&self, status: &str) {
        self.post("sandbox/refunds/settle", &json!({"status": status}))
            .await;
    }

    async fn post(&self, path: &str, body: &Value) -> Value {
        let url = format!("{}/{path}", self.url());
        let answer = self.http.post(url).json(body).send().await.unwrap();
        let status = answer.status();
        let told = answer.text().await.unwrap();
        assert!(status.is_success(), "{path}: {status} {told}");
        serde_json::from_str(&told).unwrap()
    }

    /// kill -9.
    pub async fn kill(&mut self) {
        self.process.kill().await.unwrap();
    }

    /// On the port and the file that it had.
    pub async fn restart(&mut self) {
        self.process.restart(&[]).await.unwrap();
        self.until_ready().await;
    }

    /// SIGSTOP.
    pub fn pause(&mut self) {
        self.process.signal(Signal::SIGSTOP).unwrap();
    }

    /// SIGCONT.
    pub fn resume(&mut self) {
        self.process.signal(Signal::SIGCONT).unwrap();
    }

    /// SIGTERM; it has to end well.
    pub async fn stop(&mut self) {
        self.process.stop().await.unwrap();
        let status = self.process.ended().unwrap();
        assert!(status.success(), "{status}\n{}", self.process.last_words());
    }

    /// All payments that it has, read as the audit reads them.
    pub async fn payments(&self) -> Vec<Listed> {
        let patient = ProviderSettings {
            provider_timeout_ms: 30_000,
            ..self.settings()
        };
        Provider::new(&patient).unwrap().all().await.unwrap()
    }

    /// All that it has logged.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("sandbox.log")).unwrap()
    }
}

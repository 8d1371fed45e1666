//! The stack of `docker-compose.yml` as a world of containers: brought up, broken in the ways that only containers can be broken in,
//! asked over its load balancer by the same [`Desk`] and judged by the same audit as a world of processes, and taken down.
//! Reached through ports on 127.0.0.1 only. Containers are found by label, since their names differ between versions of Compose.
//!
//! It is slow and needs a Docker engine, so it is asked for: `ROUNDTRIP_COMPOSE` is the Compose command, such as `docker-compose`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use roundtrip::audit::{self, Nats, Part, Parts, Report};
use roundtrip::local::{port, skip};

use crate::desk::Desk;
use crate::eventually;

/// The services that take requests, in front of each the load balancer.
pub const SERVICES: [&str; 3] = ["booking", "flight", "hotel"];

/// A stack of containers of its own: its name, its ports, its volumes.
#[derive(Debug)]
pub struct Stack {
    compose: String,
    project: String,
    root: PathBuf,
    settings: BTreeMap<String, String>,
    taken_down: bool,
}

impl Stack {
    /// Starts one and waits until all of it is healthy. None where none is asked for or no engine answers, which is said.
    ///
    /// # Panics
    /// When it is asked for, an engine answers, and it does not start.
    pub async fn up(test: &str, profile: &str) -> Option<Self> {
        let Some(compose) = std::env::var("ROUNDTRIP_COMPOSE")
            .ok()
            .filter(|it| !it.is_empty())
        else {
            skip::say(test, "ROUNDTRIP_COMPOSE names no Compose command");
            return None;
        };
        if let Err(why) = run("docker", &["version"], &BTreeMap::new(), Path::new(".")) {
            skip::say(test, &format!("no Docker engine answers: {why}"));
            return None;
        }
        let mut settings = BTreeMap::new();
        for name in [
            "BOOKING_PORT",
            "FLIGHT_PORT",
            "HOTEL_PORT",
            "HAPROXY_PORT",
            "NATS_PORT",
            "POSTGRES_PORT",
        ] {
            settings.insert(name.to_owned(), port::free().unwrap().to_string());
        }
        if profile == "cluster" {
            let nodes = "nats://nats:4222,nats://nats-2:4222,nats://nats-3:4222";
            let more = [
                ("COMPOSE_PROFILES", profile),
                ("NATS_CONFIG", profile),
                ("NATS_URL", nodes),
                ("STREAM_REPLICAS", "3"),
            ];
            settings.extend(more.map(|(name, value)| (name.to_owned(), value.to_owned())));
        }
        let stack = Self {
            compose,
            project: format!("roundtrip-test-{}", std::process::id()),
            root: Path::new(env!("CARGO_MANIFEST_DIR"))
                .parent()
                .unwrap()
                .to_owned(),
            settings,
            taken_down: false,
        };
        stack.compose(&["up", "-d"]);
        stack.until_healthy().await;
        Some(stack)
    }

    /// What Compose says to that.
    ///
    /// # Panics
    /// When it ends with an error.
    pub fn compose(&self, args: &[&str]) -> String {
        self.try_compose(args)
            .unwrap_or_else(|why| panic!("{} {}: {why}", self.compose, args.join(" ")))
    }

    fn try_compose(&self, args: &[&str]) -> Result<String, String> {
        let words: Vec<&str> = self.compose.split_whitespace().collect();
        let project = ["-p", self.project.as_str()];
        let all: Vec<&str> = [&words[1..], &project[..], args].concat();
        run(words[0], &all, &self.settings, &self.root)
    }

    /// What the engine says to that.
    ///
    /// # Panics
    /// When it ends with an error.
    pub fn docker(&self, args: &[&str]) -> String {
        run("docker", args, &self.settings, &self.root)
            .unwrap_or_else(|why| panic!("docker {}: {why}", args.join(" ")))
    }

    /// The containers of a service, those that are down among them, the oldest first.
    #[must_use]
    pub fn containers(&self, service: &str) -> Vec<String> {
        let project = format!("label=com.docker.compose.project={}", self.project);
        let service = format!("label=com.docker.compose.service={service}");
        let found = self.docker(&["ps", "-aq", "--filter", &project, "--filter", &service]);
        found.split_whitespace().rev().map(str::to_owned).collect()
    }

    /// Cuts a container off one of the stack's networks.
    pub fn cut(&self, container: &str, network: &str) {
        let network = format!("{}_{network}", self.project);
        self.docker(&["network", "disconnect", &network, container]);
    }

    /// Mends that. Without its service's name as an alias nobody would find it.
    pub fn mend(&self, container: &str, network: &str, service: &str) {
        let network = format!("{}_{network}", self.project);
        self.docker(&[
            "network", "connect", "--alias", service, &network, container,
        ]);
    }

    /// Waits until every container runs and is healthy, and every leg can be booked.
    pub async fn until_healthy(&self) {
        let project = format!("label=com.docker.compose.project={}", self.project);
        eventually("every container is healthy", async || {
            let found = self.docker(&["ps", "-aq", "--filter", &project]);
            let mut args = vec!["inspect", "--format", "{{.State.Health.Status}}"];
            args.extend(found.split_whitespace());
            let states = self.docker(&args);
            states.lines().all(|state| state == "healthy").then_some(())
        })
        .await;
        eventually("the legs have joined", async || {
            let asked = self.desk();
            let request = asked.request(reqwest::Method::GET, "booking", "/legs");
            let answer = asked.try_send(request).await?;
            let there = |leg: &str| answer.text.contains(&format!("\"{leg}\""));
            (answer.status == 200 && there("flight") && there("hotel")).then_some(())
        })
        .await;
    }

    /// Where travellers and operators ask: at the load balancer.
    #[must_use]
    pub fn desk(&self) -> Desk {
        let mut desk = Desk::new();
        for service in SERVICES {
            let port = &self.settings[&format!("{}_PORT", service.to_uppercase())];
            desk.opens(service, format!("http://127.0.0.1:{port}"));
        }
        desk
    }

    fn nats_url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.settings["NATS_PORT"])
    }

    /// A connection to the broker, for a login.
    ///
    /// # Panics
    /// When the broker does not answer.
    pub async fn nats(&self, login: &str) -> async_nats::Client {
        async_nats::ConnectOptions::new()
            .custom_inbox_prefix(format!("_INBOX_{login}"))
            .user_and_password(login.to_owned(), format!("local-only-{login}"))
            .connect(self.nats_url())
            .await
            .unwrap()
    }

    /// A service's database, for a login.
    #[must_use]
    pub fn database(&self, login: &str, database: &str) -> String {
        let port = &self.settings["POSTGRES_PORT"];
        format!("postgres://{login}:local-only-{login}@127.0.0.1:{port}/{database}")
    }

    /// Judges it by its databases, once nothing moves any more.
    pub async fn audit(&self) -> Report {
        let databases = SERVICES.map(|service| Part {
            name: Some(service.to_owned()),
            url: self.database("auditor", service),
        });
        let parts = Parts {
            databases: databases.to_vec(),
            nats: Some(Nats {
                url: self.nats_url(),
                user: Some(String::from("operator")),
                password: Some(String::from("local-only-operator")),
            }),
            ..Parts::default()
        };
        audit::wait_until_clean(&parts, Duration::from_secs(240)).await
    }

    /// Replaces a service's replicas one after the other, as an operator does.
    ///
    /// # Panics
    /// When that fails.
    pub fn roll(&self, service: &str) -> String {
        let mut settings = self.settings.clone();
        settings.insert(String::from("COMPOSE"), self.compose.clone());
        settings.insert(String::from("COMPOSE_PROJECT_NAME"), self.project.clone());
        run("bash", &["deploy/roll.sh", service], &settings, &self.root)
            .unwrap_or_else(|why| panic!("deploy/roll.sh {service}: {why}"))
    }

    /// Takes it down, with its volumes.
    pub fn down(mut self) {
        self.taken_down = true;
        self.compose(&["down", "-v", "--timeout", "10"]);
    }
}

/// A test that failed leaves its words, and no containers.
impl Drop for Stack {
    fn drop(&mut self) {
        if self.taken_down {
            return;
        }
        let told = self.try_compose(&["logs", "--no-color", "--tail", "40"]);
        eprintln!("{}", told.unwrap_or_else(|why| why));
        if let Err(why) = self.try_compose(&["down", "-v", "--timeout", "10"]) {
            eprintln!("{} is left behind: {why}", self.project);
        }
    }
}

fn run(
    program: &str,
    args: &[&str],
    settings: &BTreeMap<String, String>,
    folder: &Path,
) -> Result<String, String> {
    let output = Command::new(program)
        .args(args)
        .envs(settings)
        .current_dir(folder)
        .output()
        .map_err(|error| format!("{program}: {error}"))?;
    let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if output.status.success() {
        return Ok(said);
    }
    let complained = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(format!("{}: {said}\n{complained}", output.status))
}

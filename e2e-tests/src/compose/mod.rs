//! The stack of `docker-compose.yml`: brought up under a name and on ports of its own, handled with Compose and the engine as an
//! operator does, and taken down with its volumes, however the process that brought it up ends. Reached through ports on 127.0.0.1
//! only. Containers are found by label, since their names differ between versions of Compose.
//!
//! It takes minutes and needs a Docker engine, so tests that need it run only when they are asked for: `cargo xtask containers`.

mod balancer;
mod command;

use std::collections::BTreeMap;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use inspect::audit::{self, Nats, Part, Parts, Report};
use serde_json::{Value, json};
use stack::{port, skip};

use crate::client::Client;
use crate::eventually;

pub use balancer::Place;

use command::run;

/// The services that take requests, in front of each the load balancer.
pub const SERVICES: [&str; 3] = ["booking", "flight", "hotel"];

/// What has a port on 127.0.0.1.
const PUBLISHED: [&str; 8] = [
    "BOOKING",
    "FLIGHT",
    "HOTEL",
    "PAYMENT",
    "HAPROXY",
    "NATS",
    "POSTGRES",
    "PROMETHEUS",
];

/// Whatever Compose is called here.
const COMPOSE: &str = "deploy/compose.sh";

/// Longer than a drain may take.
const STOP_WITHIN_S: &str = "45";

/// What a stack's own Compose file, beside `docker-compose.yml`, is called. JSON is YAML.
const DIFFERENT: &str = "different.json";

/// Waits until its standard input ends, which it does however we end, and takes the stack down. Compose cannot remove what is paused, and
/// some versions leave what a profile started.
const TAKE_DOWN: &str = r#"cat >/dev/null
paused=$(docker ps -q --filter status=paused --filter "label=com.docker.compose.project=$COMPOSE_PROJECT_NAME")
[ -z "$paused" ] || docker unpause $paused >/dev/null
said=$(COMPOSE_PROFILES=observability,cluster deploy/compose.sh down -v --remove-orphans --timeout 10 2>&1) || { echo "$COMPOSE_PROJECT_NAME is left behind: $said" >&2; exit 1; }
rm -r "$ROUNDTRIP_STACK_FOLDER""#;

/// Whether tests on containers are asked for; if not, that is said.
#[must_use]
pub fn are_asked_for(test: &str) -> bool {
    let asked = std::env::var_os("ROUNDTRIP_CONTAINERS").is_some_and(|asked| !asked.is_empty());
    if !asked {
        skip::say(test, "needs containers: cargo xtask containers");
    }
    asked
}

/// A stack of containers of its own: its name, its ports, its volumes.
#[derive(Debug)]
pub struct Stack {
    root: PathBuf,
    /// What Compose and our scripts read from the environment, their Compose file and their project's name too.
    settings: BTreeMap<String, String>,
    project: String,
    /// For what a test wants to be different. The keeper removes it.
    folder: PathBuf,
    keeper: Option<Child>,
}

impl Stack {
    /// Starts one, with a profile or "" for none, and waits until all of it is healthy.
    ///
    /// # Panics
    /// When no engine answers, or it does not start.
    pub async fn up(profile: &str) -> Self {
        let mut stack = Self::new();
        if profile == "cluster" {
            let nodes = "nats://nats:4222,nats://nats-2:4222,nats://nats-3:4222";
            let more = [
                ("COMPOSE_PROFILES", profile),
                ("NATS_CONFIG", profile),
                ("NATS_URL", nodes),
                ("STREAM_REPLICAS", "3"),
            ];
            let more = more.map(|(name, value)| (name.to_owned(), value.to_owned()));
            stack.settings.extend(more);
        }
        stack.differ(&BTreeMap::new());
        stack.keeper = Some(stack.keep());
        stack.compose(&["up", "-d"]);
        stack.until_healthy().await;
        stack
    }

    fn new() -> Self {
        let nowhere = BTreeMap::new();
        run("docker", &["version"], &nowhere, Path::new("."))
            .unwrap_or_else(|why| panic!("no Docker engine answers: {why}"));
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let folder = tempfile::Builder::new()
            .prefix("roundtrip-stack-")
            .tempdir()
            .unwrap()
            .keep();
        let name = folder.file_name().unwrap().to_str().unwrap();
        let project = name.to_lowercase();
        let files = [root.join("docker-compose.yml"), folder.join(DIFFERENT)];
        let files = files.map(|file| file.display().to_string()).join(":");
        let mut settings = BTreeMap::from([
            (String::from("COMPOSE_FILE"), files),
            (String::from("COMPOSE_PROJECT_NAME"), project.clone()),
            (
                String::from("ROUNDTRIP_STACK_FOLDER"),
                folder.display().to_string(),
            ),
        ]);
        for name in PUBLISHED {
            settings.insert(format!("{name}_PORT"), port::free().unwrap().to_string());
        }
        Self {
            root: root.to_owned(),
            settings,
            project,
            folder,
            keeper: None,
        }
    }

    fn keep(&self) -> Child {
        let mut keeper = Command::new("sh");
        keeper.args(["-c", TAKE_DOWN]);
        keeper.envs(&self.settings).current_dir(&self.root);
        keeper.stdin(Stdio::piped()).stdout(Stdio::null());
        // Ctrl-C at the tests is not meant for it.
        keeper.process_group(0).spawn().unwrap()
    }

    /// From the next start on, these settings of every service differ from those of `docker-compose.yml`.
    fn differ(&self, settings: &BTreeMap<String, String>) {
        let services = SERVICES.map(|service| (service, json!({"environment": settings})));
        let services = BTreeMap::from(services);
        let file = self.folder.join(DIFFERENT);
        std::fs::write(file, json!({"services": services}).to_string()).unwrap();
    }

    /// What Compose says to that.
    ///
    /// # Panics
    /// When it ends with an error.
    pub fn compose(&self, args: &[&str]) -> String {
        self.try_compose(args)
            .unwrap_or_else(|why| panic!("{COMPOSE} {}: {why}", args.join(" ")))
    }

    fn try_compose(&self, args: &[&str]) -> Result<String, String> {
        run(COMPOSE, args, &self.settings, &self.root)
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

    /// What all containers logged, the last so many lines of each.
    #[must_use]
    pub fn logs(&self, lines: &str) -> String {
        self.try_compose(&["logs", "--no-color", "--tail", lines])
            .unwrap_or_else(|why| why)
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

    /// Asks containers to stop; those that did not end well.
    pub(crate) fn stop(&self, containers: &[String]) -> Vec<String> {
        if containers.is_empty() {
            return Vec::new();
        }
        let names: Vec<&str> = containers.iter().map(String::as_str).collect();
        self.docker(&[&["stop", "--time", STOP_WITHIN_S], &names[..]].concat());
        let format = "{{.Name}} ended with {{.State.ExitCode}}";
        let ended = self.docker(&[&["inspect", "--format", format], &names[..]].concat());
        let badly = ended.lines().filter(|line| !line.ends_with(" with 0"));
        badly.map(str::to_owned).collect()
    }

    pub(crate) fn stop_services(&self) {
        let all = SERVICES.map(|service| self.containers(service)).concat();
        self.stop(&all);
    }

    /// Starts so many replicas of each service, with these settings. Does not wait until they are ready.
    pub(crate) fn start_services(&self, replicas: u32, settings: &BTreeMap<String, String>) {
        self.differ(settings);
        let scale = SERVICES.map(|service| format!("--scale={service}={replicas}"));
        let mut args = vec!["up", "-d", "--no-deps"];
        args.extend(scale.iter().map(String::as_str));
        args.extend(SERVICES);
        self.compose(&args);
    }

    /// A service's container and its volume are removed, and it starts anew on empty ones.
    pub(crate) fn replace_with_its_volume(&self, service: &str) {
        self.docker(&["rm", "--force", &self.containers(service).remove(0)]);
        self.docker(&["volume", "rm", &format!("{}_{service}", self.project)]);
        self.compose(&["up", "-d", "--no-deps", service]);
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
            let asked = self.client();
            let request = asked.request(reqwest::Method::GET, "booking", "/legs");
            let answer = asked.try_send(request).await?;
            let there = |leg: &str| answer.text.contains(&format!("\"{leg}\""));
            (answer.status == 200 && there("flight") && there("hotel")).then_some(())
        })
        .await;
    }

    /// Where travellers and operators ask: at the load balancer.
    #[must_use]
    pub fn client(&self) -> Client {
        let mut client = Client::new();
        for service in SERVICES {
            let port = &self.settings[&format!("{}_PORT", service.to_uppercase())];
            let replicas = self.containers(service).len();
            client.is_balanced(service, &format!("http://127.0.0.1:{port}"), replicas);
        }
        client
    }

    /// What Prometheus answers to a question about itself, such as `targets`.
    ///
    /// # Panics
    /// When it does not answer, or with an error.
    pub async fn prometheus(&self, about: &str) -> Value {
        let port = &self.settings["PROMETHEUS_PORT"];
        let url = format!("http://127.0.0.1:{port}/api/v1/{about}");
        let answer: Value = ::client::http::local()
            .unwrap()
            .build()
            .unwrap()
            .get(url)
            .send()
            .await
            .unwrap()
            .json()
            .await
            .unwrap();
        assert_eq!(answer["status"], "success", "{answer}");
        answer["data"].clone()
    }

    /// The broker, for whoever may do everything there.
    pub(crate) fn operator(&self) -> Nats {
        Nats {
            url: format!("nats://127.0.0.1:{}", self.settings["NATS_PORT"]),
            user: Some(String::from("operator")),
            password: Some(String::from("local-only-operator")),
        }
    }

    /// A connection to the broker, for a login.
    ///
    /// # Panics
    /// When the broker does not answer.
    pub async fn nats_as(&self, login: &str) -> async_nats::Client {
        async_nats::ConnectOptions::new()
            .custom_inbox_prefix(format!("_INBOX_{login}"))
            .user_and_password(login.to_owned(), format!("local-only-{login}"))
            .connect(self.operator().url)
            .await
            .unwrap()
    }

    /// A service's database, for a login.
    #[must_use]
    pub fn database(&self, login: &str, database: &str) -> String {
        let port = &self.settings["POSTGRES_PORT"];
        format!("postgres://{login}:local-only-{login}@127.0.0.1:{port}/{database}")
    }

    /// What an auditor looks at.
    pub(crate) fn parts(&self) -> Parts {
        let databases = SERVICES.map(|service| Part {
            name: Some(service.to_owned()),
            url: self.database("auditor", service),
        });
        Parts {
            databases: databases.to_vec(),
            nats: Some(self.operator()),
            ..Parts::default()
        }
    }

    /// Judges it by its databases, once nothing moves any more.
    pub async fn audit(&self) -> Report {
        audit::wait_until_clean(&self.parts(), Duration::from_secs(240)).await
    }

    /// Replaces a service's replicas one after the other, as an operator does.
    ///
    /// # Panics
    /// When that fails.
    pub fn roll(&self, service: &str) -> String {
        run(
            "bash",
            &["deploy/roll.sh", service],
            &self.settings,
            &self.root,
        )
        .unwrap_or_else(|why| panic!("deploy/roll.sh {service}: {why}"))
    }

    /// Takes it down, with its volumes.
    pub fn down(self) {}
}

/// A test that failed leaves its words, and no containers.
impl Drop for Stack {
    fn drop(&mut self) {
        let Some(mut keeper) = self.keeper.take() else {
            return;
        };
        if std::thread::panicking() {
            eprintln!("{}", self.logs("40"));
        }
        drop(keeper.stdin.take());
        // It says itself what it could not do.
        let _ = keeper.wait();
    }
}

//! `roundtrip doctor`: what is wrong with a stack, and what to do about it.

use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Args;

use super::address::{Addresses, BrokerAddress};
use super::parse::{self, Databases};
use super::{audit, failure, out};
use client::paint::Paint;
use inspect::audit::Part;
use inspect::doctor::observations::Home;
use inspect::doctor::{self, ServicePlace};
use stack::{Lock, State};

/// Nothing could be looked at.
const NOTHING: u8 = 2;

/// Look at a stack and say what is wrong and what to do: services, broker, stream, databases, clocks and connections.
///
/// Without addresses it looks at the stack in the folder, else at the addresses given, and names what was not given. It changes nothing
/// but one trial message in the stream (removed where allowed), and takes some seconds at most. Exits 0 when nothing is wrong (there may
/// be warnings), 1 when something is, 2 when nothing could be looked at. Whether every trip is as it has to be is for `audit`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  roundtrip doctor\n  roundtrip doctor --json | jq -r '.findings[] | select(.verdict == \"wrong\") | .todo'\n  roundtrip doctor --url http://127.0.0.1:8080 --service flight=http://127.0.0.1:8081 --service hotel=http://127.0.0.1:8082\n\nAll of the docker-compose stack, with the passwords that it has when none were set:\n  export ROUNDTRIP_URL=http://127.0.0.1:8080 ROUNDTRIP_SERVICES=flight=http://127.0.0.1:8081,hotel=http://127.0.0.1:8082\n  export NATS_URL=nats://127.0.0.1:4222 NATS_USER=operator NATS_PASSWORD=local-only-operator\n  db=postgres://auditor:local-only-auditor@127.0.0.1:5432\n  export ROUNDTRIP_DATABASES=$db/booking,$db/flight,$db/hotel\n  roundtrip doctor"
)]
pub(crate) struct Doctor {
    /// Databases of booking and of legs, one for each service: URL, or NAME=URL where a database does not say whose it is. Every user of the
    /// machine can read what stands on a command line: give passwords by the environment, after commas, or as @FILE, on a line each.
    #[arg(long, value_name = "URL", env = "ROUNDTRIP_DATABASES", hide_env_values = true, value_parser = parse::databases)]
    database: Vec<Databases>,
    /// As JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    places: Addresses,
    #[command(flatten)]
    broker: BrokerAddress,
}

impl Doctor {
    pub(crate) async fn run(self) -> Result<ExitCode> {
        let places = match self.places() {
            Ok(places) => places,
            Err(error) => {
                return Ok(failure::tell(&error, ExitCode::from(NOTHING)));
            }
        };
        let report = doctor::examine(&places).await?;
        if self.json {
            out::json(&report)?;
        } else {
            out::line(&report.told(Paint::stdout()));
        }
        Ok(ExitCode::from(report.exit_code()))
    }

    fn places(&self) -> Result<doctor::Places> {
        let given = self.places.given();
        let databases = audit::given(&self.database);
        if given.is_empty() && databases.is_empty() {
            return self.at_home();
        }
        let services = given.into_iter().map(|(name, url)| ServicePlace {
            name: name.clone(),
            service: name,
            url,
            log: None,
        });
        Ok(doctor::Places {
            services: services.collect(),
            broker: self.broker.or(None),
            databases,
            home: None,
        })
    }

    /// The stack in the folder, or nothing but a broker that was named.
    fn at_home(&self) -> Result<doctor::Places> {
        let folder = &self.places.folder().path;
        let runs = Lock::holder(folder)?.is_some();
        let Some(state) = State::read(folder)? else {
            let broker = self.broker.or(None);
            if broker.is_none() {
                bail!(
                    "no stack {} in {}: start one with `{} up`, or say with --url, --nats and --database where one is",
                    if runs { "is up yet" } else { "runs" },
                    self.places.folder().shown(),
                    client::invocation()
                );
            }
            return Ok(doctor::Places {
                broker,
                ..doctor::Places::default()
            });
        };
        let services = state.services.into_iter().filter(|_| runs);
        // A server of the stack's own ends with it; files do not.
        let there = |url: &str| runs || state.postgres.is_none() || url.starts_with("sqlite:");
        let databases = state.databases.into_iter().filter(|(_, url)| there(url));
        Ok(doctor::Places {
            services: services
                .map(|service| ServicePlace {
                    name: service.name,
                    service: service.service,
                    url: service.url,
                    log: Some(service.log),
                })
                .collect(),
            broker: self.broker.or(Some(state.nats_url).filter(|_| runs)),
            databases: databases
                .map(|(name, url)| Part {
                    name: Some(name),
                    url,
                })
                .collect(),
            home: Some(Home {
                folder: folder.to_owned(),
                runs,
                up: state.up,
            }),
        })
    }
}

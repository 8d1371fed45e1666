//! `roundtrip doctor`: what is wrong with a stack, and what to do about it.

use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Args;

use super::address::{Addresses, BrokerAddress};
use super::parse::{self, Databases};
use super::{audit, failure, out};
use client::paint::Paint;
use inspect::audit::Part;
use inspect::doctor::{self, ServicePlace};

/// Nothing could be looked at.
const NOTHING: u8 = 2;

/// Look at a stack and say what is wrong and what to do: services, broker, stream, databases, clocks and connections.
///
/// Without addresses it looks at the stack in the folder and the legs that joined it, else at the addresses given, and names what was not
/// given; a further leg's address or database is added to the folder's. It changes nothing
/// but one trial message in the stream (removed where allowed), and takes some seconds at most. Exits 0 when nothing is wrong (there may
/// be warnings), 1 when something is, 2 when nothing could be looked at. Whether every trip is as it has to be is for `audit`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  roundtrip doctor\n  roundtrip doctor --json | jq -r '.findings[] | select(.verdict == \"wrong\") | .todo'\n  roundtrip doctor --url http://127.0.0.1:8080 --service flight=http://127.0.0.1:8081 --service hotel=http://127.0.0.1:8082\n\nAll of the docker-compose stack, with the passwords that it has when none were set:\n  export ROUNDTRIP_URL=http://127.0.0.1:8080 ROUNDTRIP_SERVICES=flight=http://127.0.0.1:8081,hotel=http://127.0.0.1:8082\n  export NATS_URL=nats://127.0.0.1:4222 NATS_USER=operator NATS_PASSWORD=local-only-operator\n  db=postgres://auditor:local-only-auditor@127.0.0.1:5432\n  export ROUNDTRIP_DATABASES=$db/booking,$db/flight,$db/hotel\n  roundtrip doctor"
)]
pub(crate) struct Doctor {
    /// Databases of booking and of legs, one for each service: URL, or NAME=URL where a database does not say whose it is. A further leg's,
    /// such as train=URL, is added to those of the stack in the folder; any other means another stack. Every user of the machine can read
    /// what stands on a command line: give passwords by the environment, after commas, or as @FILE, on a line each.
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
        let found = self
            .places
            .look(audit::given(&self.database), &self.broker)?;
        let nothing = found.services.is_empty() && found.databases.is_empty();
        if found.home.is_none() && found.broker.is_none() && nothing {
            let runs = found.holder.is_some();
            bail!(
                "no stack {} in {}: start one with `{} up`, or say with --url, --nats and --database where one is",
                if runs { "is up yet" } else { "runs" },
                self.places.folder().shown(),
                client::invocation()
            );
        }
        let services = found.services.into_iter().map(|service| ServicePlace {
            name: service.name,
            service: service.service,
            url: service.url,
            http: service.http,
            log: Some(service.log).filter(|log| !log.as_os_str().is_empty()),
        });
        // A server of the stack's own ends with it; files do not.
        let ended = found.own_server && found.holder.is_none();
        let there = |part: &Part| !ended || part.url.starts_with("sqlite:");
        Ok(doctor::Places {
            services: services.collect(),
            broker: found.broker,
            databases: found.databases.into_iter().filter(there).collect(),
            home: found.home,
        })
    }
}

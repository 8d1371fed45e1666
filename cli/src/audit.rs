//! `roundtrip audit`: did every trip go through, or come all the way back?

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, bail};
use clap::Args;

use super::address::{Addresses, BrokerAddress, ProviderAddress};
use super::parse::Databases;
use super::{failure, out, parse};
use client::paint::{Paint, Tone};
use inspect::audit::{self, Part, Parts, Report, Verdict};
use stack::SERVICES;

/// Where the broker is looked at, a stack that still moves is given so long to come to rest.
const WAIT: Duration = Duration::from_secs(10);

/// Judge every trip by the databases themselves, read-only, whether the services run or not.
///
/// Without --database it judges the stack in the folder. A leg whose records it can't read (its database was not given, or has tables of
/// its own) is named as not looked at. No confirmed trip lacks a leg, no closed one keeps one; held, confirmed and free
/// add up for every seat and room, and are what the legs' records say; payments are what their provider's own list says, to the cent, where it
/// is known who that is (else it is named as not looked at); nothing moves any more, and still not at a second look. Exits 0
/// and says `clean` only then; 1 with each violation named; 2 when there was nothing to judge or a part could not be reached.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  roundtrip audit\n  roundtrip audit --folder /tmp/second --json\n  roundtrip audit --database sqlite://booking.db --database sqlite://flight.db --database sqlite://hotel.db\n  roundtrip audit --database @databases.txt --without hotel\n  roundtrip audit --database @databases.txt --provider-url https://api.stripe.com --provider-key-file stripe.key"
)]
pub(crate) struct Audit {
    /// Databases of booking and of legs, one for each service: URL, or NAME=URL where a database does not say whose it is. A further leg's,
    /// such as train=URL, is added to those of the stack in the folder; any other means another stack. Every user of the machine can read
    /// what stands on a command line: give passwords by the environment, after commas, or as @FILE, on a line each.
    #[arg(long, value_name = "URL", env = "ROUNDTRIP_DATABASES", hide_env_values = true, value_parser = parse::databases)]
    database: Vec<Databases>,
    /// A leg whose database is out of reach and that is left unjudged.
    #[arg(long, value_name = "LEG")]
    without: Vec<String>,
    /// How long to wait for what still moves; 10s when the broker is looked at, else not at all.
    #[arg(long, value_name = "TIME", value_parser = parse::duration)]
    wait: Option<Duration>,
    /// As JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    places: Addresses,
    #[command(flatten)]
    broker: BrokerAddress,
    #[command(flatten)]
    provider: ProviderAddress,
}

impl Audit {
    pub(crate) async fn run(self) -> Result<ExitCode> {
        let parts = match self.parts() {
            Ok(parts) => parts,
            Err(error) => {
                let code = ExitCode::from(Verdict::Unreachable.exit_code());
                return Ok(failure::tell(&error, code));
            }
        };
        let wait = match parts.nats {
            Some(_) => WAIT,
            None => Duration::ZERO,
        };
        let report = audit::wait_until_clean(&parts, self.wait.unwrap_or(wait)).await;
        if self.json {
            out::json(&report)?;
        } else {
            out::line(&told(&report, Paint::stdout()));
        }
        Ok(ExitCode::from(report.verdict.exit_code()))
    }

    fn parts(&self) -> Result<Parts> {
        let given = given(&self.database);
        let elsewhere = self.places.is_elsewhere(&given);
        let found = self.places.look(given, &self.broker)?;
        let provider = self.provider.or(&found);
        let (mut databases, mut without) = (found.databases, found.without);
        without.extend(self.without.iter().cloned());
        if !elsewhere && found.home.is_none() {
            databases.extend(self.files());
        }
        if databases.is_empty() && elsewhere {
            bail!("an audit reads the databases themselves: name them with --database");
        }
        if databases.is_empty() {
            bail!(
                "there is no stack's data in {}: start one with `{} up`, or name databases with --database",
                self.places.folder().shown(),
                client::invocation()
            );
        }
        Ok(Parts {
            databases,
            nats: found.broker,
            without,
            provider,
        })
    }

    /// The services' files in the folder, for one that has lost its `stack.json`.
    fn files(&self) -> Vec<Part> {
        SERVICES
            .iter()
            .map(|name| (name, self.places.folder().path.join(format!("{name}.db"))))
            .filter(|(_, file)| file.is_file())
            .map(|(name, file)| Part {
                name: Some((*name).to_owned()),
                url: format!("sqlite://{}", file.display()),
            })
            .collect()
    }
}

/// All that were named.
pub(crate) fn given(databases: &[Databases]) -> Vec<Part> {
    let each = databases.iter().map(|Databases(parts)| parts.as_slice());
    each.collect::<Vec<_>>().concat()
}

/// The report with its last line in its colour.
pub(crate) fn told(report: &Report, paint: Paint) -> String {
    let text = report.to_string();
    let (counts, verdict) = text.rsplit_once('\n').unwrap_or(("", &text));
    let tone = if report.is_clean() {
        Tone::Good
    } else {
        Tone::Bad
    };
    format!("{counts}\n{}", paint.tone(tone, verdict))
}

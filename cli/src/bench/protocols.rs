//! `bench --protocol` and `--availability`: which protocols are measured beside each other, and what they cannot be measured on.

use anyhow::{Result, bail, ensure};
use clap::Args;

use crate::out;
use crate::up::Stop;
use bench::Protocol;
use bench::availability::{self, Outcome};
use bench::rival::SERVER_SETTINGS;
use stack::DatabaseChoice;

/// Who books the trips that are measured.
#[derive(Debug, Args)]
pub(super) struct Protocols {
    /// Who books the trips: `saga` (the services), `two-phase` (a coordinator, by two-phase commit over the same three PostgreSQL databases),
    /// or both in turns: saga,two-phase.
    #[arg(
        long,
        value_name = "PROTOCOL,...",
        value_delimiter = ',',
        default_value = "saga",
        conflicts_with = "against"
    )]
    protocol: Vec<Protocol>,
    /// Have things go away under load as well, and tell what each protocol did meanwhile: hotel's database for ten seconds, one of two
    /// processes that decide, hotel's database to the end of the load. On a second stack; about half a minute each.
    #[arg(long, conflicts_with = "against")]
    availability: bool,
}

impl Protocols {
    /// Each once, in the order in which they were given.
    pub(super) fn all(&self) -> Vec<Protocol> {
        let mut all: Vec<Protocol> = Vec::new();
        for protocol in &self.protocol {
            if !all.contains(protocol) {
                all.push(*protocol);
            }
        }
        all
    }

    fn has_two_phase(&self) -> bool {
        self.protocol.contains(&Protocol::TwoPhase)
    }

    /// Refuses what would measure nothing, or two different things.
    pub(super) fn check(
        &self,
        database: &DatabaseChoice,
        cancelled: u8,
        stored: bool,
    ) -> Result<()> {
        if self.has_two_phase() {
            if *database == DatabaseChoice::Sqlite {
                bail!(
                    "two-phase commit needs databases that prepare transactions, and SQLite does not: give --database postgres"
                );
            }
            ensure!(
                cancelled == 0,
                "two-phase commit is measured without cancellations: leave --cancelled out"
            );
            ensure!(
                !stored,
                "--stored fills the saga's tables alone, and they would not be compared any more: leave it out, or --protocol two-phase"
            );
        }
        ensure!(
            !self.availability || *database == DatabaseChoice::Local,
            "--availability kills and restarts database servers of its own: give --database postgres"
        );
        Ok(())
    }

    /// What a server of the stack's own needs beside its usual settings.
    pub(super) fn server_settings(&self) -> Vec<String> {
        match self.has_two_phase() {
            true => SERVER_SETTINGS.map(String::from).to_vec(),
            false => Vec::new(),
        }
    }

    /// What happened while things were away; nothing where that was not asked for. Interrupted, nothing is left of the stack.
    pub(super) async fn availability(&self, stop: &mut Stop) -> Result<Vec<Outcome>> {
        if !self.availability {
            return Ok(Vec::new());
        }
        let protocols = self.all();
        tokio::select! {
            outcomes = availability::measure(&protocols, &out::aside) => outcomes,
            () = stop.asked() => bail!("interrupted: nothing is left of it"),
        }
    }
}

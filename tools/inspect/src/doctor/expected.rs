//! What this program itself would declare at the broker and migrate in a database: the same functions that the services call. Not
//! settings of any stack: an operator may have set sizes and ages otherwise.

use anyhow::Result;
use async_nats::jetstream::consumer::{self, IntoConsumerConfig as _};
use async_nats::jetstream::stream;
use choreography::LegName;
use clap::builder::Resettable;
use clap::{Args as _, FromArgMatches as _};
use runtime::Settings;
use runtime::broker::{consumer_config, stream_config};
use sqlx::migrate::Migrator;
use stack::catalogue;

/// What there should be.
pub(super) struct Expected {
    settings: Settings,
}

/// A migration of this program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Migration {
    pub(super) version: i64,
    pub(super) checksum: String,
}

impl Expected {
    pub(super) fn new() -> Result<Self> {
        // The defaults, whatever the environment of whoever asks has in it.
        let command = Settings::augment_args(clap::Command::new("expected"))
            .mut_args(|arg| arg.env(Resettable::Reset));
        let matches =
            command.try_get_matches_from(["expected", "--database-url", "sqlite://unused"])?;
        let settings = Settings::from_arg_matches(&matches)?;
        Ok(Self { settings })
    }

    pub(super) fn stream(&self) -> stream::Config {
        stream_config(participant::SYSTEM, &self.settings)
    }

    /// Of booking or of a leg, known or not: what it listens for is the same for all of them. None for a name that is no service's.
    pub(super) fn consumer(&self, service: &str) -> Option<consumer::Config> {
        let filters = if service == booking::NAME {
            choreography::filters_for_booking()
        } else {
            choreography::filters_for_leg(&service.parse::<LegName>().ok()?)
        };
        Some(
            consumer_config(participant::SYSTEM, service, &filters, &self.settings)
                .into_consumer_config(),
        )
    }

    pub(super) fn runtime_migrations(&self) -> Vec<Migration> {
        migrations(&runtime::database::own_migrations())
    }

    /// None for a service that this program has not in it.
    pub(super) fn service_migrations(&self, service: &str) -> Option<Vec<Migration>> {
        let entry = catalogue::find(service)?;
        Some(migrations(&entry.migrations(&self.settings)))
    }

    /// What the service's API calls itself.
    pub(super) fn title(&self, service: &str) -> Option<&'static str> {
        Some(catalogue::find(service)?.title)
    }
}

fn migrations(migrator: &Migrator) -> Vec<Migration> {
    let migration = |migration: &sqlx::migrate::Migration| Migration {
        version: migration.version,
        checksum: hex(&migration.checksum),
    };
    let mut all: Vec<Migration> = migrator.iter().map(migration).collect();
    all.sort_by_key(|migration| migration.version);
    all
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::Expected;

    #[test]
    fn what_the_services_would_declare_is_known() {
        let expected = Expected::new().unwrap();
        assert_eq!(expected.stream().subjects, ["trips.>"]);
        let flight = expected.consumer("flight").unwrap();
        assert!(flight.filter_subjects.contains(&"trips.*.*.flight".into()));
        assert!(expected.consumer("Not a leg").is_none());
        assert_eq!(expected.runtime_migrations()[0].version, 1);
        let flight = expected.service_migrations("flight").unwrap();
        assert!(flight.len() >= 2 && flight.last().unwrap().version > 1_000);
        assert_eq!(flight[0].checksum.len(), 96);
        assert!(expected.service_migrations("car").is_none());
    }
}

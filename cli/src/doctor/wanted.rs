//! What this program itself would declare at the broker and migrate in a database: the same functions that the services call. Not
//! settings of any stack: an operator may have set sizes and ages otherwise.

use anyhow::Result;
use async_nats::jetstream::consumer::{self, IntoConsumerConfig as _};
use async_nats::jetstream::stream;
use choreography::LegName;
use clap::builder::Resettable;
use clap::{Args as _, FromArgMatches as _};
use leg::LegService;
use runtime::broker::{consumer_config, stream_config};
use runtime::{Service as _, Settings};
use sqlx::migrate::Migrator;

/// What there should be.
pub(super) struct Wanted {
    settings: Settings,
}

/// A migration of this program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Migration {
    pub(super) version: i64,
    pub(super) checksum: String,
}

impl Wanted {
    pub(super) fn new() -> Result<Self> {
        // The defaults, whatever the environment of whoever asks has in it.
        let command = Settings::augment_args(clap::Command::new("wanted"))
            .mut_args(|arg| arg.env(Resettable::Reset));
        let matches =
            command.try_get_matches_from(["wanted", "--database-url", "sqlite://unused"])?;
        let settings = Settings::from_arg_matches(&matches)?;
        Ok(Self { settings })
    }

    pub(super) fn stream(&self) -> stream::Config {
        stream_config(booking::SYSTEM, &self.settings)
    }

    /// Of booking or of a leg, known or not: what it listens for is the same for all of them. None for a name that is no service's.
    pub(super) fn consumer(&self, service: &str) -> Option<consumer::Config> {
        let filters = if service == booking::NAME {
            choreography::filters_for_booking()
        } else {
            choreography::filters_for_leg(&service.parse::<LegName>().ok()?)
        };
        Some(
            consumer_config(booking::SYSTEM, service, &filters, &self.settings)
                .into_consumer_config(),
        )
    }

    pub(super) fn runtime_migrations(&self) -> Vec<Migration> {
        migrations(&runtime::database::own_migrations())
    }

    /// None for a service that this program has not in it.
    pub(super) fn service_migrations(&self, service: &str) -> Option<Vec<Migration>> {
        let settings = &self.settings;
        Some(migrations(&match service {
            booking::NAME => booking::service::Booking::new(settings).migrations(),
            flight::NAME => LegService::new(flight::core::Flight, settings).migrations(),
            hotel::NAME => LegService::new(hotel::core::Hotel, settings).migrations(),
            _ => return None,
        }))
    }

    /// What the service's API calls itself.
    pub(super) fn title(&self, service: &str) -> Option<&'static str> {
        match service {
            booking::NAME => Some(booking::ABOUT.title),
            flight::NAME => Some(flight::ABOUT.title),
            hotel::NAME => Some(hotel::ABOUT.title),
            _ => None,
        }
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
    use super::Wanted;

    #[test]
    fn what_the_services_would_declare_is_known() {
        let wanted = Wanted::new().unwrap();
        assert_eq!(wanted.stream().subjects, ["trips.>"]);
        let flight = wanted.consumer("flight").unwrap();
        assert!(flight.filter_subjects.contains(&"trips.*.*.flight".into()));
        assert!(wanted.consumer("Not a leg").is_none());
        assert_eq!(wanted.runtime_migrations()[0].version, 1);
        let flight = wanted.service_migrations("flight").unwrap();
        assert!(flight.len() >= 2 && flight.last().unwrap().version > 1_000);
        assert_eq!(flight[0].checksum.len(), 96);
        assert!(wanted.service_migrations("car").is_none());
    }
}

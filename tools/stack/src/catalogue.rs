//! The services that this program has in it: the one list of them. A leg that is added here has a port and a database in the stack, is
//! served, awaited, asked and examined like the others.

use anyhow::Result;
use futures::future::BoxFuture;
use leg::LegService;
use payment::settings::MaybeProvider;
use runtime::{Service as _, Settings};
use sqlx::migrate::Migrator;

/// A service of the stack.
#[derive(Debug)]
pub struct Entry {
    /// Its name, such as `flight`.
    pub name: &'static str,
    /// What its HTTP API calls itself.
    pub title: &'static str,
    /// Where its inventory is over HTTP, such as `flights`; none for booking, which sells nothing of its own.
    pub inventory: Option<&'static str>,
    migrations: fn(&Settings) -> Migrator,
    serve: fn(Settings, MaybeProvider) -> BoxFuture<'static, Result<()>>,
}

/// In the order of their ports.
const CATALOGUE: [Entry; 3] = [
    Entry {
        name: booking::NAME,
        title: booking::ABOUT.title,
        inventory: None,
        migrations: |settings| booking::service::BookingService::new(settings).migrations(),
        serve: |settings, _| {
            Box::pin(runtime::boot::run(
                booking::NAME,
                booking::ABOUT.version,
                settings,
                booking::start,
            ))
        },
    },
    Entry {
        name: flight::SPEC.name,
        title: flight::SPEC.about.title,
        inventory: Some(flight::SPEC.path),
        migrations: |settings| LegService::new(flight::Flight, settings).migrations(),
        serve: |settings, _| {
            Box::pin(runtime::boot::run(
                flight::SPEC.name,
                flight::SPEC.about.version,
                settings,
                flight::start,
            ))
        },
    },
    Entry {
        name: hotel::SPEC.name,
        title: hotel::SPEC.about.title,
        inventory: Some(hotel::SPEC.path),
        migrations: |settings| LegService::new(hotel::Hotel, settings).migrations(),
        serve: |settings, _| {
            Box::pin(runtime::boot::run(
                hotel::SPEC.name,
                hotel::SPEC.about.version,
                settings,
                hotel::start,
            ))
        },
    },
];

/// Where a trip is to be paid for at its end. It is in no stack by itself: it needs a provider.
const PAYMENT: Entry = Entry {
    name: payment::NAME,
    title: payment::ABOUT.title,
    inventory: None,
    migrations: |_| payment::service::migrations(),
    serve: |settings, provider| {
        Box::pin(async {
            let provider = provider.given()?;
            runtime::boot::run(
                payment::NAME,
                payment::ABOUT.version,
                settings,
                |settings| payment::start(settings, provider),
            )
            .await
        })
    },
};

/// The names of all that this program can serve: [`SERVICES`], and what stacks may have beside them.
pub const SERVED: [&str; SERVICES.len() + 1] = {
    let mut names = [PAYMENT.name; SERVICES.len() + 1];
    let mut at = 0;
    while at < SERVICES.len() {
        names[at] = SERVICES[at];
        at += 1;
    }
    names
};

/// The services' names, in the order of their ports.
pub const SERVICES: [&str; CATALOGUE.len()] = {
    let mut names = [""; CATALOGUE.len()];
    let mut at = 0;
    while at < names.len() {
        names[at] = CATALOGUE[at].name;
        at += 1;
    }
    names
};

/// The service of that name. None when this program has no such service in it; others may run one.
#[must_use]
pub fn find(name: &str) -> Option<&'static Entry> {
    let beside = const { &[PAYMENT] };
    let all = const { &CATALOGUE }.iter().chain(beside);
    all.into_iter().find(|entry| entry.name == name)
}

/// The services that sell something, each with where its inventory is.
pub fn inventories() -> impl Iterator<Item = (&'static str, &'static Entry)> {
    let entries = const { &CATALOGUE }.iter();
    entries.filter_map(|entry| Some((entry.inventory?, entry)))
}

impl Entry {
    /// Its migrations, beside the runtime's own.
    #[must_use]
    pub fn migrations(&self, settings: &Settings) -> Migrator {
        (self.migrations)(settings)
    }

    /// Runs it in this process until it is told to stop, and drains it.
    ///
    /// # Errors
    /// When it cannot be started, in words that say what to do.
    pub async fn serve(&self, settings: Settings, provider: MaybeProvider) -> Result<()> {
        (self.serve)(settings, provider).await
    }
}

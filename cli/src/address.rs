//! Where a command finds the services: at the addresses it is given, or where the local stack says that they are.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use clap::Args;

use super::folder::Folder;
use super::parse;
use client::Client;
use inspect::audit::{Nats, Part};
use inspect::doctor::observations::Home;
use payment::provider::ProviderSettings;
use stack::state::{Process, ServiceState};
use stack::{Lock, SERVICES, State};

/// Where booking is.
#[derive(Debug, Clone, Args)]
pub(crate) struct Address {
    /// Booking's address; without it, the stack that runs in the folder.
    #[arg(
        long,
        env = "ROUNDTRIP_URL",
        hide_env_values = true,
        value_name = "URL"
    )]
    url: Option<String>,
    #[command(flatten)]
    folder: Folder,
}

impl Address {
    /// Booking.
    pub(crate) fn booking(&self) -> Result<Client> {
        Client::new(&self.address(booking::NAME, self.url.as_deref())?)
    }

    /// The broker of the stack in the folder, unless the command was sent elsewhere.
    pub(crate) fn nats_url(&self) -> Option<String> {
        if self.url.is_some() {
            return None;
        }
        State::running(&self.folder.path)
            .ok()
            .map(|state| state.nats_url)
    }

    fn address(&self, service: &str, given: Option<&str>) -> Result<String> {
        if let Some(url) = given {
            return Ok(url.to_owned());
        }
        let state = State::running(&self.folder.path)?;
        match state.url(service) {
            Some(url) => Ok(url.to_owned()),
            None => bail!("there is no {service} in this stack"),
        }
    }
}

/// Where every service is.
#[derive(Debug, Clone, Args)]
pub(crate) struct Addresses {
    #[command(flatten)]
    booking: Address,
    /// Another service's address, such as flight=http://127.0.0.1:8081; for each service one. A further leg's, such as
    /// train=http://127.0.0.1:8083, is added to the stack in the folder; any other means another stack.
    #[arg(
        long = "service",
        env = "ROUNDTRIP_SERVICES",
        hide_env_values = true,
        value_name = "NAME=URL",
        value_delimiter = ',',
        value_parser = named
    )]
    services: Vec<(String, String)>,
}

fn named(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, url)) if !name.is_empty() && url.contains("://") => {
            Ok((name.to_owned(), url.to_owned()))
        }
        _ => Err(String::from(
            "give a service's name and address, such as flight=http://127.0.0.1:8081",
        )),
    }
}

impl Addresses {
    /// A service by its name.
    pub(crate) fn service(&self, name: &str) -> Result<Client> {
        let given = self.given();
        match given.iter().find(|(given, _)| given == name) {
            Some((_, url)) => Client::new(url),
            // Not half of one stack and half of another.
            None if self.is_elsewhere(&[]) => bail!(
                "{name} is not looked for in {} when another service's address is given: say where it is with --service {name}=URL",
                self.folder().shown(),
            ),
            None => Client::new(&self.booking.address(name, None)?),
        }
    }

    /// The services whose addresses were given, each with its own.
    pub(crate) fn given(&self) -> Vec<(String, String)> {
        let booking = self.booking.url.iter();
        booking
            .map(|url| (booking::NAME.to_owned(), url.clone()))
            .chain(self.services.iter().cloned())
            .collect()
    }

    /// The folder of the stack that is meant when no other one is.
    pub(crate) fn folder(&self) -> &Folder {
        &self.booking.folder
    }

    /// Whether another stack is meant than the folder's: by its booking, by one of the services that every stack has, or by databases that
    /// do not say whose they are. Of other legs the folder's stack need not know.
    pub(crate) fn is_elsewhere(&self, databases: &[Part]) -> bool {
        let every = |name: &str| SERVICES.contains(&name);
        let of_other = |part: &Part| part.name.as_deref().is_none_or(every);
        self.booking.url.is_some()
            || self.services.iter().any(|(name, _)| every(name))
            || databases.iter().any(of_other)
    }

    /// All that there is to look at: what was given, added to what the folder's stack has unless another stack is meant. What was given
    /// stands in place of the folder's own of that name.
    pub(crate) fn look(&self, databases: Vec<Part>, broker: &BrokerAddress) -> Result<Found> {
        let mut found = Found::default();
        let elsewhere = self.is_elsewhere(&databases);
        let given = self.given().into_iter().map(|(name, url)| ServiceState {
            name: name.clone(),
            service: name,
            url,
            http: true,
            log: PathBuf::new(),
            process: None,
        });
        found.services.extend(given);
        found.databases = databases;
        let folder = &self.folder().path;
        let mut nats_url = None;
        if !elsewhere {
            found.holder = Lock::holder(folder)?;
            if let Some(state) = State::read(folder)? {
                nats_url = found.add(folder, state);
            }
        }
        found.broker = broker.or(nats_url);
        Ok(found)
    }
}

/// What there is to look at, and where.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Services and legs, or their replicas.
    pub(crate) services: Vec<ServiceState>,
    /// Databases of booking and of legs.
    pub(crate) databases: Vec<Part>,
    /// Legs of the folder's that never made a database.
    pub(crate) without: BTreeSet<String>,
    /// The broker.
    pub(crate) broker: Option<Nats>,
    /// Who runs the folder's stack.
    pub(crate) holder: Option<Process>,
    /// The folder's stack, if that is meant and there ever was one.
    pub(crate) home: Option<Home>,
    /// Its PostgreSQL is its own, and ends with it.
    pub(crate) own_server: bool,
    /// Where its payment provider is, while that runs on this machine.
    pub(crate) provider_url: Option<String>,
    /// The file with the key that it takes.
    pub(crate) provider_key_file: Option<PathBuf>,
}

impl Found {
    /// Adds what a stack left in its folder, and says where its broker is.
    fn add(&mut self, folder: &Path, state: State) -> Option<String> {
        let runs = self.holder.is_some();
        self.home = Some(Home {
            folder: folder.to_owned(),
            runs,
            up: state.up,
        });
        self.own_server = state.postgres.is_some();
        let provider = state.provider.filter(|_| runs);
        if let Some(provider) = provider {
            self.provider_url = Some(provider.url);
            self.provider_key_file = Some(provider.key_file);
        }
        let given: BTreeSet<String> = self.services.iter().map(|it| it.service.clone()).collect();
        let own = state.services.into_iter();
        let own = own.filter(|it| runs && !given.contains(&it.service));
        self.services = own.chain(std::mem::take(&mut self.services)).collect();
        let given: BTreeSet<String> = self
            .databases
            .iter()
            .filter_map(|it| it.name.clone())
            .collect();
        let mut databases = Vec::new();
        for (name, url) in state.databases {
            if given.contains(&name) {
                continue;
            }
            if !SERVICES.contains(&name.as_str()) && is_absent(&url) {
                self.without.insert(name);
            } else {
                let name = Some(name);
                databases.push(Part { name, url });
            }
        }
        databases.append(&mut self.databases);
        self.databases = databases;
        Some(state.nats_url).filter(|_| runs)
    }
}

/// Whether a database is a file that is not there: whoever was told of it keeps nothing in it.
fn is_absent(url: &str) -> bool {
    let file = url.strip_prefix("sqlite://").unwrap_or_default();
    // As the stack writes it.
    let file = file
        .replace("%3F", "?")
        .replace("%23", "#")
        .replace("%25", "%");
    url.starts_with("sqlite://") && !Path::new(&file).exists()
}

/// Where the payment provider is.
#[derive(Debug, Clone, Args)]
pub(crate) struct ProviderAddress {
    /// The payment provider, such as `https://api.stripe.com`, whose own list the payments are held against; without it, the sandbox of the
    /// stack that runs in the folder, if it has one.
    #[arg(
        long,
        env = "PROVIDER_URL",
        hide_env_values = true,
        value_name = "URL",
        requires = "provider_key_file"
    )]
    provider_url: Option<String>,
    /// The file with its secret key; one that may read payments is enough.
    #[arg(long, env = "PROVIDER_KEY_FILE", value_name = "FILE")]
    provider_key_file: Option<PathBuf>,
    /// Certificates (PEM) to trust beside the system's.
    #[arg(long, env = "PROVIDER_CA_FILE", value_name = "FILE")]
    provider_ca_file: Option<PathBuf>,
}

impl ProviderAddress {
    /// The provider that was named, or else that of the folder's stack.
    pub(crate) fn or(&self, found: &Found) -> Option<ProviderSettings> {
        let (url, key_file) = match (&self.provider_url, &self.provider_key_file) {
            (Some(url), Some(key_file)) => (url, key_file),
            _ => (
                found.provider_url.as_ref()?,
                found.provider_key_file.as_ref()?,
            ),
        };
        let mut settings = ProviderSettings::at(url, key_file);
        settings.provider_ca_file.clone_from(&self.provider_ca_file);
        Some(settings)
    }
}

/// Where the broker is.
#[derive(Debug, Clone, Args)]
pub(crate) struct BrokerAddress {
    /// The broker, such as nats://127.0.0.1:4222, or @FILE with its URL; without it, the one of the stack that runs in the folder.
    #[arg(
        id = "nats",
        long,
        env = "NATS_URL",
        hide_env_values = true,
        value_name = "URL",
        value_parser = parse::text
    )]
    url: Option<String>,
    /// User at the broker.
    #[arg(
        long = "nats-user",
        env = "NATS_USER",
        value_name = "USER",
        requires = "password"
    )]
    user: Option<String>,
    /// Password at the broker: by the environment, for every user of the machine can read what stands on a command line.
    #[arg(
        id = "password",
        long = "nats-password",
        env = "NATS_PASSWORD",
        value_name = "PASSWORD",
        hide_env_values = true
    )]
    password: Option<String>,
}

impl BrokerAddress {
    /// The broker that was named, or else this one.
    pub(crate) fn or(&self, otherwise: Option<String>) -> Option<Nats> {
        Some(Nats {
            url: self.url.clone().or(otherwise)?,
            user: self.user.clone(),
            password: self.password.clone(),
        })
    }
}

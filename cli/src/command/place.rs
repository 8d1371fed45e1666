//! Where a command finds the services: at the addresses it is given, or where the local stack says that they are.

use std::path::Path;

use anyhow::{Result, bail};
use clap::Args;

use super::folder::Folder;
use crate::audit::Nats;
use crate::client::Client;
use crate::stack::{SERVICES, State};

/// Where booking is.
#[derive(Debug, Clone, Args)]
pub(super) struct Place {
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

impl Place {
    /// Booking.
    pub(super) fn booking(&self) -> Result<Client> {
        Client::new(&self.address(booking::NAME, self.url.as_deref())?)
    }

    /// The broker of the stack in the folder, unless the command was sent elsewhere.
    pub(super) fn nats_url(&self) -> Option<String> {
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
pub(super) struct Places {
    #[command(flatten)]
    place: Place,
    /// Flight's address.
    #[arg(
        long,
        env = "ROUNDTRIP_FLIGHT_URL",
        hide_env_values = true,
        value_name = "URL"
    )]
    flight_url: Option<String>,
    /// Hotel's address.
    #[arg(
        long,
        env = "ROUNDTRIP_HOTEL_URL",
        hide_env_values = true,
        value_name = "URL"
    )]
    hotel_url: Option<String>,
}

impl Places {
    /// A service by its name.
    pub(super) fn service(&self, name: &str) -> Result<Client> {
        match self.address(name) {
            Some(url) => Client::new(url),
            // Not half of one stack and half of another.
            None if !self.given().is_empty() => bail!(
                "{name} is not looked for in {} when another service's address is given: say where it is with --{}url",
                self.folder().display(),
                if name == booking::NAME {
                    String::new()
                } else {
                    format!("{name}-")
                },
            ),
            None => Client::new(&self.place.address(name, None)?),
        }
    }

    /// The services whose addresses were given, each with its own.
    pub(super) fn given(&self) -> Vec<(&'static str, String)> {
        SERVICES
            .into_iter()
            .filter_map(|name| Some((name, self.address(name)?.to_owned())))
            .collect()
    }

    /// The folder of the stack that is meant when no address was given.
    pub(super) fn folder(&self) -> &Path {
        &self.place.folder.path
    }

    fn address(&self, name: &str) -> Option<&str> {
        match name {
            booking::NAME => self.place.url.as_deref(),
            flight::NAME => self.flight_url.as_deref(),
            hotel::NAME => self.hotel_url.as_deref(),
            _ => None,
        }
    }
}

/// Where the broker is.
#[derive(Debug, Clone, Args)]
pub(super) struct BrokerPlace {
    /// The broker, such as nats://127.0.0.1:4222; without it, the one of the stack that runs in the folder.
    #[arg(
        id = "nats",
        long,
        env = "NATS_URL",
        hide_env_values = true,
        value_name = "URL"
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
    /// Password at the broker.
    #[arg(
        id = "password",
        long = "nats-password",
        env = "NATS_PASSWORD",
        value_name = "PASSWORD",
        hide_env_values = true
    )]
    password: Option<String>,
}

impl BrokerPlace {
    /// The broker that was named, or else this one.
    pub(super) fn or(&self, otherwise: Option<String>) -> Option<Nats> {
        Some(Nats {
            url: self.url.clone().or(otherwise)?,
            user: self.user.clone(),
            password: self.password.clone(),
        })
    }
}

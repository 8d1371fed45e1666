//! Where a command finds the services: at the addresses it is given, or where the local stack says that they are.

use anyhow::{Result, bail};
use clap::Args;

use super::folder::Folder;
use super::parse;
use client::Client;
use inspect::audit::Nats;
use stack::State;

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
    /// Another service's address, such as flight=http://127.0.0.1:8081; for each service one.
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
            None if !given.is_empty() => bail!(
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

    /// The folder of the stack that is meant when no address was given.
    pub(crate) fn folder(&self) -> &Folder {
        &self.booking.folder
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

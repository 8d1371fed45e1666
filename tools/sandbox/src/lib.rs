//! A payment provider on this machine: Stripe's PaymentIntents with manual capture, over the same wire, durable across `kill -9`, with a switch for
//! everything that can go wrong with a third party. Whoever uses it cannot tell; whoever runs it is told: it is a sandbox, and moves no money.
//!
//! Not a copy of Stripe: what a payment leg needs is here (open, confirm, capture, cancel, refund, read, list, webhooks, idempotency keys, test
//! cards), and as Stripe documents it. Not a mock either: it is a server of its own, with a database of its own.
//!
//! - [`payment`] and [`refund`]: what a payment is and what may be done to it, purely; [`cards`]: the test cards; [`said`]: Stripe's errors.
//! - [`store`]: the file; [`api`]: what is asked for below `/v1`, of refunds in [`refunds`]; [`form`]: how it is written.
//! - [`failures`]: the switches; [`broken`]: what they do to a request; [`control`]: how they are thrown, below `/sandbox`.
//! - [`secrets`]: the key and the webhooks' secret, in files; [`webhooks`]: what it tells of its own accord; [`server`]: all of it together.

pub mod api;
pub mod broken;
pub mod cards;
pub mod control;
pub mod failures;
pub mod form;
pub mod payment;
pub mod refund;
pub mod refunds;
pub mod said;
pub mod secrets;
pub mod server;
pub mod store;
pub mod webhooks;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

pub use server::{Running, start};

/// How a sandbox is set up.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// Where it listens. It has no login beside the key: keep it on this machine.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:12111")]
    pub listen: SocketAddr,
    /// The file with its payments; made where it is not there. They outlive it.
    #[arg(long, value_name = "FILE", default_value = "sandbox.db")]
    pub data: PathBuf,
    /// The file with the key that it takes; made where it is not there, for its owner alone. It is printed nowhere.
    #[arg(long, value_name = "FILE", default_value = "sandbox.key")]
    pub key_file: PathBuf,
    /// Where it tells what became of payments, signed; without it it tells nobody.
    #[arg(long, value_name = "URL")]
    pub webhook_url: Option<String>,
    /// The file with the secret that it signs with; made where it is not there.
    #[arg(long, value_name = "FILE", default_value = "sandbox.webhook")]
    pub webhook_secret_file: PathBuf,
    /// How long an authorisation that nobody captures is held, in seconds; Stripe's are held for seven days.
    #[arg(long, value_name = "SECONDS", default_value_t = 7 * 86_400, value_parser = clap::value_parser!(u64).range(1..))]
    pub authorisation_s: u64,
}

impl Options {
    /// How long an authorisation is held.
    #[must_use]
    pub fn authorisation(&self) -> Duration {
        Duration::from_secs(self.authorisation_s)
    }
}

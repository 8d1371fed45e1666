//! All payments as the provider has them, for the audit to hold our records against. It reads and judges nothing.

use anyhow::{Result, anyhow, bail, ensure};
use reqwest::Method;
use tokio::time::Instant;

use super::exchange::Asking;
use super::policy::{Reply, Silence};
use super::wire::{Intent, List, Status};
use super::{Provider, ProviderSettings, money};

/// The most payments in one page.
const PAGE: u32 = 100;
/// The most pages that are asked for: a list without end is no list.
const PAGES_MAX: u32 = 100_000;

/// How far a payment is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// Nothing is held and nothing was taken.
    Open,
    /// The money is held.
    Authorised,
    /// The money is taken.
    Captured,
    /// It was given back, all of it.
    Refunded,
    /// It was let go, and nothing was taken.
    Voided,
}

/// A payment in the provider's list.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Listed {
    /// The provider's id of it.
    pub intent: String,
    /// For which trip, if we made it.
    pub trip: Option<String>,
    /// For which place on its itinerary.
    pub position: Option<String>,
    /// ISO 4217, in capitals.
    pub currency: String,
    /// How much it is about, in the currency's smallest unit.
    pub amount_minor: i64,
    /// How much of it was taken.
    pub captured_minor: i64,
    /// How much of that was given back.
    pub refunded_minor: i64,
    /// How far it is.
    pub stage: Stage,
}

/// Some of the list, the newest first.
#[derive(Clone, Debug)]
pub struct Page {
    /// What is in it that was made for a trip. An account may have other payments, in currencies that are nobody's here.
    pub payments: Vec<Listed>,
    /// Behind which payment there is more, if there is.
    pub more_after: Option<String>,
}

impl Provider {
    /// At most so many payments that are older than `after`.
    ///
    /// # Errors
    /// When the provider does not answer, or in words that nobody can read.
    pub async fn page(&self, after: Option<&str>, most: u32) -> Result<Page> {
        let most = most.clamp(1, PAGE).to_string();
        let mut fields = vec![("limit", most.as_str()), ("expand[]", "data.latest_charge")];
        fields.extend(after.map(|after| ("starting_after", after)));
        let asking = Asking {
            method: Method::GET,
            path: &["v1", "payment_intents"],
            fields: &fields,
            idempotency_key: None,
            until: Instant::now() + self.within,
        };
        let key = self
            .keys
            .take()
            .map_err(|refusal| anyhow!("{}", refusal.why))?;
        let reply = match self.wire.ask(&asking, key.bearer.clone()).await {
            Ok(reply) => reply,
            Err(Silence::NotSent(why) | Silence::Unknown(why)) => bail!("{why}"),
        };
        read(&reply)
    }

    /// All payments, the newest first.
    ///
    /// # Errors
    /// As [`Provider::page`].
    pub async fn all(&self) -> Result<Vec<Listed>> {
        let (mut all, mut after) = (Vec::new(), None);
        for _ in 0..PAGES_MAX {
            let page = self.page(after.as_deref(), PAGE).await?;
            all.extend(page.payments);
            after = page.more_after;
            if after.is_none() {
                return Ok(all);
            }
        }
        bail!("the provider's list has no end")
    }
}

/// All payments of the provider of these settings, the newest first.
///
/// # Errors
/// When the settings cannot be used, and as [`Provider::page`].
pub async fn all(settings: &ProviderSettings) -> Result<Vec<Listed>> {
    Provider::new(settings)?.all().await
}

/// Asks for no more than whether there is an answer.
pub(super) fn one(within: std::time::Duration) -> Asking<'static> {
    Asking {
        method: Method::GET,
        path: &["v1", "payment_intents"],
        fields: &[("limit", "1")],
        idempotency_key: None,
        until: Instant::now() + within,
    }
}

fn read(reply: &Reply) -> Result<Page> {
    let status = reply.status;
    ensure!(
        status.is_success(),
        "the payment provider answered {status} when it was asked for its list"
    );
    let unreadable = || anyhow!("the payment provider's list cannot be read");
    let list: List = serde_json::from_slice(&reply.body).map_err(|_| unreadable())?;
    ensure!(list.object == "list", unreadable());
    let last = list.data.last().map(|last| last.id.clone());
    let ours = |intent: &&Intent| intent.metadata.contains_key("trip");
    let payments = list.data.iter().filter(ours).map(listed);
    Ok(Page {
        payments: payments.collect::<Result<_>>()?,
        more_after: last.filter(|_| list.has_more),
    })
}

fn listed(intent: &Intent) -> Result<Listed> {
    let currency = intent.currency.to_ascii_uppercase();
    let minor = |amount| {
        money::from_stripe(amount, &currency).ok_or_else(|| {
            anyhow!(
                "{} is of an amount of {currency} that Roundtrip would not have charged",
                intent.id
            )
        })
    };
    let stage = match intent.status {
        Status::Canceled => Stage::Voided,
        Status::RequiresCapture => Stage::Authorised,
        Status::Succeeded if intent.is_refunded() => Stage::Refunded,
        Status::Succeeded => Stage::Captured,
        Status::RequiresPaymentMethod
        | Status::RequiresConfirmation
        | Status::RequiresAction
        | Status::Processing => Stage::Open,
    };
    let taken = matches!(stage, Stage::Captured | Stage::Refunded);
    let refunded = intent.charge().map_or(0, |charge| charge.amount_refunded);
    Ok(Listed {
        intent: intent.id.clone(),
        trip: intent.metadata.get("trip").cloned(),
        position: intent.metadata.get("position").cloned(),
        amount_minor: minor(intent.amount)?,
        captured_minor: minor(if taken { intent.amount_received } else { 0 })?,
        refunded_minor: minor(if taken { refunded } else { 0 })?,
        currency,
        stage,
    })
}

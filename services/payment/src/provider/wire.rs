//! Stripe's objects, as far as they are read here: the fields that decide, and nothing of a card. What they mean for a call is said in `judge`.

use std::collections::BTreeMap;

use serde::Deserialize;

/// The version of the API whose words these are; the provider answers in them whatever the account's own default is.
pub(super) const VERSION: &str = "2024-06-20";

/// A payment: what it is about, and how far it is.
#[derive(Deserialize)]
pub(super) struct Intent {
    pub(super) id: String,
    pub(super) object: String,
    pub(super) amount: i64,
    pub(super) currency: String,
    pub(super) status: Status,
    #[serde(default)]
    pub(super) amount_received: i64,
    #[serde(default)]
    pub(super) metadata: BTreeMap<String, String>,
    pub(super) last_payment_error: Option<Failure>,
    pub(super) latest_charge: Option<Expandable>,
}

/// How far a payment is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Status {
    RequiresPaymentMethod,
    RequiresConfirmation,
    RequiresAction,
    Processing,
    RequiresCapture,
    Canceled,
    Succeeded,
}

/// Either its id, or the charge itself where it was asked for.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum Expandable {
    Charge(Box<Charge>),
    Id(#[expect(dead_code, reason = "only that it is none")] String),
}

/// What was really done to the card.
#[derive(Deserialize)]
pub(super) struct Charge {
    #[serde(default)]
    pub(super) captured: bool,
    #[serde(default)]
    pub(super) refunded: bool,
    #[serde(default)]
    pub(super) amount_refunded: i64,
    #[serde(default)]
    pub(super) payment_intent: Option<String>,
    #[serde(default)]
    pub(super) metadata: BTreeMap<String, String>,
}

/// What was given back, or is on its way.
#[derive(Deserialize)]
pub(super) struct Refund {
    pub(super) id: String,
    pub(super) object: String,
    pub(super) status: String,
    pub(super) payment_intent: Option<String>,
    #[serde(default)]
    pub(super) metadata: BTreeMap<String, String>,
}

/// How far giving back is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// The money is on its way, and may come back.
    Pending,
    /// It was given back.
    Done,
    /// It was not, or it came back.
    Failed,
}

impl Refund {
    /// How far it is. A word that nobody knows is no end.
    pub(super) fn progress(&self) -> Progress {
        match self.status.as_str() {
            "succeeded" => Progress::Done,
            "failed" | "canceled" => Progress::Failed,
            _ => Progress::Pending,
        }
    }
}

/// The refunds of a payment.
#[derive(Deserialize)]
pub(super) struct Refunds {
    pub(super) object: String,
    pub(super) data: Vec<Refund>,
}

/// Why something was not done. Its message is for developers and is not kept: it may quote what was sent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub(super) struct Failure {
    #[serde(rename = "type", default)]
    pub(super) kind: String,
    #[serde(default)]
    pub(super) code: Option<String>,
    #[serde(default)]
    pub(super) decline_code: Option<String>,
    #[serde(default)]
    pub(super) param: Option<String>,
}

impl Failure {
    /// Its code, where there is one.
    pub(super) fn code(&self) -> &str {
        self.code.as_deref().unwrap_or_default()
    }
}

/// How Stripe wraps a failure.
#[derive(Deserialize)]
pub(super) struct Wrapped {
    pub(super) error: Failure,
}

/// A page of a list.
#[derive(Deserialize)]
pub(super) struct List {
    pub(super) object: String,
    pub(super) data: Vec<Intent>,
    pub(super) has_more: bool,
}

impl Intent {
    /// The charge, where it came along.
    pub(super) fn charge(&self) -> Option<&Charge> {
        match &self.latest_charge {
            Some(Expandable::Charge(charge)) => Some(charge),
            _ => None,
        }
    }

    /// Whether all that was taken was given back. What a canceled payment held counts as given back at Stripe as well, so the status goes first.
    pub(super) fn is_refunded(&self) -> bool {
        self.charge()
            .is_some_and(|charge| charge.captured && charge.refunded)
    }
}

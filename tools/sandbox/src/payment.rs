//! A payment (Stripe's PaymentIntent with manual capture, its charge and its refunds): what may be done to it, and how it is shown. Pure: time and
//! ids come in from outside. Not how it is kept.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::cards::{Card, card};
use super::refund::Refund;
use super::said::Said;

/// The least and the most that can be charged, in the currency's smallest unit.
const AMOUNTS: std::ops::RangeInclusive<i64> = 50..=99_999_999;

/// How far a payment is, in Stripe's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// No card, or one that was declined.
    RequiresPaymentMethod,
    /// Opened, and nothing is held.
    RequiresConfirmation,
    /// It waits for the card's holder.
    RequiresAction,
    /// The money is held.
    RequiresCapture,
    /// It is over, and nothing was taken.
    Canceled,
    /// The money was taken.
    Succeeded,
}

/// A payment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Payment {
    /// `pi_…`
    pub id: String,
    /// When it was opened, in seconds since 1970.
    pub created_s: i64,
    /// How much it is about.
    pub amount: i64,
    /// Three small letters.
    pub currency: String,
    /// The card that it is paid with.
    pub method: Option<String>,
    /// What whoever opened it wrote on it.
    pub metadata: BTreeMap<String, String>,
    /// How far it is.
    pub status: Status,
    /// `ch_…`, once something was held.
    pub charge: Option<String>,
    /// Until when the money is held, in milliseconds since 1970.
    pub held_until_ms: Option<i64>,
    /// How much was taken.
    pub received: i64,
    /// How much of it was given back, or is on its way.
    pub refunded: i64,
    /// How that went.
    #[serde(default)]
    pub refunds: Vec<Refund>,
    /// When and why it was canceled.
    pub canceled: Option<(i64, Option<String>)>,
    /// Why the card was declined, the last time.
    pub last_error: Option<Value>,
}

/// What a switch makes of an operation, though nothing is wrong with it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Refusing(pub bool);

/// What is needed from outside.
#[derive(Clone, Debug)]
pub struct Now {
    /// In milliseconds since 1970.
    pub ms: i64,
    /// Letters and digits for a new id.
    pub fresh: String,
    /// How long money is held, in milliseconds.
    pub hold_ms: i64,
    /// Whether the operation is to be refused.
    pub refusing: Refusing,
    /// Whether what is given back is on its way first.
    pub pending: bool,
}

impl Payment {
    /// Opens one.
    ///
    /// # Errors
    /// As Stripe says what is wrong.
    pub fn open(
        amount: i64,
        currency: &str,
        method: Option<&str>,
        metadata: BTreeMap<String, String>,
        now: &Now,
    ) -> Result<Self, Said> {
        let amount_is = |code: &str, message: &str| {
            Err(Said::request(message)
                .with("code", code)
                .with("param", "amount"))
        };
        if amount < *AMOUNTS.start() {
            return amount_is("amount_too_small", "Amount must be at least 0.50.");
        }
        if amount > *AMOUNTS.end() {
            return amount_is(
                "amount_too_large",
                "Amount must be no more than 999,999.99.",
            );
        }
        if currency.len() != 3 || !currency.bytes().all(|byte| byte.is_ascii_lowercase()) {
            return Err(
                Said::request(&format!("Invalid currency: {currency}.")).with("param", "currency")
            );
        }
        if let Some(method) = method
            && card(method).is_none()
        {
            let param = "payment_method";
            return Err(Said::unknown(
                "PaymentMethod",
                method,
                param,
                StatusCode::BAD_REQUEST,
            ));
        }
        let status = match method {
            Some(_) => Status::RequiresConfirmation,
            None => Status::RequiresPaymentMethod,
        };
        Ok(Self {
            id: format!("pi_{}", now.fresh),
            created_s: now.ms / 1_000,
            amount,
            currency: currency.to_owned(),
            method: method.map(str::to_owned),
            metadata,
            status,
            charge: None,
            held_until_ms: None,
            received: 0,
            refunded: 0,
            refunds: Vec::new(),
            canceled: None,
            last_error: None,
        })
    }

    /// Holds the money.
    ///
    /// # Errors
    /// When the card is declined (that is kept as well), or its state does not allow it.
    pub fn confirm(&mut self, fails_if_asked: bool, now: &Now) -> Result<(), Said> {
        let may = [
            Status::RequiresConfirmation,
            Status::RequiresPaymentMethod,
            Status::RequiresAction,
        ];
        if !may.contains(&self.status) {
            return Err(self.in_the_way("confirmed"));
        }
        let Some(known) = self.method.as_deref().and_then(card) else {
            return Err(Said::missing("payment_method"));
        };
        let known = match now.refusing {
            Refusing(true) => Card::Declined("card_declined", "generic_decline"),
            Refusing(false) => known,
        };
        match known {
            Card::Taken => {
                self.status = Status::RequiresCapture;
                self.charge = Some(format!("ch_{}", now.fresh));
                self.held_until_ms = Some(now.ms + now.hold_ms);
                self.last_error = None;
                Ok(())
            }
            Card::Asks if !fails_if_asked => {
                self.status = Status::RequiresAction;
                Ok(())
            }
            Card::Asks => Err(self.decline(Said::card(
                "authentication_required",
                "authentication_required",
                "Your card was declined. This transaction requires authentication.",
            ))),
            Card::Declined(code, decline_code) => {
                Err(self.decline(Said::card(code, decline_code, "Your card was declined.")))
            }
        }
    }

    fn decline(&mut self, said: Said) -> Said {
        self.status = Status::RequiresPaymentMethod;
        self.last_error = Some(Value::Object(said.error.clone()));
        said
    }

    /// Takes what is held.
    ///
    /// # Errors
    /// When nothing is held, or it is refused.
    pub fn capture(&mut self, now: &Now) -> Result<(), Said> {
        if self.status != Status::RequiresCapture {
            return Err(self.in_the_way("captured"));
        }
        if now.refusing.0 {
            return Err(Said::card(
                "capture_unauthorized_payment",
                "do_not_honor",
                "The capture was refused.",
            ));
        }
        self.status = Status::Succeeded;
        self.received = self.amount;
        self.held_until_ms = None;
        Ok(())
    }

    /// Lets go of what is held, or of a payment that never held anything.
    ///
    /// # Errors
    /// When something was taken already, it is over, or it is refused.
    pub fn cancel(&mut self, reason: Option<&str>, now: &Now) -> Result<(), Said> {
        if matches!(self.status, Status::Canceled | Status::Succeeded) {
            return Err(self.in_the_way("canceled"));
        }
        if now.refusing.0 {
            return Err(Said::request("This PaymentIntent cannot be canceled now."));
        }
        self.status = Status::Canceled;
        self.held_until_ms = None;
        self.canceled = Some((now.ms / 1_000, reason.map(str::to_owned)));
        Ok(())
    }

    /// Lets go of what was held too long. True when it did.
    pub fn expire(&mut self, now_ms: i64, at_s: i64) -> bool {
        let is_over = self.held_until_ms.is_some_and(|until| now_ms >= until);
        if is_over {
            self.status = Status::Canceled;
            self.held_until_ms = None;
            self.canceled = Some((at_s, Some(String::from("automatic"))));
        }
        is_over
    }

    /// Its status in Stripe's word.
    #[must_use]
    pub fn status_word(&self) -> String {
        let word = serde_json::to_value(self.status).unwrap_or_default();
        word.as_str().unwrap_or_default().to_owned()
    }

    fn in_the_way(&self, what: &str) -> Said {
        Said::state(&self.status_word(), what).with("payment_intent", self.shown(false))
    }

    /// As Stripe shows it; with its charge whole where that was asked for.
    #[must_use]
    pub fn shown(&self, with_charge: bool) -> Value {
        let charge = match &self.charge {
            Some(_) if with_charge => self.shown_charge(),
            charge => json!(charge),
        };
        let held = if self.status == Status::RequiresCapture {
            self.amount
        } else {
            0
        };
        json!({
            "id": self.id,
            "object": "payment_intent",
            "amount": self.amount,
            "amount_capturable": held,
            "amount_received": self.received,
            "canceled_at": self.canceled.as_ref().map(|(at, _)| at),
            "cancellation_reason": self.canceled.as_ref().and_then(|(_, why)| why.clone()),
            "capture_method": "manual",
            "client_secret": format!("{}_secret_{}", self.id, self.id.chars().rev().collect::<String>()),
            "confirmation_method": "automatic",
            "created": self.created_s,
            "currency": self.currency,
            "last_payment_error": self.last_error,
            "latest_charge": charge,
            "livemode": false,
            "metadata": self.metadata,
            "next_action": null,
            "payment_method": self.method,
            "payment_method_types": ["card"],
            "status": self.status,
        })
    }

    /// What was done to the card. As at Stripe, letting go of what was held counts as giving it back.
    #[must_use]
    pub fn shown_charge(&self) -> Value {
        let let_go = self.status == Status::Canceled;
        let refunded = if let_go { self.amount } else { self.refunded };
        json!({
            "id": self.charge,
            "object": "charge",
            "amount": self.amount,
            "amount_captured": self.received,
            "amount_refunded": refunded,
            "billing_details": {"name": "Ada Example", "email": "ada@example.org"},
            "captured": self.received > 0,
            "currency": self.currency,
            "livemode": false,
            "metadata": self.metadata,
            "paid": true,
            "payment_intent": self.id,
            "payment_method_details": {"type": "card", "card": {"brand": "visa", "last4": "4242", "exp_month": 7, "exp_year": 2034}},
            "refunded": refunded >= self.amount,
            "status": "succeeded",
        })
    }
}

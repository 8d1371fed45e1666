//! A refund: what is given back of a payment, and what becomes of it. Pure, as the payment is.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::payment::{Now, Payment};
use super::said::Said;

/// How far a refund is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Progress {
    /// The money is on its way.
    Pending,
    /// It came there.
    Succeeded,
    /// It did not, or came back.
    Failed,
}

/// A refund.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Refund {
    /// `re_…`
    pub id: String,
    /// When it was asked for, in seconds since 1970.
    pub created_s: i64,
    /// How much it is.
    pub amount: i64,
    /// What whoever asked for it wrote on it.
    pub metadata: BTreeMap<String, String>,
    /// How far it is.
    pub status: Progress,
}

impl Payment {
    /// Gives back what was taken, or so much of it. The refund's id.
    ///
    /// # Errors
    /// When there is not so much to give back, or it is refused.
    pub fn refund(
        &mut self,
        amount: Option<i64>,
        metadata: BTreeMap<String, String>,
        now: &Now,
    ) -> Result<Value, Said> {
        if self.status != super::payment::Status::Succeeded {
            return Err(Said::request(
                "This PaymentIntent does not have a successful charge to refund.",
            )
            .with("code", "payment_intent_unexpected_state"));
        }
        let left = self.received - self.refunded;
        if left == 0 {
            let charge = self.charge.as_deref().unwrap_or_default();
            return Err(
                Said::request(&format!("Charge {charge} has already been refunded."))
                    .with("code", "charge_already_refunded"),
            );
        }
        let amount = amount.unwrap_or(left);
        if !(1..=left).contains(&amount) {
            return Err(Said::request(
                "Refund amount is greater than unrefunded amount on charge.",
            )
            .with("code", "amount_too_large"));
        }
        if now.refusing.0 {
            return Err(
                Said::request("Your account has insufficient funds for this refund.")
                    .with("code", "insufficient_funds"),
            );
        }
        let status = match now.pending {
            true => Progress::Pending,
            false => Progress::Succeeded,
        };
        let refund = Refund {
            id: format!("re_{}", now.fresh),
            created_s: now.ms / 1_000,
            amount,
            metadata,
            status,
        };
        // As at Stripe, what is on its way counts.
        self.refunded += amount;
        let shown = self.shown_refund(&refund);
        self.refunds.push(refund);
        Ok(shown)
    }

    /// What becomes of its refunds that are not at this end yet; one that failed may have been well before. They are what changed.
    pub fn settle_refunds(&mut self, to: Progress) -> Vec<Value> {
        let may = |refund: &Refund| match to {
            Progress::Failed => refund.status != Progress::Failed,
            _ => refund.status == Progress::Pending,
        };
        let mut changed = Vec::new();
        for refund in self.refunds.iter_mut().filter(|it| may(it)) {
            refund.status = to;
            if to == Progress::Failed {
                self.refunded -= refund.amount;
            }
            changed.push(refund.clone());
        }
        changed.iter().map(|it| self.shown_refund(it)).collect()
    }

    /// As Stripe shows a refund.
    #[must_use]
    pub fn shown_refund(&self, refund: &Refund) -> Value {
        json!({
            "id": refund.id,
            "object": "refund",
            "amount": refund.amount,
            "charge": self.charge,
            "created": refund.created_s,
            "currency": self.currency,
            "metadata": refund.metadata,
            "payment_intent": self.id,
            "status": refund.status,
        })
    }
}

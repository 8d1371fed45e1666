//! A payment's turn has come and it has no record yet: ask for the money, or refuse and why.
//!
//! The one place where an amount is decided. Checked in this order: far too late, not the last leg, unreadable details, nothing to pay,
//! currency, budget, provider known to be down.

use choreography::{Fact, Money, Now, Reason};
use leg::core::{LATE_US, details};
use serde::Deserialize;

use super::{Record, Standing, State};

/// `{"leg":"payment","method":"pm_card_visa"}`. What else is in it is for somebody else.
#[derive(Debug, Deserialize)]
struct Details {
    /// The provider's id of what it is paid with.
    method: String,
}

/// The record after the turn: opening, rejected or released.
pub(super) fn taken(
    mut record: Record,
    fact: &Fact,
    total: &[Money],
    provider: Standing,
    now: &Now,
) -> Record {
    record.adopt(&fact.plan);
    if now.now_us() > record.deadline_us.saturating_add(LATE_US) {
        // Not `rejected`: an earlier record may have been forgotten, and whoever is behind may hold.
        let late = Reason::new(
            "late",
            "the trip's deadline had passed more than an hour before",
        );
        record.call_off(&late, now);
        record.enter(State::Released, now);
        return record;
    }
    match offer(&record, fact, total, provider) {
        Ok((amount, method)) => {
            record.amount_minor = Some(amount.amount_minor);
            record.currency = Some(amount.currency.code().into());
            record.method = Some(method);
            record.enter(State::Opening, now);
        }
        Err(reason) => {
            record.because(&reason);
            record.enter(State::Rejected, now);
        }
    }
    record
}

fn offer(
    record: &Record,
    fact: &Fact,
    total: &[Money],
    provider: Standing,
) -> Result<(Money, String), Reason> {
    let itinerary = &fact.plan.itinerary;
    if record.position != itinerary.last() {
        let message = "a payment is the last leg, for it pays what all others cost";
        return Err(Reason::new("not-last", message));
    }
    let Details { method } = details::read(itinerary.details(record.position).unwrap_or_default())?;
    let method = details::key("method", method)?;
    if !method.starts_with("pm_") {
        // A card's number has no business in an itinerary, which travels to everybody.
        let message = "method is a payment method's id at the provider, such as pm_card_visa";
        return Err(Reason::new("unreadable-details", message));
    }
    let amount = amount(total, fact.plan.budget)?;
    if provider == Standing::Down {
        let message = "the payment provider can't be reached at present; nothing was asked of it. Try again later";
        return Err(Reason::new("payment-unavailable", message));
    }
    Ok((amount, method))
}

/// The running total, if it is of one currency.
fn amount(total: &[Money], budget: Option<Money>) -> Result<Money, Reason> {
    let amount = match total {
        [] => {
            return Err(Reason::new(
                "nothing-to-pay",
                "no leg before it has a price",
            ));
        }
        [amount] => *amount,
        several => {
            let codes: Vec<&str> = several.iter().map(|sum| sum.currency.code()).collect();
            let message = format!(
                "one payment is in one currency, not in {}",
                codes.join(", ")
            );
            return Err(Reason::new("currency", message));
        }
    };
    if amount.amount_minor <= 0 {
        let message = format!("the legs before it cost {amount} together");
        return Err(Reason::new("nothing-to-pay", message));
    }
    let Some(budget) = budget else {
        return Ok(amount);
    };
    if budget.currency != amount.currency {
        let message = format!(
            "the budget is in {}, the price in {}",
            budget.currency.code(),
            amount.currency.code()
        );
        return Err(Reason::new("currency", message));
    }
    // The legs before it have held to it too; here is where the money is.
    if amount.amount_minor > budget.amount_minor {
        let message = format!("the trip costs {amount}, and its budget is {budget}");
        return Err(Reason::new("budget", message));
    }
    Ok(amount)
}

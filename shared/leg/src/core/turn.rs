//! A position's turn has come and it has no record yet: hold, or refuse and why.
//!
//! The one place where capacity is taken and a price is made. Checked in this order: far too late, unreadable details, unknown
//! stock, sold out, currency, budget.

use choreography::{Currency, Fact, Money, Now, Price, Reason};

use super::{Hold, LATE_US, LegPolicy, Record, State, Stock, StockView};

/// The record after the turn: held, rejected or released.
pub(super) fn taken(
    policy: &dyn LegPolicy,
    mut record: Record,
    fact: &Fact,
    total: &[Money],
    shelf: &mut StockView,
    now: &Now,
) -> Record {
    record.adopt(&fact.plan);
    if now.now_us() > record.deadline_us.saturating_add(LATE_US) {
        // Not `rejected`: an earlier record may have been forgotten, and whoever is behind may hold.
        let late = Reason::new(
            "late",
            "the trip's deadline had passed more than an hour before",
        );
        record.refuse(State::Released, &late, now);
        return record;
    }
    let details = fact
        .plan
        .itinerary
        .details(record.position)
        .unwrap_or_default();
    let offer = policy.needs(details, now.at).and_then(|holds| {
        let holds = merged(holds)?;
        let price = price(&holds, shelf, total, fact.plan.budget)?;
        Ok((holds, price))
    });
    match offer {
        Ok((holds, price)) => {
            shelf.hold(&holds);
            record.keep_offer(&holds, &price);
            record.enter(State::Held, now);
        }
        Err(reason) => record.refuse(State::Rejected, &reason, now),
    }
    record
}

/// One hold per stock row, in the order of the keys. A quantity below one would make capacity out of nothing.
fn merged(mut holds: Vec<Hold>) -> Result<Vec<Hold>, Reason> {
    if holds.is_empty() || holds.iter().any(|hold| hold.quantity < 1) {
        return Err(Reason::new(
            "quantity",
            "a leg takes at least one of something",
        ));
    }
    holds.sort_by(|a, b| a.key.cmp(&b.key));
    holds.dedup_by(|next, kept| {
        let same = next.key == kept.key;
        if same {
            kept.quantity = kept.quantity.saturating_add(next.quantity);
        }
        same
    });
    Ok(holds)
}

fn price(
    holds: &[Hold],
    shelf: &StockView,
    total: &[Money],
    budget: Option<Money>,
) -> Result<Price, Reason> {
    let stock = find(holds, shelf)?;
    if let Some((hold, stock)) = holds
        .iter()
        .zip(&stock)
        .find(|(hold, stock)| stock.free < hold.quantity)
    {
        let message = format!(
            "{}: {} wanted, {} left",
            hold.key.join(" "),
            hold.quantity,
            stock.free.max(0)
        );
        return Err(Reason::new("sold-out", message));
    }
    let currency = currency(&stock)?;
    if let Some(budget) = budget
        && budget.currency != currency
    {
        let message = format!(
            "the budget is in {}, the price in {}",
            budget.currency.code(),
            currency.code()
        );
        return Err(Reason::new("currency", message));
    }
    let too_much = || Reason::new("price", "the price is beyond what can be counted");
    let add = |sum: Money, (hold, stock): (&Hold, &&Stock)| {
        let part = Money::new(stock.price_minor, currency).checked_mul(hold.quantity)?;
        sum.checked_add(part)
    };
    let sum = holds
        .iter()
        .zip(&stock)
        .try_fold(Money::new(0, currency), add);
    let price = sum.ok_or_else(too_much)?;
    let total = price.add_to(total).ok_or_else(too_much)?;
    let spent = total
        .iter()
        .find(|sum| sum.currency == currency)
        .copied()
        .unwrap_or(price);
    if let Some(budget) = budget
        && spent.amount_minor > budget.amount_minor
    {
        let message = format!("{spent} up to and with this leg, the budget is {budget}");
        return Err(Reason::new("budget", message));
    }
    Ok(Price { price, total })
}

fn find<'a>(holds: &[Hold], shelf: &'a StockView) -> Result<Vec<&'a Stock>, Reason> {
    let unknown = |hold: &Hold| {
        Reason::new(
            "unknown-stock",
            format!("{} is not on offer", hold.key.join(" ")),
        )
    };
    holds
        .iter()
        .map(|hold| shelf.get(&hold.key).ok_or_else(|| unknown(hold)))
        .collect()
}

/// A leg has one price, so all that it takes is sold in one currency.
fn currency(stock: &[&Stock]) -> Result<Currency, Reason> {
    let code = stock.first().map_or("", |stock| stock.currency.as_str());
    if stock.iter().any(|stock| stock.currency != code) {
        return Err(Reason::new(
            "currency",
            "what this leg takes is sold in different currencies",
        ));
    }
    Currency::from_code(code)
        .ok_or_else(|| Reason::new("currency", format!("{code:?} is no currency")))
}

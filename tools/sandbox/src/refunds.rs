//! Refunds as they are read and settled: one, those of a payment, and what becomes of those that are on their way. What a refund is: see `refund`.

use anyhow::Result;
use axum::http::StatusCode;
use serde_json::{Value, json};
use sqlx::Connection as _;

use super::form::Form;
use super::refund::Progress;
use super::said::Said;
use super::server::now_ms;
use super::store::{Store, Unit};

/// Shows one.
///
/// # Errors
/// When the file cannot be read.
pub async fn one(unit: &mut Unit<'_>, id: &str) -> Result<Result<Value, Said>> {
    let found = Store::refunded(unit, Some(id)).await?;
    let shown = found.iter().find_map(|payment| {
        let refund = payment.refunds.iter().find(|it| it.id == id)?;
        Some(payment.shown_refund(refund))
    });
    Ok(shown.ok_or_else(|| Said::unknown("refund", id, "id", StatusCode::NOT_FOUND)))
}

/// Shows those of a payment, the newest first.
///
/// # Errors
/// When the file cannot be read.
pub async fn of_payment(unit: &mut Unit<'_>, form: &Form) -> Result<Result<Value, Said>> {
    let id = match form.needed("payment_intent") {
        Ok(id) => id,
        Err(said) => return Ok(Err(said)),
    };
    let Some(payment) = Store::payment(unit, id).await? else {
        let status = StatusCode::BAD_REQUEST;
        return Ok(Err(Said::unknown(
            "payment_intent",
            id,
            "payment_intent",
            status,
        )));
    };
    let refunds = payment.refunds.iter().rev();
    let data: Vec<Value> = refunds.map(|it| payment.shown_refund(it)).collect();
    Ok(Ok(json!({
        "object": "list",
        "data": data,
        "has_more": false,
        "url": "/v1/refunds",
    })))
}

/// What becomes of refunds, and is told. How many there were.
///
/// # Errors
/// When the file cannot be read or written.
pub async fn settle(store: &Store, to: Progress, tells: bool) -> Result<usize> {
    let mut connection = store.alone().await;
    let mut unit = connection.begin().await?;
    let mut settled = 0;
    for mut payment in Store::refunded(&mut unit, None).await? {
        let changed = payment.settle_refunds(to);
        if changed.is_empty() {
            continue;
        }
        Store::put(&mut unit, &payment).await?;
        settled += changed.len();
        for refund in changed.iter().filter(|_| tells) {
            let failed = (to == Progress::Failed).then_some("refund.failed");
            for kind in ["refund.updated"].into_iter().chain(failed) {
                Store::tell(&mut unit, kind, refund, now_ms()).await?;
            }
        }
    }
    unit.commit().await?;
    Ok(settled)
}

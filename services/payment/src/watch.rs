//! What operators are told in numbers: payments that a person should look at, and how the provider does. Not what either means: that is the
//! alerts' and the doctor's.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use opentelemetry::KeyValue;
use runtime::Handle;
use runtime::database::{Failure, Is};
use runtime::http::TOTAL_MAX;

use crate::core::Record;
use crate::service::PaymentService;
use crate::store::PAYMENT;

const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Keeps the numbers up to date until the service stops.
pub(crate) async fn tell(handle: Handle<PaymentService>) {
    let waiting = handle.gauge(
        "payments_need_attention",
        "Payments that a person should look at; 10000 stands for as many or more",
    );
    let oldest = handle.gauge(
        "payments_need_attention_seconds",
        "For how long the first of them has waited for a person; 0 where none does",
    );
    let mut of_provider = BTreeMap::new();
    let provider = Arc::clone(handle.service().provider());
    loop {
        // So that it is known to be back without a trip that waits for it.
        provider.probe().await;
        if let Ok((count, seconds)) = attention(&handle).await {
            waiting.record(count, &[]);
            oldest.record(seconds, &[]);
        }
        for measure in provider.measures() {
            let gauge = of_provider
                .entry(measure.name)
                .or_insert_with(|| handle.gauge(measure.name, "What the payment provider does"));
            let label = measure
                .label
                .map(|(name, value)| KeyValue::new(name, value));
            gauge.record(measure.value, label.as_slice());
        }
        tokio::select! {
            () = handle.stopping() => return,
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
    }
}

/// How many need a person, and for how many seconds the first of them has.
async fn attention(handle: &Handle<PaymentService>) -> Result<(u64, u64), Failure> {
    let now_us = Timestamp::now().as_microsecond();
    let due = || {
        let payments = handle.database().select(PAYMENT);
        payments.only("attention_us", Is::AtMost, now_us)
    };
    let count = due().most(TOTAL_MAX).count().await?;
    let first: Vec<Record> = due().order(&["attention_us"]).most(1).rows().await?;
    let since_us = first.first().and_then(|first| first.attention_us);
    let seconds = since_us.map_or(0, |since_us| (now_us - since_us) / 1_000_000);
    Ok((
        u64::try_from(count).unwrap_or(0),
        u64::try_from(seconds).unwrap_or(0),
    ))
}

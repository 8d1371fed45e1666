//! The payment leg as an image, joined to a stack that runs: started by its profile, with a provider beside it that moves no money.

use std::time::Instant;

use booking::core::State;
use e2e_tests::compose::Stack;
use e2e_tests::eventually;
use e2e_tests::trip::{Asked, flight, trip};
use serde_json::json;

use crate::tell;

/// A flight that is paid for with one of the provider's test cards.
fn paid_with(method: &str) -> Asked {
    trip([
        flight("RT100", 1),
        json!({"leg": "payment", "method": method}),
    ])
}

pub(crate) async fn a_leg_of_its_own_image_joins_and_is_paid(stack: &mut Stack) {
    let begun = Instant::now();
    stack.add(&["payment", "sandbox"]);
    stack.until_healthy().await;
    let client = stack.client();
    eventually("the payment leg has joined", async || {
        let asked = client.request(reqwest::Method::GET, "booking", "/legs");
        let answer = client.try_send(asked).await?;
        answer.text.contains("\"payment\"").then_some(())
    })
    .await;
    client.seats("RT100", 100_000).await;
    let paid = client.book(&paid_with("pm_card_visa")).await;
    assert_eq!(paid.state, State::Confirmed, "{paid:?}");
    let declined = client.book(&paid_with("pm_card_chargeDeclined")).await;
    let declined = client.until_state(declined.trip, State::Closed).await;
    let reason = declined.reason.as_ref().map(|reason| reason.code.as_str());
    assert_eq!(reason, Some("declined"), "{declined:?}");
    let report = stack.audit().await;
    assert!(report.is_clean(), "{report}");
    tell(
        "a leg joins as an image",
        begun,
        "one trip paid for, one brought back by a declined card; audit clean",
    );
}

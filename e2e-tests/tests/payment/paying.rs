//! Where the provider is well: trips that are paid for, declined, and paid back.

use booking::core::{Outcome, Settled, State};
use e2e_tests::{Stock, World, on_both_databases};

use super::{open, paid, reconcile};

on_both_databases![
    a_trip_is_paid_for_and_paid_back_when_it_is_canceled,
    a_declined_card_brings_back_the_flight_and_the_hotel,
];

async fn a_trip_is_paid_for_and_paid_back_when_it_is_canceled(world: &mut World) {
    let sandbox = open(world).await;
    let kept = world.book(&paid("pm_card_visa")).await;
    let other = world.book(&paid("pm_card_mastercard")).await;
    assert_eq!(
        (kept.state, other.state),
        (State::Confirmed, State::Confirmed)
    );
    reconcile(&sandbox, &[kept.clone(), other.clone()]).await;
    let other = world.cancel(other.trip).await;
    reconcile(&sandbox, &[kept, other]).await;
    world.until_flight("RT100", Stock::of(0, 1, 99_999)).await;
}

async fn a_declined_card_brings_back_the_flight_and_the_hotel(world: &mut World) {
    let sandbox = open(world).await;
    for (card, code) in [
        ("pm_card_chargeDeclined", "declined"),
        (
            "pm_card_chargeDeclinedInsufficientFunds",
            "insufficient-funds",
        ),
        ("pm_card_chargeDeclinedExpiredCard", "expired-card"),
        ("pm_card_threeDSecure2Required", "authentication-required"),
        ("pm_card_nobodys", "unknown-payment-method"),
    ] {
        let view = world.book(&paid(card)).await;
        assert_eq!(view.state, State::Closed, "{card}");
        assert_eq!(view.outcome, Some(Outcome::Rejected), "{card}");
        assert_eq!(view.reason.as_ref().unwrap().code, code, "{card}");
        let back = [Settled::Released, Settled::Released, Settled::Rejected];
        assert_eq!(view.settled, back.map(Some), "{card}");
        reconcile_one(&sandbox, view).await;
    }
    world.until_flight("RT100", Stock::all_free(100_000)).await;
}

/// One of several trips: what the provider has of the others is theirs.
async fn reconcile_one(sandbox: &e2e_tests::Sandbox, view: booking::view::TripView) {
    let trip = view.trip.to_string();
    let listed = sandbox.payments().await;
    let its: Vec<_> = listed
        .into_iter()
        .filter(|it| it.trip.as_ref() == Some(&trip))
        .collect();
    assert!(its.iter().all(|it| it.captured_minor == 0), "{its:?}");
}

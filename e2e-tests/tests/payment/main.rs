//! The payment leg in whole trips: it holds, takes and gives back the money of others at a provider of its own process, which loses, delays,
//! refuses and forgets. At each end our records and the provider's list agree to the cent. What each state does with each word, the core's
//! tests have; every order of events, the model.
#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

mod failures;
mod many;
mod outage;

use std::collections::BTreeSet;

use booking::core::{Outcome, Settled, State};
use choreography::TripId;
use e2e_tests::sandbox::Sandbox;
use e2e_tests::trip::{Asked, ROOM_PRICE, SEAT_PRICE, flight, stay, trip};
use e2e_tests::{Stock, World, eventually, on_both_databases, on_one_database, program};
use payment::provider::{Listed, Stage};
use reqwest::Method;
use serde_json::{Value, json};

on_both_databases![
    a_trip_is_paid_for,
    a_declined_card_brings_the_trip_back,
    what_was_paid_is_refunded_when_the_trip_is_cancelled,
    a_hold_is_let_go_when_the_deadline_passes_first,
];

mod sqlite_alone {
    use e2e_tests::Engine::Sqlite;

    super::on_one_database!(what_cannot_be_paid_is_refused_at_its_turn, Sqlite);
    super::on_one_database!(a_lapse_behind_the_pivot_needs_a_person, Sqlite);
    super::on_one_database!(
        a_refused_capture_needs_a_person_and_comes_back_when_cancelled,
        Sqlite
    );
}

const COSTS: i64 = SEAT_PRICE + ROOM_PRICE;

fn payment(method: &str) -> Value {
    json!({"leg": "payment", "method": method})
}

fn paid(method: &str) -> Asked {
    trip([flight("RT100", 1), stay("LIS", 1, 1), payment(method)])
}

/// A provider, and the payment leg at it, in a world with something to book.
async fn house(world: &mut World) -> Sandbox {
    let port = stack::port::free().unwrap().to_string();
    let webhooks = format!("http://127.0.0.1:{port}/webhooks/stripe");
    let provider = Sandbox::start_with(&["--webhook-url", &webhooks]).await;
    let (key, webhook) = (provider.key_file(), provider.webhook_file());
    let settings = [
        ("PORT", port.as_str()),
        ("PROVIDER_URL", &provider.url()),
        ("PROVIDER_KEY_FILE", key.to_str().unwrap()),
        ("PROVIDER_WEBHOOK_SECRET_FILE", webhook.to_str().unwrap()),
        ("PROVIDER_CALLS_PER_S", "1000"),
        ("PROVIDER_PROBE_FIRST_MS", "100"),
        ("PROVIDER_PROBE_MAX_MS", "500"),
        ("PROVIDER_KEY_PROBE_MS", "60000"),
        ("PROVIDER_TIMEOUT_MS", "2000"),
        ("CALL_TIMEOUT_MS", "3000"),
        ("CALL_RETRY_FIRST_MS", "50"),
        ("CALL_RETRY_MAX_MS", "500"),
    ];
    let args = ["serve", "payment"].map(Into::into).to_vec();
    world
        .start_foreign("payment", program(), args, &settings)
        .await;
    world.until_open(&["flight", "hotel", "payment"]).await;
    world.seats("RT100", 500).await;
    world.rooms("LIS", 500).await;
    provider
}

/// The provider's payments of a trip.
async fn payments_of(provider: &Sandbox, trip: TripId) -> Vec<Listed> {
    let mut all = provider.payments().await;
    all.retain(|listed| listed.trip.as_deref() == Some(&trip.to_string()));
    all
}

async fn record(world: &World, trip: TripId) -> Value {
    let payments: Vec<Value> = world.get("payment", &format!("/payments/{trip}")).await;
    assert_eq!(payments.len(), 1, "{payments:?}");
    payments.into_iter().next().unwrap()
}

async fn until_record(world: &World, trip: TripId, state: &str) -> Value {
    eventually(&format!("the payment is {state}"), async || {
        let record = record(world, trip).await;
        (record["state"] == state).then_some(record)
    })
    .await
}

/// Every record of ours against the provider's list, to the cent, and the other way round: what is taken is taken of a confirmed trip, once, and is
/// its price; each confirmed trip that is paid for is there; and of no other trip anything is left. The audit has to say the same.
async fn agrees(world: &World, provider: &Sandbox) {
    world.until_at_rest().await;
    eventually("no call waits", async || {
        let waiting = "select count(*) from call";
        (world.number("payment", waiting).await == 0).then_some(())
    })
    .await;
    let all = provider.payments().await;
    let taken = all.iter().filter(|it| it.stage == Stage::Captured);
    let taken: Vec<&str> = taken.filter_map(|it| it.trip.as_deref()).collect();
    let trips: BTreeSet<&str> = taken.iter().copied().collect();
    assert_eq!(trips.len(), taken.len(), "paid for twice: {all:?}");
    let paid =
        "select count(*) from trip where state = 'confirmed' and itinerary like '%\"payment\"%'";
    let paid = world.number("booking", paid).await;
    assert_eq!(i64::try_from(taken.len()).unwrap(), paid, "{all:?}");
    world.agrees_with(provider).await;
    for listed in all {
        let trip: TripId = listed.trip.as_deref().unwrap().parse().unwrap();
        let view = world.show(trip).await;
        let confirmed = view.state == State::Confirmed;
        let left = listed.captured_minor - listed.refunded_minor;
        let price = view.total.first().map_or(0, |sum| sum.amount_minor);
        assert_eq!(
            left,
            if confirmed { price } else { 0 },
            "{listed:?} {view:?}"
        );
        assert_ne!(listed.stage, Stage::Authorised, "{listed:?} is still held");
        let own = record(world, trip).await;
        assert_eq!(
            own["amount"]["amount_minor"],
            json!(listed.amount_minor),
            "{own}"
        );
        assert_eq!(own["state"] == "captured", confirmed, "{own}");
    }
}

async fn a_trip_is_paid_for(world: &mut World) {
    let mut provider = house(world).await;
    let view = world.book(&paid("pm_card_visa")).await;
    assert_eq!(view.state, State::Confirmed, "{view:?}");
    assert_eq!(
        view.total[0].amount_minor, COSTS,
        "the payment adds nothing"
    );
    let record = until_record(world, view.trip, "captured").await;
    assert_eq!(
        record["amount"],
        json!({"amount_minor": COSTS, "currency": "EUR"})
    );
    let listed = payments_of(&provider, view.trip).await;
    assert_eq!((listed.len(), listed[0].captured_minor), (1, COSTS));
    // Beside it trips without a payment go on as ever.
    let other = world.book(&trip([flight("RT100", 1)])).await;
    assert_eq!(other.state, State::Confirmed);
    agrees(world, &provider).await;
    provider.stop().await;
}

async fn a_declined_card_brings_the_trip_back(world: &mut World) {
    let mut provider = house(world).await;
    for (method, code) in [
        ("pm_card_chargeDeclined", "declined"),
        (
            "pm_card_chargeDeclinedInsufficientFunds",
            "insufficient-funds",
        ),
        ("pm_card_chargeDeclinedExpiredCard", "expired-card"),
    ] {
        let view = world.book(&paid(method)).await;
        assert_eq!(view.outcome, Some(Outcome::Rejected), "{view:?}");
        assert_eq!(view.reason.unwrap().code, code);
        let settled = [Settled::Released, Settled::Released, Settled::Rejected];
        assert_eq!(view.settled, settled.map(Some));
        let listed = eventually("it is closed at the provider", async || {
            let listed = payments_of(&provider, view.trip).await;
            (listed[0].stage == Stage::Voided).then_some(listed)
        })
        .await;
        assert_eq!((listed.len(), listed[0].captured_minor), (1, 0));
    }
    assert_eq!(world.flight("RT100").await, Stock::all_free(500));
    agrees(world, &provider).await;
    provider.stop().await;
}

async fn what_was_paid_is_refunded_when_the_trip_is_cancelled(world: &mut World) {
    let mut provider = house(world).await;
    let view = world.book(&paid("pm_card_visa")).await;
    until_record(world, view.trip, "captured").await;
    let view = world.cancel(view.trip).await;
    assert_eq!(view.state, State::Closed, "{view:?}");
    assert_eq!(view.settled, [Some(Settled::Released); 3]);
    let listed = payments_of(&provider, view.trip).await;
    assert_eq!(
        (listed[0].captured_minor, listed[0].refunded_minor),
        (COSTS, COSTS)
    );
    until_record(world, view.trip, "released").await;
    agrees(world, &provider).await;
    provider.stop().await;
}

/// The provider holds the money and says so too late.
async fn a_hold_is_let_go_when_the_deadline_passes_first(world: &mut World) {
    let mut provider = house(world).await;
    provider
        .throw(json!({"failure": "hang", "only": ["authorise", "read"], "when": "after"}))
        .await;
    let asked = world.ask(&paid("pm_card_visa").deadline_s(12)).await;
    let view = world
        .until(asked.trip, "it expires", |view| {
            view.outcome == Some(Outcome::Expired)
        })
        .await;
    assert_eq!(view.state, State::Undoing, "nobody knows what became of it");
    assert_eq!(view.waiting_for.last().unwrap().leg, "payment");
    provider.mend().await;
    let view = world.until_state(asked.trip, State::Closed).await;
    assert_eq!(view.settled, [Some(Settled::Released); 3]);
    let listed = payments_of(&provider, asked.trip).await;
    assert_eq!((listed.len(), listed[0].stage), (1, Stage::Voided));
    agrees(world, &provider).await;
    provider.stop().await;
}

async fn what_cannot_be_paid_is_refused_at_its_turn(world: &mut World) {
    let mut provider = house(world).await;
    let first = trip([payment("pm_card_visa"), flight("RT100", 1)]);
    let alone = trip([payment("pm_card_visa")]);
    let carded = trip([flight("RT100", 1), payment("4242424242424242")]);
    let nobodys = trip([flight("RT100", 1), payment("pm_card_nobodys")]);
    for (asked, code) in [
        (first, "not-last"),
        (alone, "nothing-to-pay"),
        (carded, "unreadable-details"),
        (nobodys, "unknown-payment-method"),
    ] {
        let view = world.book(&asked).await;
        assert_eq!(view.outcome, Some(Outcome::Rejected), "{code}: {view:?}");
        assert_eq!(view.reason.unwrap().code, code);
    }
    assert_eq!(provider.payments().await, []);
    provider.stop().await;
}

/// Somebody lets go of the money at the provider while booking confirms the trip: firm and unpaid, which a person is told.
async fn a_lapse_behind_the_pivot_needs_a_person(world: &mut World) {
    let mut provider = house(world).await;
    provider
        .throw(json!({"failure": "hang", "only": ["authorise", "read"], "when": "after"}))
        .await;
    let trip = world.ask(&paid("pm_card_visa")).await.trip;
    eventually("its turn has come", async || {
        let asked = world.request(Method::GET, "payment", &format!("/payments/{trip}"));
        (world.send(asked).await.status == 200).then_some(())
    })
    .await;
    until_record(world, trip, "authorising").await;
    world.pause("booking", 0).await;
    provider.mend().await;
    until_record(world, trip, "held").await;
    provider.expire().await;
    let released = until_record(world, trip, "released").await;
    assert_eq!(released["reason"]["code"], "authorisation-expired");
    world.resume("booking", 0).await;
    let unpaid = until_record(world, trip, "unpaid").await;
    assert_eq!(unpaid["needs_attention"], true, "{unpaid}");
    assert_eq!(world.show(trip).await.state, State::Confirmed);
    let view = world.cancel(trip).await;
    assert_eq!(view.state, State::Closed, "{view:?}");
    agrees(world, &provider).await;
    provider.stop().await;
}

async fn a_refused_capture_needs_a_person_and_comes_back_when_cancelled(world: &mut World) {
    let mut provider = house(world).await;
    provider.throw(json!({"failure": "refuse-capture"})).await;
    let view = world.book(&paid("pm_card_visa")).await;
    assert_eq!(view.state, State::Confirmed);
    let record = until_record(world, view.trip, "unpaid").await;
    assert_eq!(record["needs_attention"], true, "{record}");
    let listed: Value = world
        .get("payment", "/payments?needs_attention=true&total=true")
        .await;
    assert_eq!(listed["total"], 1, "{listed}");
    assert_eq!(listed["items"][0]["trip"], json!(view.trip));
    let view = world.cancel(view.trip).await;
    assert_eq!(view.state, State::Closed, "{view:?}");
    let listed: Value = world.get("payment", "/payments?needs_attention=true").await;
    assert_eq!(listed["items"], json!([]));
    let listed: Value = world.get("payment", "/payments?state=released").await;
    assert_eq!(listed["items"][0]["trip"], json!(view.trip));
    agrees(world, &provider).await;
    provider.stop().await;
}

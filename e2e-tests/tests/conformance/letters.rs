//! Dead letters that are put away: in one transaction with what is heard of them, by one replica alone, and into a past that ends.

use std::collections::BTreeSet;
use std::sync::Arc;

use choreography::{Fact, FactBody};
use flight::Flight;
use leg::service::LegService;
use runtime::batch::Step;
use runtime::database::queries;
use runtime::dead_letters::{DEAD_LETTER_PAST, DeadLetter, Fate, Outcome};
use uuid::Uuid;

use crate::place::*;

type Flights = Replica<LegService<Flight>>;

/// A letter that lies there, with this id.
async fn buried(flight: &Flights, about: &str) -> String {
    let message = async_nats::Message {
        subject: "trips.booking.requested.flight".into(),
        reply: None,
        payload: "what came".into(),
        headers: None,
        status: None,
        description: None,
        length: 0,
    };
    let letter = DeadLetter {
        aggregateid: about.into(),
        ..DeadLetter::of(&message, "it is junk")
    };
    let id = letter.id.clone();
    let step = Step::DeadLetter(Box::new(letter));
    flight.transactor.run(&[step], &[]).await.unwrap();
    id
}

fn fate(id: &str, outcome: Outcome) -> Fate {
    Fate {
        id: id.to_owned(),
        outcome,
        by: "ada".into(),
        why: "a test".into(),
    }
}

fn discarded(id: &str) -> Step<LegService<Flight>> {
    Step::Letter(fate(id, Outcome::Discarded), None)
}

fn replayed(id: &str, heard_id: Uuid, fact: &Fact) -> Step<LegService<Flight>> {
    let fact = heard_as(heard_id, fact.clone());
    Step::Letter(fate(id, Outcome::Replayed), Some(Box::new(fact)))
}

async fn past(flight: &Flights) -> Vec<String> {
    let sql = "select outcome || ' ' || who || ' ' || why || ' ' || payload from dead_letter_past order by id";
    flight.texts(sql).await
}

pub(crate) async fn a_letter_that_is_replayed_twice_has_its_effect_once(place: Place) {
    let flight = place.flight().await;
    flight.stock(10).await;
    let letter = buried(&flight, "a").await;
    let other = buried(&flight, "b").await;
    // In one batch, and in the next. Neither the inbox nor a record that is there already may be what stops the second.
    let again = || {
        replayed(
            &letter,
            Uuid::now_v7(),
            &fact(trip(), 3, FactBody::Requested),
        )
    };
    let done = flight
        .transactor
        .run(&[again(), again()], &[])
        .await
        .unwrap();
    assert_eq!((done.said.len(), done.too_late), (1, BTreeSet::from([1])));
    let done = flight.transactor.run(&[again()], &[]).await.unwrap();
    assert_eq!((done.said.len(), done.too_late), (0, BTreeSet::from([0])));
    assert_eq!(flight.counts().await, ["3 0 7"]);
    assert_eq!(past(&flight).await, ["replayed ada a test what came"]);
    let left = flight.texts("select id from dead_letter").await;
    assert_eq!(left, [other]);
}

pub(crate) async fn what_is_not_committed_leaves_the_letter_where_it_was(place: Place) {
    let flight = place.flight().await;
    flight.stock(10).await;
    let letter = buried(&flight, "a").await;
    let requested = fact(trip(), 3, FactBody::Requested);
    let steps = [replayed(&letter, Uuid::now_v7(), &requested)];
    drop(flight.transactor.open(&steps, &[]).await.unwrap());
    let flight = place.flight().await;
    assert_eq!(flight.number("select count(*) from dead_letter").await, 1);
    assert_eq!(past(&flight).await, [""; 0]);
    assert_eq!(flight.counts().await, ["0 0 10"]);
}

/// One discards while another replays. Who comes second does nothing at all: not even the inbox knows that fact, which may still come.
pub(crate) async fn two_replicas_meet_on_one_letter(place: Place) {
    let (first, second) = (place.flight().await, place.flight().await);
    first.stock(10).await;
    let letter = buried(&first, "a").await;
    let (heard_id, requested) = (Uuid::now_v7(), fact(trip(), 3, FactBody::Requested));
    let steps = [replayed(&letter, heard_id, &requested)];
    let transactor = Arc::clone(&second.transactor);
    let replaying = async move { transactor.run(&steps, &[]).await.unwrap().too_late };
    let too_late = meet(&first, discarded(&letter), replaying).await;
    assert_eq!(too_late, BTreeSet::from([0]));
    assert_eq!(past(&first).await, ["discarded ada a test what came"]);
    assert_eq!(first.counts().await, ["0 0 10"]);
    let from_the_broker = [heard_as(heard_id, requested)];
    second.transactor.run(&from_the_broker, &[]).await.unwrap();
    assert_eq!(first.counts().await, ["3 0 7"], "it was not heard before");
}

pub(crate) async fn the_past_of_dead_letters_ends_after_thirty_days(place: Place) {
    let flight = place.flight().await;
    let letter = buried(&flight, "a").await;
    flight
        .transactor
        .run(&[discarded(&letter)], &[])
        .await
        .unwrap();
    let forget = async |days: i64| {
        let at_us = jiff::Timestamp::now().as_microsecond() + days * 86_400_000_000;
        queries::forget_rows(&flight.database, DEAD_LETTER_PAST, at_us)
            .await
            .unwrap()
    };
    assert_eq!((forget(29).await, forget(31).await), (0, 1));
    assert_eq!(past(&flight).await, [""; 0]);
}

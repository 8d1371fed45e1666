//! The payment provider's client against a provider that is a process of its own, and breaks in every way in which a third party does: each row of
//! the table of failures in `docs/payment.md` has its test here, by name. What trips make of it is in `payment`.
#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

mod cards;
mod down;
mod expiring;
mod keys;
mod many;
mod newly;
mod pace;
mod secrets;
mod unknown;
mod unreachable;
mod unreadable;
mod webhooks;

use std::sync::Arc;
use std::time::{Duration, Instant};

use choreography::TripId;
use e2e_tests::Sandbox;
use payment::core::{Answer, Purpose, Request};
use payment::provider::{Listed, Provider, ProviderSettings, Stage};
use runtime::Attempt;
use tokio::sync::Semaphore;

/// How long anything may take that should happen soon.
const PATIENCE: Duration = Duration::from_secs(40);

/// So many calls are under way at once, as CALLS_MAX has it in the service.
static AT_ONCE: Semaphore = Semaphore::const_new(32);

/// One trip's payment, as the core would drive it.
#[derive(Clone, Debug)]
struct Payment {
    trip: TripId,
    intent: Option<String>,
    method: &'static str,
    amount_minor: i64,
}

impl Payment {
    fn of(method: &'static str) -> Self {
        Self {
            trip: uuid::Uuid::now_v7().into(),
            intent: None,
            method,
            amount_minor: 12_300,
        }
    }

    fn request(&self, purpose: Purpose) -> Request {
        let trip = self.trip;
        Request {
            purpose,
            key: format!("{trip}-2-{}", purpose.as_str()),
            trip,
            position: 2,
            intent: self.intent.clone(),
            amount_minor: self.amount_minor,
            currency: String::from("EUR"),
            method: self.method.to_owned(),
        }
    }

    /// Opened, at a provider that is well.
    async fn opened(method: &'static str, provider: &Provider) -> Self {
        let mut payment = Self::of(method);
        payment.open(provider).await;
        payment
    }

    async fn open(&mut self, provider: &Provider) {
        match settle(provider, &self.request(Purpose::Open)).await {
            Answer::Opened { intent } => self.intent = Some(intent),
            other => panic!("{other:?}"),
        }
    }

    /// Opened and held.
    async fn held(provider: &Provider) -> Self {
        let payment = Self::opened("pm_card_visa", provider).await;
        payment
            .expect(provider, Purpose::Authorise, Answer::Authorised)
            .await;
        payment
    }

    async fn once(&self, provider: &Provider, purpose: Purpose) -> Attempt<Answer> {
        provider.perform(&self.request(purpose)).await
    }

    async fn settle(&self, provider: &Provider, purpose: Purpose) -> Answer {
        settle(provider, &self.request(purpose)).await
    }

    async fn expect(&self, provider: &Provider, purpose: Purpose, answer: Answer) {
        assert_eq!(self.settle(provider, purpose).await, answer, "{purpose:?}");
    }
}

/// Tries until there is an answer, as the runtime does, in less time.
async fn settle(provider: &Provider, request: &Request) -> Answer {
    let until = Instant::now() + PATIENCE;
    let mut last = None;
    while Instant::now() < until {
        if provider.calls_now() > 0 {
            let _place = AT_ONCE.acquire().await.unwrap();
            match provider.perform(request).await {
                Attempt::Answered(answer) => return answer,
                other => last = Some(other),
            }
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!(
        "no answer to {request:?}: {last:?} {:?}",
        provider.problems()
    );
}

fn provider(settings: &ProviderSettings) -> Arc<Provider> {
    Provider::new(settings).unwrap()
}

/// That nothing is known, and why.
fn again(attempt: Attempt<Answer>) -> (String, Option<Duration>) {
    match attempt {
        Attempt::Again { why, after } => (why, after),
        other => panic!("{other:?}"),
    }
}

fn kinds(provider: &Provider) -> Vec<&'static str> {
    provider.problems().iter().map(|it| it.kind).collect()
}

fn measure(provider: &Provider, name: &str, label: Option<&str>) -> u64 {
    let all = provider.measures();
    let found = all
        .iter()
        .find(|it| it.name == name && it.label.map(|it| it.1) == label);
    found.unwrap().value
}

/// What the provider has of a trip. Of several payments at most one may ever have held money.
async fn stage(sandbox: &Sandbox, trip: TripId) -> Stage {
    let all = sandbox.payments().await;
    let trip = trip.to_string();
    let its: Vec<&Listed> = all
        .iter()
        .filter(|it| it.trip.as_ref() == Some(&trip))
        .collect();
    let mut held = its.iter().filter(|it| it.stage != Stage::Open);
    let first = held.next().map_or(Stage::Open, |it| it.stage);
    assert!(held.next().is_none(), "more than one: {its:?}");
    assert!(!its.is_empty());
    first
}

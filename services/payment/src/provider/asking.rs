//! The exchanges of one attempt, and what each of them says of the provider: whether it is up, takes the key, is content with the pace, and can be
//! read. Not what they say of the call: see `perform`.

use reqwest::Method;
use runtime::Attempt;
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use super::Provider;
use super::breaker::Permit;
use super::exchange::Asking;
use super::keep;
use super::key::Key;
use super::perform::{Failed, SOON, again};
use super::policy::Policy;
use super::state::Outcome;
use crate::core::call::{Answer, Request};

/// Of the time for a call, the part that its first request may take: the rest is for reading back what became of it.
const FIRST_PART: f64 = 0.7;

/// A way to the provider that was open when it was begun.
pub(super) struct Line<'a> {
    pub(super) provider: &'a Provider,
    key: Key,
    permit: Permit<'a>,
}

/// One attempt under way.
pub(super) struct Run<'a> {
    line: Line<'a>,
    pub(super) provider: &'a Provider,
    pub(super) request: &'a Request,
    begun: Instant,
}

/// An object, and the text that it was read from.
pub(super) struct Told<T> {
    pub(super) value: T,
    pub(super) body: Vec<u8>,
    /// It is what was answered under this idempotency key before, and may be out of date.
    pub(super) is_old: bool,
}

/// What an exchange was, and so how much it says of whether the provider does anything.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Weight {
    /// Something was to be done.
    Deed,
    /// Something was read.
    Question,
    /// What came was said once before, of something that was to be done then.
    Old,
}

impl<'a> Line<'a> {
    /// Begins, if anything may begin; else says why not. It awaits nothing.
    pub(super) fn begin(provider: &'a Provider) -> Result<Self, Attempt<Answer>> {
        let mut permit = provider.breaker.begin().map_err(|left| {
            again(
                "waiting",
                "the provider is down, and was not asked",
                Some(left),
            )
        })?;
        if let Err(left) = provider.pace.take() {
            permit.is_not_used();
            return Err(again("waiting", "others go before it", Some(left)));
        }
        match provider.keys.take() {
            Ok(key) => Ok(Self {
                provider,
                key,
                permit,
            }),
            Err(refusal) => {
                permit.is_not_used();
                // It may be another key at any moment, and then nobody should have to wait.
                let left = refusal.pause().min(SOON);
                Err(again("key-refused", &refusal.why, Some(left)))
            }
        }
    }

    /// Asks once, and notes what that says of the provider.
    pub(super) async fn ask<T: DeserializeOwned>(
        &mut self,
        purpose: &'static str,
        asking: Asking<'_>,
    ) -> Result<Told<T>, Failed> {
        let told = self
            .provider
            .wire
            .ask(&asking, self.key.bearer.clone())
            .await;
        let policy = Policy::of(&told);
        let (body, id, is_old) = match told {
            Ok(reply) => {
                let says = |name| reply.headers.get(name).and_then(|it| it.to_str().ok());
                let id = says("request-id").map(str::to_owned);
                let is_old = says("idempotent-replayed") == Some("true");
                (reply.body, id, is_old)
            }
            Err(_) => (Vec::new(), None, false),
        };
        let weight = match (is_old, &asking.method) {
            (true, _) => Weight::Old,
            (false, method) if method == Method::GET => Weight::Question,
            (false, _) => Weight::Deed,
        };
        let read = match policy {
            Policy::Read => serde_json::from_slice::<T>(&body).map_err(|error| {
                // Where it stands and what was expected; the error may quote, the place does not.
                let (line, column) = (error.line(), error.column());
                Policy::Unreadable(format!(
                    "an answer of another format than expected, at line {line}, column {column}"
                ))
            }),
            other => Err(other),
        };
        match read {
            Ok(value) => {
                self.provider.tally.readable(purpose);
                self.is_well(weight);
                tracing::debug!(purpose, id, "the payment provider answered");
                Ok(Told {
                    value,
                    body,
                    is_old,
                })
            }
            Err(policy) => {
                tracing::debug!(
                    purpose,
                    id,
                    ?policy,
                    "the payment provider answered otherwise"
                );
                self.note(&policy, purpose, weight);
                let body = self.fit(body);
                Err(Failed { policy, body })
            }
        }
    }

    /// As much of an answer as may be kept.
    fn fit(&self, body: Vec<u8>) -> Vec<u8> {
        let webhook = self.provider.webhook_secret.as_ref();
        let webhook = webhook.and_then(|secret| secret.now().ok());
        let mut secrets = vec![self.key.secret.clone()];
        secrets.extend(webhook);
        keep::fit(body, &secrets)
    }

    /// The provider is up, takes the key, and takes it all as fast as it comes.
    fn is_well(&mut self, weight: Weight) {
        self.is_up(weight);
        self.provider.keys.accepted(&self.key);
        self.provider.pace.content();
    }

    fn is_up(&mut self, weight: Weight) {
        match weight {
            Weight::Deed => self.permit.is_up(),
            Weight::Question | Weight::Old => self.permit.answers(),
        }
    }

    /// What a failed exchange says of the provider.
    fn note(&mut self, policy: &Policy, purpose: &'static str, weight: Weight) {
        let tally = &self.provider.tally;
        match policy {
            Policy::Read | Policy::No { .. } => {
                tally.exchange(Outcome::No);
                tally.allowed(purpose);
                self.is_well(weight);
            }
            // An old answer: how the provider does by now is not in it.
            Policy::Unknown { .. } if weight == Weight::Old => {
                tally.exchange(Outcome::Unknown);
                self.permit.answers();
            }
            Policy::NotSent(why) => {
                tally.exchange(Outcome::NotSent);
                self.permit.is_down(why, None);
            }
            Policy::Unknown { why, .. } => {
                tally.exchange(Outcome::Unknown);
                self.permit.is_down(why, None);
            }
            Policy::Down(asked) => {
                tally.exchange(Outcome::Down);
                self.permit.is_down("it says that it is down", *asked);
            }
            Policy::TooFast(asked) => {
                tally.exchange(Outcome::TooFast);
                self.is_up(weight);
                self.provider.pace.slow_down(*asked);
            }
            Policy::InProgress(_) => {
                tally.exchange(Outcome::InProgress);
                self.is_up(weight);
            }
            Policy::Key(why) => {
                tally.exchange(Outcome::Key);
                self.permit.answers();
                self.provider.keys.refused(&self.key, why.clone());
            }
            Policy::NotAllowed => {
                tally.not_allowed(purpose);
                self.permit.answers();
                self.provider.keys.accepted(&self.key);
            }
            Policy::Unreadable(why) => {
                tally.unreadable(why);
                self.permit.is_down("it answers what nobody can read", None);
            }
        }
    }
}

impl<'a> Run<'a> {
    /// Begins an attempt, if one may begin; else says why not. It awaits nothing.
    pub(super) fn begin(
        provider: &'a Provider,
        request: &'a Request,
    ) -> Result<Self, Attempt<Answer>> {
        Ok(Self {
            line: Line::begin(provider)?,
            provider,
            request,
            begun: Instant::now(),
        })
    }

    pub(super) async fn post<T: DeserializeOwned>(
        &mut self,
        path: &[&str],
        fields: &[(&str, &str)],
        idempotency_key: &str,
    ) -> Result<Told<T>, Failed> {
        let until = self.begun + self.provider.within.mul_f64(FIRST_PART);
        let purpose = self.request.purpose.as_str();
        let asking = Asking {
            method: Method::POST,
            path,
            fields,
            idempotency_key: Some(idempotency_key),
            until,
        };
        self.line.ask(purpose, asking).await
    }

    pub(super) async fn get<T: DeserializeOwned>(
        &mut self,
        path: &[&str],
        fields: &[(&str, &str)],
    ) -> Result<Told<T>, Failed> {
        // It belongs to a call that was let in: it takes of the pace what there is, and does not wait for more.
        let _ = self.provider.pace.take();
        let purpose = self.request.purpose.as_str();
        let asking = Asking {
            method: Method::GET,
            path,
            fields,
            idempotency_key: None,
            until: self.begun + self.provider.within,
        };
        self.line.ask(purpose, asking).await
    }

    /// Something came that nobody can read, or that cannot be true: it is kept, and never guessed at.
    pub(super) fn unreadable(&mut self, body: Vec<u8>, why: &str) -> Attempt<Answer> {
        let purpose = self.request.purpose.as_str();
        let policy = Policy::Unreadable(why.to_owned());
        self.line.note(&policy, purpose, Weight::Deed);
        Attempt::Unreadable {
            body: self.line.fit(body),
            why: why.to_owned(),
        }
    }
}

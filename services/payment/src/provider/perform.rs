//! One attempt at a call: ask, judge, read back what is not known, and say what is known afterwards. What happens is judged in `policy` and
//! `judge`; here is only what follows.
//!
//! What keeps an effect to one: the provider's idempotency key, and beneath it the payment's own state, which can be authorised, captured, voided
//! and refunded in whole only once. So a key that is forgotten, or one that keeps an answer which is none, costs a question and no second effect.

use std::time::Duration;

use runtime::Attempt;

use super::asking::{Run, Told};
use super::judge::{Meaning, meaning, mismatch};
use super::policy::Policy;
use super::wire::{Failure, Intent};
use super::{Provider, money, reasons};
use crate::core::call::{Answer, Purpose, Request};

/// How many keys are tried in one attempt, each after the one before it kept an answer that is none: the call's own, one derived from it, and one
/// that nobody has used. The last is new each time, or a call would be stuck for as long as the provider keeps what it said to all the others.
const KEYS_MAX: u32 = 3;
/// How soon a call is tried again that only had to wait: when calls may begin at all is said elsewhere.
pub(super) const SOON: Duration = Duration::from_secs(1);

/// What follows from an exchange.
enum Next {
    Done(Attempt<Answer>),
    /// The key in use only brings its old answer, and nothing was done: the same once more under another one.
    OtherKey,
}

impl Provider {
    /// One attempt at a call. It may be dropped at any point: then nothing is known of it, as after any silence.
    pub async fn perform(&self, request: &Request) -> Attempt<Answer> {
        // All that bounds calls is taken before anything is awaited, so that nobody else is promised the same.
        let amount = match money::to_stripe(request.amount_minor, &request.currency) {
            Ok(amount) => amount.to_string(),
            Err(reason) => return Attempt::Answered(Answer::Refused { reason }),
        };
        let mut run = match Run::begin(self, request) {
            Ok(run) => run,
            Err(attempt) => return attempt,
        };
        let mut key = request.key.clone();
        for other in 1..=KEYS_MAX {
            match run.once(&key, &amount).await {
                Next::Done(attempt) => return attempt,
                Next::OtherKey if other + 1 < KEYS_MAX => key = format!("{}+{other}", request.key),
                Next::OtherKey => key = format!("{}+{:016x}", request.key, fastrand::u64(..)),
            }
        }
        again("broken", "whatever is asked, an old answer comes", None)
    }
}

impl Run<'_> {
    async fn once(&mut self, key: &str, amount: &str) -> Next {
        let request = self.request;
        let intent = request.intent.as_deref().unwrap_or_default();
        let told = match request.purpose {
            Purpose::Open => self.open(key, amount).await,
            Purpose::Authorise => {
                // Nobody is there to confirm it at their bank: better a no at once.
                let fields = [("error_on_requires_action", "true")];
                self.act(intent, "confirm", &fields, key).await
            }
            Purpose::Capture => self.act(intent, "capture", &[], key).await,
            Purpose::Void => self.act(intent, "cancel", &[], key).await,
            Purpose::Refund => {
                return match self.refund(intent, key).await {
                    Ok(told) => Next::Done(self.refunded(told).await),
                    Err(failed) => self.follow(failed).await,
                };
            }
        };
        match told {
            Ok(told) => Next::Done(self.conclude(told).await),
            Err(failed) => self.follow(failed).await,
        }
    }

    async fn open(&mut self, key: &str, amount: &str) -> Result<Told<Intent>, Failed> {
        let request = self.request;
        let currency = request.currency.to_ascii_lowercase();
        let (trip, position) = (request.trip.to_string(), request.position.to_string());
        let fields = [
            ("amount", amount),
            ("currency", &currency),
            ("capture_method", "manual"),
            ("payment_method", &request.method),
            ("payment_method_types[]", "card"),
            ("metadata[trip]", &trip),
            ("metadata[position]", &position),
        ];
        self.post(&["v1", "payment_intents"], &fields, key).await
    }

    async fn act(
        &mut self,
        intent: &str,
        what: &str,
        fields: &[(&str, &str)],
        key: &str,
    ) -> Result<Told<Intent>, Failed> {
        let path = ["v1", "payment_intents", intent, what];
        self.post(&path, fields, key).await
    }

    /// What a payment that came back as the answer means.
    async fn conclude(&mut self, told: Told<Intent>) -> Attempt<Answer> {
        if let Some(why) = mismatch(self.request, &told.value) {
            return self.unreadable(told.body, &why);
        }
        match meaning(self.request.purpose, &told.value) {
            Meaning::Answered(answer) => Attempt::Answered(answer),
            Meaning::Waiting => again("in-progress", "the provider is at it", Some(SOON)),
            Meaning::Abandoned => self.abandon().await,
            Meaning::Undone => {
                let why = "it says yes, and the payment is as it was";
                self.unreadable(told.body, why)
            }
        }
    }

    /// What follows where no payment came back.
    async fn follow(&mut self, Failed { policy, body }: Failed) -> Next {
        Next::Done(match policy {
            Policy::No { failure, is_final } => return self.no(failure, is_final, body).await,
            Policy::Unknown { why, is_final } => return self.unknown(&why, is_final).await,
            Policy::NotSent(why) => again("unreachable", &why, None),
            Policy::Down(asked) => {
                let open = self.provider.breaker.begin_in().max(asked);
                again("down", "the provider is down for a while", open)
            }
            Policy::TooFast(asked) => {
                let rest = asked.unwrap_or(SOON);
                again(
                    "slowed-down",
                    "the provider was asked too often",
                    Some(rest),
                )
            }
            Policy::InProgress(soon) => again("in-progress", "the provider is at it", Some(soon)),
            Policy::Key(why) => again("key-refused", &why, Some(SOON)),
            Policy::NotAllowed => self.not_allowed(),
            Policy::Read => self.unreadable(body, "it is not what it has to be"),
            // It was counted when it came.
            Policy::Unreadable(why) => Attempt::Unreadable { body, why },
        })
    }

    /// The provider said no.
    async fn no(&mut self, failure: Failure, is_final: bool, body: Vec<u8>) -> Next {
        let purpose = self.request.purpose;
        let is_card = failure.kind == "card_error";
        if is_card && matches!(purpose, Purpose::Open | Purpose::Authorise) {
            let reason = reasons::declined(&failure);
            return Next::Done(Attempt::Answered(Answer::Declined { reason }));
        }
        let reason = reasons::refused(&failure);
        if purpose == Purpose::Open {
            return Next::Done(Attempt::Answered(Answer::Refused { reason }));
        }
        if failure.code() == "resource_missing" {
            let why = "the provider does not know a payment that it made; is the key that of another account?";
            return Next::Done(self.unreadable(body, why));
        }
        // The payment may be further than we know, and that is why it says no.
        Next::Done(match self.read_back().await {
            Err(attempt) => attempt,
            Ok(Meaning::Answered(answer)) => Attempt::Answered(answer),
            Ok(Meaning::Waiting) => again("in-progress", "the provider is at it", Some(SOON)),
            Ok(Meaning::Abandoned) => self.abandon().await,
            // Letting go is not for the provider to refuse: again, for ever.
            Ok(Meaning::Undone) if purpose == Purpose::Void && is_final => return Next::OtherKey,
            Ok(Meaning::Undone) if purpose == Purpose::Void => {
                again("refused", &reason.message, None)
            }
            Ok(Meaning::Undone) if failure.code() == "payment_intent_unexpected_state" => {
                if is_final {
                    return Next::OtherKey;
                }
                again("in-progress", "its state changes just now", Some(SOON))
            }
            Ok(Meaning::Undone) => Attempt::Answered(Answer::Refused { reason }),
        })
    }

    /// It was sent, and what became of it is not known.
    async fn unknown(&mut self, why: &str, is_final: bool) -> Next {
        if self.request.purpose == Purpose::Open {
            // Nothing is held by it: one more that nobody goes on with is no second authorisation.
            return match is_final {
                true => Next::OtherKey,
                false => Next::Done(again("timed-out", why, None)),
            };
        }
        Next::Done(match self.read_back().await {
            Err(attempt) => attempt,
            Ok(Meaning::Answered(answer)) => Attempt::Answered(answer),
            Ok(Meaning::Abandoned) => self.abandon().await,
            Ok(Meaning::Undone) if is_final => return Next::OtherKey,
            Ok(Meaning::Undone | Meaning::Waiting) => again("timed-out", why, None),
        })
    }

    /// The payment as the provider has it now.
    async fn read_back(&mut self) -> Result<Meaning, Attempt<Answer>> {
        let intent = self.request.intent.as_deref().unwrap_or_default();
        let path = ["v1", "payment_intents", intent];
        let fields = [("expand[]", "latest_charge")];
        match self.get::<Intent>(&path, &fields).await {
            Ok(told) => match mismatch(self.request, &told.value) {
                Some(why) => Err(self.unreadable(told.body, &why)),
                None => match meaning(self.request.purpose, &told.value) {
                    Meaning::Answered(Answer::Refunded) => self.refunds_are_over().await,
                    other => Ok(other),
                },
            },
            Err(failed) => Err(self.not_read_back(failed)),
        }
    }

    /// What could not be read back.
    pub(super) fn not_read_back(&mut self, Failed { policy, body }: Failed) -> Attempt<Answer> {
        match policy {
            Policy::Unreadable(why) => Attempt::Unreadable { body, why },
            Policy::No { .. } => {
                let why = "the provider does not show a payment that it made";
                self.unreadable(body, why)
            }
            Policy::Key(why) => again("key-refused", &why, Some(SOON)),
            Policy::NotAllowed => self.not_allowed(),
            _ => again(
                "timed-out",
                "what became of it cannot be read back now",
                None,
            ),
        }
    }

    /// This call waits for a key that may do it; others need not.
    fn not_allowed(&self) -> Attempt<Answer> {
        let purpose = self.request.purpose.as_str();
        again(
            "not-allowed",
            &format!("the key may not {purpose}, or not read back what became of it"),
            None,
        )
    }

    /// The provider waits for somebody who will not come: the payment is canceled, so that it cannot be authorised later, behind our back.
    async fn abandon(&mut self) -> Attempt<Answer> {
        let intent = self.request.intent.clone().unwrap_or_default();
        let key = format!("{}-abandon", self.request.key);
        let canceled = self.act(&intent, "cancel", &[], &key).await;
        let is_void = |told: &Told<Intent>| {
            meaning(Purpose::Void, &told.value) == Meaning::Answered(Answer::Voided)
        };
        match canceled {
            Ok(told) if is_void(&told) => Attempt::Answered(Answer::Declined {
                reason: reasons::authentication_required(),
            }),
            _ => again(
                "in-progress",
                "it is canceled, for nobody is there to confirm it",
                Some(SOON),
            ),
        }
    }
}

/// Why an exchange brought no object.
pub(super) struct Failed {
    pub(super) policy: Policy,
    pub(super) body: Vec<u8>,
}

/// That nothing is known: a word for programs, and why.
pub(super) fn again(word: &str, why: &str, after: Option<Duration>) -> Attempt<Answer> {
    Attempt::Again {
        why: format!("{word}: {why}"),
        after,
    }
}

//! Giving back what was taken. A refund is its own object at the provider, which may be under way for days, and may fail when all seemed well: so
//! only what it is *now* counts, and never what was said when it was asked for.

use runtime::Attempt;

use super::asking::{Run, Told};
use super::judge::Meaning;
use super::perform::{Failed, again};
use super::reasons;
use super::wire::{Failure, Progress, Refund, Refunds};
use crate::core::call::Answer;

impl Run<'_> {
    /// Asks for all of it back. It is marked as ours, as the payment is: what becomes of it later is told by webhooks.
    pub(super) async fn refund(&mut self, intent: &str, key: &str) -> Result<Told<Refund>, Failed> {
        let (trip, position) = (
            self.request.trip.to_string(),
            self.request.position.to_string(),
        );
        let fields = [
            ("payment_intent", intent),
            ("metadata[trip]", &trip),
            ("metadata[position]", &position),
        ];
        self.post(&["v1", "refunds"], &fields, key).await
    }

    /// What a refund that came back as the answer means.
    pub(super) async fn refunded(&mut self, told: Told<Refund>) -> Attempt<Answer> {
        let mut told = told;
        if let Some(attempt) = self.is_of_another(&mut told) {
            return attempt;
        }
        // What is repeated is how it was once.
        if told.is_old || told.value.progress() == Progress::Pending {
            let id = told.value.id.clone();
            told = match self.get::<Refund>(&["v1", "refunds", &id], &[]).await {
                Ok(told) => told,
                Err(failed) => return self.not_read_back(failed),
            };
            if let Some(attempt) = self.is_of_another(&mut told) {
                return attempt;
            }
        }
        match told.value.progress() {
            Progress::Done => Attempt::Answered(Answer::Refunded),
            Progress::Pending => under_way(),
            Progress::Failed => Attempt::Answered(Answer::Refused {
                reason: reasons::refused(&Failure::default()),
            }),
        }
    }

    fn is_of_another(&mut self, told: &mut Told<Refund>) -> Option<Attempt<Answer>> {
        let refund = &told.value;
        let other = refund.payment_intent.is_some() && refund.payment_intent != self.request.intent;
        let why = "it is no refund of the payment that was asked about";
        (refund.object != "refund" || other)
            .then(|| self.unreadable(std::mem::take(&mut told.body), why))
    }

    /// The payment was read back as refunded, which counts what is under way as well: only when nothing is, it is.
    pub(super) async fn refunds_are_over(&mut self) -> Result<Meaning, Attempt<Answer>> {
        let intent = self.request.intent.as_deref().unwrap_or_default();
        let fields = [("payment_intent", intent), ("limit", "100")];
        let told = self.get::<Refunds>(&["v1", "refunds"], &fields).await;
        let told = told.map_err(|failed| self.not_read_back(failed))?;
        if told.value.object != "list" {
            let why = "it is no list of refunds";
            return Err(self.unreadable(told.body, why));
        }
        let mut refunds = told.value.data.iter();
        match refunds.any(|refund| refund.progress() == Progress::Pending) {
            true => Err(under_way()),
            false => Ok(Meaning::Answered(Answer::Refunded)),
        }
    }
}

/// It may take days, so it is asked for at the longer and longer pauses that everything is.
fn under_way() -> Attempt<Answer> {
    again(
        "under-way",
        "the money is on its way back, and has not come there",
        None,
    )
}

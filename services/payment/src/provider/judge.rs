//! What a payment's state means for a call: pure, and the same whether the state came as the answer to the call or was read back after nobody
//! knew. Not what is done when nothing came back: see `policy`.

use super::money;
use super::reasons;
use super::wire::{Failure, Intent, Status};
use crate::core::call::{Answer, Purpose, Request};

/// What a payment's state says of a call.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// The call is answered; maybe otherwise than was asked for.
    Answered(Answer),
    /// The provider is at it.
    Waiting,
    /// It is as it was before the call.
    Undone,
    /// The provider waits for the card's holder, who is not there.
    Abandoned,
}

/// Why a payment cannot be the one that was asked about, if it cannot: such an answer is never believed.
pub(super) fn mismatch(request: &Request, intent: &Intent) -> Option<String> {
    if intent.object != "payment_intent" {
        return Some(String::from("it is no payment_intent"));
    }
    if request
        .intent
        .as_ref()
        .is_some_and(|asked| *asked != intent.id)
    {
        return Some(String::from("it is another payment than was asked about"));
    }
    let currency = intent.currency.to_ascii_uppercase();
    let amount = money::from_stripe(intent.amount, &currency);
    if currency != request.currency || amount != Some(request.amount_minor) {
        return Some(format!(
            "it is of {} {currency} in the provider's units, and {} {} in ours was asked for",
            intent.amount, request.amount_minor, request.currency
        ));
    }
    let metadata = |name: &str| intent.metadata.get(name).map(String::as_str);
    let (trip, position) = (request.trip.to_string(), request.position.to_string());
    if metadata("trip") != Some(&trip) || metadata("position") != Some(&position) {
        return Some(String::from(
            "it is not marked as the payment of this trip and position",
        ));
    }
    None
}

/// What it says.
pub(super) fn meaning(purpose: Purpose, intent: &Intent) -> Meaning {
    use Meaning::{Abandoned, Answered, Undone, Waiting};
    let decline = |failure: &Failure| Answer::Declined {
        reason: reasons::declined(failure),
    };
    match (purpose, intent.status) {
        // A payment that was only opened is told by its id, however far it came since.
        (Purpose::Open, _) => Answered(Answer::Opened {
            intent: intent.id.clone(),
        }),
        (_, Status::Processing) => Waiting,
        (_, Status::Canceled) => Answered(Answer::Voided),
        (_, Status::Succeeded) if intent.is_refunded() => Answered(Answer::Refunded),
        (Purpose::Refund, Status::Succeeded) => Undone,
        (_, Status::Succeeded) => Answered(Answer::Captured),
        (Purpose::Void | Purpose::Capture, Status::RequiresCapture) => Undone,
        (_, Status::RequiresCapture) => Answered(Answer::Authorised),
        (Purpose::Authorise, Status::RequiresAction) => Abandoned,
        (Purpose::Authorise, Status::RequiresPaymentMethod) => intent
            .last_payment_error
            .as_ref()
            .map_or(Undone, |failure| Answered(decline(failure))),
        (
            _,
            Status::RequiresPaymentMethod | Status::RequiresConfirmation | Status::RequiresAction,
        ) => Undone,
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn intent(status: &str, more: &str) -> Intent {
        let trip = uuid::Uuid::nil();
        let text = format!(
            r#"{{"id":"pi_1","object":"payment_intent","amount":12300,"currency":"eur","status":"{status}","metadata":{{"trip":"{trip}","position":"2"}}{more}}}"#
        );
        serde_json::from_str(&text).unwrap()
    }

    fn request(purpose: Purpose) -> Request {
        Request {
            purpose,
            key: String::from("k"),
            trip: uuid::Uuid::nil().into(),
            position: 2,
            intent: Some(String::from("pi_1")),
            amount_minor: 12_300,
            currency: String::from("EUR"),
            method: String::from("pm_card_visa"),
        }
    }

    const REFUNDED: &str =
        r#","latest_charge":{"captured":true,"refunded":true,"amount_refunded":12300}"#;
    const RELEASED: &str =
        r#","latest_charge":{"captured":false,"refunded":true,"amount_refunded":12300}"#;
    const DECLINED: &str = r#","last_payment_error":{"type":"card_error","code":"card_declined"}"#;

    #[test]
    fn every_state_means_one_thing_for_every_call() {
        use Purpose::{Authorise, Capture, Refund, Void};
        let answered = Meaning::Answered;
        for (purpose, status, more, expected) in [
            (Authorise, "requires_confirmation", "", Meaning::Undone),
            (
                Authorise,
                "requires_capture",
                "",
                answered(Answer::Authorised),
            ),
            (Authorise, "processing", "", Meaning::Waiting),
            (Authorise, "requires_action", "", Meaning::Abandoned),
            (Authorise, "canceled", RELEASED, answered(Answer::Voided)),
            (Authorise, "succeeded", "", answered(Answer::Captured)),
            (Capture, "requires_capture", "", Meaning::Undone),
            (Capture, "succeeded", "", answered(Answer::Captured)),
            (Capture, "canceled", RELEASED, answered(Answer::Voided)),
            (Capture, "succeeded", REFUNDED, answered(Answer::Refunded)),
            (Void, "requires_capture", "", Meaning::Undone),
            (Void, "requires_payment_method", DECLINED, Meaning::Undone),
            (Void, "canceled", RELEASED, answered(Answer::Voided)),
            (Void, "succeeded", "", answered(Answer::Captured)),
            (Refund, "succeeded", "", Meaning::Undone),
            (Refund, "succeeded", REFUNDED, answered(Answer::Refunded)),
            (Refund, "requires_capture", "", answered(Answer::Authorised)),
            (Refund, "canceled", RELEASED, answered(Answer::Voided)),
        ] {
            let told = meaning(purpose, &intent(status, more));
            assert_eq!(told, expected, "{purpose:?} of one that is {status}{more}");
        }
        let told = meaning(Authorise, &intent("requires_payment_method", DECLINED));
        assert!(matches!(told, Meaning::Answered(Answer::Declined { .. })));
    }

    #[test]
    fn what_is_not_what_was_asked_about_is_not_believed() {
        let asked = request(Purpose::Capture);
        assert_eq!(mismatch(&asked, &intent("succeeded", "")), None);
        let mut other = intent("succeeded", "");
        other.amount = 12_301;
        assert!(mismatch(&asked, &other).is_some());
        let mut other = intent("succeeded", "");
        other.currency = String::from("usd");
        assert!(mismatch(&asked, &other).is_some());
        let mut other = intent("succeeded", "");
        other.id = String::from("pi_2");
        assert!(mismatch(&asked, &other).is_some());
        for (name, theirs) in [("trip", "another"), ("position", "3")] {
            let mut opening = request(Purpose::Open);
            opening.intent = None;
            let mut other = intent("requires_confirmation", "");
            assert_eq!(mismatch(&opening, &other), None);
            other.metadata.insert(name.to_owned(), theirs.to_owned());
            assert!(mismatch(&opening, &other).is_some(), "another {name}");
            other.metadata.remove(name);
            assert!(mismatch(&opening, &other).is_some(), "no {name}");
        }
    }
}

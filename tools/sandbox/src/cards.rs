//! The test cards, by Stripe's names (docs.stripe.com/testing): which are taken, and how the others are declined.

/// What the issuer of a card says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Card {
    /// Yes.
    Taken,
    /// No: Stripe's `code` and `decline_code`.
    Declined(&'static str, &'static str),
    /// Its holder has to confirm it first.
    Asks,
}

/// The card of this name, if there is one. Stripe has some with the brand in their name and without it.
#[must_use]
pub fn card(name: &str) -> Option<Card> {
    let plain = name.strip_prefix("pm_card_")?;
    let plain = plain
        .strip_prefix("visa_")
        .filter(|rest| rest.starts_with("charge"))
        .unwrap_or(plain);
    Some(match plain {
        "visa" | "visa_debit" | "mastercard" | "mastercard_debit" | "mastercard_prepaid"
        | "amex" | "discover" | "diners" | "jcb" | "unionpay" => Card::Taken,
        "chargeDeclined" => Card::Declined("card_declined", "generic_decline"),
        "chargeDeclinedInsufficientFunds" => Card::Declined("card_declined", "insufficient_funds"),
        "chargeDeclinedLostCard" => Card::Declined("card_declined", "lost_card"),
        "chargeDeclinedStolenCard" => Card::Declined("card_declined", "stolen_card"),
        "chargeDeclinedVelocityLimitExceeded" => {
            Card::Declined("card_declined", "card_velocity_exceeded")
        }
        "chargeDeclinedFraudulent" => Card::Declined("card_declined", "fraudulent"),
        "chargeDeclinedExpiredCard" => Card::Declined("expired_card", "expired_card"),
        "chargeDeclinedIncorrectCvc" => Card::Declined("incorrect_cvc", "incorrect_cvc"),
        "chargeDeclinedProcessingError" => Card::Declined("processing_error", "processing_error"),
        "authenticationRequired" | "threeDSecure2Required" | "threeDSecureRequired" => Card::Asks,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cards_are_known_by_both_of_their_names() {
        let insufficient = Some(Card::Declined("card_declined", "insufficient_funds"));
        assert_eq!(card("pm_card_visa"), Some(Card::Taken));
        assert_eq!(card("pm_card_visa_debit"), Some(Card::Taken));
        assert_eq!(
            card("pm_card_chargeDeclinedInsufficientFunds"),
            insufficient
        );
        assert_eq!(
            card("pm_card_visa_chargeDeclinedInsufficientFunds"),
            insufficient
        );
        assert_eq!(card("pm_card_nobodys"), None);
        assert_eq!(card("4242424242424242"), None);
    }
}

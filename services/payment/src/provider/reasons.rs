//! A provider's no in our words: a short code for programs, a sentence for whoever travels. Nothing of the card, and nothing that the provider
//! wrote: that may quote what was sent, and tells more than a traveller should hear (that a card was stolen, say).

use choreography::Reason;

use super::wire::Failure;

/// Whoever issued the card says no.
pub(super) fn declined(failure: &Failure) -> Reason {
    let decline = failure.decline_code.as_deref().unwrap_or_default();
    let (code, message) = match (failure.code(), decline) {
        (_, "insufficient_funds") => ("insufficient-funds", "there is not enough money for it"),
        ("expired_card", _) | (_, "expired_card") => ("expired-card", "the card has expired"),
        ("incorrect_cvc" | "invalid_cvc", _) | (_, "incorrect_cvc" | "invalid_cvc") => {
            ("incorrect-code", "the card's security code is not right")
        }
        (
            "incorrect_number" | "invalid_number" | "invalid_expiry_month" | "invalid_expiry_year",
            _,
        ) => ("invalid-card", "the card's number or date is not right"),
        (_, "card_velocity_exceeded" | "withdrawal_count_limit_exceeded") => {
            ("card-limit", "the card's limit is used up")
        }
        (_, "currency_not_supported" | "card_not_supported") => {
            ("card-not-taken", "the card cannot be used for this")
        }
        ("processing_error", _) | (_, "processing_error" | "try_again_later") => (
            "processing-error",
            "the card's issuer could not process it; try again later",
        ),
        ("authentication_required", _) | (_, "authentication_required") => {
            return authentication_required();
        }
        _ => ("declined", "the card's issuer declined it"),
    };
    Reason::new(code, format!("the payment was declined: {message}"))
}

/// Nobody is there to confirm the payment at their bank.
pub(super) fn authentication_required() -> Reason {
    Reason::new(
        "authentication-required",
        "the payment was declined: the card's issuer wants its holder to confirm it, and nobody is there to do so",
    )
}

/// Any other no.
pub(super) fn refused(failure: &Failure) -> Reason {
    let param = failure.param.as_deref().unwrap_or_default();
    let (code, message) = match (failure.code(), param) {
        ("resource_missing", "payment_method") => (
            "unknown-payment-method",
            "the payment provider does not know this means of payment",
        ),
        ("amount_too_small", _) => ("amount-too-small", "the amount is less than can be charged"),
        ("amount_too_large", _) => ("amount-too-large", "the amount is more than can be charged"),
        ("charge_expired_for_capture", _) => (
            "authorisation-expired",
            "what was held for it is not held any more",
        ),
        _ => ("payment-refused", "the payment provider refused it"),
    };
    // Its code is a word of the provider's own; it says what to look up and nothing of who pays.
    let theirs: String = failure
        .code()
        .chars()
        .filter(|it| it.is_ascii_alphanumeric() || *it == '_')
        .take(64)
        .collect();
    let theirs = if theirs.is_empty() {
        String::new()
    } else {
        format!(" ({theirs})")
    };
    Reason::new(code, format!("{message}{theirs}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(code: &str, decline_code: &str) -> Failure {
        Failure {
            kind: String::from("card_error"),
            code: Some(code.to_owned()),
            decline_code: Some(decline_code.to_owned()),
            param: None,
        }
    }

    #[test]
    fn a_no_is_told_in_our_words() {
        for (code, decline, ours) in [
            ("card_declined", "generic_decline", "declined"),
            ("card_declined", "insufficient_funds", "insufficient-funds"),
            ("expired_card", "expired_card", "expired-card"),
            ("incorrect_cvc", "incorrect_cvc", "incorrect-code"),
            (
                "authentication_required",
                "authentication_required",
                "authentication-required",
            ),
            ("something_new", "something_newer", "declined"),
        ] {
            assert_eq!(declined(&failure(code, decline)).code, ours);
        }
    }

    /// Whoever stole a card need not be told that it is known to be.
    #[test]
    fn a_stolen_card_is_declined_like_any_other() {
        let plain = declined(&failure("card_declined", "generic_decline"));
        for decline in ["stolen_card", "lost_card", "fraudulent", "pickup_card"] {
            assert_eq!(declined(&failure("card_declined", decline)), plain);
        }
    }
}

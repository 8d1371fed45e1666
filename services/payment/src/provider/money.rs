//! Amounts as Stripe counts them. Ours are in the smallest unit of ISO 4217; Stripe's are too, but for the exceptions of its page on currencies
//! (docs.stripe.com/currencies, sections "Zero-decimal", "Three-decimal" and "Special cases"). What it is not sure of is refused and never
//! rounded: somebody else's card is charged.

use choreography::Reason;
use iso_currency::Currency;

/// Why an amount cannot be charged.
fn no(currency: &str, why: &str) -> Reason {
    let message = format!("the payment provider cannot charge this amount of {currency}: {why}");
    Reason::new("currency-not-taken", message)
}

/// How Stripe's amount comes from ours.
enum Rule {
    /// They are the same.
    Same,
    /// Ours times a hundred: ISO knows no smaller unit, Stripe keeps counting in hundredths.
    Hundredfold,
    /// Ours by a hundred, which has to come out even: Stripe counts whole units of what ISO divides.
    Hundredth,
    /// The same, and its last digit has to be 0 (what Stripe's partners take of currencies with three places).
    Tens,
    /// Not known for sure.
    Unsure,
}

fn rule(currency: Currency) -> Rule {
    match (currency.code(), currency.exponent()) {
        // "ISK … you must still pass in amounts with two decimals".
        ("ISK", _) => Rule::Hundredfold,
        // Stripe lists it among those without decimals, ISO gives it two places.
        ("MGA", _) => Rule::Hundredth,
        // Listed as without decimals, and as one that is passed with two: it depends on when the account began.
        ("UGX", _) => Rule::Unsure,
        ("BHD" | "JOD" | "KWD" | "OMR" | "TND", Some(3)) => Rule::Tens,
        (
            "BIF" | "CLP" | "DJF" | "GNF" | "JPY" | "KMF" | "KRW" | "PYG" | "RWF" | "VND" | "VUV"
            | "XAF" | "XOF" | "XPF",
            Some(0),
        )
        | (_, Some(2)) => Rule::Same,
        _ => Rule::Unsure,
    }
}

/// Our amount as Stripe counts it.
///
/// # Errors
/// With the refusal, where Stripe cannot take that amount of that currency.
pub(super) fn to_stripe(amount_minor: i64, code: &str) -> Result<i64, Reason> {
    let Some(currency) = Currency::from_code(code) else {
        return Err(no(code, "it is no currency of ISO 4217"));
    };
    if amount_minor <= 0 {
        return Err(no(code, "it is not more than nothing"));
    }
    match rule(currency) {
        Rule::Same => Ok(amount_minor),
        Rule::Hundredfold => amount_minor
            .checked_mul(100)
            .ok_or_else(|| no(code, "it is too much")),
        Rule::Hundredth if amount_minor % 100 == 0 => Ok(amount_minor / 100),
        Rule::Hundredth => Err(no(code, "it takes whole units only")),
        Rule::Tens if amount_minor % 10 == 0 => Ok(amount_minor),
        Rule::Tens => Err(no(code, "its last digit has to be 0")),
        Rule::Unsure => Err(no(
            code,
            "how the provider counts this currency is not sure",
        )),
    }
}

/// Stripe's amount as we count it; none where we would not have charged it.
pub(super) fn from_stripe(amount: i64, code: &str) -> Option<i64> {
    match rule(Currency::from_code(code)?) {
        Rule::Same | Rule::Tens => Some(amount),
        Rule::Hundredfold => (amount % 100 == 0).then_some(amount / 100),
        Rule::Hundredth => amount.checked_mul(100),
        Rule::Unsure => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_counted_as_the_provider_counts_them() {
        for (ours, currency, theirs) in [
            (12_300, "EUR", 12_300),
            (500, "JPY", 500),
            (5, "ISK", 500),
            (12_000, "MGA", 120),
            (5_120, "KWD", 5_120),
            (1_045, "HUF", 1_045),
        ] {
            assert_eq!(to_stripe(ours, currency), Ok(theirs), "{ours} {currency}");
            assert_eq!(from_stripe(theirs, currency), Some(ours), "{currency}");
        }
    }

    #[test]
    fn what_would_have_to_be_rounded_or_guessed_is_refused() {
        for (ours, currency) in [
            (5_124, "KWD"),
            (12_050, "MGA"),
            (100, "UGX"),
            (1_000, "IQD"),
            (1, "CLF"),
            (0, "EUR"),
            (-5, "EUR"),
            (100, "XYZ"),
        ] {
            let refused = to_stripe(ours, currency);
            assert!(refused.is_err_and(|it| it.code == "currency-not-taken"));
        }
    }
}

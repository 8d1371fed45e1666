//! What the payment's OpenAPI document says of values whose types know nothing of OpenAPI. Only descriptions: nothing here is read or written.

use utoipa::ToSchema;

/// An amount in the smallest unit of its currency: 12300 EUR are 123.00 euros, 12300 JPY are 12,300 yen.
#[derive(ToSchema)]
#[expect(dead_code, reason = "a description of choreography's type")]
pub(crate) struct Money {
    /// How many of the smallest unit.
    amount_minor: i64,
    /// ISO 4217, such as `EUR`.
    #[schema(pattern = "^[A-Z]{3}$", example = "EUR")]
    currency: String,
}

/// Why something did not go through.
#[derive(ToSchema)]
#[expect(dead_code, reason = "a description of choreography's type")]
pub(crate) struct Reason {
    /// For programs, in kebab-case, such as `declined`.
    #[schema(example = "declined")]
    code: String,
    /// For people.
    message: String,
}

/// Where a payment stands.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(dead_code, reason = "a description of the core's type")]
pub(crate) enum PaymentState {
    /// The provider is asked for a payment; no money moves.
    Opening,
    /// The provider is asked to hold the money.
    Authorising,
    /// The money is held, and the trip's outcome awaited.
    Held,
    /// The trip is confirmed, and the provider is asked for the money.
    Capturing,
    /// The money is taken.
    Captured,
    /// The trip is confirmed and its money can't be had.
    Unpaid,
    /// The provider is asked to let go of the money.
    Voiding,
    /// The provider is asked to give the money back.
    Refunding,
    /// Nothing is held or taken any more, or never was.
    Released,
    /// Never held, and never will be.
    Rejected,
}

/// What the provider is asked.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(dead_code, reason = "a description of the core's type")]
pub(crate) enum Purpose {
    /// Make a payment that nothing is authorised of.
    Open,
    /// Hold the money.
    Authorise,
    /// Take what is held.
    Capture,
    /// Let go of it.
    Void,
    /// Give back what was taken.
    Refund,
}

/// Something that is wrong with the provider.
#[derive(ToSchema)]
#[expect(dead_code, reason = "a description of the provider's type")]
pub(crate) struct ProviderProblem {
    /// For programs: `provider-down`, `provider-key-refused`, `provider-not-allowed`, `provider-unreadable` or `provider-slowed-down`.
    #[schema(example = "provider-down")]
    kind: String,
    /// Since when.
    #[schema(format = DateTime)]
    since: Option<String>,
    /// What is wrong and what to do, for people.
    detail: String,
}

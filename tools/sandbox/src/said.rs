//! Stripe's error objects (docs.stripe.com/api/errors), and which HTTP status each comes with.

use axum::http::StatusCode;
use serde_json::{Map, Value, json};

/// An error as Stripe says it.
#[derive(Clone, Debug, PartialEq)]
pub struct Said {
    /// Its HTTP status.
    pub status: StatusCode,
    /// The members of `error`.
    pub error: Map<String, Value>,
}

impl Said {
    fn new(status: StatusCode, kind: &str, message: &str) -> Self {
        let mut error = Map::new();
        error.insert(String::from("type"), json!(kind));
        error.insert(String::from("message"), json!(message));
        Self { status, error }
    }

    /// With one more member.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.error.insert(name.to_owned(), value.into());
        self
    }

    /// The request is wrong.
    #[must_use]
    pub fn request(message: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_request_error", message)
    }

    /// A parameter is missing.
    #[must_use]
    pub fn missing(param: &str) -> Self {
        Self::request(&format!("Missing required param: {param}."))
            .with("code", "parameter_missing")
            .with("param", param)
    }

    /// There is no such thing.
    #[must_use]
    pub fn unknown(what: &str, id: &str, param: &str, status: StatusCode) -> Self {
        let message = format!("No such {what}: '{id}'");
        Self::new(status, "invalid_request_error", &message)
            .with("code", "resource_missing")
            .with("param", param)
    }

    /// A payment's state does not allow it.
    #[must_use]
    pub fn state(status: &str, what: &str) -> Self {
        Self::request(&format!(
            "This PaymentIntent could not be {what} because it has a status of {status}."
        ))
        .with("code", "payment_intent_unexpected_state")
    }

    /// The issuer of the card says no.
    #[must_use]
    pub fn card(code: &str, decline_code: &str, message: &str) -> Self {
        Self::new(StatusCode::PAYMENT_REQUIRED, "card_error", message)
            .with("code", code)
            .with("decline_code", decline_code)
    }

    /// The key is not known; of what was sent no more than its end is told, as Stripe does.
    #[must_use]
    pub fn key() -> Self {
        let message = "Invalid API Key provided.";
        Self::new(StatusCode::UNAUTHORIZED, "invalid_request_error", message)
    }

    /// The key may not do this.
    #[must_use]
    pub fn forbidden() -> Self {
        let message = "The provided key does not have the required permissions for this endpoint.";
        Self::new(StatusCode::FORBIDDEN, "invalid_request_error", message)
    }

    /// An idempotency key was used for something else.
    #[must_use]
    pub fn other_body(key: &str) -> Self {
        let message = format!(
            "Keys for idempotent requests can only be used with the same parameters they were first used with. Try using a key other than '{key}' if you meant to execute a different request."
        );
        Self::new(StatusCode::BAD_REQUEST, "idempotency_error", &message)
    }

    /// An idempotency key is used by a request that is not answered yet.
    #[must_use]
    pub fn in_use() -> Self {
        let message = "There is currently another in-progress request using this Idempotent Key.";
        Self::new(StatusCode::CONFLICT, "invalid_request_error", message)
            .with("code", "idempotency_key_in_use")
    }

    /// Too many requests.
    #[must_use]
    pub fn too_many() -> Self {
        let message = "Request rate limit exceeded.";
        Self::new(
            StatusCode::TOO_MANY_REQUESTS,
            "invalid_request_error",
            message,
        )
        .with("code", "rate_limit")
    }

    /// Something is wrong at the provider.
    #[must_use]
    pub fn broken(status: StatusCode) -> Self {
        Self::new(
            status,
            "api_error",
            "Sorry! There was an error while talking to one of our backends.",
        )
    }

    /// Its body.
    #[must_use]
    pub fn body(&self) -> String {
        json!({"error": self.error}).to_string()
    }
}

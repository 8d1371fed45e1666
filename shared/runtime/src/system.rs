//! What all services of one system have in common, so that they meet on one stream and look alike from outside. It configures nothing.

/// The system that a service is part of.
///
/// ```
/// use runtime::System;
///
/// const SHOP: System = System { namespace: "shop", stream: "ORDERS", subjects: "orders.>" };
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct System {
    /// What the names of metrics (`shop_facts_in_total`), of problems (`urn:shop:problem:busy`) and of the broker's metadata begin with.
    pub namespace: &'static str,
    /// The stream that all facts go through. It is declared where it is missing.
    pub stream: &'static str,
    /// The subjects in that stream, such as `orders.>`.
    pub subjects: &'static str,
}

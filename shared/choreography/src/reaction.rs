//! What came of something that a participant of the saga heard: the same shape for booking and for every leg.

use crate::FactBody;

/// What a record became, and what is to be said.
#[derive(Clone, Debug, PartialEq)]
pub struct Reaction<R> {
    /// The record as it is now.
    pub record: R,
    /// What is to be said, each under a new id.
    pub said: Vec<FactBody>,
    /// Something that cannot happen did: to be counted and looked into.
    pub anomaly: Option<&'static str>,
    /// A command that does not fit the record as it stands: nothing changed, and this is why.
    pub refused: Option<&'static str>,
}

impl<R> Reaction<R> {
    /// Nothing to say.
    pub fn silent(record: R) -> Self {
        Self {
            record,
            said: Vec::new(),
            anomaly: None,
            refused: None,
        }
    }

    /// Something to say.
    pub fn say(record: R, said: FactBody) -> Self {
        Self {
            said: vec![said],
            ..Self::silent(record)
        }
    }

    /// What cannot happen.
    pub fn odd(record: R, anomaly: &'static str) -> Self {
        Self {
            anomaly: Some(anomaly),
            ..Self::silent(record)
        }
    }

    /// A command that does not fit.
    pub fn refuse(record: R, why: &'static str) -> Self {
        Self {
            refused: Some(why),
            ..Self::silent(record)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Reaction;
    use crate::FactBody;

    #[test]
    fn each_way_to_react_carries_what_it_is_for() {
        let spoken = Reaction::say((), FactBody::Requested);
        assert_eq!(spoken.said, [FactBody::Requested]);
        assert_eq!(Reaction::odd((), "not-mine").anomaly, Some("not-mine"));
        assert_eq!(Reaction::refuse((), "too late").refused, Some("too late"));
        let silent = Reaction::silent(());
        assert!(silent.said.is_empty() && silent.anomaly.is_none() && silent.refused.is_none());
    }
}

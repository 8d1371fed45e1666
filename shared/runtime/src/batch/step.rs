//! What a batch is made of: one step for each thing that happened. It does nothing.

use uuid::Uuid;

use crate::dead_letters::{DeadLetter, Fate};
use crate::service::{Service, ServiceInput};
use crate::telemetry::TraceContext;

/// One step of a batch.
pub enum Step<S: Service> {
    /// A fact to apply.
    Fact {
        /// What the inbox knows it by.
        id: Uuid,
        /// Its `ce-type`.
        kind: String,
        /// The NATS subject it came on.
        subject: String,
        /// Where in the trace it comes from.
        trace: TraceContext,
        /// The fact itself.
        input: ServiceInput<S>,
    },
    /// A command to apply and to reply to.
    Command {
        /// What the inbox knows it by; it has one before the batch, so that a batch done again makes nothing twice.
        id: Uuid,
        /// Where in the trace it comes from.
        trace: TraceContext,
        /// The command itself.
        input: ServiceInput<S>,
    },
    /// A record whose time has come.
    Due(ServiceInput<S>),
    /// The answer to a call, judged while that waits and dropped when it does no more. No inbox: the call's own row tells.
    Answer {
        /// When the call was asked for, as its row has it.
        asked_us: i64,
        /// Where in the trace it was performed.
        trace: TraceContext,
        /// The call and its answer.
        input: ServiceInput<S>,
    },
    /// A message to bury.
    DeadLetter(Box<DeadLetter>),
    /// A dead letter to put away, and the fact it kept, if that is to be heard after all.
    Letter(Fate, Option<Box<Self>>),
    /// The service says that it is there.
    Announcement,
}

impl<S: Service> Step<S> {
    pub(super) fn id(&self) -> Option<Uuid> {
        match self {
            Self::Fact { id, .. } | Self::Command { id, .. } => Some(*id),
            Self::Letter(_, fact) => fact.as_ref()?.id(),
            Self::Due(_) | Self::Answer { .. } | Self::DeadLetter(_) | Self::Announcement => None,
        }
    }

    pub(crate) fn input(&self) -> Option<&ServiceInput<S>> {
        match self {
            Self::Fact { input, .. }
            | Self::Command { input, .. }
            | Self::Answer { input, .. }
            | Self::Due(input) => Some(input),
            Self::Letter(_, fact) => fact.as_ref()?.input(),
            Self::DeadLetter(_) | Self::Announcement => None,
        }
    }
}

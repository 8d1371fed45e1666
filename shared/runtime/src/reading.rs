//! Reading a message as far as this service can, whether the broker brought it or a dead letter kept it. What becomes of one that cannot
//! be read is for whoever asks.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::batch::Step;
use crate::event::Message;
use crate::service::{Input, ReadError, Service};

/// The largest fact that is read, in bytes; the broker's own limit for a message is higher.
const FACT_MAX: usize = 256 << 10;

/// Reads a fact.
pub(crate) fn read<S: Service>(
    service: &S,
    message: &async_nats::Message,
) -> Result<Step<S>, ReadError> {
    if message.payload.len() > FACT_MAX {
        let reason = format!("it is larger than {FACT_MAX} bytes");
        return Err(ReadError::Malformed(reason));
    }
    let opened = Message::open(message).map_err(ReadError::Malformed)?;
    let fact = catch_unwind(AssertUnwindSafe(|| service.read(&opened)))
        .map_err(|_| ReadError::Malformed(String::from("reading it panicked; see the log")))??;
    Ok(Step::Fact {
        id: opened.id,
        kind: opened.kind,
        subject: opened.subject,
        trace: opened.trace,
        input: Input::Fact(fact),
    })
}

//! Group commit: decisions that are asked for while one commit is under way share the next. One task writes them, in one transaction each
//! time; who asked hears once it is on disk.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use crate::database::booking::Decision;
use crate::database::{Booking, Failure};

/// The most decisions in one commit, and as many wait for it.
const GROUP_MAX: usize = 256;

/// What came of a decision: true when the trip is confirmed, false when it was decided against before.
type Written = Result<bool, Failure>;
type Asked = (Decision, oneshot::Sender<Written>);

/// Where decisions are handed in.
#[derive(Debug, Clone)]
pub(crate) struct Decisions(mpsc::Sender<Asked>);

impl Decisions {
    /// Starts the task that writes them. It ends with the last of these.
    pub(crate) fn begin(booking: Arc<Booking>) -> Self {
        let (send, receive) = mpsc::channel(GROUP_MAX);
        tokio::spawn(write(booking, receive));
        Self(send)
    }

    /// Returns once the decision is on disk, or nobody knows whether it is.
    pub(crate) async fn decide(&self, decision: Decision) -> Written {
        let unknown = || Failure::Unknown(String::from("the writer of decisions ended"));
        let (tell, told) = oneshot::channel();
        self.0.send((decision, tell)).await.map_err(|_| unknown())?;
        told.await.map_err(|_| unknown())?
    }
}

async fn write(booking: Arc<Booking>, mut asked: mpsc::Receiver<Asked>) {
    let mut group: Vec<Asked> = Vec::with_capacity(GROUP_MAX);
    while asked.recv_many(&mut group, GROUP_MAX).await > 0 {
        let all: Vec<Decision> = group.iter().map(|(decision, _)| decision.clone()).collect();
        let written = booking.decide(&all).await;
        for (decision, tell) in group.drain(..) {
            let answer = match &written {
                Ok(trips) => Ok(trips.contains(&decision.trip.to_string())),
                Err(fault) => Err(Failure::Unknown(fault.to_string())),
            };
            // Whoever asked is gone: the decision stands all the same.
            let _ = tell.send(answer);
        }
    }
}

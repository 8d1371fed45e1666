//! The tasks beside the loop, each with one job that ends when the service stops. None judges anything: the consumer reads, the timers say
//! *now*, the sweeper hands rows to the publisher, the caller has calls performed.

mod attempt;
pub(crate) mod caller;
pub(crate) mod consumer;
pub(crate) mod gauges;
pub(crate) mod maintenance;
pub(crate) mod shared;
mod subscription;
pub(crate) mod sweeper;
pub(crate) mod timers;
mod unreadable;

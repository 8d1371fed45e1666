//! All SQL of this crate, and the connections that it goes over. Nothing of a trip is decided here.

pub(crate) mod booking;
mod link;
pub(crate) mod participant;
pub(crate) mod schema;
mod statements;

pub(crate) use booking::Booking;
pub(crate) use link::Fault;
pub(crate) use participant::{Failure, Participant, Vote};

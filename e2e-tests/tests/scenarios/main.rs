//! The saga's promises, each test named by the one that it holds, in worlds of real processes, on both databases. What must always
//! hold is not in the tests: every world ends with the audit.
#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

mod cancelling;
mod capacity;
mod clearing;
mod dead_letters;
mod idempotency;
mod operating;
mod refusals;
mod shapes;
mod unreadable;

//! Examines a running system from outside, and mends nothing: [`audit`] judges trips by the databases themselves, [`doctor`] the servers
//! and services that carry them. Both observe first, then judge what was observed, purely, then report it.

pub mod audit;
pub mod doctor;

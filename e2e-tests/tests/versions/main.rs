//! Two versions side by side: what was released is read for ever, schemas only expand, and each version runs upon the database that
//! the one before left and upon the one that the next one has already changed. Not about one version's own promises.
#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

mod expand;
mod freeze;
mod migrations;
mod newer;
mod older;
mod wire;

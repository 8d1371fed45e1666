//! The local stack's foundations: a broker and a database server of our own, found on this machine or fetched as verified packages, started
//! and ended as child processes. Not what runs on them: services and their order are put together elsewhere.

pub mod broker;
pub mod child;
pub mod disk;
pub mod fetch;
pub mod port;
pub mod postgres;
mod postgres_programs;
pub mod service;
pub mod skip;

use std::path::PathBuf;

/// Where a line of progress goes.
pub type Say<'a> = &'a (dyn Fn(&str) + Send + Sync);

/// The first file of that name in the folders of PATH.
pub(super) fn on_path(program: &str) -> Option<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?)
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
}

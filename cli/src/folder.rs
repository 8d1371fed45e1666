//! Which stack a command means: the one whose data lie in this folder.

use std::path::PathBuf;

use clap::Args;
use client::paint::visible_path;

/// Where the stack keeps its data.
#[derive(Debug, Clone, Args)]
pub(crate) struct Folder {
    /// Where the stack keeps its data.
    #[arg(
        long = "folder",
        env = "ROUNDTRIP_FOLDER",
        value_name = "FOLDER",
        default_value = ".roundtrip"
    )]
    pub(crate) path: PathBuf,
}

impl Folder {
    /// As it may be shown.
    pub(crate) fn shown(&self) -> String {
        visible_path(&self.path)
    }
}

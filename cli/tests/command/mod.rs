//! The command as tests type it: about one folder, whatever stack the environment of who runs them names. Where programs are found
//! (`ROUNDTRIP_CACHE`, `ROUNDTRIP_NATS_SERVER`, …) it keeps.

use std::path::Path;
use std::process::{Command, Stdio};

/// `roundtrip ARGS`, about the stack in this folder.
pub(crate) fn roundtrip(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_roundtrip"));
    for name in [
        "URL",
        "SERVICES",
        "NATS",
        "DATABASE",
        "DATABASES",
        "TOKEN",
        "CA_FILE",
    ] {
        command.env_remove(format!("ROUNDTRIP_{name}"));
    }
    for name in ["URL", "USER", "PASSWORD"] {
        command.env_remove(format!("NATS_{name}"));
    }
    command
        .args(args)
        .env("ROUNDTRIP_FOLDER", folder)
        .stdin(Stdio::null());
    command
}

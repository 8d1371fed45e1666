//! A command as an operator types it, and what it says; an end with an error is told in its own words.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

/// Its standard output; or, where it fails, all that it said.
pub(super) fn run(
    program: &str,
    args: &[&str],
    settings: &BTreeMap<String, String>,
    folder: &Path,
) -> Result<String, String> {
    let output = Command::new(program)
        .args(args)
        .envs(settings)
        .current_dir(folder)
        .output()
        .map_err(|error| format!("{program}: {error}"))?;
    let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if output.status.success() {
        return Ok(said);
    }
    let complained = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(format!("{}: {said}\n{complained}", output.status))
}

//! A copy of the tree as it lies there, with what is not committed yet and without what git ignores. Only what differs is written, so
//! that cargo builds no more anew than it has to.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

/// Makes `to` what `from` is.
pub(super) fn refresh(from: &Path, to: &Path) -> Result<()> {
    let listed = Command::new("git")
        .args([
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ])
        .current_dir(from)
        .output()
        .context("cannot run git")?;
    ensure!(
        listed.status.success(),
        "git ls-files failed: this is no clone"
    );
    let listed = String::from_utf8(listed.stdout).context("a file's name is no UTF-8")?;
    let mut files = BTreeSet::new();
    for name in listed.split_terminator('\0') {
        let (source, copy) = (from.join(name), to.join(name));
        // Deleted, and not committed yet.
        if !source.is_file() {
            continue;
        }
        let content = fs::read(&source).with_context(|| format!("cannot read {name}"))?;
        if fs::read(&copy).ok().as_ref() != Some(&content) {
            if let Some(folder) = copy.parent() {
                fs::create_dir_all(folder)?;
            }
            // Written, not copied: a file that is restored has to be newer than what was built of it.
            fs::write(&copy, content).with_context(|| format!("cannot copy {name}"))?;
            fs::set_permissions(&copy, fs::metadata(&source)?.permissions())?;
        }
        files.insert(copy);
    }
    drop_others(to, &files)
}

fn drop_others(folder: &Path, files: &BTreeSet<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            drop_others(&path, files)?;
        } else if !files.contains(&path) {
            fs::remove_file(&path)?;
        }
    }
    Ok(())
}

//! Where a report's page goes: whether it can be written, told before it is measured, and an earlier page kept until there is a new one.
//! What stands in it is `tools/bench`.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

/// Before minutes are spent on what cannot be written then. What is in the file stays in it.
pub(super) fn try_to_write(file: &Path) -> Result<()> {
    let there = file.exists();
    let mut options = OpenOptions::new();
    options.create(true).append(true);
    options.open(file).with_context(|| unwritable(file))?;
    if file.is_file() {
        let beside = beside(file);
        File::create_new(&beside).with_context(|| unwritable(&beside))?;
        std::fs::remove_file(&beside).with_context(|| unwritable(&beside))?;
        if !there {
            std::fs::remove_file(file).with_context(|| unwritable(file))?;
        }
    }
    Ok(())
}

/// All of the page or none: written beside the file, which it then becomes. What is no plain file (a device, a link) is written to.
pub(super) fn replace(file: &Path, page: &str) -> Result<()> {
    let other = std::fs::symlink_metadata(file).is_ok_and(|found| !found.is_file());
    if other {
        return std::fs::write(file, page).with_context(|| unwritable(file));
    }
    let beside = beside(file);
    std::fs::write(&beside, page).with_context(|| unwritable(&beside))?;
    std::fs::rename(&beside, file).with_context(|| unwritable(file))
}

fn beside(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    name.into()
}

fn unwritable(file: &Path) -> String {
    format!("{} cannot be written", file.display())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn an_earlier_page_stays_until_there_is_a_new_one() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("bench.html");
        try_to_write(&file).unwrap();
        assert!(!file.exists(), "nothing is left of the attempt");
        replace(&file, "first").unwrap();
        try_to_write(&file).unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "first");
        replace(&file, "second").unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "second");
        assert_eq!(folder.path().read_dir().unwrap().count(), 1);
        assert!(try_to_write(&folder.path().join("none/x.html")).is_err());
    }
}

//! Folders and files for their owner alone: databases and logs name travellers, and the stack's state has passwords.
//! Not a guard against root, nor against what the same user runs.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use anyhow::{Context as _, Result};
use client::paint::visible_path;
use nix::unistd::geteuid;

/// What only its owner may read and write.
pub const FILE: u32 = 0o600;
const FOLDER: u32 = 0o700;
/// Others may pass through on their way to what is theirs, and see nothing on it.
const PASSAGE: u32 = 0o711;
const OF_OTHERS: u32 = 0o077;
const STICKY: u32 = 0o1000;

/// Makes a folder; those above it are made as the umask says. One that is there stays as it is.
///
/// # Errors
/// When it cannot be made.
pub fn make(folder: &Path) -> Result<()> {
    let above = folder.parent().map_or(Ok(()), fs::create_dir_all);
    match above.and_then(|()| DirBuilder::new().mode(FOLDER).create(folder)) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && folder.is_dir() => Ok(()),
        made => made.with_context(|| format!("cannot make the folder {}", visible_path(folder))),
    }
}

/// Lets another user's server through a folder to its data below: as root we run PostgreSQL as somebody else.
///
/// # Errors
/// When its mode cannot be changed.
pub fn let_the_server_through(folder: &Path) -> Result<()> {
    let root = geteuid().is_root();
    set(folder, if root { PASSAGE } else { FOLDER })
}

/// Closes a folder to others.
pub(crate) fn close(folder: &Path) -> Result<()> {
    set(folder, FOLDER)
}

/// One that many share, such as `/tmp`, stays as it is.
fn set(folder: &Path, mode: u32) -> Result<()> {
    let change = || {
        let found = fs::metadata(folder)?;
        if found.mode() & STICKY == 0 && found.uid() == geteuid().as_raw() {
            fs::set_permissions(folder, Permissions::from_mode(mode))?;
        }
        io::Result::Ok(())
    };
    change().with_context(|| format!("cannot change the mode of {}", visible_path(folder)))
}

/// Takes a file, or a folder and all in it, from others, as an older version left it. What is not there is nobody's.
pub(crate) fn take_from_others(path: &Path) -> Result<()> {
    take(path).with_context(|| format!("cannot close {} to others", visible_path(path)))
}

fn take(path: &Path) -> io::Result<()> {
    let found = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        found => found?,
    };
    // Nobody gets into a folder that is closed already, whatever is in it.
    if found.is_symlink() || found.mode() & OF_OTHERS == 0 {
        return Ok(());
    }
    if found.is_dir() {
        for entry in fs::read_dir(path)? {
            take(&entry?.path())?;
        }
    }
    // The folder last: a run that is stopped half-way begins again.
    let own = found.mode() & 0o7777 & !OF_OTHERS;
    fs::set_permissions(path, Permissions::from_mode(own))
}

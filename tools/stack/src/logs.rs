//! Logs that stay short although nobody looks after them: one that has become long is put aside, beside itself, while its process writes on.
//! Not for what is kept: of two, the older one is gone.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use nix::libc;

use super::{disk, private};

/// A log that is longer than this is put aside, in bytes.
pub const LOG_MAX: u64 = 16 << 20;
/// Room that a copy leaves to everything else on the disk, in bytes: a broker whose disk was full stores nothing until it is restarted.
const ROOM_MIN: u64 = 64 << 20;

/// Copies a log that is longer than [`LOG_MAX`] to `NAME.log.old` and empties it. Its process has it open to append (see
/// [`crate::child`]), so it goes on at the new end; a line that it writes in between may be lost.
///
/// # Errors
/// When there is no room for the copy: then the log is left as it is.
pub fn put_aside(log: &Path) -> io::Result<()> {
    let old = log.with_extension("log.old");
    // By the file itself, and through no link: a database server's folder may be another user's.
    let mut open = OpenOptions::new();
    let open = open.read(true).write(true).custom_flags(libc::O_NOFOLLOW);
    let mut long = match open.open(log) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        opened => opened?,
    };
    let found = long.metadata()?;
    if !found.is_file() || found.len() <= LOG_MAX {
        return Ok(());
    }
    let replaced = fs::symlink_metadata(&old).map_or(0, |old| old.len());
    let free = log.parent().and_then(disk::free_bytes).unwrap_or(u64::MAX);
    if free.saturating_add(replaced) < found.len() + ROOM_MIN {
        return Err(io::ErrorKind::StorageFull.into());
    }
    match fs::remove_file(&old) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut copy = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(private::FILE)
        .open(&old)?;
    if let Err(error) = io::copy(&mut long, &mut copy) {
        // Half of it is of no use, and takes the room.
        let _ = fs::remove_file(&old);
        return Err(error);
    }
    long.set_len(0)
}

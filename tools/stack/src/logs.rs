//! Logs that stay short although nobody looks after them: one that has become long is put aside, beside itself, while its process writes on.
//! Not for what is kept: of two, the older one is gone.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::Path;

/// A log that is longer than this is put aside, in bytes.
pub const LOG_MAX: u64 = 16 << 20;

/// Copies a log that is longer than [`LOG_MAX`] to `NAME.log.old` and empties it. Its process has it open to append (see
/// [`crate::child`]), so it goes on at the new end; a line that it writes in between may be lost.
///
/// # Errors
/// When there is no room for the copy: then the log is left as it is.
pub fn put_aside(log: &Path) -> io::Result<()> {
    if fs::metadata(log).map_or(0, |log| log.len()) <= LOG_MAX {
        return Ok(());
    }
    let old = log.with_extension("log.old");
    // With the log's mode: what others may not read, they may not read there.
    let copied = fs::copy(log, &old);
    if copied.is_err() {
        // Half of it is of no use, and takes the room.
        let _ = fs::remove_file(&old);
    }
    copied?;
    OpenOptions::new()
        .write(true)
        .open(log)
        .and_then(|log: File| log.set_len(0))
}

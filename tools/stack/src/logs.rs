//! Logs that stay short although nobody looks after them: one that has become long is put aside, beside itself, while its process writes on.
//! Not for what is kept: of two, the older one is gone.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use super::private;

/// A log that is longer than this is put aside, in bytes.
pub const LOG_MAX: u64 = 16 << 20;

/// Copies a log that is longer than [`LOG_MAX`] to `NAME.log.old` and empties it. Its process has it open to append (see
/// [`crate::child`]), so it goes on at the new end; a line that it writes in between may be lost.
///
/// # Errors
/// When there is no room for the copy: then the log is left as it is.
pub fn put_aside(log: &Path) -> io::Result<()> {
    let long = |found: fs::Metadata| found.is_file() && found.len() > LOG_MAX;
    if !fs::symlink_metadata(log).is_ok_and(long) {
        return Ok(());
    }
    let old = log.with_extension("log.old");
    // Made anew: a database server's folder may be another user's, and what lies there a link to somewhere else.
    match fs::remove_file(&old) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut log = OpenOptions::new().read(true).write(true).open(log)?;
    let mut copy = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(private::FILE)
        .open(&old)?;
    if let Err(error) = io::copy(&mut log, &mut copy) {
        // Half of it is of no use, and takes the room.
        let _ = fs::remove_file(&old);
        return Err(error);
    }
    log.set_len(0)
}

//! A disk of its own for a folder, which can be made full and given space again: a tmpfs whose size is lowered to what is used.
//!
//! Needs Linux and the right to mount; elsewhere [`Mounted::on`] fails and says why. Nothing is ever written to fill
//! it, so it costs no memory.

use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result};

/// What it offers while it is not full: more than any run writes, and enough for a stream's reservation.
#[cfg(target_os = "linux")]
const SIZE: u64 = 4 << 30;

/// A mounted disk. Dropped, it is gone with all that is on it, also when this process is killed.
#[derive(Debug)]
pub struct Mounted {
    path: PathBuf,
    /// A shell that unmounts it when we are gone.
    watch: Child,
}

impl Mounted {
    /// Lays one over an empty folder, which it makes.
    ///
    /// # Errors
    /// Where there is no tmpfs, or no right to mount one.
    pub fn on(folder: &Path) -> Result<Self> {
        std::fs::create_dir_all(folder)?;
        mount(folder)?;
        let watch = Command::new("sh")
            .args(["-c", "read -r _; sleep 1; umount -l -- \"$1\"", "sh"])
            .arg(folder)
            .current_dir("/")
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("cannot run sh")?;
        Ok(Self {
            path: folder.to_owned(),
            watch,
        })
    }

    /// Not another byte can be written.
    ///
    /// # Errors
    /// When it is gone.
    pub fn fill(&self) -> Result<()> {
        fill(&self.path)
    }

    /// There is space again.
    ///
    /// # Errors
    /// When it is gone.
    pub fn free(&self) -> Result<()> {
        free(&self.path)
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        unmount(&self.path);
        let _ = self.watch.kill();
        let _ = self.watch.wait();
    }
}

/// What is free on a folder's disk for this user, in bytes; none where that cannot be known.
#[must_use]
#[allow(
    clippy::useless_conversion,
    reason = "blocks are counted in 32 bits on macOS"
)]
pub fn free_bytes(folder: &Path) -> Option<u64> {
    let disk = nix::sys::statvfs::statvfs(folder).ok()?;
    Some(u64::from(disk.blocks_available()) * disk.fragment_size())
}

#[cfg(target_os = "linux")]
fn resize(folder: &Path, bytes: u64, flags: nix::mount::MsFlags) -> nix::Result<()> {
    let size = format!("size={bytes}");
    nix::mount::mount(
        Some("roundtrip-disk"),
        folder,
        Some("tmpfs"),
        flags,
        Some(size.as_str()),
    )
}

#[cfg(target_os = "linux")]
fn mount(folder: &Path) -> Result<()> {
    resize(folder, SIZE, nix::mount::MsFlags::empty()).context("a tmpfs cannot be mounted here")
}

/// Refused when what is used has just grown: then once more.
#[cfg(target_os = "linux")]
fn fill(folder: &Path) -> Result<()> {
    let mut tries = 0;
    loop {
        let now = nix::sys::statvfs::statvfs(folder)?;
        let used = now.blocks().saturating_sub(now.blocks_free()) * now.fragment_size();
        // None at all would mean without a limit.
        let used = used.max(now.fragment_size());
        match resize(folder, used, nix::mount::MsFlags::MS_REMOUNT) {
            Err(nix::errno::Errno::EINVAL) if tries < 100 => tries += 1,
            other => return other.context("a disk cannot be made full"),
        }
    }
}

#[cfg(target_os = "linux")]
fn free(folder: &Path) -> Result<()> {
    resize(folder, SIZE, nix::mount::MsFlags::MS_REMOUNT).context("a disk cannot be freed")
}

#[cfg(target_os = "linux")]
fn unmount(folder: &Path) {
    let _ = nix::mount::umount2(folder, nix::mount::MntFlags::MNT_DETACH);
}

#[cfg(not(target_os = "linux"))]
fn mount(_: &Path) -> Result<()> {
    anyhow::bail!("a disk of its own needs Linux")
}

#[cfg(not(target_os = "linux"))]
fn fill(_: &Path) -> Result<()> {
    Ok(())
}

#[cfg(not(target_os = "linux"))]
fn free(_: &Path) -> Result<()> {
    Ok(())
}

#[cfg(not(target_os = "linux"))]
fn unmount(_: &Path) {}

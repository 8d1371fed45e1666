//! What can be seen of other processes: whether one is still the one that we knew, what it used of the CPU, who listens on a port.
//! Nothing here changes anything. What a system does not show is None, never an error.

use std::fs;
use std::process::Command;

/// Linux counts in hundredths of a second towards programs, whatever its own clock.
const TICK_US: u64 = 10_000;

/// When the process of that id started, in whatever form the system says it: tells it from a later one with the same id. None once it has
/// ended.
#[must_use]
pub fn started(pid: u32) -> Option<String> {
    if cfg!(target_os = "linux") {
        let stat = Stat::of(pid)?;
        return (stat.state != "Z").then_some(stat.started);
    }
    let ps = Command::new("ps")
        .args(["-o", "lstart=", "-p"])
        .arg(pid.to_string())
        .output()
        .ok()?;
    let text = String::from_utf8_lossy(&ps.stdout).trim().to_owned();
    (!text.is_empty()).then_some(text)
}

/// Microseconds of CPU time, user's and system's, that a process has used. None where there is no `/proc`.
#[must_use]
pub fn cpu_us(pid: u32) -> Option<u64> {
    Some(Stat::of(pid)?.ticks * TICK_US)
}

/// Its living children: a server's worker processes.
#[must_use]
pub fn children(pid: u32) -> Vec<u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|id| Stat::of(*id).is_some_and(|stat| stat.parent == pid))
        .collect()
}

/// What its children that have ended had used, in microseconds of CPU time. None where there is no `/proc`.
#[must_use]
pub fn reaped_cpu_us(pid: u32) -> Option<u64> {
    Some(Stat::of(pid)?.reaped * TICK_US)
}

/// Who listens at a port of this machine, such as `nginx, pid 812`; as far as we may see.
#[must_use]
pub fn listener(port: u16) -> Option<String> {
    let sockets: Vec<String> = ["/proc/net/tcp", "/proc/net/tcp6"]
        .iter()
        .filter_map(|table| fs::read_to_string(table).ok())
        .flat_map(|table| listening(&table, port))
        .map(|inode| format!("socket:[{inode}]"))
        .collect();
    if sockets.is_empty() {
        return None;
    }
    for entry in fs::read_dir("/proc").ok()?.flatten() {
        let pid: Option<u32> = entry.file_name().to_str().and_then(|n| n.parse().ok());
        let (Some(pid), Ok(files)) = (pid, fs::read_dir(entry.path().join("fd"))) else {
            continue;
        };
        let holds = files.flatten().any(|file| {
            fs::read_link(file.path())
                .is_ok_and(|link| sockets.iter().any(|s| link.as_os_str() == s.as_str()))
        });
        if holds {
            let name = fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
            return Some(format!("{}, pid {pid}", name.trim()));
        }
    }
    None
}

/// The inodes of sockets that listen at the port.
fn listening(table: &str, port: u16) -> Vec<String> {
    const LISTEN: &str = "0A";
    let wanted = format!("{port:04X}");
    let inode = |line: &str| -> Option<String> {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (_, at) = fields.get(1)?.rsplit_once(':')?;
        let wanted = at == wanted && fields.get(3) == Some(&LISTEN);
        fields.get(9).filter(|_| wanted).map(ToString::to_string)
    };
    table.lines().filter_map(inode).collect()
}

/// What we read of `/proc/PID/stat`.
struct Stat {
    state: String,
    parent: u32,
    ticks: u64,
    /// Of its children that have ended and were waited for.
    reaped: u64,
    started: String,
}

impl Stat {
    fn of(pid: u32) -> Option<Self> {
        Self::read(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    /// The name, in brackets, may hold spaces and brackets itself.
    fn read(line: &str) -> Option<Self> {
        let (_, rest) = line.rsplit_once(')')?;
        let fields: Vec<&str> = rest.split_whitespace().collect();
        let ticks = |at: usize| fields.get(at)?.parse::<u64>().ok();
        Some(Self {
            state: (*fields.first()?).to_owned(),
            parent: fields.get(1)?.parse().ok()?,
            ticks: ticks(11)? + ticks(12)?,
            reaped: ticks(13)? + ticks(14)?,
            started: (*fields.get(19)?).to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Stat, listener, listening, started};

    #[test]
    fn a_stat_line_is_read_behind_the_name() {
        let line = "812 (a) b (c) S 7 812 812 0 -1 4194560 1 2 3 4 50 25 2 3 20 0 9 0 123456 1 2";
        let stat = Stat::read(line);
        assert!(stat.is_some_and(|stat| {
            let read = (
                stat.state,
                stat.parent,
                stat.ticks,
                stat.reaped,
                stat.started,
            );
            read == ("S".into(), 7, 75, 5, "123456".into())
        }));
        assert!(Stat::read("nonsense").is_none());
    }

    #[test]
    fn we_ourselves_run_and_nobody_has_no_id() {
        let us = started(std::process::id());
        assert!(us.is_some());
        assert_eq!(us, started(std::process::id()));
        assert_eq!(started(u32::MAX), None);
    }

    #[test]
    fn a_listening_socket_is_found_by_its_port() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n   \
                     0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 0\n   \
                     1: 0100007F:1F90 0100007F:9C40 01 00000000:00000000 00:00000000 00000000     0        0 4712 1 0";
        assert_eq!(listening(table, 8080), ["4711"]);
        assert!(listening(table, 80).is_empty());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn we_are_named_as_the_one_who_listens() {
        let bound = std::net::TcpListener::bind("127.0.0.1:0").map(|listener| {
            let port = listener.local_addr().map_or(0, |address| address.port());
            (listener, port)
        });
        assert!(bound.is_ok_and(|(_listener, port)| {
            listener(port).is_some_and(|who| who.ends_with(&format!("pid {}", std::process::id())))
        }));
    }
}

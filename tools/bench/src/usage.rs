//! What each process used of the machine, at the price of a look into `/proc`: CPU, bytes written to storage, memory. Where there is no
//! `/proc`, or it may not be read, a figure is absent.

use std::collections::BTreeMap;
use std::fs;

use stack::Stack;
use stack::process::{children, cpu_us, reaped_cpu_us};

/// The load generator's own name among the processes.
pub(crate) const BENCH: &str = "bench";

/// The processes that one name stands for: all replicas of a service, a server with its children.
pub(crate) type Processes = BTreeMap<String, Vec<u32>>;

/// Every process of the stack by name, and our own.
pub(crate) fn processes(stack: &Stack) -> Processes {
    let state = stack.state();
    let services = state.services.into_iter().map(|s| (s.service, s.process));
    let nats = [(String::from("nats"), state.nats)];
    let mut all = Processes::new();
    for (name, process) in services.chain(nats) {
        if let Some(process) = process {
            all.entry(name).or_default().push(process.pid);
        }
    }
    all.insert(String::from(BENCH), vec![std::process::id()]);
    if let Some(postgres) = state.postgres {
        // Each connection has a process of its own there.
        let mut family = vec![postgres.pid];
        family.extend(children(postgres.pid));
        all.insert(String::from("postgres"), family);
    }
    all
}

/// Used until now, by name.
#[derive(Debug, Clone, Default)]
pub(crate) struct Usage {
    pub(crate) cpu_us: BTreeMap<String, u64>,
    pub(crate) written_bytes: BTreeMap<String, u64>,
}

impl Usage {
    pub(crate) fn of(processes: &Processes) -> Self {
        let mut usage = Self::default();
        for (name, pids) in processes {
            // A child that has ended is counted by its parent, which stands first.
            let reaped = pids.first().and_then(|pid| reaped_cpu_us(*pid));
            if let Some(cpu) = sum(pids, cpu_us) {
                let reaped = if pids.len() > 1 { reaped } else { None };
                usage
                    .cpu_us
                    .insert(name.clone(), cpu + reaped.unwrap_or_default());
            }
            if let Some(bytes) = sum(pids, written_bytes) {
                usage.written_bytes.insert(name.clone(), bytes);
            }
        }
        usage
    }
}

/// What these processes have in memory now, by name. Memory that several of them share (a program's file, a database server's buffers) counts
/// once.
pub(crate) fn memory_bytes(processes: &Processes) -> BTreeMap<String, u64> {
    let of = |(name, pids): (&String, &Vec<u32>)| {
        let each: Vec<(u64, u64)> = pids.iter().filter_map(|pid| memory(*pid)).collect();
        Some((name.clone(), together(&each)?))
    };
    processes.iter().filter_map(of).collect()
}

/// None when no process shows it.
fn sum(pids: &[u32], of: impl Fn(u32) -> Option<u64>) -> Option<u64> {
    let known = pids.iter().filter_map(|pid| of(*pid));
    known.fold(None, |sum, value| Some(sum.unwrap_or(0) + value))
}

/// What a process, and its children that have ended, had written to storage, less what was taken back before it got there.
fn written_bytes(pid: u32) -> Option<u64> {
    let io = fs::read_to_string(format!("/proc/{pid}/io")).ok()?;
    let written = field(&io, "write_bytes:")?;
    Some(written.saturating_sub(field(&io, "cancelled_write_bytes:").unwrap_or(0)))
}

/// Its own memory, and what it shares with others, in bytes.
fn memory(pid: u32) -> Option<(u64, u64)> {
    own_and_shared(&fs::read_to_string(format!("/proc/{pid}/status")).ok()?)
}

fn own_and_shared(status: &str) -> Option<(u64, u64)> {
    let own = field(status, "RssAnon:")?;
    let shared = ["RssFile:", "RssShmem:"].map(|name| field(status, name).unwrap_or(0));
    Some((own * 1_024, shared.iter().sum::<u64>() * 1_024))
}

/// Several processes of one name: what each has to itself, and once the most that one of them shares.
fn together(each: &[(u64, u64)]) -> Option<u64> {
    let shared = each.iter().map(|(_, shared)| *shared).max()?;
    Some(each.iter().map(|(own, _)| own).sum::<u64>() + shared)
}

fn field(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_field_is_found_by_its_whole_name() {
        let io = "wchar: 9\nwrite_bytes: 4096\ncancelled_write_bytes: 1\n";
        assert_eq!(field(io, "write_bytes:"), Some(4096));
        assert_eq!(field(io, "read_bytes:"), None);
        assert_eq!(field("RssAnon:\t  12 kB\n", "RssAnon:"), Some(12));
    }

    #[test]
    fn what_processes_of_one_name_share_counts_once() {
        let status = "RssAnon:\t 10 kB\nRssFile:\t 5 kB\nRssShmem:\t 2 kB\n";
        let one = own_and_shared(status).unwrap();
        assert_eq!(one, (10 << 10, 7 << 10));
        assert_eq!(together(&[one, one]), Some(27 << 10));
        assert_eq!(together(&[]), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn we_ourselves_use_something_and_nobody_uses_nothing() {
        let us = Processes::from([
            (String::from(BENCH), vec![std::process::id()]),
            (String::from("nobody"), vec![u32::MAX]),
        ]);
        let usage = Usage::of(&us);
        assert!(usage.cpu_us.contains_key(BENCH));
        assert!(!usage.cpu_us.contains_key("nobody"));
        assert!(!usage.written_bytes.contains_key("nobody"));
        assert!(memory_bytes(&us)[BENCH] > 1 << 20);
    }
}

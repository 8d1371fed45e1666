//! The machine that it was measured on, as far as it shows. A name of it is not among that.

use std::fs;

use serde::Serialize;

/// What the figures depend on and no setting says.
#[derive(Debug, Clone, Serialize)]
pub struct Machine {
    /// Cores that we may use.
    pub cores: usize,
    /// The processor's own name.
    pub cpu_model: Option<String>,
    /// The system's kernel.
    pub kernel: Option<String>,
    /// Such as `linux`, and `x86_64`.
    pub system: String,
    /// Memory.
    pub memory_bytes: Option<u64>,
    /// Programs that wanted a core before anything was started, averaged over a minute: what else goes on here.
    pub load_before: Option<f64>,
}

impl Machine {
    /// This one.
    #[must_use]
    pub fn here() -> Self {
        let read = |file: &str| fs::read_to_string(file).ok();
        let memory = read("/proc/meminfo").and_then(|text| {
            let line = text
                .lines()
                .find_map(|line| line.strip_prefix("MemTotal:"))?;
            let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
            Some(kib * 1_024)
        });
        let load = read("/proc/loadavg");
        Self {
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            cpu_model: read("/proc/cpuinfo").as_deref().and_then(cpu_model),
            kernel: read("/proc/sys/kernel/osrelease").map(|text| text.trim().to_owned()),
            system: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
            memory_bytes: memory,
            load_before: load.and_then(|text| text.split_whitespace().next()?.parse().ok()),
        }
    }
}

fn cpu_model(info: &str) -> Option<String> {
    let line = info.lines().find(|line| line.starts_with("model name"))?;
    let (_, name) = line.split_once(':')?;
    Some(name.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_has_cores() {
        assert!(Machine::here().cores > 0);
        let info = "processor\t: 0\nmodel name\t: A CPU @ 2 GHz\n";
        assert_eq!(cpu_model(info).as_deref(), Some("A CPU @ 2 GHz"));
        assert_eq!(cpu_model("processor : 0\n"), None);
    }
}

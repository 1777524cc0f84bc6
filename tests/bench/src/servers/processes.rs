//! What the kernel says of processes: CPU time and memory, from /proc.

use std::fs;
use std::time::Duration;

use anyhow::Context as _;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// /proc counts CPU time in hundredths of a second on every Linux that we run on (USER_HZ).
const TICKS_PER_SECOND: u64 = 100;

/// Processes measured together; empty when they are not known (a remote endpoint).
#[derive(Clone, Debug, Default)]
pub struct Processes(Vec<u32>);

impl Processes {
    /// The processes with these IDs.
    #[must_use]
    pub fn new(pids: Vec<u32>) -> Self {
        Self(pids)
    }

    /// How many they are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// CPU time they have used in all, to 10 ms a process; `None` when one is not known or gone.
    #[must_use]
    pub fn cpu(&self) -> Option<Duration> {
        self.sum(cpu_ticks).map(|ticks| Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND))
    }

    /// Resident memory in all, in bytes.
    #[must_use]
    pub fn resident(&self) -> Option<u64> {
        self.sum(|pid| status_kib(pid, "VmRSS:")).map(|kib| kib * 1024)
    }

    /// Sum of the highest resident memory each has had, in bytes.
    #[must_use]
    pub fn peak_resident(&self) -> Option<u64> {
        self.sum(|pid| status_kib(pid, "VmHWM:")).map(|kib| kib * 1024)
    }

    fn sum(&self, one: impl Fn(u32) -> Option<u64>) -> Option<u64> {
        if self.0.is_empty() {
            return None;
        }
        self.0.iter().map(|pid| one(*pid)).sum()
    }
}

/// Raises the soft limit of open files to the hard one, for us and the servers launched after; returns it.
///
/// # Errors
/// When the kernel refuses.
pub fn raise_file_limit() -> anyhow::Result<u64> {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })
        .context("could not raise the limit of open files (RLIMIT_NOFILE)")?;
    Ok(limit.maximum.unwrap_or(u64::MAX))
}

fn cpu_ticks(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold anything; utime and stime are fields 14 and 15, the 12th and 13th after it.
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

fn status_kib(pid: u32, name: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_uses_memory_and_an_unknown_one_is_not_guessed() {
        let own = Processes::new(vec![std::process::id()]);
        // Looked at first: other tests use more of this process's memory meanwhile.
        let resident = own.resident();
        assert!(resident.is_some_and(|bytes| bytes > 100_000));
        assert!(own.peak_resident() >= resident);
        assert!(own.cpu().is_some());
        assert_eq!(Processes::default().cpu(), None);
        assert_eq!(Processes::new(vec![u32::MAX]).resident(), None);
    }
}

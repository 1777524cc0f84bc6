//! What the figures were taken on: without it they mean nothing to a reader.

use std::fs;
use std::process::Command;

use crate::servers::Subject;

/// The machine and the subjects' versions.
#[derive(Clone, Debug)]
pub struct Machine {
    /// Processor model.
    pub processor: String,
    /// Cores available to us.
    pub cores: usize,
    /// Memory in MiB.
    pub memory_mib: u64,
    /// Kernel release.
    pub kernel: String,
    /// Name and first line of `--version` of each subject.
    pub versions: Vec<(String, String)>,
}

impl Machine {
    /// This one, with `subjects`.
    #[must_use]
    pub fn describe(subjects: &[Subject]) -> Self {
        Self {
            processor: field("/proc/cpuinfo", "model name"),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            memory_mib: field("/proc/meminfo", "MemTotal")
                .trim_end_matches(" kB")
                .parse()
                .map_or(0, |kib: u64| kib / 1024),
            kernel: fs::read_to_string("/proc/sys/kernel/osrelease")
                .unwrap_or_default()
                .trim()
                .to_owned(),
            versions: subjects
                .iter()
                .map(|subject| (subject.name.clone(), version(subject)))
                .collect(),
        }
    }

    /// One line for each fact.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let mut lines = vec![format!(
            "{} cores of {}, {} MiB, Linux {}; servers and generator share it",
            self.cores, self.processor, self.memory_mib, self.kernel
        )];
        lines.extend(self.versions.iter().map(|(name, version)| format!("{name}: {version}")));
        lines
    }
}

fn field(path: &str, name: &str) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|line| line.split_once(':'))
        .map_or("unknown".to_owned(), |(_, value)| value.trim().to_owned())
}

fn version(subject: &Subject) -> String {
    let output = Command::new(&subject.binary).arg("--version").output();
    let text = output
        .map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
        .unwrap_or_default();
    text.lines().next().unwrap_or("version unknown").trim().to_owned()
}

//! What is to be measured: a server program by name, its flags, its timing, and the disk its data goes to.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use rustix::fs::statfs;

/// File system magic of tmpfs and ramfs: on these an fsync costs nothing and every figure is a lie.
const MEMORY_FILE_SYSTEMS: [u64; 2] = [0x0102_1994, 0x8584_58f6];

/// A server program under measurement.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Subject {
    /// Name in the tables.
    pub name: String,
    /// The program.
    pub binary: PathBuf,
    /// Flags for this subject alone, besides those that all get.
    pub flags: Vec<String>,
}

/// Heartbeat and election timeout; `None` leaves the server its default.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Timing {
    /// `--heartbeat-interval`.
    pub heartbeat: Option<Duration>,
    /// `--election-timeout`.
    pub election: Option<Duration>,
}

/// A directory on a real disk in which clusters keep their data.
#[derive(Clone, Debug)]
pub struct DataRoot(PathBuf);

impl Subject {
    /// Reads `NAME=PATH`.
    ///
    /// # Errors
    /// When it is not of that form, or there is no such program.
    pub fn parse(text: &str) -> anyhow::Result<Self> {
        let Some((name, path)) =
            text.split_once('=').filter(|(name, path)| !name.is_empty() && !path.is_empty())
        else {
            bail!("a subject is written NAME=PATH, as in etcd=/usr/bin/etcd; got {text:?}");
        };
        let binary = Path::new(path).canonicalize().with_context(|| {
            format!("subject {name}: there is no program at {path}; build or install it first")
        })?;
        Ok(Self { name: name.to_owned(), binary, flags: Vec::new() })
    }

    /// Adds `NAME=FLAG` if it is meant for this subject.
    pub fn accept_flag(&mut self, text: &str) {
        if let Some(flag) =
            text.strip_prefix(self.name.as_str()).and_then(|rest| rest.strip_prefix('='))
        {
            self.flags.push(flag.to_owned());
        }
    }
}

impl Timing {
    /// The flags that set it.
    #[must_use]
    pub fn flags(&self) -> Vec<String> {
        let flag = |name: &str, span: Option<Duration>| {
            span.map(|span| format!("--{name}={}", span.as_millis()))
        };
        [flag("heartbeat-interval", self.heartbeat), flag("election-timeout", self.election)]
            .into_iter()
            .flatten()
            .collect()
    }
}

impl fmt::Display for Timing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::default() {
            return f.write_str("default timing");
        }
        let ms = |span: Option<Duration>| {
            span.map_or("default".to_owned(), |span| format!("{} ms", span.as_millis()))
        };
        write!(f, "heartbeat {}, election {}", ms(self.heartbeat), ms(self.election))
    }
}

impl DataRoot {
    /// `path`, if it is on a disk.
    ///
    /// # Errors
    /// When it does not exist or is kept in memory, where a durable write costs nothing.
    pub fn new(path: &Path) -> anyhow::Result<Self> {
        let found = statfs(path)
            .with_context(|| format!("cannot use {} for data directories", path.display()))?;
        let kind = u64::try_from(found.f_type).unwrap_or(0);
        if MEMORY_FILE_SYSTEMS.contains(&kind) {
            bail!(
                "{} is kept in memory: writes there are never durable; name a disk with --data-root",
                path.display()
            );
        }
        Ok(Self(path.to_owned()))
    }

    /// The directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_have_a_name_and_a_program() {
        let mut subject = Subject::parse("sh=/bin/sh").expect("a program");
        subject.accept_flag("sh=--one=1");
        subject.accept_flag("shell=--two");
        assert_eq!(
            (subject.name.as_str(), subject.flags.as_slice()),
            ("sh", &["--one=1".to_owned()][..])
        );
        for text in ["/bin/sh", "=/bin/sh", "sh=", "sh=/no/such/program"] {
            assert!(Subject::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn memory_is_no_disk() {
        assert!(DataRoot::new(Path::new("/dev/shm")).is_err());
        assert!(DataRoot::new(Path::new("/no/such/place")).is_err());
    }
}

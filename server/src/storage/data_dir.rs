//! The data directory: who may use it, whose it is, where things lie in it.
//!
//! ```text
//! <data-dir>/LOCK        held with flock while a member runs; contains its pid
//!            identity    text, checksummed: format, cluster, member, incarnation, whether a log exists
//!            removed     present once the cluster has removed this member
//!            snap/       snapshots
//!            wal/        the raft log, unless --wal-dir says elsewhere
//! ```
//! Invariant: one process at a time; the identity is on the device before anything else is written,
//! and never changes its cluster or member. How a member comes by an identity is not decided here.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;

use super::disk::{PARTIAL_SUFFIX, replace_file, sync_dir};

mod identity;

pub use identity::Identity;

const LOCK: &str = "LOCK";
const IDENTITY: &str = "identity";
const REMOVED: &str = "removed";
const SNAPSHOTS: &str = "snap";
const LOG: &str = "wal";

/// Why a data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    /// The operating system failed an operation.
    #[error("cannot {doing} {}: {source}", path.display())]
    Io {
        /// The operation, as a verb.
        doing: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// Another process uses it.
    #[error(
        "{} is in use by another process{}. Two members never share a directory: stop the other \
         one, or give this one its own --data-dir",
        dir.display(),
        pid.map(|pid| format!(" (pid {pid})")).unwrap_or_default()
    )]
    InUse {
        /// The locked directory.
        dir: PathBuf,
        /// Who holds the lock, if the lock file says so.
        pid: Option<u32>,
    },
    /// It is etcd's.
    #[error(
        "{} is a data directory of etcd ({} exists), and this program cannot read it. Give this \
         member its own empty --data-dir and copy the keys over through the API",
        dir.display(), found.display()
    )]
    Etcd {
        /// The directory.
        dir: PathBuf,
        /// What gave it away.
        found: PathBuf,
    },
    /// Written by a newer version of the program.
    #[error(
        "{} has format version {found}, and this program knows versions up to {known}. Start the \
         program version that wrote it, or a newer one",
        dir.display()
    )]
    NewerFormat {
        /// The directory.
        dir: PathBuf,
        /// The version it states.
        found: u32,
        /// The newest version this program reads.
        known: u32,
    },
    /// The identity file is not what was written.
    #[error(
        "{} is damaged ({found}), so it is not known whose data this is. Nothing was changed. \
         Restore that file, or remove this member from the cluster and add it again with an empty \
         data directory; keep this one until the new member has caught up",
        file.display()
    )]
    IdentityDamaged {
        /// The identity file.
        file: PathBuf,
        /// What is wrong with it.
        found: &'static str,
    },
    /// There is a log or a snapshot, but no identity.
    #[error(
        "{} holds data ({} exists) but no identity file, so it is not known whose data this is. \
         Nothing was changed. Restore the identity file, or give this member an empty --data-dir",
        dir.display(), found.display()
    )]
    IdentityMissing {
        /// The directory.
        dir: PathBuf,
        /// What shows that it was used.
        found: PathBuf,
    },
    /// The directory already has an identity.
    #[error("{} already belongs to member {member:x} of cluster {cluster:x}", dir.display())]
    AlreadyIdentified {
        /// The directory.
        dir: PathBuf,
        /// Its cluster.
        cluster: u64,
        /// Its member.
        member: u64,
    },
}

impl DataDirError {
    fn io(doing: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Io { doing, path: path.into(), source }
    }
}

/// A locked data directory. The lock goes when this is dropped, or the process ends.
#[derive(Debug)]
pub struct DataDir {
    dir: PathBuf,
    log_dir: PathBuf,
    identity: Option<Identity>,
    _locks: Vec<File>,
}

impl DataDir {
    /// Opens `dir`, making it with mode 0700 if need be, and locks it and `log_dir` if that lies
    /// elsewhere. Removes what a crash left half-written.
    ///
    /// # Errors
    /// It is in use, is not ours, is newer than this program or cannot be read.
    pub fn open(dir: &Path, log_dir: Option<&Path>) -> Result<Self, DataDirError> {
        make_dir(dir)?;
        refuse_etcd(dir, log_dir)?;
        let mut locks = vec![lock(dir)?];
        remove_partial_files(dir)?;
        let log = log_dir.map_or_else(|| dir.join(LOG), Path::to_path_buf);
        make_dir(&log)?;
        if log_dir.is_some() {
            locks.push(lock(&log)?);
        }
        make_dir(&dir.join(SNAPSHOTS))?;
        let identity = identity::read(dir, IDENTITY)?;
        let opened = Self { dir: dir.into(), log_dir: log, identity, _locks: locks };
        if opened.identity.is_none() {
            opened.refuse_data_without_identity()?;
        }
        Ok(opened)
    }

    /// Whose data this is; `None` for a directory not used yet.
    #[must_use]
    pub const fn identity(&self) -> Option<Identity> {
        self.identity
    }

    /// Gives a new directory its identity, durably. To be done before the log is made.
    ///
    /// # Errors
    /// It has one already, or the disk failed.
    pub fn identify(&mut self, identity: Identity) -> Result<(), DataDirError> {
        if let Some(Identity { cluster, member, .. }) = self.identity {
            return Err(DataDirError::AlreadyIdentified { dir: self.dir.clone(), cluster, member });
        }
        self.write_identity(identity)
    }

    /// Notes, durably, that the log has been made: from now on an empty log directory is a loss and
    /// not a beginning. See [`super::log::LogOptions::create`].
    ///
    /// # Errors
    /// The disk failed.
    pub fn log_created(&mut self) -> Result<(), DataDirError> {
        match self.identity {
            Some(identity) if !identity.has_log => {
                self.write_identity(Identity { has_log: true, ..identity })
            }
            _ => Ok(()),
        }
    }

    /// Whether the cluster has removed this member.
    #[must_use]
    pub fn is_removed(&self) -> bool {
        self.dir.join(REMOVED).exists()
    }

    /// Notes, durably, that the cluster has removed this member: it must never start again from here.
    ///
    /// # Errors
    /// The disk failed.
    pub fn mark_removed(&self) -> Result<(), DataDirError> {
        let text =
            b"The cluster has removed this member. To bring the machine back, add a new member \
            and start it with an empty data directory.\n";
        replace_file(&self.dir, REMOVED, text)
            .map_err(|error| DataDirError::io("write", &self.dir.join(REMOVED), error))
    }

    /// The directory itself.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.dir
    }

    /// Where the raft log lies.
    #[must_use]
    pub fn log_dir(&self) -> &Path {
        &self.log_dir
    }

    /// Where snapshots lie.
    #[must_use]
    pub fn snapshot_dir(&self) -> PathBuf {
        self.dir.join(SNAPSHOTS)
    }

    fn write_identity(&mut self, identity: Identity) -> Result<(), DataDirError> {
        let file = self.dir.join(IDENTITY);
        replace_file(&self.dir, IDENTITY, identity.to_text().as_bytes())
            .map_err(|error| DataDirError::io("write", &file, error))?;
        self.identity = Some(identity);
        Ok(())
    }

    fn refuse_data_without_identity(&self) -> Result<(), DataDirError> {
        for dir in [self.log_dir.clone(), self.snapshot_dir()] {
            let found = first_with_suffix(&dir, &[".wal", ".snap"])
                .map_err(|error| DataDirError::io("list", &dir, error))?;
            if let Some(found) = found {
                return Err(DataDirError::IdentityMissing { dir: self.dir.clone(), found });
            }
        }
        Ok(())
    }
}

fn make_dir(dir: &Path) -> Result<(), DataDirError> {
    let is_new = !dir.exists();
    let io = |error| DataDirError::io("create", dir, error);
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(io)?;
    match dir.parent().filter(|parent| is_new && !parent.as_os_str().is_empty()) {
        Some(parent) => sync_dir(parent).map_err(io),
        None => Ok(()),
    }
}

/// etcd keeps its data in `member/`, or its log in a directory of its own, in files named
/// `<sequence>-<index>.wal`.
fn refuse_etcd(dir: &Path, log_dir: Option<&Path>) -> Result<(), DataDirError> {
    let inside = [dir.join("member/wal"), dir.join("member/snap")].into_iter().find(|p| p.exists());
    let refused = |dir: &Path, found| DataDirError::Etcd { dir: dir.into(), found };
    if let Some(found) = inside {
        return Err(refused(dir, found));
    }
    let Some(log_dir) = log_dir.filter(|log_dir| log_dir.is_dir()) else { return Ok(()) };
    for entry in std::fs::read_dir(log_dir).map_err(|e| DataDirError::io("list", log_dir, e))? {
        let path = entry.map_err(|e| DataDirError::io("list", log_dir, e))?.path();
        let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
        let is_log = path.extension().is_some_and(|extension| extension == "wal");
        if is_log && stem.is_some_and(|stem| stem.contains('-')) {
            return Err(refused(log_dir, path));
        }
    }
    Ok(())
}

fn lock(dir: &Path) -> Result<File, DataDirError> {
    let path = dir.join(LOCK);
    let io = |error| DataDirError::io("lock", &path, error);
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    let mut file = options.open(&path).map_err(io)?;
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(rustix::io::Errno::WOULDBLOCK) => {
            let mut text = String::new();
            let read = file.read_to_string(&mut text);
            let pid = read.ok().and_then(|_| text.trim().parse().ok());
            return Err(DataDirError::InUse { dir: dir.into(), pid });
        }
        Err(error) => return Err(io(error.into())),
    }
    // Information only: the lock is the kernel's.
    let noted = file.set_len(0).and_then(|()| file.rewind());
    noted.and_then(|()| writeln!(file, "{}", std::process::id())).map_err(io)?;
    Ok(file)
}

fn remove_partial_files(dir: &Path) -> Result<(), DataDirError> {
    let io = |error| DataDirError::io("clean up", dir, error);
    while let Some(path) = first_with_suffix(dir, &[PARTIAL_SUFFIX]).map_err(io)? {
        std::fs::remove_file(path).map_err(io)?;
    }
    Ok(())
}

fn first_with_suffix(dir: &Path, suffixes: &[&str]) -> io::Result<Option<PathBuf>> {
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        let name = path.to_string_lossy();
        if path.is_file() && suffixes.iter().any(|suffix| name.ends_with(suffix)) {
            return Ok(Some(path));
        }
    }
    Ok(None)
}

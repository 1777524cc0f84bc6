//! How the log says no: why it cannot be opened, and why it had to stop.
//!
//! Invariant: every text says what happened, where, and what the operator can do about it.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

/// What an operator does about a damaged log.
const WAY_OUT: &str = "Nothing was changed. If the rest of the cluster is healthy, remove this member \
    from the cluster and add it again with an empty data directory; keep this directory until the \
    new member has caught up. If this is the only copy, restore a backup";

/// Why a log cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The operating system failed an operation.
    #[error("cannot {doing} {}: {source}", path.display())]
    Io {
        /// The operation, as a verb: "read", "create".
        doing: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// Something on disk is not what was written.
    #[error(
        "the raft log is damaged: {} at byte {offset}: {found}. {WAY_OUT}",
        file.display()
    )]
    Damaged {
        /// The file.
        file: PathBuf,
        /// Where in it, in bytes.
        offset: u64,
        /// What was found there.
        found: String,
    },
    /// Written by a newer version of the program.
    #[error(
        "{} has format version {found}, and this program knows versions up to {known}. \
         Start the program version that wrote it, or a newer one",
        file.display()
    )]
    NewerFormat {
        /// The file.
        file: PathBuf,
        /// The version it states.
        found: u32,
        /// The newest version this program reads.
        known: u32,
    },
    /// The segment belongs to another cluster.
    #[error(
        "{} belongs to cluster {found:x}, not to cluster {expected:x}. \
         Check --data-dir and --wal-dir: they seem to be of two different members",
        file.display()
    )]
    OtherCluster {
        /// The file.
        file: PathBuf,
        /// The cluster it states.
        found: u64,
        /// The cluster of this member.
        expected: u64,
    },
    /// The member has been running before, but its log is gone.
    #[error(
        "{} holds no log although this member has run before. If --wal-dir has changed or the disk \
         is not mounted, set that right. {WAY_OUT}",
        dir.display()
    )]
    LogGone {
        /// The log's directory.
        dir: PathBuf,
    },
}

impl OpenError {
    pub(super) fn io(doing: &'static str, path: impl Into<PathBuf>, source: io::Error) -> Self {
        Self::Io { doing, path: path.into(), source }
    }
}

/// Why the log had to stop: a failed write or sync. The process must end; nothing after it is
/// acknowledged. A restart reads back what really reached the device.
#[derive(Clone, Debug, thiserror::Error)]
#[error(
    "cannot {doing} the raft log at {}: {source}. The member stops now, since nothing written after \
     a failed write is known to be safe. Check the disk and the kernel log, then start it again",
    path.display()
)]
pub struct FatalError {
    /// The operation, as a verb: "write", "sync".
    pub doing: &'static str,
    /// The file.
    pub path: PathBuf,
    /// What the operating system said.
    pub source: Arc<io::Error>,
}

impl From<&FatalError> for io::Error {
    fn from(fatal: &FatalError) -> Self {
        Self::new(fatal.source.kind(), fatal.clone())
    }
}

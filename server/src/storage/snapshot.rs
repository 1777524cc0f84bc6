//! Snapshot files: written and read in chunks, verified end to end, a bounded number kept.
//!
//! ```text
//! "QUORSNP\n", u32 version, u32 meta length, meta (prost), u32 CRC32C of all before
//! per chunk: u32 length (never 0), u32 CRC32C of chunk number and bytes, bytes
//! end: u32 zero, u64 chunks, u64 payload bytes, u32 CRC32C of those two            (little endian)
//! ```
//! Invariant: a file named `<term>-<index>.snap` was complete and on the device before it got that
//! name; so one that does not verify is damaged, and is never offered. What is inside the chunks is
//! the state machine's business.

use std::path::{Path, PathBuf};
use std::{fs, io};

use prost::Message;

use super::disk::{PARTIAL_SUFFIX, sync_dir};
use super::record::{EntryId, Membership};

mod reader;
mod writer;

pub use reader::SnapshotReader;
pub use writer::{SnapshotReceiver, SnapshotWriter};

const MAGIC: &[u8; 8] = b"QUORSNP\n";
/// The format version this program writes.
const VERSION: u32 = 1;
/// Largest chunk in bytes: what a reader allocates at once. Writers stay far below it.
pub const CHUNK_BYTES_MAX: usize = 16 << 20;
/// Largest encoded [`SnapshotMeta`] in bytes.
const META_BYTES_MAX: usize = 1 << 20;
const SUFFIX: &str = ".snap";
/// A snapshot that did not verify is renamed so, for whoever wants to look into it.
const DAMAGED_SUFFIX: &str = ".damaged";

/// What a snapshot is a snapshot of.
#[derive(Clone, Eq, PartialEq, Message)]
pub struct SnapshotMeta {
    /// The last entry it includes; absent for the state before any entry.
    #[prost(message, optional, tag = "1")]
    pub last: Option<EntryId>,
    /// The membership in force at that entry.
    #[prost(message, optional, tag = "2")]
    pub membership: Option<Membership>,
    /// The entry that set it.
    #[prost(message, optional, tag = "3")]
    pub membership_at: Option<EntryId>,
    /// The cluster.
    #[prost(uint64, tag = "4")]
    pub cluster: u64,
}

/// Why there is no usable snapshot.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The operating system failed an operation.
    #[error("cannot {doing} the snapshot {}: {source}", path.display())]
    Io {
        /// The operation, as a verb.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The bytes are not those that were written.
    #[error("the snapshot {} is damaged at byte {offset}: {found}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where in it.
        offset: u64,
        /// What was found.
        found: &'static str,
    },
    /// Written by a newer version of the program.
    #[error(
        "the snapshot {} has format version {found}, and this program knows versions up to {VERSION}. \
         Start the program version that wrote it, or a newer one",
        path.display()
    )]
    NewerFormat {
        /// The file.
        path: PathBuf,
        /// The version it states.
        found: u32,
    },
    /// It is another cluster's.
    #[error("the snapshot {} belongs to cluster {found:x}, not to cluster {expected:x}", path.display())]
    OtherCluster {
        /// The file.
        path: PathBuf,
        /// The cluster it states.
        found: u64,
        /// The cluster of this member.
        expected: u64,
    },
    /// The log no longer has what would be needed to go on from any snapshot that is whole.
    #[error(
        "no usable snapshot in {}: the log begins after index {purged}, and {reason}. Nothing was \
         deleted. If the rest of the cluster is healthy, remove this member from the cluster and add \
         it again with an empty data directory; keep this directory until the new member has caught up",
        dir.display()
    )]
    OutOfReach {
        /// The snapshot directory.
        dir: PathBuf,
        /// The last entry the log has given up.
        purged: u64,
        /// What was wrong with the snapshots.
        reason: String,
    },
}

impl SnapshotError {
    fn io(doing: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Io { doing, path: path.into(), source }
    }
}

/// The directory that holds a member's snapshots.
#[derive(Clone, Debug)]
pub struct SnapshotDir {
    dir: PathBuf,
    cluster: u64,
    keep: usize,
}

impl SnapshotDir {
    /// Opens an existing directory and removes what a crash left half-written. At least one snapshot
    /// is kept, whatever `keep` says.
    ///
    /// # Errors
    /// The directory cannot be read or cleaned.
    pub fn open(dir: &Path, cluster: u64, keep: usize) -> Result<Self, SnapshotError> {
        let io = |error| SnapshotError::io("clean up", dir, error);
        for entry in fs::read_dir(dir).map_err(io)? {
            let path = entry.map_err(io)?.path();
            if path.to_string_lossy().ends_with(PARTIAL_SUFFIX) {
                fs::remove_file(&path).map_err(io)?;
            }
        }
        Ok(Self { dir: dir.into(), cluster, keep: keep.max(1) })
    }

    /// Where the snapshots are.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.dir
    }

    /// Begins a new snapshot. Nothing is visible until [`SnapshotWriter::finish`].
    ///
    /// # Errors
    /// The file cannot be made; [`super::disk::is_full`] tells whether for want of room.
    pub fn create(&self, meta: SnapshotMeta) -> Result<SnapshotWriter, SnapshotError> {
        let meta = SnapshotMeta { cluster: self.cluster, ..meta };
        SnapshotWriter::create(&self.dir, meta)
    }

    /// Begins to take in a snapshot file byte for byte, as another member's reader gives it.
    ///
    /// # Errors
    /// As for [`SnapshotDir::create`].
    pub fn receive(&self) -> Result<SnapshotReceiver, SnapshotError> {
        SnapshotReceiver::create(self.clone())
    }

    /// Opens the newest snapshot that is whole and that the log reaches back to: its last entry is
    /// not before `purged`, the last entry the log has given up. Damaged ones are set aside. Blocks:
    /// reads the files once.
    ///
    /// # Errors
    /// [`SnapshotError::OutOfReach`] when the log alone does not suffice and no snapshot fits;
    /// a newer format or another cluster's file is refused at once.
    pub fn newest(&self, purged: Option<EntryId>) -> Result<Option<SnapshotReader>, SnapshotError> {
        let mut reason = String::from("there are no snapshots");
        for path in self.list()?.into_iter().rev() {
            match self.open_verified(&path) {
                Ok(reader) if reader.meta().last >= purged => return Ok(Some(reader)),
                Ok(reader) => {
                    let last = reader.meta().last.map_or(0, |last| last.index);
                    reason = format!("the newest whole snapshot ends at index {last}");
                    break;
                }
                Err(error @ SnapshotError::Damaged { .. }) => {
                    tracing::error!("{error}; it is set aside, an older one may do");
                    reason = error.to_string();
                    self.set_aside(&path)?;
                }
                Err(error) => return Err(error),
            }
        }
        match purged {
            None => Ok(None),
            Some(purged) => {
                let (dir, purged) = (self.dir.clone(), purged.index);
                Err(SnapshotError::OutOfReach { dir, purged, reason })
            }
        }
    }

    /// Removes all but the newest snapshots. Returns how many went.
    ///
    /// # Errors
    /// A file cannot be removed.
    pub fn prune(&self) -> Result<usize, SnapshotError> {
        let files = self.list()?;
        let surplus = files.len().saturating_sub(self.keep);
        for path in files.iter().take(surplus) {
            fs::remove_file(path).map_err(|error| SnapshotError::io("remove", path, error))?;
        }
        Ok(surplus)
    }

    /// The snapshot files, oldest first.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn list(&self) -> Result<Vec<PathBuf>, SnapshotError> {
        let io = |error| SnapshotError::io("list", &self.dir, error);
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.dir).map_err(io)? {
            let path = entry.map_err(io)?.path();
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
            // Fixed-width numbers: the order of names is the order of log ids.
            if let Some(name) = name.filter(|name| name.ends_with(SUFFIX)) {
                found.push((name, path));
            }
        }
        found.sort_unstable();
        Ok(found.into_iter().map(|(_, path)| path).collect())
    }

    fn open_verified(&self, path: &Path) -> Result<SnapshotReader, SnapshotError> {
        let mut reader = SnapshotReader::open(path, self.cluster)?;
        while reader.next_chunk()?.is_some() {}
        SnapshotReader::open(path, self.cluster)
    }

    fn set_aside(&self, path: &Path) -> Result<(), SnapshotError> {
        let mut aside = path.as_os_str().to_owned();
        aside.push(DAMAGED_SUFFIX);
        fs::rename(path, &aside)
            .and_then(|()| sync_dir(&self.dir))
            .map_err(|error| SnapshotError::io("set aside", path, error))
    }
}

fn file_name(last: Option<EntryId>) -> String {
    let last = last.unwrap_or_default();
    format!("{:016x}-{:016x}{SUFFIX}", last.term, last.index)
}

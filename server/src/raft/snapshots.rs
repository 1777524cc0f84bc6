//! Snapshots of the machine: when they are made, how they become files, and how files become the machine again.
//!
//! A snapshot is due after so many operations or so many bytes of log, not entries, since an entry may carry a thousand
//! operations. It is written from a frozen copy of the machine on a thread of its own, so that applying goes on meanwhile.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use openraft::{RaftSnapshotBuilder, StoredMembership};
use quorate_core::Machine;
use quorate_core::snapshot::Restore;

use super::types::{SnapshotMeta, SnapshotOf, TypeConfig};
use super::{Raft, entry_id, log_id, membership_from_record, membership_to_record};
use crate::metrics::{Metrics, SnapshotMetrics};
use crate::storage::disk::free_bytes;
use crate::storage::log::Log;
use crate::storage::snapshot::{self, SnapshotDir, SnapshotReader, SnapshotReceiver};

/// A snapshot is due after this much log, whatever the operations: it bounds the disk, and the time a restart takes.
const LOG_BYTES_MAX: u64 = 256 << 20;

/// Room that is left alone when a snapshot is written: the log's next segment needs it more.
const ROOM_MIN: u64 = 80 << 20;

/// A complete snapshot on this member's disk.
#[derive(Debug)]
pub struct StoredSnapshot(pub SnapshotReader);

/// See the module.
pub struct Snapshots {
    dir: SnapshotDir,
    log: Log,
    operations_max: u64,
    operations: AtomicU64,
    bytes: AtomicU64,
    raft: OnceLock<Raft>,
    metrics: Arc<Metrics>,
}

impl Snapshots {
    /// Snapshots in `dir` of the state behind `log`, one after every `operations_max` operations.
    #[must_use]
    pub fn new(dir: SnapshotDir, log: Log, operations_max: u64, metrics: Arc<Metrics>) -> Self {
        let (operations, bytes) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { dir, log, operations_max, operations, bytes, raft: OnceLock::new(), metrics }
    }

    /// The raft library runs; from now on snapshots are made when due.
    pub fn attach(&self, raft: Raft) {
        // Called once, by the node that made it.
        let _ = self.raft.set(raft);
    }

    /// An entry of `bytes` with `operations` was applied.
    pub(super) fn applied(&self, operations: usize, bytes: usize) {
        let operations =
            self.operations.fetch_add(operations as u64, Ordering::Relaxed) + operations as u64;
        let bytes = self.bytes.fetch_add(bytes as u64, Ordering::Relaxed) + bytes as u64;
        if operations < self.operations_max && bytes < LOG_BYTES_MAX {
            return;
        }
        let Some(raft) = self.raft.get().cloned() else { return };
        self.operations.store(0, Ordering::Relaxed);
        self.bytes.store(0, Ordering::Relaxed);
        tokio::spawn(async move {
            if let Err(error) = raft.trigger().snapshot().await {
                tracing::warn!(%error, "cannot begin a snapshot");
            }
        });
    }

    /// Where transfers are counted.
    pub(super) fn metrics(&self) -> &SnapshotMetrics {
        self.metrics.snapshots()
    }

    /// Whether the disk has room for another snapshot of the size of the newest.
    pub(super) fn has_room(&self) -> bool {
        let newest = self.dir.list().ok().and_then(|files| files.last().cloned());
        let size =
            newest.and_then(|file| std::fs::metadata(file).ok()).map_or(0, |file| file.len());
        free_bytes(self.dir.path()).is_ok_and(|free| free >= 2 * size + ROOM_MIN)
    }

    /// Begins to take in another member's snapshot.
    pub(super) fn receive(&self) -> io::Result<SnapshotReceiver> {
        self.dir.receive().map_err(io::Error::other)
    }

    /// The machine that a snapshot holds.
    pub(super) async fn restore(&self, snapshot: StoredSnapshot) -> io::Result<Machine> {
        let (dir, metrics) = (self.dir.clone(), Arc::clone(&self.metrics));
        blocking(move || {
            let since = Instant::now();
            let StoredSnapshot(mut reader) = snapshot;
            reader.rewind().map_err(io::Error::other)?;
            let mut restore = Restore::new();
            while let Some(chunk) = reader.next_chunk().map_err(io::Error::other)? {
                restore.feed(chunk).map_err(io::Error::other)?;
            }
            let machine = restore.finish().map_err(io::Error::other)?;
            dir.prune().map_err(io::Error::other)?;
            metrics.snapshots().restored(since.elapsed(), reader.size());
            tracing::info!(file = %reader.path().display(), bytes = reader.size(), "restored the store from a snapshot");
            Ok(machine)
        })
        .await
    }

    /// The newest snapshot, if there is one.
    pub(super) async fn newest(&self) -> io::Result<Option<SnapshotOf<StoredSnapshot>>> {
        let (dir, purged) = (self.dir.clone(), self.log.state().purged);
        let newest = blocking(move || dir.newest(purged).map_err(io::Error::other)).await?;
        newest.map(loaded).transpose()
    }
}

/// A snapshot file as the raft library takes it.
pub(super) fn loaded(reader: SnapshotReader) -> io::Result<SnapshotOf<StoredSnapshot>> {
    let stored = reader.meta();
    let membership = membership_from_record(stored.membership.clone().unwrap_or_default())?;
    let meta = SnapshotMeta {
        last_log_id: stored.last.map(log_id),
        last_membership: StoredMembership::new(stored.membership_at.map(log_id), membership),
    };
    Ok(SnapshotOf::<StoredSnapshot> { meta, snapshot: StoredSnapshot(reader) })
}

/// Writes one snapshot.
pub struct SnapshotBuilder {
    snapshots: Arc<Snapshots>,
    meta: SnapshotMeta,
    machine: Option<Machine>,
}

impl SnapshotBuilder {
    /// A builder for the frozen `machine` that `meta` describes.
    pub(super) fn new(snapshots: Arc<Snapshots>, meta: SnapshotMeta, machine: Machine) -> Self {
        Self { snapshots, meta, machine: Some(machine) }
    }
}

impl RaftSnapshotBuilder<TypeConfig> for SnapshotBuilder {
    type SnapshotData = StoredSnapshot;

    async fn build_snapshot(&mut self) -> io::Result<SnapshotOf<StoredSnapshot>> {
        let machine = self
            .machine
            .take()
            .ok_or_else(|| io::Error::other("a builder writes one snapshot only"))?;
        let membership = &self.meta.last_membership;
        let meta = snapshot::SnapshotMeta {
            last: self.meta.last_log_id.as_ref().map(entry_id),
            membership: Some(membership_to_record(membership.membership())),
            membership_at: membership.log_id().as_ref().map(entry_id),
            cluster: 0,
        };
        let dir = self.snapshots.dir.clone();
        let since = Instant::now();
        let reader = match blocking(move || write(&dir, meta, &machine)).await {
            Ok(reader) => reader,
            // To the library a failed snapshot is the end. For want of room it is a delay, if there is an older one to name.
            Err(error) => match self.snapshots.newest().await? {
                Some(older) => {
                    tracing::error!(%error, "could not write a snapshot; the log is kept back to the one before");
                    return Ok(older);
                }
                None => return Err(error),
            },
        };
        self.snapshots.metrics.snapshots().saved(since.elapsed(), reader.size());
        tracing::info!(file = %reader.path().display(), bytes = reader.size(), "wrote a snapshot");
        loaded(reader)
    }
}

fn write(
    dir: &SnapshotDir,
    meta: snapshot::SnapshotMeta,
    machine: &Machine,
) -> io::Result<SnapshotReader> {
    let mut writer = dir.create(meta).map_err(io::Error::other)?;
    for chunk in machine.snapshot() {
        writer.chunk(&chunk).map_err(io::Error::other)?;
    }
    let reader = writer.finish().map_err(io::Error::other)?;
    dir.prune().map_err(io::Error::other)?;
    Ok(reader)
}

/// Runs disk work away from the tasks that must not wait.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}

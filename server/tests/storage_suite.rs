//! The raft library's own conformance suite for log stores, run on ours, with segments small enough
//! that the log keeps changing them and a cache small enough that reads go to disk.
//!
//! The state machine is the least the suite accepts; it is not what members run.

use std::io::{self, Cursor};

use futures_util::{Stream, TryStreamExt};
use openraft::storage::{EntryResponder, RaftStateMachine, Snapshot, SnapshotMeta};
use openraft::testing::log::{StoreBuilder, Suite};
use openraft::{EntryPayload, OptionalSend, RaftSnapshotBuilder, StorageError};
use quorate_server::raft::types::StoredMembership;
use quorate_server::raft::{LogId, LogStore, TypeConfig};
use quorate_server::storage::log::{Log, LogOptions};
use tempfile::TempDir;

type Meta = openraft::type_config::alias::SnapshotMetaOf<TypeConfig>;
type Snap = openraft::type_config::alias::SnapshotOf<TypeConfig, Cursor<Vec<u8>>>;

#[derive(Clone, Default)]
struct Machine {
    applied: Option<LogId>,
    membership: StoredMembership,
    snapshot: Option<Meta>,
}

impl Machine {
    fn take_snapshot(&mut self) -> Snap {
        let meta =
            SnapshotMeta { last_log_id: self.applied, last_membership: self.membership.clone() };
        self.snapshot = Some(meta.clone());
        Snapshot { meta, snapshot: Cursor::new(Vec::new()) }
    }
}

/// Builds into its own copy, and into the one the state machine looks at.
struct Builder(std::sync::Arc<std::sync::Mutex<Machine>>);

impl RaftSnapshotBuilder<TypeConfig> for Builder {
    type SnapshotData = Cursor<Vec<u8>>;

    async fn build_snapshot(&mut self) -> io::Result<Snap> {
        Ok(self.0.lock().expect("not poisoned").take_snapshot())
    }
}

#[derive(Clone, Default)]
struct SharedMachine(std::sync::Arc<std::sync::Mutex<Machine>>);

impl RaftStateMachine<TypeConfig> for SharedMachine {
    type SnapshotData = Cursor<Vec<u8>>;
    type SnapshotBuilder = Builder;

    async fn applied_state(&mut self) -> io::Result<(Option<LogId>, StoredMembership)> {
        let machine = self.0.lock().expect("not poisoned");
        Ok((machine.applied, machine.membership.clone()))
    }

    async fn apply<S>(&mut self, mut entries: S) -> io::Result<()>
    where
        S: Stream<Item = io::Result<EntryResponder<TypeConfig>>> + Unpin + OptionalSend,
    {
        while let Some((entry, responder)) = entries.try_next().await? {
            let mut machine = self.0.lock().expect("not poisoned");
            machine.applied = Some(entry.log_id);
            if let EntryPayload::Membership(membership) = entry.payload {
                machine.membership = StoredMembership::new(Some(entry.log_id), membership);
            }
            if let Some(responder) = responder {
                responder.send(());
            }
        }
        Ok(())
    }

    async fn get_snapshot_builder(&mut self) -> Builder {
        Builder(self.0.clone())
    }

    async fn install_snapshot(&mut self, meta: &Meta, _: Cursor<Vec<u8>>) -> io::Result<()> {
        let mut machine = self.0.lock().expect("not poisoned");
        machine.applied = meta.last_log_id;
        machine.membership = meta.last_membership.clone();
        machine.snapshot = Some(meta.clone());
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> io::Result<Option<Snap>> {
        let meta = self.0.lock().expect("not poisoned").snapshot.clone();
        Ok(meta.map(|meta| Snapshot { meta, snapshot: Cursor::new(Vec::new()) }))
    }
}

struct Stores {
    segment_bytes: u64,
    cache_bytes: usize,
}

impl StoreBuilder<TypeConfig, LogStore, SharedMachine, TempDir> for Stores {
    async fn build(&self) -> Result<(TempDir, LogStore, SharedMachine), StorageError<TypeConfig>> {
        let dir = tempfile::tempdir().expect("a directory");
        let mut options = LogOptions::new(1);
        options.create = true;
        options.first_segment_bytes = self.segment_bytes;
        options.segment_bytes = self.segment_bytes;
        options.cache_bytes = self.cache_bytes;
        let log = Log::open(dir.path(), options).expect("a new log");
        Ok((dir, LogStore::new(log), SharedMachine::default()))
    }
}

async fn conforms(segment_bytes: u64, cache_bytes: usize) {
    Suite::test_all(Stores { segment_bytes, cache_bytes }).await.expect("the suite passes");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn conforms_with_everything_in_memory() {
    conforms(1 << 20, 1 << 20).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn conforms_with_everything_read_from_small_segments() {
    conforms(0, 0).await;
}

//! temp
use crate::storage::snapshot::StoredSnapshot;
use super::types::{SnapshotMeta, SnapshotOf, TypeConfig};
use std::sync::Arc;
use std::io;
use quorate_core::Machine;
/// x
pub struct Snapshots;
/// x
pub struct SnapshotBuilder;
impl SnapshotBuilder { /// x
 pub fn new(_: Arc<Snapshots>, _: SnapshotMeta, _: Machine) -> Self { Self } }
impl Snapshots {
  /// x
  pub async fn restore(&self, _: &SnapshotMeta, _: StoredSnapshot) -> io::Result<Machine> { Ok(Machine::new()) }
  /// x
  pub async fn newest(&self) -> io::Result<Option<SnapshotOf<StoredSnapshot>>> { Ok(None) }
}
impl openraft::RaftSnapshotBuilder<TypeConfig> for SnapshotBuilder { type SnapshotData = StoredSnapshot; async fn build_snapshot(&mut self) -> io::Result<SnapshotOf<StoredSnapshot>> { Err(io::Error::other("x")) } }

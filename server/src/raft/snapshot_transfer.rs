//! temp
use super::types::*;
use super::Raft;
use openraft::raft::SnapshotResponse;
use openraft::errors::StreamingError;
use crate::storage::snapshot::StoredSnapshot;
use crate::peer_api::links::Links;
use crate::peer_api::link::Inbound;
use quorate_core::MemberId;
/// x
pub async fn send(_: &Links, _: MemberId, _: VoteOf, _: SnapshotOf<StoredSnapshot>) -> Result<SnapshotResponse<TypeConfig>, StreamingError<TypeConfig>> { todo!() }
/// x
pub async fn receive(_: &Raft, _: &super::snapshots::Snapshots, _: Inbound) {}

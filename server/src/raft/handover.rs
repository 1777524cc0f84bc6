//! Moves the leadership away from this member before it stops or is removed, so that no client notices.

use std::time::{Duration, Instant};

use openraft::async_runtime::WatchReceiver as _;

use quorate_core::MemberId;

use super::Raft;
use super::leadership::Leadership;
use crate::member::Role;

/// How long one successor gets before the next one is asked.
const ATTEMPT: Duration = Duration::from_millis(300);

/// Hands the leadership to the voter that is closest behind. Returns whether another member leads now (or led before).
pub async fn hand_over(
    raft: &Raft,
    leadership: &Leadership,
    own: MemberId,
    timeout: Duration,
) -> bool {
    let deadline = Instant::now() + timeout;
    let mut views = leadership.watch();
    for successor in successors(raft, own).into_iter().cycle() {
        if leadership.view().role != Role::Leader {
            return true;
        }
        if Instant::now() >= deadline {
            break;
        }
        tracing::info!(to = %successor, "handing the leadership over");
        if raft.trigger().transfer_leader(successor.0).await.is_err() {
            return false;
        }
        let moved = views.wait_for(|view| view.leader.is_some_and(|leader| leader != own.0));
        if tokio::time::timeout(ATTEMPT, moved).await.is_ok() {
            return true;
        }
    }
    leadership.view().role != Role::Leader
}

/// The other voters, the one with the longest log first.
fn successors(raft: &Raft, own: MemberId) -> Vec<MemberId> {
    let metrics = raft.data_metrics();
    let metrics = metrics.borrow_watched();
    let matched =
        |id: u64| metrics.replication.as_ref().and_then(|all| all.get(&id).copied().flatten());
    let mut voters: Vec<u64> = raft.voter_ids().filter(|id| *id != own.0).collect();
    voters.sort_by_key(|id| std::cmp::Reverse(matched(*id)));
    voters.into_iter().map(MemberId).collect()
}

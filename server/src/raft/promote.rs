//! What is still to be done for the members while this member leads.
//!
//! Learners get their vote as soon as they have started, are close behind in absolute terms, and have been so for a while. A
//! share of the log ("90 %") would be wrong for both long and short logs. And a change that a former leader left half done is
//! ended: it takes two entries, and until the second is there no other change may begin.

use std::collections::BTreeMap;
use std::sync::Weak;
use std::time::{Duration, Instant};

use openraft::async_runtime::WatchReceiver as _;
use quorate_core::MemberId;

use super::membership::Membership;

/// How often the learners are looked at.
const CHECK_INTERVAL: Duration = Duration::from_millis(100);
/// A learner no further behind than this many entries keeps up: a heartbeat's worth of a busy log.
const LAG_MAX: u64 = 500;
/// It must keep up this long, so that a burst of luck does not count.
const STABLE_FOR: Duration = Duration::from_millis(500);

/// Looks after learners until the member stops.
pub(super) async fn run(membership: Weak<Membership>) {
    let mut keeping_up_since = BTreeMap::new();
    loop {
        tokio::time::sleep(CHECK_INTERVAL).await;
        let Some(membership) = membership.upgrade() else { return };
        if !membership.leads() {
            keeping_up_since.clear();
            continue;
        }
        if let Err(reply) = membership.finish_here().await {
            // Its entry may not be committed yet, or the leadership has moved.
            tracing::debug!(outcome = reply.outcome, reason = reply.reason, "not ended yet");
        }
        let current = learners_keeping_up(&membership);
        keeping_up_since.retain(|id, _| current.contains(id));
        for id in current {
            let since = *keeping_up_since.entry(id).or_insert_with(Instant::now);
            if since.elapsed() < STABLE_FOR {
                continue;
            }
            keeping_up_since.remove(&id);
            if let Err(reply) = membership.promote_here(id).await {
                tracing::info!(member = %id, reason = reply.reason, "not promoted yet");
            }
        }
    }
}

fn learners_keeping_up(membership: &Membership) -> Vec<MemberId> {
    let started: Vec<MemberId> = membership.replica().view(|machine, _| {
        let learners = machine.members().iter().filter(|member| member.is_learner);
        learners.filter(|member| member.incarnation.is_some()).map(|member| member.id).collect()
    });
    if started.is_empty() {
        return started;
    }
    let metrics = membership.raft().data_metrics();
    let metrics = metrics.borrow_watched();
    let last = metrics.last_log.map_or(0, |id| id.index);
    let matched = |id: MemberId| metrics.replication.as_ref()?.get(&id.0).copied().flatten();
    started
        .into_iter()
        .filter(|id| matched(*id).is_some_and(|at| last.saturating_sub(at.index) <= LAG_MAX))
        .collect()
}

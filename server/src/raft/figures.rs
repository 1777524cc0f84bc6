//! What the raft library measures about itself, in our own terms; for status answers, checks and metrics.

use std::time::Duration;

use openraft::Instant as _;
use openraft::async_runtime::WatchReceiver as _;
use quorate_core::MemberId;

use super::Raft;

/// How often it is looked whether replication stopped.
const STOP_CHECK: Duration = Duration::from_millis(100);

/// A moment's figures.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    /// The term.
    pub term: u64,
    /// Whom this member voted for in the term.
    pub voted_for: Option<MemberId>,
    /// The end of the log.
    pub last_index: u64,
    /// How far the log is known to be committed.
    pub commit_index: u64,
    /// How far the log is applied.
    pub applied_index: u64,
    /// What the newest snapshot covers.
    pub snapshot_index: u64,
    /// What is gone from the log.
    pub purged_index: u64,
    /// How long ago a quorum acknowledged the leader; leaders only.
    pub quorum_ack_age: Option<Duration>,
    /// The others, as their leader sees them; leaders only.
    pub followers: Vec<FollowerFigures>,
    /// Why replication stopped, if it did.
    pub stopped: Option<String>,
}

/// A follower as its leader sees it.
#[derive(Clone, Copy, Debug)]
pub struct FollowerFigures {
    /// Which member.
    pub member: MemberId,
    /// The last entry known to be in its log.
    pub matched_index: u64,
    /// How long ago it acknowledged a heartbeat.
    pub ack_age: Option<Duration>,
}

impl Figures {
    /// The library's figures now.
    #[must_use]
    pub fn of(raft: &Raft) -> Self {
        let metrics = raft.metrics();
        let metrics = metrics.borrow_watched();
        let index = |id: Option<super::LogId>| id.map_or(0, |id| id.index);
        let ack_of =
            |id: &u64| metrics.heartbeat.as_ref()?.get(id)?.as_ref().map(|at| at.elapsed());
        let followers = metrics.replication.iter().flatten().filter(|(id, _)| **id != metrics.id);
        let voted_for = metrics.vote.leader_id.voted_for;
        Self {
            term: metrics.current_term,
            voted_for: (metrics.current_term > 0).then_some(MemberId(voted_for)),
            last_index: metrics.last_log_index.unwrap_or(0),
            commit_index: index(metrics.cluster_committed.max(metrics.local_committed)),
            applied_index: index(metrics.last_applied),
            snapshot_index: index(metrics.snapshot),
            purged_index: index(metrics.purged),
            quorum_ack_age: metrics.last_quorum_acked.as_ref().map(|at| at.elapsed()),
            followers: followers
                .map(|(id, matched)| FollowerFigures {
                    member: MemberId(*id),
                    matched_index: index(*matched),
                    ack_age: ack_of(id),
                })
                .collect(),
            stopped: metrics.running_state.as_ref().err().map(ToString::to_string),
        }
    }

    /// All members of the newest membership in the log, committed or not, by ascending ID.
    #[must_use]
    pub fn member_ids(raft: &Raft) -> Vec<MemberId> {
        let metrics = raft.metrics();
        let metrics = metrics.borrow_watched();
        metrics.membership_config.membership().nodes().map(|(id, _)| MemberId(*id)).collect()
    }

    /// Returns once replication stopped, and why.
    pub async fn stopped(raft: &Raft) -> String {
        let metrics = raft.metrics();
        loop {
            // The figures change with every entry, so being woken for each change would cost more than looking now and then.
            if let Err(fatal) = &metrics.borrow_watched().running_state {
                return fatal.to_string();
            }
            tokio::time::sleep(STOP_CHECK).await;
        }
    }
}

//! What is looked up when somebody asks for the metrics, and not before: a member's state at one moment, as plain data.

use std::time::Duration;

use quorate_core::stats::{StoreStats, Tally};
use quorate_core::{MemberId, StoreIndex};

use super::catalogue::{cluster, disk, peers, process, proposals, snapshots, store};
use super::page::Page;
use crate::client_api::ETCD_VERSION;
use crate::member::Role;
use crate::raft::figures::Figures;
use crate::storage::log::{LogUsage, Space};

/// A follower that has not acknowledged a heartbeat for this many intervals does not count as there.
const HEARTBEATS_MISSED_MAX: u32 = 6;

/// See the module.
#[derive(Clone, Debug)]
pub struct Moment {
    /// This member.
    pub member: MemberId,
    /// Its part.
    pub role: Role,
    /// Whether it knows a leader.
    pub has_leader: bool,
    /// Leaders seen so far.
    pub leader_changes: u64,
    /// Time without a leader so far, the present spell included.
    pub leaderless: Duration,
    /// How long this member has been leading, if it does.
    pub leading_for: Option<Duration>,
    /// The heartbeat interval.
    pub heartbeat_interval: Duration,
    /// The replication library's figures.
    pub figures: Figures,
    /// The last applied entry.
    pub applied_index: u64,
    /// Operations whose outcome is awaited.
    pub proposals_pending: usize,
    /// Operations not yet proposed.
    pub proposals_queued: usize,
    /// Linearizable reads not yet proved.
    pub reads_queued: usize,
    /// The members, and whether each is a learner.
    pub members: Vec<(MemberId, bool)>,
    /// Members that were removed for ever.
    pub removed: Vec<MemberId>,
    /// What the members agreed on.
    pub cluster_version: Option<String>,
    /// The store's index.
    pub store_index: StoreIndex,
    /// What the store has done.
    pub store: StoreCounts,
    /// Watchers that wait.
    pub watchers: usize,
    /// The log's files.
    pub log: LogUsage,
    /// Whether there is room for more.
    pub space: Space,
}

/// The store's counters at a moment: what went well and what failed, by etcd's name of the action.
#[derive(Clone, Debug, Default)]
pub struct StoreCounts {
    reads: (u64, u64),
    writes: Vec<(&'static str, u64, u64)>,
    expired: u64,
}

impl From<&StoreStats> for StoreCounts {
    fn from(stats: &StoreStats) -> Self {
        let counts = |tally: &Tally| (tally.success.count(), tally.fail.count());
        let write = |action, tally| {
            let (success, fail) = counts(tally);
            (action, success, fail)
        };
        Self {
            reads: counts(&stats.gets),
            writes: vec![
                write("set", &stats.sets),
                write("create", &stats.creates),
                write("update", &stats.updates),
                write("delete", &stats.deletes),
                write("compareAndSwap", &stats.compare_and_swaps),
                write("compareAndDelete", &stats.compare_and_deletes),
            ],
            expired: stats.expired.count(),
        }
    }
}

impl Moment {
    pub(super) fn write(&self, page: &mut Page) {
        self.write_cluster(page);
        self.write_leader(page);
        self.write_proposals(page);
        self.write_disk(page);
        self.write_store(page);
        for (own, from) in
            [(&process::FD_USED, &process::OPEN_FDS), (&process::FD_LIMIT, &process::MAX_FDS)]
        {
            if let Some(value) = page.value(from.name) {
                page.number(own, &[], value);
            }
        }
    }

    fn write_cluster(&self, page: &mut Page) {
        page.flag(&cluster::SERVER_ID, &[&self.member.to_string()], true);
        page.flag(&cluster::SERVER_VERSION, &[ETCD_VERSION], true);
        page.flag(&cluster::BUILD_INFO, &[env!("CARGO_PKG_VERSION")], true);
        if let Some(version) = &self.cluster_version {
            page.flag(&cluster::CLUSTER_VERSION, &[minor_version(version)], true);
        }
        let learners = self.members.iter().filter(|(_, is_learner)| *is_learner).count();
        page.count(&cluster::MEMBERS, &["learner"], learners as u64);
        page.count(&cluster::MEMBERS, &["voter"], (self.members.len() - learners) as u64);
        page.flag(&cluster::HAS_LEADER, &[], self.has_leader);
        page.flag(&cluster::IS_LEADER, &[], self.role == Role::Leader);
        page.flag(&cluster::IS_LEARNER, &[], self.role == Role::Learner);
        page.count(&cluster::TERM, &[], self.figures.term);
        page.count(&cluster::LEADER_CHANGES, &[], self.leader_changes);
        page.number(&cluster::LEADERLESS_SECONDS, &[], self.leaderless.as_secs_f64());
    }

    fn write_leader(&self, page: &mut Page) {
        let (Role::Leader, Some(leading_for)) = (self.role, self.leading_for) else { return };
        page.number(&cluster::FAILURE_TOLERANCE, &[], self.failure_tolerance() as f64);
        if let Some(age) = self.figures.quorum_ack_age.filter(|_| self.voters().count() > 1) {
            page.number(&cluster::QUORUM_ACK_AGE, &[], age.as_secs_f64());
        }
        for follower in &self.figures.followers {
            let id = follower.member.to_string();
            // One that never acknowledged since this member leads may have been gone for longer, but not for less.
            let age = follower.ack_age.unwrap_or(leading_for);
            page.number(&peers::HEARTBEAT_ACK_AGE, &[&id], age.as_secs_f64());
            let is_learner = self.members.contains(&(follower.member, true));
            let role = if is_learner { "learner" } else { "voter" };
            let lag = self.figures.last_index.saturating_sub(follower.matched_index);
            page.count(&peers::FOLLOWER_LAG, &[&id, role], lag);
        }
    }

    /// Voters heard of lately, less those that a quorum takes. Negative when the quorum is being lost.
    fn failure_tolerance(&self) -> i64 {
        let limit = self.heartbeat_interval * HEARTBEATS_MISSED_MAX;
        let is_there = |id: MemberId| {
            let mut followers = self.figures.followers.iter();
            id == self.member
                || followers.any(|f| f.member == id && f.ack_age.is_some_and(|age| age <= limit))
        };
        let quorum = self.voters().count() / 2 + 1;
        let there = self.voters().filter(|id| is_there(*id)).count();
        // Members are few.
        there as i64 - quorum as i64
    }

    fn voters(&self) -> impl Iterator<Item = MemberId> {
        self.members.iter().filter(|(_, is_learner)| !is_learner).map(|(id, _)| *id)
    }

    fn write_proposals(&self, page: &mut Page) {
        page.count(&proposals::COMMITTED, &[], self.figures.commit_index);
        page.count(&proposals::APPLIED, &[], self.applied_index);
        page.count(&proposals::PENDING, &[], self.proposals_pending as u64);
        page.count(&proposals::QUEUED, &[], self.proposals_queued as u64);
        page.count(&proposals::READS_QUEUED, &[], self.reads_queued as u64);
    }

    fn write_disk(&self, page: &mut Page) {
        let Figures { last_index, purged_index, snapshot_index, .. } = self.figures;
        page.count(&disk::ENTRIES, &[], last_index.saturating_sub(purged_index));
        page.count(&disk::SEGMENTS, &[], self.log.segments as u64);
        page.count(&disk::DISK_BYTES, &[], self.log.bytes);
        let states =
            [("ample", Space::Ample), ("full", Space::Full), ("exhausted", Space::Exhausted)];
        for (name, state) in states {
            page.flag(&disk::SPACE, &[name], self.space == state);
        }
        page.count(&snapshots::INDEX, &[], snapshot_index);
    }

    fn write_store(&self, page: &mut Page) {
        page.count(&store::INDEX, &[], self.store_index.0);
        let (success, fail) = self.store.reads;
        page.count(&store::READS, &["get"], success);
        page.count(&store::READS_FAILED, &["get"], fail);
        for (action, success, fail) in &self.store.writes {
            page.count(&store::WRITES, &[action], *success);
            page.count(&store::WRITES_FAILED, &[action], *fail);
        }
        page.count(&store::EXPIRES, &[], self.store.expired);
        page.count(&store::WATCHERS, &[], self.watchers as u64);
    }
}

/// `3.4` of `3.4.0`, as etcd labels it.
fn minor_version(version: &str) -> &str {
    let end = version.match_indices('.').nth(1).map_or(version.len(), |(at, _)| at);
    version.get(..end).unwrap_or(version)
}

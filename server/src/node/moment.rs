//! The member as its metrics show it: everything that is looked up when they are asked for, and not before.

use super::Node;
use crate::member::Role;
use crate::metrics::{Moment, StoreCounts};
use crate::raft::figures::Figures;

impl Node {
    /// This member's state now.
    pub(super) fn moment(&self) -> Moment {
        let inner = &self.0;
        let (view, history) = (inner.leadership.view(), inner.leadership.history());
        let spell = history.leaderless_since.map(|since| since.elapsed()).unwrap_or_default();
        let (members, removed, cluster_version, store_index, store) =
            inner.replica.view(|machine, _| {
                let members = machine.members();
                (
                    members.iter().map(|member| (member.id, member.is_learner)).collect(),
                    members.removed().collect(),
                    members.cluster_version().map(str::to_owned),
                    machine.index(),
                    StoreCounts::from(machine.stats()),
                )
            });
        Moment {
            member: inner.own.member,
            role: view.role,
            has_leader: view.leader.is_some(),
            leader_changes: history.changes,
            leaderless: history.leaderless + spell,
            leading_for: inner.elections.leading_for().filter(|_| view.role == Role::Leader),
            heartbeat_interval: inner.config.heartbeat_interval,
            figures: Figures::of(&inner.raft),
            applied_index: inner.replica.applied_index(),
            proposals_pending: inner.waiters.pending(),
            proposals_queued: inner.proposals.queued(),
            reads_queued: inner.reads.queued(),
            members,
            removed,
            cluster_version,
            store_index,
            store,
            watchers: inner.replica.watchers(),
            log: inner.log.usage(),
            space: self.has_room(),
        }
    }
}

//! The member as its clients' requests see it: each part asked for what it owns.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use quorate_core::{Auth, Command, Machine, MemberId, Stamp, WatchSpec};

use super::Node;
use crate::logging::LogLevel;
use crate::member::{
    AppendStats, Check, Committed, Follower, Member, MembershipError, Position, ProposeError, Role,
    Status,
};
use crate::raft::figures::Figures;
use crate::storage::log::Space;
use crate::watch::{Reader, Subscription, WatchError, WatchMode};

/// A member whose applied index is behind what it knows to be committed by more than this is not ready.
const LAG_MAX: u64 = 5_000;

impl Member for Node {
    async fn propose(&self, command: Command) -> Result<Committed, ProposeError> {
        let since = Instant::now();
        let outcome = self.0.proposals.propose(command).await;
        self.0.metrics.requests().proposed(since.elapsed(), &outcome);
        outcome
    }

    async fn read_barrier(&self) -> Result<(), ProposeError> {
        let since = Instant::now();
        let outcome = self.0.reads.barrier().await;
        self.0.metrics.requests().read(since.elapsed(), &outcome);
        outcome
    }

    fn view<R>(&self, look: impl FnOnce(&Machine, Stamp) -> R) -> R {
        self.0.replica.view(look)
    }

    fn auth(&self) -> Option<Arc<Auth>> {
        self.0.replica.auth()
    }

    fn position(&self) -> Position {
        let inner = &self.0;
        let term = inner.leadership.view().term.max(inner.replica.applied_term());
        Position { index: inner.replica.applied_index(), term }
    }

    fn watch(
        &self,
        spec: WatchSpec,
        mode: WatchMode,
        reader: Reader,
    ) -> Result<Subscription, WatchError> {
        self.0.metrics.requests().watched();
        self.0.replica.watch(spec, mode, reader)
    }

    fn watchers(&self) -> usize {
        self.0.replica.watchers()
    }

    fn status(&self) -> Status {
        let inner = &self.0;
        let view = inner.leadership.view();
        Status {
            member: inner.own.member,
            cluster: inner.own.cluster,
            // The term of the last entry lags behind only while nothing is committed.
            term: view.term.max(inner.replica.applied_term()),
            vote: view.voted_for.map(MemberId),
            commit_index: inner.replica.applied_index(),
            applied_index: inner.replica.applied_index(),
            leader: view.leader.map(MemberId),
            leader_since: inner.leadership.leader_since(),
            role: view.role,
            started_at: inner.started_at,
        }
    }

    async fn add_member(
        &self,
        peer_urls: Vec<String>,
    ) -> Result<quorate_core::Member, MembershipError> {
        self.0.membership.add(peer_urls).await
    }

    async fn remove_member(&self, id: MemberId) -> Result<(), MembershipError> {
        self.0.membership.remove(id).await
    }

    async fn update_member(
        &self,
        id: MemberId,
        peer_urls: Vec<String>,
    ) -> Result<(), MembershipError> {
        self.0.membership.update(id, peer_urls).await
    }

    fn append_stats(&self) -> AppendStats {
        self.0.metrics.append_stats()
    }

    fn followers(&self) -> Option<Vec<Follower>> {
        if self.0.leadership.view().role != Role::Leader {
            return None;
        }
        let figures = Figures::of(&self.0.raft);
        Some(figures.followers.iter().map(|follower| self.0.metrics.follower(follower)).collect())
    }

    fn has_joined(&self) -> bool {
        self.may_serve()
    }

    fn liveness(&self) -> Vec<Check> {
        let stopped = self.0.stop.borrow().as_ref().map(ToString::to_string);
        vec![check("replication", stopped)]
    }

    fn readiness(&self) -> Vec<Check> {
        let inner = &self.0;
        let leader = inner.leadership.view().leader;
        let no_leader =
            "no leader is known. Check that a majority of the members run and reach each other";
        let figures = Figures::of(&inner.raft);
        let lag = figures.commit_index.saturating_sub(inner.replica.applied_index());
        let behind = format!(
            "{lag} entries are not applied yet. Wait; if it grows, this machine is too slow"
        );
        let full = "the disk has no room for the log. Writes are refused until there is room again";
        let unpublished =
            "this member has not joined its cluster yet. Check that a majority of the members run";
        vec![
            check("joined", (!self.may_serve()).then(|| unpublished.to_owned())),
            check("leader", leader.is_none().then(|| no_leader.to_owned())),
            check("applied", (lag > LAG_MAX).then_some(behind)),
            check("disk", (self.has_room() != Space::Ample).then(|| full.to_owned())),
        ]
    }

    fn exposition(&self) -> Bytes {
        self.0.metrics.exposition(&self.moment())
    }

    fn set_log_level(&self, level: LogLevel) {
        self.0.logging.set_level(level);
    }
}

fn check(name: &'static str, problem: Option<String>) -> Check {
    Check { name, result: problem.map_or(Ok(()), Err) }
}

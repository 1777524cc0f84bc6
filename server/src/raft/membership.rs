//! Membership changes, carried out by the leader: one at a time, each checked by `quorate_core::membership` first.
//!
//! A new member comes in as a learner, which counts in no quorum, and is given its vote by `promote` once it has started
//! and kept up for a while. A member that does not lead hands the change to the leader. The leader never removes itself:
//! it hands the leadership over first, and its successor removes it.

mod outcome;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use openraft::async_runtime::WatchReceiver as _;
use openraft::{ChangeMembers, Instant as _};
use prost::Message as _;
use quorate_core::membership::{self, Change, Health};
use quorate_core::{Member, MemberId, identity};
use tokio::sync::Mutex;

use super::leadership::Leadership;
use super::types::PeerNode;
use super::{Raft, handover, promote};
use crate::member::{MembershipError, Role};
use crate::peer_api::links::{Links, SubmitError};
use crate::peer_api::messages::{self, ChangeReply, Kind};
use crate::replica::Replica;
use outcome::{
    IN_PROGRESS, NOT_LEADER, TIMED_OUT, is_advice, library_refusal, outcome, refusal_reply, refused,
};

/// Between two attempts while there is no leader.
const RETRY_PAUSE: Duration = Duration::from_millis(20);
/// How long a removed member may take to acknowledge that it was told.
const FAREWELL_TIMEOUT: Duration = Duration::from_millis(500);
/// A member counts as reachable if it acknowledged a heartbeat within this many heartbeat intervals.
const HEARTBEATS_MISSED_MAX: u32 = 6;
/// A reachable member is given this many heartbeat intervals to acknowledge one more before a change.
const HEARTBEATS_AWAITED: u32 = 4;

/// Seconds tried for an ID that is free: more additions of one URL than a client gets done in one second.
const IDS_TRIED: u64 = 1_000;

/// See the module.
pub struct Membership {
    own: MemberId,
    raft: Raft,
    leadership: Leadership,
    links: Arc<Links>,
    replica: Arc<Replica>,
    strict: bool,
    heartbeat_interval: Duration,
    timeout: Duration,
    /// Held while a change is carried out.
    one_at_a_time: Mutex<()>,
}

/// What the settings say about membership changes.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// Refuse changes that could cost the quorum (`--strict-reconfig-check`).
    pub strict: bool,
    /// The heartbeat interval.
    pub heartbeat_interval: Duration,
    /// How long a change may take, all in all.
    pub timeout: Duration,
}

impl Membership {
    /// Serves changes, and promotes learners while this member leads.
    pub fn start(
        own: MemberId,
        raft: Raft,
        leadership: Leadership,
        links: Arc<Links>,
        replica: Arc<Replica>,
        rules: Rules,
    ) -> Arc<Self> {
        let this = Arc::new(Self {
            own,
            raft,
            leadership,
            links,
            replica,
            strict: rules.strict,
            heartbeat_interval: rules.heartbeat_interval,
            timeout: rules.timeout,
            one_at_a_time: Mutex::new(()),
        });
        tokio::spawn(promote::run(Arc::downgrade(&this)));
        this
    }

    /// Adds a member with these peer URLs, as a learner that will be promoted.
    ///
    /// # Errors
    /// See [`MembershipError`].
    pub async fn add(&self, peer_urls: Vec<String>) -> Result<Member, MembershipError> {
        let reply = self.change(messages::Change { action: 1, member: 0, peer_urls }).await?;
        let id = MemberId(reply.member);
        let member = self.replica.view(|machine, _| machine.members().member(id).cloned());
        member.ok_or(MembershipError::TimedOut)
    }

    /// Removes a member for ever.
    ///
    /// # Errors
    /// See [`MembershipError`].
    pub async fn remove(&self, id: MemberId) -> Result<(), MembershipError> {
        self.change(messages::Change { action: 2, member: id.0, peer_urls: Vec::new() })
            .await
            .map(drop)
    }

    /// Gives a member other peer URLs.
    ///
    /// # Errors
    /// See [`MembershipError`].
    pub async fn update(
        &self,
        id: MemberId,
        peer_urls: Vec<String>,
    ) -> Result<(), MembershipError> {
        self.change(messages::Change { action: 3, member: id.0, peer_urls }).await.map(drop)
    }

    /// Has the leader make a change, and waits until it is applied here.
    async fn change(&self, change: messages::Change) -> Result<ChangeReply, MembershipError> {
        let deadline = Instant::now() + self.timeout;
        while Instant::now() < deadline {
            let view = self.leadership.view();
            let reply = match view.leader {
                Some(leader) if leader == self.own.0 => Some(self.serve(change.clone()).await),
                Some(leader) => self.ask(leader, &change, deadline).await?,
                None => None,
            };
            match reply {
                Some(reply) if reply.outcome != NOT_LEADER => {
                    let reply = outcome(reply, MemberId(change.member))?;
                    let applied = self.replica.wait_applied(reply.index);
                    let waited = tokio::time::timeout_at(deadline.into(), applied).await;
                    return waited.map(|()| reply).map_err(|_| MembershipError::TimedOut);
                }
                _ => tokio::time::sleep(RETRY_PAUSE).await,
            }
        }
        Err(MembershipError::TimedOut)
    }

    async fn ask(
        &self,
        leader: u64,
        change: &messages::Change,
        deadline: Instant,
    ) -> Result<Option<ChangeReply>, MembershipError> {
        let left = deadline.saturating_duration_since(Instant::now());
        match self
            .links
            .call(MemberId(leader), Kind::Change, change.encode_to_vec().into(), left)
            .await
        {
            Ok(reply) => {
                ChangeReply::decode(reply).map(Some).map_err(|_| MembershipError::TimedOut)
            }
            Err(SubmitError::NotSent(_)) => Ok(None),
            Err(SubmitError::Unknown(_)) => Err(MembershipError::TimedOut),
        }
    }

    /// Makes a change on the leader; for a peer or for this member's own client.
    pub async fn serve(&self, change: messages::Change) -> ChangeReply {
        let Ok(_guard) = self.one_at_a_time.try_lock() else {
            return ChangeReply { outcome: IN_PROGRESS, ..ChangeReply::default() };
        };
        if self.leadership.view().role != Role::Leader {
            return ChangeReply { outcome: NOT_LEADER, ..ChangeReply::default() };
        }
        let done = match change.action {
            1 => self.add_here(change.peer_urls).await,
            2 => self.remove_here(MemberId(change.member)).await,
            3 => self.update_here(MemberId(change.member), change.peer_urls).await,
            _ => Err(refused("this leader's version does not know this kind of change".to_owned())),
        };
        done.unwrap_or_else(|reply| reply)
    }

    async fn add_here(&self, mut peer_urls: Vec<String>) -> Result<ChangeReply, ChangeReply> {
        peer_urls.sort();
        let id = self.fresh_id(&peer_urls);
        self.check(&Change::Add { id, peer_urls: peer_urls.clone(), is_learner: true }).await?;
        let node = PeerNode { peer_urls };
        let added = ChangeMembers::AddNodes(BTreeMap::from([(id.0, node)]));
        let reply = self.commit(added).await?;
        tracing::info!(member = %id, "added a member as a learner; it gets its vote when it has caught up");
        Ok(ChangeReply { member: id.0, ..reply })
    }

    /// An ID for a new member, as etcd makes it of its URLs and the time; an ID that somebody has or had is passed over, as when
    /// the same URL is added, removed and added again within a second.
    fn fresh_id(&self, peer_urls: &[String]) -> MemberId {
        self.replica.view(|machine, now| {
            let members = machine.members();
            let now_s = now.0 / 1_000_000_000;
            let mut ids = (now_s..now_s + IDS_TRIED)
                .map(|second| identity::member_id(peer_urls, "", Some(second)));
            let fresh = ids.find(|id| members.member(*id).is_none() && !members.was_removed(*id));
            // If all are taken, the check that follows says so.
            fresh.unwrap_or_else(|| identity::member_id(peer_urls, "", Some(now_s)))
        })
    }

    async fn remove_here(&self, id: MemberId) -> Result<ChangeReply, ChangeReply> {
        self.check(&Change::Remove { id }).await?;
        if id == self.own && self.raft.voter_ids().count() > 1 {
            tracing::info!("this leader is to be removed: handing the leadership over first");
            handover::hand_over(&self.raft, &self.leadership, self.own, self.timeout / 2).await;
            return Err(ChangeReply { outcome: NOT_LEADER, ..ChangeReply::default() });
        }
        let change = if self.raft.voter_ids().any(|voter| voter == id.0) {
            ChangeMembers::RemoveVoters(BTreeSet::from([id.0]))
        } else {
            ChangeMembers::RemoveNodes(BTreeSet::from([id.0]))
        };
        let reply = self.commit(change).await?;
        tracing::info!(member = %id, "removed a member");
        // Replication to it ended before it could learn of its removal. If it cannot be told now, its peers will tell it when
        // it next tries to reach them.
        let farewell =
            self.links.call(id, Kind::Removed, bytes::Bytes::new(), FAREWELL_TIMEOUT).await;
        if let Err(reason) = farewell {
            tracing::info!(member = %id, %reason, "could not tell the member that it was removed");
        }
        Ok(reply)
    }

    async fn update_here(
        &self,
        id: MemberId,
        mut peer_urls: Vec<String>,
    ) -> Result<ChangeReply, ChangeReply> {
        peer_urls.sort();
        self.check(&Change::Update { id, peer_urls: peer_urls.clone() }).await?;
        let node = PeerNode { peer_urls };
        let reply =
            self.commit(ChangeMembers::SetNodes(BTreeMap::from([(id.0, node.clone())]))).await?;
        self.links.ensure(id, &node.peer_urls);
        tracing::info!(member = %id, peer_urls = %node, "changed a member's peer URLs");
        Ok(reply)
    }

    /// Gives a learner its vote.
    pub(super) async fn promote_here(&self, id: MemberId) -> Result<(), ChangeReply> {
        let Ok(_guard) = self.one_at_a_time.try_lock() else { return Ok(()) };
        self.check(&Change::Promote { id }).await?;
        self.commit(ChangeMembers::AddVoterIds(BTreeSet::from([id.0]))).await?;
        tracing::info!(member = %id, "the new member has caught up: it votes from now on");
        Ok(())
    }

    /// Ends a change that a former leader began and did not live to end. Until somebody does, no other change may begin.
    pub(super) async fn finish_here(&self) -> Result<(), ChangeReply> {
        let Ok(_guard) = self.one_at_a_time.try_lock() else { return Ok(()) };
        let Some(voters) = self.half_done() else { return Ok(()) };
        if !voters.contains(&self.own.0) {
            handover::hand_over(&self.raft, &self.leadership, self.own, self.timeout / 2).await;
            return Ok(());
        }
        self.commit(ChangeMembers::AddVoterIds(BTreeSet::new())).await?;
        tracing::info!("ended a change of the members that a former leader had begun");
        Ok(())
    }

    /// Who is to vote after a change that is half done, if one is.
    fn half_done(&self) -> Option<BTreeSet<u64>> {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow_watched();
        let configs = metrics.membership_config.get_joint_config();
        (configs.len() > 1).then(|| configs.last().cloned()).flatten()
    }

    async fn check(&self, change: &Change) -> Result<(), ChangeReply> {
        let reachable = self.reachable().await;
        let health = Health { reachable, change_in_progress: self.change_in_progress() };
        let verdict =
            self.replica.view(|machine, _| membership::check(change, machine.members(), &health));
        let Err(refusal) = verdict else { return Ok(()) };
        if !self.strict && is_advice(&refusal) {
            tracing::warn!(%refusal, "--strict-reconfig-check=false: making a change that the check advises against");
            return Ok(());
        }
        Err(refusal_reply(&refusal))
    }

    /// Who is there now, this leader included: whoever acknowledged a heartbeat lately is asked to do it again, since a member
    /// that has just died must not be counted on.
    async fn reachable(&self) -> BTreeSet<MemberId> {
        let asked = Instant::now();
        let lately = self.heard_within(self.heartbeat_interval * HEARTBEATS_MISSED_MAX);
        let limit = self.heartbeat_interval * HEARTBEATS_AWAITED;
        loop {
            let since_asked = self.heard_within(asked.elapsed());
            if since_asked.is_superset(&lately) || asked.elapsed() >= limit {
                return since_asked;
            }
            tokio::time::sleep(RETRY_PAUSE / 4).await;
        }
    }

    /// Who acknowledged a heartbeat that was sent within this time, this leader included.
    fn heard_within(&self, limit: Duration) -> BTreeSet<MemberId> {
        let metrics = self.raft.data_metrics();
        let metrics = metrics.borrow_watched();
        let acks = metrics.heartbeat.iter().flatten();
        let heard = acks.filter(|(_, ack)| ack.as_ref().is_some_and(|at| at.elapsed() <= limit));
        heard.map(|(id, _)| MemberId(*id)).chain([self.own]).collect()
    }

    /// Whether the log holds a membership that is joint or not committed.
    fn change_in_progress(&self) -> bool {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow_watched();
        let newest = &metrics.membership_config;
        self.half_done().is_some()
            || newest.log_id() != metrics.committed_membership_config.log_id()
    }

    async fn commit(
        &self,
        change: ChangeMembers<u64, PeerNode>,
    ) -> Result<ChangeReply, ChangeReply> {
        let made =
            tokio::time::timeout(self.timeout, self.raft.change_membership(change, false)).await;
        match made {
            Ok(Ok(response)) => {
                Ok(ChangeReply { index: response.log_id.index, ..ChangeReply::default() })
            }
            Ok(Err(error)) => Err(library_refusal(error)),
            Err(_) => Err(ChangeReply { outcome: TIMED_OUT, ..ChangeReply::default() }),
        }
    }

    pub(super) fn raft(&self) -> &Raft {
        &self.raft
    }

    pub(super) fn leads(&self) -> bool {
        self.leadership.view().role == Role::Leader
    }

    pub(super) fn replica(&self) -> &Replica {
        &self.replica
    }
}

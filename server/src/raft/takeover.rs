//! Taking over from a leader whose process ended, without waiting for the election timeout.
//!
//! When a process dies on a machine that lives, its sockets close and its port refuses connections. A follower that sees
//! both about its leader has proof that the leader is gone, so the leader's lease protects nobody. It asks the others; each
//! looks for itself; if a quorum of voters has the same proof, an election begins at once. Nobody's word is taken for it: a
//! voter sets the lease aside only on evidence of its own. A machine that vanishes without a word, a paused process or a
//! cut network is no evidence, and then the election timeout rules as always.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use openraft::async_runtime::WatchReceiver as _;
use parking_lot::Mutex;
use prost::Message as _;
use quorate_core::MemberId;

use super::elections::Elections;
use super::leadership::Leadership;
use super::types::{LogId, TypeConfig};
use super::{Raft, entry_id, log_id};
use crate::peer_api::link::Class;
use crate::peer_api::links::{Links, Reachability};
use crate::peer_api::messages::{Kind, LeaderLost, LeaderLostReply};

/// How long a voter may take to say whether it lost the leader, too.
const QUESTION_TIMEOUT: Duration = Duration::from_millis(150);
/// Voters begin one after the other, so that usually one candidate stands.
const STAGGER: Duration = Duration::from_millis(12);
/// How often a member looks for evidence after a connection of the leader ended.
const LOOKS: u32 = 10;
/// Between two looks; a process that frees much memory takes a while to end.
const LOOK_PAUSE: Duration = Duration::from_millis(15);
/// An election that everybody agreed to takes a round trip and an fsync; after this it is taken for a split vote.
const ELECTION_PATIENCE: Duration = Duration::from_millis(60);
/// How long the library may take to tell what it found in the log.
const MEMBERSHIP_PATIENCE: Duration = Duration::from_secs(1);
/// Attempts before the election timeout is left to do its work.
const ATTEMPTS: u32 = 8;

/// Proof that a leader's process ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Lost {
    leader: u64,
    term: u64,
}

/// See the module.
pub struct Takeover {
    own: MemberId,
    links: Arc<Links>,
    elections: Arc<Elections>,
    lost: Mutex<Option<Lost>>,
    /// Whether an ended connection is being followed up.
    is_looking: AtomicBool,
    /// Set once the raft library runs; the network is made before it.
    raft: std::sync::OnceLock<(Raft, Leadership)>,
}

impl Takeover {
    /// Has no evidence yet.
    pub fn new(own: MemberId, links: Arc<Links>, elections: Arc<Elections>) -> Self {
        let (lost, is_looking, raft) =
            (Mutex::new(None), AtomicBool::new(false), std::sync::OnceLock::new());
        Self { own, links, elections, lost, is_looking, raft }
    }

    /// The raft library runs; from now on evidence is acted upon.
    pub fn attach(&self, raft: Raft, leadership: Leadership) {
        // Called once, by the node that made both.
        let _ = self.raft.set((raft, leadership));
    }

    /// `peer` has just linked to this member: whoever needs its word on a lost leader must not wait for the next attempt.
    pub fn connection_began(&self, peer: MemberId, class: Class) {
        self.links.heard_of(peer, class);
    }

    /// A connection from `peer` ended. If it was the leader's, look whether its process is gone, and if so act.
    pub fn connection_ended(self: &Arc<Self>, peer: MemberId) {
        let Some((_, leadership)) = self.raft.get() else { return };
        if leadership.view().leader != Some(peer.0) {
            return;
        }
        let this = Arc::clone(self);
        tokio::spawn(async move {
            // The leader's connections end together; one look after it is enough.
            if this.is_looking.swap(true, Ordering::AcqRel) {
                return;
            }
            if this.is_gone_soon(peer.0).await {
                this.campaign(peer.0).await;
            }
            this.is_looking.store(false, Ordering::Release);
        });
    }

    /// Looks for evidence a few times: a dying process does not close its sockets in any order, and its port may accept for a
    /// moment longer than its connections live.
    async fn is_gone_soon(&self, leader: u64) -> bool {
        for _ in 0..LOOKS {
            if self.look_for_evidence(leader).await {
                return true;
            }
            tokio::time::sleep(LOOK_PAUSE).await;
            let still_leads = self
                .raft
                .get()
                .is_some_and(|(_, leadership)| leadership.view().leader == Some(leader));
            if !still_leads {
                return false;
            }
        }
        false
    }

    /// Whether this member's evidence justifies an election for `term`.
    pub fn justifies(&self, term: u64) -> bool {
        self.lost.lock().is_some_and(|lost| lost.term < term)
    }

    /// Another voter asks whether the leader is gone and whether it would have this member's vote.
    pub async fn answer(&self, question: LeaderLost) -> LeaderLostReply {
        let mut agreed = false;
        if let Some((raft, leadership)) = self.raft.get() {
            let view = leadership.view();
            let same_leader = view.term == question.term
                && view.leader.is_none_or(|leader| leader == question.leader);
            if same_leader
                && question.leader != self.own.0
                && self.look_for_evidence(question.leader).await
            {
                agreed = question.last.map(log_id) >= last_log_id(raft);
            }
        }
        LeaderLostReply { agreed }
    }

    /// Looks whether `leader` refuses connections; remembers it if so.
    async fn look_for_evidence(&self, leader: u64) -> bool {
        let Some((_, leadership)) = self.raft.get() else { return false };
        let term = leadership.view().term;
        let wanted = Lost { leader, term };
        if *self.lost.lock() == Some(wanted) {
            return true;
        }
        if self.links.probe(MemberId(leader)).await != Reachability::Refused
            || leadership.view().term != term
        {
            return false;
        }
        *self.lost.lock() = Some(wanted);
        self.elections.process_ended(leader, term);
        tracing::info!(leader = %MemberId(leader), term, "the leader's process has ended: its port refuses connections");
        true
    }

    async fn campaign(&self, leader: u64) {
        let Some((raft, leadership)) = self.raft.get() else { return };
        let mut term = leadership.view().term;
        for attempt in 0..ATTEMPTS {
            let voters = other_voters(raft, self.own.0, leader);
            let Some((rank, others)) = voters else { return };
            tokio::time::sleep(STAGGER * (rank + attempt * (attempt + rank))).await;
            // Another one stands: let it win before standing against it.
            if leadership.view().term != term && Self::is_replaced_soon(leadership, leader).await {
                return;
            }
            term = leadership.view().term;
            if leadership.view().leader.is_some_and(|now| now != leader)
                || !self.look_for_evidence(leader).await
            {
                return;
            }
            if !self.quorum_agrees(raft, leader, term, &others).await
                || leadership.view().term != term
            {
                continue;
            }
            tracing::info!(
                term = term + 1,
                "standing for election: a quorum of voters lost the leader"
            );
            // An error means that raft has stopped, and with it this member.
            if raft.trigger().elect(false).await.is_err()
                || Self::is_replaced_soon(leadership, leader).await
            {
                return;
            }
        }
    }

    /// Whether the election under way brings another leader; if not, two stood at once and split the vote.
    async fn is_replaced_soon(leadership: &Leadership, leader: u64) -> bool {
        let mut views = leadership.watch();
        let replaced = views.wait_for(|view| view.leader.is_some_and(|now| now != leader));
        tokio::time::timeout(ELECTION_PATIENCE, replaced).await.is_ok()
    }

    /// Whether this member and enough of `others` make a quorum of all voters, the lost leader counted.
    async fn quorum_agrees(&self, raft: &Raft, leader: u64, term: u64, others: &[u64]) -> bool {
        let quorum = (others.len() + 2) / 2 + 1;
        let last = last_log_id(raft).as_ref().map(entry_id);
        let question = LeaderLost { leader, term, last }.encode_to_vec();
        let questions = others.iter().map(|voter| {
            let body = question.clone().into();
            self.links.call(MemberId(*voter), Kind::LeaderLost, body, QUESTION_TIMEOUT)
        });
        let replies = futures_util::future::join_all(questions).await;
        let agreed =
            replies.into_iter().flatten().filter_map(|reply| LeaderLostReply::decode(reply).ok());
        1 + agreed.filter(|reply| reply.agreed).count() >= quorum
    }
}

/// After a restart, lets a member that is the only voter stand at once: it asks nobody, so nobody has to be waited for.
pub async fn stand_if_alone(raft: &Raft, own: MemberId) {
    let known = |metrics: &openraft::RaftMetrics<TypeConfig>| {
        metrics.membership_config.voter_ids().next().is_some() || metrics.current_term > 0
    };
    // Without a membership there is nothing to lead; forming and joining have their own ways.
    let Ok(metrics) = raft.wait(Some(MEMBERSHIP_PATIENCE)).metrics(known, "a membership").await
    else {
        return;
    };
    let is_alone = metrics.membership_config.voter_ids().eq([own.0]);
    if is_alone && metrics.current_leader.is_none() && raft.trigger().elect(false).await.is_ok() {
        tracing::info!("standing for election at once: there is no other voter");
    }
}

/// The voters beside this member and the lost leader, and this member's place among those who may stand; none if it has no vote.
fn other_voters(raft: &Raft, own: u64, leader: u64) -> Option<(u32, Vec<u64>)> {
    let mut candidates: Vec<u64> = raft.voter_ids().filter(|voter| *voter != leader).collect();
    candidates.sort_unstable();
    let rank = candidates.iter().position(|voter| *voter == own)?;
    candidates.retain(|voter| *voter != own);
    Some((u32::try_from(rank).unwrap_or(u32::MAX).min(8), candidates))
}

fn last_log_id(raft: &Raft) -> Option<LogId> {
    raft.data_metrics().borrow_watched().last_log
}

//! From client operations to log entries: gathers what clients ask of this member, and either proposes it as one entry
//! (the leader) or hands it to the leader (everyone else).
//!
//! Batching is by back-pressure: while few entries are under way an operation is proposed at once, and while many are, the
//! operations that arrive meanwhile share the next entry.
//!
//! Invariant: an operation is proposed again only if it is certain that it is in no log: when the leader says so, and when a
//! leader died, which spares clients an error. For each operation is proposed for one term only; once this member has applied
//! an entry of a later term, every entry of the earlier term that will ever count has been applied here, too (log matching and
//! leader completeness, Raft dissertation, section 3.6); so an operation without an outcome by then has none.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use openraft::errors::ClientWriteError;
use openraft::impls::OneshotResponder;
use prost::Message as _;
use quorate_core::{Batch, MemberId};
use tokio::sync::{mpsc, oneshot, watch};

use super::leadership::Leadership;
use super::proposals::QUEUE_LENGTH;
use super::types::{BatchBytes, TypeConfig};
use super::waiters::Waiters;
use super::{Raft, log_id};
use crate::clock::ClusterClock;
use crate::member::{ProposeError, Role};
use crate::peer_api::links::{Links, SubmitError};
use crate::peer_api::messages::{Forward, ForwardReply, Kind};
use crate::replica::Replica;
use crate::storage::log::Space;

/// Entries under way at once. Two keep the disk and the network busy while the third gathers; more only make entries smaller.
const ENTRIES_IN_FLIGHT: usize = 3;
/// Encoded operations in one entry; an entry must fit well into a peer frame and a log segment.
const ENTRY_BYTES: usize = 1 << 20;
/// How often operations without an outcome are looked at: against their deadlines, and whether they may be proposed again.
const REVIEW_PAUSE: Duration = Duration::from_millis(10);
/// After a leader refused operations, give its successor this long to be known before trying again.
const RETRY_PAUSE: Duration = Duration::from_millis(5);
/// How long a leader that has been replaced may still take to say what became of the operations it was handed.
const FORMER_LEADER_PATIENCE: Duration = Duration::from_millis(20);

/// One thing to propose.
pub(super) enum Item {
    /// An operation of a client of this member.
    Own { request: u64, encoded: Bytes, deadline: Instant },
    /// Operations another member forwarded to the leader of `term`; the sender learns whether they were taken.
    Forwarded { encoded: Bytes, term: u64, reply: oneshot::Sender<ForwardReply> },
}

impl Item {
    fn encoded(&self) -> &Bytes {
        match self {
            Self::Own { encoded, .. } | Self::Forwarded { encoded, .. } => encoded,
        }
    }
}

/// What the gathering task works with.
pub struct Parts {
    /// This member.
    pub own: MemberId,
    /// The raft library.
    pub raft: Raft,
    /// Who leads.
    pub leadership: Leadership,
    /// The ways to the peers.
    pub links: Arc<Links>,
    /// What is applied.
    pub replica: Arc<Replica>,
    /// Who waits for what.
    pub waiters: Arc<Waiters>,
    /// The clock for stamps.
    pub clock: Arc<ClusterClock>,
    /// Whether the disk has room.
    pub space: watch::Receiver<Space>,
    /// How long an operation may take, all in all.
    pub timeout: Duration,
}

/// How an entry or a forwarded batch ended.
enum Outcome {
    /// Taken for `term`: applied, or its fate is unknown.
    Taken { items: Vec<Item>, term: u64 },
    /// Certainly in no log.
    NotTaken(Vec<Item>),
    /// Certainly in no log, since the leader's disk is full.
    LeaderFull(Vec<Item>),
}

/// Operations of this member's clients that were taken for a term and have no outcome yet.
struct Unconfirmed {
    items: Vec<Item>,
    term: u64,
    /// How often the store had been replaced by a snapshot: outcomes within a snapshot are not told one by one.
    replaced: u64,
}

/// See the module.
pub(super) struct Gatherer {
    parts: Parts,
    items: mpsc::Receiver<Item>,
    /// What waits for the next entry, oldest first.
    backlog: VecDeque<Item>,
    unconfirmed: Vec<Unconfirmed>,
}

impl Gatherer {
    pub(super) fn new(parts: Parts, items: mpsc::Receiver<Item>) -> Self {
        Self { parts, items, backlog: VecDeque::new(), unconfirmed: Vec::new() }
    }

    pub(super) async fn run(mut self) {
        let mut under_way = FuturesUnordered::new();
        let mut leadership = self.parts.leadership.watch();
        loop {
            while under_way.len() < ENTRIES_IN_FLIGHT {
                self.take_arrived();
                match self.next_entry() {
                    Some(entry) => under_way.push(entry),
                    None => break,
                }
            }
            let blocked =
                under_way.len() >= ENTRIES_IN_FLIGHT || self.backlog.len() >= QUEUE_LENGTH;
            let leaderless_work = !self.backlog.is_empty() && under_way.len() < ENTRIES_IN_FLIGHT;
            let must_review = leaderless_work || !self.unconfirmed.is_empty();
            tokio::select! {
                Some(outcome) = under_way.next(), if !under_way.is_empty() => self.settle(outcome),
                item = self.items.recv(), if !blocked => match item {
                    Some(item) => self.backlog.push_back(item),
                    None => return,
                },
                changed = leadership.changed() => if changed.is_err() { return },
                () = tokio::time::sleep(REVIEW_PAUSE), if must_review => self.review(),
            }
        }
    }

    fn take_arrived(&mut self) {
        while self.backlog.len() < QUEUE_LENGTH {
            match self.items.try_recv() {
                Ok(item) => self.backlog.push_back(item),
                Err(_) => return,
            }
        }
    }

    /// The next entry on its way, if there is something to propose and somebody to propose it to.
    fn next_entry(&mut self) -> Option<BoxFuture<'static, Outcome>> {
        if self.backlog.is_empty() {
            return None;
        }
        let view = self.parts.leadership.view();
        let leader = view.leader?;
        let leads = view.role == Role::Leader && leader == self.parts.own.0;
        self.refuse_forwarded(|term| !leads || term != view.term, leader);
        let items = self.take_entry();
        if items.is_empty() {
            return None;
        }
        if leads {
            let entry = self.stamped(&items, view.term);
            return Some(Box::pin(propose_here(self.parts.raft.clone(), entry, items, view.term)));
        }
        let body = Forward { batch: joined(&items), term: view.term }.encode_to_vec();
        let links = Arc::clone(&self.parts.links);
        let handed = hand_to_leader(links, leader, body.into(), self.parts.timeout);
        let leadership = self.parts.leadership.clone();
        Some(Box::pin(async move {
            let answer = tokio::select! {
                answer = handed => answer,
                () = replaced_for_long(&leadership, leader, view.term) => Handed::Taken,
            };
            conclude(answer, items, view.term).await
        }))
    }

    fn take_entry(&mut self) -> Vec<Item> {
        let (mut items, mut bytes) = (Vec::new(), 0);
        while let Some(item) = self.backlog.front() {
            let size = item.encoded().len();
            if !items.is_empty() && bytes + size > ENTRY_BYTES {
                break;
            }
            bytes += size;
            items.extend(self.backlog.pop_front());
        }
        items
    }

    /// Sends back what was forwarded for another term, or to a member that does not lead: forwarding it on could go in circles.
    /// The member it came from tries again with the leader it then knows.
    fn refuse_forwarded(&mut self, wrong: impl Fn(u64) -> bool, leader: u64) {
        let is_wrong = |item: &Item| matches!(item, Item::Forwarded { term, .. } if wrong(*term));
        if !self.backlog.iter().any(is_wrong) {
            return;
        }
        let (refused, kept) =
            std::mem::take(&mut self.backlog).into_iter().partition::<VecDeque<_>, _>(is_wrong);
        self.backlog = kept;
        refused.into_iter().for_each(|item| reply(item, false, leader, false));
    }

    fn stamped(&self, items: &[Item], term: u64) -> BatchBytes {
        let mut entry = BytesMut::from(&joined(items)[..]);
        // Encoded batches merge by concatenation: operations accumulate, and the last stamp counts.
        entry.extend_from_slice(
            &Batch { stamp: self.parts.clock.stamp(term), proposals: Vec::new() }.encode(),
        );
        BatchBytes(entry.freeze())
    }

    fn settle(&mut self, outcome: Outcome) {
        let leader = self.parts.leadership.view().leader.unwrap_or(0);
        match outcome {
            Outcome::Taken { items, term } => {
                let (mut own, forwarded) = items
                    .into_iter()
                    .partition::<Vec<_>, _>(|item| matches!(item, Item::Own { .. }));
                forwarded.into_iter().for_each(|item| reply(item, true, leader, false));
                self.keep_unanswered(&mut own);
                if !own.is_empty() {
                    self.unconfirmed.push(Unconfirmed {
                        items: own,
                        term,
                        replaced: self.parts.replica.replaced(),
                    });
                }
            }
            Outcome::NotTaken(items) => {
                for item in items.into_iter().rev() {
                    match item {
                        Item::Own { .. } => self.backlog.push_front(item),
                        Item::Forwarded { .. } => reply(item, false, leader, false),
                    }
                }
                self.drop_expired();
            }
            Outcome::LeaderFull(items) => {
                for item in items {
                    match item {
                        Item::Own { request, .. } => {
                            self.parts.waiters.fail(request, ProposeError::StorageFull);
                        }
                        Item::Forwarded { .. } => reply(item, false, leader, true),
                    }
                }
            }
        }
    }

    /// Looks at what has no outcome: what is in no log for good is proposed again.
    fn review(&mut self) {
        self.drop_expired();
        let applied_term = self.parts.replica.applied_term();
        let replaced = self.parts.replica.replaced();
        for mut batch in std::mem::take(&mut self.unconfirmed) {
            // Read before the waiters are asked: an outcome told in between is then seen.
            self.keep_unanswered(&mut batch.items);
            if batch.items.is_empty() {
                continue;
            }
            if batch.replaced == replaced && batch.term < applied_term {
                tracing::info!(
                    operations = batch.items.len(),
                    "proposing again what the former leader did not commit"
                );
                batch.items.into_iter().rev().for_each(|item| self.backlog.push_front(item));
            } else {
                self.unconfirmed.push(batch);
            }
        }
    }

    /// Forgets operations that have an outcome, or whose clients went away.
    fn keep_unanswered(&self, items: &mut Vec<Item>) {
        self.parts.waiters.retain_pending(items, |item| match item {
            Item::Own { request, .. } => *request,
            Item::Forwarded { .. } => 0,
        });
    }

    /// Forgets operations whose clients have been told that the time is up.
    fn drop_expired(&mut self) {
        let now = Instant::now();
        self.backlog.retain(|item| !matches!(item, Item::Own { deadline, .. } if *deadline <= now));
    }
}

fn reply(item: Item, accepted: bool, leader: u64, storage_full: bool) {
    if let Item::Forwarded { reply, .. } = item {
        // A member that went away no longer listens.
        let _ = reply.send(ForwardReply { accepted, leader, storage_full });
    }
}

fn joined(items: &[Item]) -> Bytes {
    if let [only] = items {
        return only.encoded().clone();
    }
    let mut all =
        BytesMut::with_capacity(items.iter().map(|item| item.encoded().len()).sum::<usize>() + 16);
    items.iter().for_each(|item| all.extend_from_slice(item.encoded()));
    all.freeze()
}

async fn propose_here(raft: Raft, entry: BatchBytes, items: Vec<Item>, term: u64) -> Outcome {
    let (responder, answer) = OneshotResponder::<TypeConfig, _>::new_pair();
    let leader = log_id(crate::storage::record::EntryId::new(term, 0)).leader_id;
    if raft.write(entry).with_leader(leader).responder(responder).await.is_err() {
        return Outcome::Taken { items, term };
    }
    match answer.await {
        Ok(Err(ClientWriteError::ForwardToLeader(_))) => {
            tokio::time::sleep(RETRY_PAUSE).await;
            Outcome::NotTaken(items)
        }
        // Applied; or discarded when leadership changed, in which case its fate is unknown.
        Ok(_) | Err(_) => Outcome::Taken { items, term },
    }
}

/// What became of operations handed to the leader.
enum Handed {
    /// Applied, or unknown.
    Taken,
    NotTaken,
    LeaderFull,
}

async fn hand_to_leader(links: Arc<Links>, leader: u64, body: Bytes, timeout: Duration) -> Handed {
    match links.call(MemberId(leader), Kind::Forward, body, timeout).await {
        Ok(reply) => match ForwardReply::decode(reply) {
            Ok(ForwardReply { accepted: true, .. }) | Err(_) => Handed::Taken,
            Ok(ForwardReply { storage_full: true, .. }) => Handed::LeaderFull,
            Ok(_) => Handed::NotTaken,
        },
        Err(SubmitError::NotSent(_)) => Handed::NotTaken,
        Err(SubmitError::Unknown(_)) => Handed::Taken,
    }
}

/// Returns when a former leader has had its time to answer. One that handed over answers at once; one that hangs must not
/// hold up what could go to its successor.
async fn replaced_for_long(leadership: &Leadership, leader: u64, term: u64) {
    leadership.replaced(leader, term).await;
    tokio::time::sleep(FORMER_LEADER_PATIENCE).await;
}

async fn conclude(handed: Handed, items: Vec<Item>, term: u64) -> Outcome {
    match handed {
        Handed::Taken => Outcome::Taken { items, term },
        Handed::LeaderFull => Outcome::LeaderFull(items),
        Handed::NotTaken => {
            tokio::time::sleep(RETRY_PAUSE).await;
            Outcome::NotTaken(items)
        }
    }
}

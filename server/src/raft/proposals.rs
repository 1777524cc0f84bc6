//! From client operations to log entries: gathers what clients ask of this member, and either proposes it as one entry
//! (the leader) or hands it to the leader (everyone else).
//!
//! Batching is by back-pressure: while few entries are under way an operation is proposed at once, and while many are, the
//! operations that arrive meanwhile share the next entry. Invariants: an operation is proposed again only if it certainly
//! did not reach a log; outcomes are handed out by `raft::waiters` when the entry is applied here, never earlier.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use openraft::errors::ClientWriteError;
use openraft::impls::OneshotResponder;
use prost::Message as _;
use quorate_core::{Batch, Command, MemberId, Proposal};
use tokio::sync::{mpsc, oneshot, watch};

use super::leadership::Leadership;
use super::types::{BatchBytes, TypeConfig};
use super::waiters::Waiters;
use super::Raft;
use crate::clock::ClusterClock;
use crate::member::{Committed, ProposeError, Role};
use crate::peer_api::links::{Links, SubmitError};
use crate::peer_api::messages::{Forward, ForwardReply, Kind};
use crate::storage::log::Space;

/// Entries under way at once. Two keep the disk and the network busy while the third gathers; more only make entries smaller.
const ENTRIES_IN_FLIGHT: usize = 3;
/// Operations waiting to be proposed. At the bound a client is told at once that the member is overloaded.
const QUEUE_LENGTH: usize = 16_384;
/// Encoded operations in one entry; an entry must fit well into a peer frame and a log segment.
const ENTRY_BYTES: usize = 1 << 20;

/// One thing to propose.
enum Item {
    /// An operation of a client of this member.
    Own { request: u64, encoded: Bytes, deadline: Instant },
    /// Operations another member forwarded; the sender learns whether they were taken.
    Forwarded { encoded: Bytes, reply: oneshot::Sender<ForwardReply> },
}

impl Item {
    fn encoded(&self) -> &Bytes {
        match self {
            Self::Own { encoded, .. } | Self::Forwarded { encoded, .. } => encoded,
        }
    }
}

/// Takes operations; see the module.
#[derive(Clone)]
pub struct Proposals {
    queue: mpsc::Sender<Item>,
    waiters: Arc<Waiters>,
    space: watch::Receiver<Space>,
    own: MemberId,
    timeout: Duration,
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
    /// Who waits for what.
    pub waiters: Arc<Waiters>,
    /// The clock for stamps.
    pub clock: Arc<ClusterClock>,
    /// Whether the disk has room.
    pub space: watch::Receiver<Space>,
    /// How long an operation may take, all in all.
    pub timeout: Duration,
}

impl Proposals {
    /// Starts the gathering task.
    pub fn start(parts: Parts) -> Self {
        let (queue, items) = mpsc::channel(QUEUE_LENGTH);
        let (waiters, space) = (Arc::clone(&parts.waiters), parts.space.clone());
        let (own, timeout) = (parts.own, parts.timeout);
        let gatherer = Gatherer { parts, items, backlog: VecDeque::new() };
        tokio::spawn(gatherer.run());
        Self { queue, waiters, space, own, timeout }
    }

    /// Proposes one operation and waits until it is applied on this member.
    ///
    /// # Errors
    /// The store's refusal, or why the operation was not (or may not have been) carried out.
    pub async fn propose(&self, command: Command) -> Result<Committed, ProposeError> {
        if *self.space.borrow() != Space::Ample {
            return Err(ProposeError::StorageFull);
        }
        let (registration, answer) = self.waiters.register();
        let proposal = Proposal { origin: self.own, request: registration.request(), command };
        let encoded = Batch::encode_proposal(&proposal);
        let deadline = Instant::now() + self.timeout;
        let item = Item::Own { request: registration.request(), encoded, deadline };
        self.queue.try_send(item).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => ProposeError::TooManyRequests,
            mpsc::error::TrySendError::Closed(_) => ProposeError::Stopped,
        })?;
        match tokio::time::timeout_at(deadline.into(), answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(ProposeError::Stopped),
            Err(_) => Err(ProposeError::TimedOut),
        }
    }

    /// Operations that wait to be gathered.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.queue.max_capacity() - self.queue.capacity()
    }

    /// Takes operations that another member forwarded; answers once they are applied or certainly not taken.
    pub async fn forward(&self, encoded: Bytes) -> ForwardReply {
        let refused = ForwardReply { accepted: false, leader: 0, storage_full: false };
        if *self.space.borrow() != Space::Ample {
            return ForwardReply { storage_full: true, ..refused };
        }
        let (reply, answer) = oneshot::channel();
        if self.queue.try_send(Item::Forwarded { encoded, reply }).is_err() {
            return refused;
        }
        answer.await.unwrap_or(refused)
    }
}

/// How an entry or a forwarded batch ended.
enum Outcome {
    /// Applied, or its fate is unknown: nothing is to be done here, waiters get an answer or run into their deadline.
    Settled(Vec<Item>),
    /// Certainly in no log.
    NotTaken(Vec<Item>),
    /// Certainly in no log, since the leader's disk is full.
    LeaderFull(Vec<Item>),
}

struct Gatherer {
    parts: Parts,
    items: mpsc::Receiver<Item>,
    /// What waits for the next entry, oldest first.
    backlog: VecDeque<Item>,
}

impl Gatherer {
    async fn run(mut self) {
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
            let blocked = under_way.len() >= ENTRIES_IN_FLIGHT || self.backlog.len() >= QUEUE_LENGTH;
            let leaderless_work = !self.backlog.is_empty() && under_way.len() < ENTRIES_IN_FLIGHT;
            tokio::select! {
                Some(outcome) = under_way.next(), if !under_way.is_empty() => self.settle(outcome),
                item = self.items.recv(), if !blocked => match item {
                    Some(item) => self.backlog.push_back(item),
                    None => return,
                },
                changed = leadership.changed() => if changed.is_err() { return },
                () = tokio::time::sleep(EXPIRY_CHECK), if leaderless_work => self.drop_expired(),
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
    fn next_entry(&mut self) -> Option<futures_util::future::BoxFuture<'static, Outcome>> {
        if self.backlog.is_empty() {
            return None;
        }
        let view = self.parts.leadership.view();
        let leader = view.leader?;
        if view.role == Role::Leader && leader == self.parts.own.0 {
            let items = self.take_entry(|_| true);
            return Some(Box::pin(propose_here(self.parts.raft.clone(), self.stamped(&items, view.term), items)));
        }
        self.refuse_forwarded(leader);
        let items = self.take_entry(|item| matches!(item, Item::Own { .. }));
        if items.is_empty() {
            return None;
        }
        let body = Forward { batch: joined(&items) }.encode_to_vec();
        let links = Arc::clone(&self.parts.links);
        let handed = hand_to_leader(links, leader, body.into(), self.parts.timeout);
        let leadership = self.parts.leadership.clone();
        Some(Box::pin(async move {
            let answer = tokio::select! {
                answer = handed => answer,
                () = replaced_for_long(&leadership, leader, view.term) => Handed::Unknown,
            };
            conclude(answer, items).await
        }))
    }

    fn take_entry(&mut self, wanted: impl Fn(&Item) -> bool) -> Vec<Item> {
        let (mut items, mut bytes) = (Vec::new(), 0);
        while let Some(item) = self.backlog.front() {
            let size = item.encoded().len();
            if !wanted(item) || (!items.is_empty() && bytes + size > ENTRY_BYTES) {
                break;
            }
            bytes += size;
            items.extend(self.backlog.pop_front());
        }
        items
    }

    /// Forwarding what was forwarded could go in circles; the first member tries again with the leader it then knows.
    fn refuse_forwarded(&mut self, leader: u64) {
        let (forwarded, own) = std::mem::take(&mut self.backlog)
            .into_iter()
            .partition::<VecDeque<_>, _>(|item| matches!(item, Item::Forwarded { .. }));
        self.backlog = own;
        forwarded.into_iter().for_each(|item| refuse(item, leader, false));
    }

    fn stamped(&self, items: &[Item], term: u64) -> BatchBytes {
        let mut entry = BytesMut::from(&joined(items)[..]);
        // Encoded batches merge by concatenation: operations accumulate, and the last stamp counts.
        entry.extend_from_slice(&Batch { stamp: self.parts.clock.stamp(term), proposals: Vec::new() }.encode());
        BatchBytes(entry.freeze())
    }

    fn settle(&mut self, outcome: Outcome) {
        let leader = self.parts.leadership.view().leader.unwrap_or(0);
        match outcome {
            Outcome::Settled(items) => {
                for item in items {
                    if let Item::Forwarded { reply, .. } = item {
                        let _ = reply.send(ForwardReply { accepted: true, leader, storage_full: false });
                    }
                }
            }
            Outcome::NotTaken(items) => {
                for item in items.into_iter().rev() {
                    match item {
                        Item::Own { .. } => self.backlog.push_front(item),
                        Item::Forwarded { .. } => refuse(item, leader, false),
                    }
                }
                self.drop_expired();
            }
            Outcome::LeaderFull(items) => {
                for item in items {
                    match item {
                        Item::Own { request, .. } => self.parts.waiters.fail(request, ProposeError::StorageFull),
                        Item::Forwarded { .. } => refuse(item, leader, true),
                    }
                }
            }
        }
    }

    /// Forgets operations whose clients have been told that the time is up.
    fn drop_expired(&mut self) {
        let now = Instant::now();
        self.backlog.retain(|item| !matches!(item, Item::Own { deadline, .. } if *deadline <= now));
    }
}

/// How often operations that wait for a leader are checked against their deadlines.
const EXPIRY_CHECK: Duration = Duration::from_millis(100);
/// After a leader refused operations, give its successor this long to be known before trying again.
const RETRY_PAUSE: Duration = Duration::from_millis(5);
/// How long a leader that has been replaced may still take to say what became of the operations it was handed.
const FORMER_LEADER_PATIENCE: Duration = Duration::from_millis(300);

fn refuse(item: Item, leader: u64, storage_full: bool) {
    if let Item::Forwarded { reply, .. } = item {
        let _ = reply.send(ForwardReply { accepted: false, leader, storage_full });
    }
}

fn joined(items: &[Item]) -> Bytes {
    if let [only] = items {
        return only.encoded().clone();
    }
    let mut all = BytesMut::with_capacity(items.iter().map(|item| item.encoded().len()).sum::<usize>() + 16);
    items.iter().for_each(|item| all.extend_from_slice(item.encoded()));
    all.freeze()
}

async fn propose_here(raft: Raft, entry: BatchBytes, items: Vec<Item>) -> Outcome {
    let (responder, answer) = OneshotResponder::<TypeConfig, _>::new_pair();
    if raft.client_write_ff(entry, Some(responder)).await.is_err() {
        return Outcome::Settled(items);
    }
    match answer.await {
        Ok(Err(ClientWriteError::ForwardToLeader(_))) => {
            tokio::time::sleep(RETRY_PAUSE).await;
            Outcome::NotTaken(items)
        }
        // Applied; or discarded when leadership changed, in which case its fate is unknown.
        Ok(_) | Err(_) => Outcome::Settled(items),
    }
}

/// What became of operations handed to the leader.
enum Handed {
    Taken,
    NotTaken,
    LeaderFull,
    Unknown,
}

async fn hand_to_leader(links: Arc<Links>, leader: u64, body: Bytes, timeout: Duration) -> Handed {
    match links.call(MemberId(leader), Kind::Forward, body, timeout).await {
        Ok(reply) => match ForwardReply::decode(reply) {
            Ok(ForwardReply { accepted: true, .. }) => Handed::Taken,
            Ok(ForwardReply { storage_full: true, .. }) => Handed::LeaderFull,
            Ok(_) => Handed::NotTaken,
            Err(_) => Handed::Unknown,
        },
        Err(SubmitError::NotSent(_)) => Handed::NotTaken,
        Err(SubmitError::Unknown(_)) => Handed::Unknown,
    }
}

/// Returns when a former leader has had its time to answer. One that handed over answers at once; one that hangs must not
/// hold up what could go to its successor.
async fn replaced_for_long(leadership: &Leadership, leader: u64, term: u64) {
    leadership.replaced(leader, term).await;
    tokio::time::sleep(FORMER_LEADER_PATIENCE).await;
}

async fn conclude(handed: Handed, items: Vec<Item>) -> Outcome {
    match handed {
        Handed::Taken | Handed::Unknown => Outcome::Settled(items),
        Handed::LeaderFull => Outcome::LeaderFull(items),
        Handed::NotTaken => {
            tokio::time::sleep(RETRY_PAUSE).await;
            Outcome::NotTaken(items)
        }
    }
}

//! Serves what peers send over their links: hands their messages to the raft library and to this member's own services.
//!
//! Appends are given to the library in the order they came and answered in that order, without waiting in between; all else
//! is served side by side. A message that cannot be read is answered with an error and closes nothing else.

use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesOrdered, FuturesUnordered, StreamExt as _};
use openraft::raft::AppendEntriesResponse;
use prost::Message as _;
use quorate_core::{Batch, MemberId};
use tokio::sync::watch;

use super::elections::Elections;
use super::membership::Membership;
use super::proposals::Proposals;
use super::takeover::Takeover;
use super::{Raft, reads, snapshot_transfer, wire};
use crate::clock::ClusterClock;
use crate::metrics::Metrics;
use crate::node::Refusals;
use crate::peer_api::link::{Class, FrameWriter, Inbound, PeerService, ReplyError, Request};
use crate::peer_api::messages::{self, Kind, LeaderLost, ReadIndexReply};
use crate::replica::Replica;
use crate::reports::Whereabouts;
use crate::storage::log::Space;

/// Requests of one connection served at once, appends aside. At the bound the connection is read no further.
const SERVED_AT_ONCE: usize = 64;
/// Appends of one connection given to the library and not yet answered.
const APPENDS_AT_ONCE: usize = 64;

/// See the module.
pub struct PeerServer {
    /// The raft library.
    pub raft: Raft,
    /// Looks for the end of the leader's process.
    pub takeover: Arc<Takeover>,
    /// Takes forwarded operations.
    pub proposals: Proposals,
    /// Knows who was removed.
    pub replica: Arc<Replica>,
    /// Takes membership changes.
    pub membership: Arc<Membership>,
    /// Receives snapshots.
    pub snapshots: Arc<super::snapshots::Snapshots>,
    /// Notes that this member was removed.
    pub refusals: Arc<Refusals>,
    /// Whether the disk has room.
    pub space: watch::Receiver<Space>,
    /// Hears the cluster's time.
    pub clock: Arc<ClusterClock>,
    /// Hears of signs of the leader.
    pub elections: Arc<Elections>,
    /// Where this member reports.
    pub reporting: Whereabouts,
    /// Counts.
    pub metrics: Arc<Metrics>,
}

/// A reply's body, or why there is none.
type Reply = Result<Bytes, String>;

impl PeerService for PeerServer {
    fn serve(self: Arc<Self>, inbound: Inbound) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            let peer = inbound.hello.from;
            self.takeover.connection_began(peer, inbound.hello.class);
            match inbound.hello.class {
                Class::Log => {
                    self.serve_log(inbound).await;
                    self.takeover.connection_ended(peer);
                }
                Class::Snapshot => {
                    snapshot_transfer::receive(&self.raft, &self.snapshots, inbound).await;
                }
                Class::Heartbeat => {
                    self.serve_others(inbound).await;
                    self.takeover.connection_ended(peer);
                }
            }
        })
    }
}

impl PeerServer {
    async fn serve_log(self: &Arc<Self>, inbound: Inbound) {
        let Inbound { mut frames, replies, hello, .. } = inbound;
        let mut appends: FuturesOrdered<BoxFuture<'static, (u64, Reply)>> = FuturesOrdered::new();
        let mut forwards = FuturesUnordered::new();
        loop {
            let room = appends.len() < APPENDS_AT_ONCE && forwards.len() < SERVED_AT_ONCE;
            tokio::select! {
                biased;
                Some((id, reply)) = appends.next(), if !appends.is_empty() => answer(&replies, id, reply),
                Some((id, reply)) = forwards.next(), if !forwards.is_empty() => answer(&replies, id, reply),
                frame = frames.next(), if room => match frame {
                    Some(Request { kind, id, body }) if kind == Kind::Append as u8 => {
                        self.metrics.peers().append_received();
                        let mut append = Box::pin(Arc::clone(self).append(id, body));
                        // The first poll hands the entries over; doing it here keeps them in order.
                        match futures_util::poll!(&mut append) {
                            Poll::Ready(done) => appends.push_back(Box::pin(std::future::ready(done))),
                            Poll::Pending => appends.push_back(append),
                        }
                    }
                    Some(frame) => {
                        let this = Arc::clone(self);
                        forwards.push(async move { (frame.id, this.respond(hello.from, frame.kind, frame.body).await) });
                    }
                    None => return,
                },
            }
        }
    }

    async fn serve_others(self: &Arc<Self>, inbound: Inbound) {
        let Inbound { mut frames, replies, hello, .. } = inbound;
        let mut under_way = FuturesUnordered::new();
        loop {
            tokio::select! {
                Some((id, reply)) = under_way.next(), if !under_way.is_empty() => answer(&replies, id, reply),
                frame = frames.next(), if under_way.len() < SERVED_AT_ONCE => match frame {
                    // It has missed its removal, or it would have stopped. When it comes back, it is told.
                    Some(_) if self.replica.view(|machine, _| machine.members().was_removed(hello.from)) => return,
                    Some(frame) => {
                        let this = Arc::clone(self);
                        under_way.push(async move { (frame.id, this.respond(hello.from, frame.kind, frame.body).await) });
                    }
                    None => return,
                },
            }
        }
    }

    async fn respond(self: &Arc<Self>, from: MemberId, kind: u8, body: Bytes) -> Reply {
        let kind = Kind::from_byte(kind)
            .ok_or_else(|| format!("this version knows no message of kind {kind}"))?;
        match kind {
            Kind::Heartbeat | Kind::Append => Arc::clone(self).append(0, body).await.1,
            Kind::Vote => self.vote(body).await,
            Kind::PreVote => {
                let (request, _) = wire::decode_vote(body).map_err(text)?;
                let response = self.raft.pre_vote(request).await.map_err(text)?;
                Ok(wire::encode_vote_reply(&response).into())
            }
            Kind::Transfer => {
                let request = wire::decode_transfer(body).map_err(text)?;
                if *request.to_node_id() == self.elections.own() {
                    self.elections.asked_to_take_over();
                }
                let response = self.raft.handle_transfer_leader(request).await.map_err(text)?;
                Ok(wire::encode_transfer_reply(&response).into())
            }
            Kind::Forward => self.forward(body).await,
            Kind::ReadIndex => {
                let index = reads::prove_leadership(&self.raft).await;
                let reply =
                    ReadIndexReply { confirmed: index.is_some(), index: index.unwrap_or(0) };
                Ok(reply.encode_to_vec().into())
            }
            Kind::LeaderLost => {
                let question = LeaderLost::decode(body).map_err(text)?;
                Ok(self.takeover.answer(question).await.encode_to_vec().into())
            }
            Kind::Change => {
                let change = messages::Change::decode(body).map_err(text)?;
                Ok(self.membership.serve(change).await.encode_to_vec().into())
            }
            Kind::Removed => {
                self.refusals.removed_by_leader();
                Ok(Bytes::new())
            }
            Kind::Reporting => self.reporting(from),
            Kind::SnapshotBegin | Kind::SnapshotChunk | Kind::SnapshotEnd => {
                Err("snapshots travel on a connection of their own".to_owned())
            }
        }
    }

    /// A secret is among it: who is not in the list of members, with the data directory it lives in, is not told, though it may link
    /// to this one.
    fn reporting(&self, from: MemberId) -> Reply {
        let lives = |machine: &quorate_core::Machine| {
            machine.members().member(from).is_some_and(|member| member.incarnation.is_some())
        };
        if !self.replica.view(|machine, _| lives(machine)) {
            return Err(format!("{from} is no member that has started, as far as this one knows"));
        }
        Ok(self.reporting.message().encode_to_vec().into())
    }

    async fn append(self: Arc<Self>, id: u64, body: Bytes) -> (u64, Reply) {
        let reply = async {
            let (request, stamp) = wire::decode_append(body).map_err(text)?;
            if self.is_exhausted() && !request.entries.is_empty() {
                self.elections.heard_of_leader();
                return Err("this member's disk has no room for further entries".to_owned());
            }
            let response = self.raft.append_entries(request).await.map_err(text)?;
            if !matches!(response, AppendEntriesResponse::HigherVote(_)) {
                self.elections.heard_of_leader();
                self.clock.heard(stamp);
            }
            Ok(wire::encode_append_reply(&response).into())
        };
        (id, reply.await)
    }

    /// Whether the log can take nothing but votes: entries would wait for room, and votes behind them.
    fn is_exhausted(&self) -> bool {
        *self.space.borrow() == Space::Exhausted
    }

    async fn vote(&self, body: Bytes) -> Reply {
        let (mut request, leader_lost) = wire::decode_vote(body).map_err(text)?;
        // The candidate's word is not enough: this member must have seen the leader's end itself.
        request.leadership_transfer |=
            leader_lost && self.takeover.justifies(request.vote.leader_id.term);
        let response = self.raft.vote(request).await.map_err(text)?;
        Ok(wire::encode_vote_reply(&response).into())
    }

    async fn forward(&self, body: Bytes) -> Reply {
        let forward = messages::Forward::decode(body).map_err(text)?;
        // Checked before it can reach a log, where every member would have to make sense of it.
        Batch::decode(forward.batch.clone()).map_err(text)?;
        Ok(self.proposals.forward(forward.batch, forward.term).await.encode_to_vec().into())
    }
}

/// Why a call has no answer, as the peer's log will show it; programs go by the call's absence of one.
const REPLY_ERROR: u16 = 1;

fn answer(replies: &FrameWriter, id: u64, reply: Reply) {
    replies.reply(id, reply.map_err(|text| ReplyError { code: REPLY_ERROR, text }));
}

fn text(error: impl ToString) -> String {
    error.to_string()
}

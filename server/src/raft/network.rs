//! How the raft library reaches the peers: its messages go over the peer links, each on the class it belongs to.
//!
//! Appends are pipelined: the next one leaves before the last one is answered, in order, up to `APPENDS_IN_FLIGHT`.
//! A leader's heartbeats travel on a link of their own, so neither a long append nor a snapshot delays them.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream, FuturesOrdered, Stream, StreamExt as _};
use openraft::errors::{NetworkError, RPCError, ReplicationClosed, StreamingError, Unreachable};
use openraft::network::{Backoff, RPCOption, RaftNetworkFactory, RaftNetworkV2};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, StreamAppendResult,
    TransferLeaderRequest, TransferLeaderResponse, VoteRequest, VoteResponse,
};
use quorate_core::MemberId;

use super::elections::Elections;
use super::snapshot_transfer;
use super::snapshots::StoredSnapshot;
use super::takeover::Takeover;
use super::types::{LogId, PeerNode, SnapshotOf, TypeConfig, VoteOf};
use super::wire;
use crate::clock::ClusterClock;
use crate::metrics::Metrics;
use crate::peer_api::link::Class;
use crate::peer_api::links::{Links, SubmitError};
use crate::peer_api::messages::Kind;

/// Appends sent to one follower and not yet answered. Enough to cover a round trip and an fsync; each may hold a megabyte.
const APPENDS_IN_FLIGHT: usize = 16;
/// Before trying again to reach a peer that is not there. Links reconnect by themselves; this only paces the attempts.
const UNREACHABLE_PAUSE: Duration = Duration::from_millis(50);

type Rpc<T> = Result<T, RPCError<TypeConfig>>;

/// Makes the library's clients for each peer.
#[derive(Clone)]
pub struct Network {
    /// The ways to the peers.
    pub links: Arc<Links>,
    /// Knows whether the leader's process was seen to end.
    pub takeover: Arc<Takeover>,
    /// How long a peer may take to answer an append before it counts as lost.
    pub patience: Duration,
    /// Tells followers the cluster's time.
    pub clock: Arc<ClusterClock>,
    /// Hears that this member stands for election.
    pub elections: Arc<Elections>,
    /// Counts.
    pub metrics: Arc<Metrics>,
}

/// The raft library's client for one peer.
pub struct Client {
    network: Network,
    target: MemberId,
    /// What an append is sent as: on the log's link or on the heartbeats'.
    append: Kind,
    snapshots: snapshot_transfer::Retries,
}

impl RaftNetworkFactory<TypeConfig> for Network {
    type Network = Client;

    async fn new_client(&mut self, target: u64, node: &PeerNode) -> Client {
        self.links.ensure(MemberId(target), &node.peer_urls);
        self.client(target, Kind::Append)
    }

    async fn new_heartbeat_client(&mut self, target: u64, node: &PeerNode) -> Client {
        self.links.ensure(MemberId(target), &node.peer_urls);
        self.client(target, Kind::Heartbeat)
    }
}

impl Network {
    fn client(&self, target: u64, append: Kind) -> Client {
        let snapshots = snapshot_transfer::Retries::new();
        Client { network: self.clone(), target: MemberId(target), append, snapshots }
    }
}

impl Client {
    async fn call(&self, kind: Kind, body: Vec<u8>, timeout: Duration) -> Rpc<bytes::Bytes> {
        self.network.links.call(self.target, kind, body.into(), timeout).await.map_err(rpc_error)
    }

    /// Asks for a vote. Members that are started together are ready one after the other, and the next election is an election timeout
    /// away: one that is not there yet is asked when it is.
    async fn ask_for_vote(&self, kind: Kind, body: Vec<u8>, time: Duration) -> Rpc<bytes::Bytes> {
        let links = &self.network.links;
        links.call_when_back(self.target, kind, body.into(), time).await.map_err(rpc_error)
    }
}

impl Client {
    /// Sends a snapshot. Returns an error only when the next attempt is due: the library makes it almost at once.
    async fn attempt_snapshot(
        &mut self,
        vote: VoteOf,
        snapshot: SnapshotOf<StoredSnapshot>,
    ) -> Result<SnapshotResponse<TypeConfig>, StreamingError<TypeConfig>> {
        let Network { links, metrics, .. } = &self.network;
        let returned = links.returns(self.target, Class::Snapshot);
        let transfer = metrics.snapshots().sending(self.target);
        let sent = snapshot_transfer::send(links, self.target, vote, snapshot).await;
        match &sent {
            Ok(_) => transfer.done(),
            // This member's own disk: that ends it.
            Err(StreamingError::StorageError(_)) => {}
            Err(error) => {
                drop(transfer);
                self.snapshots.wait(self.target, error, returned).await;
            }
        }
        sent
    }
}

impl RaftNetworkV2<TypeConfig> for Client {
    type SnapshotData = StoredSnapshot;

    async fn append_entries(
        &mut self,
        rpc: AppendEntriesRequest<TypeConfig>,
        _option: RPCOption,
    ) -> Rpc<AppendEntriesResponse<TypeConfig>> {
        let timed = Timed::begin(&self.network.metrics, self.target, self.append);
        let body = wire::encode_append(&rpc, self.network.clock.leading(rpc.vote.leader_id.term));
        let reply = self.call(self.append, body, self.network.patience).await;
        timed.end(reply.is_ok());
        let reply = reply?;
        wire::decode_append_reply(reply).map_err(bad_reply)
    }

    fn stream_append<'s, S>(
        &'s mut self,
        input: S,
        _option: RPCOption,
    ) -> BoxFuture<'s, Rpc<BoxStream<'s, Rpc<StreamAppendResult<TypeConfig>>>>>
    where
        S: Stream<Item = AppendEntriesRequest<TypeConfig>> + Send + Unpin + 'static,
    {
        let pipeline = Pipeline {
            links: Arc::clone(&self.network.links),
            target: self.target,
            kind: self.append,
            clock: Arc::clone(&self.network.clock),
            patience: self.network.patience,
            metrics: Arc::clone(&self.network.metrics),
            input: Some(input),
            in_flight: FuturesOrdered::new(),
        };
        let replies =
            stream::unfold(Some(pipeline), |pipeline| async move { pipeline?.next().await });
        Box::pin(std::future::ready(Ok(replies.boxed())))
    }

    async fn vote(
        &mut self,
        rpc: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> Rpc<VoteResponse<TypeConfig>> {
        self.network.elections.stands();
        let leader_lost = self.network.takeover.justifies(rpc.vote.leader_id.term);
        let body = wire::encode_vote(&rpc, leader_lost);
        let reply = self.ask_for_vote(Kind::Vote, body, option.hard_ttl()).await?;
        wire::decode_vote_reply(reply).map_err(bad_reply)
    }

    async fn pre_vote(
        &mut self,
        rpc: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> Rpc<VoteResponse<TypeConfig>> {
        self.network.elections.stands();
        let body = wire::encode_vote(&rpc, false);
        let reply = self.ask_for_vote(Kind::PreVote, body, option.hard_ttl()).await?;
        wire::decode_vote_reply(reply).map_err(bad_reply)
    }

    async fn full_snapshot(
        &mut self,
        vote: VoteOf,
        snapshot: SnapshotOf<StoredSnapshot>,
        cancel: impl Future<Output = ReplicationClosed> + Send + 'static,
        _option: RPCOption,
    ) -> Result<SnapshotResponse<TypeConfig>, StreamingError<TypeConfig>> {
        tokio::select! {
            sent = self.attempt_snapshot(vote, snapshot) => sent,
            closed = cancel => Err(StreamingError::Closed(closed)),
        }
    }

    async fn transfer_leader(
        &mut self,
        req: TransferLeaderRequest<TypeConfig>,
        option: RPCOption,
    ) -> Rpc<TransferLeaderResponse<TypeConfig>> {
        let reply =
            self.call(Kind::Transfer, wire::encode_transfer(&req), option.hard_ttl()).await?;
        wire::decode_transfer_reply(reply, &req).map_err(bad_reply)
    }

    fn backoff(&self) -> Option<Backoff> {
        Some(Backoff::new(std::iter::repeat(UNREACHABLE_PAUSE)))
    }
}

/// One stream of appends to one follower.
struct Pipeline<S> {
    links: Arc<Links>,
    target: MemberId,
    kind: Kind,
    clock: Arc<ClusterClock>,
    patience: Duration,
    metrics: Arc<Metrics>,
    /// The appends still to be sent; none once the library has no more.
    input: Option<S>,
    in_flight: FuturesOrdered<BoxFuture<'static, Rpc<Answered>>>,
}

/// An answered append and what it had covered.
struct Answered {
    response: AppendEntriesResponse<TypeConfig>,
    previous: Option<LogId>,
    last: Option<LogId>,
}

impl<S> Pipeline<S>
where
    S: Stream<Item = AppendEntriesRequest<TypeConfig>> + Send + Unpin + 'static,
{
    /// The next answer, and the pipeline if it goes on after it.
    async fn next(mut self) -> Option<(Rpc<StreamAppendResult<TypeConfig>>, Option<Self>)> {
        loop {
            let room = self.in_flight.len() < APPENDS_IN_FLIGHT;
            let waiting = !self.in_flight.is_empty();
            let request = match &mut self.input {
                Some(input) if room => {
                    tokio::select! {
                        biased;
                        request = input.next() => request,
                        Some(answer) = self.in_flight.next(), if waiting => return Some(self.conclude(answer)),
                    }
                }
                _ => {
                    let answer = self.in_flight.next().await?;
                    return Some(self.conclude(answer));
                }
            };
            match request {
                Some(request) => self.send(request),
                None => self.input = None,
            }
        }
    }

    fn send(&mut self, request: AppendEntriesRequest<TypeConfig>) {
        let previous = request.prev_log_id;
        let last = request.entries.last().map(|entry| entry.log_id).or(previous);
        let stamp = self.clock.leading(request.vote.leader_id.term);
        let body = wire::encode_append(&request, stamp);
        drop(request);
        let timed = Timed::begin(&self.metrics, self.target, self.kind);
        let reply = self.links.submit(self.target, self.kind, body.into(), self.patience);
        self.in_flight.push_back(Box::pin(async move {
            let reply = reply.await;
            timed.end(reply.is_ok());
            let reply = reply.map_err(rpc_error)?;
            let response = wire::decode_append_reply(reply).map_err(bad_reply)?;
            Ok(Answered { response, previous, last })
        }));
    }

    fn conclude(
        self,
        answer: Rpc<Answered>,
    ) -> (Rpc<StreamAppendResult<TypeConfig>>, Option<Self>) {
        let Answered { response, previous, last } = match answer {
            Ok(answered) => answered,
            Err(error) => return (Err(error), None),
        };
        let goes_on = match &response {
            AppendEntriesResponse::Success => true,
            // What follows would not fit behind a part.
            AppendEntriesResponse::PartialSuccess(matched) => *matched == last,
            AppendEntriesResponse::Conflict if previous.is_none() => {
                let text = "the peer reports a conflict where there is nothing to conflict with";
                return (Err(NetworkError::from_string(text).into()), None);
            }
            AppendEntriesResponse::Conflict | AppendEntriesResponse::HigherVote(_) => false,
        };
        (Ok(response.into_stream_result(previous, last)), goes_on.then_some(self))
    }
}

/// The time of one append or heartbeat, from queueing it to its answer.
struct Timed {
    metrics: Arc<Metrics>,
    peer: MemberId,
    kind: Kind,
    since: Instant,
}

impl Timed {
    fn begin(metrics: &Arc<Metrics>, peer: MemberId, kind: Kind) -> Self {
        if kind == Kind::Append {
            metrics.peers().append_sent();
        }
        Self { metrics: Arc::clone(metrics), peer, kind, since: Instant::now() }
    }

    fn end(self, is_answered: bool) {
        let took = is_answered.then(|| self.since.elapsed());
        match self.kind {
            Kind::Heartbeat => self.metrics.peers().heartbeat(self.peer, took),
            _ => self.metrics.peers().append(self.peer, took),
        }
    }
}

/// A failed call for the library: what was not sent can be tried elsewhere, what was sent has an unknown end.
pub(super) fn rpc_error(error: SubmitError) -> RPCError<TypeConfig> {
    match error {
        SubmitError::NotSent(text) => RPCError::Unreachable(Unreachable::from_string(text)),
        SubmitError::Unknown(text) => RPCError::Network(NetworkError::from_string(text)),
    }
}

/// A reply that this version cannot read.
pub(super) fn bad_reply(error: wire::WireError) -> RPCError<TypeConfig> {
    RPCError::Network(NetworkError::new(&error))
}

//! The messages members exchange over a peer link: kinds, and prost bodies with explicit tags.
//! This is a wire contract: tags are never reused, fields are only added, and an unknown field is skipped, so that members
//! of neighbouring versions understand each other. Entries, votes and memberships have one encoding, that of the log's
//! records. What the messages mean to the raft library is `raft::wire`'s business.

use bytes::Bytes;

use super::link::Class;
use crate::storage::record::{Entry, EntryId, Vote as VoteState};

/// What a frame carries; the frame's `kind` byte.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub enum Kind {
    /// Log entries: [`Append`] answered by [`AppendReply`], in order.
    Append = 1,
    /// A request for a vote: [`Vote`] answered by [`VoteReply`].
    Vote = 2,
    /// Would you vote for me? Changes nothing at the receiver: [`Vote`] answered by [`VoteReply`].
    PreVote = 3,
    /// The leader asks the receiver to take over: [`Transfer`] answered by [`TransferReply`].
    Transfer = 4,
    /// The beginning of a snapshot: [`SnapshotBegin`], no body in the answer.
    SnapshotBegin = 5,
    /// The next piece of the snapshot that this connection began: raw bytes, no body in the answer.
    SnapshotChunk = 6,
    /// The snapshot is complete: [`SnapshotEnd`] answered by [`VoteReply`] once it is installed.
    SnapshotEnd = 7,
    /// Client operations for the leader to propose: [`Forward`] answered by [`ForwardReply`].
    Forward = 8,
    /// What index must a member have applied to read linearizably? Empty, answered by [`ReadIndexReply`].
    ReadIndex = 9,
    /// Have you lost the leader too? [`LeaderLost`] answered by [`LeaderLostReply`].
    LeaderLost = 10,
    /// A membership change for the leader to carry out: [`Change`] answered by [`ChangeReply`].
    Change = 11,
    /// The leader lives: an [`Append`] without entries, answered by [`AppendReply`].
    Heartbeat = 12,
    /// The leader has removed the receiver from the cluster, whose log ends before that. Empty, no body in the answer.
    Removed = 13,
    /// Where do you report? Empty, answered by [`ReportTarget`].
    Reporting = 14,
}

impl Kind {
    /// The kind a byte stands for, if this version knows it.
    #[must_use]
    pub fn from_byte(byte: u8) -> Option<Self> {
        Some(match byte {
            1 => Self::Append,
            2 => Self::Vote,
            3 => Self::PreVote,
            4 => Self::Transfer,
            5 => Self::SnapshotBegin,
            6 => Self::SnapshotChunk,
            7 => Self::SnapshotEnd,
            8 => Self::Forward,
            9 => Self::ReadIndex,
            10 => Self::LeaderLost,
            11 => Self::Change,
            12 => Self::Heartbeat,
            13 => Self::Removed,
            14 => Self::Reporting,
            _ => return None,
        })
    }

    /// The connection it travels on.
    #[must_use]
    pub fn class(self) -> Class {
        match self {
            Self::Append | Self::Forward => Class::Log,
            Self::SnapshotBegin | Self::SnapshotChunk | Self::SnapshotEnd => Class::Snapshot,
            Self::Vote
            | Self::PreVote
            | Self::Transfer
            | Self::ReadIndex
            | Self::LeaderLost
            | Self::Change
            | Self::Heartbeat
            | Self::Removed
            | Self::Reporting => Class::Heartbeat,
        }
    }
}

/// Log entries to append, or with none a heartbeat.
#[derive(Clone, Eq, PartialEq, prost::Message)]
pub struct Append {
    /// The leader's vote.
    #[prost(message, optional, tag = "1")]
    pub vote: Option<VoteState>,
    /// The entry just before the first of `entries`.
    #[prost(message, optional, tag = "2")]
    pub previous: Option<EntryId>,
    /// The entries.
    #[prost(message, repeated, tag = "3")]
    pub entries: Vec<Entry>,
    /// How far the leader knows the log to be committed.
    #[prost(message, optional, tag = "4")]
    pub commit: Option<EntryId>,
    /// The cluster's time when the leader sent this, in nanoseconds since 1970; 0 if it does not say.
    #[prost(fixed64, tag = "5")]
    pub stamp: u64,
}

/// How an [`Append`] went. `outcome`: 0 appended and durable, 1 partly (up to `matched`), 2 conflict at the previous
/// entry, 3 a higher vote is known (`vote`).
#[derive(Clone, Copy, Eq, PartialEq, prost::Message)]
pub struct AppendReply {
    /// See the type.
    #[prost(uint32, tag = "1")]
    pub outcome: u32,
    /// The last entry that matched, for outcome 1.
    #[prost(message, optional, tag = "2")]
    pub matched: Option<EntryId>,
    /// The higher vote, for outcome 3.
    #[prost(message, optional, tag = "3")]
    pub vote: Option<VoteState>,
}

/// A request for a vote (or for a pre-vote).
#[derive(Clone, Copy, Eq, PartialEq, prost::Message)]
pub struct Vote {
    /// What the candidate asks for.
    #[prost(message, optional, tag = "1")]
    pub vote: Option<VoteState>,
    /// The last entry of the candidate's log.
    #[prost(message, optional, tag = "2")]
    pub last: Option<EntryId>,
    /// The old leader itself asked for this election, so its lease does not stand in the way.
    #[prost(bool, tag = "3")]
    pub transfer: bool,
    /// The candidate saw the leader's process end. The receiver may set the lease aside only if it saw so too.
    #[prost(bool, tag = "4")]
    pub leader_lost: bool,
}

/// The answer to a [`Vote`], and to a [`SnapshotEnd`] (where only `vote` counts).
#[derive(Clone, Copy, Eq, PartialEq, prost::Message)]
pub struct VoteReply {
    /// The receiver's vote after the request.
    #[prost(message, optional, tag = "1")]
    pub vote: Option<VoteState>,
    /// Whether it was granted.
    #[prost(bool, tag = "2")]
    pub granted: bool,
    /// The last entry of the receiver's log.
    #[prost(message, optional, tag = "3")]
    pub last: Option<EntryId>,
}

/// The leader hands its leadership to `to`.
#[derive(Clone, Copy, Eq, PartialEq, prost::Message)]
pub struct Transfer {
    /// The leader's vote.
    #[prost(message, optional, tag = "1")]
    pub from: Option<VoteState>,
    /// The member that shall take over.
    #[prost(fixed64, tag = "2")]
    pub to: u64,
    /// What the successor's log must reach.
    #[prost(message, optional, tag = "3")]
    pub last: Option<EntryId>,
}

/// The answer to a [`Transfer`]. `outcome`: 0 accepted, 1 the receiver's vote changed, 2 its log is not that far.
#[derive(Clone, Copy, Eq, PartialEq, prost::Message)]
pub struct TransferReply {
    /// See the type.
    #[prost(uint32, tag = "1")]
    pub outcome: u32,
    /// The receiver's vote, for outcome 1.
    #[prost(message, optional, tag = "2")]
    pub vote: Option<VoteState>,
    /// The end of the receiver's durable log, for outcome 2.
    #[prost(message, optional, tag = "3")]
    pub last: Option<EntryId>,
}

/// A snapshot follows.
#[derive(Clone, Copy, Eq, PartialEq, prost::Message)]
pub struct SnapshotBegin {
    /// The leader's vote.
    #[prost(message, optional, tag = "1")]
    pub vote: Option<VoteState>,
    /// The size of the snapshot file. What it contains is in the file itself.
    #[prost(uint64, tag = "2")]
    pub bytes: u64,
}

/// The end of a snapshot.
#[derive(Clone, Copy, Eq, PartialEq, prost::Message)]
pub struct SnapshotEnd {
    /// The leader's vote.
    #[prost(message, optional, tag = "1")]
    pub vote: Option<VoteState>,
    /// How many bytes were sent.
    #[prost(uint64, tag = "2")]
    pub bytes: u64,
}

/// Client operations received by a member that does not lead: an encoded batch without a stamp.
#[derive(Clone, Eq, PartialEq, prost::Message)]
pub struct Forward {
    /// The operations, as the log encodes them.
    #[prost(bytes = "bytes", tag = "1")]
    pub batch: Bytes,
    /// The term that the receiver is thought to lead. It takes the operations for this term or not at all, so that the sender
    /// can tell from a later term whether they count.
    #[prost(uint64, tag = "2")]
    pub term: u64,
}

/// Whether the operations of a [`Forward`] were taken. Only `accepted` operations may have reached the log.
#[derive(Clone, Copy, Eq, PartialEq, prost::Message)]
pub struct ForwardReply {
    /// The receiver took them for its log.
    #[prost(bool, tag = "1")]
    pub accepted: bool,
    /// Otherwise: the leader as the receiver knows it, 0 for none.
    #[prost(fixed64, tag = "2")]
    pub leader: u64,
    /// Otherwise: the receiver's disk is full.
    #[prost(bool, tag = "3")]
    pub storage_full: bool,
}

/// The index a reader must have applied.
#[derive(Clone, Copy, Eq, PartialEq, prost::Message)]
pub struct ReadIndexReply {
    /// The receiver leads and a quorum confirmed it.
    #[prost(bool, tag = "1")]
    pub confirmed: bool,
    /// The index, if confirmed.
    #[prost(uint64, tag = "2")]
    pub index: u64,
}

/// The sender saw the process of `leader` end.
#[derive(Clone, Copy, Eq, PartialEq, prost::Message)]
pub struct LeaderLost {
    /// The leader that is gone.
    #[prost(fixed64, tag = "1")]
    pub leader: u64,
    /// The term it led.
    #[prost(uint64, tag = "2")]
    pub term: u64,
    /// The end of the sender's log.
    #[prost(message, optional, tag = "3")]
    pub last: Option<EntryId>,
}

/// The answer to a [`LeaderLost`].
#[derive(Clone, Copy, Eq, PartialEq, prost::Message)]
pub struct LeaderLostReply {
    /// The receiver saw it end too, knows no newer term, and has no longer log: it would vote for the sender.
    #[prost(bool, tag = "1")]
    pub agreed: bool,
}

/// A membership change. `action`: 1 add `peer_urls`, 2 remove `member`, 3 give `member` the `peer_urls`.
#[derive(Clone, Eq, PartialEq, prost::Message)]
pub struct Change {
    /// See the type.
    #[prost(uint32, tag = "1")]
    pub action: u32,
    /// The member, for actions 2 and 3.
    #[prost(fixed64, tag = "2")]
    pub member: u64,
    /// The addresses, for actions 1 and 3.
    #[prost(string, repeated, tag = "3")]
    pub peer_urls: Vec<String>,
}

/// How a [`Change`] went. `outcome`: 0 done, 1 not the leader, 2 no such member, 3 member was removed, 4 peer URL in use,
/// 5 refused (`reason`), 6 timed out, 7 another change is under way.
#[derive(Clone, Eq, PartialEq, prost::Message)]
pub struct ChangeReply {
    /// See the type.
    #[prost(uint32, tag = "1")]
    pub outcome: u32,
    /// The ID of the added member.
    #[prost(fixed64, tag = "2")]
    pub member: u64,
    /// Why, for people.
    #[prost(string, tag = "3")]
    pub reason: String,
    /// The index at which the change is applied, so that the asking member can wait to see it.
    #[prost(uint64, tag = "4")]
    pub index: u64,
}

/// The discovery service that the receiver reports to; without a secret if there is none. Its secret is not shown.
#[derive(Clone, Eq, PartialEq, prost::Message)]
#[prost(skip_debug)]
pub struct ReportTarget {
    /// The token's secret to join, which lets a member report.
    #[prost(string, tag = "1")]
    pub secret: String,
    /// What stands before the paths of the service's native API.
    #[prost(string, tag = "2")]
    pub prefix: String,
    /// The service's replicas, URLs.
    #[prost(string, repeated, tag = "3")]
    pub endpoints: Vec<String>,
    /// Who signs the service's certificate, PEM; the system's authorities if empty.
    #[prost(bytes = "vec", tag = "4")]
    pub authorities: Vec<u8>,
}

impl std::fmt::Debug for ReportTarget {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "ReportTarget({:?}, ..)", self.endpoints)
    }
}

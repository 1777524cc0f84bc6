//! The types this project puts into the raft library's blanks.
//!
//! Invariant: one leader per term (`leader_id_std`), so that a log id is exactly (term, index).
//! What is left out: how any of them looks on disk or on the wire.

use std::fmt;

use bytes::Bytes;

/// The raft library's type configuration for a member.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct TypeConfig;

// Spelled out instead of `declare_raft_types!`, whose rule takes no generic parameter for `Responder`.
impl openraft::RaftTypeConfig for TypeConfig {
    type D = BatchBytes;
    type R = ();
    type NodeId = NodeId;
    type Node = PeerNode;
    type Term = u64;
    type LeaderId = openraft::impls::leader_id_std::LeaderId<u64, u64>;
    type Vote = openraft::impls::Vote<Self::LeaderId>;
    type Payload = openraft::EntryPayload<Self::D, Self::NodeId, Self::Node>;
    type Entry =
        openraft::Entry<<Self::LeaderId as openraft::vote::RaftLeaderId>::Committed, Self::Payload>;
    type AsyncRuntime = openraft::TokioRuntime;
    // One channel per write; the library's default also allocates one for the commit.
    type Responder<T>
        = openraft::impls::OneshotResponder<Self, T>
    where
        T: openraft::OptionalSend + 'static;
    type Batch<T>
        = openraft::impls::InlineBatch<T>
    where
        T: openraft::OptionalSend + 'static;
    type ErrorSource = openraft::impls::BoxedErrorSource;
}

/// A raft node's id: the number inside a `quorate_core` member id.
pub type NodeId = u64;
/// The identity of a log entry: (term, index).
pub type LogId = openraft::type_config::alias::LogIdOf<TypeConfig>;
/// A vote, granted or asked for.
pub type VoteOf = openraft::type_config::alias::VoteOf<TypeConfig>;
/// A log entry as the raft library sees it.
pub type EntryOf = openraft::type_config::alias::EntryOf<TypeConfig>;
/// Who votes and who learns.
pub type Membership = openraft::Membership<NodeId, PeerNode>;
/// A membership with the log id it was written at.
pub type StoredMembership = openraft::type_config::alias::StoredMembershipOf<TypeConfig>;

/// What a normal entry carries: an encoded `quorate_core` batch of proposals.
///
/// Cheap to clone. Printing shows the length only: it may hold megabytes of other people's data.
#[derive(Clone, Default, Eq, PartialEq)]
pub struct BatchBytes(pub Bytes);

impl fmt::Debug for BatchBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BatchBytes({} bytes)", self.0.len())
    }
}

impl fmt::Display for BatchBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

/// What the cluster agrees on about a node: where its peers reach it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct PeerNode {
    /// Advertised peer URLs, sorted.
    pub peer_urls: Vec<String>,
}

impl fmt::Display for PeerNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.peer_urls.join(","))
    }
}

/// What a snapshot covers.
pub type SnapshotMeta = openraft::type_config::alias::SnapshotMetaOf<TypeConfig>;
/// A snapshot with its data.
pub type SnapshotOf<Data> = openraft::type_config::alias::SnapshotOf<TypeConfig, Data>;

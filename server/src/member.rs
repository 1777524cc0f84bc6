//! The member as its clients' requests see it: the one trait between the client API and the rest of the server.
//!
//! Static dispatch throughout. What is here is what a request may ask for; how it comes about (raft, disks, peers) is not.

use std::future::Future;
use std::sync::Arc;

use bytes::Bytes;
use quorate_core::{Auth, ClusterId, Event, Machine, MemberId, Stamp, StoreError, WatchSpec};

use crate::logging::LogLevel;
use crate::watch::{Reader, Subscription, WatchError, WatchMode};

/// One member of a cluster, as the client API uses it.
pub trait Member: Send + Sync + 'static {
    /// Brings `command` through the log and returns once this member has applied it.
    fn propose(
        &self,
        command: quorate_core::Command,
    ) -> impl Future<Output = Result<Committed, ProposeError>> + Send;

    /// Returns once a local read sees everything that was acknowledged before the call.
    fn read_barrier(&self) -> impl Future<Output = Result<(), ProposeError>> + Send;

    /// Looks at the state under its lock, with the cluster's idea of now. Must be brief.
    fn view<R>(&self, look: impl FnOnce(&Machine, Stamp) -> R) -> R;

    /// The users and roles, if they count. Each request asks.
    fn auth(&self) -> Option<Arc<Auth>> {
        self.view(|machine, _| machine.auth().is_enabled().then(|| Arc::clone(machine.auth())))
    }

    /// How far the log is applied, and the term: what a read's answer tells of them.
    fn position(&self) -> Position {
        let status = self.status();
        Position { index: status.applied_index, term: status.term }
    }

    /// Starts a watch; the look into the history and the registration are one step with respect to applying.
    ///
    /// # Errors
    /// `reader` may not, the history does not reach back that far, too many watch already, or the member is stopping.
    fn watch(
        &self,
        spec: WatchSpec,
        mode: WatchMode,
        reader: Reader,
    ) -> Result<Subscription, WatchError>;

    /// How many watchers wait.
    fn watchers(&self) -> usize;

    /// What the member knows of itself and its cluster right now. Takes no lock.
    fn status(&self) -> Status;

    /// Adds a voting member that will be reached at `peer_urls`.
    fn add_member(
        &self,
        peer_urls: Vec<String>,
    ) -> impl Future<Output = Result<quorate_core::Member, MembershipError>> + Send;

    /// Removes a member for ever.
    fn remove_member(
        &self,
        id: MemberId,
    ) -> impl Future<Output = Result<(), MembershipError>> + Send;

    /// Replaces the URLs at which peers reach a member.
    fn update_member(
        &self,
        id: MemberId,
        peer_urls: Vec<String>,
    ) -> impl Future<Output = Result<(), MembershipError>> + Send;

    /// Traffic of the log as `/v2/stats/self` counts it.
    fn append_stats(&self) -> AppendStats;

    /// The leader's view of its followers; `None` on any other member.
    fn followers(&self) -> Option<Vec<Follower>>;

    /// Whether the cluster knows this member by its name and client URLs. Until then it must not be taken for healthy.
    fn has_joined(&self) -> bool;

    /// Whether the process lives: each of its loops turns.
    fn liveness(&self) -> Vec<Check>;

    /// Whether the member can serve: leader known, applied caught up, disk writable.
    fn readiness(&self) -> Vec<Check>;

    /// All metrics in the text exposition format.
    fn exposition(&self) -> Bytes;

    /// Changes how much is logged, from now on.
    fn set_log_level(&self, level: LogLevel);
}

/// A place in the log.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Position {
    /// The index of an entry, for `X-Raft-Index`.
    pub index: u64,
    /// A term, for `X-Raft-Term`.
    pub term: u64,
}

/// A write that is committed and applied.
#[derive(Clone, Debug)]
pub struct Committed {
    /// What it did.
    pub event: Arc<Event>,
    /// The member's commit index, for `X-Raft-Index`.
    pub raft_index: u64,
    /// The term, for `X-Raft-Term`.
    pub term: u64,
}

/// Why a write or a linearizable read failed. `Display` is the `cause` that v2 clients know.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ProposeError {
    /// The store refused it; nothing changed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No quorum answered in time. It may still be applied later.
    #[error("etcdserver: request timed out")]
    TimedOut,
    /// As `TimedOut`, and the leader was lost meanwhile.
    #[error("etcdserver: request timed out, possibly due to previous leader failure")]
    TimedOutLeaderLost,
    /// As `TimedOut`, and this member could not reach the leader.
    #[error("etcdserver: request timed out, possibly due to connection lost")]
    TimedOutConnectionLost,
    /// The member is stopping.
    #[error("etcdserver: server stopped")]
    Stopped,
    /// More requests are under way than the member takes on.
    #[error("etcdserver: too many requests")]
    TooManyRequests,
    /// The disk has no room for another entry; free some, then writes resume.
    #[error("etcdserver: no space")]
    StorageFull,
}

/// Why a membership change failed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum MembershipError {
    /// No member has this ID.
    #[error("no member has the ID {0}")]
    NotFound(MemberId),
    /// The member was removed; its ID never comes back.
    #[error("member {0} was removed for ever")]
    Removed(MemberId),
    /// A member with one of the peer URLs exists.
    #[error("membership: peerURL exists")]
    PeerUrlExists,
    /// The change would endanger the quorum: why, and what to do.
    #[error("{0}")]
    Refused(String),
    /// Another change is not finished.
    #[error("another membership change is under way; wait until it is finished")]
    InProgress,
    /// No quorum agreed in time.
    #[error("etcdserver: request timed out")]
    TimedOut,
    /// The member is stopping.
    #[error("etcdserver: server stopped")]
    Stopped,
}

/// A member's part in its cluster.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Role {
    /// It leads.
    Leader,
    /// It follows.
    Follower,
    /// It stands for election.
    Candidate,
    /// It follows and has no vote.
    Learner,
}

impl Role {
    /// The name in `/v2/stats/self`; a learner counts as a follower there.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Leader => "StateLeader",
            Self::Follower | Self::Learner => "StateFollower",
            Self::Candidate => "StateCandidate",
        }
    }
}

/// What a member knows of itself and its cluster.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Status {
    /// This member.
    pub member: MemberId,
    /// Its cluster; never changes.
    pub cluster: ClusterId,
    /// The present term.
    pub term: u64,
    /// Whom it voted for in this term.
    pub vote: Option<MemberId>,
    /// The newest entry known to be committed.
    pub commit_index: u64,
    /// The newest entry applied here.
    pub applied_index: u64,
    /// Who leads, if known.
    pub leader: Option<MemberId>,
    /// Since when that member leads.
    pub leader_since: Stamp,
    /// Its own part.
    pub role: Role,
    /// When the process started.
    pub started_at: Stamp,
}

/// Log traffic with the other members.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct AppendStats {
    /// Append requests received.
    pub received: u64,
    /// Append requests sent.
    pub sent: u64,
}

/// A follower as its leader sees it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Follower {
    /// Which member.
    pub id: MemberId,
    /// The last entry known to be in its log.
    pub matched_index: u64,
    /// Append round trips.
    pub latency: Latency,
    /// Append requests that failed.
    pub fail: u64,
    /// Append requests that went well.
    pub success: u64,
}

/// Round-trip times, all in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Latency {
    /// The latest.
    pub current_ms: f64,
    /// The mean.
    pub average_ms: f64,
    /// The standard deviation.
    pub standard_deviation_ms: f64,
    /// The shortest.
    pub minimum_ms: f64,
    /// The longest.
    pub maximum_ms: f64,
}

/// One thing that must be in order.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Check {
    /// Its name, in `snake_case`.
    pub name: &'static str,
    /// What is wrong and what to do, if something is.
    pub result: Result<(), String>,
}

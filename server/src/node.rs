//! The running member: its parts, and the one handle through which requests reach them.
//!
//! It decides nothing: starting is `bootstrap`'s, replication `raft`'s, what a request means `client_api`'s. `assemble` puts
//! it together; `member` and `peer` show it to requests, `moment` to the metrics, `gate` to who wants to connect.

mod assemble;
mod founding;
mod gate;
mod member;
mod moment;
mod peer;
mod reported;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use quorate_core::bootstrap::Known;
use quorate_core::{Command, MemberId, Stamp};
use quorate_transport::http_client::Connector;
use tokio::sync::watch;

use crate::client_tasks::ClientTasks;
use crate::config::Config;
use crate::logging::LogHandle;
use crate::metrics::Metrics;
use crate::peer_api::link::{Local, PeerEndpoint};
use crate::peer_api::links::Links;
use crate::peer_api::messages::Kind;
use crate::raft::Raft;
use crate::raft::elections::Elections;
use crate::raft::figures::Figures;
use crate::raft::handover;
use crate::raft::leadership::Leadership;
use crate::raft::membership::Membership;
use crate::raft::proposals::Proposals;
use crate::raft::reads::Reads;
use crate::raft::snapshots::Snapshots;
use crate::raft::waiters::Waiters;
use crate::replica::Replica;
use crate::reports::Whereabouts;
use crate::storage::log::{Log, Space};
pub use gate::Refusals;

/// A write is given up after this and two election timeouts, as in etcd.
const REQUEST_TIMEOUT_BASE: Duration = Duration::from_secs(5);
/// How long a peer may take to answer a knock.
const KNOCK_TIMEOUT: Duration = Duration::from_millis(500);
/// How often a member looks whether the log has removed it.
const REMOVAL_CHECK: Duration = Duration::from_millis(200);

/// A restarted member that could tell nobody about itself for so long answers plain reads from what it has.
const LONELY_AFTER: Duration = Duration::from_secs(2);

/// Why a running member has to stop.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StopReason {
    /// It was removed from the cluster.
    #[error(
        "the member has been permanently removed from the cluster: member {0}. Its data is of no further use; to bring this \
         machine back, add it as a new member and start it with an empty data directory"
    )]
    Removed(MemberId),
    /// Its log failed; what is on the disk is unknown until it is read back.
    #[error("{0}")]
    LogFailed(String),
    /// The raft library stopped.
    #[error(
        "replication stopped: {0}. Nothing more can be acknowledged safely; look at the lines above, then start again"
    )]
    RaftStopped(String),
}

/// What a member is made of.
pub struct Ingredients {
    /// What it was told.
    pub config: Config,
    /// Who it is.
    pub own: Local,
    /// The members its cluster was formed with, in the incarnations of then, if it took part in the forming.
    pub founders: Vec<Known>,
    /// Its log.
    pub log: Log,
    /// Its snapshots.
    pub snapshots: Arc<Snapshots>,
    /// Its counters.
    pub metrics: Arc<Metrics>,
    /// Its log lines.
    pub logging: LogHandle,
    /// How it reaches other members.
    pub connector: Arc<dyn Connector>,
    /// Where its clients' tasks run.
    pub clients: ClientTasks,
    /// Where it reports, for peers that ask.
    pub reporting: Whereabouts,
}

/// Why a member could not be made.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The raft library refuses the timings.
    #[error("the heartbeat interval and the election timeout do not fit together: {0}")]
    Timings(String),
    /// It has not finished founding its cluster, and the flags name other founders than before.
    #[error(
        "this data directory was about to form a cluster with member {0}, which --initial-cluster no longer lists. Start with \
         the flags of the first start; or, if no member of that cluster ever got ready, with empty data directories on all"
    )]
    FoundersChanged(MemberId),
    /// The raft library could not read the disk.
    #[error("cannot start from what is on the disk: {0}")]
    Raft(String),
}

/// The running member. Cheap to clone.
#[derive(Clone)]
pub struct Node(Arc<Inner>);

struct Inner {
    own: Local,
    config: Config,
    founders: Vec<Known>,
    raft: Raft,
    log: Log,
    leadership: Leadership,
    links: Arc<Links>,
    replica: Arc<Replica>,
    proposals: Proposals,
    reads: Reads,
    membership: Arc<Membership>,
    elections: Arc<Elections>,
    waiters: Arc<Waiters>,
    endpoint: Arc<PeerEndpoint>,
    metrics: Arc<Metrics>,
    logging: LogHandle,
    started_at: Stamp,
    made_at: Instant,
    /// Whether this start of the member is known to the cluster.
    has_published: AtomicBool,
    stop: watch::Sender<Option<StopReason>>,
    /// The link observer's word that a peer refused this member for good.
    refusals: Arc<Refusals>,
    duties: Mutex<Vec<tokio::task::JoinHandle<()>>>,
}

impl Node {
    /// Opens links to the members of the cluster it joins, before the log has told it who they are.
    pub fn meet(&self, members: &[Known]) {
        members.iter().for_each(|known| self.0.links.ensure(known.id, &known.peer_urls));
    }

    /// Returns once this member has to stop, and why.
    pub async fn stopped(&self) -> StopReason {
        let mut stop = self.0.stop.subscribe();
        loop {
            if let Some(reason) = stop.borrow_and_update().clone() {
                return reason;
            }
            if stop.changed().await.is_err() {
                // The sender lives in `self`.
                std::future::pending::<()>().await;
            }
        }
    }

    /// Hands the leadership over, if this member has it.
    pub async fn step_aside(&self) {
        let inner = &self.0;
        let timeout = inner.config.election_timeout * 2 + Duration::from_secs(1);
        if inner.raft.voter_ids().count() > 1 {
            handover::hand_over(&inner.raft, &inner.leadership, inner.own.member, timeout).await;
        }
    }

    /// Ends all watches, so that clients look for another member.
    pub fn end_watches(&self) {
        self.0.replica.end_watches();
    }

    /// Stops replicating and closes the log.
    pub async fn shut_down(&self) {
        for duty in self.0.duties.lock().drain(..) {
            duty.abort();
        }
        self.0.endpoint.stop();
        if let Err(error) = self.0.raft.shutdown().await {
            tracing::warn!(%error, "replication did not stop cleanly");
        }
        self.0.log.close();
    }

    /// Whether the member may answer requests for keys: it has told the cluster about itself, as etcd does before it serves; or
    /// it restarted from its log and found nobody to tell for a while, so that plain reads go on without a quorum.
    #[must_use]
    pub fn may_serve(&self) -> bool {
        let has_published = self.0.has_published.load(Ordering::Acquire);
        self.belongs() && (has_published || self.0.made_at.elapsed() >= LONELY_AFTER)
    }

    /// This member has told the cluster about itself.
    pub(crate) fn published(&self) {
        self.0.has_published.store(true, Ordering::Release);
    }

    /// Whether the log knows this member as one that has started, in a cluster that has begun.
    fn belongs(&self) -> bool {
        self.0.replica.view(|machine, _| {
            let own = machine.members().member(self.0.own.member);
            own.is_some_and(|own| own.incarnation.is_some())
                && machine.members().cluster_version().is_some()
        })
    }

    /// Who this member is.
    #[must_use]
    pub fn own(&self) -> Local {
        self.0.own
    }

    /// What this member tells the cluster about itself.
    pub(crate) fn publication(&self) -> Command {
        let config = &self.0.config;
        let mut client_urls: Vec<String> =
            config.advertise_client_urls.iter().map(ToString::to_string).collect();
        client_urls.sort();
        let incarnation = self.0.own.incarnation;
        Command::Publish {
            member: self.0.own.member,
            name: config.name.clone(),
            client_urls,
            incarnation,
        }
    }

    /// Opens links to all `members` and closes those to others.
    pub(crate) fn align_links(&self, members: &[(MemberId, Vec<String>)]) {
        members.iter().for_each(|(member, urls)| self.0.links.ensure(*member, urls));
        // A learner that has not caught up knows an old membership; it must not close the way to its leader.
        if self.belongs() {
            self.0.links.retain(|member| members.iter().any(|(known, _)| *known == member));
        }
    }

    /// Asks each peer something small, so that the links try to connect and a refusal is noticed.
    pub(crate) async fn knock(&self) {
        let others = self
            .0
            .replica
            .view(|machine, _| machine.members().iter().map(|m| m.id).collect::<Vec<_>>());
        let asked = others
            .into_iter()
            .filter(|id| *id != self.0.own.member)
            .map(|id| self.0.links.call(id, Kind::ReadIndex, bytes::Bytes::new(), KNOCK_TIMEOUT));
        futures_util::future::join_all(asked).await;
    }

    /// Returns once the log failed, and why.
    pub(crate) async fn log_failed(&self) -> String {
        let mut fatal = self.0.log.fatal();
        loop {
            if let Some(fatal) = &*fatal.borrow_and_update() {
                return fatal.to_string();
            }
            if fatal.changed().await.is_err() {
                // The log was closed in good order.
                std::future::pending::<()>().await;
            }
        }
    }

    /// Returns once replication stopped, and why.
    pub(crate) async fn raft_stopped(&self) -> String {
        Figures::stopped(&self.0.raft).await
    }

    /// Returns once this member learns that it was removed: from the log, or from a peer that no longer lets it in.
    pub(crate) async fn removed(&self) {
        let mut refusal = self.0.refusals.watch();
        loop {
            let by_log =
                self.0.replica.view(|machine, _| machine.members().was_removed(self.0.own.member));
            if by_log || refusal.borrow_and_update().is_some() {
                return;
            }
            tokio::select! {
                changed = refusal.changed() => if changed.is_err() { return std::future::pending().await },
                () = tokio::time::sleep(REMOVAL_CHECK) => {}
            }
        }
    }

    /// Notes that this member cannot go on; the first reason counts.
    pub(crate) fn must_stop(&self, reason: StopReason) {
        self.0.stop.send_if_modified(|known| {
            let is_first = known.is_none();
            if is_first {
                *known = Some(reason);
            }
            is_first
        });
    }

    /// Whether the log's disk has room, now and from now on.
    pub(crate) fn space(&self) -> watch::Receiver<Space> {
        self.0.log.space()
    }

    fn has_room(&self) -> Space {
        *self.space().borrow()
    }
}

/// How long a request may take, all in all.
#[must_use]
pub fn request_timeout(election_timeout: Duration) -> Duration {
    REQUEST_TIMEOUT_BASE + 2 * election_timeout
}

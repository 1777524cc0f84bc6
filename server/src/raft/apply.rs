//! Folds committed entries into the machine: the raft library's state machine, and the only caller of `Machine::apply`.
//!
//! Per entry: decode, change the store under one lock (watchers are told under the same lock, so their order is the log's),
//! then hand outcomes to the clients of this member. State lives in memory; it is rebuilt from the newest snapshot and the
//! log behind it.

use std::io;
use std::sync::Arc;

use futures_util::{Stream, TryStreamExt as _};
use openraft::storage::{EntryResponder, RaftStateMachine};
use openraft::{EntryPayload, OptionalSend, StoredMembership as Stored};
use quorate_core::{Batch, Command, MemberId, Roster, RosterMember};

use super::elections::Elections;
use super::snapshots::{SnapshotBuilder, Snapshots, StoredSnapshot};
use super::types::{
    BatchBytes, EntryOf, LogId, Membership, SnapshotMeta, SnapshotOf, StoredMembership, TypeConfig,
};
use super::waiters::Waiters;
use crate::metrics::Metrics;
use crate::replica::{Outcome, Replica};

/// See the module.
pub struct StateMachine {
    own: MemberId,
    replica: Arc<Replica>,
    waiters: Arc<Waiters>,
    snapshots: Arc<Snapshots>,
    metrics: Arc<Metrics>,
    elections: Arc<Elections>,
    last_applied: Option<LogId>,
    membership: StoredMembership,
}

impl StateMachine {
    /// Nothing applied yet: the library installs the newest snapshot and applies the log behind it.
    pub fn new(
        own: MemberId,
        replica: Arc<Replica>,
        waiters: Arc<Waiters>,
        snapshots: Arc<Snapshots>,
        metrics: Arc<Metrics>,
        elections: Arc<Elections>,
    ) -> Self {
        let membership = StoredMembership::default();
        Self {
            own,
            replica,
            waiters,
            snapshots,
            metrics,
            elections,
            last_applied: None,
            membership,
        }
    }

    fn apply_entry(&mut self, entry: EntryOf) {
        let log_id = entry.log_id;
        let (index, term) = (log_id.index, log_id.leader_id.term);
        match entry.payload {
            EntryPayload::Blank => self.replica.change(index, term, |_, _| ()),
            EntryPayload::Normal(batch) => self.apply_batch(batch, index, term),
            EntryPayload::Membership(membership) => {
                let roster = roster(&membership);
                self.membership = Stored::new(Some(log_id), membership);
                self.replica.change(index, term, |machine, _| machine.apply_roster(&roster));
            }
        }
        self.last_applied = Some(log_id);
        self.elections.applied(term);
    }

    fn apply_batch(&self, batch: BatchBytes, index: u64, term: u64) {
        let bytes = batch.0.len();
        let batch = match Batch::decode(batch.0) {
            Ok(batch) => batch,
            Err(error) => {
                // Deterministic: every member that cannot read it skips it the same way. The leader checked it before
                // proposing, so this is a bug or a much newer version, and must be seen.
                tracing::error!(index, %error, "a log entry cannot be read and is skipped");
                return self.replica.change(index, term, |_, _| ());
            }
        };
        self.replica.clock().applied(batch.stamp);
        let own = self.own;
        let mut outcomes: Vec<(u64, Outcome)> = Vec::new();
        self.replica.change(index, term, |machine, tell| {
            for proposal in &batch.proposals {
                let changes_rights = matches!(proposal.command, Command::ChangeAuth { .. });
                let before = changes_rights.then(|| Arc::clone(machine.auth()));
                let applied = machine.apply(batch.stamp, &proposal.command);
                if let Some(before) = before {
                    tell.rights(&before, machine.auth());
                }
                applied.events().for_each(|event| tell.event(event));
                if proposal.origin == own {
                    outcomes.push((proposal.request, applied.outcome));
                }
            }
        });
        if !outcomes.is_empty() {
            self.waiters.complete(outcomes, index, term);
        }
        self.metrics.requests().applied(batch.proposals.len());
        self.snapshots.applied(batch.proposals.len(), bytes);
    }
}

impl RaftStateMachine<TypeConfig> for StateMachine {
    type SnapshotData = StoredSnapshot;
    type SnapshotBuilder = SnapshotBuilder;

    async fn applied_state(&mut self) -> io::Result<(Option<LogId>, StoredMembership)> {
        Ok((self.last_applied, self.membership.clone()))
    }

    async fn apply<S>(&mut self, mut entries: S) -> io::Result<()>
    where
        S: Stream<Item = io::Result<EntryResponder<TypeConfig>>> + Unpin + OptionalSend,
    {
        while let Some((entry, responder)) = entries.try_next().await? {
            self.apply_entry(entry);
            if let Some(responder) = responder {
                responder.send(());
            }
        }
        self.replica.announce();
        Ok(())
    }

    async fn try_create_snapshot_builder(&mut self, force: bool) -> Option<SnapshotBuilder> {
        if !force && !self.snapshots.has_room() {
            tracing::warn!("no room for a snapshot: the log keeps growing until there is");
            return None;
        }
        Some(self.get_snapshot_builder().await)
    }

    async fn get_snapshot_builder(&mut self) -> SnapshotBuilder {
        let meta = SnapshotMeta {
            last_log_id: self.last_applied,
            last_membership: self.membership.clone(),
        };
        SnapshotBuilder::new(Arc::clone(&self.snapshots), meta, self.replica.frozen())
    }

    async fn install_snapshot(
        &mut self,
        meta: &SnapshotMeta,
        snapshot: StoredSnapshot,
    ) -> io::Result<()> {
        let machine = self.snapshots.restore(snapshot).await?;
        let (index, term) = meta.last_log_id.map_or((0, 0), |id| (id.index, id.leader_id.term));
        self.replica.clock().applied(machine.last_stamp());
        self.replica.replace(index, term, machine);
        self.last_applied = meta.last_log_id;
        self.membership = meta.last_membership.clone();
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> io::Result<Option<SnapshotOf<StoredSnapshot>>> {
        self.snapshots.newest().await
    }
}

/// The members as the store knows them. While two configurations overlap, a member votes if it does in the newer one.
fn roster(membership: &Membership) -> Roster {
    let configs = membership.get_joint_config();
    let newest = configs.last();
    let votes = |id: &u64| newest.is_some_and(|voters| voters.contains(id));
    let leaving = |id: &u64| configs.len() > 1 && !votes(id) && configs[0].contains(id);
    let members = membership.nodes().map(|(id, node)| RosterMember {
        id: MemberId(*id),
        peer_urls: node.peer_urls.clone(),
        // A voter on its way out keeps counting as one until it is gone.
        is_learner: !votes(id) && !leaving(id),
    });
    Roster { members: members.collect() }
}

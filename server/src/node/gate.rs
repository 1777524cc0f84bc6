//! Who may connect to this member as a peer; and what it means when a peer does not let this member in.

use std::collections::BTreeMap;
use std::sync::Arc;

use quorate_core::MemberId;
use quorate_core::bootstrap::{Incarnation, Known};
use tokio::sync::watch;

use crate::metrics::Metrics;
use crate::peer_api::link::Local;
use crate::peer_api::link::{Class, Gate, Hello, LinkObserver, Refusal, RefusalCode};
use crate::replica::Replica;

/// Lets in members of this cluster, in the incarnation they are known to live in.
pub(super) struct MemberGate {
    own: Local,
    replica: Arc<Replica>,
    formed_with: BTreeMap<MemberId, Incarnation>,
}

impl MemberGate {
    pub(super) fn new(own: Local, replica: Arc<Replica>, founders: &[Known]) -> Self {
        let formed_with = founders
            .iter()
            .filter_map(|founder| Some((founder.id, founder.incarnation?)))
            .collect();
        Self { own, replica, formed_with }
    }

    fn admit_member(&self, hello: &Hello) -> Result<(), Refusal> {
        let sender = hello.from;
        self.replica.view(|machine, _| {
            let members = machine.members();
            if members.was_removed(sender) {
                let text = format!("member {sender} has been permanently removed from cluster {}", self.own.cluster);
                return Err(Refusal::new(RefusalCode::RemovedMember, text));
            }
            let lives_in = match members.member(sender) {
                Some(member) => member.incarnation,
                // Before the first entries have arrived, this member does not know its peers and takes their word.
                None if members.is_empty() || members.member(self.own.member).is_none() => None,
                None => {
                    let text = format!("{sender} is no member of cluster {} as far as this member knows", self.own.cluster);
                    return Err(Refusal::new(RefusalCode::UnknownMember, text));
                }
            };
            let lives_in = lives_in.or_else(|| self.formed_with.get(&sender).map(|incarnation| incarnation.0));
            if lives_in.is_some_and(|incarnation| incarnation != hello.incarnation) {
                let text = format!(
                    "member {sender} comes with another data directory than the one it lived in: its disk was lost or \
                     replaced. Remove member {sender} and add it again with an empty data directory"
                );
                return Err(Refusal::new(RefusalCode::WrongIncarnation, text));
            }
            Ok(())
        })
    }
}

impl Gate for MemberGate {
    fn admit(&self, hello: &Hello) -> Result<(), Refusal> {
        if hello.cluster != self.own.cluster {
            let text = format!(
                "the caller is of cluster {}, this member of cluster {}. Check the caller's peer URLs",
                hello.cluster, self.own.cluster
            );
            return Err(Refusal::new(RefusalCode::OtherCluster, text));
        }
        if hello.to != self.own.member {
            let text = format!(
                "the caller looks for member {}, this is member {}. Check the peer URLs of {}",
                hello.to, self.own.member, hello.to
            );
            return Err(Refusal::new(RefusalCode::WrongTarget, text));
        }
        self.admit_member(hello)
    }
}

/// Watches the links: counts for the metrics, and notes a refusal that is for good.
pub struct Refusals {
    metrics: Arc<Metrics>,
    for_good: watch::Sender<Option<Refusal>>,
}

impl Refusals {
    pub(super) fn new(metrics: Arc<Metrics>) -> Self {
        Self { metrics, for_good: watch::Sender::new(None) }
    }

    /// The leader says that it has removed this member; its log will not say so any more.
    pub(crate) fn removed_by_leader(&self) {
        let text = "the leader says that this member was removed";
        self.for_good.send_replace(Some(Refusal::new(RefusalCode::RemovedMember, text)));
    }

    /// A receiver of the refusal that is for good.
    pub(super) fn watch(&self) -> watch::Receiver<Option<Refusal>> {
        self.for_good.subscribe()
    }
}

impl LinkObserver for Refusals {
    fn sent(&self, peer: MemberId, _class: Class, bytes: usize) {
        self.metrics.peers().sent(peer, bytes);
    }

    fn received(&self, peer: MemberId, _class: Class, bytes: usize) {
        self.metrics.peers().received(peer, bytes);
    }

    fn failed(&self, peer: MemberId, _class: Class, calls: usize) {
        self.metrics.peers().failed(peer, calls);
    }

    fn linked(&self, peer: MemberId, class: Class, is_up: bool) {
        self.metrics.peers().linked(peer, class, is_up);
    }

    fn refused(&self, _peer: MemberId, refusal: &Refusal) {
        if refusal.code == RefusalCode::RemovedMember {
            self.for_good.send_replace(Some(refusal.clone()));
        }
    }
}

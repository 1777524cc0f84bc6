//! The member as a founder of its cluster: it writes the first entry, and says who the founders are until the log does.
//!
//! Who they are was decided and written down before, by `bootstrap`; a member that joined later has no founders here.

use std::collections::BTreeMap;

use openraft::async_runtime::WatchReceiver as _;
use quorate_core::bootstrap::{Incarnation, Known};

use super::{Node, NodeError};
use crate::raft::PeerNode;

impl Node {
    /// Writes the first entry of the cluster this member founded, as each founder does, unless it is there already; does nothing
    /// for a member that joined.
    ///
    /// # Errors
    /// When the raft library cannot write it, or the flags no longer say who the founders are.
    pub async fn form(&self) -> Result<(), NodeError> {
        let (raft, founders) = (&self.0.raft, &self.0.founders);
        let text = |error: &dyn std::fmt::Display| NodeError::Raft(error.to_string());
        if founders.is_empty() || raft.is_initialized().await.map_err(|error| text(&error))? {
            return Ok(());
        }
        if let Some(unknown) = founders.iter().find(|founder| founder.peer_urls.is_empty()) {
            return Err(NodeError::FoundersChanged(unknown.id));
        }
        let node = |founder: &Known| (founder.id.0, PeerNode { peer_urls: founder.peer_urls.clone() });
        let nodes: BTreeMap<u64, PeerNode> = founders.iter().map(node).collect();
        self.meet(founders);
        // Whoever writes the first entry stands for election. All may, since the entry is the same; but if all did at once,
        // they would split the vote. So the member with the smallest ID goes first, and the others only if it does not.
        if nodes.keys().next() != Some(&self.0.own.member.0) {
            let patience = self.0.config.election_timeout * 2;
            let mut views = self.0.leadership.watch();
            let heard = tokio::time::timeout(patience, views.wait_for(|view| view.term > 0)).await;
            if heard.is_ok() {
                return Ok(());
            }
        }
        if let Err(error) = raft.initialize(nodes).await {
            // A peer that was quicker may have replicated the very same entry already.
            if !raft.is_initialized().await.map_err(|error| text(&error))? {
                return Err(text(&error));
            }
        }
        Ok(())
    }

    /// Whether the log, committed or not, knows of no membership but the founding one.
    fn has_only_founders(&self) -> bool {
        let metrics = self.0.raft.metrics();
        let metrics = metrics.borrow_watched();
        let mut ids = metrics.membership_config.membership().nodes().map(|(id, _)| *id).peekable();
        ids.peek().is_none() || ids.eq(self.0.founders.iter().map(|founder| founder.id.0))
    }

    /// All members with the incarnations they are known to live in.
    pub(super) fn known_members(&self) -> Vec<Known> {
        let founders = &self.0.founders;
        let founded_with = |id| founders.iter().find(|founder| founder.id == id).and_then(|founder| founder.incarnation);
        self.0.replica.view(|machine, _| {
            // Until the first entry is committed, the founders are known from the founding; who asks then must not take this
            // cluster for one that it has no part in.
            if machine.members().is_empty() {
                return if self.has_only_founders() { founders.clone() } else { Vec::new() };
            }
            let known = machine.members().iter().map(|member| Known {
                id: member.id,
                name: member.name.clone(),
                peer_urls: member.peer_urls.clone(),
                incarnation: member.incarnation.map(Incarnation).or_else(|| founded_with(member.id)),
            });
            known.collect()
        })
    }
}
